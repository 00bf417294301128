"""Where a translated answer came from, as a further member of its body. Pure."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import ChatResponse, EmbedResponse


def origin(answer: ChatResponse | EmbedResponse) -> dict[str, Any]:
    """The member `pointsman` of a translated answer: where it came from, when that is known."""
    if not answer.deployment:
        return {}
    return {"pointsman": {"deployment": answer.deployment, "attempts": answer.attempts}}
