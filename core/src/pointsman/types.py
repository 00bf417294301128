"""What is asked and what is answered: messages, tools, requests, responses, stream events.

One unified, OpenAI-like shape; every provider plugin translates between it and its own wire. All values
are immutable. What has no place in the shape travels in `extra` (to the upstream, and back where the upstream
wants it again) and `raw` (from it).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike
from os.path import basename
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from msgspec import Struct, field
from msgspec.structs import replace as replace

from pointsman._internal.undecoded import decoded_when_read
from pointsman.values.typed_answers import Typed, parsed, read_as

if TYPE_CHECKING:
    from decimal import Decimal

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
    """A piece of text.

    Attributes:
        text: the text.
        extra: members of its mapping that have no field here, such as `cache_control`.
    """

    text: str
    extra: JsonObject = NOTHING


class Image(Struct, frozen=True):
    """A picture: as bytes (`data` with `media_type`), or by `url` for the upstream to fetch, or `data:`.

    Attributes:
        data: the bytes; None where there is a `url`.
        media_type: of `data`, such as `image/png` or `image/jpeg`.
        url: `https:` for the upstream to fetch, which not each does, or `data:`.
        detail: how closely to look, for upstreams that ask: `low`, `high` or `auto`.
    """

    data: bytes | None = None
    media_type: str = "image/png"
    url: str | None = None
    detail: str | None = None
    extra: JsonObject = NOTHING

    @staticmethod
    def from_file(path: str | PathLike[str], *, detail: str | None = None) -> Image:
        """The picture in a file, which is read here: its kind by its first bytes, whatever its name says.

        Raises: OSError when it cannot be read; ValueError when it is empty, larger than 50 MiB or no picture.
        """
        from pointsman.values.media_files import read_media  # few messages have files

        data, media_type = read_media(path, "Image")
        return Image(data, media_type, detail=detail)


class File(Struct, frozen=True):
    """A document, usually a PDF: as bytes, by `url` (or `data:`), or by an `id` of the upstream's.

    Attributes:
        data: the bytes; None where there is a `url` or an `id`.
        media_type: of `data`.
        filename: what the model is told that it is called.
        url: `https:` for the upstream to fetch, which not each does, or `data:`.
        id: of a file that was uploaded to the upstream before.
    """

    data: bytes | None = None
    media_type: str = "application/pdf"
    filename: str | None = None
    url: str | None = None
    id: str | None = None
    extra: JsonObject = NOTHING

    @staticmethod
    def from_file(path: str | PathLike[str]) -> File:
        """The document in a file, with the file's name: a PDF by its first bytes, others by their suffix.

        Raises: as `Image.from_file`, of what is no document.
        """
        from pointsman.values.media_files import read_media

        data, media_type = read_media(path, "File")
        return File(data, media_type, basename(path))


class Audio(Struct, frozen=True):
    """Sound, as bytes or by a `data:` URL.

    Attributes:
        data: the bytes; empty where there is a `url`.
        format: the name of the encoding, such as `wav` or `mp3`.
        url: a `data:` URL.
    """

    data: bytes = b""
    format: str = "wav"
    extra: JsonObject = NOTHING
    url: str | None = None

    @staticmethod
    def from_file(path: str | PathLike[str]) -> Audio:
        """The sound in a file: its format by its first bytes. Raises: as `Image.from_file`, of no sound."""
        from pointsman.values.media_files import read_media

        data, media_type = read_media(path, "Audio")
        return Audio(data, media_type.removeprefix("audio/"))


Part = Text | Image | File | Audio
"""A piece of a message."""


def as_parts(given: Sequence[Part | str]) -> Sequence[Part]:
    """`given` with a `Text` in place of each string; itself when there is none."""
    if not any(isinstance(part, str) for part in given):
        return given  # type: ignore[return-value]  # it was looked through
    return tuple([Text(part) if isinstance(part, str) else part for part in given])


class ToolCall(Struct, frozen=True):
    """The model asks for a tool.

    Attributes:
        id: what the result is handed back under, see `Message.tool`.
        name: of the tool.
        arguments: the JSON text exactly as the model wrote it: it can be invalid JSON, and then it is the
            caller who decides what to do.
        index: counts the calls of one answer from 0.
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

    Attributes:
        role: `system`, `user`, `assistant` or `tool`.
        content: a string, or parts in order.
        tool_calls: of the assistant.
        tool_call_id: of a message of role `tool`: the call that it answers.
        name: of a message of role `tool` that of the tool; else who speaks, where an upstream asks.
        is_error: of a message of role `tool`: the tool failed, and `content` says how.
        reasoning: what the model thought aloud.
        reasoning_blocks: the provider's own signed pieces of it, which must go back unchanged.
        extra: members of its mapping that have no field here; what the upstream wants back with it.
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
    def user(content: str | Sequence[Part | str]) -> Message:
        """What the user says: text, or parts in order, of which texts may be plain strings."""
        return Message("user", content if isinstance(content, str) else as_parts(content))

    @staticmethod
    def assistant(text: str = "", tool_calls: Sequence[ToolCall] = ()) -> Message:
        """An answer, as text and calls; `ChatResponse.message` makes it of one with all that it holds."""
        return Message("assistant", text, tool_calls=tool_calls)

    @staticmethod
    def tool(tool_call_id: str, content: str, *, name: str | None = None, is_error: bool = False) -> Message:
        """What a tool gave for the call of that id; `is_error`: it failed, and `content` says how."""
        return Message("tool", content, tool_call_id=tool_call_id, name=name, is_error=is_error)


class Tool(Struct, frozen=True):
    """A function that the model may ask for.

    Attributes:
        name: letters, digits, `_` and `-`, as upstreams want it.
        description: when to call it, for the model.
        parameters: a JSON Schema of type object; without properties where it takes nothing.
        strict: whether arguments must fit the schema, where the upstream can promise that.
    """

    name: str
    description: str = ""
    parameters: JsonSchema = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool | None = None
    extra: JsonObject = NOTHING

    @staticmethod
    def from_function(
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        strict: bool | None = None,
    ) -> Tool:
        """What a function is to a model; nobody calls it here. It may be a coroutine function or a method.

        Args:
            name: that of the function when None.
            description: the first paragraph of its docstring when None. What is said of parameters comes
                from a section `Args:` as Google's style has it, or from `Annotated[…, Field(description=…)]`.
            strict: True: the upstream is to hold to the schema, in which every parameter is then required.
                None: nothing is said of that, and parameters with defaults may be left out.

        Raises: TypeError that names the parameter which has no annotation, or that a model could not give.
        """
        from pointsman.values.functions import described, expect_name  # few tools are functions

        known = described(function, strict=strict)
        about = known.description if description is None else description
        return Tool(expect_name(name or known.name), about, known.parameters, strict)


class ToolChoice(Struct, frozen=True):
    """Whether tools are used.

    Attributes:
        mode: `auto`, `none`, `required`, or `tool` for the one called `name`.
        name: of the tool that must be called; None with another mode.
    """

    mode: ToolMode
    name: str | None = None


class ResponseFormat(Struct, frozen=True):
    """What the answer must look like.

    Attributes:
        kind: `text` for any, `json` for some object, `schema` for JSON of `schema`.
        schema: a JSON Schema; None with another kind.
        name: what the upstream is told that the schema is called.
        strict: whether the answer must fit the schema, where the upstream can promise that.
        description: tells the model what the format is for.
    """

    kind: FormatKind
    schema: JsonSchema | None = None
    name: str = "answer"
    strict: bool | None = None
    description: str | None = None

    @staticmethod
    def of(python_type: Any, *, name: str | None = None, strict: bool | None = None) -> ResponseFormat:
        """JSON of a type: a pydantic model, dataclass, TypedDict, msgspec Struct, or what pydantic reads.

        The answer's `parsed` is a value of it. What is no object, such as `list[Sky]`, is asked for as the
        member `value` of one, and read from there.

        Args:
            name: that of the type when None.
            strict: True: upstreams are to hold to the schema, in which every member is then required and no
                other one allowed; False: the schema is sent as the type's library makes it. None: strict
                where the type can be, which mappings of any name and tuples, for two, cannot.

        Raises: TypeError for what has no JSON Schema, or cannot be strict.
        """
        from pointsman.values.json_types import TypedSchema, json_type  # few answers are read as a type

        known = json_type(python_type)
        made, strict = known.strict_schema(strict)
        schema = TypedSchema(made)
        schema.python_type = python_type
        return ResponseFormat("schema", schema, name or known.name, strict)


# ── requests ─────────────────────────────────────────────────────────────────────────────────────────

R = TypeVar("R", "ChatRequest", "GenerateRequest", "EmbedRequest")
T = TypeVar("T")


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

    None means "not said": the deployment's defaults and then the upstream's own apply. Numbers must be
    finite; which of them go is the upstream's to say.

    Attributes:
        model: the public name, or `provider/upstream-model`.
        messages: what was said so far. Where all are plain text they come as `text_messages.TextMessages`,
            which makes them when somebody looks.
        tools: what the model may ask for, as Tool or as mappings of OpenAI's API.
        tool_choice: whether it may, must or must not: `auto`, `none`, `required`, or the name of a tool.
        parallel_tool_calls: whether one answer may ask for several.
        temperature: how adventurous; 0 to 2 at most upstreams, 0 to 1 at Anthropic.
        top_p: only the likeliest tokens that together have this probability; 0 to 1.
        top_k: only so many of the likeliest tokens.
        min_p: only tokens at least this probable beside the likeliest; 0 to 1.
        max_tokens: of the answer, reasoning included where the upstream counts so; 1 or more.
        stop: texts at which the answer ends, without them.
        seed: for the same answer again, where the upstream can.
        presence_penalty, frequency_penalty: against what was said already, once for all or each time;
            -2 to 2.
        repeat_penalty: the same as a factor, where the upstream has it; 1 is none.
        logit_bias: token → from -100, never, to 100, always.
        logprobs: tell how probable the tokens were; the answer has it in `raw`.
        top_logprobs: for each token how probable so many others were, with `logprobs`; 0 to 20.
        reasoning_effort: how long to think: `none`, `minimal`, `low`, `medium`, `high`, `xhigh` or `max`.
        response_format: what the answer must look like: `text`, `json`, a JSON Schema, or a ResponseFormat.
        user: whom the upstream is told that it is for; it may keep that.
        metadata: texts for the upstream, which may keep them.
        extra: what only this provider type knows, untouched, merged into the body that is sent.
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
    """A plain completion. What is not said here is as of a ChatRequest.

    Attributes:
        prompt: the text that is to go on.
        suffix: the text that comes after what is written, where the upstream can.
        system: what the model is told before.
        images: pictures to the prompt.
    """

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
    """Texts to turn into vectors.

    Attributes:
        texts: one or more, each of which becomes one vector.
        dimensions: floats of each vector, 1 or more; None: as many as the model has.
    """

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

    Attributes:
        prompt: all that was asked, `cached` and `cache_write` included.
        completion: all that was answered, `reasoning` included.
        cached: of the prompt, read from the upstream's cache; no token of `cache_write` is among them.
        cache_write: of the prompt, written into it.
        reasoning: of the answer, spent on thinking.
        cache_write_hour: of `cache_write`, what is kept there for an hour, where that costs more.
        service_tier: how it was served, in the upstream's word, where that is not the ordinary way: such as
            `flex`, `priority` or `batch`.
    """

    prompt: int | None = None
    completion: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    cache_write_hour: int | None = None
    service_tier: str | None = None

    @property
    def total(self) -> int | None:
        """Prompt and completion together, None unless both are known."""
        if self.prompt is None or self.completion is None:
            return None
        return self.prompt + self.completion


class ChatResponse(Typed, Struct, frozen=True):
    """A whole answer.

    The provider fills everything down to `raw`, and `extra`; the router adds where it came from.

    Attributes:
        text: what was said; "" where nothing was, as with calls of tools.
        tool_calls: the tools that the model asks for, in order.
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter`, `error` or `other`.
        usage: tokens of the call that answered.
        model: what the upstream says answered.
        id: the upstream's own of the answer.
        reasoning: what the model thought aloud; None where it told nothing.
        reasoning_blocks: signed pieces of it, for the upstream; `message` has them.
        refusal: why the model would not; None where it did.
        native_finish_reason: the upstream's own word for `finish_reason`.
        upstream_request_id: the upstream's own of the call, for its support; "" when it gave none.
        raw: what the upstream sent, decoded when it is read; of a stream only what has no place elsewhere,
            such as citations or pictures.
        deployment: the id of the one that answered, `provider/upstream-model`.
        attempts: how many the request took, 1 or more.
        request_id: ours, or the caller's; it stands in events, records and logs.
        extra: what the upstream wants back with the message.
        relayed: the body in the caller's own wire, fit to be sent on, where the provider speaks it and no
            guard has changed the answer.
        cost_microcents: in millionths of a US cent (10^-8 USD), what the attempts at the request cost that
            were counted, together; None where nobody knows what the one cost that answered.
        dropped: names of options that were left out of what was asked, for models with `unsupported: drop`.
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
    dropped: Sequence[str] = ()

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in USD, exactly, printed without an exponent; None where it is not known."""
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

    @property
    def parsed(self) -> Any:
        """The text as a value of the type that `response_format` named, made once; None for a refusal.

        Raises: FormatNotMet when the text does not fit; RuntimeError when the request named no type. An
            answer that was pickled or changed has none either: `parse` reads it.
        """
        return parsed(self)

    def parse(self, python_type: type[T]) -> T:
        """The text as a value of any such type, made anew each time. Raises: FormatNotMet, TypeError."""
        return cast("T", read_as(python_type, self))

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """All fields as mappings, lists, texts and numbers, fit for JSON; bytes are base64.

        Args: raw: with what the upstream sent, which is as much again.

        `relayed`, which says the same in the caller's own wire, is left out.
        """
        from pointsman.values.plain_mappings import plain_mapping

        return plain_mapping(self, without=("relayed",) if raw else ("raw", "relayed"))

    def to_openai(self, *, id: str = "", created: int | None = None, model: str = "") -> dict[str, Any]:
        """The answer as a `chat.completion` of OpenAI's API.

        Args:
            id, model: what it says of itself; by default as the upstream named them.
            created: seconds since 1970 UTC; now when None.

        What that API has no member for stands where compatible servers have it: `reasoning_content`,
        `reasoning_details`. Token counts that nobody told are left out.
        """
        from pointsman.clock import LoopClock
        from pointsman.values.openai_objects import completion

        made = int(LoopClock.wall()) if created is None else created
        head = {"id": id or self.id or self.request_id, "created": made, "model": model or self.model}
        return completion(self, head)


decoded_when_read(ChatResponse, "raw")


class EmbedResponse(Struct, frozen=True):
    """The vectors of texts; the router adds where they came from, as of `ChatResponse`.

    Attributes:
        vectors: n lists of dim floats, in the order of the texts.
        relayed, cost_microcents: as of `ChatResponse`.
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
        """The cost in USD, exactly, printed without an exponent; None where it is not known."""
        return _usd(self.cost_microcents)

    def to_dict(self, *, raw: bool = False) -> dict[str, Any]:
        """As of `ChatResponse`."""
        from pointsman.values.plain_mappings import plain_mapping

        return plain_mapping(self, without=("relayed",) if raw else ("raw", "relayed"))

    def to_openai(self, *, model: str = "") -> dict[str, Any]:
        """The answer as a list of embeddings of OpenAI's API. Args: model: as the upstream named it."""
        from pointsman.values.openai_objects import embeddings

        return embeddings(self, model or self.model)


decoded_when_read(EmbedResponse, "raw")


def _usd(microcents: int | None) -> Decimal | None:
    from pointsman.values.usd import usd  # for those that ask

    return None if microcents is None else usd(microcents)


class ModelInfo(Struct, frozen=True):
    """A model that an upstream offers, or a public name of the router; None and () for what nobody says.

    Attributes:
        id: what it is called by: a public name, or `provider/upstream-model`.
        provider: that of the configuration which lists it; "" for a public name.
        created: seconds since 1970 UTC.
        context_window: tokens of prompt and answer together.
        capabilities: what it can do, such as `tools` or `vision`.
        size_bytes: of the file, of local models.
        raw: what the upstream sent of it.
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
    """What it is, for programs: `started`, `text`, `reasoning`, `tool_call`, … `done`."""
    content: ClassVar[bool] = False
    """Whether it is part of the answer."""

    @property
    def text(self) -> str:
        """The next piece of the answer's text."""
        return ""


class Started(StreamEvent, frozen=True, gc=False):
    """The upstream accepted and names its answer. Never content.

    Attributes:
        id: the upstream's own of the answer.
        model: what it says answers.
    """

    kind = "started"
    id: str = ""
    model: str = ""


class TextDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of the answer's text.

    Attributes:
        text: the piece.
    """

    kind = "text"
    content = True
    text: str = ""


class ReasoningDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of what the model thinks aloud.

    Attributes:
        reasoning: the piece.
    """

    kind = "reasoning"
    content = True
    reasoning: str = ""


class ReasoningBlock(StreamEvent, frozen=True):
    """A signed piece of reasoning, complete, to be sent back unchanged with the next turn.

    Attributes:
        block: as the upstream wrote it; `ChatResponse.message` has it.
    """

    kind = "reasoning_block"
    content = True
    block: JsonObject = field(default_factory=dict)


class RefusalDelta(StreamEvent, frozen=True, gc=False):
    """The next piece of a refusal.

    Attributes:
        refusal: the piece.
    """

    kind = "refusal"
    content = True
    refusal: str = ""


class ToolCallDelta(StreamEvent, frozen=True):
    """The next piece of a call of a tool.

    Attributes:
        index: which call of the answer it belongs to, from 0.
        id: of the call; in its first piece only.
        name: of the tool; in its first piece only.
        arguments: the next piece of the JSON text.
        extra: what the upstream wants back with the call.
    """

    kind = "tool_call"
    content = True
    index: int = 0
    id: str = ""
    name: str = ""
    arguments: str = ""
    extra: JsonObject = NOTHING


class RawDelta(StreamEvent, frozen=True):
    """What else the upstream sent.

    Both fields are joined member by member: texts and lists grow, what is repeated counts once.

    Attributes:
        raw: what has no place in the answer.
        extra: what the upstream wants back with its message.
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
    """The tokens as counted so far; the last one stands.

    Attributes:
        usage: all tokens of the call so far.
    """

    kind = "usage"
    usage: Usage = field(default_factory=Usage)


class Finished(StreamEvent, frozen=True):
    """The upstream says why the answer ends. The first one stands.

    Attributes:
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter`, `error` or `other`.
        native: the upstream's own word for it.
    """

    kind = "finished"
    finish_reason: FinishReason = "stop"
    native: str | None = None


class Done(StreamEvent, frozen=True):
    """The last event of every complete stream.

    Attributes:
        response: the whole answer, assembled.
    """

    kind = "done"
    response: ChatResponse = field(default_factory=ChatResponse)
