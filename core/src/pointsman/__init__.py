"""pointsman: a plugin-based router for LLM calls.

    async with Router.from_config("pointsman.yaml") as router:
        reply = await router.chat("assistant", "Why is the sky blue?")
        print(reply.text)

The names are imported when they are first used, so that `import pointsman` costs nothing, and a plugin that
needs `pointsman.types` does not load the router.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointsman.batch import Batch, BatchResult
    from pointsman.config import Config
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
        FirstTokenTimeout,
        IdleTimeout,
        InvalidRequest,
        MidStreamError,
        ModelNotFound,
        NoConnectionFree,
        NoDeploymentAvailable,
        Outcome,
        Overloaded,
        PermissionDenied,
        PluginError,
        PointsmanError,
        ProviderError,
        QueueFull,
        QuotaExhausted,
        RateLimited,
        RequestError,
        RuleNotMet,
        Truncated,
        Unavailable,
        UnknownModel,
        Unsupported,
    )
    from pointsman.hookspecs import PointsmanSpec, hookimpl
    from pointsman.router import Router
    from pointsman.stream import ChatStream
    from pointsman.sync import SyncItems, SyncProvider, SyncRouter, SyncStream
    from pointsman.types import (
        Audio,
        ChatRequest,
        ChatResponse,
        Done,
        EmbedRequest,
        EmbedResponse,
        File,
        Finished,
        GenerateRequest,
        Image,
        Message,
        ModelInfo,
        RawDelta,
        ReasoningBlock,
        ReasoningDelta,
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
    )

__version__ = "0.1.0"

__all__ = [
    "AttemptTimeout",
    "Audio",
    "AuthenticationFailed",
    "BadResponse",
    "Batch",
    "BatchResult",
    "CallError",
    "ChatRequest",
    "ChatResponse",
    "ChatStream",
    "Config",
    "ConfigError",
    "ConnectionFailed",
    "ContentFiltered",
    "ContextWindowExceeded",
    "DeadlineExceeded",
    "Done",
    "EmbedRequest",
    "EmbedResponse",
    "File",
    "Finished",
    "FirstTokenTimeout",
    "GenerateRequest",
    "IdleTimeout",
    "Image",
    "InvalidRequest",
    "Message",
    "MidStreamError",
    "ModelInfo",
    "ModelNotFound",
    "NoConnectionFree",
    "NoDeploymentAvailable",
    "Outcome",
    "Overloaded",
    "PermissionDenied",
    "PluginError",
    "PointsmanError",
    "PointsmanSpec",
    "ProviderError",
    "QueueFull",
    "QuotaExhausted",
    "RateLimited",
    "RawDelta",
    "ReasoningBlock",
    "ReasoningDelta",
    "RefusalDelta",
    "RequestError",
    "ResponseFormat",
    "Router",
    "RuleNotMet",
    "Started",
    "StreamEvent",
    "SyncItems",
    "SyncProvider",
    "SyncRouter",
    "SyncStream",
    "Text",
    "TextDelta",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoice",
    "Truncated",
    "Unavailable",
    "UnknownModel",
    "Unsupported",
    "Usage",
    "UsageUpdate",
    "__version__",
    "hookimpl",
]

_HOMES = {
    "pointsman.batch": (
        "Batch",
        "BatchResult",
    ),
    "pointsman.config": ("Config",),
    "pointsman.errors": (
        "AttemptTimeout",
        "AuthenticationFailed",
        "BadResponse",
        "CallError",
        "ConfigError",
        "ConnectionFailed",
        "ContentFiltered",
        "ContextWindowExceeded",
        "DeadlineExceeded",
        "FirstTokenTimeout",
        "IdleTimeout",
        "InvalidRequest",
        "MidStreamError",
        "ModelNotFound",
        "NoConnectionFree",
        "NoDeploymentAvailable",
        "Outcome",
        "Overloaded",
        "PermissionDenied",
        "PluginError",
        "PointsmanError",
        "ProviderError",
        "QueueFull",
        "QuotaExhausted",
        "RateLimited",
        "RequestError",
        "RuleNotMet",
        "RuleNotMet",
        "Truncated",
        "Unavailable",
        "UnknownModel",
        "Unsupported",
    ),
    "pointsman.hookspecs": (
        "PointsmanSpec",
        "hookimpl",
    ),
    "pointsman.router": ("Router",),
    "pointsman.stream": ("ChatStream",),
    "pointsman.sync": (
        "SyncItems",
        "SyncProvider",
        "SyncRouter",
        "SyncStream",
    ),
    "pointsman.types": (
        "Audio",
        "ChatRequest",
        "ChatResponse",
        "Done",
        "EmbedRequest",
        "EmbedResponse",
        "File",
        "Finished",
        "GenerateRequest",
        "Image",
        "Message",
        "ModelInfo",
        "RawDelta",
        "ReasoningBlock",
        "ReasoningDelta",
        "RefusalDelta",
        "ResponseFormat",
        "Started",
        "StreamEvent",
        "Text",
        "TextDelta",
        "Tool",
        "ToolCall",
        "ToolCallDelta",
        "ToolChoice",
        "Usage",
        "UsageUpdate",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'pointsman' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
