"""The values that pass between the server and the wires."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pointsman_simulator.script import Usage

Kind = Literal["chat", "text", "embeddings", "load"]


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request. `body` is parsed JSON, None when absent; `broken` says it was no JSON object."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    broken: bool
    number: int
    ids: "Ids"


@dataclass(frozen=True, slots=True)
class Ids:
    """Unique and repeatable names for one request: `hex` has 32 digits, `created` is in unix seconds."""

    hex: str
    created: int

    def hex_of(self, index: int) -> str:
        """32 hex digits for the `index`-th thing inside this request."""
        return f"{(int(self.hex, 16) + 0x9E3779B97F4A7C15F39CC0605CEDC835 * (index + 1)) % (1 << 128):032x}"

    @property
    def uuid(self) -> str:
        """The same as a UUID of version 4."""
        digits = self.hex
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"


@dataclass(frozen=True, slots=True)
class Ask:
    """What an inference request wants, in words that all wires share.

    Attributes:
        prompt: all text of the request; its words are counted and seed generated text.
        inputs: the texts to embed.
        tools: the tools of the request as (name, JSON schema of the arguments).
        forced: the name of the tool that has to be called, None when the model may choose.
        schema: of the JSON that has to be answered, `{}` for any object; None for free text.
        stop: texts before which the answer ends.
        dimensions: the length of the vectors that is asked for; None for the model's own.
        logprobs: how many alternatives of each token are to be told beside it; None for no logprobs.
        keep_alive: seconds, only Ollama knows it.
    """

    kind: Kind
    model: str
    stream: bool = False
    prompt: str = ""
    inputs: tuple[str, ...] = ()
    tools: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    forced: str | None = None
    schema: Mapping[str, Any] | None = None
    stop: tuple[str, ...] = ()
    dimensions: int | None = None
    logprobs: int | None = None
    max_tokens: int | None = None
    n: int = 1
    keep_alive: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any] | str


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished answer before it has a wire: all chance is taken.

    Attributes:
        pieces, reasoning: the text, cut as it is streamed.
        finish: `stop`, `length`, `tool_calls`, `content_filter`, or a native word.
        stopped_by: the one of the asked texts before which it ended, "" for none.
        usage: None when it is to be left out.
        vectors: the embeddings, in the order of the inputs.
        load_s, wait_s, eval_s: seconds for loading, until the first piece, and for all pieces.
    """

    pieces: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    stopped_by: str = ""
    usage: Usage | None = None
    vectors: tuple[tuple[float, ...], ...] = ()
    load_s: float = 0.0
    wait_s: float = 0.0
    eval_s: float = 0.0

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def thinking(self) -> str:
        return "".join(self.reasoning)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer, frame by frame.

    Attributes:
        opening: before the content.
        content: one entry per content event; it may hold several frames that belong together.
        closing: finish reason and usage.
        terminator: what says that it is complete.
        delay: seconds before each content entry (only the progress of downloads has it here).
        installs: the model that is there when the stream has been sent to its end.
    """

    content_type: str
    opening: tuple[bytes, ...] = ()
    content: tuple[bytes, ...] = ()
    closing: tuple[bytes, ...] = ()
    terminator: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    installs: str | None = None
