"""Where a translated answer came from, told beside it. Pure."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import ChatResponse, EmbedResponse


def origin(answer: ChatResponse | EmbedResponse) -> dict[str, Any]:
    """The member `pointsman` of an answer; nothing when that is not known. SDKs keep it."""
    if not answer.deployment:
        return {}
    return {"pointsman": {"deployment": answer.deployment, "attempts": answer.attempts}}
