"""Our requests as Messages bodies: pure translation, which refuses what it cannot say.

What Claude has no word for raises Unsupported, so that the router can try a deployment that has; nothing
that could change the answer is dropped without a word. The README lists what is translated with a loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal, get_args

from msgspec import Struct, field
from msgspec.structs import replace

from pointsman.plugin import (
    ChatRequest,
    File,
    InvalidRequest,
    JsonObject,
    Message,
    Text,
    TextMessages,
    Tool,
)
from pointsman_claude.blocks import (
    Block,
    blocks,
    carrying,
    is_plain_text,
    is_signed,
    tool_result,
    tool_use,
    unsupported,
)

ApiVersion = Literal["2023-06-01", "2026-10-21"]
LateSystem = Literal["hoist", "native", "refuse"]

API_VERSIONS: tuple[ApiVersion, ...] = get_args(ApiVersion)

PLACEHOLDER = "."
"""The user turn of a conversation that has none but a system prompt: text must not be blank."""

_SAMPLING = ("temperature", "top_p", "top_k")
_NOT_COUNTED = {
    *_SAMPLING,
    *("max_tokens", "stop_sequences", "metadata"),
    *("service_tier", "container", "inference_geo", "diagnostics"),
}
_OURS = ("model", "stream")
_EFFORTS = {"minimal": "low"}

# What Messages has no field for, each with the values that ask for nothing.
_UNKNOWN_OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "min_p": (0,),
    "seed": (),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repeat_penalty": (1,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
}
_unknown_options_of = attrgetter(*_UNKNOWN_OPTIONS)
_NONE_OF_THEM = (None,) * len(_UNKNOWN_OPTIONS)


class Wire(Struct, frozen=True):
    """How one deployment wants to be spoken to.

    Attributes:
        api_version: from `2026-10-21` on there are no sampling parameters.
        default_max_tokens: for requests that do not say; the upstream insists on a number.
        late_system: what becomes of a system message behind the first turn: moved up to the system prompt,
            sent where it stands (newer models only), or refused.
    """

    api_version: ApiVersion = "2023-06-01"
    default_max_tokens: int = 4096
    late_system: LateSystem = "hoist"


def messages_body(request: ChatRequest, *, model: str, wire: Wire, stream: bool) -> dict[str, Any]:
    """The body of `POST /v1/messages`.

    Raises: Unsupported for what Claude or the wire's API version cannot do; InvalidRequest for what no
        upstream could.
    """
    _refuse_unknown_options(request)
    body = {
        **_prompt(request, model=model, wire=wire),
        "max_tokens": wire.default_max_tokens if request.max_tokens is None else request.max_tokens,
        **_sampling(request),
        **_stop(request.stop),
        **_metadata(request),
    }
    body = _merged(body, request.extra)
    _check(body, wire)
    if stream:
        body["stream"] = True
    return body


def count_body(request: ChatRequest, *, model: str, wire: Wire) -> dict[str, Any]:
    """The body of `POST /v1/messages/count_tokens`: only what makes up the prompt."""
    body = _merged(_prompt(request, model=model, wire=wire), request.extra)
    return {name: value for name, value in body.items() if name not in _NOT_COUNTED}


def _prompt(request: ChatRequest, *, model: str, wire: Wire) -> dict[str, Any]:
    return {
        "model": model,
        **_conversation(request.messages, wire),
        **_tools(request),
        **_thinking(request),
        **_output_config(request),
    }


def _merged(body: dict[str, Any], extra: JsonObject) -> dict[str, Any]:
    """`body` with `extra` over it; of `output_config` each key for itself, as we fill it from two options."""
    if not extra:
        return body
    for name in _OURS:
        if name in extra:
            raise InvalidRequest(f"extra cannot set {name!r}: the router decides it")
    merged = {**body, **extra}
    if (count := merged.pop("n", None)) not in (None, 1):
        unsupported(f"n={count}, several answers to one request", "extra")
    ours, theirs = body.get("output_config"), extra.get("output_config")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        merged["output_config"] = {**ours, **theirs}
    return merged


def _check(body: Mapping[str, Any], wire: Wire) -> None:
    if wire.api_version >= "2026-10-21":
        given = [name for name in _SAMPLING if name in body]
        if given:
            unsupported(
                f"{', '.join(given)}: api_version {wire.api_version} takes no sampling parameters", *given
            )
    forced = body.get("tool_choice", {})
    thinking = body.get("thinking", {})
    if (
        isinstance(forced, Mapping)
        and isinstance(thinking, Mapping)
        and forced.get("type") in ("any", "tool")
        and thinking.get("type") == "enabled"
    ):
        # Thinking with a budget excludes it; adaptive thinking does not (measured).
        unsupported(
            f"tool_choice of type {forced['type']!r} together with a budget for thinking", "tool_choice"
        )


# ── the conversation ─────────────────────────────────────────────────────────────────────────────────


class _Turn(Struct):
    """A turn as Messages has them: neighbours of one role are one turn, tool results stand first."""

    role: str
    results: list[Block] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)

    def content(self) -> str | list[Any]:
        content = self.results + self.blocks
        return str(content[0]["text"]) if len(content) == 1 and is_plain_text(content[0]) else content


def _conversation(messages: Sequence[Message], wire: Wire) -> dict[str, Any]:
    """The keys `system` (when there is one) and `messages`."""
    if isinstance(messages, TextMessages) and (plain := _in_turns(messages)) is not None:
        return plain
    system: list[list[Block]] = []
    turns: list[_Turn] = []
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        match message.role:
            case "system":
                said = _system(message, where)
                if not said:
                    continue
                if not turns or wire.late_system == "hoist":
                    system.append(said)
                elif wire.late_system == "native":
                    _append(turns, "system", blocks=said)
                else:
                    unsupported(
                        f"{where} is a system message behind the first turn (late_system: refuse)", "messages"
                    )
            case "user":
                _append(turns, "user", blocks=_marked(blocks(message, where), message, where))
            case "tool":
                _append(turns, "user", results=[tool_result(message, where)])
            case "assistant":
                _append(turns, "assistant", blocks=_assistant(message, where, wire))
    if not turns:
        if not system:
            raise InvalidRequest("the messages hold nothing to send: all of them are empty")
        turns.append(_Turn("user", blocks=[{"type": "text", "text": PLACEHOLDER}]))
    _trim_prefill(turns[-1])
    conversation: dict[str, Any] = {"system": _joined(system)} if system else {}
    conversation["messages"] = [{"role": turn.role, "content": turn.content()} for turn in turns]
    return conversation


def _in_turns(given: TextMessages) -> dict[str, Any] | None:
    """The same of what needs no change: user and assistant in turns, none blank, the user first and last.

    None for everything else, but that the first message may be a system prompt.
    """
    systems = 1 if given.roles[0] == "system" else 0
    roles = given.roles[systems:]
    if roles != ("user", *("assistant", "user") * (len(roles) // 2)) or not all(map(str.strip, given.texts)):
        return None
    messages = given.mappings()
    return {"system": given.texts[0], "messages": messages[1:]} if systems else {"messages": messages}


def _append(
    turns: list[_Turn], role: str, *, results: Sequence[Block] = (), blocks: Sequence[Any] = ()
) -> None:
    if not results and not blocks:
        return
    if not turns or turns[-1].role != role:
        turns.append(_Turn(role))
    turns[-1].results += results
    turns[-1].blocks += blocks


def _trim_prefill(last: _Turn) -> None:
    """An answer begun by the caller must not end in white space: the upstream refuses it."""
    if last.role == "assistant" and last.blocks[-1].get("type") == "text":
        block = last.blocks[-1]
        last.blocks[-1] = {**block, "text": block["text"].rstrip()}


def _system(message: Message, where: str) -> list[Block]:
    """The text of a system message as blocks: one, or several where these say more than their text."""
    for part in message.parts:
        if not isinstance(part, Text):
            unsupported(f"{where} is a system message with something other than text in it", "messages")
    said = _marked(blocks(message, where), message, where)
    if said and all(map(is_plain_text, said)):
        return [{"type": "text", "text": message.text}]
    return said


def _joined(system: list[list[Block]]) -> str | list[Block]:
    """The system prompt: a text, or blocks where these say more than their text."""
    said = [block for each in system for block in each]
    return "\n\n".join(block["text"] for block in said) if all(map(is_plain_text, said)) else said


def _marked(said: list[Block], message: Message, where: str) -> list[Block]:
    """The blocks of a message, the last of them with what `extra` of the message says of the whole."""
    if message.extra and said:
        said[-1] = carrying(said[-1]["type"], said[-1], message.extra, where)
    return said


def _assistant(message: Message, where: str, wire: Wire) -> list[Any]:
    """Signed reasoning first, unchanged; then what was said; then the calls.

    An answer of Claude's that these could not tell has brought its blocks along: they go back as they came.
    """
    if wire.api_version >= "2026-10-21" and any(isinstance(part, File) for part in message.parts):
        unsupported(
            f"{where}: a document in an assistant message under api_version {wire.api_version}", "messages"
        )
    extra = message.extra
    if "content" in extra:
        extra = {name: value for name, value in extra.items() if name != "content"}
        said = _as_it_came(message, where)
    else:
        said = [
            *(block for block in message.reasoning_blocks if is_signed(block)),
            *blocks(message, where),
            *(tool_use(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(message.tool_calls)),
        ]
    return _marked(said, replace(message, extra=extra), where) if extra else said


def _as_it_came(message: Message, where: str) -> list[Any]:
    """The blocks that an answer was made of. Raises InvalidRequest when the message was changed since."""
    content = message.extra["content"]
    try:
        said = "".join(block["text"] for block in content if block["type"] == "text")
        calls = [block["id"] for block in content if block["type"] == "tool_use"]
    except (KeyError, TypeError) as error:
        raise InvalidRequest(f"{where}.extra.content is not a list of Claude's blocks") from error
    if said != message.text or calls != [call.id for call in message.tool_calls]:
        raise InvalidRequest(
            f"{where}.extra.content says something else than the message; leave it out of one that you change"
        )
    return [block for block in content if block["type"] != "text" or block["text"].strip()]


# ── options ──────────────────────────────────────────────────────────────────────────────────────────


def _refuse_unknown_options(request: ChatRequest) -> None:
    if _unknown_options_of(request) == _NONE_OF_THEM:
        return
    given = [
        name
        for name, nothing in _UNKNOWN_OPTIONS.items()
        if (value := getattr(request, name)) is not None and value not in nothing
    ]
    if given:
        unsupported(f"{', '.join(given)} (no such option in the Messages API)", *given)


def _tools(request: ChatRequest) -> dict[str, Any]:
    """The keys `tools` and `tool_choice`, where they say something."""
    tools: dict[str, Any] = {"tools": [_tool(tool) for tool in request.tools]} if request.tools else {}
    offered = bool(request.tools or request.extra.get("tools"))
    choice: dict[str, Any] | None = None
    if request.tool_choice is not None:
        match request.tool_choice.mode:
            case "required":
                choice = {"type": "any"}
            case "tool" if request.tool_choice.name:
                choice = {"type": "tool", "name": request.tool_choice.name}
            case "tool":
                raise InvalidRequest("tool_choice 'tool' names no tool")
            case mode:
                choice = {"type": mode}
        if not offered:
            if choice["type"] in ("any", "tool"):
                raise InvalidRequest("tool_choice demands a tool, but the request has none")
            return tools
    if request.parallel_tool_calls is False and offered:
        choice = choice or {"type": "auto"}
        if choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
    if choice is not None:
        tools["tool_choice"] = choice
    return tools


def _tool(tool: Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name}
    if tool.description:
        body["description"] = tool.description
    body["input_schema"] = {"type": "object", "properties": {}, **tool.parameters}
    if tool.strict:
        body["strict"] = True
    return carrying("tool", body, tool.extra, f"tool {tool.name!r}")


def _thinking(request: ChatRequest) -> dict[str, Any]:
    return {"thinking": {"type": "disabled"}} if request.reasoning_effort == "none" else {}


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not None and effort != "none":
        config["effort"] = _EFFORTS.get(effort, effort)
    wanted = request.response_format
    if wanted is not None and wanted.kind == "json":
        unsupported("a response format of JSON without a schema; give a schema", "response_format")
    if wanted is not None and wanted.kind == "schema":
        if wanted.schema is None:
            raise InvalidRequest("response_format 'schema' has no schema")
        # The format itself has no place for a description; the schema does, and the model reads it there.
        about = {"description": wanted.description} if wanted.description else {}
        config["format"] = {"type": "json_schema", "schema": {**about, **wanted.schema}}
    return {"output_config": config} if config else {}


def _sampling(request: ChatRequest) -> dict[str, Any]:
    if request.temperature is not None and not 0 <= request.temperature <= 1:
        # Cutting it to 1 would be another distribution than the caller asked for, without a word.
        unsupported(f"temperature {request.temperature}; its range is 0 to 1", "temperature")
    return {name: value for name in _SAMPLING if (value := getattr(request, name)) is not None}


def _stop(stop: Sequence[str]) -> dict[str, Any]:
    if not stop:
        return {}
    if any(not each.strip() for each in stop):
        unsupported("a stop sequence of white space only", "stop")
    return {"stop_sequences": list(stop)}


def _metadata(request: ChatRequest) -> dict[str, Any]:
    user = request.user or (request.metadata or {}).get("user_id")
    return {"metadata": {"user_id": user}} if user else {}
