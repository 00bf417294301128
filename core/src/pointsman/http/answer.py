"""The answers of upstreams: what the head says, and a body that is read on demand."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Struct

from pointsman._internal import httpx_lazy, jsonio
from pointsman._internal.timeouts import Timeouts
from pointsman.errors import BadResponse, CallError, Truncated
from pointsman.http.failures import ExchangeErrors
from pointsman.http.headers import Fields
from pointsman.transports.raw import Reply
from pointsman.wire.status_errors import ID_NAMES, request_id_of, snippet

MAX_BODY = 64 << 20
"""Bytes of an answer in one piece that are read at most, once it is decompressed."""
MAX_STREAM = 256 << 20
_END_WITHIN = 0.05
_ERROR_WITHIN = 5.0
"""Seconds for the body of an error: its status and headers say enough to act on."""
_ERROR_BYTES = 256 << 10
"""As much of it is looked at."""


class Answer(Struct, eq=False):
    """The head of an HTTP answer, and what can be said of its body.

    Attributes:
        named: the header fields by name in lower case.
        errors: makes the errors of exchanges with this upstream.
    """

    status: int
    named: dict[str, str]
    errors: ExchangeErrors

    def __repr__(self) -> str:
        return f"{type(self).__name__}(status={self.status})"  # the rest may hold what nobody should read

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields by name in any case."""
        return Fields(self.named)

    @property
    def request_id(self) -> str:
        """The upstream's own id of this call, "" when it gives none."""
        if self.named.keys().isdisjoint(ID_NAMES):  # looks for the few among the many
            return ""
        return self.errors.scrubber.ours(request_id_of(self.named))

    def mask(self, error: CallError) -> CallError:
        """`error` without our secrets, should the upstream have quoted them."""
        return self.errors.scrubber.error(error)

    def meant(self, error: CallError) -> CallError:
        """`error`, which this answer held, as the endpoint's patterns have it, and masked."""
        if self.errors.patterns:
            from pointsman.wire.error_patterns import by_pattern  # few providers have any

            error = by_pattern(self.errors.patterns, error)
        return self.mask(error)

    def value(self, body: bytes, *, hint: str = "") -> Any:
        """`body`, which came with this, as a JSON value.

        Raises: BadResponse when it is none, which shows how the body begins, and the `hint` at what may help.
        """
        try:
            return jsonio.loads(body)
        except ValueError:
            came = snippet(body) or "nothing"
            raise self.mask(
                BadResponse(
                    f"the upstream's answer is not JSON, but {came}" + (f"; {hint}" if hint else ""),
                    status=self.status,
                    upstream_request_id=self.request_id,
                )
            ) from None

    def content(self, body: bytes) -> bytes:
        """All of the `body`, without the encoding that the upstream may have given it.

        Of an error (400 and above) 256 KiB at most, without any secret of ours, and nothing when it cannot be
        decoded: that must not hide what the status and the headers say.

        Raises: Truncated; BadResponse above 64 MiB. None for an error.
        """
        if self.status < 400:
            return self._plain(body)
        try:
            plain = self._plain(body)
        except CallError:
            return b""
        return self.errors.scrubber.data(plain[:_ERROR_BYTES])

    def _plain(self, body: bytes) -> bytes:
        if len(body) > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        encoding = self.named.get("content-encoding")
        if not encoding:
            return body
        try:
            return _decoded(body, encoding)
        except CallError as error:
            raise self.mask(error) from None


class Owner(Protocol):
    """Whoever sent the request of an answer that is still open."""

    def now(self) -> float:
        """Seconds on the clock that limits are measured by."""

    def close_later(self, answer: OpenAnswer) -> None:
        """Close `answer` soon, in a task of its own."""


class OpenAnswer(Answer, eq=False):
    """An answer whose body is read on demand.

    It must be read to its end or closed; `abort` closes the connection at once, without awaiting.

    Attributes:
        until: the instant at which the attempt ends that it belongs to.
    """

    until: float
    _reply: Reply
    _owner: Owner
    _time: Timeouts
    _taken: int = 0

    async def read(self) -> bytes:
        """The whole body, as `content` has it, within the attempt's time. Closes the answer.

        The body of an error (400 and above) has 5 seconds at most, and is empty when it cannot be read.

        Raises: AttemptTimeout, ConnectionFailed, and what `content` raises. None for an error.
        """
        if self.status < 400:
            return self.content(await self._read(self.until))
        try:
            body = await self._read(min(self.until, self._owner.now() + _ERROR_WITHIN))
        except CallError:
            return b""
        return self.content(body)

    async def _read(self, until: float) -> bytes:
        pieces: list[bytes] = []
        try:
            while piece := self._reply.ready():  # what is here needs no time limit
                self._collect(piece, pieces)
            if piece is None:
                if self._time.when <= until:
                    await self._rest(pieces)
                else:
                    with self._time.until(until, self.errors.timed_out):
                        await self._rest(pieces)
        except BaseException as failure:
            self.abort()
            raise self.errors.broken(failure)  # noqa: B904 - it has its cause
        if piece == b"":
            self._time.close()
        else:
            await self.aclose()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _rest(self, pieces: list[bytes]) -> None:
        try:
            while True:
                self._collect(await self._reply.next(), pieces)
        except StopAsyncIteration:
            return

    def _collect(self, piece: bytes, pieces: list[bytes]) -> None:
        if not isinstance(piece, bytes | bytearray):
            raise TypeError(f"a {type(piece).__name__} is no piece of a body")
        self._taken += len(piece)
        if self._taken > MAX_BODY:
            raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes")
        pieces.append(piece)

    async def json(self) -> Any:
        """The whole body as a JSON value. Raises BadResponse when it is none, and what `read` raises."""
        return self.value(await self.read())

    async def chunk(self, until: float | None, timed_out: Callable[[], Exception]) -> bytes | None:
        """The next piece of the body, None at its end; `timed_out()` is raised at the instant `until`."""
        if not self._taken and (encoding := self.named.get("content-encoding")):
            self._expect_plain(encoding)
        piece = self._reply.ready()  # what is here needs no time limit
        if piece is None:
            try:
                if until is not None and self._time.when <= until:
                    piece = await self._reply.next()
                else:
                    with self._time.until(until, timed_out):
                        piece = await self._reply.next()
            except StopAsyncIteration:
                return None
            except BaseException as failure:
                raise self.errors.broken(failure)  # noqa: B904 - it has its cause
        elif not piece:
            return None
        self._taken += len(piece)
        if self._taken > MAX_STREAM:
            raise BadResponse(f"the upstream's stream is longer than {MAX_STREAM} bytes")
        return piece

    def _expect_plain(self, encoding: str) -> None:
        if encoding.strip().lower() not in ("", "identity"):
            shown = self.errors.scrubber.text(encoding)[:50]
            raise BadResponse(f"the upstream's stream is encoded as {shown!r}, which we did not ask for")

    async def expect_end(self) -> None:
        """Read the end of a body whose end marker was seen, so that its connection can be used again.

        When more data comes, or nothing within 50 ms, the connection is closed instead.
        """
        piece = self._reply.ready()
        if piece is None:
            with suppress(CallError):
                if await self.chunk(self._owner.now() + _END_WITHIN, self.errors.timed_out) is None:
                    return
        elif not piece:
            return
        self.abort()

    async def aclose(self) -> None:
        """Close the answer: the connection goes back to the pool, or away when the body is not at its end."""
        self._time.close()
        try:
            await self._reply.aclose()
        except (httpx_lazy.httpx.TransportError, OSError):
            return  # what was to be read has been
        except BaseException as failure:
            if self.errors.transport_fault(failure) is None:
                raise

    def abort(self) -> None:
        """Close the connection now, without awaiting; where the transport cannot, in a task of its own."""
        self._time.close()
        if (abort := self._reply.abort) is not None:
            abort()
        else:
            self._owner.close_later(self)


def _decoded(body: bytes, encoding: str) -> bytes:
    """`body` without its content encoding; we ask for none, but some edges compress error pages anyway."""
    match encoding.strip().lower():
        case _ if not body:
            return body
        case "" | "identity":
            return body
        case "gzip" | "x-gzip" | "deflate":
            try:
                decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)
                plain = decoder.decompress(body, MAX_BODY)
            except zlib.error as error:
                raise BadResponse(f"the upstream's {encoding} answer cannot be decoded: {error}") from error
            if len(plain) >= MAX_BODY:
                raise BadResponse(f"the upstream's answer is longer than {MAX_BODY} bytes when decoded")
            if not decoder.eof:
                raise Truncated(f"the upstream's {encoding} answer ends too early")
            return plain
        case _:
            raise BadResponse(
                f"the upstream's answer is encoded as {encoding[:50]!r}, which we did not ask for"
            )
