"""A conversation: a string, our own messages, or OpenAI-style mappings, made into messages."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, get_args

from pointsman.errors import InvalidRequest
from pointsman.requests.checks import (
    as_tuple,
    expect,
    expect_one_of,
    expect_value,
    read_each,
    unknown_members,
)
from pointsman.text_messages import TextMessages
from pointsman.types import (
    NOTHING,
    Audio,
    File,
    Image,
    JsonObject,
    Message,
    Part,
    Role,
    Text,
    ToolCall,
    as_parts,
    replace,
)
from pointsman.wire import data_urls

Messages = str | Message | Iterable[Message | JsonObject]
"""What `chat` takes as messages: a text of the user's, one message, or several, also in OpenAI's shape."""

_OWN_ROLES: tuple[Role, ...] = get_args(Role)
_OWN_TEXT_ROLES = tuple(role for role in _OWN_ROLES if role != "tool")
_ROLES: dict[str, Role] = {"developer": "system", **{role: role for role in _OWN_ROLES}}
_TEXT_ROLES = {said: role for said, role in _ROLES.items() if role != "tool"}
_ROLE, _CONTENT = itemgetter("role"), itemgetter("content")
_DICT, _TWO = frozenset({dict}), frozenset({2})


def as_messages(given: Messages) -> Sequence[Message]:
    """`given` as messages: a string is one user turn; mappings are read OpenAI-style.

    Raises: InvalidRequest that names the message and the key.
    """
    if isinstance(given, str):
        return TextMessages(("user",), (given,))
    # Nearly all conversations are mappings of a role and a text and nothing else, and every call reads all of
    # one: ten messages that are carried as roles and texts take 1.8 us, and 2.7 when they are made into
    # objects as well. Hence one pass of C for each question, and no frame of Python for any.
    if (type(given) is list or type(given) is tuple) and given and _DICT.issuperset(map(type, given)):
        try:
            if _TWO.issuperset(map(len, given)):
                texts = tuple(map(_CONTENT, given))
                "".join(texts)  # fails for what is no text
                return TextMessages(tuple(map(_TEXT_ROLES.__getitem__, map(_ROLE, given))), texts)
        except (KeyError, TypeError):
            pass  # one of them says something else, or something wrong
    return _read(given)


def _read(given: Any) -> Sequence[Message]:
    """As `as_messages`, of whatever is left by then."""
    if isinstance(given, Message):
        return (_message(given, "the message"),)
    if type(given) is TextMessages:  # of ours, and read before
        return given
    if type(given) is not list and type(given) is not tuple:  # perhaps one that can be read only once
        return as_messages(as_tuple(given, "messages", "text or a list of messages"))
    if not given:
        raise InvalidRequest("messages is empty; give at least one, for example a string")
    if all(map(_is_text, given)):
        return TextMessages(
            tuple([each.role for each in given]), tuple([each.content for each in given]), tuple(given)
        )
    return tuple(map(_message_of_several, given, range(len(given))))


def _is_text(given: Any) -> bool:
    """Whether `given` is a Message that says its role and a text and nothing else."""
    return (
        type(given) is Message
        and type(given.content) is str
        and given.role in _OWN_TEXT_ROLES
        and given.tool_call_id is given.name is given.reasoning is None
        and not given.tool_calls
        and not given.reasoning_blocks
        and (given.extra is NOTHING or not given.extra)
    )


def _message_of_several(given: Any, n: int) -> Message:
    # Most messages of a conversation with tools are plain text too, and this is a fifth of the work.
    if isinstance(given, Message) and _is_text(given):
        return given
    if type(given) is dict and len(given) == 2:
        role, text = given.get("role"), given.get("content")
        if type(role) is type(text) is str and role in _TEXT_ROLES:
            return Message(_TEXT_ROLES[role], text)
    return _message(given, f"messages[{n}]")


def _message(given: Message | JsonObject, where: str) -> Message:
    """`given` as a Message in which everything is of its kind. Raises InvalidRequest that names the field."""
    if not isinstance(given, Message):
        return expect_value(message_from_dict(given, where), where, Message)
    expect_one_of(given.role, f"{where}.role", _OWN_ROLES)
    if not isinstance(given.content, str):
        parts = as_parts(expect(given.content, f"{where}.content", Sequence, "text or a list"))
        for n, part in enumerate(parts):
            expect_value(part, f"{where}.content[{n}]", *_PARTS)
        if parts is not given.content:
            given = replace(given, content=parts)
    if given.tool_calls:
        for n, call in enumerate(expect(given.tool_calls, f"{where}.tool_calls", Sequence, "a list")):
            expect_value(call, f"{where}.tool_calls[{n}]", ToolCall)
    return expect_value(given, where, Message)


_KNOWN_KEYS = frozenset(
    (
        "role", "content", "tool_calls", "tool_call_id", "name", "is_error", "function_call",
        "reasoning", "reasoning_content", "reasoning_details", "annotations",
    )
)  # fmt: skip
"""What is read, and `annotations`, which only answers have."""


def message_from_dict(given: JsonObject, where: str = "message") -> Message:
    """An OpenAI-style mapping as a Message. Raises InvalidRequest that names `where` and the key.

    `reasoning_details` are its `reasoning_blocks`; members that are not known go into `extra`.
    """
    expect(given, where, Mapping, "a Message or a mapping")
    role = _ROLES[expect_one_of(given.get("role"), f"{where}.role", _ROLES)]
    if given.get("function_call"):
        raise InvalidRequest(f"{where}.function_call is not understood; write it as tool_calls")
    extra = NOTHING if given.keys() <= _KNOWN_KEYS else unknown_members(given, _KNOWN_KEYS)
    content = given.get("content")
    if content is None:
        if extra and role != "assistant":
            raise InvalidRequest(f"{where} has unknown keys: {', '.join(sorted(extra))}, and no content")
        content = ""
    elif not isinstance(content, str):
        content = read_each(content, f"{where}.content", _part, "text or a list of parts")
    calls = enumerate(as_tuple(given.get("tool_calls") or (), f"{where}.tool_calls"))
    return Message(
        role,
        content,
        tool_calls=tuple([_tool_call(each, n, f"{where}.tool_calls[{n}]") for n, each in calls]),
        tool_call_id=given.get("tool_call_id"),
        name=given.get("name"),
        is_error=given.get("is_error") is True,
        reasoning=given.get("reasoning") or given.get("reasoning_content"),
        reasoning_blocks=read_each(
            given.get("reasoning_details") or (), f"{where}.reasoning_details", _block
        ),
        extra=extra,
    )


_block = partial(expect, kind=Mapping, expected="a mapping")

_CALL = frozenset(("id", "type", "index", "function"))
_CALLED = frozenset(("name", "arguments"))


def _tool_call(given: Any, index: int, where: str) -> ToolCall:
    """A ToolCall, or an OpenAI-style mapping as the one of that `index`."""
    if isinstance(given, ToolCall):
        return expect_value(given, where, ToolCall)
    expect(given, where, Mapping, "a ToolCall or a mapping")
    function = expect(given.get("function"), f"{where}.function", Mapping, "a mapping with a name")
    arguments = function.get("arguments")
    if arguments is None:
        arguments = ""
    elif not isinstance(arguments, str):
        try:
            arguments = json.dumps(arguments)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"{where}.function.arguments cannot be written as JSON: {error}") from error
    extra = NOTHING
    if not given.keys() <= _CALL or not function.keys() <= _CALLED:
        extra = unknown_members(given, _CALL, function=unknown_members(function, _CALLED))
    name = expect(function.get("name"), f"{where}.function.name", str, "text")
    return ToolCall(str(given.get("id") or ""), name, arguments, index, extra)


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────

_PARTS: tuple[type[Part], ...] = get_args(Part)


def _part(given: Any, where: str) -> Part:
    """A part, a string, or an OpenAI-style mapping as one."""
    if isinstance(given, str):
        return Text(given)
    if isinstance(given, _PARTS):
        return expect_value(given, where, *_PARTS)
    kind = expect(given, where, Mapping, "a part").get("type")
    read = _READERS[expect_one_of(kind, f"{where}.type", _READERS)]
    try:
        return expect_value(read(given, f"{where}.{kind}"), f"{where}.{kind}", *_PARTS)
    except ValueError as error:
        raise InvalidRequest(f"{where} of type {kind!r} is malformed: {error}") from error


def _text(given: JsonObject, where: str) -> Text:
    kind = given["type"]
    text = expect(given.get(kind), where, str, "text")
    return Text(text, unknown_members(given, ("type", kind)) if len(given) > 2 else NOTHING)


def _image(given: JsonObject, where: str) -> Image:
    if isinstance(given.get("image_url"), str):
        given = {**given, "image_url": {"url": given["image_url"]}}
    image, extra = _inside(given, where, ("url", "detail"))
    url, detail = expect(image.get("url"), f"{where}.url", str, "text"), image.get("detail")
    inline = data_urls.split(url)
    if inline is None:
        return Image(url=url, detail=detail, extra=extra)
    return Image(*_carried(inline[0] or "image/png", inline[1]), detail, extra)


def _audio(given: JsonObject, where: str) -> Audio:
    audio, extra = _inside(given, where, ("data", "format"))
    data, format = expect(audio.get("data"), f"{where}.data", str, "base64"), audio.get("format", "wav")
    content, _, url = _carried(f"audio/{format}", data_urls.joined(data))
    return Audio(content or b"", format, extra, url)


def _file(given: JsonObject, where: str) -> File:
    file, extra = _inside(given, where, ("file_id", "file_data", "filename"))
    if "file_id" in file:
        return File(id=file["file_id"], filename=file.get("filename"), extra=extra)
    url = expect(file.get("file_data"), f"{where}.file_data", str, "a data: URL, or give a file_id")
    inline = data_urls.split(url)
    if inline is None:
        raise ValueError("expected a data: URL in base64")
    data, media_type, url = _carried(inline[0] or "application/pdf", inline[1])
    return File(data, media_type, file.get("filename"), url, extra=extra)


_READERS: Mapping[str, Callable[[JsonObject, str], Part]] = {
    "text": _text,
    "refusal": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
}


def _inside(given: JsonObject, where: str, known: tuple[str, ...]) -> tuple[JsonObject, JsonObject]:
    """The mapping in a part that is called like its type, and what both say beside what is `known`."""
    kind = given["type"]
    inner = expect(given.get(kind), where, Mapping, "a mapping")
    return inner, unknown_members(given, ("type", kind), **{kind: unknown_members(inner, known)})


def _carried(media_type: str, text: str) -> tuple[bytes | None, str, str | None]:
    """The bytes of base64 text, and its type; when it is large, its `data:` URL in place of the bytes.

    Raises: ValueError.
    """
    if len(text) > data_urls.LARGE:
        return None, media_type, data_urls.undecoded(media_type, text)
    return base64.b64decode(text, validate=True), media_type, None
