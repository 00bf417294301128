"""The short way between our client and a transport, without the requests and responses of httpx.

Those are for everybody who has a transport; making them takes longer than writing a request to a socket. A
transport that is `RawTransport` need not have them: it is told what a request consists of, and its `Reply` is
read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    import httpx

Pairs = Sequence[tuple[bytes, bytes]]
"""Header fields as they stand on the wire, in order."""


class RequestTemplate:
    """What the requests have in common that go to one path with one credential; it never changes.

    Attributes:
        fields: header fields, checked, one for each name; names are in lower case.
        own: the names, in lower case, of further fields for which each request has a value of its own. None
            of them is among `fields`, and none says where a message ends.
        counted: after these comes a Content-Length, which is that of the request's content.
        extensions: those of an `httpx.Request`.
        encoded: for the transport, to keep what it makes of the rest; None before that.
    """

    __slots__ = ("counted", "encoded", "extensions", "fields", "method", "own", "url")

    def __init__(
        self,
        method: str,
        url: httpx.URL,
        fields: Mapping[bytes, bytes],
        own: tuple[bytes, ...] = (),
        *,
        counted: bool = False,
        extensions: Mapping[str, Any] | None = None,
    ) -> None:
        self.method = method
        self.url = url
        self.fields = tuple(fields.items())
        self.own = own
        self.counted = counted
        self.extensions = extensions or {}
        self.encoded: object = None

    def own_fields(self, values: Sequence[str], content: bytes) -> list[tuple[bytes, bytes]]:
        """What the request with these has after `fields`."""
        own = [(name, value.encode("latin-1")) for name, value in zip(self.own, values, strict=True)]
        if self.counted:
            own.append((b"content-length", b"%d" % len(content)))
        return own


class Reply(Protocol):
    """An answer whose head is here.

    Attributes:
        status: the HTTP status, 200 or more.
        abort: as of `Abortable`; None where the transport cannot, and `aclose` has to do.
    """

    @property
    def status(self) -> int: ...

    @property
    def abort(self) -> Callable[[], object] | None: ...

    @property
    def fields(self) -> dict[str, str]:
        """The header fields, as `named` gives them; for the caller to keep."""

    def ready(self) -> bytes | None:
        """As of `Immediate`."""

    def next(self) -> Awaitable[bytes]:
        """What comes next of the body. Raises: StopAsyncIteration at its end, `httpx.TransportError`."""

    async def aclose(self) -> None:
        """Close the answer, whatever is left of its body."""


class Whole(Struct, eq=False):
    """A `Reply` of which everything came at once, as most do; the transport has nothing more to do with it.

    Attributes:
        body: all of it, taken or not.
        taken: whether it was, by `ready`, `next` or being closed.
    """

    status: int
    fields: dict[str, str]
    body: bytes
    taken: bool = False

    def __repr__(self) -> str:
        return f"Whole(status={self.status})"  # the rest may hold what nobody should read

    def ready(self) -> bytes:
        if self.taken:
            return b""
        self.taken = True
        return self.body

    async def next(self) -> bytes:
        if piece := self.ready():
            return piece
        raise StopAsyncIteration

    def abort(self) -> None:
        self.taken = True

    async def aclose(self) -> None:
        self.taken = True


class RawTransport:
    """What a transport derives from that can do without httpx; it keeps its promises all the same."""

    def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Awaitable[Reply]:
        """The answer to one request, as soon as its head is here; a `Whole` where all of it is.

        Args:
            values: one for each of `shared.own`, in Latin-1 and without line breaks or NUL: whoever calls has
                made sure of that.

        Raises: as `handle_async_request`.
        """
        raise NotImplementedError


def named(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by name in lower case; several of one name are joined by commas."""
    values: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        values[name] = f"{values[name]}, {value}" if name in values else value
    return values
