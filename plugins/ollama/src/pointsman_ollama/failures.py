"""Ollama's failures as our errors. Pure; the texts matched here are fixed in Ollama's source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.errors import (
    BadResponse,
    CallError,
    ContextWindowExceeded,
    ModelNotFound,
    QuotaExhausted,
    Unavailable,
    Unsupported,
)
from pointsman.statuses import error_for_status, json_or_none, snippet

_TOO_LONG = re.compile(r"(?:exceeds|longer than) .*context", re.IGNORECASE)
_LONGEST = 500
NOT_OLLAMA = "this is not Ollama's API; base_url must end before /api, such as http://127.0.0.1:11434"


def error_for(
    status: int, headers: Mapping[str, str], body: bytes, *, wall: float, model: str = ""
) -> CallError:
    """The error that an answer of status 400 or above means.

    Args:
        wall: seconds since 1970, UTC, for hints given as dates.
        model: the model that was asked for, named in the advice to pull it; "" when none was.
    """
    value = json_or_none(body)
    said = text_of(value)
    text = snippet(body) if said is None else said
    kind = _kind(status, text, from_ollama=said is not None)
    error = error_for_status(status, headers, _advised(status, text, kind, model), wall=wall, kind=kind)
    if kind is BadResponse:
        # A wrong base URL does not get better by waiting.
        error.retry_same = False
    return error


def error_in_answer(text: str) -> CallError:
    """The error that an `{"error": …}` in a 200 answer means: a stream's status was sent long before.

    Almost always the runner died, so what is not recognised is Unavailable.
    """
    text = text[:_LONGEST]
    if _TOO_LONG.search(text):
        return ContextWindowExceeded(text)
    if "file does not exist" in text:  # only a pull says so, about the manifest of a model nobody has
        return ModelNotFound(f"{text}; check the name of the model")
    return Unavailable(f"Ollama failed in the middle of the answer: {text}")


def text_of(value: Any) -> str | None:
    """The text of an error body, None when `value` is none; proxies wrap it as OpenAI does."""
    if not isinstance(value, Mapping) or "error" not in value:
        return None
    error = value["error"]
    if isinstance(error, Mapping):
        error = error.get("message", "")
    return error if isinstance(error, str) else "an error without a text"


def _kind(status: int, text: str, *, from_ollama: bool) -> type[CallError] | None:
    """The class of error where Ollama's text says more than the status, else None."""
    if status in (404, 405) and not from_ollama:
        # Ollama names the missing model in JSON; a plain page means that this is not its API.
        return BadResponse
    if status in (400, 500) and _TOO_LONG.search(text):
        return ContextWindowExceeded
    if status == 400 and "does not support" in text and not text.startswith("raw mode"):
        # "… does not support tools|thinking|chat|insert": true of this model at this server, not of the
        # request, so another deployment may well do it. Unsupported is what makes the router go there.
        # (Raw mode "does not support" a template: that is a contradiction in the request itself.)
        return Unsupported
    if status == 429 and "usage limit" in text:
        # The cloud's hourly, weekly and session limits: hours away, so waiting is no answer.
        return QuotaExhausted
    if status == 499:
        # "request canceled", although we are still waiting for it: something between us gave up.
        return Unavailable
    return None


def _advised(status: int, text: str, kind: type[CallError] | None, model: str) -> str:
    """`text`, and what would help."""
    text = text[:_LONGEST]
    match status:
        case 404 | 405 if kind is BadResponse:
            advice = NOT_OLLAMA
        case 404 if model:
            advice = f"get it with: ollama pull {model}"
        case 401:
            advice = "give an API key from ollama.com, or sign the server in with: ollama signin"
        case 403 if not text:
            advice = "the server does not accept this host name; see OLLAMA_HOST and OLLAMA_ORIGINS there"
        case _:
            return text
    return f"{text}; {advice}" if text else advice
