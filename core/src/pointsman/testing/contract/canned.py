"""Answers of an upstream as a plugin's author writes them down, with what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from pointsman.errors import CallError
from pointsman.testing.replay import CannedReply
from pointsman.types import FinishReason, ToolCall, Usage


class _Canned(Struct, frozen=True, kw_only=True):
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def reply(self) -> CannedReply:
        """As the transport gives it."""
        return CannedReply(self.status, self.body, self.headers)


class CannedChat(_Canned, frozen=True, kw_only=True):
    """A whole answer, as bytes, and everything that it says.

    A tool call with the id "" stands for one with any id.
    """

    text: str = ""
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None


class CannedStream(CannedChat, frozen=True, kw_only=True):
    """A streamed answer: the whole body as bytes, and everything that its events say together.

    `end` is a piece of the body's end marker: a body that is cut before it is not complete. Where a wire
    has several signs of the end, it is the first that suffices.
    """

    end: bytes

    def __post_init__(self) -> None:
        if self.body.count(self.end) != 1:
            raise ValueError(f"{self.end!r} stands {self.body.count(self.end)} times in the body, not once")


class CannedError(_Canned, frozen=True, kw_only=True):
    """A refusal, and the class of error that it is."""

    status: int
    kind: type[CallError]
    retry_after: float | None = None


class CannedBreak(_Canned, frozen=True, kw_only=True):
    """A stream in which the upstream reports a failure: the text before it, and the class of error."""

    text: str
    kind: type[CallError]


class CannedEmbeddings(_Canned, frozen=True, kw_only=True):
    """An answer of vectors, one for each of `texts`, in their order whatever that of the body."""

    texts: Sequence[str]
    vectors: Sequence[Sequence[float]]
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        if not self.texts or len(self.texts) != len(self.vectors):
            raise ValueError(f"{len(self.vectors)} vectors for {len(self.texts)} texts; give one for each")


class CannedModels(_Canned, frozen=True, kw_only=True):
    """A list of models, and their ids in order."""

    ids: Sequence[str]
