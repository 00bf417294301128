"""How much, how often and how long: limits, the queue and time."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from proofs_of_routing import DOWN, OFF, called
from proving import Given, Setting, ask, during, listen, proves
from routers import config

from pointsman import Router
from pointsman.testing import Scripted, ScriptedAnswer
from pointsman.types import Usage

USED = Usage(prompt=1, completion=1000)


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────

LEVELS = (
    "timeouts",
    "providers.<name>.timeouts",
    "models.<name>.timeouts",
    "models.<name>.deployments[].timeouts",
)


def timed(setting: Setting, part: str, value: float, other: float) -> Given:
    """`part` is `value` at the level of the setting, and `other` at all that are less specific."""
    level = setting.key if setting.key.endswith("timeouts") else setting.key.rpartition(".")[0]
    given = config("a", retry="none")
    for each in LEVELS[: LEVELS.index(level)]:
        if not (part == "total" and each.startswith("providers")):
            given = Setting(each, setting.folder, setting.environment).to({part: other}, given)
    return setting.to({part: value} if setting.key == level else value, given)


def took(given: Given, answer: ScriptedAnswer, *, stream: bool) -> tuple[str, float]:
    """How a call ends, and after how many seconds."""
    upstream = Scripted()
    upstream.default("a", answer)

    async def story(r: Router) -> tuple[str, float]:
        began = asyncio.get_running_loop().time()
        end = await (listen(r) if stream else ask(r))
        return end, asyncio.get_running_loop().time() - began

    return during(given, upstream, story)


def holds(
    setting: Setting, part: str, answer: ScriptedAnswer, *, stream: bool, error: str, whole: float
) -> None:
    """With 2 s the call ends after 2 s (after what came before), with 8 s it succeeds."""
    end, after = took(timed(setting, part, 2, 8), answer, stream=stream)
    assert end == error
    assert after == pytest.approx(2 + answer.after * bool(answer.gap), abs=0.01)
    assert took(timed(setting, part, 8, 2), answer, stream=stream) == (
        answer.text,
        pytest.approx(whole, abs=0.01),
    )


@proves(*LEVELS, *(f"{each}.attempt" for each in LEVELS))
def one_attempt_as_a_whole_takes_no_longer(setting: Setting) -> None:
    holds(setting, "attempt", ScriptedAnswer(after=5), stream=False, error="AttemptTimeout", whole=5)


@proves(*(f"{each}.first_token" for each in LEVELS))
def the_first_content_of_a_stream_takes_no_longer(setting: Setting) -> None:
    def came(value: float, other: float, *, alone: bool) -> tuple[str, float]:
        given = timed(setting, "first_token", value, other)
        given["providers"]["b"] = {"type": "scripted"}
        given["models"]["m"]["deployments"] += (
            [] if alone else [{"provider": "b", "model": "x", "priority": 1}]
        )
        return took(given | {"retry": "exponential"}, ScriptedAnswer("late", after=5), stream=True)

    assert came(2, 8, alone=False) == ("ok", pytest.approx(2, abs=0.01))
    assert came(8, 2, alone=False) == ("late", pytest.approx(5, abs=0.01))
    assert came(2, 8, alone=True) == ("late", pytest.approx(5, abs=0.01)), "there is no better place to go to"


@proves(*(f"{each}.idle" for each in LEVELS))
def between_two_pieces_of_a_stream_is_no_longer(setting: Setting) -> None:
    answer = ScriptedAnswer("two words", after=3, gap=5)  # and one more before the end
    holds(setting, "idle", answer, stream=True, error="MidStreamError", whole=3 + 3 * 5)


@proves("timeouts.total", "models.<name>.timeouts.total")
def the_request_with_all_attempts_takes_no_longer(setting: Setting) -> None:
    holds(setting, "total", ScriptedAnswer(after=5), stream=False, error="DeadlineExceeded", whole=5)
    given = timed(setting, "total", 20, 600) | {"circuit_breaker": OFF}
    given["retry"] = {"type": "exponential", "attempts": 20, "budget": None, "max_delay": "3s"}
    _end, after = took(given, ScriptedAnswer(error=DOWN, after=3), stream=False)
    assert 14 < after <= 20.01


@proves("timeouts.drain")
def so_long_calls_may_still_run_when_it_is_drained(setting: Setting) -> None:
    for value, finished, seconds in ((2, False, 2), (8, True, 5)):
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=5))

        async def story(r: Router, deployment: bool = True) -> tuple[bool, float]:
            call = asyncio.ensure_future(ask(r))
            await asyncio.sleep(0)
            began = asyncio.get_running_loop().time()
            idle = await (r.drain("a/x") if deployment else r.shutdown())
            after = asyncio.get_running_loop().time() - began
            await call
            return idle, after

        given = setting.to(value, config("a"))
        for deployment in (True, False):
            found = during(given, upstream, lambda r, d=deployment: story(r, d))
            assert found == (finished, pytest.approx(seconds, abs=0.1 if deployment else 1.1))


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────

PLACES = ("providers.<name>.limits", "models.<name>.deployments[].limits", "limits.<name>")


def limited(setting: Setting, **limits: Any) -> Given:
    """A deployment with those limits where the setting stands, and without a queue."""
    place = setting.key.rpartition(".")[0]
    given = config("a", retry="none", queue=None, limits={"both": {"requests": "1000/s"}})
    given["providers"]["a"]["shared_limits"] = ["both"]
    return Setting(place, setting.folder, setting.environment).to(limits, given) if limits else given


def let_through(given: Given, *, times: int = 10, after: float = 0, **options: Any) -> int:
    """How many of so many calls at once reach an upstream `after` seconds after as many others."""
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.5))

    async def story(r: Router) -> int:
        if after:
            await asyncio.gather(*(ask(r, **options) for _ in range(times)))
            await asyncio.sleep(after)
            upstream.calls.clear()
        await asyncio.gather(*(ask(r, **options) for _ in range(times)))
        return len(upstream.calls)

    return during(given, upstream, story)


@proves(*(f"{each}.requests" for each in PLACES))
def so_many_requests_in_that_time(setting: Setting) -> None:
    for value in (2, 5):
        given = setting.to(f"{value}/min", limited(setting))
        assert let_through(given) == value
        assert let_through(given, after=5) < value
        assert let_through(given, after=61) == value


@proves(*(f"{each}.tokens" for each in PLACES))
def so_many_tokens_in_that_time(setting: Setting) -> None:
    for value in (400, 800):
        base = limited(setting, requests="1000/s")
        given = setting.to(f"{value}/min", base)
        assert value // 120 <= let_through(given, max_tokens=100) <= value // 100
        assert let_through(base, max_tokens=100) == 10


@proves(*(f"{each}.burst_requests" for each in PLACES))
def so_many_requests_at_once_after_a_rest(setting: Setting) -> None:
    base = limited(setting, requests="60/min")
    assert [let_through(setting.to(each, base)) for each in (2, 5, None)] == [2, 5, 10]
    assert let_through(setting.to(5, base), after=2.1) in (2, 3)


@proves(*(f"{each}.burst_tokens" for each in PLACES))
def so_many_tokens_at_once_after_a_rest(setting: Setting) -> None:
    base = limited(setting, tokens="60000/min")
    found = [let_through(setting.to(each, base), max_tokens=100) for each in (400, 800, None)]
    assert found[0] in (3, 4)
    assert found[1] in (6, 7, 8)
    assert found[2] == 10


@proves(*(f"{each}.oversize" for each in PLACES))
def a_request_above_the_burst_is_refused_or_waits_for_a_full_bucket(setting: Setting) -> None:
    def ended(value: str) -> list[tuple[str, float]]:
        given = setting.to(value, limited(setting, tokens="600/min")) | {"queue": {"wait": "10m"}}
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(usage=USED))

        async def one(r: Router) -> tuple[str, float]:
            began = asyncio.get_running_loop().time()
            return await ask(r, max_tokens=1000), round(asyncio.get_running_loop().time() - began)

        async def story(r: Router) -> list[tuple[str, float]]:
            return [await one(r), await one(r)]

        return during(given, upstream, story)

    assert ended("refuse") == [("NoDeploymentAvailable", 0)] * 2
    (first, at_once), (second, later) = ended("full")
    assert (first, at_once, second) == ("ok", 0, "ok")
    assert later >= 50


def accounts(**changes: Any) -> Given:
    """Deployments `a/x` and `a/y` at one provider, and `b/x` at another."""
    given = config("ab", retry="none", queue=None, **changes)
    given["models"]["m"]["deployments"] = ["a/x", "a/y", "b/x"]
    return given


LIMIT = {"requests": "4/h"}


@proves("providers.<name>.limits", "models.<name>.deployments[].limits")
def the_limits_are_of_the_account_or_of_the_deployment_alone(setting: Setting) -> None:
    assert called(setting.to(None, accounts()), 30) == {"a/x": 10, "a/y": 10, "b/x": 10}
    found = called(setting.to(LIMIT, accounts()), 30)
    if setting.key.startswith("providers"):
        assert found["a/x"] + found["a/y"] == 4
        assert found["b/x"] == 26
    else:
        assert found["a/x"] == 4
        assert found["a/y"] + found["b/x"] == 26


@proves("limits")
def all_that_name_a_limit_share_it(setting: Setting) -> None:
    base = accounts()
    for name in "ab":
        base["providers"][name]["shared_limits"] = ["both"]
    for value in (4, 7):
        assert called(setting.to({"both": {"requests": f"{value}/h"}}, base), 30).total() == value


@proves("providers.<name>.shared_limits", "models.<name>.deployments[].shared_limits")
def it_counts_against_the_limits_that_it_names(setting: Setting) -> None:
    base = accounts(limits={"both": LIMIT})
    base["models"]["m"]["deployments"] = ["a/x"]
    assert [called(setting.to(each, base), 30).total() for each in ([], ["both"])] == [30, 4]


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────


def narrow(**changes: Any) -> Given:
    given = config("a", retry="none", timeouts={"total": "2h"}, **changes)
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]
    return given


def served(given: Given, callers: int, call: float) -> tuple[int, float]:
    """How many callers at once get an answer that takes `call` seconds, and when the last one is refused."""
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=call))

    async def one(r: Router) -> tuple[bool, float]:
        began = asyncio.get_running_loop().time()
        end = await ask(r)
        return end == "ok", asyncio.get_running_loop().time() - began

    async def story(r: Router) -> tuple[int, float]:
        found = await asyncio.gather(*(one(r) for _ in range(callers)))
        return sum(ok for ok, _ in found), max((after for ok, after in found if not ok), default=0)

    return during(given, upstream, story)


@proves("queue")
def callers_wait_for_room_or_are_refused_at_once(setting: Setting) -> None:
    assert served(setting.to(None, narrow()), 3, 1) == (1, 0)
    assert served(setting.to({}, narrow()), 3, 1) == (3, 0)


@proves("queue.length")
def so_many_callers_may_wait(setting: Setting) -> None:
    base = narrow(queue={"wait": "1h"})
    assert [served(setting.to(each, base), 9, 1)[0] for each in (1, 4)] == [1 + 1, 1 + 4]


@proves("queue.wait")
def nobody_waits_longer(setting: Setting) -> None:
    answered, refused = served(setting.to("2s", narrow()), 2, 3)
    assert answered == 1
    assert refused <= 2.01
    assert served(setting.to("4s", narrow()), 2, 3) == (2, 0)


@proves("queue.lowest_share")
def that_share_of_the_turns_is_kept_for_each_lower_priority(setting: Setting) -> None:
    def low(value: str) -> int:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=1))
        turns: Counter[str] = Counter()

        async def one(r: Router, priority: str) -> None:
            if await ask(r, priority=priority) == "ok" and turns.total() < 40:
                turns[priority] += 1

        async def story(r: Router) -> int:
            await asyncio.gather(*(one(r, each) for each in ["high"] * 60 + ["low"] * 60))
            return turns["low"]

        return during(setting.to(value, narrow(queue={"wait": "1h"})), upstream, story)

    assert [low(each) for each in ("10%", "40%")] == [pytest.approx(4, abs=1), pytest.approx(16, abs=1)]


@proves("queue.weights")
def a_caller_gets_so_many_turns_in_each_round(setting: Setting) -> None:
    def turns(value: dict[str, int]) -> Counter[str]:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=1))
        found: Counter[str] = Counter()

        async def one(r: Router, caller: str) -> None:
            if await ask(r, caller=caller) == "ok" and found.total() < 40:
                found[caller] += 1

        async def story(r: Router) -> None:
            await asyncio.gather(*(one(r, each) for each in ["one", "other"] * 60))

        during(setting.to(value, narrow(queue={"wait": "1h"})), upstream, story)
        return found

    assert turns({})["one"] == pytest.approx(20, abs=1)
    assert turns({"one": 3})["one"] == pytest.approx(30, abs=2)
