"""`cache`: the same request gets the same answer, without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any

import msgspec
from cachetools import TTLCache
from pydantic import BaseModel, ByteSize, ConfigDict, Field

from pointsman.plugin import (
    Answered,
    Assembly,
    ChatRequest,
    ChatResponse,
    Duration,
    EmbedResponse,
    Guard,
    GuardCall,
    GuardContext,
    GuardFactory,
    Message,
    StreamEvent,
    StreamFilter,
    Text,
    has_large_parts,
    replace,
)

_WHOLE = ("stop", "length", "tool_calls")
"""How an answer ends that can be given again."""


class CacheSettings(BaseModel):
    """`{type: cache, ttl: 10m}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    ttl: Duration = Field(default=600.0, gt=0, description="how long an answer is given again")
    size: ByteSize = Field(
        default=ByteSize(64 * 2**20), ge=1, description="of all answers together; the oldest go first"
    )
    shared: bool = Field(
        default=False, description="whether callers get each other's answers; else each has its own"
    )
    tools: bool = Field(default=False, description="also requests that bring tools")


class Cache(Guard):
    """Keeps answers in memory, by all that was asked but `user` and `metadata`."""

    def __init__(self, context: GuardContext) -> None:
        self._settings: CacheSettings = context.settings
        self._answers: TTLCache[bytes, _Kept] = TTLCache(
            self._settings.size, self._settings.ttl, timer=context.clock.now, getsizeof=len
        )

    def __repr__(self) -> str:
        return f"<cache of {len(self._answers)} answers>"

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        """What was answered before; else the request."""
        if call.unsaid:
            return request  # two that look the same may ask for something else
        if isinstance(request, ChatRequest) and (
            (request.tools and not self._settings.tools) or has_large_parts(request.messages)
        ):
            return request
        try:
            key = _key(request, "" if self._settings.shared else call.caller)
        except _NOT_PLAIN:
            return request  # its `extra` holds what only its provider understands
        kept = self._answers.get(key)
        if kept is not None:
            return Answered(kept.response(), "cached")
        call.notes["key"] = key
        return request

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        """The answer as it is; it is kept."""
        self._keep(call, response)
        return response

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        """What keeps a streamed answer when it is whole."""
        return _Recorder(self, call) if "key" in call.notes else None

    def _keep(self, call: GuardCall, response: ChatResponse | EmbedResponse) -> None:
        key = call.notes.get("key")
        if key is None or not _can_be_given_again(response):
            return
        try:
            kept = _Kept(response)
        except _NOT_PLAIN:
            return
        if len(kept) <= self._settings.size:
            self._answers[key] = kept


_NOT_PLAIN = (TypeError, ValueError, OverflowError, NotImplementedError, RecursionError)
"""What the encoder raises for what is no JSON: numbers without end, half a character, objects."""
_BESIDE = 600
"""Bytes that an answer takes in memory beside its own: key, links, objects."""


class _Kept:
    """An answer without what the upstream sent, which would be its size once more; its length is in bytes.

    As bytes: whoever gets it may change the lists in it, and as objects it would take several times as much.
    """

    def __init__(self, response: ChatResponse | EmbedResponse) -> None:
        self._kind = type(response)
        self._encoded = msgspec.msgpack.encode(replace(response, raw=None), enc_hook=_plain)
        self.response()  # or it is not kept

    def __len__(self) -> int:
        return len(self._encoded) + _BESIDE

    def response(self) -> ChatResponse | EmbedResponse:
        """The answer, another one each time."""
        made: Any = msgspec.msgpack.decode(self._encoded, type=self._kind)
        if isinstance(made, ChatResponse):
            calls, blocks = tuple(made.tool_calls), tuple(made.reasoning_blocks)
            return replace(made, tool_calls=calls, reasoning_blocks=blocks, dropped=tuple(made.dropped))
        return made  # type: ignore[no-any-return]


class _Recorder:
    def __init__(self, cache: Cache, call: GuardCall) -> None:
        self._cache, self._call, self._assembly = cache, call, Assembly()

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        self._assembly.add(event)
        return (event,)

    def end(self) -> Sequence[StreamEvent]:
        self._cache._keep(self._call, self._assembly.response())
        return ()


def _can_be_given_again(response: ChatResponse | EmbedResponse) -> bool:
    if isinstance(response, EmbedResponse):
        return True
    return response.finish_reason in _WHOLE and not response.refusal


def _key(request: Any, caller: str) -> bytes:
    """What is the same for requests that ask the same."""
    if isinstance(request, ChatRequest):
        messages = tuple(map(_normal, request.messages))
        request = replace(request, messages=messages, user=None, metadata=None)
    asked = (type(request).__name__, caller, request)
    return blake2b(msgspec.msgpack.encode(asked, enc_hook=_plain, order="sorted"), digest_size=32).digest()


def _normal(message: Message) -> Message:
    """A text is the same whether it is the content or the only part of it."""
    match message.content:
        case [Text(text=text, extra=extra)] if not extra:
            return replace(message, content=text)
    return message


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise NotImplementedError(f"a {type(value).__name__}")


FACTORY = GuardFactory("cache", CacheSettings, Cache)
