"""Models as Ollama's routes about them show them, with all that strict programs insist on. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from msgspec import Struct
from msgspec.json import Encoder

_encode = Encoder().encode

_ALWAYS_LOADED = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""When a model leaves that nobody unloads."""


class ModelCard(Struct, frozen=True):
    """What is told of a model, which may run anywhere.

    Attributes:
        capabilities: `completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`.
        context_length: tokens.
        created: seconds since 1970.
        family: such as `llama`.
    """

    name: str
    capabilities: Sequence[str] = ("completion",)
    context_length: int = 8192
    created: int = 0
    family: str = "pointsman"
    size_bytes: int = 0
    parameter_size: str = ""
    quantization: str = ""


def listed(cards: Sequence[ModelCard]) -> bytes:
    """The answer of GET /api/tags."""
    return _encode({"models": [_listed(card) for card in cards]})


def running(cards: Sequence[ModelCard]) -> bytes:
    """The answer of GET /api/ps: those that are in memory."""
    return _encode({"models": [_running(card) for card in cards]})


def shown(card: ModelCard) -> bytes:
    """The answer of POST /api/show."""
    return _encode(
        {
            "modelfile": f"FROM {card.name}\n",
            "parameters": "",
            "template": "{{ .Prompt }}",
            "license": "",
            "details": _details(card),
            "model_info": {
                "general.architecture": card.family,
                "general.basename": card.name,
                f"{card.family}.context_length": card.context_length,
            },
            "capabilities": list(card.capabilities),
            "modified_at": _instant(card.created),
        }
    )


def _listed(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "model": card.name,
        "modified_at": _instant(card.created),
        "size": card.size_bytes,
        "digest": _digest(card),
        "details": _details(card),
        "capabilities": list(card.capabilities),
    }


def _running(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "model": card.name,
        "size": card.size_bytes,
        "size_vram": card.size_bytes,
        "digest": _digest(card),
        "details": _details(card),
        "expires_at": _ALWAYS_LOADED.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "context_length": card.context_length,
    }


def _details(card: ModelCard) -> Mapping[str, Any]:
    return {
        "parent_model": "",
        "format": "gguf",
        "family": card.family,
        "families": [card.family],
        "parameter_size": card.parameter_size,
        "quantization_level": card.quantization,
        "context_length": card.context_length,
    }


def _digest(card: ModelCard) -> str:
    """Programs compare it to know whether a model is another one by now."""
    return sha256(f"{card.name}\0{card.created}".encode("utf-8", "surrogatepass")).hexdigest()


def _instant(created: int) -> str:
    return datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
