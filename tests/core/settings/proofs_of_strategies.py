"""What strategies prefer: those of the contrib package, by who gets the call."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from proving import Given, Setting, ask, during, proves
from routers import Heard, config

from pointsman import Router
from pointsman.build.contexts import Contexts
from pointsman.errors import Outcome
from pointsman.plugins.registry import Plugins
from pointsman.strategy import Residency, Sample, Strategy
from pointsman.testing import Scripted, ScriptedAnswer

PLUGINS = Plugins()


def placed(given: Given, calls: Sequence[dict[str, Any]], *, together: bool = False) -> list[str]:
    """The deployments of these calls, one after the other or all at once."""
    upstream = Scripted()
    for name in given["providers"]:
        upstream.default(name, ScriptedAnswer(after=1))

    async def story(r: Router) -> list[str]:
        heard = Heard(r)
        texts = [{"text": "hi", **each} for each in calls]
        if together:
            await asyncio.gather(*(ask(r, **each) for each in texts))
        else:
            for each in texts:
                await ask(r, **each)
        return [each.deployment for each in heard.attempts]

    return during(given, upstream, story)


# ── affinity ─────────────────────────────────────────────────────────────────────────────────────────


def talks(count: int) -> list[dict[str, Any]]:
    return [{"affinity": f"s{n}"} for n in range(count)]


def spread(given: Given, calls: Sequence[dict[str, Any]]) -> int:
    """Over how many deployments such calls go, one after the other."""
    return len(set(placed(given, calls)))


@proves("strategy:affinity.life")
def a_binding_lives_that_long_after_the_last_answer(setting: Setting) -> None:
    def comes_home(life: float) -> bool:
        """Whether a conversation whose deployment was out for 100 s goes back there."""

        async def story(r: Router) -> bool:
            async def turn() -> str:
                return (await r.chat("m", "hi", affinity="one")).deployment

            home = await turn()
            r.disable(home)
            await asyncio.sleep(100)
            assert await turn() != home
            r.enable(home)
            return await turn() == home

        return during(setting.to(life, config()), Scripted(), story)

    assert [comes_home(life) for life in (50, 200)] == [False, True]


@proves("strategy:affinity.metadata")
def that_key_of_the_metadata_names_the_conversation(setting: Setting) -> None:
    calls = [{"text": f"{n}", "metadata": {"chat": "one", "session": f"s{n}"}} for n in range(12)]
    assert [spread(setting.to(each, config()), calls) for each in ("session", "chat")] == [3, 1]


@proves("strategy:affinity.block")
def prompts_with_the_first_blocks_in_common_stay_together(setting: Setting) -> None:
    calls = [{"text": "be kind" * 50 + str(n)} for n in range(12)]  # 350 bytes in common
    assert [spread(setting.to(each, config()), calls) for each in (128, 1024)] == [1, 3]


@proves("strategy:affinity.memory")
def so_many_mebibytes_are_kept_of_prompts(setting: Setting) -> None:
    def found_again(value: int) -> bool:
        """Whether a prompt that was taken elsewhere is found there after 4 MB of others."""

        async def story(r: Router) -> bool:
            async def turn(text: str) -> str:
                return (await r.chat("m", text)).deployment

            first = r.explain("m", "x" * 2_000).pick
            r.disable(first)
            refuge = await turn("x" * 2_000)
            r.enable(first)
            for n in range(10):
                await turn(f"{n}" * 400_000)
            return await turn("x" * 2_000) == refuge

        return during(setting.to(value, config()), Scripted(), story)

    assert [found_again(value) for value in (1, 2)] == [False, True]


@proves("strategy:affinity.max_load")
def a_deployment_above_that_load_is_passed_over(setting: Setting) -> None:
    def most(value: float) -> int:
        found = placed(setting.to(value, config()), talks(1) * 30, together=True)
        return max(found.count(each) for each in found)

    assert [most(each) for each in (1.2, 100)] == [12, 30]


@proves("strategy:affinity.key")
def who_does_not_know_the_secret_cannot_tell_which_conversations_meet(setting: Setting) -> None:
    def found(value: str) -> list[str]:
        return placed(setting.to(value, config()), [{**each, "text": each["affinity"]} for each in talks(30)])

    assert found("one secret") == found("one secret")
    assert found("one secret") != found("another secret")


# ── cheapest ─────────────────────────────────────────────────────────────────────────────────────────


def priced(a: tuple[float, float], b: tuple[float, float]) -> Given:
    given = config("ab")
    given["models"]["m"]["deployments"] = [
        {"provider": name, "model": "x", "price": {"input": price[0], "output": price[1]}}
        for name, price in (("a", a), ("b", b))
    ]
    return given


@proves("strategy:cheapest.output_tokens")
def so_many_tokens_are_expected_of_an_answer(setting: Setting) -> None:
    base = priced((1, 10), (10, 1))
    call = {"text": "four" * 1000}
    assert [placed(setting.to(each, base), [call]) for each in (500, 2000)] == [["a/x"], ["b/x"]]
    assert placed(setting.to(2000, base), [{**call, "max_tokens": 500}]) == ["a/x"]


@proves("strategy:cheapest.tolerance")
def so_little_dearer_counts_as_equally_cheap(setting: Setting) -> None:
    base = priced((10, 10), (11, 11))
    assert [spread(setting.to(each, base), [{}] * 6) for each in ("0%", "9%", "20%")] == [1, 1, 2]


# ── of what was seen ─────────────────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class Place:
    """A deployment as a strategy sees it."""

    id: str
    provider_name: str = ""
    model: str = "m"
    weight: int = 1
    in_flight: int = 0
    residency: Residency | None = None
    price: None = None


class Clock:
    """Stands still until it is moved."""

    time = 1000.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


def made(setting: Setting, value: object, clock: Clock, rng: random.Random, **more: Any) -> Strategy:
    name = setting.key.partition(":")[2].partition(".")[0]
    said = setting.to(value, config() | {"strategy": {"type": name, **more}})["strategy"]
    factory = PLUGINS.strategy(name)
    assert factory.settings is not None
    said.pop("type")
    settings = factory.settings.model_validate(said)
    return factory.make(Contexts(clock, rng).strategy(name, settings))


def preferred(
    setting: Setting, value: object, *samples: tuple[str, Outcome, float, float | None, float]
) -> str:
    """Who is picked after these: (who, how it ended, seconds, `retry_after`, seconds since the one before)."""
    clock = Clock()
    strategy = made(setting, value, clock, random.Random(1))
    places = {name: Place(name) for name in "ab"}
    strategy.members(tuple(places.values()))
    for name, outcome, seconds, retry_after, later in samples:
        clock.time += later
        strategy.observed(places[name], Sample(outcome, seconds, None, retry_after, clock.time))
    found = {strategy.pick(tuple(places.values()), None).id for _ in range(5)}
    (name,) = found
    return name


@proves("strategy:peak_ewma.decay")
def after_that_long_a_sample_counts_for_a_third(setting: Setting) -> None:
    samples = (("a", Outcome.OK, 10, None, 0), ("b", Outcome.OK, 5, None, 10))
    assert [preferred(setting, each, *samples) for each in ("10s", "20s")] == ["a", "b"]  # 3.7 s, 6.1 s
    quick = ("a", Outcome.OK, 1, None, 0)
    for value, winner in (("10s", "a"), ("100s", "b")):  # one after 10 s: a third of the old, or most of it
        samples = (("a", Outcome.OK, 10, None, 0), (*quick[:4], 10), ("b", Outcome.OK, 6, None, 0))
        assert preferred(setting, value, *samples) == winner


@proves("strategy:peak_ewma.failure_at_least")
def a_failed_attempt_counts_as_one_that_took_this_long(setting: Setting) -> None:
    samples = (("a", Outcome.UPSTREAM_FAULT, 0.1, None, 0), ("b", Outcome.OK, 2, None, 0))
    assert [preferred(setting, each, *samples) for each in ("1s", "5s")] == ["a", "b"]
    slow = (("a", Outcome.UPSTREAM_FAULT, 3, None, 0), ("b", Outcome.OK, 2, None, 0))
    assert preferred(setting, "1s", *slow) == "b", "or as long as it took"


@proves("strategy:peak_ewma.overload_cap")
def the_wait_that_an_upstream_asked_for_adds_no_more(setting: Setting) -> None:
    samples = (("a", Outcome.OVERLOAD, 0.1, 100, 0), ("b", Outcome.OK, 20, None, 0))
    assert [preferred(setting, each, *samples) for each in ("10s", "60s")] == ["a", "b"]


# ── warm ─────────────────────────────────────────────────────────────────────────────────────────────


def warm(setting: Setting, value: object, *, busy: int, polled: float = 0, **more: Any) -> str:
    """`hot` when a call goes to the host that has the model and `busy` calls of it; `cold` for the empty one."""
    clock = Clock()
    strategy = made(setting, value, clock, random.Random(1), **more)
    at = clock.time - polled
    hot = Place("hot", "hot", in_flight=busy, residency=Residency(True, ("m",), 1, 0, busy, at))
    cold = Place("cold", "cold", residency=Residency(False, (), 1, 0, 0, at))
    strategy.members((hot, cold))
    return strategy.pick((hot, cold), None).id


@proves("strategy:warm.parallel")
def a_host_works_on_so_many_calls_of_one_model_at_once(setting: Setting) -> None:
    assert [warm(setting, each, busy=4) for each in (1, 4)] == ["cold", "hot"]  # 20 s of queue, 1.25 s


@proves("strategy:warm.load_time")
def a_model_takes_so_long_to_load(setting: Setting) -> None:
    assert [warm(setting, each, busy=2) for each in ("5s", "60s")] == ["cold", "hot"]


@proves("strategy:warm.service_time")
def a_call_takes_so_long(setting: Setting) -> None:
    assert [warm(setting, each, busy=2) for each in ("1s", "30s")] == ["hot", "cold"]


@proves("strategy:warm.hysteresis")
def a_call_must_begin_so_much_sooner_where_the_model_has_to_be_loaded(setting: Setting) -> None:
    assert [warm(setting, each, busy=2, load_time=9) for each in ("0%", "50%")] == ["cold", "hot"]


@proves("strategy:warm.stale_after")
def a_host_whose_poll_is_older_is_held_for_unknown(setting: Setting) -> None:
    assert [warm(setting, each, busy=1, polled=50) for each in ("30s", "60s")] == ["cold", "hot"]


@proves("strategy:warm.memory")
def a_model_counts_as_wanted_that_long(setting: Setting) -> None:
    def pushed_out(value: object) -> str:
        """Which of two hosts gets a third model: that of `A`, asked for often long ago, or of `B`, lately."""
        clock, rng = Clock(), random.Random(1)
        strategies = {model: made(setting, value, clock, rng) for model in "ABC"}
        places = {
            model: tuple(
                Place(
                    f"{host}/{model}", host, model, residency=Residency(host == model, (host,), 1, 0, 0, 1000)
                )
                for host in "AB"
            )
            for model in "ABC"
        }
        for model, strategy in strategies.items():
            strategy.members(places[model])
        for _ in range(5):
            strategies["A"].pick(places["A"][:1], None)
        clock.time += 100
        strategies["B"].pick(places["B"][1:], None)
        clock.time += 1
        winner = strategies["C"].pick(places["C"], None)
        assert isinstance(winner, Place)
        return winner.provider_name

    assert [pushed_out(each) for each in ("10s", "1h")] == ["A", "B"]
