"""The body of POST /chat/completions as a request of ours. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pointsman.plugin import ChatRequest, InvalidRequest, ReasoningEffort, Understood, chat_request
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.bodies import (
    blamed,
    count_member,
    flag_member,
    invalid,
    object_member,
    object_of,
    text_member,
)
from pointsman_wires.openai_chat.details import as_made, for_upstream, has_details
from pointsman_wires.openai_chat.foreign import with_stand_ins
from pointsman_wires.openai_chat.writing import ChatWriter

WIRE = "openai.chat"

_SAME = frozenset(
    (
        "temperature", "top_p", "top_k", "min_p", "repeat_penalty", "seed", "stop", "presence_penalty",
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "parallel_tool_calls", "user",
        "metadata",
    )
)  # fmt: skip
"""Members that a request of ours has under the same name."""
_READ = frozenset(
    (
        "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens",
        "repetition_penalty", "reasoning_effort", "tools", "tool_choice", "response_format",
    )
)  # fmt: skip
_OURS_ALONE = frozenset(
    ("n", "modalities", "audio", "web_search_options", "moderation", "functions", "function_call")
)
"""Members that make the answer another one, and that no other wire can say."""
_SAYS_NOTHING: Mapping[str, Sequence[Any]] = {
    "n": (1,),
    "modalities": (["text"], []),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "store": (False,),
    "service_tier": ("auto", "default"),
}
"""Values that are what happens anyway."""
_TOOL = frozenset(("type", "function"))
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))
_FLAT_TOOL = _TOOL | _FUNCTION
"""Some write the members of the function beside its type, as the Responses API has them."""
_CHOICES = ("none", "auto", "required")
_FORMATS = ("text", "json_object", "json_schema")
_EFFORTS: Sequence[str] = get_args(ReasoningEffort)


def read(body: bytes, *, request_id: str, wall: float) -> Understood:
    """What a body asks for, and how to write its answer. Raises InvalidRequest."""
    return read_members(object_of(body), request_id=request_id, wall=wall)


def read_members(given: Mapping[str, Any], *, request_id: str, wall: float) -> Understood:
    """As `read`, of a body that was decoded before."""
    needs: list[str] = []
    ignored: list[str] = []
    stream, detailed = flag_member(given, "stream"), has_details(given.get("messages"))
    try:
        request = _request(given, needs, ignored, detailed=detailed)
    except InvalidRequest as error:
        raise blamed(error) from error
    writer = ChatWriter(
        id=f"chatcmpl-{hex_of(request_id, wall)}",
        created=int(wall),
        model=request.model,
        include_usage=stream and object_member(given, "stream_options").get("include_usage") is True,
        logprobs=bool(request.logprobs),
    )
    return Understood(
        request,
        writer,
        stream,
        WIRE,
        needs,
        ignored,
        for_upstream if detailed else None,
        *("n", count_member(given, "n") or 1) if needs and "n" in needs else (),
    )


def _request(
    given: Mapping[str, Any], needs: list[str], ignored: list[str], *, detailed: bool
) -> ChatRequest:
    model = text_member(given, "model")
    if not given.get("messages"):
        raise invalid("messages is missing or empty; give at least one", "messages")
    count_member(given, "n")  # what says it in another way would be held as one answer
    options: dict[str, Any] = {}
    for name, value in given.items():
        if name in _SAME:
            options[name] = value
        elif name not in _READ and value is not None and value not in _SAYS_NOTHING.get(name, ()):
            (needs if name in _OURS_ALONE else ignored).append(name)
    _limits(given, options)
    if (effort := given.get("reasoning_effort")) is not None:
        if effort in _EFFORTS or not isinstance(effort, str):
            options["reasoning_effort"] = effort
        else:
            needs.append("reasoning_effort")
    if (wanted := given.get("response_format")) is not None:
        _response_format(wanted, options, needs)
    if given.get("tools") or given.get("tool_choice") is not None:
        _tools(given, options, needs, ignored)
    messages = as_made(given["messages"]) if detailed else given["messages"]
    try:
        return chat_request(model, messages, options)
    except InvalidRequest:
        stand_ins = with_stand_ins(messages, needs)
        if stand_ins is None:
            raise
    return chat_request(model, stand_ins, options)


def _limits(given: Mapping[str, Any], options: dict[str, Any]) -> None:
    for name in ("max_completion_tokens", "max_tokens"):
        if (limit := count_member(given, name)) is not None:
            options.setdefault("max_tokens", limit)
    if given.get("repetition_penalty") is not None:
        options.setdefault("repeat_penalty", given["repetition_penalty"])


def _response_format(wanted: Any, options: dict[str, Any], needs: list[str]) -> None:
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    if not isinstance(kind, str):
        raise invalid("response_format is not an object with a type", "response_format")
    if kind not in _FORMATS:
        needs.append("response_format")
    elif kind != "text":
        options["response_format"] = wanted


def _tools(given: Mapping[str, Any], options: dict[str, Any], needs: list[str], ignored: list[str]) -> None:
    """Functions are tools of ours; those of another kind are left out, where nothing depends on them."""
    tools = given.get("tools") or []
    if not isinstance(tools, list):
        raise invalid("tools is not a list", "tools")
    functions = []
    for n, tool in enumerate(tools):
        if isinstance(tool, dict) and tool.get("type", "function") != "function":
            ignored.append(f"tools[{n}] of type {str(tool['type'])[:40]}")
        else:
            functions.append(tool)
            ignored += _others(tool, n)
    choice, left_out = given.get("tool_choice"), len(functions) < len(tools)
    if isinstance(choice, dict) and choice.get("type") == "allowed_tools":
        functions, choice = _allowed(choice, functions)
    options["tools"] = functions
    if isinstance(choice, str) and choice not in _CHOICES:
        raise invalid(f"tool_choice is no known word; expected one of {', '.join(_CHOICES)}", "tool_choice")
    named_other = isinstance(choice, dict) and choice.get("type", "function") != "function"
    if named_other or (left_out and choice == "required"):  # perhaps one of those that are left out
        needs.append("tool_choice")
    elif choice is not None:
        options["tool_choice"] = choice


def _others(tool: Any, n: int) -> list[str]:
    """The members of a tool, and of its function, that a tool of ours does not have."""
    if not isinstance(tool, dict):
        return []  # refused where the request is made
    function = tool.get("function")
    ours = _TOOL if function is not None else _FLAT_TOOL
    if tool.keys() <= ours and (not isinstance(function, dict) or function.keys() <= _FUNCTION):
        return []
    found = [f"tools[{n}].{name}" for name in tool if name not in ours and tool[name] is not None]
    if isinstance(function, dict):
        found += [
            f"tools[{n}].function.{name}"
            for name in function
            if name not in _FUNCTION and function[name] is not None
        ]
    return found


def _allowed(choice: Mapping[str, Any], functions: list[Any]) -> tuple[list[Any], Any]:
    """The functions that may be called at all, and whether one must be."""
    allowed = choice.get("allowed_tools")
    tools = allowed.get("tools") if isinstance(allowed, dict) else None
    if not isinstance(allowed, dict) or not isinstance(tools, list):
        raise invalid("tool_choice.allowed_tools is not an object with tools", "tool_choice.allowed_tools")
    names = [_name(each) for each in tools]
    return [each for each in functions if _name(each) in names], allowed.get("mode") or "auto"


def _name(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    return function.get("name") if isinstance(function, dict) else None
