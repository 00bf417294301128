"""Token counts as `Usage` promises them, from what servers make of the wire's. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pointsman.plugin import Usage
from pointsman_openai.values import as_count, as_object


def usage_of(body: Mapping[str, Any]) -> Usage | None:
    """The token counts of an answer or chunk, None when it has none."""
    found, tier = _counts_of(body), body.get("service_tier")
    return found if found is None or tier is None else served(found, tier)


def served(usage: Usage, tier: object) -> Usage:
    """`usage` of a call that was served in that tier, which is told only where it is not the ordinary one.

    Where nothing was counted there is nothing that a tier has a price for.
    """
    if not isinstance(tier, str) or tier in _ORDINARY or (usage.prompt is None and usage.completion is None):
        return usage
    return replace(usage, service_tier=tier[:_LONGEST])


_ORDINARY = frozenset(("", "auto", "default", "on_demand", "standard"))
_LONGEST = 64


def _counts_of(body: Mapping[str, Any]) -> Usage | None:
    usage = body.get("usage")
    if type(usage) is not dict or not usage:
        usage = as_object(as_object(body.get("x_groq")).get("usage"))
        if not usage:
            return None
    prompt, completion = as_count(usage.get("prompt_tokens")), as_count(usage.get("completion_tokens"))
    cached = cache_write = reasoning = None
    if len(usage) < 4 and usage.keys() <= _PLAIN:
        return Usage(prompt, completion)
    if details := as_object(usage.get("prompt_tokens_details")):
        cached = as_count(details.get("cached_tokens"))
        cache_write = as_count(details.get("cache_write_tokens"))
    if details := as_object(usage.get("completion_tokens_details")):
        reasoning = as_count(details.get("reasoning_tokens"))
    if cached is None and "prompt_cache_hit_tokens" in usage:  # DeepSeek
        cached = as_count(usage["prompt_cache_hit_tokens"])
    if cached is None and "cached_tokens" in usage:  # Moonshot, Together
        cached = as_count(usage["cached_tokens"])
    if reasoning is None and "reasoning_tokens" in usage:  # GitHub Copilot
        reasoning = as_count(usage["reasoning_tokens"])
    return counted(prompt, completion, cached, cache_write, reasoning, as_count(usage.get("total_tokens")))


def counted(
    prompt: int | None,
    completion: int | None,
    cached: int | None,
    cache_write: int | None,
    reasoning: int | None,
    total: int | None,
) -> Usage:
    """The counts as `Usage` has them: parts within their whole."""
    if reasoning or cached:
        if cached and prompt is not None and cached > prompt:
            prompt, cached = _including(prompt, cached, total, completion, reasoning)
        completion, reasoning = _including(completion, reasoning, total, prompt)
    return Usage(prompt, completion, cached, cache_write, reasoning)


_PLAIN = frozenset(("prompt_tokens", "completion_tokens", "total_tokens"))


def _including(
    whole: int | None, part: int | None, total: int | None, other: int | None, beside: int | None = None
) -> tuple[int | None, int | None]:
    """A count and a part of it, the part counted in.

    Some servers count it beside the whole (xAI's and Vercel's reasoning, Azure's cached tokens of Grok): the
    total tells, and where it does not, a part that is larger than its whole was not in it.

    Args:
        other: the other count that is in the total; `beside` may be in it as well, or not.
    """
    if not part or whole is None:
        return whole, part
    if total is not None and other is not None:
        if total == whole + part + other or (beside and total == whole + part + other + beside):
            return whole + part, part
        return whole, min(part, whole)
    return (whole + part, part) if part > whole else (whole, part)
