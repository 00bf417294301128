"""Which fallbacks follow what, and how far a chain of them is walked."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from routers import config, in_flight, router

from pointsman import ConfigError, Router
from pointsman.errors import (
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    NoDeploymentAvailable,
    Overloaded,
    Unavailable,
    Unsupported,
)
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.retry import Failure, RetryFactory
from pointsman.testing import Scripted, run

FILTERED, TOO_LONG, ALL = (
    ["content_filtered"],
    ["context_window"],
    ["content_filtered", "context_window", "unavailable"],
)


def models(fallbacks: dict[str, list[Any]], **changes: Any) -> dict[str, Any]:
    """A model for each letter, with a deployment at the provider of that name, and its fallbacks."""
    given = config("".join(fallbacks), **changes)
    given["models"] = {
        name: {"deployments": [f"{name}/x"], "fallback": following} for name, following in fallbacks.items()
    }
    return given


def answered(given: dict[str, Any], fates: dict[str, CallError], model: str = "a") -> str:
    """The provider that answers, or the code of the error."""
    upstream = Scripted()
    for name, error in fates.items():
        upstream.default(name, error)

    async def main() -> str:
        async with router(upstream, given) as r:
            try:
                return (await r.chat(model, "hi")).deployment[0]
            except CallError as error:
                return error.code
            finally:
                assert in_flight(r) == 0

    return run(main())


@pytest.mark.parametrize("retry", ["exponential", "none"])
@pytest.mark.parametrize(
    ("fallback", "error", "expected"),
    [
        ("b", ContentFiltered("no"), "content_filtered"),
        ("b", ContextWindowExceeded("long"), "b"),
        ("b", Unavailable("down"), "b"),
        ("b", Unsupported("tools"), "b"),
        ({"to": "b"}, Overloaded("busy", retry_after=70.0), "b"),
        ({"to": "b", "on": FILTERED}, ContentFiltered("no"), "b"),
        ({"to": "b", "on": FILTERED}, ContextWindowExceeded("long"), "context_window_exceeded"),
        ({"to": "b", "on": FILTERED}, Unavailable("down"), "unavailable"),
        ({"to": "b", "on": TOO_LONG}, ContextWindowExceeded("long"), "b"),
        ({"to": "b", "on": TOO_LONG}, ContentFiltered("no"), "content_filtered"),
        ({"to": "b", "on": ALL}, ContentFiltered("no"), "b"),
        ({"to": "b", "on": ALL}, Unavailable("down"), "b"),
    ],
)
def test_a_fallback_follows_what_it_says(fallback: Any, error: CallError, expected: str, retry: str) -> None:
    assert answered(models({"a": [fallback], "b": []}, retry=retry), {"a": error}) == expected


def test_each_step_of_a_chain_goes_by_what_happened_just_before_it() -> None:
    given = models({"a": [{"to": "b", "on": FILTERED}, "c"], "b": ["d"], "c": [], "d": []})

    assert answered(given, {"a": ContentFiltered("no")}) == "b"
    assert answered(given, {"a": ContentFiltered("no"), "b": Unavailable("down")}) == "d"
    assert answered(given, {"a": Unavailable("down")}) == "c"
    # What b falls back on is no fallback of a.
    assert answered(given, {"a": Unavailable("down"), "c": Unavailable("down")}) == "unavailable"


@pytest.mark.parametrize(
    ("on", "answer"), [(FILTERED, None), (TOO_LONG, None), (ALL, "b/x"), (["unavailable"], "b/x")]
)
def test_a_model_of_which_nothing_is_ready_is_unavailable(on: list[str], answer: str | None) -> None:
    async def main() -> None:
        async with router(Scripted(), models({"a": [{"to": "b", "on": on}], "b": []})) as r:
            r.disable("a/x")
            if answer is not None:
                assert (await r.chat("a", "hi")).deployment == answer
                return
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("a", "hi")
            assert list(caught.value.reasons) == ["a/x"]

    run(main())


@pytest.mark.parametrize(
    "retry", ["none", {"type": "exponential", "attempts": 1}, {"type": "exponential", "attempts": 3}]
)
@pytest.mark.parametrize("length", [2, 5, 9])
def test_a_chain_is_walked_to_its_end_however_few_the_attempts(length: int, retry: Any) -> None:
    names = "abcdefghi"[:length]
    given = models(
        {name: [following] for name, following in zip(names, names[1:], strict=False)} | {names[-1]: []},
        retry=retry,
    )

    assert answered(given, {name: Unavailable("down") for name in names[:-1]}) == names[-1]


class Odd(PointsmanSpec):
    """A policy whose waits are what it was given, whatever its attempts say."""

    budget = None

    def __init__(self, attempts: int, wait: float | None) -> None:
        self.attempts = attempts
        self.wait = wait
        self.asked = 0

    @hookimpl
    def pointsman_retry_policies(self) -> Sequence[RetryFactory]:
        return [RetryFactory("odd", BaseModel, lambda _context: self)]

    def delay(self, failure: Failure) -> float | None:
        self.asked += 1
        return self.wait


@settings(deadline=None, max_examples=40)
@given(
    attempts=st.integers(1, 5),
    wait=st.sampled_from([None, 0.0, 0.1]),
    pools=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_no_policy_gets_more_attempts_than_it_says_but_one_for_each_fallback(
    attempts: int, wait: float | None, pools: list[int]
) -> None:
    upstream, policy = Scripted(), Odd(attempts, wait)
    given = config("a", retry="odd", circuit_breaker={"enabled": False})
    given["models"] = {
        f"m{n}": {
            "deployments": [f"a/{n}-{each}" for each in range(size)],
            "fallback": [f"m{n + 1}"] if n + 1 < len(pools) else [],
        }
        for n, size in enumerate(pools)
    }
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream, policy]) as r:
            for _ in range(3):
                upstream.calls.clear()
                policy.asked = 0
                with pytest.raises(Unavailable) as caught:
                    await r.chat("m0", "hi")
                made = len(upstream.calls)
                assert caught.value.attempts == made
                assert made == (max(attempts, len(pools)) if wait is not None else len(pools))
                assert policy.asked < attempts
                models = [call.model.partition("-")[0] for _, _, call in upstream.calls]
                assert list(dict.fromkeys(models)) == [str(n) for n in range(len(pools))]

    run(main())


def test_a_policy_that_never_gives_up_does_not_keep_a_request_for_ever() -> None:
    upstream, policy = Scripted(), Odd(2, 0.0)
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        given = config("a", retry="odd", circuit_breaker={"enabled": False})
        async with Router.from_config(given, plugins=[upstream, policy]) as r:
            for _ in range(3):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
                with pytest.raises(Unavailable):
                    await anext(r.stream("m", "hi"))
            assert asyncio.get_running_loop().time() < 0.1

    run(main())
    assert upstream.count("a") == 12


@pytest.mark.parametrize(
    ("retry", "length", "warned"),
    [
        ("exponential", 4, False),
        ("exponential", 5, True),
        ("none", 5, False),
        ({"type": "exponential", "attempts": 2}, 3, True),
    ],
)
def test_a_chain_longer_than_the_attempts_is_a_warning(retry: Any, length: int, warned: bool) -> None:
    names = "abcde"[:length]
    given = models(
        {name: [following] for name, following in zip(names, names[1:], strict=False)} | {names[-1]: []},
        retry=retry,
    )

    found = Router.check(given, plugins=[Scripted()]).warnings

    assert [each.path for each in found] == (["models.a.fallback"] if warned else [])


@pytest.mark.parametrize(
    ("fallback", "said"),
    [
        ({"to": "b", "on": []}, "models.a.fallback[0].on"),
        ({"to": "b", "on": ["content"]}, "models.a.fallback[0].on[0]"),
        ({"on": FILTERED}, "models.a.fallback[0].to"),
        ({"to": "c"}, "models.a.fallback[0]: no model is named 'c'"),
        ({"to": "a"}, "the fallbacks form a loop: a → a"),
        (3, "models.a.fallback[0]"),
    ],
)
def test_a_fallback_that_cannot_be_right_is_refused_at_its_place(fallback: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        router(Scripted(), models({"a": [fallback], "b": []}))
    assert said in str(caught.value)


def test_where_one_deployment_says_it_is_too_long_no_other_of_that_model_is_asked_again_either() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", ContextWindowExceeded("long"))
    upstream.default("c", Unavailable("down"))
    retry = {"type": "exponential", "attempts": 6, "budget": None}
    given = config("abc", retry=retry, circuit_breaker={"enabled": False})
    given["models"] = {
        "m": {"deployments": ["a/x", "b/x"], "fallback": ["large"], "strategy": "least_connections"},
        "large": {"deployments": ["c/x"]},
    }

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(4):  # whoever of the two is asked first
                upstream.calls.clear()
                with pytest.raises(CallError):
                    await r.chat("m", "hi")
                asked = [name for name, _, _ in upstream.calls]
                assert asked.count("a") <= 1
                assert asked.count("b") == 1
                assert asked.count("c") > 1

    run(main())
