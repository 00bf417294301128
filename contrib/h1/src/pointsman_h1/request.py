"""What goes out: the head of a request, checked, and how its body is framed."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

import httpx

from pointsman.plugin import RequestTemplate

JOINED = 64 * 1024
"""Bytes of a body up to which it goes out in one piece with its head."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset((b"host", b"content-length", b"transfer-encoding", b"connection"))
_KNOWN: dict[bytes, bytes] = {}
"""Names that were found to be tokens, with the lower case of those that matter here and b"" for others."""
_METHODS = {name: name.encode() for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


Origin = tuple[str, bytes, int]
"""Scheme, host and port."""
_PORTS = {"http": 80, "https": 443}


class Head:
    """The beginning of a head, with what it says that matters here.

    Attributes:
        lines: the request line and header fields, without line ends.
        found: the values of the fields that frame a message, by name in lower case.
    """

    __slots__ = ("found", "lines", "origin")

    def __init__(self, method: str, url: httpx.URL, fields: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises: UnsupportedProtocol, LocalProtocolError."""
        self.origin = origin_of(url)
        target = url.raw_path
        if b" " in target:
            raise httpx.LocalProtocolError("the URL of the request has a space")
        self.lines = [(_METHODS.get(method) or _method(method)) + b" " + target + b" HTTP/1.1"]
        self.found: dict[bytes, bytes] = {}
        _add(fields, self.lines, self.found)
        if b"host" not in self.found:
            self.found[b"host"] = url.netloc
            self.lines.insert(1, b"Host: " + url.netloc)

    @property
    def close(self) -> bool:
        """The connection is to be closed afterwards."""
        return b"close" in self.found.get(b"connection", b"").lower()

    def joined(self) -> bytes:
        """All of it as it goes out. Raises: LocalProtocolError."""
        head = b"\r\n".join((*self.lines, b"\r\n"))
        # One check for all of it: each line ends once, and so does the head.
        ends = len(self.lines) + 1
        if head.count(b"\r") != ends or head.count(b"\n") != ends or b"\0" in head:
            raise httpx.LocalProtocolError("the URL or a header of the request has a line break or NUL")
        return head


class Template:
    """The head of the requests that share most of it; what each has of its own is filled in.

    Attributes:
        plain: such a request consists of this and its content; of any other the whole has to be looked at.
        usual: it is plain, may have an answer with a body, and its connection may stay open.
    """

    __slots__ = ("_counted", "_fixed", "_own", "bodiless", "close", "origin", "plain", "usual")

    def __init__(self, shared: RequestTemplate) -> None:
        """Raises: UnsupportedProtocol, LocalProtocolError."""
        head = Head(shared.method, shared.url, shared.fields)
        self.origin = head.origin
        self.bodiless = shared.method == "HEAD"
        self.close = head.close
        self._fixed = head.joined()[:-2]
        open_lines: list[bytes] = []
        _add([(name, b"") for name in shared.own], open_lines, head.found)
        self.plain = head.found.keys() <= {b"host", b"connection"}
        self.usual = self.plain and not self.bodiless and not self.close
        # By itself: to look for each `%` in all of the head would take longer than all the rest of it.
        self._own = "".join(line.decode("ascii").replace("%", "%%") + "%s\r\n" for line in open_lines)
        self._own += "content-length: %d\r\n\r\n" if shared.counted else "\r\n"
        self._counted = shared.counted

    def filled(self, values: tuple[str, ...], content: bytes) -> bytes:
        """A request with these values, which were checked, and with that content."""
        own = self._own % ((*values, len(content)) if self._counted else values)
        return b"".join((self._fixed, own.encode("latin-1"), content))


@dataclass(slots=True)
class Outgoing:
    """A request as bytes. `data` goes out first, then `rest`, then the stream.

    `length` is what the stream promises to bring; None: it goes out in chunks.
    """

    data: bytes
    rest: bytes
    stream: httpx.AsyncByteStream | None
    length: int | None
    close: bool
    origin: Origin

    @property
    def more(self) -> bool:
        """Whether anything follows `data`."""
        return bool(self.rest) or self.stream is not None

    async def pieces(self) -> AsyncGenerator[bytes | memoryview, None]:
        """All that follows `data`. Raises: LocalProtocolError when the stream breaks its promise."""
        if self.rest:
            view = memoryview(self.rest)
            for start in range(0, len(view), JOINED):
                yield view[start : start + JOINED]
        if self.stream is None:
            return
        left = self.length
        async for piece in self.stream:
            if left is not None:
                left -= len(piece)
                if left < 0:
                    raise httpx.LocalProtocolError("the body is longer than its Content-Length")
                yield piece
            elif piece:  # an empty chunk would be the last one
                yield b"%x\r\n%b\r\n" % (len(piece), piece)
        if left:
            raise httpx.LocalProtocolError("the body is shorter than its Content-Length")
        if left is None:
            yield b"0\r\n\r\n"


def encoded(request: httpx.Request) -> Outgoing:
    """`request` as it goes out. What it lacks is added: `Host` and what frames its body.

    Raises: LocalProtocolError when it cannot be sent as one HTTP/1.1 request; no message quotes a value.
    """
    head = Head(request.method, request.url, request.headers.raw)
    lines, found = head.lines, head.found
    stream: httpx.AsyncByteStream | None = None
    body = b""
    length = _length(found)
    chunked = b"transfer-encoding" in found
    outgoing = request.stream
    if isinstance(outgoing, httpx.ByteStream):
        body = b"".join(outgoing)
        if chunked:
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        elif length is None:
            if body:
                lines.append(b"Content-Length: %d" % len(body))
        elif length != len(body):
            raise httpx.LocalProtocolError("the body is not as long as its Content-Length says")
    elif isinstance(outgoing, httpx.AsyncByteStream):
        stream = outgoing
        if length is None and not chunked:
            lines.append(b"Transfer-Encoding: chunked")
    else:
        raise httpx.LocalProtocolError("the body can only be read synchronously")
    data, rest = head.joined(), b""
    if len(body) <= JOINED:
        data += body
    else:
        rest = body
    return Outgoing(data, rest, stream, length, head.close, head.origin)


def origin_of(url: httpx.URL) -> Origin:
    """Raises: UnsupportedProtocol."""
    scheme, host = url.scheme, url.raw_host
    if scheme not in _PORTS or not host:
        raise httpx.UnsupportedProtocol(f"a URL with scheme {scheme!r} and host {url.host!r}")
    return scheme, host, url.port or _PORTS[scheme]


def _add(fields: Iterable[tuple[bytes, bytes]], lines: list[bytes], found: dict[bytes, bytes]) -> None:
    """Add a line for each of `fields` to `lines`, and those that frame a message to `found`.

    Raises: LocalProtocolError for a name that is none and for two of what may only be there once. Values are
    for the caller to check.
    """
    for name, value in fields:
        known = _KNOWN.get(name)
        if known is None:
            known = _checked(name)
        if known:
            if known in found and known != b"connection":
                raise httpx.LocalProtocolError(f"the request has two headers {known.decode()}")
            found[known] = value
        lines.append(name + b": " + value)


def _length(found: dict[bytes, bytes]) -> int | None:
    coding, length = found.get(b"transfer-encoding"), found.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise httpx.LocalProtocolError("the request has both a Content-Length and a Transfer-Encoding")
        if coding.lower() != b"chunked":
            raise httpx.LocalProtocolError("the request has a transfer coding other than chunked")
    if length is None:
        return None
    if not (length.isdigit() and len(length) < 20):
        raise httpx.LocalProtocolError("the Content-Length of the request is not a number")
    return int(length)


def _checked(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name.decode("latin-1")):
        raise httpx.LocalProtocolError("the request has a header whose name is not one")
    lower = name.lower()
    known = lower if lower in _FRAMING else b""
    if len(_KNOWN) < 1000:
        _KNOWN[name] = known
    return known


def _method(method: str) -> bytes:
    if not _TOKEN.fullmatch(method):
        raise httpx.LocalProtocolError("the method of the request is not one")
    return method.encode("ascii")
