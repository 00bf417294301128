"""Where a translated answer came from, told beside it. Pure."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import ChatResponse, EmbedResponse


def origin(answer: ChatResponse | EmbedResponse) -> dict[str, Any]:
    """The member `pointsman` of an answer; nothing when that is not known. SDKs keep it.

    `cost` is in USD, and left out where it is not known.
    """
    if not answer.deployment:
        return {}
    said = {"deployment": answer.deployment, "attempts": answer.attempts}
    if answer.cost_microcents is not None:
        said["cost"] = answer.cost_microcents / 10**8
    return {"pointsman": said}
