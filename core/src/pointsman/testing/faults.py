"""An upstream without a network whose answers go wrong, by script and by seed, on the running loop's time.

    reply = CannedReply(200, body)
    upstream = FaultUpstream(reply, Fault.reset(), None, [Fault.latency(2), Fault.cut_after(40)])
    provider = provider_for(factory, upstream, base_url="http://upstream.test")

The first request is reset, the second is answered, the third is answered late and in part, and all others are
answered. Under a `VirtualLoop` none of it takes time. For chance in place of a script:

    upstream = FaultUpstream(reply, faults=[Fault.reset(), Fault.timeout()], share=0.2, seed=7)
"""

from __future__ import annotations

import asyncio
import random
import re
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import cache
from itertools import chain, repeat

from msgspec import Struct
from msgspec.structs import asdict, replace

from pointsman._internal.httpx_lazy import httpx
from pointsman.testing.replay import CannedReply, Ending, ReplayTransport, ReplyBody, offsets


class Frames(Struct, frozen=True):
    """What some of the faults have to know of a wire: whole frames, with their line ends.

    Attributes:
        end: the end marker of a stream.
        error: a frame that reports a failure within a stream.
        ping: a sign of life without content.
    """

    end: bytes = b""
    error: bytes = b""
    ping: bytes = b""


_NO_FRAMES = Frames()


class Delivery(CannedReply, frozen=True):
    """A reply, and how it comes over the wire, or does not; times are in seconds.

    Attributes:
        latency: before the head.
        gap: between two pieces of the body.
        linger: between the last piece and the ending.
        failure: makes what is raised in place of the head.
        mute: no head ever comes.
        breaks: makes what is raised after the body, in place of its ending.
        endless: comes again and again after the body, a gap apart.
    """

    latency: float = 0.0
    gap: float = 0.0
    linger: float = 0.0
    failure: Callable[[], Exception] | None = None
    mute: bool = False
    breaks: Callable[[], Exception] | None = None
    endless: bytes = b""


Alteration = Callable[[Delivery, Frames, random.Random], Delivery]


class Fault(Struct, frozen=True):
    """One way for an answer to go wrong. Those that count bytes or frames count them in the body.

    A frame is what ends with a blank line, in a body without any what ends with a line. Further faults are
    made by hand: `Fault(name, change)`, where `change` returns the delivery as it shall be.
    """

    name: str
    change: Alteration

    # ── slow ─────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def latency(cls, seconds: float) -> Fault:
        """The head comes late."""
        return cls("latency", lambda given, _frames, _rng: replace(given, latency=given.latency + seconds))

    @classmethod
    def drip(cls, seconds: float) -> Fault:
        """The body comes byte by byte, `seconds` apart: no read ever waits for long."""
        return cls("drip", lambda given, _frames, _rng: replace(_sliced(given, 1), gap=seconds))

    @classmethod
    def bandwidth(cls, bytes_per_second: float) -> Fault:
        """The body comes at this pace, in ten pieces a second."""
        if bytes_per_second <= 0:
            raise ValueError("bytes_per_second must be above 0")
        size = max(1, int(bytes_per_second / 10))
        pace = size / bytes_per_second
        return cls("bandwidth", lambda given, _frames, _rng: replace(_sliced(given, size), gap=pace))

    @classmethod
    def slow_close(cls, seconds: float) -> Fault:
        """The whole body comes, and its end only `seconds` later."""
        return cls("slow_close", lambda given, _frames, _rng: replace(given, linger=seconds))

    @classmethod
    def timeout(cls) -> Fault:
        """No answer ever comes."""
        return cls("timeout", lambda given, _frames, _rng: replace(given, mute=True))

    @classmethod
    def stall_after(cls, length: int) -> Fault:
        """Silence after `length` bytes."""
        return cls("stall_after", lambda given, _frames, _rng: _first(given, length, "silence"))

    @classmethod
    def ping_only(cls, seconds: float, *, after: int = 0) -> Fault:
        """After `after` frames nothing but signs of life, `seconds` apart, for ever."""

        def change(given: Delivery, frames: Frames, _rng: random.Random) -> Delivery:
            body = b"".join(frames_of(given.body)[:after])
            return replace(given, body=body, gap=seconds, endless=_needed(frames, "ping"))

        return cls("ping_only", change)

    # ── broken off ───────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def refuse(cls) -> Fault:
        """There is no connection, so nothing was sent."""

        def failure() -> Exception:
            return httpx.ConnectError("connection refused")

        return cls("refuse", lambda given, _frames, _rng: replace(given, failure=failure))

    @classmethod
    def reset(cls) -> Fault:
        """The connection is reset before the head."""
        return cls("reset", lambda given, _frames, _rng: replace(given, failure=_was_reset))

    @classmethod
    def reset_after(cls, length: int) -> Fault:
        """The connection is reset after `length` bytes of the body."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            return replace(_first(given, length, "end"), breaks=_was_reset)

        return cls("reset_after", change)

    @classmethod
    def cut_after(cls, length: int) -> Fault:
        """The connection is closed after `length` bytes, within the body."""
        return cls("cut_after", lambda given, _frames, _rng: _first(given, length, "break"))

    @classmethod
    def truncate_after(cls, length: int) -> Fault:
        """The body ends after `length` bytes as HTTP wants it, as if it were whole."""
        return cls("truncate_after", lambda given, _frames, _rng: _first(given, length, "end"))

    # ── wrong ────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def error_after(cls, count: int) -> Fault:
        """Status 200, `count` frames, then the wire's error and nothing more."""

        def change(given: Delivery, frames: Frames, _rng: random.Random) -> Delivery:
            return replace(given, body=b"".join(frames_of(given.body)[:count]) + _needed(frames, "error"))

        return cls("error_after", change)

    @classmethod
    def no_terminator(cls) -> Fault:
        """The body ends properly, but its end marker is missing."""

        def change(given: Delivery, frames: Frames, _rng: random.Random) -> Delivery:
            return replace(given, body=given.body.replace(_needed(frames, "end"), b""))

        return cls("no_terminator", change)

    @classmethod
    def two_terminators(cls) -> Fault:
        """The end marker comes twice, in two pieces."""

        def change(given: Delivery, frames: Frames, _rng: random.Random) -> Delivery:
            end = _needed(frames, "end")
            return replace(given, body=given.body + end, cuts=(*given.cuts, len(given.body)))

        return cls("two_terminators", change)

    @classmethod
    def giant_line(cls, length: int = 5 << 20, *, after: int = 0) -> Fault:
        """After `after` frames a line of `length` bytes, in pieces of 64 KiB, and then the rest."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            frames = frames_of(given.body)
            before = b"".join(frames[:after])
            body = before + b"x" * length + b"\n" + b"".join(frames[after:])
            return replace(given, body=body, cuts=range(len(before), len(before) + length, 1 << 16))

        return cls("giant_line", change)

    @classmethod
    def wrong_content_type(
        cls, content_type: str = "text/html", body: bytes = b"<html>Sign in to the network</html>"
    ) -> Fault:
        """Status 200 and another kind of body, such as the page of a proxy."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            return replace(_with(given, {"content-type": content_type}), body=body, cuts=())

        return cls("wrong_content_type", change)

    @classmethod
    def gzip_bomb(cls, size: int = 80 << 20) -> Fault:
        """A small body that is `size` bytes of nothing when it is decoded."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            return replace(_with(given, {"content-encoding": "gzip"}), body=_bomb(size), cuts=())

        return cls("gzip_bomb", change)

    @classmethod
    def crlf_in_headers(cls) -> Fault:
        """Headers with a line break in them, as a transport gives them that does not check."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            broken = dict.fromkeys(("x-request-id", "request-id", "retry-after"), "7\r\nx-injected: yes")
            return _with(given, broken)

        return cls("crlf_in_headers", change)

    # ── harmless, or it should be ────────────────────────────────────────────────────────────────────

    @classmethod
    def slices(cls) -> Fault:
        """The body is cut at places that follow from the seed."""
        return cls(
            "slices",
            lambda given, _frames, rng: replace(
                given, cuts=offsets(len(given.body), rng.randint(2, 1 << 30))
            ),
        )

    @classmethod
    def split_utf8(cls) -> Fault:
        """The body is cut within each of its characters of several bytes."""

        def change(given: Delivery, _frames: Frames, _rng: random.Random) -> Delivery:
            inside = [n for n, byte in enumerate(given.body) if byte & 0xC0 == 0x80]
            return replace(given, cuts=inside)

        return cls("split_utf8", change)


FaultStep = Fault | Sequence[Fault] | None
"""What one request suffers: a fault, several in order, or nothing."""


class FaultUpstream(ReplayTransport):
    """Answers every request with `reply`, or what it returns for the request, after `script` had its way.

    Attributes, besides those of `ReplayTransport`:
        suffered: the names of the faults of each request, joined by `+`; "" for none.
    """

    def __init__(
        self,
        reply: CannedReply | Callable[[httpx.Request], CannedReply],
        *script: FaultStep,
        faults: Sequence[FaultStep] = (),
        share: float = 1.0,
        seed: int = 0,
        frames: Frames = _NO_FRAMES,
    ) -> None:
        """
        Args:
            script: what the first requests suffer, one step for each.
            faults: when the script is over, each request suffers one of these with probability `share`.
            seed: with the number of the request, the source of all chance.
            frames: of the wire, for the faults that need some.
        """
        super().__init__()
        self._reply = reply
        self._script = script
        self._faults = faults
        self._share = share
        self._seed = seed
        self._frames = frames
        self.suffered: list[str] = []
        self._number = 0  # counted apart from the lists, which a long run may clear

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        delivery = self._delivery(request)
        try:
            await asyncio.sleep(delivery.latency)
            if delivery.mute:
                await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if delivery.failure is not None:
            raise delivery.failure()
        body = _Delivered(delivery)
        self.bodies.append(body)
        return httpx.Response(delivery.status, headers=dict(delivery.headers), stream=body)

    def _delivery(self, request: httpx.Request) -> Delivery:
        number, self._number = self._number, self._number + 1
        rng = random.Random(f"{self._seed}/{number}")  # noqa: S311 - a test's chance
        self.requests.append(request)
        step = self._step(number, rng)
        faults = [step] if isinstance(step, Fault) else list(step or ())
        self.suffered.append("+".join(fault.name for fault in faults))
        reply = self._reply(request) if callable(self._reply) else self._reply
        delivery = reply if isinstance(reply, Delivery) else _as_delivery(reply)
        for fault in faults:
            delivery = fault.change(delivery, self._frames, rng)
        return delivery

    def _step(self, number: int, rng: random.Random) -> FaultStep:
        if number < len(self._script):
            return self._script[number]
        return rng.choice(self._faults) if self._faults and rng.random() < self._share else None


class _Delivered(ReplyBody):
    """The body of one answer, on its way."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery)
        self._delivery = delivery

    async def __aiter__(self) -> AsyncIterator[bytes]:
        delivery = self._delivery
        for number, piece in enumerate(chain(delivery.pieces(), _again(delivery.endless))):
            await asyncio.sleep(delivery.gap if number else 0)
            if self.aborted:
                raise httpx.ReadError("the response was aborted")
            self.delivered += 1
            yield piece
        await asyncio.sleep(delivery.linger)
        if delivery.breaks is not None:
            raise delivery.breaks()
        match delivery.ending:
            case "break":
                raise httpx.RemoteProtocolError(
                    "peer closed connection without sending complete message body"
                )
            case "silence":
                await asyncio.get_running_loop().create_future()


# ── bodies ───────────────────────────────────────────────────────────────────────────────────────────


def frames_of(body: bytes) -> list[bytes]:
    """The frames of a stream, each with its end: up to a blank line, or up to a line end without any."""
    return re.findall(rb".*?\n\n|.+\Z" if b"\n\n" in body else rb"[^\n]*\n|[^\n]+\Z", body, re.DOTALL)


def _again(piece: bytes) -> Iterable[bytes]:
    return repeat(piece) if piece else ()


def _as_delivery(reply: CannedReply) -> Delivery:
    return Delivery(**asdict(reply))


def _sliced(given: Delivery, size: int) -> Delivery:
    return replace(given, cuts=range(size, len(given.body), size))


def _first(given: Delivery, length: int, ending: Ending) -> Delivery:
    return replace(given, body=given.body[:length], ending=ending)


def _with(given: Delivery, headers: dict[str, str]) -> Delivery:
    return replace(given, headers={**given.headers, **headers})


def _needed(frames: Frames, name: str) -> bytes:
    frame: bytes = getattr(frames, name)
    if not frame:
        raise ValueError(f"this fault needs a frame of the wire: FaultUpstream(…, frames=Frames({name}=…))")
    return frame


def _was_reset() -> Exception:
    return httpx.ReadError("connection reset by peer")


@cache
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    block = bytes(1 << 20)
    packed = b"".join(
        packer.compress(block[: min(len(block), size - at)]) for at in range(0, size, len(block))
    )
    return packed + packer.flush()
