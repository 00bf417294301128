"""The usual bodies of the Messages API as typed values, straight from bytes.

A shape declares all that such a body may hold. Whatever else one holds (another member, block, delta or type,
a number that no counter has, half a character, bytes that are no UTF-8) makes its decoder raise one of
`UNUSUAL`, and the same bytes are read the tolerant way. So a shape decides nothing: it only saves the way
through dicts for what both ways read alike.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, field
from msgspec.json import Decoder

UNUSUAL = (ValueError, RecursionError)
"""What a decoder raises for bytes of another shape: ValueErrors, except for what is nested too deeply."""

_Count = Annotated[int, Meta(ge=0, lt=1 << 62)]
"""Tokens. What can be none is unknown, and so none of these; above 64 bits `raw` needs a closer look, too."""
_Index = Annotated[int, Meta(ge=0, lt=1 << 31)]
"""Bounded, since a whole number above 64 bits is a float when it is read the tolerant way."""


# Without `forbid_unknown_fields` members that no shape has would be skipped unread: their UTF-8 and nesting
# unchecked, a complaint among them unheard. `gc=False`: only a decoder makes them, so they are in no circle.
class _Shape(Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """What all shapes have in common. Members stand as servers write them: so they are found fastest."""


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


# A type is a `tag` only where there are several to choose from: a lone shape may be without its tag.
class TextBlock(_Shape, frozen=True):
    """A piece of the answer's text, without citations."""

    type: Literal["text"]
    text: str
    citations: None = None


class _Ephemeral(_Shape, frozen=True):
    ephemeral_5m_input_tokens: _Count = 0
    ephemeral_1h_input_tokens: _Count = 0


class _OutputDetails(_Shape, frozen=True):
    thinking_tokens: _Count | None = None


class Usage(_Shape, frozen=True):
    """The counters of an answer that used no tools of the upstream's."""

    input_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_read_input_tokens: _Count | None = None
    cache_creation: _Ephemeral | None = None
    output_tokens: _Count | None = None
    output_tokens_details: _OutputDetails | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    server_tool_use: None = None


class Message(_Shape, frozen=True, kw_only=True):
    """An answer of mere text, with nothing to say about why it ended but the word for it."""

    model: str
    id: str
    type: Literal["message"]
    role: str
    content: list[TextBlock]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: None = None
    usage: Usage
    container: None = None


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


class Text(_Shape, frozen=True, tag_field="type", tag="text_delta"):
    """The next piece of a text."""

    kind: ClassVar[str] = "text_delta"
    piece: str = field(name="text")


class Thinking(_Shape, frozen=True, tag_field="type", tag="thinking_delta"):
    """The next piece of what the model thinks aloud."""

    kind: ClassVar[str] = "thinking_delta"
    piece: str = field(name="thinking")


class Input(_Shape, frozen=True, tag_field="type", tag="input_json_delta"):
    """The next piece of the JSON text of a tool's input."""

    kind: ClassVar[str] = "input_json_delta"
    piece: str = field(name="partial_json")


class BlockDelta(_Shape, frozen=True):
    """The next piece of the block at `index`: of a hundred events of a stream, more than ninety."""

    type: Literal["content_block_delta"]
    index: _Index
    delta: Text | Thinking | Input


message = Decoder(Message).decode
"""The message in a whole body. Raises one of `UNUSUAL`."""
# Of one shape alone: choosing among several by the event's type costs 0.36 us instead of 0.28 for each event.
block_delta = Decoder(BlockDelta).decode
"""The data of an event that is named `content_block_delta`. Raises one of `UNUSUAL`."""
