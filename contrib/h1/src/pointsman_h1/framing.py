"""Where a response begins and ends, without I/O.

What most servers send is read by the lines that they repeat (`heads.py`). Of any other head llhttp parses the
fields, and of all bodies the chunks. What it lets pass although RFC 9112 does not is refused here: a head is
put together whole and looked at before llhttp sees it, and whatever frames the body is looked at after.
"""

from __future__ import annotations

import re

from httptools import HttpParserError, HttpResponseParser

from pointsman_h1.heads import CHUNKED, CHUNKS_FOLLOW, WITH_BODY, KnownHeads, named

MAX_HEAD = 64 * 1024
MAX_INTERIM = 100

_END = b"\r\n\r\n"
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: [^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_BARE = re.compile(rb"\r[^\n]|(?<!\r)\n")
_BEGINNING = b"HTTP/1."
_UNTIL_EOF = -1


class FramingError(Exception):
    """What came is not one whole HTTP/1.1 response; the text says why and quotes nothing of it."""


class ResponseReader:
    """Reads one response from bytes that come in any pieces.

    Attributes:
        status: 0 until the final head is here; 1xx answers are passed over.
        pieces: what has come of the body and was not taken yet, `buffered` bytes in all.
        done: the response is complete.
        keep_alive: once done, whether the connection can carry another one.
        error: why nothing more will come, set by whoever feeds.
    """

    __slots__ = (
        "_bodiless",
        "_codings",
        "_end",
        "_head",
        "_heads",
        "_interim",
        "_last",
        "_left",
        "_named",
        "_parser",
        "_partial",
        "_quiet",
        "buffered",
        "done",
        "error",
        "keep_alive",
        "on_body",
        "pieces",
        "status",
    )

    def __init__(
        self, bodiless: bool = False, last: bool = False, *, heads: KnownHeads | None = None
    ) -> None:
        """What the request says of its response.

        Args:
            bodiless: it was a HEAD, so that no body follows whatever the head says.
            last: it asked the server to close the connection afterwards.
            heads: knows what servers repeat; None: whatever comes is read for the first time.
        """
        self.status = 0
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # llhttp calls it for every chunk: no Python runs for that
        self.buffered = 0
        self.done = False
        self.keep_alive = False
        self.error: Exception | None = None
        self._bodiless = bodiless
        self._last = last
        self._heads = heads or KnownHeads()
        self._partial: bytearray | None = None
        self._interim = 0
        self._left = _UNTIL_EOF
        self._named: dict[str, str] | None = None
        self._parser: HttpResponseParser | None = None
        self._quiet = 0
        self._end = 0

    def feed(self, data: memoryview) -> None:
        """Take in the next bytes, at least one; `data` is not kept. Bytes beyond the end end keep-alive.

        Raises: FramingError, after which nothing more may be fed.
        """
        if self.done:
            self.keep_alive = False
        elif not self.status:
            self._feed_head(data)
        elif self._left == CHUNKED:
            self._feed_chunks(data)
        else:
            self._feed_plain(data)

    def eof(self) -> None:
        """The other side will send no more. Raises: FramingError when it should have."""
        self.keep_alive = False
        if self.done:
            return
        if self.status and self._left == _UNTIL_EOF:
            self.done = True
        elif self.status:
            self._parser = None
            raise FramingError("the connection ended before the body did")
        elif self._partial or self._interim:
            raise FramingError("the connection ended within the head of the response")
        else:
            raise FramingError("the server disconnected without sending a response")

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The header fields of the final head as pairs, in order, with their case."""
        lines = (line.partition(b":") for line in self._head.split(b"\r\n")[1:-2])
        return [(name, value.strip(b" \t")) for name, _, value in lines]

    @property
    def minor(self) -> int:
        """The 1 of HTTP/1.1, of the final head."""
        return self._head[7] - 0x30

    @property
    def reason(self) -> bytes:
        """What stands behind the status of the final head."""
        return self._head.partition(b"\r\n")[0][13:]

    def named(self) -> dict[str, str]:
        """The header fields of the final head by name in lower case; several of one name joined by commas."""
        if self._named is None:
            self._named = named(self._head)
        return self._named

    def take(self) -> bytes:
        """What has come of the body, in one piece."""
        pieces = self.pieces
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()  # and not a new list: llhttp appends to this one
        self.buffered = 0
        return taken

    # ── the head ─────────────────────────────────────────────────────────────────────────────────────

    def _feed_head(self, data: memoryview) -> None:
        raw = bytes(data)
        if self._partial is None:
            end = raw.find(_END)
        else:
            searched = len(self._partial)
            self._partial += raw
            end = self._partial.find(_END, max(0, searched - 3))
            if end < 0:
                self._check_partial(self._partial, searched)
                return
            raw, self._partial = bytes(self._partial), None
        while end >= 0:
            end += 4
            if end > MAX_HEAD:
                raise FramingError(f"the head of the response is longer than {MAX_HEAD} bytes")
            self._read_head(raw[:end])
            raw = raw[end:]
            if self.status:
                if self._left == len(raw) and raw:  # all of the body came with the head, as mostly
                    self.done = True
                    self._left = 0
                    self.pieces.append(raw)
                    self.buffered = len(raw)
                elif raw:
                    self.feed(memoryview(raw))
                return
            end = raw.find(_END)
        if raw:
            self._partial = bytearray(raw)
            self._check_partial(self._partial, 0)

    def _check_partial(self, partial: bytearray, searched: int) -> None:
        """Refuse a head that will never be one, instead of waiting for its end."""
        if len(partial) > MAX_HEAD:
            raise FramingError(f"the head of the response is longer than {MAX_HEAD} bytes")
        if searched < len(_BEGINNING) and not _BEGINNING.startswith(partial[: len(_BEGINNING)]):
            raise FramingError("the response does not begin with HTTP/1.0 or HTTP/1.1")
        if _BARE.search(partial, max(0, searched - 1)):
            raise FramingError("a line of the head does not end in CR LF")

    def _read_head(self, head: bytes) -> None:
        if self._read_known(head):
            return
        line = _STATUS_LINE.match(head)
        if line is None:
            raise FramingError("the response does not begin with the status line of HTTP/1.0 or HTTP/1.1")
        status = int(line[2])
        if status == 101:
            raise FramingError("the server switches to another protocol, which nobody asked for")
        try:
            self._read_any(head, status, line[1])
        except HttpParserError as error:
            self._parser = None
            raise FramingError(f"the head of the response is malformed: {error}") from error
        if status >= 200:
            self._head = head
            self.status = status

    def _read_known(self, head: bytes) -> bool:
        """Read a head as most are; False for any other."""
        known = None if self._bodiless else self._heads.read(head[:-4])
        if known is None:
            return False
        self._head = head
        self.status, self._named, self._left = known
        self.keep_alive = not self._last
        if self._left == CHUNKED:
            self._parser = HttpResponseParser(self)
            self._parser.feed_data(CHUNKS_FOLLOW)
        return True

    def _read_any(self, head: bytes, status: int, minor: bytes) -> None:
        """Read a head whatever it says."""
        self._left = _UNTIL_EOF
        self._codings: list[bytes] = []
        self._parser = HttpResponseParser(self)
        self._parser.feed_data(head)
        if self._codings and self._codings != [b"chunked"]:
            raise FramingError("the response has a transfer coding other than chunked")
        if status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise FramingError(f"more than {MAX_INTERIM} interim responses")
            return
        if self._codings:
            self._left = CHUNKED
            self.keep_alive = self.keep_alive and minor == b"1"  # RFC 9112, 6.1
        if self._bodiless or status not in WITH_BODY:
            self._left = 0
        if self._left != CHUNKED:
            self._parser = None  # which breaks the cycle between the two
        self.done = self._left == 0

    # ── the body ─────────────────────────────────────────────────────────────────────────────────────

    def _feed_plain(self, data: memoryview) -> None:
        if 0 <= self._left <= len(data):
            self.keep_alive = self.keep_alive and self._left == len(data)
            self.done = True
            data = data[: self._left]
            self._left = 0
        elif self._left > 0:
            self._left -= len(data)
        self.pieces.append(bytes(data))
        self.buffered += len(data)

    def _feed_chunks(self, data: memoryview) -> None:
        assert self._parser is not None
        pieces = self.pieces
        before = len(pieces)
        exactly = False
        try:
            if data[-1] == 0x0A and (len(data) < 4 or data[-4] == 0x0D):
                # Perhaps the last byte of the body: it may end a line, an empty one. It must be the last if
                # the body ends here at all; llhttp itself would silently skip empty lines after it.
                self._parser.feed_data(data[:-1])
                if not self.done:
                    self._parser.feed_data(data[-1:])
                    exactly = True
            else:
                self._parser.feed_data(data)
        except HttpParserError as error:
            if not self.done:
                self._parser = None
                raise FramingError(f"the chunks of the response are malformed: {error}") from error
        if self.done:
            self._parser = None
            self.keep_alive = self.keep_alive and exactly
            del pieces[self._end :]  # that of another response, behind the end of this one
        if len(pieces) > before:
            self._quiet = 0
            self.buffered += sum(map(len, pieces[before:]))
        elif not self.done:
            self._quiet += len(data)
            if self._quiet > MAX_HEAD:
                self._parser = None
                raise FramingError(f"more than {MAX_HEAD} bytes between chunks or after the last one")

    # ── called by llhttp ─────────────────────────────────────────────────────────────────────────────

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status:
            return  # a trailer, or what follows the end
        length = len(name)
        if length == 14 and name.lower() == b"content-length":
            self._left = int(value)  # of digits only, and only once: llhttp has seen to that
        elif length == 17 and name.lower() == b"transfer-encoding":
            # Behind a tab llhttp does not know it for chunked, and would hand out the chunks as the body.
            self._codings.append(value.rstrip(b" ").lower())

    def on_headers_complete(self) -> None:
        if not self.status and self._parser is not None:  # afterwards llhttp has forgotten it
            self.keep_alive = not self._last and self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        # Of a head without a body llhttp says so before `status` is set.
        if self.status and not self.done:
            self.done = True
            self._end = len(self.pieces)
