"""Token counts as OpenAI's chat and completions have them. Pure."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import Usage


def usage_object(usage: Usage) -> dict[str, Any] | None:
    """The `usage` member; None where nothing was counted. What a part is not known of is left out."""
    if usage.prompt is None and usage.completion is None:
        return None
    prompt, completion = usage.prompt or 0, usage.completion or 0
    told: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if usage.cached is not None or usage.cache_write is not None:
        told["prompt_tokens_details"] = details = {"cached_tokens": usage.cached or 0, "audio_tokens": 0}
        if usage.cache_write is not None:
            details["cache_write_tokens"] = usage.cache_write
    if usage.reasoning is not None:
        told["completion_tokens_details"] = {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    return told
