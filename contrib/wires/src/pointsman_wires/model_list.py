"""The models that there are, in a shape that the SDKs of OpenAI and Anthropic both take. Pure.

They ask for it at the same address.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pointsman_wires.encoding import json_bytes


class ListedModel(Protocol):
    """What is told of a model."""

    @property
    def name(self) -> str:
        """The public name."""

    @property
    def created(self) -> int:
        """Seconds since 1970 UTC."""


def listing(models: Sequence[ListedModel]) -> bytes:
    """All of them on one page."""
    ids = [model.name for model in models]
    page = {
        "object": "list",
        "data": [_object(model) for model in models],
        "has_more": False,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }
    return json_bytes(page)


def single(model: ListedModel) -> bytes:
    """One of them."""
    return json_bytes(_object(model))


def _object(model: ListedModel) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "type": "model",
        "created": model.created,
        "created_at": datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "owned_by": "pointsman",
        "display_name": model.name,
    }
