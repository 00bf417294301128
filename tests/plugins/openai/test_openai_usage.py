"""Token counts: whatever a server counts beside what, `Usage` keeps its promise."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.types import Usage
from pointsman_openai.usage import usage_of


def counted(prompt: Any = None, completion: Any = None, total: Any = None, **more: Any) -> dict[str, Any]:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **more}
    return {"usage": {name: value for name, value in usage.items() if value is not None}}


def details(cached: int | None = None, reasoning: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if cached is not None:
        found["prompt_tokens_details"] = {"cached_tokens": cached}
    if reasoning is not None:
        found["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    return found


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        (counted(10, 5, 15), Usage(10, 5)),
        (counted(10, 5, 15, **details(4, 3)), Usage(10, 5, 4, None, 3)),
        # xAI, Vercel: reasoning beside completion, as the total says
        (counted(429, 44, 846, **details(None, 373)), Usage(429, 417, None, None, 373)),
        (counted(429, 44, 846, reasoning_tokens=373), Usage(429, 417, None, None, 373)),
        # no total: more reasoning than completion cannot be within it
        (counted(429, 44, **details(None, 373)), Usage(429, 417, None, None, 373)),
        (counted(429, 400, **details(None, 373)), Usage(429, 400, None, None, 373)),
        # the total says that it is within it, whatever else is said
        (counted(10, 5, 15, **details(None, 9)), Usage(10, 5, None, None, 5)),
        # Azure's Grok: cached above prompt
        (counted(10, 5, 15, **details(25)), Usage(10, 5, 10)),
        (counted(10, 5, 40, **details(25)), Usage(35, 5, 25)),
        (counted(10, 5, **details(25)), Usage(35, 5, 25)),
        # both beside
        (counted(10, 5, 47, **details(25, 7)), Usage(35, 12, 25, None, 7)),
        # at the top level: Copilot, Together, DeepSeek
        (counted(10, 5, 15, reasoning_tokens=2, cached_tokens=3), Usage(10, 5, 3, None, 2)),
        (counted(10, 5, 15, prompt_cache_hit_tokens=3), Usage(10, 5, 3)),
        (counted(10, 5, cached_tokens=0), Usage(10, 5, 0)),
        ({"usage": None, "x_groq": {"usage": {"prompt_tokens": 1, "completion_tokens": 2}}}, Usage(1, 2)),
        (counted("10", -5), Usage(None, None)),
    ],
)
def test_usage_is_what_it_promises(body: dict[str, Any], usage: Usage) -> None:
    assert usage_of(body) == usage


COUNT = st.none() | st.integers(0, 1000)


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_a_part_is_never_more_than_its_whole(
    prompt: int | None, completion: int | None, total: int | None, cached: int | None, reasoning: int | None
) -> None:
    usage = usage_of(
        {"usage": {"x": 1, **counted(prompt, completion, total, **details(cached, reasoning))["usage"]}}
    )
    assert usage is not None
    assert usage.prompt is None or (usage.cached or 0) <= usage.prompt
    assert usage.completion is None or (usage.reasoning or 0) <= usage.completion


@given(
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(0, 500),
    st.integers(0, 500),
    st.booleans(),
    st.booleans(),
)
def test_the_total_is_kept_wherever_the_parts_are_counted(
    fresh: int, cached: int, said: int, reasoning: int, beside: bool, apart: bool
) -> None:
    prompt, completion = fresh + cached, said + reasoning
    apart = apart and cached > fresh  # only then there is something odd about it
    body = counted(
        fresh if apart else prompt,
        said if beside else completion,
        prompt + completion,
        **details(cached, reasoning),
    )
    assert usage_of(body) == Usage(prompt, completion, cached, None, reasoning)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_how_a_call_was_served_is_told(tier: str) -> None:
    assert usage_of({**counted(10, 5, 15), "service_tier": tier}) == Usage(10, 5, service_tier=tier)


@pytest.mark.parametrize("tier", [None, "", "default", "auto", "standard", "on_demand", 5, ["flex"]])
def test_the_ordinary_way_is_not(tier: object) -> None:
    assert usage_of({**counted(10, 5, 15), "service_tier": tier}) == Usage(10, 5)
