"""Event streams: a streamed answer's bytes, framed, decoded, and handed to the router one read at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Protocol, cast

from pointsman.errors import CallError
from pointsman.http.answer import OpenAnswer
from pointsman.http.framing import SseEvent
from pointsman.types import ChatResponse, StreamEvent
from pointsman.wire.assembly import Assembly


class EventStream(Protocol):
    """The events of one streamed answer, as a provider gives them to the router."""

    upstream_request_id: str

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        """What comes next: some events in order, none for a mere sign of life, None after the end marker.

        Args:
            until: the instant of the clock by which something must come.

        Raises: an AttemptTimeout at `until`; Truncated when the answer ends without its end marker; the
            error that the upstream sent in the stream.
        """
        # None, which a method without a body returns, would be the end of an answer that is empty.
        raise NotImplementedError(f"{type(self).__name__} has no next()")

    def abort(self) -> None:
        """Close the connection now, without awaiting."""

    async def aclose(self) -> None:
        """Close, and give the connection back where it can be used again."""


class Framer(Protocol):
    """Frames out of bytes cut anywhere.

    `feed` gives those that `data` completes, in order; `close`, after the last bytes, those that are whole
    though they lack their end. Both raise BadResponse for one that is too long.
    """

    def feed(self, data: bytes, /) -> list[SseEvent]: ...
    def close(self) -> list[SseEvent]: ...


class Decoder(Protocol):
    """One wire's frames as our events. Pure: no I/O, no clock; one object for each answer."""

    done: bool
    """The end marker has been seen: whatever follows is ignored."""

    def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
        """The events of one frame; none for a sign of life. Raises the error that the frame holds."""

    def close(self) -> Sequence[StreamEvent]:
        """The body has ended. Raises Truncated unless the answer is complete."""


class PlainFramer(Framer, Protocol):
    """A framer that also gives frames without names as nothing but their data, which costs least."""

    def feed_plain(self, data: bytes, /) -> Sequence[bytes] | None:
        """The data of the frames that `data` completes; None, and nothing taken in, when that is not all."""


class PlainDecoder(Decoder, Protocol):
    """A decoder that takes frames without names many at a time."""

    def decode_plain(self, values: Sequence[bytes], events: list[StreamEvent], /) -> None:
        """Add to `events` those of `values`, the data of frames without names, up to the end marker.

        Raises what `decode` raises, the events before it added.
        """


class RunDecoder(Decoder, Protocol):
    """A decoder that need not see each of the frames which differ in one text only."""

    def run_of(self, frame: bytes, /) -> Sequence[list[str]] | None:
        """Where the text of more frames is kept that are as `frame`, which was decoded last, but for that.

        None where each of them has to be decoded, for something else of it is kept, too.
        """


@lru_cache(maxsize=256)
def _has(kind: type, plain: str, usual: str) -> bool:
    """Whether `kind` has the method `plain`, and its `usual` one is not that of a class derived later.

    A subclass that overrides `decode` alone wants to see every frame.
    """
    for each in kind.__mro__:
        if plain in vars(each):
            return True
        if usual in vars(each):
            return False
    return False


def has_plain(framer: Framer, decoder: Decoder) -> bool:
    """Whether both take frames without names many at a time."""
    return _has(type(framer), "feed_plain", "feed") and _has(type(decoder), "decode_plain", "decode")


_NAME, _DATA = itemgetter(0), itemgetter(1)
"""Of an SseEvent."""


class HttpEventStream:
    """The `EventStream` of every HTTP provider: an answer's bytes, framed and decoded."""

    __slots__ = (
        "_answer",
        "_begun",
        "_decode_plain",
        "_decoder",
        "_ended",
        "_failure",
        "_feed_plain",
        "_framer",
        "_too_late",
        "upstream_request_id",
    )

    def __init__(self, answer: OpenAnswer, framer: Framer, decoder: Decoder) -> None:
        self._answer = answer
        self._framer = framer
        self._decoder = decoder
        plain = has_plain(framer, decoder)
        self._feed_plain = cast("PlainFramer", framer).feed_plain if plain else None
        self._decode_plain = cast("PlainDecoder", decoder).decode_plain if plain else None
        self._too_late: Callable[[], Exception] = answer.errors.no_first_token
        self._begun = False
        self._ended = False
        self._failure: CallError | None = None
        self.upstream_request_id = answer.request_id

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        """As of `EventStream`; events that came before a failure come before it."""
        if self._failure is not None:
            raise self._failure
        if self._decoder.done:
            return None
        data = await self._answer.chunk(until, self._too_late)
        events: list[StreamEvent] = []
        try:
            if data is None:
                self._end(events)
            elif self._feed_plain is not None and (values := self._feed_plain(data)) is not None:
                self._decode_plain(values, events)  # type: ignore[misc]  # who has one has both
            else:
                self._decode(self._framer.feed(data), events)
        except CallError as failure:
            # It waits until the events before it are delivered: how the bytes were cut must not decide what
            # the caller sees.
            failure.upstream_request_id = failure.upstream_request_id or self.upstream_request_id
            failure = self._answer.meant(failure)
            if not events:
                raise failure from None  # and not kept: its frames hold this stream, and all of the attempt
            self._failure = failure
        if not self._begun and any(event.content for event in events):
            self._begun = True
            self._too_late = self._answer.errors.silent
        return events

    async def whole(self) -> ChatResponse:
        """The answer put together, when it is at its end; the source is closed then.

        For upstreams that look for a client that went away only between the tokens of a stream: a whole
        answer that is asked for as a stream ends there as soon as nobody wants it. It has the attempt's time,
        like any answer in one piece.

        Raises: AttemptTimeout, and what `next` raises.
        """
        self._begun, self._too_late = True, self._answer.errors.timed_out
        said = Assembly()
        try:
            while (events := await self.next(self._answer.until)) is not None:
                said.extend(events)
        except BaseException:
            self.abort()
            raise
        await self.aclose()
        return said.response(self.upstream_request_id)

    def abort(self) -> None:
        self._answer.abort()

    async def aclose(self) -> None:
        if self._decoder.done and not self._ended:
            await self._answer.expect_end()
        await self._answer.aclose()

    def _decode(self, frames: Sequence[SseEvent], events: list[StreamEvent]) -> None:
        """Add to `events` those of `frames`, up to the end marker."""
        if self._decode_plain is not None and not any(map(_NAME, frames)):
            # Whole ones around one that a read cut in two: many at a time is a third of the price.
            self._decode_plain(list(map(_DATA, frames)), events)
            return
        decoder = self._decoder
        for frame in frames:
            if decoder.done:
                return
            events += decoder.decode(frame)

    def _end(self, events: list[StreamEvent]) -> None:
        """The body has ended: add to `events` the last ones."""
        self._ended = True
        try:
            self._decode(self._framer.close(), events)
            if not self._decoder.done:
                events += self._decoder.close()
        finally:
            self._decoder.done = True
