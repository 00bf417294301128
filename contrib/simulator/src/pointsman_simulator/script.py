"""What an upstream is told to answer: plain values, no I/O.

Content events are the pieces of text, reasoning or tool calls of a stream. What comes before them (the
role chunk, `message_start`, the opening of a block) and after them (finish reason, usage, terminator) does
not count. `n_events` everywhere means content events.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FaultName = Literal[
    "status",
    "reset",
    "stall",
    "cut",
    "truncate",
    "error",
    "invalid_json",
    "invalid_utf8",
    "drip",
    "loading",
    "giant_line",
    "wrong_content_type",
    "redirect",
]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one reply. `prompt` includes `cached`, `completion` includes `reasoning`."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0


@dataclass(frozen=True, slots=True)
class Fault:
    """One way for a reply to go wrong; made by the constructors below.

    With a request that is not streamed, the faults "after n events" send the first half of the body and
    then do what their name says; `error_after` answers with the status of its kind.
    """

    name: FaultName
    code: int = 0
    n_events: int | None = None
    retry_after: float | str | None = None
    body: bytes | None = None
    kind: str | None = None
    seconds: float = 0.0
    size: int = 0
    rate: float = 0.0
    target: str = ""
    opening: bool = True

    @classmethod
    def status(
        cls,
        code: int,
        retry_after: float | str | None = None,
        body: str | bytes | None = None,
        kind: str | None = None,
    ) -> "Fault":
        """An HTTP error with the wire's own error body.

        Args:
            code: the HTTP status.
            retry_after: seconds, or the text of the header (for an HTTP date).
            body: sent as it is, instead of the wire's.
            kind: "rate_limit", "slow_down", "quota", "overloaded", "server_error", "context_length",
                "content_filter", "bad_request", "authentication", "billing", "forbidden", "not_found",
                "timeout", "too_large", "edge" (an HTML page), "empty" (no body). By default the one that
                belongs to the status.
        """
        encoded = body.encode() if isinstance(body, str) else body
        return cls("status", code=code, retry_after=retry_after, body=encoded, kind=kind)

    @classmethod
    def reset(cls) -> "Fault":
        """The connection is reset (RST) before any byte."""
        return cls("reset")

    @classmethod
    def reset_after(cls, n_events: int, *, pause: float = 0.03, opening: bool = True) -> "Fault":
        """The connection is reset after `n_events` content events.

        A reset throws away what the client has not read yet, so the server waits `pause` seconds first;
        a client that is slower than that may see fewer events, never more.
        """
        return cls("reset", n_events=n_events, seconds=pause, opening=opening)

    @classmethod
    def stall(cls) -> "Fault":
        """The request is accepted and nothing is answered until the client goes away."""
        return cls("stall")

    @classmethod
    def stall_after(cls, n_events: int, *, opening: bool = True) -> "Fault":
        """Silence after `n_events` content events, until the client goes away."""
        return cls("stall", n_events=n_events, opening=opening)

    @classmethod
    def cut_after(cls, n_events: int, *, pause: float = 0.03, opening: bool = True) -> "Fault":
        """The connection is closed in the middle of the body: the last chunk of the transfer is missing.

        The server waits `pause` seconds before it closes, as some clients drop what they have not read.
        """
        return cls("cut", n_events=n_events, seconds=pause, opening=opening)

    @classmethod
    def truncate_after(cls, n_events: int, *, opening: bool = True) -> "Fault":
        """The body ends as HTTP wants it, but without finish reason and terminator."""
        return cls("truncate", n_events=n_events, opening=opening)

    @classmethod
    def error_after(cls, n_events: int, kind: str = "server_error", *, opening: bool = True) -> "Fault":
        """An error event in the wire's form inside a stream with status 200.

        Args:
            n_events: 0 puts it before any content.
            kind: as in `status`.
            opening: False leaves out the frames before the content too, so the error comes first.
        """
        return cls("error", n_events=n_events, kind=kind, opening=opening)

    @classmethod
    def invalid_json(cls, n_events: int = 1) -> "Fault":
        """An event that is no JSON after `n_events` good ones; without streaming, a body that is no JSON."""
        return cls("invalid_json", n_events=n_events)

    @classmethod
    def invalid_utf8(cls) -> "Fault":
        """The bytes FF FE inside the first piece of text."""
        return cls("invalid_utf8")

    @classmethod
    def drip(cls, bytes_per_second: float) -> "Fault":
        """The right body, slowly."""
        if bytes_per_second <= 0:
            raise ValueError("bytes_per_second must be above 0")
        return cls("drip", rate=bytes_per_second)

    @classmethod
    def loading(cls, seconds: float) -> "Fault":
        """A model that is still being loaded for `seconds`.

        LocalAI: 503 `model_loading` with Retry-After. Ollama: waits and then answers. OpenAI and Claude
        have no such state and answer "overloaded" (503, 529) with Retry-After.
        """
        return cls("loading", seconds=seconds)

    @classmethod
    def giant_line(cls, n_bytes: int) -> "Fault":
        """The text is one piece of `n_bytes` letters: one very long line in a stream."""
        return cls("giant_line", size=n_bytes)

    @classmethod
    def wrong_content_type(
        cls, content_type: str = "text/html; charset=utf-8", body: str | bytes | None = None
    ) -> "Fault":
        """Status 200 and another content type; `body` replaces the right body when given."""
        encoded = body.encode() if isinstance(body, str) else body
        return cls("wrong_content_type", target=content_type, body=encoded)

    @classmethod
    def redirect(cls, url: str, code: int = 307) -> "Fault":
        """A redirect to `url`."""
        return cls("redirect", target=url, code=code)


@dataclass(frozen=True, slots=True)
class Reply:
    """What one inference request gets.

    Attributes:
        text: None generates words from seed and prompt (none when there are tool calls).
        reasoning: thinking text, in the wire's own place.
        tool_calls: (name, arguments); arguments as text are sent as they are, valid or not.
        call_first_tool: call the first tool of the request, with arguments made from its schema.
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter` are translated to the wire,
            any other word is sent as it is. None picks the fitting one.
        usage: None counts words.
        latency: seconds before the first byte, or (low, high) for a uniform choice. None: the upstream's.
        tokens_per_second: pace of the content events. None: the upstream's, which is by default no limit.
        chunks: the pieces themselves, or their number. None: one piece per word.
        headers: more response headers; they win over the wire's.
        dim: length of each embedding.
        pings: SSE comments or ping events before the first content, `ping_interval` seconds apart.
        omit_terminator: a clean end without `[DONE]`, `message_stop` or the `done: true` line.
        omit_usage: no token counts.
        split_bytes: write the body in pieces of so many bytes, so that characters are cut.
        fault: how it goes wrong.
    """

    text: str | None = None
    reasoning: str | None = None
    tool_calls: tuple[tuple[str, Mapping[str, Any] | str], ...] = ()
    call_first_tool: bool = False
    finish_reason: str | None = None
    usage: Usage | None = None
    latency: float | tuple[float, float] | None = None
    tokens_per_second: float | None = None
    chunks: tuple[str, ...] | int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    dim: int = 16
    pings: int = 0
    ping_interval: float = 0.0
    omit_terminator: bool = False
    omit_usage: bool = False
    split_bytes: int | None = None
    fault: Fault | None = None

    def __post_init__(self) -> None:
        if self.split_bytes is not None and self.split_bytes < 1:
            raise ValueError("split_bytes must be 1 or more")
        if self.tokens_per_second is not None and self.tokens_per_second <= 0:
            raise ValueError("tokens_per_second must be above 0")
        # Lists are what people write (and what JSON gives); tuples are what a value should hold.
        object.__setattr__(
            self, "tool_calls", tuple((name, arguments) for name, arguments in self.tool_calls)
        )
        if self.chunks is not None and not isinstance(self.chunks, int):
            object.__setattr__(self, "chunks", tuple(self.chunks))
