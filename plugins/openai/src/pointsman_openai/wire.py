"""Our requests as the JSON of OpenAI's API. Pure: no I/O.

What the upstream cannot do raises `Unsupported` here, before anything is sent; nothing is dropped that
changes the meaning of a request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct
from msgspec.json import Encoder

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
    ResponseFormat,
    Text,
    TextMessages,
    Tool,
    ToolCall,
    ToolChoice,
    Unsupported,
    base64_of,
    data_urls,
    replace,
)
from pointsman_openai.settings import (
    Feature,
    MaxTokensField,
    ReasoningField,
    RepeatPenaltyField,
    SeedField,
    SystemRole,
    ToolCallIds,
)

Body = dict[str, Any]

_MAX_STOPS = 4
_SHOWN = (Image, File)
"""What stands in a message of the user's where a tool gave it."""
_PARTS: Mapping[type[Part], Feature] = {Image: "images", File: "files", Audio: "audio"}
_NEWER = re.compile(r"(?:o\d|gpt-(?:[5-9]|\d\d))")


class Quirks(Struct, frozen=True):
    """How one upstream differs from others with OpenAI's API, and what it cannot do.

    Attributes:
        name: the upstream in error messages.
        official: api.openai.com itself, whose limits are known.
        sampling_hint: what would help when an extra sampling option is refused.
        files, dimensions, suffix: whether the upstream takes such input.
        parallel_flag: whether the upstream reads `parallel_tool_calls`.
        strict_tools: `send` the flag; `refuse` requests that set it; `drop` it.
        detail, user: whether the upstream reads an image's `detail` and the request's `user`.
        stringify_metadata: the upstream refuses metadata whose values are not strings.
        send_labels: whether the upstream takes `user` and `metadata`.
        unsupported: what the configuration says that the model cannot do.
    """

    name: str = "this upstream"
    official: bool = False
    max_tokens_field: MaxTokensField = "auto"
    system_role: SystemRole = "auto"
    include_usage: bool = True
    extra_sampling: bool = False
    repeat_penalty_field: RepeatPenaltyField = "repetition_penalty"
    reasoning_field: ReasoningField = "none"
    sampling_hint: str = "set `extra_sampling: true` for a compatible server that takes it"
    files: bool = True
    dimensions: bool = True
    suffix: bool = True
    parallel_flag: bool = True
    strict_tools: Literal["send", "refuse", "drop"] = "send"
    detail: bool = True
    user: bool = True
    stringify_metadata: bool = False
    seed_field: SeedField = "seed"
    tool_call_ids: ToolCallIds = "as_given"
    send_labels: bool = True
    unsupported: Sequence[Feature] = ()

    def cannot(self, what: str, hint: str = "", *, fields: Sequence[str] = ()) -> Unsupported:
        """The error of a request that asks for `what`, with those of its `fields`."""
        return Unsupported(
            f"{self.name} cannot do this: {what}" + (f"; {hint}" if hint else ""), fields=fields
        )


def is_newer(model: str) -> bool:
    """Whether the name is one of the o-series or gpt-5 and later, also behind a vendor or as a fine-tune."""
    return _NEWER.match(model.rpartition("/")[2].removeprefix("ft:").lower()) is not None


# ── chat ─────────────────────────────────────────────────────────────────────────────────────────────


class _Turn(Struct, gc=False):
    """A message of plain text, which costs half of what a mapping does to make and to write."""

    role: str
    content: str


_encode = Encoder().encode


def text_content(request: ChatRequest, model: str, quirks: Quirks, *, stream: bool) -> bytes | None:
    """`chat_body` of a conversation of plain text, as it is sent; None where that takes a closer look.

    Raises what `chat_body` raises.
    """
    # Without these all values are texts and numbers that were checked when the request was read. So nobody
    # need look for the nulls that NaN is written as, which takes a fifth of the writing.
    if (
        request.extra
        or request.tools
        or request.metadata is not None
        or request.logit_bias is not None
        or request.response_format is not None
    ):
        return None
    try:
        return _encode(chat_body(request, model, quirks, stream=stream, turns=_turns))
    except (TypeError, ValueError):  # half a surrogate pair
        return None


def _turns(given: TextMessages, *, system: str) -> list[_Turn]:
    roles: Sequence[str] = given.roles
    if system != "system":
        roles = [system if role == "system" else role for role in roles]
    return list(map(_Turn, roles, given.texts))


def chat_body(
    request: ChatRequest,
    model: str,
    quirks: Quirks,
    *,
    stream: bool,
    turns: Callable[..., Sequence[Any]] = TextMessages.mappings,
) -> Body:
    """The body of POST /chat/completions. Raises Unsupported, InvalidRequest.

    Args: turns: makes the messages out of those that are all plain text.
    """
    if quirks.unsupported:
        refuse(request, quirks)
    given, system = request.messages, quirks.system_role
    if system == "auto":
        system = "developer" if quirks.official and is_newer(model) else "system"
    if isinstance(given, TextMessages):
        messages = turns(given, system=system)
    else:
        messages = _messages(given, system, quirks)
    body: Body = {"model": model, "messages": messages}
    if request.max_tokens is not None:
        body[_max_tokens_field(model, quirks)] = request.max_tokens
    _sampling(body, request, quirks)
    if request.top_k is not None or request.min_p is not None or request.repeat_penalty is not None:
        _extra_sampling(body, request.top_k, request.min_p, request.repeat_penalty, quirks)
    if request.logit_bias is not None:
        body["logit_bias"] = dict(request.logit_bias)
    if request.logprobs or request.top_logprobs is not None:
        _logprobs(body, request)
    if request.tools or request.tool_choice is not None or request.extra:
        _tools(body, request, quirks)
    if request.response_format is not None:
        _response_format(body, request.response_format)
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    if request.user is not None and quirks.user and quirks.send_labels:
        body["user"] = request.user
    if request.metadata is not None and quirks.send_labels:
        body["metadata"] = _metadata(request.metadata, quirks)
    if stream and quirks.include_usage:
        body["stream_options"] = {"include_usage": True}
    if request.extra:
        body.update(request.extra)
        body.pop("stream", None)
    if stream:
        body["stream"] = True
        if body.get("n") not in (None, 1):
            raise quirks.cannot(
                f"{body['n']!r} choices of a stream (n)",
                "a stream has one: ask several times",
                fields=("extra",),
            )
    return body


def _messages(given: Sequence[Message], system: str, quirks: Quirks) -> list[Body]:
    """The conversation: one mapping for each message, and one for what results of tools show."""
    bodies: list[Body] = []
    shown: list[Body] = []
    for n, each in enumerate(given):
        role, content = each.role, each.content
        if shown and role != "tool":  # all results of one turn stand together
            bodies.append({"role": "user", "content": shown})
            shown = []
        beside = each.name or each.tool_calls or each.reasoning or each.reasoning_blocks or each.extra
        if type(content) is str and role != "tool" and not beside:
            # As `_message` has it, in a third of the time: nearly all messages are plain text.
            bodies.append({"role": system if role == "system" else role, "content": content})
        else:
            where = f"messages[{n}]"
            if role == "tool" and type(content) is not str:
                each = _result_shown(each, where, quirks, shown)
            bodies.append(_message(each, where, system, quirks))
    return [*bodies, {"role": "user", "content": shown}] if shown else bodies


def _result_shown(message: Message, where: str, quirks: Quirks, shown: list[Body]) -> Message:
    """A tool's result without pictures and files, which are added to `shown`: only users may send such."""
    parts = [
        part_body(part, f"{where}.content[{n}]", quirks)
        for n, part in enumerate(message.parts)
        if isinstance(part, _SHOWN)
    ]
    if not parts:
        return message
    shown += [{"type": "text", "text": f"From the result of {message.tool_call_id}:"}, *parts]
    rest = tuple(part for part in message.parts if not isinstance(part, _SHOWN))
    return replace(message, content=rest or "(shown below)")


def refuse(request: ChatRequest, quirks: Quirks) -> None:
    """Raise Unsupported when the request asks for what the configuration says that the model cannot do."""
    if not quirks.unsupported:
        return
    parts = set()
    if not isinstance(request.messages, TextMessages):
        parts = {_PARTS.get(type(part)) for message in request.messages for part in message.parts}
    asked = [
        feature
        for feature in quirks.unsupported
        if (feature in parts if feature in _PARTS.values() else _asks(request, feature))
    ]
    if asked:
        fields = ["messages" if each in _PARTS.values() else each for each in asked]
        raise quirks.cannot(", ".join(asked), "the configuration lists it under `unsupported`", fields=fields)


def _asks(request: ChatRequest, option: str) -> bool:
    """Whether a request gives an option; 0 counts, an empty sequence does not."""
    match option:
        case "logprobs":
            return bool(request.logprobs)  # false asks for nothing, unlike parallel_tool_calls
        case "json_schema":
            return request.response_format is not None and request.response_format.kind == "schema"
        case "named_tool":
            return request.tool_choice is not None and request.tool_choice.mode == "tool"
        case "names":
            given = request.messages
            return not isinstance(given, TextMessages) and any(
                each.name for each in given if each.role != "tool"
            )
    value = getattr(request, option)
    return value is not None and not (isinstance(value, Sequence) and not value)


def _message(message: Message, where: str, system: str, quirks: Quirks) -> Body:
    body: Body
    match message.role:
        case "system":
            body = {"role": system, "content": _only_text(message, where, quirks)}
        case "user":
            body = {"role": "user", "content": _user_content(message, where, quirks)}
        case "assistant":
            body = _assistant(message, where, quirks)
        case "tool":
            body = _tool_result(message, where, quirks)
    if message.name and message.role != "tool":
        body["name"] = message.name
    return _with(message.extra, body)


def _with(extra: JsonObject, body: Body) -> Body:
    """`body` and the members of `extra`; what we write ourselves wins, also inside of a member."""
    for name, value in extra.items():
        ours = body.get(name)
        if ours is None and name not in body:
            body[name] = value
        elif isinstance(ours, dict) and isinstance(value, Mapping):
            body[name] = {**value, **ours}
    return body


def _assistant(message: Message, where: str, quirks: Quirks) -> Body:
    text = _only_text(message, where, quirks)
    body: Body = {"role": "assistant", "content": text}
    if message.tool_calls:
        body["content"] = text or None
        body["tool_calls"] = [_call(each, _sent_id(each.id, quirks)) for each in message.tool_calls]
    if message.reasoning and quirks.reasoning_field != "none":
        body[quirks.reasoning_field] = message.reasoning
    if details := [block for block in message.reasoning_blocks if is_reasoning_detail(block)]:
        body["reasoning_details"] = details
    return body


def _sent_id(id: str, quirks: Quirks) -> str:
    if quirks.tool_call_ids == "as_given":
        return id
    from pointsman_openai.short_ids import short_id  # for one maker's servers

    return short_id(id)


def _call(call: ToolCall, id: str) -> Body:
    if call.extra.get("type") == "custom":  # of a tool that takes a text
        return _with(
            call.extra,
            {"id": id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}},
        )
    arguments = call.arguments if call.arguments.strip() else "{}"
    function = {"name": call.name, "arguments": arguments}
    return _with(call.extra, {"id": id, "type": "function", "function": function})


def is_reasoning_detail(block: JsonObject) -> bool:
    """Whether a signed piece of reasoning is of this API, not another provider's of an earlier turn."""
    return str(block.get("type", "")).startswith("reasoning.")


def _tool_result(message: Message, where: str, quirks: Quirks) -> Body:
    if not message.tool_call_id:
        raise InvalidRequest(f"{where} has role tool and no tool_call_id; say which call it answers")
    text = _only_text(message, where, quirks)
    # The API has no flag for a failed tool: the model must read it.
    content: Any = text
    if message.is_error:
        error = "Error: "
        content = error + text if isinstance(text, str) else [{"type": "text", "text": error}, *text]
    return {"role": "tool", "tool_call_id": _sent_id(message.tool_call_id, quirks), "content": content}


def _only_text(message: Message, where: str, quirks: Quirks) -> str | list[Body]:
    if isinstance(message.content, str):
        return message.content
    for part in message.parts:
        if not isinstance(part, Text):
            what = f"{where} of role {message.role} has a part of type {type(part).__name__}"
            raise quirks.cannot(what, "only user messages may hold more than text", fields=("messages",))
    if len(message.parts) > 1 or any(part.extra for part in message.parts):
        return [part_body(part, where, quirks) for part in message.parts]
    return message.text


def _user_content(message: Message, where: str, quirks: Quirks) -> str | list[Body]:
    if isinstance(message.content, str):
        return message.content
    parts = message.parts
    if not parts or (len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].extra):
        return message.text
    return [part_body(part, f"{where}.content[{n}]", quirks) for n, part in enumerate(parts)]


def part_body(part: Part, where: str, quirks: Quirks) -> Body:
    """One part of a message. Raises Unsupported, InvalidRequest."""
    return _with(part.extra, _own_part(part, where, quirks))


def _own_part(part: Part, where: str, quirks: Quirks) -> Body:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Image():
            if part.url is None and not part.data:
                raise InvalidRequest(f"{where} is an image with neither data nor url")
            url = (
                part.url
                if part.url is not None
                else f"data:{part.media_type};base64,{base64_of(part.data or b'')}"
            )
            image = {"url": url}
            if part.detail is not None and quirks.detail:
                image["detail"] = part.detail
            return {"type": "image_url", "image_url": image}
        case File():
            return {"type": "file", "file": _file(part, where, quirks)}
        case Audio():
            if quirks.official and part.format not in ("wav", "mp3"):
                raise quirks.cannot(
                    f"audio of format {part.format!r} in {where}", "send wav or mp3", fields=("messages",)
                )
            inline = None if part.url is None else data_urls.split(part.url)
            if part.url is not None and inline is None:
                raise quirks.cannot(f"audio by URL in {where}", "give its bytes", fields=("messages",))
            data = base64_of(part.data) if inline is None else inline[1]
            return {"type": "input_audio", "input_audio": {"data": data, "format": part.format}}


def _file(file: File, where: str, quirks: Quirks) -> Body:
    if not quirks.files:
        raise quirks.cannot(f"the file in {where}", fields=("messages",))
    if file.id is not None:
        return {"file_id": file.id}
    name = file.filename or ("document.pdf" if file.media_type == "application/pdf" else "document")
    if file.data is not None:
        url = f"data:{file.media_type};base64,{base64_of(file.data)}"
    elif file.url is None:
        raise InvalidRequest(f"{where} is a file with neither data nor id")
    elif file.url[:5].lower() == "data:":
        url = file.url
    else:
        raise quirks.cannot(
            f"a file by URL in {where}", "give its bytes or an uploaded file's id", fields=("messages",)
        )
    return {"filename": name, "file_data": url}


def _max_tokens_field(model: str, quirks: Quirks) -> str:
    if quirks.max_tokens_field != "auto":
        return quirks.max_tokens_field
    return "max_completion_tokens" if quirks.official or is_newer(model) else "max_tokens"


# ── options ──────────────────────────────────────────────────────────────────────────────────────────


def _sampling(body: Body, request: ChatRequest | GenerateRequest, quirks: Quirks) -> None:
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.seed is not None:
        body[quirks.seed_field] = request.seed
    if request.presence_penalty is not None:
        body["presence_penalty"] = request.presence_penalty
    if request.frequency_penalty is not None:
        body["frequency_penalty"] = request.frequency_penalty
    if request.stop:
        if quirks.official and len(request.stop) > _MAX_STOPS:
            raise quirks.cannot(
                f"{len(request.stop)} stop sequences", f"give at most {_MAX_STOPS}", fields=("stop",)
            )
        body["stop"] = list(request.stop)


def _logprobs(body: Body, request: ChatRequest) -> None:
    body["logprobs"] = True
    if request.top_logprobs is not None:
        body["top_logprobs"] = request.top_logprobs


def _extra_sampling(
    body: Body, top_k: int | None, min_p: float | None, repeat_penalty: float | None, quirks: Quirks
) -> None:
    all_of_them = {"top_k": top_k, "min_p": min_p, "repeat_penalty": repeat_penalty}
    given = {name: value for name, value in all_of_them.items() if value is not None}
    if given and not quirks.extra_sampling:
        raise quirks.cannot(", ".join(given), quirks.sampling_hint, fields=tuple(given))
    for name, value in given.items():
        body[quirks.repeat_penalty_field if name == "repeat_penalty" else name] = value


def _tools(body: Body, request: ChatRequest, quirks: Quirks) -> None:
    choice = request.tool_choice
    if not request.tools and "tools" not in request.extra:
        if choice is not None and choice.mode in ("required", "tool"):
            said = (choice.name or choice.mode)[:64]  # as long as a name may be
            raise InvalidRequest(f"tool_choice is {said!r}, but there are no tools")
        return  # `auto` and `none` mean nothing without tools, and OpenAI refuses them
    if request.tools:
        body["tools"] = [_tool(each, quirks) for each in request.tools]
    if choice is not None:
        body["tool_choice"] = _tool_choice(choice)
    if request.parallel_tool_calls is not None:
        if quirks.parallel_flag:
            body["parallel_tool_calls"] = request.parallel_tool_calls
        elif not request.parallel_tool_calls:
            raise quirks.cannot(
                "parallel_tool_calls false",
                "it may answer with several calls at once",
                fields=("parallel_tool_calls",),
            )


def _tool(tool: Tool, quirks: Quirks) -> Body:
    function: Body = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    function["parameters"] = dict(tool.parameters)
    if tool.strict is not None and quirks.strict_tools == "send":
        function["strict"] = tool.strict
    elif tool.strict and quirks.strict_tools == "refuse":
        raise quirks.cannot(
            f"strict arguments of tool {tool.name!r}",
            "set `strict_tools: drop` to do without",
            fields=("tools",),
        )
    return _with(tool.extra, {"type": "function", "function": function})


def _tool_choice(choice: ToolChoice) -> str | Body:
    if choice.mode != "tool":
        return choice.mode
    if not choice.name:
        raise InvalidRequest("tool_choice is 'tool' and names none")
    return {"type": "function", "function": {"name": choice.name}}


def _response_format(body: Body, given: ResponseFormat) -> None:
    match given.kind:
        case "text":
            return
        case "json":
            body["response_format"] = {"type": "json_object"}
        case "schema":
            if given.schema is None:
                raise InvalidRequest("response_format is 'schema' and has no schema")
            schema: Body = {"name": given.name, "schema": dict(given.schema)}
            if given.description:
                schema["description"] = given.description
            if given.strict is not None:
                schema["strict"] = given.strict
            body["response_format"] = {"type": "json_schema", "json_schema": schema}


def _metadata(given: Mapping[str, Any], quirks: Quirks) -> Body:
    if not quirks.stringify_metadata:
        return dict(given)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


# ── plain completions, embeddings ────────────────────────────────────────────────────────────────────


def completion_body(request: GenerateRequest, model: str, quirks: Quirks) -> Body:
    """The body of POST /completions. Raises Unsupported."""
    refused = {
        "system": "a system prompt",
        "images": "images",
        "response_format": "response_format",
        "reasoning_effort": "reasoning_effort",
    }
    for name, what in refused.items():
        if getattr(request, name):
            raise quirks.cannot(f"{what} in a plain completion", "use chat", fields=(name,))
    body: Body = {"model": model, "prompt": request.prompt}
    if request.suffix is not None:
        if not quirks.suffix:
            raise quirks.cannot("a suffix", fields=("suffix",))
        body["suffix"] = request.suffix
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    _sampling(body, request, quirks)
    _extra_sampling(body, request.top_k, None, None, quirks)
    body.update(request.extra)
    body.pop("stream", None)
    return body


def embed_body(request: EmbedRequest, model: str, quirks: Quirks) -> Body:
    """The body of POST /embeddings. Raises Unsupported, InvalidRequest."""
    if not request.texts:
        raise InvalidRequest("there are no texts to embed; give at least one")
    body: Body = {"model": model, "input": list(request.texts), "encoding_format": "float"}
    if request.dimensions is not None:
        if not quirks.dimensions:
            raise quirks.cannot("embeddings of given dimensions", fields=("dimensions",))
        body["dimensions"] = request.dimensions
    body.update(request.extra)
    return body
