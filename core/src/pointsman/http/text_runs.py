"""Runs of frames that differ in one text only, as most of a streamed answer are: read and sent on as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.json import Decoder

from pointsman.types import ReasoningDelta, StreamEvent, TextDelta

_TRIES = 8
"""Frames that may be learned from, or looked at in vain, before a stream counts as one without runs."""
_MEET = 4
"""Bytes on either side of where two frames meet; among them are ends of lines, which no text has."""
_text = Decoder(str).decode


class TextRuns:
    """Learns from a frame that was decoded what surrounds its text, and knows further ones by that.

    What is the same but for what stands between the quotes of one text decodes to the same but for that text.
    So a run of them takes a few passes of C, however many they are; anything else is decoded as ever.

    Args:
        rewritten: a frame as it is to be sent on; `end`: what each ends with.
    """

    __slots__ = (
        "_between",
        "_end",
        "_head",
        "_kind",
        "_new_between",
        "_new_head",
        "_new_tail",
        "_rewritten",
        "_tail",
        "_tries",
    )

    def __init__(self, rewritten: Callable[[bytes], bytes], *, end: bytes) -> None:
        self._rewritten = rewritten
        self._end = end
        self._tries = _TRIES
        self._kind: type[TextDelta] | type[ReasoningDelta] = TextDelta
        self._head = self._tail = self._between = b""
        self._new_head = self._new_tail = self._new_between = b""

    @property
    def wanted(self) -> bool:
        """Whether there is something to learn yet."""
        return self._tries > 0 and not self._head

    def learn(self, frame: bytes, events: Sequence[StreamEvent]) -> None:
        """Look at a whole frame that was decoded to `events`; b"" for several at once, or a part of one.

        What was learned before is forgotten: decoders tell what has changed, and who has just been told
        something else may make another thing of the same surroundings.
        """
        self._head = b""
        self._tries -= 1
        event = events[0] if len(events) == 1 else None
        if type(event) is TextDelta:
            said = event.text
        elif type(event) is ReasoningDelta:
            said = event.reasoning
        else:
            return
        literal = b'"%b"' % said.encode("utf-8", "surrogatepass")
        if self._tries < 0 or b"\\" in frame:  # which may spell it in another way
            return
        new = self._rewritten(frame)
        if frame.count(literal) == new.count(literal) == 1:
            self._kind = type(event)
            self._head, self._tail = _around(frame, literal)
            self._new_head, self._new_tail = _around(new, literal)
            self._between, self._new_between = self._tail + self._head, self._new_tail + self._new_head

    def cut(self, frames: bytes) -> int:
        """How many bytes of whole `frames` to look at first: those before a run, or those of one."""
        if frames.startswith(self._head):
            at = frames.rfind(self._tail)
            return at + len(self._tail) if at >= 0 else len(frames)
        # With the end of the frame before it: a frame may have several lines.
        at = frames.find(self._end + self._head)
        if at >= 0:
            return at + len(self._end)
        self._missed()
        return len(frames)

    def read(self, frames: bytes) -> tuple[bytes, StreamEvent] | None:
        """A run of whole frames as it is to be sent on, and what it says; None for what is none."""
        head, tail = self._head, self._tail
        if not head or not frames.startswith(head):
            return None
        if not frames.endswith(tail):
            self._missed()
            return None
        texts = self._texts(frames)
        said = b"".join(texts)
        if b"\\" in said and b"\\" + tail in frames:  # behind a backslash its quote may end no text
            return None
        try:
            text = _text(b'"%b"' % said)  # fails for a quote that ends it before, and for a line break
        except ValueError:
            self._missed()
            return None
        self._tries = _TRIES
        return b"%b%b%b" % (self._new_head, self._new_between.join(texts), self._new_tail), self._kind(text)

    def _texts(self, frames: bytes) -> list[bytes]:
        """What stands between the heads and tails of a run; something that is no text where it is none."""
        begin, end = len(self._head), -len(self._tail)
        if (count := frames.count(self._between)) == 0:
            return [frames[begin:end]]
        # Taken apart where frames meet, at a few bytes: looking for all that is between two texts, CPython
        # prepares anew for each of them, which takes ten times as long.
        pieces = frames[_MEET:-_MEET].split(self._tail[-_MEET:] + self._head[:_MEET])
        if len(pieces) != count + 1:
            return [frames[begin:end]]
        begin, end = begin - _MEET, end + _MEET
        return [each[begin:end] for each in pieces]

    def _missed(self) -> None:
        """Of a stream in which no frame is as the one before, no further ones are compared."""
        self._tries -= 1
        if self._tries <= 0:
            self._head = b""


def _around(frame: bytes, literal: bytes) -> tuple[bytes, bytes]:
    at = frame.index(literal)
    return frame[: at + 1], frame[at + len(literal) - 1 :]
