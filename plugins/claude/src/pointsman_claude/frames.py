"""The frames of an answer's body: events, or a message in their place."""

from __future__ import annotations

from pointsman.plugin import BadResponse, SseEvent, SseFramer, snippet
from pointsman_claude.errors import NOT_CLAUDE


class Frames:
    """Server-sent events, or a message in their place, as `SseFramer` reads them; nothing else.

    Raises: BadResponse for a page or another text, which is no answer of this API.
    """

    __slots__ = ("_body", "_events", "_known")

    def __init__(self) -> None:
        self._events = SseFramer()
        self._known = False
        self._body = b""

    def feed(self, data: bytes) -> list[SseEvent]:
        """The events that `data` completes."""
        if not self._known:
            self._body += data
            data = self._body.lstrip(_BLANK)
            if not data or data[:1] not in _BEGINNINGS:
                if len(self._body) > _HEAD:
                    raise self._refusal()
                return []
            self._known = True
        return self._events.feed(data)

    def close(self) -> list[SseEvent]:
        """The last event, when it is whole."""
        if not self._known and self._body.strip(_BLANK):
            raise self._refusal()
        return self._events.close()

    def _refusal(self) -> BadResponse:
        return BadResponse(f"the upstream answers with {snippet(self._body)!r}; {NOT_CLAUDE}")


_BLANK = b"\xef\xbb\xbf \t\r\n"
_BEGINNINGS = b"edir:{["
"""How an event stream begins (event, error, data, id, retry, a comment), and how JSON does."""
_HEAD = 2000
"""Bytes of a page that are looked at."""
