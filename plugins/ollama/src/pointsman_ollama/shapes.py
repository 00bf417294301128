"""The usual bodies of Ollama's API as typed values, straight from bytes.

A shape declares all that such a body may hold. Whatever else one holds (another member or type, a number that
no counter has, half a character, bytes that are no UTF-8) makes its decoder raise one of `UNUSUAL`, and the
same bytes are read the tolerant way. So a shape decides nothing: it only saves the way through dicts for what
both ways read alike.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.json import Decoder

UNUSUAL = (ValueError, RecursionError)
"""What a decoder raises for bytes of another shape: ValueErrors, except for what is nested too deeply."""

_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
"""Tokens or nanoseconds. What can be none is unknown, and so none of these."""
_Some = Annotated[str, Meta(min_length=1)]
"""A text that is left out where it is empty."""
_Number = Annotated[float, Meta(gt=-(2.0**53), lt=2.0**53)]
"""Also a whole number, as the float that equals it: beyond these bounds there may be none."""


# Without `forbid_unknown_fields` members that no shape has would be skipped unread: their UTF-8 and nesting
# unchecked, a complaint among them unheard. `gc=False`: only a decoder makes them, so they are in no circle.
class _Shape(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What all shapes have in common. Members stand as servers write them: so they are found fastest."""


class Said(_Shape, frozen=True):
    """A message without tool calls and pictures, or a piece of one."""

    role: str
    content: str
    thinking: _Some = ""


class Line(_Shape, frozen=True, kw_only=True):
    """A line of an answer that is not the last one: of /api/chat with `message`, of /api/generate with
    `response` and `thinking`.
    """

    model: str
    created_at: str
    remote_model: str = ""
    remote_host: str = ""
    message: Said | UnsetType = UNSET
    response: str | UnsetType = UNSET
    thinking: _Some = ""
    done: bool

    @property
    def texts(self) -> tuple[str, str] | None:
        """Its text and its thinking; None when it has a place for neither."""
        if self.message is not UNSET:
            return self.message.content, self.message.thinking
        return None if self.response is UNSET else (self.response, self.thinking)


class Whole(Line, frozen=True):
    """A whole answer in one piece."""

    done_reason: str = ""
    context: list[int] | None = None
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: _Count | None = None
    prompt_eval_duration: int = 0
    eval_count: _Count | None = None
    eval_duration: int = 0


class Embeddings(_Shape, frozen=True):
    """The vectors of /api/embed. Whole numbers among theirs are read as floats."""

    model: str
    embeddings: list[list[_Number]]
    total_duration: _Count | UnsetType = UNSET
    load_duration: _Count | UnsetType = UNSET
    prompt_eval_count: _Count | UnsetType = UNSET


line = Decoder(Line).decode
"""A line of a stream. Raises one of `UNUSUAL`, so also for the last one, which holds the counts."""
whole = Decoder(Whole).decode
"""The answer in a whole body. Raises one of `UNUSUAL`."""
embeddings = Decoder(Embeddings).decode
"""The vectors in a whole body. Raises one of `UNUSUAL`."""
