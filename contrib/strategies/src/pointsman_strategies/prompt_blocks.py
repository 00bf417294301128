"""The beginning of a prompt as blocks, each with a hash of all that stands before its end.

Prompt caches of upstreams keep beginnings, so two prompts share as much of a cache as they share blocks from
the first one on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b

import msgspec

from pointsman.plugin import (
    Audio,
    ChatRequest,
    File,
    GenerateRequest,
    Image,
    Message,
    Part,
    Text,
    TextMessages,
    Tool,
)

HASH_BYTES = 16
BLOCKS_AT_MOST = 1_024
"""What comes after is nothing that tells prompts apart which have all of this in common."""
_SAMPLE = 4_096
"""Bytes at either end of a picture or a file that are looked at: all of them could be megabytes."""


def blocks_of(prompt: bytes, *, size: int, secret: bytes) -> list[bytes]:
    """A keyed hash for each whole block of `prompt`, of the block and all before it; of all that there is
    when that is less than one block, and none of nothing.
    """
    chain = blake2b(digest_size=HASH_BYTES, key=secret)
    if len(prompt) < size:
        chain.update(prompt)
        return [chain.digest()] if prompt else []
    view = memoryview(prompt)
    hashes = []
    for start in range(0, min(len(prompt), BLOCKS_AT_MOST * size) - size + 1, size):
        chain.update(view[start : start + size])
        hashes.append(chain.digest())  # which leaves the chain open
    return hashes


def prompt_of(request: object) -> bytes:
    """What `request` says, in the order in which upstreams read it: system, tools, messages."""
    if isinstance(request, ChatRequest):
        return _bytes(_chat(request))
    if isinstance(request, GenerateRequest):
        said = [request.system or "", "\0", request.prompt, *map(_part, request.images)]
        return _bytes(said)
    return b""


def _bytes(texts: Iterable[str]) -> bytes:
    # Piece by piece: a second copy of a long prompt is memory that the system gives and takes again, which
    # costs more than all that is done here.
    return b"".join([text.encode("utf-8", "surrogatepass") for text in texts])


def _chat(request: ChatRequest) -> Iterator[str]:
    messages, tools = request.messages, request.tools
    if isinstance(messages, TextMessages) and not tools:
        for role, text in zip(messages.roles, messages.texts, strict=True):
            yield f"\0{role}\0"
            yield text
        return
    for message in messages:
        if tools and message.role != "system":
            yield from map(_tool, tools)
            tools = ()
        yield from _message(message)


def _tool(tool: Tool) -> str:
    return f"\0tool\0{tool.name}\0{tool.description}\0{_json(tool.parameters)}"


def _json(value: object) -> str:
    return msgspec.json.encode(value, enc_hook=_plain).decode()


def _plain(value: object) -> object:
    """What JSON has no word for; a hash needs the same for the same, and nobody reads it."""
    return dict(value) if isinstance(value, Mapping) else repr(type(value))


def _message(message: Message) -> Iterator[str]:
    yield f"\0{message.role}\0"
    if isinstance(message.content, str):
        yield message.content
    else:
        yield from map(_part, message.content)
    for call in message.tool_calls:
        yield f"\0call\0{call.name}\0{call.arguments}"


def _part(part: Part) -> str:
    match part:
        case Text(text):
            return text
        case Image() | File() | Audio():
            named = part.url or getattr(part, "id", None) or ""
            return f"\0{type(part).__name__}\0{_sampled(part.data or named.encode('utf-8', 'surrogatepass'))}"


def _sampled(data: bytes) -> str:
    digest = blake2b(data[:_SAMPLE], digest_size=HASH_BYTES)
    digest.update(data[-_SAMPLE:])
    return f"{len(data)}:{digest.hexdigest()}"
