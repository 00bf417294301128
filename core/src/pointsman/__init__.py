"""pointsman: a plugin-based router for LLM calls.

    async with Router.from_config("pointsman.yaml") as router:
        reply = await router.chat("assistant", "Why is the sky blue?")
        print(reply.text)

The names are imported when they are first used, so that `import pointsman` costs nothing, and a plugin does
not load the router. What the author of a plugin imports is in `pointsman.plugin`.

Type checkers read the stub beside this file; a test holds the two against each other.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
"""The version of this distribution."""

_HOMES = {
    "pointsman.config": "Config",
    "pointsman.errors": """
        AttemptTimeout AuditUnavailable AuthenticationFailed BadResponse BudgetExceeded CallError
        ConfigError ConnectionFailed ContentFiltered ContextWindowExceeded DeadlineExceeded
        FailedAttempt FirstTokenTimeout FormatNotMet IdleTimeout InvalidRequest MidStreamError
        ModelNotFound NoConnectionFree NoDeploymentAvailable NotReady OutOfResources Outcome
        Overloaded PermissionDenied PluginError PointsmanError ProviderError QueueFull QuotaExhausted
        RateLimited Refused RequestError RuleNotMet Truncated Unavailable UnknownModel Unsupported
    """,
    "pointsman.events": """
        AttemptEnded AttemptStarted BreakerChanged CallerRefused Event FirstToken HealthChanged Mirrored
        ModelSelected Queued Reloaded RequestEnded RequestStarted RetryPlanned StateChanged
    """,
    "pointsman.batch": "Batch BatchResult",
    "pointsman.execution.stream": "ChatStream",
    "pointsman.explanations": """
        ExplainedAttempt ExplainedCandidate ExplainedDeployment ExplainedError ExplainedPool
        ExplainedReason ExplainedSelector ExplainedWire Explanation
    """,
    "pointsman.reports": """
        AdaptiveStatus AuditStatus BreakerStatus BudgetAccount BudgetStatus ChecksStatus ConfigurationStatus
        CoolDownStatus CredentialStatus DeploymentStatus EjectionStatus Health LastErrorStatus
        LimitStatus MeterStatus MirrorSideStatus MirrorStatus ModelStatus PatternStatus
        ProviderHealth QueueStatus
        RefusedConfiguration SelectorStatus Status StoreStatus WarmUpStatus
    """,
    "pointsman.requests.messages": "Messages",
    "pointsman.requests.option_types": "ChatOptions EmbedOptions GenerateOptions",
    "pointsman.router": "Router",
    "pointsman.sync": "SyncItems SyncProvider SyncRouter SyncStream",
    "pointsman.types": """
        Audio ChatRequest ChatResponse Done EmbedRequest EmbedResponse File Finished GenerateRequest
        Image Message ModelInfo RawDelta ReasoningBlock ReasoningDelta RefusalDelta ResponseFormat
        Started StreamEvent Text TextDelta Tool ToolCall ToolCallDelta ToolChoice Usage UsageUpdate
        replace
    """,
}
"""The public names, by the module that they are imported from when they are first used."""
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted([*_HOME_OF, "__version__"])


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
