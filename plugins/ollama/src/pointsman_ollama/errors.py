"""Ollama's failures as our errors. Pure; the texts matched here are fixed in Ollama's source."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.plugin import (
    BadResponse,
    CallError,
    Complaint,
    ModelNotFound,
    QuotaExhausted,
    Recognised,
    Unavailable,
    Unsupported,
    complaint,
    error_for_status,
    in_vain,
    json_or_none,
    kind_by_status,
    kind_by_vague_word,
    recognise,
    snippet,
)

NOT_OLLAMA = "this is not Ollama's API; base_url must end before /api, such as http://127.0.0.1:11434"

_NO_MODEL = re.compile(r"\bmodel\b.*\bnot found\b|\bfile does not exist\b", re.IGNORECASE | re.DOTALL)
"""The second is what a pull says about the manifest of a model that nobody has."""
_LACKS = re.compile(r"does not support (\w+)")
_FIELDS = {"thinking": "reasoning_effort", "insert": "suffix", "chat": "messages"}
"""Which field of a request asks for what a model of Ollama's lacks, where that has another name."""
_LONGEST = 500


def error_for(
    status: int, headers: Mapping[str, str], body: bytes, *, wall: float, model: str = ""
) -> CallError:
    """The error that an answer of status 400 or above means.

    Args:
        wall: seconds since 1970, UTC, for hints given as dates.
        model: the model that was asked for, named in the advice to pull it; "" when none was.
    """
    value = json_or_none(body)
    said = complaint(value)
    text = said.message or snippet(body)
    meant = _meaning(status, said)
    error = error_for_status(
        status,
        headers,
        _advised(status, text, meant.kind, model),
        wall=wall,
        code=said.code or said.type,
        kind=meant.kind,
        wait=meant.wait,
    )
    if isinstance(error, Unsupported):
        lacks = _LACKS.search(text)
        error.fields = () if lacks is None else (_FIELDS.get(lacks[1], lacks[1]),)
    if meant.kind is BadResponse:
        # A wrong base URL does not get better by waiting.
        error.retry_same = False
    return in_vain(error) if meant.in_vain else error


def error_in_answer(value: Any) -> CallError:
    """The error that a line such as `{"error": …}` in a 200 answer means: its status was sent long before.

    Almost always the runner died, so what is not recognised is Unavailable.
    """
    said = complaint(value)
    text = said.message[:_LONGEST] or said.code or "no reason given"
    meant = recognise(said.status, said.code, said.type, said.message)
    kind = meant.kind
    if kind is None and _NO_MODEL.search(text):
        kind, text = ModelNotFound, f"{text}; check the name of the model"
    if kind is None and said.status is not None:
        kind = kind_by_status(said.status)
    kind = kind or kind_by_vague_word(said.code, said.type) or Unavailable
    if kind is Unavailable:
        text = f"Ollama failed in the middle of the answer: {text}"
    error = kind(text, status=said.status, retry_after=meant.wait, upstream_code=said.code or said.type)
    return in_vain(error) if meant.in_vain else error


def _meaning(status: int, said: Complaint) -> Recognised:
    """What is known of an error; its kind is None when only the status tells."""
    text = said.message
    meant = recognise(status, said.code, said.type, text)
    kind = meant.kind
    if status in (404, 405):
        # Ollama names the missing model; anything else means that this is not its API.
        kind = ModelNotFound if status == 404 and _NO_MODEL.search(text) else kind or BadResponse
    elif status == 400 and "does not support" in text and not text.startswith("raw mode"):
        # "… does not support tools|thinking|chat|insert": true of this model at this server, not of the
        # request, so another deployment may well do it. Unsupported is what makes the router go there.
        # (Raw mode "does not support" a template: that is a contradiction in the request itself.)
        kind = Unsupported
    elif status == 429 and "usage limit" in text:
        # The cloud's hourly, weekly and session limits: hours away, so waiting is no answer.
        kind = QuotaExhausted
    elif status == 499:
        # "request canceled", although we are still waiting for it: something between us gave up.
        kind = Unavailable
    return Recognised(kind, meant.wait, meant.in_vain)


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
