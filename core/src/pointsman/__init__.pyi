from typing import Final

from pointsman.batch import Batch as Batch
from pointsman.batch import BatchResult as BatchResult
from pointsman.config import Config as Config
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
    FirstTokenTimeout as FirstTokenTimeout,
)
from pointsman.errors import (
    FormatNotMet as FormatNotMet,
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
    Refused as Refused,
)
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
from pointsman.execution.stream import ChatStream as ChatStream
from pointsman.router import Router as Router
from pointsman.sync import (
    SyncItems as SyncItems,
)
from pointsman.sync import (
    SyncProvider as SyncProvider,
)
from pointsman.sync import (
    SyncRouter as SyncRouter,
)
from pointsman.sync import (
    SyncStream as SyncStream,
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
    GenerateRequest as GenerateRequest,
)
from pointsman.types import (
    Image as Image,
)
from pointsman.types import (
    Message as Message,
)
from pointsman.types import (
    ModelInfo as ModelInfo,
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
    RefusalDelta as RefusalDelta,
)
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

__version__: Final[str]

from pointsman.events import AttemptEnded as AttemptEnded
from pointsman.events import AttemptStarted as AttemptStarted
from pointsman.events import BreakerChanged as BreakerChanged
from pointsman.events import Event as Event
from pointsman.events import FirstToken as FirstToken
from pointsman.events import HealthChanged as HealthChanged
from pointsman.events import ModelSelected as ModelSelected
from pointsman.events import Queued as Queued
from pointsman.events import Reloaded as Reloaded
from pointsman.events import RequestEnded as RequestEnded
from pointsman.events import RequestStarted as RequestStarted
from pointsman.events import RetryPlanned as RetryPlanned
from pointsman.events import StateChanged as StateChanged
