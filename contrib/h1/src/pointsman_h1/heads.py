"""Heads as most servers send them, read by lines of which all but a few came before."""

from __future__ import annotations

import re

from pointsman.plugin import Whole

CHUNKED = -2
"""In place of the length of a body that comes in chunks."""
WITH_BODY = frozenset(range(200, 1000)) - {204, 304}

LINES_AT_MOST = 1000
LINE_BYTES_AT_MOST = 200
"""How many lines are remembered, and how long one may be: 0.5 MiB if all of them are."""
_END = b"\r\n\r\n"
_HEAD_AT_MOST = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-9][0-9][0-9])(?: [\x20-\x7e]*)?")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH_DIGITS = 15
_NOT_HERE = frozenset(("upgrade", "trailer"))
"""Fields of heads that need a closer look."""
_ONLY = {"connection": "keep-alive", "proxy-connection": "keep-alive", "transfer-encoding": "chunked"}
"""What fields must say in a head that needs none."""


class KnownHeads:
    """Reads heads that leave no doubt about what they say, and remembers their lines.

    A line that was found sound once is so in every head: those that say something of other lines (two
    lengths, a length beside a transfer coding) are looked at in each. Most of what real servers send is read
    here, strictly; a head with anything unusual in it is left to llhttp, whether it is sound or not. For one
    of two fields llhttp and the splitting took 22,000 instructions, and this takes 8,000.
    """

    __slots__ = ("_lines", "_statuses")

    def __init__(self) -> None:
        self._lines = _Lines()
        self._statuses: dict[bytes, int] = {}

    def whole(self, data: bytes) -> Whole | None:
        """The answer that `data` is, from its first byte to its last; None when it is not or needs a look."""
        head, end, body = data.partition(_END)
        known = self.read(head) if end else None
        if known is None or known[2] != len(body):
            return None
        return Whole(known[0], known[1], body)

    def read(self, head: bytes) -> tuple[int, dict[str, str], int] | None:
        """What `head` says, given without the empty line at its end; None when it needs a closer look.

        Returns: the status, of an answer that may have a body; the fields, as `named` gives them; and the
            length of the body, 1 or more, or CHUNKED. The connection stays open after it.
        """
        lines = head.split(b"\r\n")
        status = self._statuses.get(lines[0]) or self._status(lines[0])
        del lines[0]
        try:
            fields = dict(map(self._lines.__getitem__, lines))
        except KeyError:
            return None
        length = fields.get("content-length")
        if length is None:
            left = CHUNKED if "transfer-encoding" in fields else 0
        else:
            left = 0 if "transfer-encoding" in fields else int(length)
        # Fewer fields than lines: one came twice.
        if not status or not left or len(fields) != len(lines) or len(head) > _HEAD_AT_MOST:
            return None
        return status, fields, left

    def _status(self, line: bytes) -> int:
        matched = _STATUS_LINE.fullmatch(line)
        status = int(matched[1]) if matched else 0
        if status not in WITH_BODY:
            return 0
        if len(self._statuses) < LINES_AT_MOST and len(line) <= LINE_BYTES_AT_MOST:
            self._statuses[line] = status
        return status


class _Lines(dict[bytes, tuple[str, str]]):
    """Name and value of each line that was asked for; KeyError for one that needs a closer look."""

    def __init__(self) -> None:
        self._names: dict[bytes, str] = {}

    def __missing__(self, line: bytes) -> tuple[str, str]:
        raw_name, _, raw_value = line.partition(b":")
        name = self._names.get(raw_name) or self._name(raw_name)
        value = raw_value.decode("latin-1").strip(" ")
        if not value.isprintable() or not value or not _is_plain(name, value):
            raise KeyError(line)
        if len(line) <= LINE_BYTES_AT_MOST:
            if len(self) >= LINES_AT_MOST:
                self.clear()
            self[line] = name, value
        return name, value

    def _name(self, raw: bytes) -> str:
        if not _NAME.fullmatch(raw):
            raise KeyError(raw)
        name = raw.decode("ascii").lower()
        if len(self._names) < LINES_AT_MOST and len(raw) <= LINE_BYTES_AT_MOST:
            self._names[raw] = name
        return name


def _is_plain(name: str, value: str) -> bool:
    """Whether a field that may say how long a body is does so in the usual way."""
    if name == "content-length":
        return len(value) <= _LENGTH_DIGITS and value.isascii() and value.isdigit()
    if name in _ONLY:
        return value.lower() == _ONLY[name]
    return name not in _NOT_HERE


def named(head: bytes) -> dict[str, str]:
    """The header fields of a sound head by name in lower case; several of one name are joined by commas."""
    fields: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(":")
        name, value = name.lower(), value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
