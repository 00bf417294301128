"""What the Anthropic API refuses, and in which words."""

from collections.abc import Mapping, Sequence
from typing import Any

from pointsman_simulator.wires.base import text_of

_NAMES = (
    "model max_tokens messages system tools tool_choice stop_sequences stream thinking output_config "
    "temperature top_p top_k metadata service_tier speed cache_control container inference_geo diagnostics "
    "context_management mcp_servers"
)
_FIELDS = frozenset(_NAMES.split())
_SAMPLING = ("temperature", "top_p", "top_k")
_NOT_COUNTED = frozenset(["max_tokens", "stream", "metadata", "stop_sequences", *_SAMPLING])
_LEAST_BUDGET = 1024  # tokens of thinking


def problem(body: Mapping[str, Any], version: str, *, counting: bool) -> str | None:
    """The first mistake in a body, in the API's words."""
    required = ("model", "messages") if counting else ("model", "max_tokens", "messages")
    for name in required:
        if body.get(name) is None:
            return f"{name}: Field required"
    for name in body:
        sampled = name in _SAMPLING and version >= "2026-10-21"
        if name not in _FIELDS or sampled or (counting and name in _NOT_COUNTED):
            return f"{name}: Extra inputs are not permitted"
    if not counting and (not isinstance(body["max_tokens"], int) or body["max_tokens"] < 0):
        return "max_tokens: Input should be greater than or equal to 1"
    return (
        _problem_of_sampling(body)
        or _problem_of_messages(body["messages"])
        or _problem_of_thought(body)
        or _problem_of_tools(body.get("tools") or [])
        or _problem_of_choice(body)
    )


def _problem_of_sampling(body: Mapping[str, Any]) -> str | None:
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        return "temperature: range: 0..1"
    thinking = body.get("thinking") or {}
    if thinking.get("type") == "enabled":
        if temperature not in (None, 1):
            return "`temperature` may only be set to 1 when thinking is enabled."
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < _LEAST_BUDGET:
            return f"thinking.enabled.budget_tokens: Input should be greater than or equal to {_LEAST_BUDGET}"
        if budget >= body.get("max_tokens", budget + 1):
            return "`max_tokens` must be greater than `thinking.budget_tokens`."
    if any(not each.strip() for each in body.get("stop_sequences") or ()):
        return "stop_sequences: each stop sequence must contain non-whitespace"
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is not None and (
        wanted.get("type") != "json_schema" or not isinstance(wanted.get("schema"), dict)
    ):
        return "output_config.format.schema: Field required"
    return None


def _problem_of_messages(messages: Any) -> str | None:
    if not isinstance(messages, list) or not messages:
        return "messages: at least one message is required"
    for i, message in enumerate(messages):
        role, content = message.get("role"), message.get("content")
        if role not in ("user", "assistant", "system"):
            return f"messages.{i}.role: Input should be 'user' or 'assistant'"
        if not isinstance(content, str | list):
            return f"messages.{i}.content: Field required"
        if content in ("", []) and not (role == "assistant" and i == len(messages) - 1):
            return (
                f"messages.{i}: all messages must have non-empty content except for the optional final "
                "assistant message"
            )
        if any(block.get("type") == "text" and not block.get("text") for block in _blocks(message)):
            return "messages: text content blocks must be non-empty"
    last = messages[-1]
    said = last["content"] if isinstance(last["content"], str) else text_of(last["content"][-1:])
    if last["role"] == "assistant" and said != said.rstrip():
        return "messages: final assistant content cannot end with trailing whitespace"
    return _problem_of_pairs(messages)


def _problem_of_pairs(messages: Sequence[Mapping[str, Any]]) -> str | None:
    """Each `tool_use` is answered in the next message, and nothing else is answered."""
    asked: list[str] = []
    for i, message in enumerate(messages):
        answered = [block["tool_use_id"] for block in _blocks(message) if block.get("type") == "tool_result"]
        for j, each in enumerate(answered):
            if each not in asked:
                return (
                    f"messages.{i}.content.{j}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{each}. Each `tool_result` block must have a corresponding `tool_use` block in the "
                    "previous message."
                )
        if missing := [each for each in asked if each not in answered]:
            return _unanswered(i - 1, missing)
        asked = [block["id"] for block in _blocks(message) if block.get("type") == "tool_use"]
    return _unanswered(len(messages) - 1, asked) if asked else None


def _problem_of_thought(body: Mapping[str, Any]) -> str | None:
    """With thinking on, an answer that tools are at work for begins with a thought."""
    if (body.get("thinking") or {}).get("type") != "enabled":
        return None
    messages = body["messages"]
    first = len(messages)
    while first >= 2 and any(block.get("type") == "tool_result" for block in _blocks(messages[first - 1])):
        first -= 2
    if first == len(messages):
        return None
    kind = (_blocks(messages[first]) or [{"type": "text"}])[0].get("type")
    if kind in ("thinking", "redacted_thinking"):
        return None
    return (
        f"messages.{first}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. "
        "When `thinking` is enabled, a final `assistant` message must start with a thinking block"
    )


def _unanswered(message: int, ids: Sequence[str]) -> str:
    return (
        f"messages.{message}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(ids)}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
        "message."
    )


def _problem_of_tools(tools: Any) -> str | None:
    for i, tool in enumerate(tools):
        if tool.get("type", "custom") == "custom":
            if "input_schema" not in tool:
                return f"tools.{i}.custom.input_schema: Field required"
            if tool["input_schema"].get("type") != "object":
                return f"tools.{i}.custom.input_schema.type: Field required"
    return None


def _problem_of_choice(body: Mapping[str, Any]) -> str | None:
    choice = choice_of(body)
    if choice not in ("auto", "any", "tool", "none"):
        return f"tool_choice: Input tag '{choice}' found using 'type' does not match any of the expected tags"
    tools = [tool.get("name") for tool in body.get("tools") or []]
    if choice in ("any", "tool") and not tools:
        return "tool_choice: tool_choice may only be specified while providing tools."
    if choice == "tool" and body["tool_choice"].get("name") not in tools:
        return f"Tool '{body['tool_choice'].get('name')}' not found in provided tools"
    if choice in ("any", "tool") and (body.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        return "Thinking may not be enabled when tool_choice forces tool use."
    return None


def choice_of(body: Mapping[str, Any]) -> str:
    """What `tool_choice` says, `auto` when it is not there."""
    return str((body.get("tool_choice") or {}).get("type", "auto"))


def _blocks(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message["content"]
    return content if isinstance(content, list) else []
