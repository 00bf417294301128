"""What was asked and answered, as operators look at it: cut to a size that is known, and without secrets."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from pointsman.plugin import (
    Audio,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    File,
    GenerateRequest,
    Image,
    Message,
    Request,
    Text,
    ToolCall,
)
from pointsman.wire.surrogates import well_formed

MOST = 64 * 1024
"""Characters of one side of a request: of what was asked, and of what was answered."""
IN_ALL = 64 * 2**20
"""Bytes of all contents that are kept, beyond which the oldest are forgotten."""
_BESIDE = 512
"""Bytes that a request takes beside its two sides."""
_EACH = 32
"""Characters that a message, part or call counts beside its texts, so that their number is bounded, too."""
_NO_OPTIONS = frozenset(
    ("model", "messages", "prompt", "suffix", "system", "texts", "images", "tools", "extra")
)


class _Kept(Struct, frozen=True, gc=False):
    caller: str
    asked: bytes
    answered: bytes


class Contents:
    """Those of the latest requests that have ended, at most so many and so large, by the ids of the requests.

    Args:
        most: requests.
        in_all: bytes.
    """

    def __init__(self, most: int, in_all: int = IN_ALL) -> None:
        self._most = most
        self._room = in_all
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    def forget(self, id: str) -> None:
        """Keep nothing of that request any more."""
        if (kept := self._kept.pop(id, None)) is not None:
            self._room += _size(kept)

    def keep(
        self, id: str, caller: str, asked: Mapping[str, Any], answered: Mapping[str, Any] | None
    ) -> None:
        """Keep these of a request, and of no other one with that id; the oldest go where there is no room."""
        self.forget(id)
        kept = _Kept(caller, _packed(asked), _packed(answered))
        self._kept[id] = kept
        self._room -= _size(kept)
        while self._room < 0 or len(self._kept) > self._most:
            self.forget(next(iter(self._kept)))

    def find(self, id: str, caller: str, scrub: Callable[[str], str]) -> Mapping[str, Any] | None:
        """`asked` and `answered` of that request of that caller, each text as `scrub` has it; None when gone.

        Callers choose ids, also those of each other.
        """
        kept = self._kept.get(id)
        if kept is None or kept.caller != caller:
            return None
        sides = {"asked": kept.asked, "answered": kept.answered}
        return {name: _scrubbed(_unpacked(each), scrub) for name, each in sides.items()}


def asked(request: Request, most: int = MOST) -> Mapping[str, Any]:
    """What `request` asks, as plain data of about `most` characters; where it is longer it says so.

    The latest messages come first when room is short. Of pictures, sound and files there is how large they
    are; of tools their names; `extra` is left out, for there tools of servers have their credentials.

    Returns: `messages`, `prompt` or `texts`; `options`; `cut`, the characters that are missing of what is
        shown, and `left_out`, how many messages, texts and options are not.
    """
    room = _Room(most)
    said: dict[str, Any] = {}
    match request:
        case ChatRequest():
            latest = room.as_many(reversed(request.messages), len(request.messages), _message)
            said["messages"] = latest[::-1]
        case GenerateRequest():
            given = {name: getattr(request, name) for name in ("prompt", "suffix", "system")}
            said |= {name: room.text(each) for name, each in given.items() if each is not None}
            if request.images:
                said["images"] = room.as_many(request.images, len(request.images), _part)
        case EmbedRequest():
            said["texts"] = room.as_many(request.texts, len(request.texts), _Room.text)
    said["options"] = room.options(_options(request))
    return {**said, "cut": room.cut, "left_out": room.left_out}


def answered(answer: ChatResponse | EmbedResponse, most: int = MOST) -> Mapping[str, Any]:
    """What `answer` says, the same way; of vectors how many there are."""
    if isinstance(answer, EmbedResponse):
        return {"vectors": len(answer.vectors), "usage": msgspec.to_builtins(answer.usage), "whole": True}
    room = _Room(most)
    return {
        "text": room.text(answer.text),
        "tool_calls": room.as_many(answer.tool_calls, len(answer.tool_calls), _call),
        "refusal": None if answer.refusal is None else room.text(answer.refusal),
        "reasoning": None if answer.reasoning is None else room.text(answer.reasoning),
        "finish_reason": answer.finish_reason,
        "usage": msgspec.to_builtins(answer.usage),
        "whole": True,
        "cut": room.cut,
        "left_out": room.left_out,
    }


def delivered(text: str, most: int = MOST) -> Mapping[str, Any] | None:
    """What there is of an answer that ended before its end; None when that is nothing."""
    return (
        {**answered(ChatResponse(text=text), most), "finish_reason": None, "whole": False} if text else None
    )


class _Room:
    """Characters that may still be kept.

    Attributes:
        cut: characters that were cut off.
        left_out: things that had no room.
    """

    def __init__(self, left: int) -> None:
        self._left = left
        self.cut = self.left_out = 0

    def text(self, text: str) -> str:
        """As much of it as there is room for."""
        kept = text[: self._left]
        self.cut += len(text) - len(kept)
        self._left -= len(kept)
        return kept

    def as_many(self, each: Iterable[Any], count: int, written: Callable[[_Room, Any], Any]) -> list[Any]:
        """The first of `each`, which are `count`, as `written` has them, until there is no room."""
        found: list[Any] = []
        for one in each:
            if self._left < _EACH:
                break
            self._left -= _EACH
            found.append(written(self, one))
        self.left_out += count - len(found)
        return found

    def options(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Those that there is room for: a half of one would be another one."""
        found = {}
        for name, value in options.items():
            size = len(name) + len(json.dumps(value))
            if size > self._left:
                self.left_out += 1
            else:
                self._left -= size
                found[name] = value
        return found


def _message(room: _Room, message: Message) -> Mapping[str, Any]:
    content = message.content
    said: dict[str, Any] = {
        "role": message.role,
        "content": room.text(content)
        if isinstance(content, str)
        else room.as_many(content, len(content), _part),
    }
    if message.tool_calls:
        said["tool_calls"] = room.as_many(message.tool_calls, len(message.tool_calls), _call)
    for name in ("reasoning", "tool_call_id", "name"):
        if (value := getattr(message, name)) is not None:
            said[name] = room.text(value)
    if message.is_error:
        said["is_error"] = True
    return said


def _part(room: _Room, part: Text | Image | File | Audio) -> Mapping[str, Any]:
    """Not where it is to be fetched: such an address is often as good as a key."""
    match part:
        case Text():
            return {"type": "text", "text": room.text(part.text)}
        case Audio():
            return {"type": "audio", "format": room.text(part.format), "bytes": len(part.data)}
    kind = "image" if isinstance(part, Image) else "file"
    return {"type": kind, "media_type": room.text(part.media_type), "bytes": len(part.data or b"")}


def _call(room: _Room, call: ToolCall) -> Mapping[str, Any]:
    return {"id": room.text(call.id), "name": room.text(call.name), "arguments": room.text(call.arguments)}


def _options(request: Request) -> Mapping[str, Any]:
    names = [name for name in request.__struct_fields__ if name not in _NO_OPTIONS]
    said = {name: value for name in names if (value := getattr(request, name)) not in (None, (), [])}
    if isinstance(request, ChatRequest) and request.tools:
        said["tools"] = [tool.name for tool in request.tools]
    plain: Mapping[str, Any] = msgspec.to_builtins(said, enc_hook=str)
    return plain


# The standard library's JSON takes what others can have written: large numbers, halves of characters.


def _packed(side: Mapping[str, Any] | None) -> bytes:
    return json.dumps(side, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _unpacked(side: bytes) -> Any:
    return json.loads(side.decode("utf-8", "surrogatepass"))


def _size(kept: _Kept) -> int:
    return len(kept.asked) + len(kept.answered) + _BESIDE


def _scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:
    match value:
        case str():
            return scrub(well_formed(value))
        case dict():
            return {scrub(well_formed(name)): _scrubbed(each, scrub) for name, each in value.items()}
        case list():
            return [_scrubbed(each, scrub) for each in value]
    return value
