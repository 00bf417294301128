"""Runs of frames that differ in one text only, as most of a streamed answer are: read and sent on as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import json

from pointsman.http.event_stream import Decoder
from pointsman.types import ReasoningDelta, StreamEvent, TextDelta

_TRIES = 8
"""Frames that may be learned from, or looked at in vain, before a stream counts as one without runs."""
_MEET = 4
"""Bytes on either side of where two frames meet, at most; among them are ends of lines, which no text has."""
_MARK = "\x7f"
"""Put between texts that are decoded together: it ends what one of them leaves open, such as an escape."""
_MARKED = b"\x7f"
_text = json.Decoder(str).decode


class TextRuns:
    """Learns from a frame that was decoded what surrounds its text, and knows further ones by that.

    What is the same but for what stands between the quotes of one text decodes to the same but for that text.
    So a run of them takes a few passes of C, however many they are; anything else is decoded as ever.

    Args:
        decoder: what decodes the others; there are runs where it is a `RunDecoder`.
        rewritten: a frame as it is to be sent on; `end`: what each ends with.
    """

    __slots__ = (
        "_between",
        "_end",
        "_head",
        "_kept",
        "_kind",
        "_new_between",
        "_new_head",
        "_new_tail",
        "_rewritten",
        "_run_of",
        "_tail",
        "_tries",
    )

    def __init__(self, rewritten: Callable[[bytes], bytes], decoder: Decoder, *, end: bytes) -> None:
        self._rewritten = rewritten
        self._run_of: Callable[[bytes], Sequence[list[str]] | None] | None
        self._run_of = getattr(decoder, "run_of", None)
        self._kept: Sequence[list[str]] = ()
        self._end = end
        self._tries = 0 if self._run_of is None else _TRIES
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
        if self._tries < 0 or self._run_of is None:
            return
        event = events[0] if len(events) == 1 else None
        if type(event) is TextDelta:
            said = event.text
        elif type(event) is ReasoningDelta:
            said = event.reasoning
        else:
            return
        literal = b'"%b"' % said.encode("utf-8", "surrogatepass")
        if b"\\" in frame:  # which may spell it in another way
            return
        kept = self._run_of(frame)
        if kept is None:
            return
        new = self._rewritten(frame)
        if frame.count(literal) == new.count(literal) == 1:
            self._kind, self._kept = type(event), kept
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
        count = frames.count(self._between)
        if count:
            texts = self._texts(frames, count)
            said = b"".join(texts)
        else:
            said = frames[len(head) : -len(tail)]
            texts = [said]
        if len(said) + len(texts) * (len(head) + len(tail)) != len(frames):
            return None  # one quote ended and began a text
        plain = not count or (said.isascii() and b"\\" not in said)
        try:
            # Fails for a quote that ends it before, and for a line break.
            text = _text(b'"%b"' % said) if plain else _joined(texts)
        except ValueError:
            self._missed()
            return None
        self._tries = _TRIES
        for each in self._kept:
            each.append(text)
        return b"%b%b%b" % (self._new_head, self._new_between.join(texts), self._new_tail), self._kind(text)

    def _texts(self, frames: bytes, count: int) -> list[bytes]:
        """What stands between the heads and tails of a run; something that is no text where it is none.

        Args:
            count: how often two frames meet in it.
        """
        begin, end = len(self._head), -len(self._tail)
        # Taken apart where frames meet, at a few bytes: looking for all that is between two texts, CPython
        # prepares anew for each of them, which takes ten times as long. The quotes stay: a tail may be short.
        before, after = min(_MEET, len(self._tail) - 1), min(_MEET, len(self._head) - 1)
        pieces = frames[after:-before].split(self._tail[-before:] + self._head[:after])
        if len(pieces) != count + 1:
            return [frames[begin:end]]
        begin, end = begin - after, end + before
        return [each[begin:end] for each in pieces]

    def _missed(self) -> None:
        """Of a stream in which no frame is as the one before, no further ones are compared."""
        self._tries -= 1
        if self._tries <= 0:
            self._head = b""


def _joined(texts: Sequence[bytes]) -> str:
    """What these texts say together. Raises ValueError where one of them is no text by itself."""
    text: str = _text(b'"%b"' % _MARKED.join(texts))
    if text.count(_MARK) >= len(texts):
        raise ValueError("there is such a mark in a text")
    return text.replace(_MARK, "")


def _around(frame: bytes, literal: bytes) -> tuple[bytes, bytes]:
    at = frame.index(literal)
    return frame[: at + 1], frame[at + len(literal) - 1 :]
