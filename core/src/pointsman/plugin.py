"""Everything that the author of a plugin imports: `from pointsman.plugin import …`.

This module, `pointsman` (for callers) and `pointsman.testing` (for tests) are public: what is in them
stays, and only grows. All else is the router's own and changes without notice.
"""

from typing import TYPE_CHECKING, Any

from pointsman._internal import jsonio
from pointsman._internal.undecoded import Undecoded
from pointsman.audit import AuditContext, AuditFactory, AuditSink
from pointsman.auth import Auth, AuthContext, AuthFactory, Secret
from pointsman.builtin.strategies import LeastConnections, RoundRobin, Weighted
from pointsman.clock import Clock, Rng, system_rng
from pointsman.context import Context
from pointsman.dialect import Dialect, DialectContext, DialectFactory, ForeignDocument, NativeDocument
from pointsman.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    BadResponse,
    CallError,
    ConfigError,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    DeadlineExceeded,
    FailedAttempt,
    FallbackOn,
    FirstTokenTimeout,
    IdleTimeout,
    InvalidRequest,
    MidStreamError,
    ModelNotFound,
    NoConnectionFree,
    NoDeploymentAvailable,
    Outcome,
    OutOfResources,
    Overloaded,
    PermissionDenied,
    PluginError,
    PointsmanError,
    ProviderError,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    Refusal,
    RequestError,
    RuleNotMet,
    Truncated,
    Unavailable,
    UnknownModel,
    Unsupported,
)
from pointsman.events import AttemptEnded, BreakerChanged, Event, HealthChanged, Reloaded, RequestEnded
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.http.client import MAX_BODY, Answer, AttemptTimeouts, Client, Endpoint, bearer
from pointsman.http.event_stream import (
    Decoder,
    EventStream,
    Framer,
    HttpEventStream,
    PlainDecoder,
    PlainFramer,
)
from pointsman.http.framing import MAX_LINE, JsonLineFramer, LineFramer, SseEvent, SseFramer
from pointsman.http.provider_base import HttpProvider, PerOptions
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.resilience.retry_budget import BudgetSettings
from pointsman.retry import Failure, RetryContext, RetryFactory, RetryPolicy
from pointsman.section import SectionFactory
from pointsman.service import Service, ServiceContext, ServiceFactory
from pointsman.strategy import (
    ConfiguredMember,
    Member,
    Price,
    Residency,
    RichMember,
    Sample,
    Strategy,
    StrategyContext,
    StrategyFactory,
)
from pointsman.text_messages import TextMessages
from pointsman.transports.factory import TransportContext, TransportFactory
from pointsman.transports.fair_semaphore import Slots
from pointsman.transports.options import (
    Abortable,
    Immediate,
    TlsContexts,
    TransportOptions,
    TransportUnavailable,
)
from pointsman.transports.raw import RawTransport, RequestTemplate
from pointsman.transports.readable import last_words
from pointsman.transports.shortage import OUT_OF as RESOURCE_ERRORS
from pointsman.types import (
    NOTHING,
    Audio,
    ChatRequest,
    ChatResponse,
    Done,
    EmbedRequest,
    EmbedResponse,
    File,
    Finished,
    FinishReason,
    GenerateRequest,
    Image,
    JsonObject,
    Message,
    ModelInfo,
    Part,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    ReasoningEffort,
    RefusalDelta,
    ResponseFormat,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
    UsageUpdate,
    replace,
)
from pointsman.units import Duration, Percent, Rate
from pointsman.wire import data_urls, retry_after
from pointsman.wire.assembly import Assembly
from pointsman.wire.assembly import joined as joined_extra
from pointsman.wire.error_body import SURE as ERROR_MEMBERS
from pointsman.wire.error_body import Complaint, complaint, holds_complaint, is_complaint
from pointsman.wire.error_meaning import Recognised, recognise
from pointsman.wire.error_meaning import by_status as kind_by_status
from pointsman.wire.error_meaning import by_vague_word as kind_by_vague_word
from pointsman.wire.large_bodies import base64_of
from pointsman.wire.large_bodies import is_large as has_large_parts
from pointsman.wire.large_bodies import written as written_in_thread
from pointsman.wire.retry_after import RateHeaders
from pointsman.wire.status_errors import error_for_status, in_vain, json_or_none, request_id_of, snippet
from pointsman.wire.surrogates import Halves as SurrogateHalves
from pointsman.wire.surrogates import is_whole as is_well_formed
from pointsman.wire.surrogates import whole as well_formed
from pointsman.wire.tool_arguments import arguments_text, with_exact_numbers
from pointsman.wire.vectors import check_vectors

if TYPE_CHECKING:
    from pointsman.transports.httpx_messages import Request, Response

__all__ = [
    "ERROR_MEMBERS",
    "MAX_BODY",
    "MAX_LINE",
    "NOTHING",
    "RESOURCE_ERRORS",
    "Abortable",
    "Answer",
    "Assembly",
    "AttemptEnded",
    "AttemptTimeout",
    "AttemptTimeouts",
    "Audio",
    "AuditContext",
    "AuditFactory",
    "AuditSink",
    "Auth",
    "AuthContext",
    "AuthFactory",
    "AuthenticationFailed",
    "BadResponse",
    "BreakerChanged",
    "BudgetSettings",
    "Call",
    "CallError",
    "ChatRequest",
    "ChatResponse",
    "Client",
    "Clock",
    "Complaint",
    "ConfigError",
    "ConfiguredMember",
    "ConnectionFailed",
    "ContentFiltered",
    "Context",
    "ContextWindowExceeded",
    "DeadlineExceeded",
    "Decoder",
    "Dialect",
    "DialectContext",
    "DialectFactory",
    "Done",
    "Duration",
    "EmbedRequest",
    "EmbedResponse",
    "Endpoint",
    "Event",
    "EventStream",
    "FailedAttempt",
    "Failure",
    "FallbackOn",
    "File",
    "FinishReason",
    "Finished",
    "FirstTokenTimeout",
    "ForeignDocument",
    "Framer",
    "GenerateRequest",
    "HealthChanged",
    "HttpEventStream",
    "HttpProvider",
    "IdleTimeout",
    "Image",
    "Immediate",
    "InvalidRequest",
    "JsonLineFramer",
    "JsonObject",
    "LeastConnections",
    "LineFramer",
    "Member",
    "Message",
    "MidStreamError",
    "ModelInfo",
    "ModelNotFound",
    "NativeDocument",
    "NoConnectionFree",
    "NoDeploymentAvailable",
    "OutOfResources",
    "Outcome",
    "Overloaded",
    "Part",
    "PerOptions",
    "Percent",
    "PermissionDenied",
    "PlainDecoder",
    "PlainFramer",
    "PluginError",
    "PointsmanError",
    "PointsmanSpec",
    "Price",
    "Provider",
    "ProviderContext",
    "ProviderError",
    "ProviderFactory",
    "QueueFull",
    "QuotaExhausted",
    "Rate",
    "RateHeaders",
    "RateLimited",
    "RawDelta",
    "RawTransport",
    "ReasoningBlock",
    "ReasoningDelta",
    "ReasoningEffort",
    "Recognised",
    "Refusal",
    "RefusalDelta",
    "Reloaded",
    "Request",
    "RequestEnded",
    "RequestError",
    "RequestTemplate",
    "Residency",
    "Response",
    "ResponseFormat",
    "RetryContext",
    "RetryFactory",
    "RetryPolicy",
    "RichMember",
    "Rng",
    "RoundRobin",
    "RuleNotMet",
    "Sample",
    "Secret",
    "SectionFactory",
    "Service",
    "ServiceContext",
    "ServiceFactory",
    "Slots",
    "SseEvent",
    "SseFramer",
    "Started",
    "Strategy",
    "StrategyContext",
    "StrategyFactory",
    "StreamEvent",
    "SurrogateHalves",
    "Text",
    "TextDelta",
    "TextMessages",
    "TlsContexts",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "TransportContext",
    "TransportFactory",
    "TransportOptions",
    "TransportUnavailable",
    "Truncated",
    "Unavailable",
    "Undecoded",
    "UnknownModel",
    "Unsupported",
    "Usage",
    "UsageUpdate",
    "Weighted",
    "arguments_text",
    "base64_of",
    "bearer",
    "check_vectors",
    "complaint",
    "data_urls",
    "error_for_status",
    "has_large_parts",
    "holds_complaint",
    "hookimpl",
    "in_vain",
    "is_complaint",
    "is_well_formed",
    "joined_extra",
    "json_or_none",
    "jsonio",
    "kind_by_status",
    "kind_by_vague_word",
    "last_words",
    "recognise",
    "replace",
    "request_id_of",
    "retry_after",
    "snippet",
    "system_rng",
    "well_formed",
    "with_exact_numbers",
    "written_in_thread",
]


def __getattr__(name: str) -> Any:
    if name not in ("Request", "Response"):
        raise AttributeError(f"module 'pointsman.plugin' has no attribute {name!r}")
    from pointsman.transports import httpx_messages  # this needs httpx, which nobody else here does

    return getattr(httpx_messages, name)
