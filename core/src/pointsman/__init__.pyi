# Made by `uv run python docs/tools/public_stubs.py`.

from typing import Final

from pointsman.batch import (
    Batch as Batch,
    BatchResult as BatchResult,
)
from pointsman.config import (
    Config as Config,
)
from pointsman.errors import (
    AttemptTimeout as AttemptTimeout,
    AuthenticationFailed as AuthenticationFailed,
    BadResponse as BadResponse,
    CallError as CallError,
    ConfigError as ConfigError,
    ConnectionFailed as ConnectionFailed,
    ContentFiltered as ContentFiltered,
    ContextWindowExceeded as ContextWindowExceeded,
    DeadlineExceeded as DeadlineExceeded,
    FailedAttempt as FailedAttempt,
    FirstTokenTimeout as FirstTokenTimeout,
    FormatNotMet as FormatNotMet,
    IdleTimeout as IdleTimeout,
    InvalidRequest as InvalidRequest,
    MidStreamError as MidStreamError,
    ModelNotFound as ModelNotFound,
    NoConnectionFree as NoConnectionFree,
    NoDeploymentAvailable as NoDeploymentAvailable,
    NotReady as NotReady,
    OutOfResources as OutOfResources,
    Outcome as Outcome,
    Overloaded as Overloaded,
    PermissionDenied as PermissionDenied,
    PluginError as PluginError,
    PointsmanError as PointsmanError,
    ProviderError as ProviderError,
    QueueFull as QueueFull,
    QuotaExhausted as QuotaExhausted,
    RateLimited as RateLimited,
    Refused as Refused,
    RequestError as RequestError,
    RuleNotMet as RuleNotMet,
    Truncated as Truncated,
    Unavailable as Unavailable,
    UnknownModel as UnknownModel,
    Unsupported as Unsupported,
)
from pointsman.events import (
    AttemptEnded as AttemptEnded,
    AttemptStarted as AttemptStarted,
    BreakerChanged as BreakerChanged,
    Event as Event,
    FirstToken as FirstToken,
    HealthChanged as HealthChanged,
    ModelSelected as ModelSelected,
    Queued as Queued,
    Reloaded as Reloaded,
    RequestEnded as RequestEnded,
    RequestStarted as RequestStarted,
    RetryPlanned as RetryPlanned,
    StateChanged as StateChanged,
)
from pointsman.execution.stream import (
    ChatStream as ChatStream,
)
from pointsman.reports import (
    AdaptiveStatus as AdaptiveStatus,
    BreakerStatus as BreakerStatus,
    BudgetStatus as BudgetStatus,
    ChecksStatus as ChecksStatus,
    CoolDownStatus as CoolDownStatus,
    DeploymentStatus as DeploymentStatus,
    EjectionStatus as EjectionStatus,
    ExplainedCandidate as ExplainedCandidate,
    ExplainedPool as ExplainedPool,
    ExplainedSelector as ExplainedSelector,
    Explanation as Explanation,
    Health as Health,
    LastErrorStatus as LastErrorStatus,
    LimitStatus as LimitStatus,
    MeterStatus as MeterStatus,
    ModelStatus as ModelStatus,
    PatternStatus as PatternStatus,
    ProviderHealth as ProviderHealth,
    QueueStatus as QueueStatus,
    SelectorStatus as SelectorStatus,
    Status as Status,
    StoreStatus as StoreStatus,
    WarmUpStatus as WarmUpStatus,
)
from pointsman.requests.messages import (
    Messages as Messages,
)
from pointsman.requests.option_types import (
    ChatOptions as ChatOptions,
    EmbedOptions as EmbedOptions,
    GenerateOptions as GenerateOptions,
)
from pointsman.router import (
    Router as Router,
)
from pointsman.sync import (
    SyncItems as SyncItems,
    SyncProvider as SyncProvider,
    SyncRouter as SyncRouter,
    SyncStream as SyncStream,
)
from pointsman.types import (
    Audio as Audio,
    ChatRequest as ChatRequest,
    ChatResponse as ChatResponse,
    Done as Done,
    EmbedRequest as EmbedRequest,
    EmbedResponse as EmbedResponse,
    File as File,
    Finished as Finished,
    GenerateRequest as GenerateRequest,
    Image as Image,
    Message as Message,
    ModelInfo as ModelInfo,
    RawDelta as RawDelta,
    ReasoningBlock as ReasoningBlock,
    ReasoningDelta as ReasoningDelta,
    RefusalDelta as RefusalDelta,
    ResponseFormat as ResponseFormat,
    Started as Started,
    StreamEvent as StreamEvent,
    Text as Text,
    TextDelta as TextDelta,
    Tool as Tool,
    ToolCall as ToolCall,
    ToolCallDelta as ToolCallDelta,
    ToolChoice as ToolChoice,
    Usage as Usage,
    UsageUpdate as UsageUpdate,
    replace as replace,
)

__version__: Final[str]
