# Made by `uv run python docs/tools/public_stubs.py`.

from pointsman._internal import (
    jsonio as jsonio,
)
from pointsman._internal.regular_files import (
    read_regular as read_regular,
)
from pointsman._internal.undecoded import (
    Undecoded as Undecoded,
)
from pointsman.audit import (
    AuditContext as AuditContext,
    AuditFactory as AuditFactory,
    AuditSink as AuditSink,
    AwaitedAuditSink as AwaitedAuditSink,
    ReportingAuditSink as ReportingAuditSink,
    SinkStatus as SinkStatus,
)
from pointsman.auth import (
    Auth as Auth,
    AuthContext as AuthContext,
    AuthFactory as AuthFactory,
    CredentialVersion as CredentialVersion,
    Outgoing as Outgoing,
    RefreshingAuth as RefreshingAuth,
    Secret as Secret,
    SigningAuth as SigningAuth,
    TroubledAuth as TroubledAuth,
    VersionedAuth as VersionedAuth,
)
from pointsman.budget import (
    BudgetWindow as BudgetWindow,
    Budgets as Budgets,
    Hold as Hold,
    HoldAsked as HoldAsked,
)
from pointsman.builtin.memory import (
    MemoryStore as MemoryStore,
)
from pointsman.builtin.strategies import (
    LeastConnections as LeastConnections,
    RoundRobin as RoundRobin,
    Weighted as Weighted,
)
from pointsman.clock import (
    Clock as Clock,
    Rng as Rng,
    system_rng as system_rng,
)
from pointsman.context import (
    Context as Context,
)
from pointsman.dialect import (
    Dialect as Dialect,
    DialectContext as DialectContext,
    DialectFactory as DialectFactory,
    ForeignDocument as ForeignDocument,
    NativeDocument as NativeDocument,
)
from pointsman.discovery import (
    Discovery as Discovery,
    DiscoveryContext as DiscoveryContext,
    DiscoveryFactory as DiscoveryFactory,
    Found as Found,
    FoundServer as FoundServer,
)
from pointsman.errors import (
    AttemptTimeout as AttemptTimeout,
    AuditUnavailable as AuditUnavailable,
    AuthenticationFailed as AuthenticationFailed,
    BadResponse as BadResponse,
    BudgetExceeded as BudgetExceeded,
    CallError as CallError,
    ConfigError as ConfigError,
    ConnectionFailed as ConnectionFailed,
    ContentFiltered as ContentFiltered,
    ContextWindowExceeded as ContextWindowExceeded,
    DeadlineExceeded as DeadlineExceeded,
    FailedAttempt as FailedAttempt,
    FallbackOn as FallbackOn,
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
    Refusal as Refusal,
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
    CallerRefused as CallerRefused,
    Event as Event,
    FirstToken as FirstToken,
    HealthChanged as HealthChanged,
    Mirrored as Mirrored,
    ModelSelected as ModelSelected,
    Queued as Queued,
    Reloaded as Reloaded,
    RequestEnded as RequestEnded,
    RequestStarted as RequestStarted,
    RetryPlanned as RetryPlanned,
    StateChanged as StateChanged,
)
from pointsman.guard import (
    Answered as Answered,
    Guard as Guard,
    GuardCall as GuardCall,
    GuardContext as GuardContext,
    GuardFactory as GuardFactory,
    StreamFilter as StreamFilter,
)
from pointsman.hookspecs import (
    PointsmanSpec as PointsmanSpec,
    hookimpl as hookimpl,
)
from pointsman.http.answer import (
    Answer as Answer,
    MAX_BODY as MAX_BODY,
    OpenAnswer as OpenAnswer,
)
from pointsman.http.client import (
    CallTimeouts as CallTimeouts,
    Client as Client,
    Endpoint as Endpoint,
)
from pointsman.http.event_stream import (
    Decoder as Decoder,
    EventStream as EventStream,
    Framer as Framer,
    HttpEventStream as HttpEventStream,
    PlainDecoder as PlainDecoder,
    PlainFramer as PlainFramer,
    RunDecoder as RunDecoder,
)
from pointsman.http.framing import (
    JsonLineFramer as JsonLineFramer,
    LineFramer as LineFramer,
    MAX_LINE as MAX_LINE,
    SseEvent as SseEvent,
    SseFramer as SseFramer,
)
from pointsman.http.headers import (
    bearer as bearer,
)
from pointsman.http.provider_base import (
    HttpProvider as HttpProvider,
    PerOptions as PerOptions,
)
from pointsman.http.relaying import (
    Relaying as Relaying,
    original_of as original_of,
)
from pointsman.offered import (
    CallerSource as CallerSource,
    KnownCaller as KnownCaller,
)
from pointsman.original import (
    Original as Original,
)
from pointsman.prices import (
    KnownModel as KnownModel,
    Price as Price,
    PriceContext as PriceContext,
    PriceFactory as PriceFactory,
    PriceSource as PriceSource,
    PriceTier as PriceTier,
)
from pointsman.provider import (
    Call as Call,
    EnvironmentDefault as EnvironmentDefault,
    Provider as Provider,
    ProviderContext as ProviderContext,
    ProviderFactory as ProviderFactory,
)
from pointsman.reports import (
    BudgetAccount as BudgetAccount,
)
from pointsman.requests.parsing import (
    chat_request as chat_request,
    embed_request as embed_request,
    generate_request as generate_request,
)
from pointsman.resilience.rate_limit import (
    Gcra as Gcra,
)
from pointsman.resilience.retry_budget import (
    BudgetSettings as BudgetSettings,
)
from pointsman.resilience.token_estimate import (
    Estimator as Estimator,
    input_estimate as input_estimate,
)
from pointsman.retry import (
    Failure as Failure,
    RetryContext as RetryContext,
    RetryFactory as RetryFactory,
    RetryPolicy as RetryPolicy,
)
from pointsman.section import (
    SectionCheck as SectionCheck,
    SectionFactory as SectionFactory,
)
from pointsman.selector import (
    Ask as Ask,
    Candidate as Candidate,
    Selection as Selection,
    Selector as Selector,
    SelectorCall as SelectorCall,
    SelectorContext as SelectorContext,
    SelectorFactory as SelectorFactory,
)
from pointsman.service import (
    Service as Service,
    ServiceContext as ServiceContext,
    ServiceFactory as ServiceFactory,
)
from pointsman.state import (
    Admission as Admission,
    Admitted as Admitted,
    BudgetFull as BudgetFull,
    BudgetHold as BudgetHold,
    BudgetSettlement as BudgetSettlement,
    BudgetTake as BudgetTake,
    HeldPlace as HeldPlace,
    HoldingStore as HoldingStore,
    NoRoom as NoRoom,
    Notice as Notice,
    Settlement as Settlement,
    SharedNotices as SharedNotices,
    StateContext as StateContext,
    StateFactory as StateFactory,
    StateStore as StateStore,
    Take as Take,
    WantedPlace as WantedPlace,
)
from pointsman.strategy import (
    ConfiguredMember as ConfiguredMember,
    Learned as Learned,
    Member as Member,
    Placing as Placing,
    Residency as Residency,
    RichMember as RichMember,
    Sample as Sample,
    Strategy as Strategy,
    StrategyContext as StrategyContext,
    StrategyFactory as StrategyFactory,
)
from pointsman.surface import (
    Caller as Caller,
    Calls as Calls,
    Capabilities as Capabilities,
    Catalogue as Catalogue,
    CatalogueEntry as CatalogueEntry,
    EndsRelayed as EndsRelayed,
    FaultDomain as FaultDomain,
    ProblemDetails as ProblemDetails,
    ProblemKind as ProblemKind,
    Route as Route,
    Socket as Socket,
    SocketCall as SocketCall,
    SocketRoute as SocketRoute,
    StreamReply as StreamReply,
    Surface as Surface,
    SurfaceContext as SurfaceContext,
    SurfaceFactory as SurfaceFactory,
    SurfaceRequest as SurfaceRequest,
    Tickets as Tickets,
    Understood as Understood,
    WholeReply as WholeReply,
    Writer as Writer,
)
from pointsman.text_messages import (
    TextMessages as TextMessages,
)
from pointsman.transports.factory import (
    TransportContext as TransportContext,
    TransportFactory as TransportFactory,
)
from pointsman.transports.fair_semaphore import (
    Slots as Slots,
)
from pointsman.transports.httpx_messages import (
    HttpxRequest as HttpxRequest,
    HttpxResponse as HttpxResponse,
)
from pointsman.transports.options import (
    Abortable as Abortable,
    Immediate as Immediate,
    TlsContexts as TlsContexts,
    TransportOptions as TransportOptions,
    TransportUnavailable as TransportUnavailable,
)
from pointsman.transports.raw import (
    RawTransport as RawTransport,
    Reply as Reply,
    RequestTemplate as RequestTemplate,
    Whole as Whole,
)
from pointsman.transports.readable import (
    is_readable as is_readable,
    last_words as last_words,
)
from pointsman.transports.shortage import (
    RESOURCE_ERRORS as RESOURCE_ERRORS,
)
from pointsman.types import (
    Audio as Audio,
    ChatRequest as ChatRequest,
    ChatResponse as ChatResponse,
    Done as Done,
    EmbedRequest as EmbedRequest,
    EmbedResponse as EmbedResponse,
    File as File,
    FinishReason as FinishReason,
    Finished as Finished,
    GenerateRequest as GenerateRequest,
    Image as Image,
    JsonObject as JsonObject,
    Message as Message,
    ModelInfo as ModelInfo,
    NOTHING as NOTHING,
    Part as Part,
    RawDelta as RawDelta,
    ReasoningBlock as ReasoningBlock,
    ReasoningDelta as ReasoningDelta,
    ReasoningEffort as ReasoningEffort,
    RefusalDelta as RefusalDelta,
    Relayed as Relayed,
    Request as Request,
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
from pointsman.units import (
    Allowance as Allowance,
    Duration as Duration,
    Percent as Percent,
    Rate as Rate,
)
from pointsman.values import (
    openai_objects as openai_objects,
)
from pointsman.wire import (
    data_urls as data_urls,
    retry_after as retry_after,
)
from pointsman.wire.assembly import (
    Assembly as Assembly,
    joined_extra as joined_extra,
)
from pointsman.wire.error_body import (
    Complaint as Complaint,
    ERROR_MEMBERS as ERROR_MEMBERS,
    complaint as complaint,
    holds_complaint as holds_complaint,
    is_complaint as is_complaint,
)
from pointsman.wire.error_meaning import (
    Recognised as Recognised,
    kind_by_status as kind_by_status,
    kind_by_vague_word as kind_by_vague_word,
    recognise as recognise,
)
from pointsman.wire.error_patterns import (
    ErrorPattern as ErrorPattern,
)
from pointsman.wire.large_bodies import (
    base64_of as base64_of,
    has_large_parts as has_large_parts,
    written_in_thread as written_in_thread,
)
from pointsman.wire.retry_after import (
    RateHeaders as RateHeaders,
)
from pointsman.wire.server_url import (
    server_url as server_url,
)
from pointsman.wire.status_errors import (
    error_for_status as error_for_status,
    in_vain as in_vain,
    json_or_none as json_or_none,
    request_id_of as request_id_of,
    snippet as snippet,
)
from pointsman.wire.surrogates import (
    SurrogateHalves as SurrogateHalves,
    is_well_formed as is_well_formed,
    well_formed as well_formed,
)
from pointsman.wire.tool_arguments import (
    arguments_object as arguments_object,
    arguments_text as arguments_text,
    with_exact_numbers as with_exact_numbers,
)
from pointsman.wire.vectors import (
    check_vectors as check_vectors,
)
