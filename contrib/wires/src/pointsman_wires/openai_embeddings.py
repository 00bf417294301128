"""OpenAI's embeddings from the side of the server. Pure: no I/O."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from pointsman.plugin import (
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    InvalidRequest,
    ProblemDetails,
    StreamEvent,
    Understood,
    embed_request,
    openai_objects,
)
from pointsman_wires.bodies import blamed, invalid, object_of, text_member
from pointsman_wires.encoding import EVENT_STREAM, JSON, json_bytes
from pointsman_wires.openai_errors import error_frame
from pointsman_wires.origin import origin

WIRE = "openai.embeddings"

_READ = frozenset(("model", "input", "dimensions", "encoding_format"))
_FORMATS = ("float", "base64")


def read(body: bytes, *, request_id: str, wall: float) -> Understood:  # noqa: ARG001 - as all wires
    """What a body asks for, and how to write its answer. Raises InvalidRequest."""
    given = object_of(body)
    needs: list[str] = []
    try:
        request = _request(given, needs)
    except InvalidRequest as error:
        raise blamed(error) from error
    ignored = [name for name, value in given.items() if name not in _READ and value is not None]
    writer = EmbeddingsWriter(model=request.model, encoded=given.get("encoding_format") == "base64")
    return Understood(request, writer, False, WIRE, needs, ignored)


def _request(given: Mapping[str, Any], needs: list[str]) -> EmbedRequest:
    model, wanted = text_member(given, "model"), given.get("encoding_format")
    if wanted is not None and wanted not in _FORMATS:
        raise invalid(f"encoding_format is none of {', '.join(_FORMATS)}", "encoding_format")
    texts = texts_of(given.get("input"), "input", needs)
    return embed_request(model, texts, {"dimensions": given.get("dimensions")})


def texts_of(given: Any, where: str, needs: list[str]) -> Sequence[str]:
    """One text or several; of tokens, which only their own model can read, one stands for each list.

    Raises: InvalidRequest.
    """
    if isinstance(given, str) and given:
        return (given,)
    if not isinstance(given, list) or not given:
        raise invalid(f"{where} is missing, empty, or neither a text nor a list", where)
    if all(isinstance(each, str) for each in given):
        return given
    several = [given] if all(map(_is_token, given)) else given
    if not all(isinstance(each, list) and each and all(map(_is_token, each)) for each in several):
        raise invalid(f"{where} is neither texts nor tokens", where)
    needs.append(f"{where} (ids of tokens, not texts)")
    return [" ".join(map(str, each)) for each in several]


def _is_token(given: object) -> bool:
    return type(given) is int


class EmbeddingsWriter:
    """Writes one answer; `encoded`: the vectors as base64 of little-endian 32-bit floats."""

    content_type = JSON
    stream_type = EVENT_STREAM

    def __init__(self, *, model: str, encoded: bool) -> None:
        self._model = model
        self._encoded = encoded

    def whole(self, answer: ChatResponse | EmbedResponse) -> bytes:
        """The body of the answer."""
        assert isinstance(answer, EmbedResponse)
        return json_bytes(self.body(answer) | origin(answer))

    def body(self, answer: EmbedResponse) -> dict[str, Any]:
        """The members of the answer."""
        return openai_objects.embeddings(answer, self._model, base64_vector if self._encoded else list)

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        """Nothing: vectors are not streamed."""
        return b""

    def failure(self, problem: ProblemDetails) -> bytes:
        """The error as an event."""
        return error_frame(problem)

    def heartbeat(self) -> bytes:
        """Nothing."""
        return b""


def base64_vector(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats in base64."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
