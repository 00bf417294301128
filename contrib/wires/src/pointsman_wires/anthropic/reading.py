"""The body of a Messages request, and of one that counts its tokens, as a request of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pointsman.plugin import (
    ChatRequest,
    JsonObject,
    ReasoningEffort,
    ResponseFormat,
    Tool,
    ToolChoice,
    Understood,
)
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.anthropic.opaque import for_upstream
from pointsman_wires.anthropic.turns import conversation
from pointsman_wires.anthropic.writing import MessageWriter
from pointsman_wires.members import (
    flag,
    items,
    json_object,
    mapping,
    mapping_or_empty,
    number,
    text,
    text_or_none,
    texts,
    whole_number,
    wrong,
)
from pointsman_wires.tool_names import LONGEST, short_name
from pointsman_wires.unsaid import Unsaid

WIRE = "anthropic"

_READ = frozenset(
    (
        "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "stream",
        "thinking", "output_config", "output_format", "temperature", "top_p", "top_k", "metadata",
    )
)  # fmt: skip
_NEEDED = ("container", "inference_geo", "mcp_servers")
"""What would run elsewhere, or with other tools, without a word."""
_TOOL = ("type", "name", "description", "input_schema", "strict")
_EFFORTS: tuple[ReasoningEffort, ...] = get_args(ReasoningEffort)
_LITTLE, _MUCH = 4096, 16384
"""Tokens of thinking up to which the effort is low, and above which it is high."""
_LABEL = 64
"""Characters of the longest `user` that other APIs take."""


def read(body: bytes, *, request_id: str, wall: float) -> Understood:
    """What `POST /v1/messages` asks for. Raises InvalidRequest that names the member."""
    given, unsaid = json_object(body), Unsaid()
    model = text(given, "model")
    limit = whole_number(given, "max_tokens", least=0)
    if limit is None:
        raise wrong("max_tokens", "Field required")
    if not limit:  # it only warms the cache of prompts
        unsaid.needs("max_tokens")
    request = ChatRequest(
        model,
        conversation(given, unsaid),
        max_tokens=limit or None,
        temperature=number(given, "temperature"),
        top_p=number(given, "top_p"),
        top_k=whole_number(given, "top_k"),
        stop=texts(given, "stop_sequences"),
        user=_user(given, unsaid),
        **_prompt_options(given, unsaid),
    )
    return _understood(given, request, unsaid, f"msg_{hex_of(request_id, wall)[:24]}")


def read_count(body: bytes, *, request_id: str, wall: float) -> Understood:
    """What `POST /v1/messages/count_tokens` asks for: only what makes up the prompt is looked at."""
    given, unsaid = json_object(body), Unsaid()
    request = ChatRequest(text(given, "model"), conversation(given, unsaid), **_prompt_options(given, unsaid))
    return _understood(given, request, unsaid, f"msg_{hex_of(request_id, wall)[:24]}")


def _understood(given: JsonObject, request: ChatRequest, unsaid: Unsaid, message_id: str) -> Understood:
    unsaid.needs(*(name for name in _NEEDED if given.get(name) is not None))
    unsaid.ignores_others(given, {*_READ, *_NEEDED})
    return Understood(
        request,
        MessageWriter(request.model, message_id=message_id, names=_long_names(given)),
        stream=flag(given, "stream") is True,
        wire=WIRE,
        needs_wire=tuple(unsaid.needed),
        ignored=tuple(unsaid.ignored),
        opaque=for_upstream if unsaid.opaque else None,
    )


def _prompt_options(given: JsonObject, unsaid: Unsaid) -> dict[str, Any]:
    """What counts as a part of the prompt besides the conversation."""
    tools = _tools(given, unsaid)
    choice = mapping_or_empty(given, "tool_choice")
    return {
        "tools": tools,
        "tool_choice": _choice(choice, tools, unsaid),
        "parallel_tool_calls": False if flag(choice, "disable_parallel_tool_use", "tool_choice") else None,
        "reasoning_effort": _effort(given, unsaid),
        "response_format": _format(given),
    }


def _tools(given: JsonObject, unsaid: Unsaid) -> tuple[Tool, ...]:
    """The caller's own tools. Those of the upstream's are left to it, and named."""
    tools = []
    for n, each in enumerate(items(given, "tools")):
        where = f"tools.{n}"
        tool = mapping(each, where)
        if (kind := tool.get("type") or "custom") != "custom":
            unsaid.ignores(f"tools.{kind}")
            continue
        unsaid.ignores_others(tool, _TOOL, "tools")
        tools.append(
            Tool(
                short_name(text(tool, "name", f"{where}.custom")),
                text_or_none(tool, "description", f"{where}.custom") or "",
                mapping(tool.get("input_schema"), f"{where}.custom.input_schema"),
                flag(tool, "strict", f"{where}.custom"),
            )
        )
    return tuple(tools)


def _long_names(given: JsonObject) -> Mapping[str, str]:
    """What the tools are called whose names were made short, by those."""
    names = (tool.get("name") for tool in items(given, "tools"))
    return {short_name(name): name for name in names if isinstance(name, str) and len(name) > LONGEST}


def _choice(choice: Mapping[str, Any], tools: tuple[Tool, ...], unsaid: Unsaid) -> ToolChoice | None:
    if not choice:
        return None
    match text(choice, "type", "tool_choice"):
        case "auto":
            return None  # it is what is meant where nothing is said, and an error elsewhere without tools
        case "none":
            return ToolChoice("none") if tools else None
        case "any":
            if not tools:
                unsaid.needs("tool_choice")
                return None
            return ToolChoice("required")
        case "tool":
            name = short_name(text(choice, "name", "tool_choice"))
            if all(tool.name != name for tool in tools):
                unsaid.needs("tool_choice")
                return None
            return ToolChoice("tool", name)
        case kind:
            raise wrong("tool_choice", f"{kind!r} is none of auto, any, tool and none")


def _effort(given: JsonObject, unsaid: Unsaid) -> ReasoningEffort | None:
    """How much is to be thought: as it is said, or by the tokens that it may take."""
    thinking = mapping_or_empty(given, "thinking")
    effort = text_or_none(mapping_or_empty(given, "output_config"), "effort", "output_config")
    kind = text(thinking, "type", "thinking") if thinking else ""
    if kind == "disabled":
        return "none"
    for each in _EFFORTS:
        if each == effort:
            return each
    if kind == "enabled":
        budget = whole_number(thinking, "budget_tokens", "thinking", least=1) or 0
        return "low" if budget <= _LITTLE else "medium" if budget <= _MUCH else "high"
    if effort or kind:
        unsaid.ignores("thinking")
    return None


def _format(given: JsonObject) -> ResponseFormat | None:
    place, wanted = "output_config.format", mapping_or_empty(given, "output_config").get("format")
    if wanted is None:
        place, wanted = "output_format", given.get("output_format")
    if wanted is None:
        return None
    wanted = mapping(wanted, place)
    if text(wanted, "type", place) != "json_schema":
        raise wrong(f"{place}.type", "Input should be 'json_schema'")
    return ResponseFormat("schema", mapping(wanted.get("schema"), f"{place}.schema"), strict=True)


def _user(given: JsonObject, unsaid: Unsaid) -> str | None:
    user = text_or_none(mapping_or_empty(given, "metadata"), "user_id", "metadata")
    if user is not None and len(user) > _LABEL:
        unsaid.ignores("metadata.user_id")
        return None
    return user or None
