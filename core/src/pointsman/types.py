"""What is asked and what is answered: messages, tools, requests, responses, stream events.

One unified, OpenAI-like shape; every provider plugin translates between it and its own wire. All values
are immutable. What has no place in the shape travels in `extra` (to the upstream, and back where the upstream
wants it again) and `raw` (from it).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, Literal, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace as replace

from pointsman._internal.undecoded import decoded_when_read

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error", "other"]
"""Why an answer ended; what an upstream says otherwise is `other`, with its own word beside it."""
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
"""How much a model is to think before it answers, as callers ask for it."""
ToolMode = Literal["auto", "none", "required", "tool"]
FormatKind = Literal["text", "json", "schema"]

JsonObject = Mapping[str, Any]
"""What JSON calls an object."""
JsonSchema = Mapping[str, Any]


class _Nothing(JsonObject):
    """The empty mapping that all values share which have no `extra`; unlike a dict it can be hashed."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: JsonObject = _Nothing()
"""No members."""


# ── messages ─────────────────────────────────────────────────────────────────────────────────────────


# `extra` of a part, a call, a message and a tool holds the members of its OpenAI-style mapping that have no
# field here, such as `cache_control` or `extra_content`, with those of mappings inside it under their names.
# A provider sends them along where its upstream has a place for them, and refuses what it cannot send.


class Text(Struct, frozen=True):
    """A piece of text."""

    text: str
    extra: JsonObject = NOTHING


class Image(Struct, frozen=True):
    """A picture: as bytes (`data` with `media_type`), or by `url` for the upstream to fetch, or `data:`."""

    data: bytes | None = None
    media_type: str = "image/png"
    url: str | None = None
    detail: str | None = None
    extra: JsonObject = NOTHING


class File(Struct, frozen=True):
    """A document, usually a PDF: as bytes, by `url` (or `data:`), or by an `id` of the upstream's."""

    data: bytes | None = None
    media_type: str = "application/pdf"
    filename: str | None = None
    url: str | None = None
    id: str | None = None
    extra: JsonObject = NOTHING


class Audio(Struct, frozen=True):
    """Sound, as bytes or by a `data:` URL; `format` is the name of the encoding, such as `wav` or `mp3`."""

    data: bytes = b""
    format: str = "wav"
    extra: JsonObject = NOTHING
    url: str | None = None


Part = Text | Image | File | Audio
"""A piece of a message."""


class ToolCall(Struct, frozen=True):
    """The model asks for a tool.

    `arguments` is the JSON text exactly as the model wrote it: it can be invalid JSON, and then it is the
    caller who decides what to do. `index` counts the calls of one answer from 0.
    """

    id: str
    name: str
    arguments: str
    index: int = 0
    extra: JsonObject = NOTHING

    def parsed(self) -> Any:
        """The arguments as a JSON value; `{}` for an empty text. Raises ValueError when invalid."""
        return json.loads(self.arguments) if self.arguments.strip() else {}


class Message(Struct, frozen=True):
    """One turn of a conversation.

    `content` is a string or a sequence of parts. `tool_calls` belong to the assistant; `tool_call_id` and
    `is_error` to a message of role `tool`. `reasoning` is what the model thought aloud, and
    `reasoning_blocks` are the provider's own signed pieces of it, which must go back unchanged.
    """

    role: Role
    content: str | Sequence[Part] = ""
    tool_calls: Sequence[ToolCall] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False
    reasoning: str | None = None
    reasoning_blocks: Sequence[JsonObject] = ()
    extra: JsonObject = NOTHING

    @property
    def parts(self) -> Sequence[Part]:
        """The content as parts: a string is one `Text`, an empty string none."""
        if isinstance(self.content, str):
            return (Text(self.content),) if self.content else ()
        return self.content

    @property
    def text(self) -> str:
        """All text parts joined without a separator."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content if isinstance(part, Text))

    @staticmethod
    def system(text: str) -> Message:
        """What the model is told before the conversation."""
        return Message("system", text)

    @staticmethod
    def user(content: str | Sequence[Part]) -> Message:
        """What the user says: text, or parts in order."""
        return Message("user", content)

    @staticmethod
    def assistant(text: str = "", tool_calls: Sequence[ToolCall] = ()) -> Message:
        """An answer, as text and calls; `ChatResponse.message` makes it of one with all that it holds."""
        return Message("assistant", text, tool_calls=tool_calls)

    @staticmethod
    def tool(tool_call_id: str, content: str, *, name: str | None = None, is_error: bool = False) -> Message:
        """What a tool gave for the call of that id; `is_error`: it failed, and `content` says how."""
        return Message("tool", content, tool_call_id=tool_call_id, name=name, is_error=is_error)


class Tool(Struct, frozen=True):
    """A function that the model may ask for; `parameters` is a JSON Schema of type object."""

    name: str
    description: str = ""
    parameters: JsonSchema = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    extra: JsonObject = NOTHING


class ToolChoice(Struct, frozen=True):
    """Whether tools are used: `auto`, `none`, `required`, or `tool` for the one called `name`."""

    mode: ToolMode
    name: str | None = None


class ResponseFormat(Struct, frozen=True):
    """What the answer must look like: any `text`, some `json`, or JSON of a `schema`.

    `description` tells the model what the format is for.
    """

    kind: FormatKind
    schema: JsonSchema | None = None
    name: str = "answer"
    strict: bool | None = None
    description: str | None = None


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────

R = TypeVar("R", "ChatRequest", "GenerateRequest", "EmbedRequest")


def _with_defaults(self: R, defaults: Mapping[str, Any]) -> R:
    """This request with `defaults` for whatever it does not say; itself when it says all.

    Those for another kind of request are left out: a temperature says nothing to an embedding.
    """
    if not defaults:
        return self
    changes = {
        name: value
        for name, value in defaults.items()
        if name in self.__struct_fields__ and getattr(self, name) in (None, (), [])
    }
    if defaults.get("extra"):
        changes["extra"] = {**defaults["extra"], **self.extra}
    return replace(self, **changes) if changes else self


class ChatRequest(Struct, frozen=True):
    """A conversation to continue.

    `model` is the public name. `messages` that are all plain text come as `text_messages.TextMessages`, which
    makes them when somebody looks. None means "not said": the deployment's defaults and then the upstream's
    own apply. `max_tokens`, 1 or more, bounds the answer, reasoning included where the upstream counts so.
    Other numbers must be finite; their ranges are the upstream's. `stop` are texts at which the answer ends.
    `extra` is passed to the provider untouched and merged into the body it sends.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[Tool] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repeat_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    metadata: Mapping[str, str] | None = None
    extra: JsonObject = field(default_factory=dict)

    with_defaults = _with_defaults


class GenerateRequest(Struct, frozen=True):
    """A plain completion: text goes on after `prompt` (and before `suffix`, where the upstream can)."""

    model: str
    prompt: str
    suffix: str | None = None
    system: str | None = None
    images: Sequence[Image] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    response_format: ResponseFormat | None = None
    extra: JsonObject = field(default_factory=dict)

    with_defaults = _with_defaults


class EmbedRequest(Struct, frozen=True):
    """Texts to turn into vectors, of `dimensions` floats each, 1 or more; None: as many as the model has."""

    model: str
    texts: Sequence[str]
    dimensions: int | None = None
    extra: JsonObject = field(default_factory=dict)

    with_defaults = _with_defaults


Request = ChatRequest | GenerateRequest | EmbedRequest
"""What a caller asks for, whichever way."""


# ── responses ────────────────────────────────────────────────────────────────────────────────────────


# `gc=False` only where all fields are texts and numbers: a cycle through such a value would never be freed.


class Usage(Struct, frozen=True, gc=False, omit_defaults=True):  # of a record of the audit, too
    """Tokens of one call, as the upstream counted them; None where it did not say.

    `prompt` includes `cached` and `cache_write`, which have no token in common; `completion` includes
    `reasoning`.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    @property
    def total(self) -> int | None:
        """Prompt and completion together, None unless both are known."""
        if self.prompt is None or self.completion is None:
            return None
        return self.prompt + self.completion


class ChatResponse(Struct, frozen=True):
    """A whole answer.

    The provider fills everything down to `raw`, and `extra`; the router adds where it came from. `model` is
    what the upstream says answered. `native_finish_reason` is the upstream's own word for `finish_reason`.
    `raw` is what the upstream sent; of a stream only what has no place elsewhere, such as citations or
    pictures. `extra` is what the upstream wants back with the message. `relayed` is the body in the caller's
    own wire, fit to be sent on, where the provider speaks it and no guard has changed the answer.
    `cost_microcents`, in millionths of a US cent (10^-8 USD), is what the attempts at the request cost that
    were counted, together; None where nobody knows what the one cost that answered.
    """

    text: str = ""
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    id: str = ""
    reasoning: str | None = None
    reasoning_blocks: Sequence[JsonObject] = ()
    refusal: str | None = None
    native_finish_reason: str | None = None
    upstream_request_id: str = ""
    raw: Any = None
    deployment: str = ""
    attempts: int = 1
    request_id: str = ""
    extra: JsonObject = NOTHING
    relayed: bytes = b""
    cost_microcents: int | None = None

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in USD, exactly; None where it is not known."""
        return _usd(self.cost_microcents)

    @property
    def message(self) -> Message:
        """The answer as a turn that can be appended to the conversation."""
        return Message(
            "assistant",
            self.text,
            tool_calls=self.tool_calls,
            reasoning=self.reasoning,
            reasoning_blocks=self.reasoning_blocks,
            extra=self.extra,
        )


decoded_when_read(ChatResponse, "raw")


class EmbedResponse(Struct, frozen=True):
    """`vectors`: n lists of dim floats, in the order of the texts; the router adds where they came from.

    `relayed` and `cost_microcents`: as of `ChatResponse`.
    """

    vectors: Sequence[Sequence[float]]
    usage: Usage = field(default_factory=Usage)
    model: str = ""
    upstream_request_id: str = ""
    raw: Any = None
    deployment: str = ""
    attempts: int = 1
    request_id: str = ""
    relayed: bytes = b""
    cost_microcents: int | None = None

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in USD, exactly; None where it is not known."""
        return _usd(self.cost_microcents)


decoded_when_read(EmbedResponse, "raw")


def _usd(microcents: int | None) -> Decimal | None:
    # Of text, for the result of a calculation is rounded as whoever runs in this thread likes it.
    return None if microcents is None else Decimal(f"{microcents}e-8")


class ModelInfo(Struct, frozen=True):
    """A model that an upstream offers, or a public name of the router; None and () for what nobody says.

    `created`: seconds since 1970 UTC. `context_window`: tokens. `raw`: what the upstream sent of it.
    """

    id: str
    provider: str = ""
    created: int | None = None
    context_window: int | None = None
    capabilities: Sequence[str] = ()
    size_bytes: int | None = None
    raw: Any = None


# ── stream events ────────────────────────────────────────────────────────────────────────────────────


class StreamEvent(Struct, frozen=True):
    """One thing that happened in a streamed answer.

    `text` is there on every event and empty on all but `TextDelta`, so that a loop may print it blindly.
    `content` tells whether the event is part of the answer: the first such event commits the stream.
    """

    kind: ClassVar[str] = ""
    content: ClassVar[bool] = False

    @property
    def text(self) -> str:
        """The next piece of the answer's text."""
        return ""


class Started(StreamEvent, frozen=True, gc=False):
    """The upstream accepted and names its answer. Never content."""

    kind = "started"
    id: str = ""
    model: str = ""


class TextDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of the answer's text."""

    kind = "text"
    content = True
    text: str = ""


class ReasoningDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of what the model thinks aloud."""

    kind = "reasoning"
    content = True
    reasoning: str = ""


class ReasoningBlock(StreamEvent, frozen=True):
    """A signed piece of reasoning, complete, to be sent back unchanged with the next turn."""

    kind = "reasoning_block"
    content = True
    block: JsonObject = field(default_factory=dict)


class RefusalDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of a refusal."""

    kind = "refusal"
    content = True
    refusal: str = ""


class ToolCallDelta(StreamEvent, frozen=True):
    """The next piece of tool call number `index`; `id` and `name` stand in its first piece only."""

    kind = "tool_call"
    content = True
    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: JsonObject = NOTHING


class RawDelta(StreamEvent, frozen=True):
    """What else the upstream sent: `raw` has no place in the answer, and `extra` goes back with its message.

    Both are joined member by member: texts and lists grow, what is repeated counts once.
    """

    kind = "raw"
    raw: JsonObject = NOTHING
    extra: JsonObject = NOTHING


class Relayed(StreamEvent, frozen=True, gc=False):
    """What one read brought of an answer in the caller's own wire: whole frames, fit to be sent on.

    It comes before the events that were read from it, which say the same. Where guards filter the stream
    there is none.
    """

    kind = "relayed"
    data: bytes = b""


class UsageUpdate(StreamEvent, frozen=True):
    """The tokens as counted so far; the last one stands."""

    kind = "usage"
    usage: Usage = field(default_factory=Usage)


class Finished(StreamEvent, frozen=True):
    """The upstream says why the answer ends. The first one stands."""

    kind = "finished"
    finish_reason: FinishReason = "stop"
    native: str | None = None


class Done(StreamEvent, frozen=True):
    """The last event of every complete stream: the whole answer, assembled."""

    kind = "done"
    response: ChatResponse = field(default_factory=ChatResponse)
