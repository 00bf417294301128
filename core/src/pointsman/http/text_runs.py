"""Runs of frames that differ in one text only, as most of a streamed answer are: read and sent on as one."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.json import Decoder

from pointsman.types import StreamEvent, TextDelta

_TRIES = 8
"""Frames that may be learned from, or looked at in vain, before a stream counts as one without runs."""
_text = Decoder(str).decode


class TextRuns:
    """Learns from a frame that was decoded what surrounds its text, and knows further ones by that.

    What is the same but for what stands between the quotes of one text decodes to the same but for that text.
    So a run of them takes a few passes of C, however many they are; anything else is decoded as ever.

    Args:
        rewritten: a frame as it is to be sent on.
    """

    __slots__ = (
        "_between",
        "_head",
        "_new_between",
        "_new_head",
        "_new_tail",
        "_rewritten",
        "_tail",
        "_tries",
    )

    def __init__(self, rewritten: Callable[[bytes], bytes]) -> None:
        self._rewritten = rewritten
        self._tries = _TRIES
        self._head = self._tail = self._between = b""
        self._new_head = self._new_tail = self._new_between = b""

    @property
    def wanted(self) -> bool:
        """Whether there is something to learn yet."""
        return self._tries > 0 and not self._head

    def learn(self, frame: bytes, events: list[StreamEvent]) -> None:
        """Look at a whole frame that was decoded to `events`."""
        self._tries -= 1
        event = events[0] if len(events) == 1 else None
        if type(event) is not TextDelta or b"\\" in frame:  # which may spell the text in another way
            return
        literal = b'"%b"' % event.text.encode("utf-8", "surrogatepass")
        new = self._rewritten(frame)
        if frame.count(literal) == new.count(literal) == 1:
            self._head, self._tail = _around(frame, literal)
            self._new_head, self._new_tail = _around(new, literal)
            self._between, self._new_between = self._tail + self._head, self._new_tail + self._new_head
            self._tries = _TRIES

    def cut(self, frames: bytes) -> int:
        """How many bytes of whole `frames` to look at first: those before a run, or those of one."""
        at = frames.find(self._head)
        if at != 0:
            if at < 0:
                self._missed()
            return at if at > 0 else len(frames)
        at = frames.rfind(self._tail)
        return at + len(self._tail) if at >= 0 else len(frames)

    def read(self, frames: bytes) -> tuple[bytes, str] | None:
        """A run of whole frames as it is to be sent on, and its text; None for what is none."""
        head, tail = self._head, self._tail
        if not head or not frames.startswith(head):
            return None
        if not frames.endswith(tail):
            self._missed()
            return None
        inner = frames[len(head) : -len(tail)]
        if b"\\" + tail in frames:  # behind a backslash its quote may not be the end of the text
            return None
        said = inner.replace(self._between, b"")
        try:
            text = _text(b'"%b"' % said)  # fails for a quote that ends it before, and for a line break
        except ValueError:
            self._missed()
            return None
        self._tries = _TRIES
        between = inner.replace(self._between, self._new_between)
        return b"%b%b%b" % (self._new_head, between, self._new_tail), text

    def _missed(self) -> None:
        """Of a stream in which no frame is as the one before, no further ones are compared."""
        self._tries -= 1
        if self._tries <= 0:
            self._head = b""


def _around(frame: bytes, literal: bytes) -> tuple[bytes, bytes]:
    at = frame.index(literal)
    return frame[: at + 1], frame[at + len(literal) - 1 :]
