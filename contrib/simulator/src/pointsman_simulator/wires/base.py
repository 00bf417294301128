"""What each wire can do, and the few helpers that all of them use."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from pointsman_simulator.exchange import Answer, Ask, Call, Completion, Stream
from pointsman_simulator.script import Fault
from pointsman_simulator.site import Site

KIND_OF_STATUS = {
    400: "bad_request",
    401: "authentication",
    402: "billing",
    403: "forbidden",
    404: "not_found",
    408: "timeout",
    413: "too_large",
    422: "bad_request",
    429: "rate_limit",
    500: "server_error",
    502: "edge",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
"""What a status means when a script names no kind."""

EDGE_PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>\n"

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Wire(Protocol):
    """One API. Methods take and return plain values and keep no state."""

    name: str
    suffix: str
    """Appended to the origin for the base URL that clients are given."""
    default_models: tuple[str, ...]

    def refuse(self, call: Call, site: Site) -> Answer | None:
        """The answer to a call without the right credentials, or None when they are right."""
        ...

    def manage(self, call: Call, site: Site) -> Answer | Stream | None:
        """The answer of a route that does no inference; None when the path belongs to inference."""
        ...

    def understand(self, call: Call, site: Site) -> Ask | Answer:
        """What an inference request wants, or the refusal that it deserves."""
        ...

    def answer(self, call: Call, ask: Ask, completion: Completion) -> Answer:
        """The whole body."""
        ...

    def stream(self, call: Call, ask: Ask, completion: Completion) -> Stream:
        """The same, frame by frame."""
        ...

    def error(self, call: Call, status: int, kind: str, model: str) -> Answer:
        """The error body for a status and a kind of `Fault.status`."""
        ...

    def error_frames(self, call: Call, ask: Ask, kind: str) -> bytes:
        """An error inside a stream, with all that follows it."""
        ...

    def loading(self, call: Call, model: str, seconds: float) -> Answer | None:
        """The answer of a server whose model is being loaded; None when it lets the client wait."""
        ...

    def retry_headers(self, retry_after: float | str) -> dict[str, str]:
        """How this API says when to come back; `retry_after` in seconds, or the header's text."""
        ...

    def junk(self, call: Call, ask: Ask) -> bytes:
        """One frame of a stream that is no JSON."""
        ...

    def ping(self, call: Call, ask: Ask) -> bytes:
        """One frame without content."""
        ...

    def status_of(self, kind: str) -> int:
        """The status that an error of this kind has when it comes before the body."""
        ...


def dumps(value: Any) -> str:
    """Compact JSON, characters beyond ASCII as they are."""
    return _encode(value)


def json_answer(
    status: int,
    value: Any,
    headers: Mapping[str, str] | None = None,
    *,
    content_type: str = "application/json",
) -> Answer:
    return Answer(status, dumps(value).encode("utf-8", "surrogatepass"), content_type, headers or {})


def encoded(frames: Iterable[str]) -> tuple[bytes, ...]:
    return tuple(frame.encode("utf-8", "surrogatepass") for frame in frames)


def text_of(content: Any) -> str:
    """All text in a message's content: a string, or the `text` of its parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    return " ".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("text"))


def arguments_text(arguments: Mapping[str, Any] | str) -> str:
    return arguments if isinstance(arguments, str) else dumps(dict(arguments))


def seconds_text(retry_after: float | str) -> str:
    """The value of a Retry-After header; whole seconds without a fraction."""
    if isinstance(retry_after, str):
        return retry_after
    return str(int(retry_after)) if float(retry_after).is_integer() else str(retry_after)


def whole_seconds(retry_after: float | str) -> str:
    return retry_after if isinstance(retry_after, str) else str(math.ceil(retry_after))


def bearer(headers: Mapping[str, str]) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None


def kind_of(fault: Fault) -> str:
    return fault.kind or KIND_OF_STATUS.get(
        fault.code, "server_error" if fault.code >= 500 else "bad_request"
    )
