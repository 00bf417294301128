"""Our requests as Ollama's request bodies. Pure; whatever Ollama cannot do is refused here, before a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from msgspec import Struct

from pointsman.plugin import (
    Audio,
    ChatRequest,
    EmbedRequest,
    File,
    GenerateRequest,
    Image,
    InvalidRequest,
    JsonObject,
    Message,
    Part,
    ReasoningEffort,
    ResponseFormat,
    TextMessages,
    Tool,
    ToolCall,
    Unsupported,
    arguments_object,
    base64_of,
    data_urls,
)

_FIELDS = ("keep_alive", "think", "truncate", "shift")
"""Keys of a deployment's `options` that stand beside the model options in the body, not among them."""

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "max_tokens": "num_predict",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repeat_penalty": "repeat_penalty",
}

_THINK: Mapping[ReasoningEffort, bool | str] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "max",
    "max": "max",
}


class Defaults(Struct, frozen=True):
    """What every body starts from: `fields` of its top level and model `options`."""

    fields: JsonObject
    options: JsonObject

    def overridden(self, given: JsonObject) -> Defaults:
        """These with a deployment's options, which are model options except for `keep_alive`, `think`,
        `truncate` and `shift`; a nested `options` mapping is taken as what it says it is.
        """
        if not given:
            return self
        fields = {name: value for name, value in given.items() if name in _FIELDS}
        options = {name: value for name, value in given.items() if name not in _FIELDS}
        nested = options.pop("options", {})
        return Defaults({**self.fields, **fields}, {**self.options, **options, **nested})


def chat_body(request: ChatRequest, model: str, defaults: Defaults, *, stream: bool) -> dict[str, Any]:
    """The body of /api/chat. Raises Unsupported and InvalidRequest; messages may be empty (load only)."""
    tools = () if request.tool_choice is not None and request.tool_choice.mode == "none" else request.tools
    _refuse(request, tools)
    body: dict[str, Any] = {"messages": _messages(request.messages)}
    if tools:
        body["tools"] = [_tool(each) for each in tools]
    for name in ("logprobs", "top_logprobs"):
        if (value := getattr(request, name)) is not None:
            body[name] = value
    return _merged(body, request, model, defaults, stream=stream)


def generate_body(
    request: GenerateRequest, model: str, defaults: Defaults, *, stream: bool
) -> dict[str, Any]:
    """The body of /api/generate. Raises Unsupported and InvalidRequest."""
    body: dict[str, Any] = {"prompt": request.prompt}
    if request.suffix is not None:
        body["suffix"] = request.suffix
    if request.system is not None:
        body["system"] = request.system
    if request.images:
        body["images"] = [_image(each) for each in request.images]
    return _merged(body, request, model, defaults, stream=stream)


def prompt_body(request: ChatRequest, model: str, defaults: Defaults, *, stream: bool) -> dict[str, Any]:
    """The body of /api/generate for a chat of one turn. Raises as `chat_body`, and for any other chat."""
    body = chat_body(request, model, defaults, stream=stream)
    *before, turn = body.pop("messages")
    if [each["role"] for each in (*before, turn)] not in (["user"], ["system", "user"]) or "tools" in body:
        _unsupported("a prompt that is more than one turn", "it takes one text", "messages")
    body["prompt"] = turn["content"]
    if before:
        body["system"] = before[0]["content"]
    if "images" in turn:
        body["images"] = turn["images"]
    return body


def embed_body(request: EmbedRequest, model: str, defaults: Defaults) -> dict[str, Any]:
    """The body of /api/embed."""
    body: dict[str, Any] = {"input": list(request.texts)}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    # A vector is neither thought about nor shifted; the other fields mean the same here as in a chat.
    fields = {name: value for name, value in defaults.fields.items() if name not in ("think", "shift")}
    return _with_extra({"model": model, **fields, **body}, defaults.options, request.extra)


def _merged(
    body: dict[str, Any],
    request: ChatRequest | GenerateRequest,
    model: str,
    defaults: Defaults,
    *,
    stream: bool,
) -> dict[str, Any]:
    """`body` with what chat and generate have in common."""
    merged: dict[str, Any] = {"model": model, **defaults.fields, **body}
    if (wanted := _format(request.response_format)) is not None:
        merged["format"] = wanted
    if request.reasoning_effort is not None:
        merged["think"] = _think(request.reasoning_effort)
    merged = _with_extra(merged, {**defaults.options, **_sampling(request)}, request.extra)
    # Always said, because absent means true; and last, because the decoder depends on it.
    merged["stream"] = stream
    return merged


def _with_extra(body: dict[str, Any], options: JsonObject, extra: JsonObject) -> dict[str, Any]:
    own = extra.get("options")
    if own is not None and not isinstance(own, Mapping):
        raise InvalidRequest(f"extra.options is a {type(own).__name__}; Ollama expects a mapping")
    options = {**options, **(own or {})}
    body = {**body, **extra}
    body.pop("options", None)
    if (count := body.pop("n", None)) not in (None, 1):
        _unsupported(f"n={count}", "it gives one answer to a request", "extra")
    if options:
        body["options"] = options
    return body


def _sampling(request: ChatRequest | GenerateRequest) -> dict[str, Any]:
    options = {
        theirs: value
        for ours, theirs in _SAMPLING.items()
        if (value := getattr(request, ours, None)) is not None
    }
    if request.stop:
        # An array even for one: Ollama refuses a string.
        options["stop"] = [request.stop] if isinstance(request.stop, str) else list(request.stop)
    return options


def _think(effort: ReasoningEffort) -> bool | str:
    try:
        return _THINK[effort]
    except KeyError:
        raise InvalidRequest(f"reasoning_effort {effort!r}; expected one of {', '.join(_THINK)}") from None


def _format(wanted: ResponseFormat | None) -> Any:
    """`"json"`, a schema, or None for free text. Its name is lost; strict it is always (a grammar)."""
    if wanted is None or wanted.kind == "text":
        return None
    if wanted.kind == "json":
        return "json"
    if wanted.schema is None:
        raise InvalidRequest("response_format asks for a schema and gives none")
    return dict(wanted.schema)


def _refuse(request: ChatRequest, tools: Sequence[Tool]) -> None:
    """Raise Unsupported for what would change the answer and has no place in Ollama's API.

    `user` and `metadata` only label a call, so they may go; nothing else is left out.
    """
    if request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"):
        _unsupported(
            f"tool_choice {request.tool_choice.mode!r}",
            "the model itself decides about tools; for an answer of a certain form give its schema"
            " (response_format, format)",
            "tool_choice",
        )
    if request.parallel_tool_calls is False and tools:
        _unsupported(
            "parallel_tool_calls=False", "a model may always call several tools", "parallel_tool_calls"
        )
    if request.logit_bias:
        _unsupported("logit_bias", "it has no such option", "logit_bias")


def _unsupported(what: str, why: str, *fields: str) -> NoReturn:
    raise Unsupported(f"Ollama cannot do {what}: {why}", fields=fields)


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    if isinstance(messages, TextMessages):
        return messages.mappings()
    names: dict[str, str] = {}
    bodies = []
    for message in messages:
        names.update({call.id: call.name for call in message.tool_calls if call.id})
        bodies.append(_message(message, names))
    return bodies


def _message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    """One turn. `names` are the tools of earlier calls by id: Ollama wants a result's tool by name."""
    body: dict[str, Any] = {"role": message.role, "content": message.text}
    if not isinstance(message.content, str) and (images := _images(message.content)):
        body["images"] = images
    if message.extra:
        body |= _carried(message.extra, body)
    if message.role == "assistant":
        if message.reasoning:
            body["thinking"] = message.reasoning
        if message.tool_calls:
            body["tool_calls"] = [_tool_call(each, n) for n, each in enumerate(message.tool_calls)]
    elif message.role == "tool":
        name = message.name or names.get(message.tool_call_id or "")
        if name:
            body["tool_name"] = name
        if message.tool_call_id:
            body["tool_call_id"] = message.tool_call_id
    return body


_CARRIED = ("images", "thinking", "tool_name")
"""Members of a message under Ollama's own names, for those who write them so."""
_OF_OTHERS = ("cache_control", "content", "extra_content")
"""What only other providers have a use for, and what leaves the answer as it is: marks of what to keep of a
prompt, Claude's blocks, whose text is here too, and signatures."""


def _carried(extra: JsonObject, body: Mapping[str, Any]) -> dict[str, Any]:
    """What `extra` adds to a message. Raises Unsupported for what has no place there."""
    _refuse_extra({name: value for name, value in extra.items() if name not in _CARRIED}, "a message")
    return {name: value for name, value in extra.items() if name in _CARRIED and name not in body}


def _refuse_extra(extra: JsonObject, of: str) -> None:
    """Raise Unsupported that names the members of `extra`, but for those that others want back."""
    if names := [name for name in extra if name not in _OF_OTHERS]:
        _unsupported(
            f"{', '.join(sorted(names))} of {of}",
            "its API has no place for that",
            "tools" if of.startswith("tool ") else "messages",
        )


def _images(parts: Iterable[Part]) -> list[str]:
    images = []
    for part in parts:
        if part.extra:
            _refuse_extra(part.extra, "a part")
        match part:
            case Image():
                images.append(_image(part))
            case File():
                _unsupported("files", "a message holds text and pictures only", "messages")
            case Audio():
                _unsupported("audio", "a message holds text and pictures only", "messages")
    return images


def _image(image: Image) -> str:
    """The picture as Ollama takes it: base64 without a prefix."""
    if image.data:
        return base64_of(image.data)
    if not image.url:
        raise InvalidRequest("an image has neither data nor url")
    try:
        inline = data_urls.split(image.url)
    except ValueError as error:
        raise InvalidRequest("an image has a data: URL that is not in base64") from error
    if inline is not None:
        return inline[1]
    _unsupported("pictures by URL", "it fetches nothing; give their bytes", "messages")


def _tool(tool: Tool) -> dict[str, Any]:
    _refuse_extra(tool.extra, f"tool {tool.name!r}")
    function: dict[str, Any] = {"name": tool.name, "parameters": dict(tool.parameters)}
    if tool.description:
        function["description"] = tool.description
    return {"type": "function", "function": function}


def _tool_call(call: ToolCall, index: int) -> dict[str, Any]:
    _refuse_extra(call.extra, f"the call of {call.name!r}")
    function = {"index": index, "name": call.name, "arguments": arguments_object(call.arguments)}
    return {"id": call.id, "function": function} if call.id else {"function": function}
