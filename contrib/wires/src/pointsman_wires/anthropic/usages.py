"""Token counts as the Messages API has them. Pure."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import Usage


def usage_object(usage: Usage) -> dict[str, Any]:
    """The `usage` member, in which cached tokens are counted beside the others; 0 for what nobody knows."""
    read, written = usage.cached or 0, usage.cache_write or 0
    told: dict[str, Any] = {
        "input_tokens": max(0, (usage.prompt or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.completion or 0,
    }
    if usage.reasoning is not None:
        told["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return told
