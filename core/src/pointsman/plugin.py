"""Everything that the author of a plugin imports: `from pointsman.plugin import …`.

This module, `pointsman` (for callers) and `pointsman.testing` (for tests) are public: what is in them
stays, and only grows. All else is the router's own and changes without notice.

Each name is imported from its home when it is first used; type checkers read the stub beside this file.
"""

import warnings
from importlib import import_module
from typing import Any

_HOMES = {
    "pointsman._internal.regular_files": "read_regular",
    "pointsman._internal.undecoded": "Undecoded",
    "pointsman.audit": "AuditContext AuditFactory AuditSink AwaitedAuditSink ReportingAuditSink SinkStatus",
    "pointsman.auth": """
        Auth AuthContext AuthFactory CredentialVersion Outgoing RefreshingAuth Secret SigningAuth
        TroubledAuth VersionedAuth
    """,
    "pointsman.budget": "BudgetWindow Budgets Hold HoldAsked",
    "pointsman.builtin.memory": "MemoryStore",
    "pointsman.builtin.strategies": "LeastConnections RoundRobin Weighted",
    "pointsman.clock": "Clock Rng system_rng",
    "pointsman.context": "Context",
    "pointsman.dialect": "Dialect DialectContext DialectFactory ForeignDocument NativeDocument",
    "pointsman.discovery": "Discovery DiscoveryContext DiscoveryFactory Found FoundServer",
    "pointsman.errors": """
        AttemptTimeout AuditUnavailable AuthenticationFailed BadResponse BudgetExceeded CallError
        ConfigError ConnectionFailed ContentFiltered ContextWindowExceeded DeadlineExceeded FailedAttempt
        FallbackOn FirstTokenTimeout FormatNotMet IdleTimeout InvalidRequest MidStreamError ModelNotFound
        NoConnectionFree NoDeploymentAvailable NotReady OutOfResources Outcome Overloaded
        PermissionDenied PluginError PointsmanError ProviderError QueueFull QuotaExhausted RateLimited
        Refusal Refused RequestError RuleNotMet Truncated Unavailable UnknownModel Unsupported
    """,
    "pointsman.events": """
        AttemptEnded AttemptStarted BreakerChanged CallerRefused Event FirstToken HealthChanged Mirrored
        ModelSelected Queued Reloaded RequestEnded RequestStarted RetryPlanned StateChanged
    """,
    "pointsman.guard": "Answered Guard GuardCall GuardContext GuardFactory StreamFilter",
    "pointsman.hookspecs": "PointsmanSpec hookimpl",
    "pointsman.http.answer": "Answer MAX_BODY OpenAnswer",
    "pointsman.http.client": "CallTimeouts Client Endpoint",
    "pointsman.http.event_stream": """
        Decoder EventStream Framer HttpEventStream PlainDecoder PlainFramer RunDecoder
    """,
    "pointsman.http.framing": "JsonLineFramer LineFramer MAX_LINE SseEvent SseFramer",
    "pointsman.http.headers": "bearer",
    "pointsman.http.provider_base": "HttpProvider PerOptions",
    "pointsman.http.relaying": "Relaying original_of",
    "pointsman.offered": "CallerSource KnownCaller",
    "pointsman.original": "Original",
    "pointsman.prices": "KnownModel Price PriceContext PriceFactory PriceSource PriceTier",
    "pointsman.provider": "Call EnvironmentDefault Provider ProviderContext ProviderFactory",
    "pointsman.reports": "BudgetAccount",
    "pointsman.requests.parsing": "chat_request embed_request generate_request",
    "pointsman.resilience.rate_limit": "Gcra",
    "pointsman.resilience.retry_budget": "BudgetSettings",
    "pointsman.resilience.token_estimate": "Estimator input_estimate",
    "pointsman.retry": "Failure RetryContext RetryFactory RetryPolicy",
    "pointsman.section": "SectionCheck SectionFactory",
    "pointsman.selector": "Ask Candidate Selection Selector SelectorCall SelectorContext SelectorFactory",
    "pointsman.service": "Service ServiceContext ServiceFactory",
    "pointsman.state": """
        Admission Admitted BudgetFull BudgetHold BudgetSettlement BudgetTake HeldPlace HoldingStore
        NoRoom Notice Settlement SharedNotices StateContext StateFactory StateStore Take WantedPlace
    """,
    "pointsman.strategy": """
        ConfiguredMember Learned Member Placing Residency RichMember Sample Strategy StrategyContext
        StrategyFactory
    """,
    "pointsman.surface": """
        Caller Calls Capabilities Catalogue CatalogueEntry EndsRelayed FaultDomain ProblemDetails
        ProblemKind Route Socket SocketCall SocketRoute StreamReply Surface SurfaceContext SurfaceFactory
        SurfaceRequest Tickets Understood WholeReply Writer
    """,
    "pointsman.text_messages": "TextMessages",
    "pointsman.transports.factory": "TransportContext TransportFactory",
    "pointsman.transports.fair_semaphore": "Slots",
    "pointsman.transports.httpx_messages": "HttpxRequest HttpxResponse",
    "pointsman.transports.options": "Abortable Immediate TlsContexts TransportOptions TransportUnavailable",
    "pointsman.transports.raw": "RawTransport Reply RequestTemplate Whole",
    "pointsman.transports.readable": "is_readable last_words",
    "pointsman.transports.shortage": "RESOURCE_ERRORS",
    "pointsman.types": """
        Audio ChatRequest ChatResponse Done EmbedRequest EmbedResponse File FinishReason Finished
        GenerateRequest Image JsonObject Message ModelInfo NOTHING Part RawDelta ReasoningBlock
        ReasoningDelta ReasoningEffort RefusalDelta Relayed Request ResponseFormat Started StreamEvent
        Text TextDelta Tool ToolCall ToolCallDelta ToolChoice Usage UsageUpdate replace
    """,
    "pointsman.units": "Allowance Duration Percent Rate",
    "pointsman.wire.assembly": "Assembly joined_extra",
    "pointsman.wire.error_body": "Complaint ERROR_MEMBERS complaint holds_complaint is_complaint",
    "pointsman.wire.error_meaning": "Recognised kind_by_status kind_by_vague_word recognise",
    "pointsman.wire.error_patterns": "ErrorPattern",
    "pointsman.wire.large_bodies": "base64_of has_large_parts written_in_thread",
    "pointsman.wire.retry_after": "RateHeaders",
    "pointsman.wire.server_url": "server_url",
    "pointsman.wire.status_errors": "error_for_status in_vain json_or_none request_id_of snippet",
    "pointsman.wire.surrogates": "SurrogateHalves is_well_formed well_formed",
    "pointsman.wire.tool_arguments": "arguments_object arguments_text with_exact_numbers",
    "pointsman.wire.vectors": "check_vectors",
}
"""The names, by the module that they are imported from."""
_MODULES = {
    "data_urls": "pointsman.wire.data_urls",
    "jsonio": "pointsman._internal.jsonio",
    "openai_objects": "pointsman.values.openai_objects",
    "retry_after": "pointsman.wire.retry_after",
}
"""Those that are modules."""
_GOING: dict[str, tuple[str, str]] = {}
"""Names that will go: the version that said so first, and what to write in place of each."""
_KEPT_FOR = 2
"""Minor versions in which a name that will go still works, with a warning."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module 'pointsman.plugin' has no attribute {name!r}")
    if name in _GOING:
        warnings.warn(_farewell(name), DeprecationWarning, stacklevel=2)
    else:
        globals()[name] = value
    return value


def _farewell(name: str) -> str:
    since, instead = _GOING[name]
    return f"pointsman.plugin.{name} is deprecated since {since} and goes with {_gone_with(since)}: {instead}"


def _gone_with(since: str) -> str:
    """The first version without a name that was deprecated in `since`, both as `major.minor`."""
    major, minor = since.split(".")
    return f"{major}.{int(minor) + _KEPT_FOR}"


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
