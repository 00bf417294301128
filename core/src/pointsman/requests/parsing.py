"""What callers may hand in: strings, our own values, or OpenAI-style mappings, made into our values."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import attrgetter, is_not
from sys import float_info
from typing import Any, get_args

from msgspec.structs import replace

from pointsman._internal.suggest import nearest
from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import OPTION_NAMES, shown
from pointsman.text_messages import TextMessages
from pointsman.types import (
    NOTHING,
    Audio,
    ChatRequest,
    EmbedRequest,
    File,
    GenerateRequest,
    Image,
    JsonObject,
    Message,
    Part,
    ReasoningEffort,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from pointsman.wire import data_urls

Messages = str | Message | Iterable[Message | JsonObject]


def as_messages(given: Messages) -> Sequence[Message]:
    """`given` as messages: a string is one user turn; mappings are read OpenAI-style.

    Raises: InvalidRequest that names the message and the key.
    """
    if isinstance(given, str):
        return TextMessages(("user",), (given,))
    if isinstance(given, Message):
        return (_checked_message(given, "the message"),)
    if type(given) is TextMessages:
        return given
    if type(given) is not list and type(given) is not tuple:
        given = tuple(_each(given, "messages"))
    if not given:
        raise InvalidRequest("messages is empty; give at least one, for example a string")
    turns = _turns_of_mappings(given) if type(given[0]) is dict else _turns_of_messages(given)
    if turns is not None:
        return turns
    messages = []
    for n, each in enumerate(given):
        plain = _plain(each)
        messages.append(_message(each, f"messages[{n}]") if plain is None else plain)
    return tuple(messages)


def _turns_of_mappings(given: Sequence[Any]) -> TextMessages | None:
    """`given`, when each is a dict with a role and a text and nothing else; None otherwise.

    Nearly all conversations come so, and every call reads all of one.
    """
    try:
        texts = [each["content"] for each in given if type(each) is dict and len(each) == 2]
        roles = [_TURNS[each["role"]] for each in given]
        "".join(texts)  # fails for what is no text
    except (KeyError, TypeError):
        return None
    return TextMessages(tuple(roles), tuple(texts)) if len(texts) == len(roles) else None


def _turns_of_messages(given: Sequence[Any]) -> TextMessages | None:
    """`given`, when each is a plain Message; None otherwise."""
    if not all(map(_is_turn, given)):
        return None
    return TextMessages(
        tuple([each.role for each in given]), tuple([each.content for each in given]), tuple(given)
    )


def _is_turn(given: Any) -> bool:
    """Whether `given` is a Message that says its role and a text and nothing else."""
    return (
        type(given) is Message
        and type(given.content) is str
        and given.role in _TURN_ROLES
        and given.tool_call_id is given.name is given.reasoning is None
        and not given.tool_calls
        and not given.reasoning_blocks
        and (given.extra is NOTHING or not given.extra)
    )


def _plain(given: Any) -> Message | None:
    """What `_message` makes of a message that says its role and a text and nothing else; None of any other.

    So are most messages also of a conversation that has others, and this is a fifth of the work.
    """
    if type(given) is dict and len(given) == 2:
        role, content = given.get("role"), given.get("content")
        if type(role) is str and type(content) is str and role in _ROLES:
            return Message(_ROLES[role], content)
    return given if _is_turn(given) else None


def _message(given: Message | JsonObject, where: str) -> Message:
    return _checked_message(given if isinstance(given, Message) else message_from_dict(given, where), where)


_KNOWN_KEYS = frozenset(
    (
        "role", "content", "tool_calls", "tool_call_id", "name", "is_error", "function_call",
        "reasoning", "reasoning_content", "reasoning_details", "annotations",
    )
)  # fmt: skip
"""What is read, and `annotations`, which only answers have."""
_OWN_ROLES = get_args(Role)
_ROLES: dict[str, Role] = {
    "developer": "system",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_TURNS = {said: role for said, role in _ROLES.items() if role != "tool"}
_TURN_ROLES = tuple(role for role in _OWN_ROLES if role != "tool")


def message_from_dict(given: JsonObject, where: str = "message") -> Message:
    """An OpenAI-style mapping as a Message. Raises InvalidRequest that names `where` and the key.

    `reasoning_details` are its `reasoning_blocks`; members that are not known go into `extra`.
    """
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a Message or a mapping")
    said = given.get("role")
    role = _ROLES.get(said) if isinstance(said, str) else None
    if role is None:
        raise InvalidRequest(f"{where}.role is {shown(said)}; expected one of {', '.join(_ROLES)}")
    if given.get("function_call"):
        raise InvalidRequest(f"{where}.function_call is not understood; write it as tool_calls")
    extra = NOTHING if given.keys() <= _KNOWN_KEYS else _rest(given, _KNOWN_KEYS)
    content = given.get("content")
    if content is None:
        if extra and role != "assistant":
            raise InvalidRequest(f"{where} has unknown keys: {', '.join(sorted(extra))}, and no content")
        content = ""
    elif not isinstance(content, str):
        if not isinstance(content, Sequence):
            raise InvalidRequest(f"{where}.content is a {type(content).__name__}; expected text or parts")
        content = tuple(_part(each, f"{where}.content[{n}]") for n, each in enumerate(content))
    tool_calls = given.get("tool_calls") or ()
    if tool_calls:
        tool_calls = tuple(
            _tool_call(each, n, f"{where}.tool_calls[{n}]")
            for n, each in enumerate(_each(tool_calls, f"{where}.tool_calls"))
        )
    return Message(
        role,
        content,
        tool_calls=tool_calls,
        tool_call_id=given.get("tool_call_id"),
        name=given.get("name"),
        is_error=given.get("is_error") is True,
        reasoning=given.get("reasoning") or given.get("reasoning_content"),
        reasoning_blocks=_blocks(given.get("reasoning_details"), where),
        extra=extra,
    )


def _blocks(given: Any, where: str) -> tuple[JsonObject, ...]:
    blocks = tuple(_each(given, f"{where}.reasoning_details")) if given else ()
    for n, each in enumerate(blocks):
        _check(each, Mapping, f"{where}.reasoning_details[{n}]", "a mapping")
    return blocks


def _rest(given: JsonObject, known: Iterable[str], **inside: JsonObject) -> JsonObject:
    """The members of `given` that are not `known`, and those of `inside`; NOTHING when there are none.

    What is None says nothing.
    """
    rest = {str(name): value for name, value in given.items() if name not in known and value is not None}
    rest |= {name: value for name, value in inside.items() if value}
    return rest or NOTHING


def _checked_message(given: Message, where: str) -> Message:
    """`given`, when everything in it is of its kind: what is not would look like the upstream's failure.

    Raises: InvalidRequest that names the field.
    """
    if given.role not in _OWN_ROLES:
        raise InvalidRequest(f"{where}.role is {shown(given.role)}; expected one of {', '.join(_OWN_ROLES)}")
    if not isinstance(given.content, str):
        for n, part in enumerate(_listed(given.content, f"{where}.content")):
            _check_part(part, f"{where}.content[{n}]")
    for name in ("tool_call_id", "name", "reasoning"):
        value = getattr(given, name)
        if value is not None:
            _check(value, str, f"{where}.{name}", "text")
    _check(given.extra, Mapping, f"{where}.extra", "a mapping")
    if given.tool_calls:
        for n, call in enumerate(_listed(given.tool_calls, f"{where}.tool_calls")):
            at = f"{where}.tool_calls[{n}]"
            _check(call, ToolCall, at, "a ToolCall")
            _check(call.extra, Mapping, f"{at}.extra", "a mapping")
            for name in ("id", "name", "arguments"):
                _check(getattr(call, name), str, f"{at}.{name}", "text")
    return given


def _check_part(given: Any, where: str) -> None:
    match given:
        case Text():
            _check(given.text, str, f"{where}.text", "text")
        case Audio():
            _check(given.data, bytes, f"{where}.data", "bytes")
            _check(given.url, str | None, f"{where}.url", "text")
        case Image() | File():
            _check(given.data, bytes | None, f"{where}.data", "bytes")
            _check(given.url, str | None, f"{where}.url", "text")
            _check(given.media_type, str, f"{where}.media_type", "text")
        case _:
            raise InvalidRequest(f"{where} is {shown(given)}; expected a part, such as Text or Image")


def _check(given: Any, kind: Any, where: str, expected: str) -> None:
    if not isinstance(given, kind):
        raise InvalidRequest(f"{where} is {shown(given)}; expected {expected}")


def _listed(given: Any, where: str) -> Sequence[Any]:
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise InvalidRequest(f"{where} is {shown(given)}; expected a list")
    return given


def _part(given: Any, where: str) -> Part:
    if isinstance(given, Text | Image | File | Audio):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a part")
    try:
        match given.get("type"):
            case "text" | "refusal":
                kind = given["type"]
                text = given[kind]
                if not isinstance(text, str):
                    raise TypeError(f"the text is a {type(text).__name__}")
                return Text(text, _rest(given, ("type", kind)) if len(given) > 2 else NOTHING)
            case "image_url":
                image = given["image_url"]
                image = {"url": image} if isinstance(image, str) else image
                extra = _rest(given, ("type", "image_url"), image_url=_rest(image, ("url", "detail")))
                url, detail = image["url"], image.get("detail")
                if (inline := data_urls.split(url)) is None:
                    return Image(url=url, detail=detail, extra=extra)
                media_type = inline[0] or "image/png"
                data, url = _carried(media_type, inline[1])
                return Image(data, media_type, url, detail, extra)
            case "input_audio":
                audio = given["input_audio"]
                extra = _rest(given, ("type", "input_audio"), input_audio=_rest(audio, ("data", "format")))
                format = audio.get("format", "wav")
                data, url = _carried(f"audio/{format}", data_urls.joined(audio["data"]))
                return Audio(data or b"", format, extra, url)
            case "file":
                file = given["file"]
                extra = _rest(given, ("type", "file"), file=_rest(file, ("file_id", "file_data", "filename")))
                if "file_id" in file:
                    return File(id=file["file_id"], filename=file.get("filename"), extra=extra)
                inline = data_urls.split(file["file_data"])
                if inline is None:
                    raise ValueError("expected a data: URL in base64")
                media_type = inline[0] or "application/pdf"
                data, url = _carried(media_type, inline[1])
                return File(data, media_type, file.get("filename"), url, extra=extra)
            case other:
                raise InvalidRequest(
                    f"{where}.type is {shown(other)}; expected text, image_url, input_audio or file"
                )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidRequest(f"{where} of type {given.get('type')!r} is malformed: {error}") from error


def _carried(media_type: str, text: str) -> tuple[bytes | None, str | None]:
    """The bytes of base64 text; when it is large, the `data:` URL of it in their place. Raises ValueError."""
    if len(text) > data_urls.LARGE:
        return None, data_urls.undecoded(media_type, text)
    return base64.b64decode(text, validate=True), None


def _tool_call(given: Any, index: int, where: str) -> ToolCall:
    if isinstance(given, ToolCall):
        return given
    try:
        function = given["function"]
        arguments = function.get("arguments")
        if arguments is None:
            arguments = ""
        elif not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        extra = NOTHING
        if not given.keys() <= _CALL or not function.keys() <= _CALLED:
            extra = _rest(given, _CALL, function=_rest(function, _CALLED))
        return ToolCall(str(given.get("id") or ""), function["name"], arguments, index, extra)
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"{where} is malformed: missing or wrong {error}") from error


_CALL = frozenset(("id", "type", "index", "function"))
_CALLED = frozenset(("name", "arguments"))
_TOOL = frozenset(("type", "function"))
_FUNCTION = frozenset(("name", "description", "parameters", "strict"))


def as_tools(given: Iterable[Tool | JsonObject] | None) -> tuple[Tool, ...]:
    """Tools given as `Tool` or as OpenAI-style mappings. Raises InvalidRequest that names the one."""
    tools = enumerate(_each(() if given is None else given, "tools"))
    return tuple(
        _checked_tool(each if isinstance(each, Tool) else _tool(each, n), f"tools[{n}]") for n, each in tools
    )


def _checked_tool(given: Tool, where: str) -> Tool:
    _check(given.name, str, f"{where}.name", "text")
    _check(given.description, str, f"{where}.description", "text")
    _check(given.parameters, Mapping, f"{where}.parameters", "a JSON Schema")
    _check(given.extra, Mapping, f"{where}.extra", "a mapping")
    return given


def _tool(given: Any, n: int) -> Tool:
    try:
        function = given.get("function", given)
        if function is given:
            extra = _rest(given, _FUNCTION | _TOOL)
        else:
            extra = _rest(given, _TOOL, function=_rest(function, _FUNCTION))
        return Tool(
            function["name"],
            function.get("description") or "",
            function.get("parameters") or {"type": "object", "properties": {}},
            function.get("strict"),
            extra,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidRequest(f"tools[{n}] is malformed: missing or wrong {error}") from error


def as_tool_choice(given: ToolChoice | str | JsonObject | None) -> ToolChoice | None:
    """`auto`, `none`, `required`, the name of a tool, or a mapping as OpenAI or Anthropic have it."""
    if isinstance(given, ToolChoice):
        if given.mode not in _CHOICES or (given.mode == "tool" and not isinstance(given.name, str)):
            raise InvalidRequest(
                f"tool_choice is {shown(given.mode)}; expected a mode of {', '.join(_CHOICES)}"
            )
        return given
    if given is None:
        return given
    if isinstance(given, str):
        return _MODES.get(given) or ToolChoice("tool", given)
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"tool_choice is a {type(given).__name__}; expected a string or a mapping")
    if given.get("disable_parallel_tool_use"):
        raise InvalidRequest("tool_choice has disable_parallel_tool_use; write parallel_tool_calls=False")
    function = given.get("function")
    name = given.get("name") or (function.get("name") if isinstance(function, Mapping) else None)
    if name:
        return ToolChoice("tool", str(name))
    kind = given.get("type")
    if isinstance(kind, str) and kind in _MODES:
        return _MODES[kind]
    if kind in (None, "tool", "function"):
        raise InvalidRequest("tool_choice is a mapping that names no tool")
    raise InvalidRequest(
        f"tool_choice is a mapping whose type is {shown(kind)}; "
        f"expected {', '.join(_MODES)}, or tool with a name"
    )


_MODES = {
    "auto": ToolChoice("auto"),
    "none": ToolChoice("none"),
    "required": ToolChoice("required"),
    "any": ToolChoice("required"),  # Claude's and Mistral's word
}


def as_response_format(given: ResponseFormat | str | JsonObject | None) -> ResponseFormat | None:
    """`text`, `json`, a JSON Schema, or OpenAI's `response_format` mapping."""
    format = _response_format(given)
    if format is not None:
        if format.kind not in _FORMATS:
            raise InvalidRequest(
                f"response_format.kind is {shown(format.kind)}; expected one of {', '.join(_FORMATS)}"
            )
        if format.kind == "schema":
            _check(format.schema, Mapping, "response_format.schema", "a JSON Schema")
    return format


def _response_format(given: ResponseFormat | str | JsonObject | None) -> ResponseFormat | None:
    if given is None or isinstance(given, ResponseFormat):
        return given
    if isinstance(given, str):
        if given in ("json", "json_object"):
            return ResponseFormat("json")
        if given == "text":
            return ResponseFormat("text")
        raise InvalidRequest(f"response_format {shown(given)}; expected text, json or a JSON Schema")
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"response_format is a {type(given).__name__}; expected a string or a mapping")
    match given.get("type"):
        case "text":
            return ResponseFormat("text")
        case "json_object":
            return ResponseFormat("json")
        case "json_schema" if isinstance(given.get("json_schema"), Mapping):
            spec = given["json_schema"]
            name = spec.get("name", "answer")
            return ResponseFormat(
                "schema", spec.get("schema"), name, spec.get("strict"), spec.get("description")
            )
        case "json_schema":
            raise InvalidRequest("response_format of type 'json_schema' lacks the mapping json_schema")
        case _:
            return ResponseFormat("schema", given)


def checked(request: ChatRequest) -> ChatRequest:
    """A request that its caller made, read as `Router.chat` reads what it is given. Raises InvalidRequest."""
    _check_model(request.model)
    changed: dict[str, Any] = {}
    options = _options_in(request)
    if options != _NO_OPTIONS:
        named = zip(_CHAT_OPTIONS, options, strict=True)
        given = {name: value for name, value in named if value not in _NOT_SAID}
        changed = {name: value for name, value in _read_options(given).items() if value is not given[name]}
        _check_named_tool({**given, **changed})
    messages = request.messages
    if type(messages) is not tuple or not messages or not all(map(_is_turn, messages)):
        read = as_messages(messages)
        if read is not messages and (not isinstance(messages, tuple) or any(map(is_not, read, messages))):
            changed["messages"] = read
    return replace(request, **changed) if changed else request


def _check_model(model: Any) -> None:
    if not isinstance(model, str):
        raise InvalidRequest(f"model is {shown(model)}; expected the name of one")


def chat_request(model: str, messages: Messages, options: Mapping[str, Any]) -> ChatRequest:
    """A ChatRequest of what `Router.chat` was given. Raises InvalidRequest that names what is wrong."""
    _check_model(model)
    if not options:
        return ChatRequest(model, as_messages(messages))
    _check_options(options, _CHAT_OPTIONS)
    read = _read_options(options)
    if "tool_choice" in read:
        _check_named_tool(read)
    return ChatRequest(model, as_messages(messages), **read)


def _check_named_tool(options: Mapping[str, Any]) -> None:
    """Raise InvalidRequest when the tool that must be called is none of the tools."""
    choice, tools, extra = options.get("tool_choice"), options.get("tools"), options.get("extra") or ()
    if choice is None or choice.mode != "tool" or not tools or "tools" in extra:
        return
    names = [each.name for each in tools]
    if choice.name not in names:
        raise InvalidRequest(f"tool_choice names {shown(choice.name)}; the tools are {', '.join(names)}")


def generate_request(model: str, prompt: str, options: Mapping[str, Any]) -> GenerateRequest:
    """A GenerateRequest of what `Router.generate` was given."""
    _check_model(model)
    if not isinstance(prompt, str):
        raise InvalidRequest(f"prompt is a {type(prompt).__name__}; expected text")
    _check_options(options, _GENERATE_OPTIONS)
    return GenerateRequest(model, prompt, **_read_options(options))


def default_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that a configuration gives as defaults, for whichever kind of request they fit.

    Raises: InvalidRequest for one that no kind of request has, or whose value cannot be read.
    """
    _check_options(options, _CHAT_OPTIONS | _GENERATE_OPTIONS | _EMBED_OPTIONS)
    return _read_options(options)


def embed_request(model: str, texts: str | Sequence[str], options: Mapping[str, Any]) -> EmbedRequest:
    """An EmbedRequest of what `Router.embed` was given; a single string is a list of one."""
    _check_model(model)
    given = (texts,) if isinstance(texts, str) else tuple(_each(texts, "texts"))
    if not given or not all(isinstance(each, str) for each in given):
        raise InvalidRequest("texts must be a string or a list of at least one string")
    _check_options(options, _EMBED_OPTIONS)
    return EmbedRequest(model, given, **_read_options(options))


def _as_stop(given: str | Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    stops = (given,) if isinstance(given, str) else tuple(_each(given, "stop"))
    if not all(isinstance(each, str) for each in stops):
        raise InvalidRequest("stop must be a string or a list of strings")
    return stops


def _extra(given: JsonObject | None) -> JsonObject:
    if given is not None and not isinstance(given, Mapping):
        raise InvalidRequest(f"extra is a {type(given).__name__}; expected a mapping")
    for name in given or ():
        instead = _NOT_EXTRA.get(str(name).casefold())  # some servers read keys without regard to case
        if instead is not None:
            raise InvalidRequest(f"extra cannot set {shown(name)}: the router does; {instead}")
    return given or {}


_NOT_EXTRA = {
    "model": "name another model or deployment in the call",
    "stream": "call `stream` or `chat`",
    "messages": "hand the messages to the call",
    "prompt": "hand the prompt to `generate`",
    "input": "hand the texts to `embed`",
}
"""What routing and limits rest on, and what to do instead of saying it in `extra`."""


def _each(given: Any, where: str) -> Iterable[Any]:
    """`given`, when it can be iterated over; a single mapping is no list of one."""
    if isinstance(given, Mapping) or not isinstance(given, Iterable):
        raise InvalidRequest(f"{where} is a {type(given).__name__}; expected a list")
    return given


_CHOICES = ("auto", "none", "required", "tool")
_FORMATS = ("text", "json", "schema")
_NOT_SAID: tuple[object, ...] = (None, (), {})
_NUMBERS = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repeat_penalty",
)
_LARGEST = float_info.max
_COUNTS = ("max_tokens", "dimensions", "top_k", "top_logprobs", "seed")
_AT_LEAST_ONE = ("max_tokens", "dimensions")
_FLAGS = ("parallel_tool_calls", "logprobs")


def _read_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` as our own values, each of the right kind."""
    return {name: _READERS[name](value) if name in _READERS else value for name, value in options.items()}


def _number(name: str, given: Any) -> Any:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float)):
        raise InvalidRequest(f"{name} is {shown(given)}; expected a number")
    if given is not None and not -_LARGEST <= given <= _LARGEST:  # `isfinite` would fail for large integers
        raise InvalidRequest(f"{name} is {shown(given)}; expected a finite number")
    return given


def _count(name: str, given: Any) -> Any:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise InvalidRequest(f"{name} is {shown(given)}; expected a whole number")
    if given is not None and name in _AT_LEAST_ONE and given < 1:
        raise InvalidRequest(f"{name} is {shown(given)}; expected 1 or more")
    return given


def _flag(name: str, given: Any) -> Any:
    if given is not None and not isinstance(given, bool):
        raise InvalidRequest(f"{name} is {shown(given)}; expected True or False")
    return given


def _text(name: str, given: Any) -> Any:
    _check(given, str | None, name, "text")
    return given


def _images(given: Any) -> tuple[Image, ...]:
    images = tuple(_each(given, "images"))
    for n, each in enumerate(images):
        _check(each, Image, f"images[{n}]", "an Image")
        _check_part(each, f"images[{n}]")
    return images


def _metadata(given: Any) -> Any:
    _check(given, Mapping | None, "metadata", "a mapping")
    for name, value in (given or {}).items():
        _check(name, str, "a name in metadata", "text")
        _check(value, str | int | float | None, f"metadata.{name[:50]}", "text")
    return given


def _mapping(name: str, given: Any) -> Any:
    _check(given, Mapping | None, name, "a mapping")
    return given


def _effort(given: Any) -> Any:
    if given is not None and given not in get_args(ReasoningEffort):
        raise InvalidRequest(
            f"reasoning_effort is {shown(given)}; expected one of {', '.join(get_args(ReasoningEffort))}"
        )
    return given


_READERS: dict[str, Callable[[Any], Any]] = {
    "tools": lambda given: as_tools(given or ()),
    "tool_choice": as_tool_choice,
    "response_format": as_response_format,
    "stop": _as_stop,
    "images": lambda given: _images(given or ()),
    "extra": _extra,
    "reasoning_effort": _effort,
    **{name: partial(_number, name) for name in _NUMBERS},
    **{name: partial(_count, name) for name in _COUNTS},
    **{name: partial(_flag, name) for name in _FLAGS},
    **{name: partial(_text, name) for name in ("user", "suffix", "system")},
    "metadata": _metadata,
    "logit_bias": partial(_mapping, "logit_bias"),
}


def _options_of(request: type[Any]) -> dict[str, None]:
    """The names of the options that a kind of request has, in order."""
    own = ("model", "messages", "prompt", "texts")
    return {name: None for name in request.__struct_fields__ if name not in own}


_CHAT_OPTIONS = _options_of(ChatRequest)
_GENERATE_OPTIONS = _options_of(GenerateRequest)
_EMBED_OPTIONS = _options_of(EmbedRequest)
_options_in = attrgetter(*_CHAT_OPTIONS)
_NO_OPTIONS = _options_in(ChatRequest("", ()))


def _check_options(options: Mapping[str, Any], known: Mapping[str, None]) -> None:
    for name in options:
        if name not in known:
            raise InvalidRequest(f"unknown option {shown(name)}; {_hint(name, known)}")


def _hint(name: str, known: Mapping[str, None]) -> str:
    from pointsman.requests.foreign_options import INSTEAD  # most programs know the options

    if name in INSTEAD:
        return INSTEAD[name]
    close = nearest(name, (*known, *OPTION_NAMES))
    return f"did you mean {close!r}?" if close else "pass it through with extra={...}"
