"""Content blocks out of our parts, calls and results: pure translation, which refuses what it cannot say."""

from __future__ import annotations

import hashlib
import re
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, NoReturn

from msgspec.structs import replace

from pointsman.plugin import (
    Audio,
    File,
    Image,
    InvalidRequest,
    JsonObject,
    Message,
    Part,
    Text,
    ToolCall,
    Unsupported,
    arguments_object,
    base64_of,
    data_urls,
)

Block = dict[str, Any]

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]+")
_PLAIN_TEXT = {"type", "text"}

_CARRIED: Mapping[str, tuple[str, ...]] = {
    "text": ("cache_control", "citations"),
    "image": ("cache_control",),
    "document": ("cache_control", "citations", "context", "title"),
    "tool_use": ("cache_control", "caller"),
    "tool_result": ("cache_control",),
    "tool": ("cache_control", "input_examples", "defer_loading", "eager_input_streaming", "allowed_callers"),
}
"""What `extra` may add to a kind of block, and to a tool: the upstream refuses members it does not know."""
_OF_OTHERS = ("extra_content",)
"""What other providers want back, and only they; a conversation may come from one of them."""


def unsupported(what: str, *fields: str) -> NoReturn:
    """Raise the error of what Claude has no word for, with the fields of the request that say it."""
    raise Unsupported(f"Claude cannot do this: {what}", fields=fields)


def carrying(kind: str, block: Block, extra: JsonObject, where: str) -> Block:
    """`block` with the members of `extra`. Raises Unsupported that names those it cannot have."""
    if not extra:
        return block
    carried = _CARRIED[kind]
    if cannot := [name for name in extra if name not in carried and name not in _OF_OTHERS]:
        unsupported(f"{', '.join(sorted(cannot))} of {where}", "tools" if kind == "tool" else "messages")
    return {**block, **{name: value for name, value in extra.items() if name in carried}}


def is_plain_text(block: Mapping[str, Any]) -> bool:
    """Whether `block` is text and says nothing beside it, so that a string will do."""
    return block.keys() == _PLAIN_TEXT


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────


def blocks(message: Message, where: str) -> list[Block]:
    """The content blocks of `message`; blank text has none, as the upstream refuses it."""
    content = message.content
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    return [
        _block(part, f"{where}.content[{n}]")
        for n, part in enumerate(content)
        if not (isinstance(part, Text) and not part.text.strip())
    ]


def _block(part: Part, where: str) -> Block:
    block = _bare_block(part, where)
    return carrying(block["type"], block, part.extra, where)


def _bare_block(part: Part, where: str) -> Block:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image", "source": _image_source(part, where)}
        case File():
            return _file(part, where)
        case Audio():
            unsupported(f"{where} is audio", "messages")


def _image_source(image: Image, where: str) -> Block:
    if image.data:
        _check_image_type(image.media_type, where)
        return {"type": "base64", "media_type": image.media_type, "data": base64_of(image.data)}
    if image.url is None:
        raise InvalidRequest(f"{where} is an image with neither data nor url")
    inline = _inline(image.url, f"{where} is an image")
    if inline is None:
        return {"type": "url", "url": image.url}
    media_type, data = inline
    _check_image_type(media_type, where)
    return {"type": "base64", "media_type": media_type, "data": data}


def _inline(url: str, what: str) -> tuple[str, str] | None:
    """(media type, base64) of a `data:` URL; None for one that the upstream is to fetch."""
    try:
        return data_urls.split(url)
    except ValueError as error:
        raise InvalidRequest(f"{what} with a data: URL that is not in base64") from error


def _check_image_type(media_type: str, where: str) -> None:
    if media_type not in _IMAGES:
        unsupported(f"{where} is an image of type {media_type!r}; it takes {', '.join(_IMAGES)}", "messages")


def _file(file: File, where: str) -> Block:
    """A picture as an image block, everything else as a document."""
    if file.media_type in _IMAGES:
        if file.id is not None:
            return {"type": "image", "source": {"type": "file", "file_id": file.id}}
        image = Image(data=file.data, media_type=file.media_type, url=file.url)
        return {"type": "image", "source": _image_source(image, where)}
    document: Block = {"type": "document", "source": _document_source(file, where)}
    if file.filename:
        document["title"] = file.filename
    return document


def _document_source(file: File, where: str) -> Block:
    if file.id is not None:
        return {"type": "file", "file_id": file.id}
    if file.data is None:
        if file.url is None:
            raise InvalidRequest(f"{where} is a file with neither data nor url nor id")
        inline = _inline(file.url, f"{where} is a file")
        if inline is None:
            return {"type": "url", "url": file.url}
        if inline[0] == "application/pdf":
            return {"type": "base64", "media_type": "application/pdf", "data": inline[1]}
        try:
            file = replace(file, data=b64decode(inline[1], validate=True), media_type=inline[0], url=None)
        except ValueError as error:
            raise InvalidRequest(f"{where} is a file with a data: URL that is not in base64") from error
        return _document_source(file, where)
    match file.media_type.partition(";")[0].strip():
        case "application/pdf":
            return {"type": "base64", "media_type": "application/pdf", "data": base64_of(file.data)}
        case "text/plain":
            try:
                text = file.data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidRequest(f"{where} is a text file that is not in UTF-8") from error
            return {"type": "text", "media_type": "text/plain", "data": text}
        case _:
            unsupported(
                f"{where} is a file of type {file.media_type!r}; it takes PDF, plain text and images",
                "messages",
            )


# ── calls, results, reasoning ────────────────────────────────────────────────────────────────────────


def tool_use(call: ToolCall, where: str) -> Block:
    """A call of an earlier turn."""
    arguments = arguments_object(call.arguments)
    block = {"type": "tool_use", "id": _id(call.id, where), "name": call.name, "input": arguments}
    return carrying("tool_use", block, call.extra, where)


def tool_result(message: Message, where: str) -> Block:
    """What a tool answered."""
    result: Block = {
        "type": "tool_result",
        "tool_use_id": _id(message.tool_call_id or "", where),
    }
    content = blocks(message, where)
    if len(content) == 1 and is_plain_text(content[0]):
        result["content"] = content[0]["text"]
    elif content:
        result["content"] = content
    if message.is_error:
        result["is_error"] = True
    return carrying("tool_result", result, message.extra, where)


def _id(given: str, where: str) -> str:
    """`given` when Claude takes it, else a name made from it; the same for a call and for its result."""
    if not given:
        raise InvalidRequest(f"{where} has no tool call id; Claude pairs calls and results by it")
    if _PLAIN_ID.fullmatch(given):
        return given
    digest = hashlib.blake2b(given.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    return f"{re.sub(r'[^a-zA-Z0-9_-]', '_', given)}_{digest}"


def is_signed(block: JsonObject) -> bool:
    """Whether a reasoning block is one of Claude's; those of others, and unsigned ones, cannot be sent."""
    match block.get("type"):
        case "thinking":
            return bool(block.get("signature"))
        case "redacted_thinking":
            return bool(block.get("data"))
        case _:
            return False
