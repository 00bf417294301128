"""What was composed, as the values that the writers of wires take."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pointsman.plugin import ChatResponse, EmbedResponse, FinishReason, ToolCall, Usage
from pointsman_simulator import script
from pointsman_simulator.exchange import Completion
from pointsman_simulator.wires.base import arguments_text

_REASONS: Sequence[str] = get_args(FinishReason)


def answer_of(
    completion: Completion, call_ids: Sequence[str] = (), raw: Mapping[str, Any] | None = None
) -> ChatResponse:
    """A whole answer; its native reason is the scripted word. Args: call_ids: one for each call."""
    calls = zip(call_ids, completion.tool_calls, strict=True) if call_ids else ()
    return ChatResponse(
        completion.text,
        tuple(
            ToolCall(id, tool.name, arguments_text(tool.arguments), index)
            for index, (id, tool) in enumerate(calls)
        ),
        completion.finish if completion.finish in _REASONS else "other",  # type: ignore[arg-type]
        usage_of(completion.usage),
        reasoning=completion.thinking or None,
        native_finish_reason=completion.finish,
        raw=raw,
    )


def vectors_of(completion: Completion) -> EmbedResponse:
    """Vectors, in the order of the inputs."""
    return EmbedResponse(completion.vectors, usage_of(completion.usage))


def usage_of(usage: script.Usage | None) -> Usage:
    """Counts as pointsman has them; none where they are left out."""
    if usage is None:
        return Usage()
    return Usage(usage.prompt, usage.completion, usage.cached, reasoning=usage.reasoning)
