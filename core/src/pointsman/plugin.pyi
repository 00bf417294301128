from pointsman._internal import jsonio as jsonio
from pointsman._internal.regular_files import read_regular as read_regular
from pointsman._internal.undecoded import Undecoded as Undecoded
from pointsman.audit import AuditContext as AuditContext
from pointsman.audit import AuditFactory as AuditFactory
from pointsman.audit import AuditSink as AuditSink
from pointsman.auth import (
    Auth as Auth,
)
from pointsman.auth import (
    AuthContext as AuthContext,
)
from pointsman.auth import (
    AuthFactory as AuthFactory,
)
from pointsman.auth import (
    Outgoing as Outgoing,
)
from pointsman.auth import (
    RefreshingAuth as RefreshingAuth,
)
from pointsman.auth import (
    Secret as Secret,
)
from pointsman.auth import (
    SigningAuth as SigningAuth,
)
from pointsman.builtin.memory import MemoryStore as MemoryStore
from pointsman.builtin.strategies import (
    LeastConnections as LeastConnections,
)
from pointsman.builtin.strategies import (
    RoundRobin as RoundRobin,
)
from pointsman.builtin.strategies import (
    Weighted as Weighted,
)
from pointsman.clock import Clock as Clock
from pointsman.clock import Rng as Rng
from pointsman.clock import system_rng as system_rng
from pointsman.context import Context as Context
from pointsman.dialect import (
    Dialect as Dialect,
)
from pointsman.dialect import (
    DialectContext as DialectContext,
)
from pointsman.dialect import (
    DialectFactory as DialectFactory,
)
from pointsman.dialect import (
    ForeignDocument as ForeignDocument,
)
from pointsman.dialect import (
    NativeDocument as NativeDocument,
)
from pointsman.errors import (
    AttemptTimeout as AttemptTimeout,
)
from pointsman.errors import (
    AuthenticationFailed as AuthenticationFailed,
)
from pointsman.errors import (
    BadResponse as BadResponse,
)
from pointsman.errors import (
    CallError as CallError,
)
from pointsman.errors import (
    ConfigError as ConfigError,
)
from pointsman.errors import (
    ConnectionFailed as ConnectionFailed,
)
from pointsman.errors import (
    ContentFiltered as ContentFiltered,
)
from pointsman.errors import (
    ContextWindowExceeded as ContextWindowExceeded,
)
from pointsman.errors import (
    DeadlineExceeded as DeadlineExceeded,
)
from pointsman.errors import (
    FailedAttempt as FailedAttempt,
)
from pointsman.errors import (
    FallbackOn as FallbackOn,
)
from pointsman.errors import (
    FirstTokenTimeout as FirstTokenTimeout,
)
from pointsman.errors import (
    IdleTimeout as IdleTimeout,
)
from pointsman.errors import (
    InvalidRequest as InvalidRequest,
)
from pointsman.errors import (
    MidStreamError as MidStreamError,
)
from pointsman.errors import (
    ModelNotFound as ModelNotFound,
)
from pointsman.errors import (
    NoConnectionFree as NoConnectionFree,
)
from pointsman.errors import (
    NoDeploymentAvailable as NoDeploymentAvailable,
)
from pointsman.errors import (
    NotReady as NotReady,
)
from pointsman.errors import (
    Outcome as Outcome,
)
from pointsman.errors import (
    OutOfResources as OutOfResources,
)
from pointsman.errors import (
    Overloaded as Overloaded,
)
from pointsman.errors import (
    PermissionDenied as PermissionDenied,
)
from pointsman.errors import (
    PluginError as PluginError,
)
from pointsman.errors import (
    PointsmanError as PointsmanError,
)
from pointsman.errors import (
    ProviderError as ProviderError,
)
from pointsman.errors import (
    QueueFull as QueueFull,
)
from pointsman.errors import (
    QuotaExhausted as QuotaExhausted,
)
from pointsman.errors import (
    RateLimited as RateLimited,
)
from pointsman.errors import (
    Refusal as Refusal,
)
from pointsman.errors import Refused as Refused
from pointsman.errors import (
    RequestError as RequestError,
)
from pointsman.errors import (
    RuleNotMet as RuleNotMet,
)
from pointsman.errors import (
    Truncated as Truncated,
)
from pointsman.errors import (
    Unavailable as Unavailable,
)
from pointsman.errors import (
    UnknownModel as UnknownModel,
)
from pointsman.errors import (
    Unsupported as Unsupported,
)
from pointsman.events import (
    AttemptEnded as AttemptEnded,
)
from pointsman.events import (
    AttemptStarted as AttemptStarted,
)
from pointsman.events import (
    BreakerChanged as BreakerChanged,
)
from pointsman.events import (
    Event as Event,
)
from pointsman.events import (
    FirstToken as FirstToken,
)
from pointsman.events import (
    HealthChanged as HealthChanged,
)
from pointsman.events import (
    ModelSelected as ModelSelected,
)
from pointsman.events import (
    Queued as Queued,
)
from pointsman.events import (
    Reloaded as Reloaded,
)
from pointsman.events import (
    RequestEnded as RequestEnded,
)
from pointsman.events import (
    RequestStarted as RequestStarted,
)
from pointsman.events import (
    RetryPlanned as RetryPlanned,
)
from pointsman.events import (
    StateChanged as StateChanged,
)
from pointsman.guard import Answered as Answered
from pointsman.guard import Guard as Guard
from pointsman.guard import GuardCall as GuardCall
from pointsman.guard import GuardContext as GuardContext
from pointsman.guard import GuardFactory as GuardFactory
from pointsman.guard import StreamFilter as StreamFilter
from pointsman.hookspecs import PointsmanSpec as PointsmanSpec
from pointsman.hookspecs import hookimpl as hookimpl
from pointsman.http.answer import MAX_BODY as MAX_BODY
from pointsman.http.answer import Answer as Answer
from pointsman.http.answer import OpenAnswer as OpenAnswer
from pointsman.http.client import CallTimeouts as CallTimeouts
from pointsman.http.client import Client as Client
from pointsman.http.client import Endpoint as Endpoint
from pointsman.http.event_stream import (
    Decoder as Decoder,
)
from pointsman.http.event_stream import (
    EventStream as EventStream,
)
from pointsman.http.event_stream import (
    Framer as Framer,
)
from pointsman.http.event_stream import (
    HttpEventStream as HttpEventStream,
)
from pointsman.http.event_stream import (
    PlainDecoder as PlainDecoder,
)
from pointsman.http.event_stream import (
    PlainFramer as PlainFramer,
)
from pointsman.http.event_stream import (
    RunDecoder as RunDecoder,
)
from pointsman.http.framing import (
    MAX_LINE as MAX_LINE,
)
from pointsman.http.framing import (
    JsonLineFramer as JsonLineFramer,
)
from pointsman.http.framing import (
    LineFramer as LineFramer,
)
from pointsman.http.framing import (
    SseEvent as SseEvent,
)
from pointsman.http.framing import (
    SseFramer as SseFramer,
)
from pointsman.http.headers import bearer as bearer
from pointsman.http.provider_base import HttpProvider as HttpProvider
from pointsman.http.provider_base import PerOptions as PerOptions
from pointsman.http.relaying import Relaying as Relaying
from pointsman.http.relaying import original_of as original_of
from pointsman.original import Original as Original
from pointsman.prices import Price as Price
from pointsman.provider import (
    Call as Call,
)
from pointsman.provider import (
    Provider as Provider,
)
from pointsman.provider import (
    ProviderContext as ProviderContext,
)
from pointsman.provider import (
    ProviderFactory as ProviderFactory,
)
from pointsman.requests.parsing import chat_request as chat_request
from pointsman.requests.parsing import embed_request as embed_request
from pointsman.requests.parsing import generate_request as generate_request
from pointsman.resilience.rate_limit import Gcra as Gcra
from pointsman.resilience.retry_budget import BudgetSettings as BudgetSettings
from pointsman.resilience.token_estimate import input_estimate as input_estimate
from pointsman.retry import (
    Failure as Failure,
)
from pointsman.retry import (
    RetryContext as RetryContext,
)
from pointsman.retry import (
    RetryFactory as RetryFactory,
)
from pointsman.retry import (
    RetryPolicy as RetryPolicy,
)
from pointsman.section import SectionCheck as SectionCheck
from pointsman.section import SectionFactory as SectionFactory
from pointsman.selector import Ask as Ask
from pointsman.selector import Candidate as Candidate
from pointsman.selector import Selection as Selection
from pointsman.selector import Selector as Selector
from pointsman.selector import SelectorCall as SelectorCall
from pointsman.selector import SelectorContext as SelectorContext
from pointsman.selector import SelectorFactory as SelectorFactory
from pointsman.service import (
    Service as Service,
)
from pointsman.service import (
    ServiceContext as ServiceContext,
)
from pointsman.service import (
    ServiceFactory as ServiceFactory,
)
from pointsman.state import (
    Admission as Admission,
)
from pointsman.state import (
    Admitted as Admitted,
)
from pointsman.state import (
    HeldPlace as HeldPlace,
)
from pointsman.state import (
    NoRoom as NoRoom,
)
from pointsman.state import (
    Notice as Notice,
)
from pointsman.state import (
    Settlement as Settlement,
)
from pointsman.state import (
    StateContext as StateContext,
)
from pointsman.state import (
    StateFactory as StateFactory,
)
from pointsman.state import (
    StateStore as StateStore,
)
from pointsman.state import (
    Take as Take,
)
from pointsman.state import (
    WantedPlace as WantedPlace,
)
from pointsman.strategy import (
    ConfiguredMember as ConfiguredMember,
)
from pointsman.strategy import (
    Learned as Learned,
)
from pointsman.strategy import (
    Member as Member,
)
from pointsman.strategy import (
    Placing as Placing,
)
from pointsman.strategy import (
    Residency as Residency,
)
from pointsman.strategy import (
    RichMember as RichMember,
)
from pointsman.strategy import (
    Sample as Sample,
)
from pointsman.strategy import (
    Strategy as Strategy,
)
from pointsman.strategy import (
    StrategyContext as StrategyContext,
)
from pointsman.strategy import (
    StrategyFactory as StrategyFactory,
)
from pointsman.surface import (
    Caller as Caller,
)
from pointsman.surface import (
    Calls as Calls,
)
from pointsman.surface import (
    Capabilities as Capabilities,
)
from pointsman.surface import (
    Catalogue as Catalogue,
)
from pointsman.surface import (
    CatalogueEntry as CatalogueEntry,
)
from pointsman.surface import (
    EndsRelayed as EndsRelayed,
)
from pointsman.surface import (
    FaultDomain as FaultDomain,
)
from pointsman.surface import (
    ProblemDetails as ProblemDetails,
)
from pointsman.surface import (
    ProblemKind as ProblemKind,
)
from pointsman.surface import (
    Route as Route,
)
from pointsman.surface import (
    Socket as Socket,
)
from pointsman.surface import (
    SocketCall as SocketCall,
)
from pointsman.surface import (
    SocketRoute as SocketRoute,
)
from pointsman.surface import (
    StreamReply as StreamReply,
)
from pointsman.surface import (
    Surface as Surface,
)
from pointsman.surface import (
    SurfaceContext as SurfaceContext,
)
from pointsman.surface import (
    SurfaceFactory as SurfaceFactory,
)
from pointsman.surface import (
    SurfaceRequest as SurfaceRequest,
)
from pointsman.surface import (
    Tickets as Tickets,
)
from pointsman.surface import (
    Understood as Understood,
)
from pointsman.surface import (
    WholeReply as WholeReply,
)
from pointsman.surface import (
    Writer as Writer,
)
from pointsman.text_messages import TextMessages as TextMessages
from pointsman.transports.factory import (
    TransportContext as TransportContext,
)
from pointsman.transports.factory import (
    TransportFactory as TransportFactory,
)
from pointsman.transports.fair_semaphore import Slots as Slots
from pointsman.transports.httpx_messages import HttpxRequest as HttpxRequest
from pointsman.transports.httpx_messages import HttpxResponse as HttpxResponse
from pointsman.transports.options import (
    Abortable as Abortable,
)
from pointsman.transports.options import (
    Immediate as Immediate,
)
from pointsman.transports.options import (
    TlsContexts as TlsContexts,
)
from pointsman.transports.options import (
    TransportOptions as TransportOptions,
)
from pointsman.transports.options import (
    TransportUnavailable as TransportUnavailable,
)
from pointsman.transports.raw import (
    RawTransport as RawTransport,
)
from pointsman.transports.raw import (
    Reply as Reply,
)
from pointsman.transports.raw import (
    RequestTemplate as RequestTemplate,
)
from pointsman.transports.raw import (
    Whole as Whole,
)
from pointsman.transports.readable import is_readable as is_readable
from pointsman.transports.readable import last_words as last_words
from pointsman.transports.shortage import RESOURCE_ERRORS as RESOURCE_ERRORS
from pointsman.types import (
    NOTHING as NOTHING,
)
from pointsman.types import (
    Audio as Audio,
)
from pointsman.types import (
    ChatRequest as ChatRequest,
)
from pointsman.types import (
    ChatResponse as ChatResponse,
)
from pointsman.types import (
    Done as Done,
)
from pointsman.types import (
    EmbedRequest as EmbedRequest,
)
from pointsman.types import (
    EmbedResponse as EmbedResponse,
)
from pointsman.types import (
    File as File,
)
from pointsman.types import (
    Finished as Finished,
)
from pointsman.types import (
    FinishReason as FinishReason,
)
from pointsman.types import (
    GenerateRequest as GenerateRequest,
)
from pointsman.types import (
    Image as Image,
)
from pointsman.types import (
    JsonObject as JsonObject,
)
from pointsman.types import (
    Message as Message,
)
from pointsman.types import (
    ModelInfo as ModelInfo,
)
from pointsman.types import (
    Part as Part,
)
from pointsman.types import (
    RawDelta as RawDelta,
)
from pointsman.types import (
    ReasoningBlock as ReasoningBlock,
)
from pointsman.types import (
    ReasoningDelta as ReasoningDelta,
)
from pointsman.types import (
    ReasoningEffort as ReasoningEffort,
)
from pointsman.types import (
    RefusalDelta as RefusalDelta,
)
from pointsman.types import (
    Relayed as Relayed,
)
from pointsman.types import Request as Request
from pointsman.types import (
    ResponseFormat as ResponseFormat,
)
from pointsman.types import (
    Started as Started,
)
from pointsman.types import (
    StreamEvent as StreamEvent,
)
from pointsman.types import (
    Text as Text,
)
from pointsman.types import (
    TextDelta as TextDelta,
)
from pointsman.types import (
    Tool as Tool,
)
from pointsman.types import (
    ToolCall as ToolCall,
)
from pointsman.types import (
    ToolCallDelta as ToolCallDelta,
)
from pointsman.types import (
    ToolChoice as ToolChoice,
)
from pointsman.types import (
    Usage as Usage,
)
from pointsman.types import (
    UsageUpdate as UsageUpdate,
)
from pointsman.types import (
    replace as replace,
)
from pointsman.units import Duration as Duration
from pointsman.units import Percent as Percent
from pointsman.units import Rate as Rate
from pointsman.wire import data_urls as data_urls
from pointsman.wire import retry_after as retry_after
from pointsman.wire.assembly import Assembly as Assembly
from pointsman.wire.assembly import joined_extra as joined_extra
from pointsman.wire.error_body import (
    ERROR_MEMBERS as ERROR_MEMBERS,
)
from pointsman.wire.error_body import (
    Complaint as Complaint,
)
from pointsman.wire.error_body import (
    complaint as complaint,
)
from pointsman.wire.error_body import (
    holds_complaint as holds_complaint,
)
from pointsman.wire.error_body import (
    is_complaint as is_complaint,
)
from pointsman.wire.error_meaning import (
    Recognised as Recognised,
)
from pointsman.wire.error_meaning import (
    kind_by_status as kind_by_status,
)
from pointsman.wire.error_meaning import (
    kind_by_vague_word as kind_by_vague_word,
)
from pointsman.wire.error_meaning import (
    recognise as recognise,
)
from pointsman.wire.error_patterns import (
    ErrorPattern as ErrorPattern,
)
from pointsman.wire.large_bodies import (
    base64_of as base64_of,
)
from pointsman.wire.large_bodies import (
    has_large_parts as has_large_parts,
)
from pointsman.wire.large_bodies import (
    written_in_thread as written_in_thread,
)
from pointsman.wire.retry_after import RateHeaders as RateHeaders
from pointsman.wire.status_errors import (
    error_for_status as error_for_status,
)
from pointsman.wire.status_errors import (
    in_vain as in_vain,
)
from pointsman.wire.status_errors import (
    json_or_none as json_or_none,
)
from pointsman.wire.status_errors import (
    request_id_of as request_id_of,
)
from pointsman.wire.status_errors import (
    snippet as snippet,
)
from pointsman.wire.surrogates import (
    SurrogateHalves as SurrogateHalves,
)
from pointsman.wire.surrogates import (
    is_well_formed as is_well_formed,
)
from pointsman.wire.surrogates import (
    well_formed as well_formed,
)
from pointsman.wire.tool_arguments import (
    arguments_text as arguments_text,
)
from pointsman.wire.tool_arguments import (
    with_exact_numbers as with_exact_numbers,
)
from pointsman.wire.vectors import check_vectors as check_vectors
