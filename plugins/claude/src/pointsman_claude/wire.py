"""Our requests as Messages bodies: pure translation, which refuses what it cannot say.

What Claude has no word for raises Unsupported, so that the router can try a deployment that has; nothing
that could change the answer is dropped without a word. The README lists what is translated with a loss.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal, NoReturn, get_args

from pointsman.errors import InvalidRequest, Unsupported
from pointsman.frozen import frozen
from pointsman.turns import Turns
from pointsman.types import (
    Audio,
    ChatRequest,
    File,
    Image,
    JsonObject,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
)

ApiVersion = Literal["2023-06-01", "2026-10-21"]
LateSystem = Literal["hoist", "native", "refuse"]

API_VERSIONS: tuple[ApiVersion, ...] = get_args(ApiVersion)
LATE_SYSTEM: tuple[LateSystem, ...] = get_args(LateSystem)

PLACEHOLDER = "."
"""The user turn put before a conversation that does not begin with one: text must not be blank."""

_SAMPLING = ("temperature", "top_p", "top_k")
_NOT_COUNTED = {
    *_SAMPLING,
    *("max_tokens", "stop_sequences", "metadata"),
    *("service_tier", "container", "inference_geo", "diagnostics"),
}
_OURS = ("model", "stream")
_EFFORTS = {"minimal": "low"}
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")

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


@frozen
class Dialect:
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


def messages_body(request: ChatRequest, *, model: str, dialect: Dialect, stream: bool) -> dict[str, Any]:
    """The body of `POST /v1/messages`.

    Raises: Unsupported for what Claude or the dialect's API version cannot do; InvalidRequest for what no
        upstream could.
    """
    _refuse_unknown_options(request)
    body = {
        **_prompt(request, model=model, dialect=dialect),
        "max_tokens": dialect.default_max_tokens if request.max_tokens is None else request.max_tokens,
        **_sampling(request),
        **_stop(request.stop),
        **_metadata(request),
    }
    body = _merged(body, request.extra)
    _check(body, dialect)
    if stream:
        body["stream"] = True
    return body


def count_body(request: ChatRequest, *, model: str, dialect: Dialect) -> dict[str, Any]:
    """The body of `POST /v1/messages/count_tokens`: only what makes up the prompt."""
    body = _merged(_prompt(request, model=model, dialect=dialect), request.extra)
    return {name: value for name, value in body.items() if name not in _NOT_COUNTED}


def _prompt(request: ChatRequest, *, model: str, dialect: Dialect) -> dict[str, Any]:
    return {
        "model": model,
        **_conversation(request.messages, dialect),
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
    ours, theirs = body.get("output_config"), extra.get("output_config")
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        merged["output_config"] = {**ours, **theirs}
    return merged


def _check(body: Mapping[str, Any], dialect: Dialect) -> None:
    if dialect.api_version >= "2026-10-21":
        given = [name for name in _SAMPLING if name in body]
        if given:
            _unsupported(
                f"{', '.join(given)}: api_version {dialect.api_version} takes no sampling parameters"
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
        _unsupported(f"tool_choice of type {forced['type']!r} together with a budget for thinking")


def _unsupported(what: str) -> NoReturn:
    raise Unsupported(f"Claude cannot do this: {what}")


# ── the conversation ─────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Turn:
    """A turn as Messages has them: neighbours of one role are one turn, tool results stand first."""

    role: str
    results: list[dict[str, Any]] = field(default_factory=list)
    blocks: list[Any] = field(default_factory=list)

    def content(self) -> str | list[Any]:
        blocks = self.results + self.blocks
        if len(blocks) == 1 and blocks[0].get("type") == "text":
            return str(blocks[0]["text"])
        return blocks


def _conversation(messages: Sequence[Message], dialect: Dialect) -> dict[str, Any]:
    """The keys `system` (when there is one) and `messages`."""
    if type(messages) is Turns and (plain := _in_turns(messages)) is not None:
        return plain
    system: list[str] = []
    turns: list[_Turn] = []
    for n, message in enumerate(messages):
        where = f"messages[{n}]"
        match message.role:
            case "system":
                text = _system_text(message, where)
                if not text.strip():
                    continue
                if not turns or dialect.late_system == "hoist":
                    system.append(text)
                elif dialect.late_system == "native":
                    _append(turns, "system", blocks=[{"type": "text", "text": text}])
                else:
                    _unsupported(f"{where} is a system message behind the first turn (late_system: refuse)")
            case "user":
                _append(turns, "user", blocks=_blocks(message, where))
            case "tool":
                _append(turns, "user", results=[_tool_result(message, where)])
            case "assistant":
                _append(turns, "assistant", blocks=_assistant_blocks(message, where, dialect))
    if not turns and not system:
        raise InvalidRequest("the messages hold nothing to send: all of them are empty")
    if not turns or turns[0].role != "user":
        turns.insert(0, _Turn("user", blocks=[{"type": "text", "text": PLACEHOLDER}]))
    _trim_prefill(turns[-1])
    conversation: dict[str, Any] = {"system": "\n\n".join(system)} if system else {}
    conversation["messages"] = [{"role": turn.role, "content": turn.content()} for turn in turns]
    return conversation


def _in_turns(given: Turns) -> dict[str, Any] | None:
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
    turns: list[_Turn], role: str, *, results: Sequence[dict[str, Any]] = (), blocks: Sequence[Any] = ()
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
        last.blocks[-1] = {"type": "text", "text": last.blocks[-1]["text"].rstrip()}


def _system_text(message: Message, where: str) -> str:
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if not isinstance(part, Text):
            _unsupported(f"{where} is a system message with something other than text in it")
    return message.text


def _assistant_blocks(message: Message, where: str, dialect: Dialect) -> list[Any]:
    """Signed reasoning first, unchanged; then what was said; then the calls."""
    if dialect.api_version >= "2026-10-21" and any(isinstance(part, File) for part in message.parts):
        _unsupported(f"{where}: a document in an assistant message under api_version {dialect.api_version}")
    return [
        *(block for block in message.reasoning_blocks if _is_signed(block)),
        *_blocks(message, where),
        *(_tool_use(call, f"{where}.tool_calls[{n}]") for n, call in enumerate(message.tool_calls)),
    ]


def _is_signed(block: JsonObject) -> bool:
    """Whether a reasoning block is one of Claude's; those of others, and unsigned ones, cannot be sent."""
    match block.get("type"):
        case "thinking":
            return bool(block.get("signature"))
        case "redacted_thinking":
            return bool(block.get("data"))
        case _:
            return False


def _tool_use(call: ToolCall, where: str) -> dict[str, Any]:
    try:
        arguments = _arguments(call.arguments)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"{where}: Claude takes a JSON object as arguments, and those of {call.name!r} are none: {error}"
        ) from error
    return {"type": "tool_use", "id": _id(call.id, where), "name": call.name, "input": arguments}


def _arguments(text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    value = json.loads(text, parse_constant=_finite, parse_float=_finite)
    if not isinstance(value, dict):
        raise ValueError(f"it is of type {type(value).__name__}")
    return value


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"JSON has no number {text[:20]}")
    return number


def _tool_result(message: Message, where: str) -> dict[str, Any]:
    result: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": _id(message.tool_call_id or "", where),
    }
    blocks = _blocks(message, where)
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        result["content"] = blocks[0]["text"]
    elif blocks:
        result["content"] = blocks
    if message.is_error:
        result["is_error"] = True
    return result


def _id(given: str, where: str) -> str:
    """`given` when Claude takes it, else a name made from it; the same for a call and for its result."""
    if not given:
        raise InvalidRequest(f"{where} has no tool call id; Claude pairs calls and results by it")
    if _PLAIN_ID.fullmatch(given):
        return given
    digest = hashlib.blake2b(given.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', given)}_{digest}"


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────


def _blocks(message: Message, where: str) -> list[dict[str, Any]]:
    """The content blocks of `message`; blank text has none, as the upstream refuses it."""
    content = message.content
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return [
        _block(part, f"{where}.content[{n}]")
        for n, part in enumerate(content)
        if not (isinstance(part, Text) and not part.text.strip())
    ]


def _block(part: Part, where: str) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image", "source": _image_source(part, where)}
        case File():
            return _file(part, where)
        case Audio():
            _unsupported(f"{where} is audio")


def _image_source(image: Image, where: str) -> dict[str, Any]:
    if image.data is not None:
        _check_image_type(image.media_type, where)
        return {"type": "base64", "media_type": image.media_type, "data": image.base64()}
    if image.url is None:
        raise InvalidRequest(f"{where} is an image with neither data nor url")
    head, comma, data = image.url.partition(",")
    if not head.startswith("data:"):
        return {"type": "url", "url": image.url}
    if not comma or not head.endswith(";base64"):
        raise InvalidRequest(f"{where} is an image with a data: URL that is not in base64")
    media_type = head[5:-7].partition(";")[0]
    _check_image_type(media_type, where)
    return {"type": "base64", "media_type": media_type, "data": data}


def _check_image_type(media_type: str, where: str) -> None:
    if media_type not in _IMAGES:
        _unsupported(f"{where} is an image of type {media_type!r}; it takes {', '.join(_IMAGES)}")


def _file(file: File, where: str) -> dict[str, Any]:
    """A picture as an image block, everything else as a document."""
    if file.media_type in _IMAGES:
        if file.id is not None:
            return {"type": "image", "source": {"type": "file", "file_id": file.id}}
        image = Image(data=file.data, media_type=file.media_type, url=file.url)
        return {"type": "image", "source": _image_source(image, where)}
    document: dict[str, Any] = {"type": "document", "source": _document_source(file, where)}
    if file.filename:
        document["title"] = file.filename
    return document


def _document_source(file: File, where: str) -> dict[str, Any]:
    if file.id is not None:
        return {"type": "file", "file_id": file.id}
    if file.data is None:
        if file.url is None:
            raise InvalidRequest(f"{where} is a file with neither data nor url nor id")
        return {"type": "url", "url": file.url}
    match file.media_type.partition(";")[0].strip():
        case "application/pdf":
            data = Image(data=file.data).base64()
            return {"type": "base64", "media_type": "application/pdf", "data": data}
        case "text/plain":
            try:
                text = file.data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"{where} is a text file that is not in UTF-8") from error
            return {"type": "text", "media_type": "text/plain", "data": text}
        case _:
            _unsupported(
                f"{where} is a file of type {file.media_type!r}; it takes PDF, plain text and images"
            )


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
        _unsupported(f"{', '.join(given)} (no such option in the Messages API)")


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
    return body


def _thinking(request: ChatRequest) -> dict[str, Any]:
    return {"thinking": {"type": "disabled"}} if request.reasoning_effort == "none" else {}


def _output_config(request: ChatRequest) -> dict[str, Any]:
    config: dict[str, Any] = {}
    effort = request.reasoning_effort
    if effort is not None and effort != "none":
        config["effort"] = _EFFORTS.get(effort, effort)
    wanted = request.response_format
    if wanted is not None and wanted.kind == "json":
        _unsupported("a response format of JSON without a schema; give a schema")
    if wanted is not None and wanted.kind == "schema":
        if wanted.schema is None:
            raise InvalidRequest("response_format 'schema' has no schema")
        config["format"] = {"type": "json_schema", "schema": wanted.schema}
    return {"output_config": config} if config else {}


def _sampling(request: ChatRequest) -> dict[str, Any]:
    if request.temperature is not None and not 0 <= request.temperature <= 1:
        # Cutting it to 1 would be another distribution than the caller asked for, without a word.
        _unsupported(f"temperature {request.temperature}; its range is 0 to 1")
    return {name: value for name in _SAMPLING if (value := getattr(request, name)) is not None}


def _stop(stop: Sequence[str]) -> dict[str, Any]:
    if not stop:
        return {}
    if any(not each.strip() for each in stop):
        _unsupported("a stop sequence of white space only")
    return {"stop_sequences": list(stop)}


def _metadata(request: ChatRequest) -> dict[str, Any]:
    user = request.user or (request.metadata or {}).get("user_id")
    return {"metadata": {"user_id": user}} if user else {}
