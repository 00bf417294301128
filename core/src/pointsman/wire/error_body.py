"""What an upstream's error body says, in any of the shapes that servers use. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from pointsman._internal import jsonio
from pointsman.wire.error_meaning import BASE_RESP


class Complaint(Struct, frozen=True):
    """What an error body says; "" and None where it does not.

    `wait` is how long to wait or until when, as `retry_after.parse_reset` reads it; `status` is one that the
    body names.
    """

    message: str = ""
    code: str = ""
    type: str = ""
    status: int | None = None
    wait: str = ""


def complaint(body: Any) -> Complaint:
    """The error in a body of any of the usual shapes.

    `{"error": {…}}`, `{"error": "text"}`, a list with one of these (Gemini), `{"object": "error", …}`,
    `{"type": "error", …}`, `{"detail": …}`, `{"message": …}`, `{"errors": […]}`, `{"base_resp": {…}}`
    (MiniMax), and `error_type`, `error_message`, `error_code` side by side. A number as `code`, or a status
    beside it, is a status.
    """
    return _complaint(body, depth=0)


def is_complaint(body: Mapping[str, Any]) -> bool:
    """Whether a body or frame of a success reports an error, whatever else it holds."""
    if MARKS.isdisjoint(body):  # as nearly all
        return body.get("object") == "error"
    if body.get("type") == "error" or body.get("object") == "error" or any(map(body.get, _SURE)):
        return True
    base = body.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return True
    said = body.get("detail") or any(isinstance(body.get(name), str) and body[name] for name in _UNSURE)
    return bool(said) and _OF_AN_ANSWER.isdisjoint(body)


def holds_complaint(body: Any) -> bool:
    """Whether a JSON value of a success, of whichever kind, is a complaint or a list with one."""
    each_of = body if isinstance(body, list) else (body,)
    return any(isinstance(each, Mapping) and is_complaint(each) for each in each_of)


_CODES = ("code", "error_code", "errorCode", "errcode")
_TYPES = ("type", "error_type", "errorType")
_TEXTS = (
    "message", "error_message", "error_msg", "errorMessage", "errmsg", "detail", "msg", "error_description",
)  # fmt: skip
_SURE = ("error", "errors", *_CODES[1:], *_TYPES[1:], *_TEXTS[1:4])
"""What only an error has; 0, false and nothing say that there is none."""
_UNSURE = ("message", "detail", "msg")
_OF_AN_ANSWER = frozenset(
    ("choices", "usage", "data", "id", "model", "content", "delta", "output", "embeddings")
)
"""Beside these, the unsure ones say nothing."""
ERROR_MEMBERS = frozenset((*_SURE, "base_resp"))
"""What nothing but an error has, so that a mapping inside an answer without these reports none."""
MARKS = frozenset((*_SURE, *_UNSURE, "type", "base_resp"))
"""A mapping with none of these keys and another `object` than "error" reports none."""
_DEEPEST = 4
_LONGEST = 2000


def _complaint(body: Any, depth: int) -> Complaint:
    if isinstance(body, str):
        inner = _json_in(body) if depth < _DEEPEST else None
        return Complaint(body) if inner is None else _complaint(inner, depth + 1)
    if isinstance(body, list):
        inside = map(partial(_complaint, depth=depth + 1), body[:10] if depth < _DEEPEST else ())
        return next((each for each in inside if each.message or each.code), Complaint())
    if not isinstance(body, Mapping) or depth > _DEEPEST:
        return Complaint()
    base = body.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code"):
        return Complaint(_first_text(base, ("status_msg",)), _word(base.get("status_code")), BASE_RESP)
    error = body.get("error")
    if isinstance(error, str) and error:
        return _complaint(error, depth + 1) if _json_in(error) is not None else _of_text(error, body)
    if isinstance(error, Mapping) and (found := _of_object(error)) != Complaint():
        return found if found.message or "error" not in error else _complaint(error, depth + 1)
    detail = body.get("detail")
    detail = detail if isinstance(detail, Mapping) else None
    for inner in (error, body.get("errors"), detail, body.get("choices"), body.get("delta")):
        if isinstance(inner, Mapping | list) and (found := _complaint(inner, depth + 1)).message:
            return found
    return _of_object(body)


def _of_text(error: str, body: Mapping[str, Any]) -> Complaint:
    """`{"error": "text"}`; what stands beside it says more where `error` is but a word (OAuth, Spring)."""
    more = _first_text(body, _TEXTS)
    code, type, status = _words(body)
    if more and more != error:
        return Complaint(f"{error}: {more}", code or (error if " " not in error else ""), type, status)
    return Complaint(error, code, type, status)


def _of_object(error: Mapping[str, Any]) -> Complaint:
    code, type, status = _words(error)
    message = _first_text(error, _TEXTS)
    wait = ""
    metadata = error.get("metadata")
    if isinstance(metadata, Mapping):  # OpenRouter: what the provider behind it says, and its limits
        behind = _behind(metadata.get("raw"))
        if behind and behind not in message:
            message = f"{message}: {behind}" if message else behind
        headers = metadata.get("headers")
        if isinstance(headers, Mapping):
            named = {str(name).lower(): value for name, value in headers.items()}
            wait = _word(named.get("retry-after")) or _word(named.get("x-ratelimit-reset"))
    for each in _mappings(error.get("details")):  # Google
        wait = _word(each.get("retryDelay")) or wait
    return Complaint(message, code, type, status, wait)


def _behind(raw: Any) -> str:
    """The message of an error that a gateway passes on, often as the text of its JSON."""
    return _complaint(raw, 1).message[:_LONGEST]


def _json_in(text: str) -> Any:
    """The value of a text that is a JSON object or list; None when it is none."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return jsonio.loads(text)
    except ValueError:
        return None


def _words(error: Mapping[str, Any]) -> tuple[str, str, int | None]:
    """(code, type, status) of an error; a numeric code is a status and kept as text."""
    code = next(filter(None, map(_word, map(error.get, _CODES))), "")
    type: str = next((word for word in map(error.get, _TYPES) if isinstance(word, str) and word), "")
    if type == "error":  # says nothing: it is the kind of the frame
        type = ""
    state = error.get("status")
    if not type and isinstance(state, str) and _number(state) is None:
        type = state  # Google's word, such as RESOURCE_EXHAUSTED
    numbers = map(_number, (code, error.get("status_code"), state, error.get("statusCode")))
    return code, type[:100], next((each for each in numbers if each is not None and 400 <= each <= 599), None)


def _word(value: Any) -> str:
    known = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value)[:100] if known else ""


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        return int(value)
    return value if isinstance(value, int) else None


def _first_text(error: Mapping[str, Any], names: Sequence[str]) -> str:
    return next((text for name in names if (text := _text(error.get(name)))), "")


def _text(said: Any) -> str:
    if isinstance(said, str):
        return said
    if isinstance(said, list):  # FastAPI: [{"loc": ["body", "model"], "msg": "field required", "input": …}]
        return "; ".join(f"{_path(each.get('loc'))}{each.get('msg') or ''}" for each in _mappings(said))
    return ""


def _mappings(given: Any) -> list[Mapping[str, Any]]:
    return [each for each in given if isinstance(each, Mapping)] if isinstance(given, list) else []


def _path(loc: Any) -> str:
    return ".".join(str(each) for each in loc) + ": " if isinstance(loc, list) else ""
