"""The router of a configuration in virtual time, against modelled upstreams."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pointsman import Config
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.settings import MemorySettings, UpstreamLimits, UpstreamSettings
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Asked, Question, World, filler, in_virtual_time

PLAIN: Mapping[str, Any] = {"first_token": "1s", "tokens_per_second": 10}


def config(*providers: str, **more: Any) -> Config:
    """Providers of type `openai`, all behind the model `m`."""
    return Config.from_mapping(
        {
            "providers": {name: {"type": "openai", "api_key": "sk-none"} for name in providers},
            "models": {"m": {"deployments": [f"{name}/x" for name in providers]}},
            "retry": "none",
            **more,
        }
    )


def asked_at(
    times: Sequence[float],
    configured: Config,
    *,
    settings: Mapping[str, Any] = PLAIN,
    faults: Sequence[Mapping[str, Any]] = (),
    answer: int = 11,
    streamed: bool = True,
    seed: int = 0,
    models: Sequence[str] = ("m",),
) -> tuple[list[Asked], World]:
    """What became of a question at each of `times`, in their order, and the world afterwards."""

    async def work() -> tuple[list[Asked], World]:
        world = World(
            configured,
            upstreams={"*": UpstreamSettings.model_validate(settings)},
            faults=[FaultSettings.model_validate(each) for each in faults],
            seed=seed,
        )

        async def one(n: int, at: float) -> Asked:
            await asyncio.sleep(at)
            model = models[n % len(models)]
            return await world.ask(
                Question(id=f"r{n}", model=model, size=Size(100, answer), streamed=streamed)
            )

        async with world:
            return list(await asyncio.gather(*(one(n, at) for n, at in enumerate(times)))), world

    return in_virtual_time(work())


def seconds(asked: Sequence[Asked]) -> list[float | None]:
    """How long each took, to a hundredth."""
    return [None if each.total is None else round(each.total, 2) for each in asked]


def test_an_answer_takes_its_first_token_and_then_its_length_at_its_speed() -> None:
    (streamed,), _ = asked_at([0], config("a"))
    (whole,), _ = asked_at([0], config("a"), streamed=False)

    assert streamed.first_token == pytest.approx(1.0, abs=0.001)
    assert streamed.total == pytest.approx(2.0, abs=0.001)  # ten more tokens
    assert (whole.first_token, whole.error) == (None, "")
    assert whole.total == pytest.approx(2.0, abs=0.001)


def test_a_long_prompt_is_read_before_the_first_token() -> None:
    (asked,), _ = asked_at([0], config("a"), settings={**PLAIN, "prompt_tokens_per_second": 50})

    assert asked.first_token == pytest.approx(3.0, abs=0.001)


def test_an_answer_that_takes_longer_than_a_stream_may_be_silent_is_no_silence() -> None:
    (asked,), _ = asked_at([0], config("a", timeouts={"idle": "5s"}), answer=1001)

    assert (asked.error, round(asked.total or 0)) == ("", 101)


def test_calls_wait_in_line_where_an_upstream_takes_few_at_once() -> None:
    asked, world = asked_at([0, 0, 0], config("a"), settings={**PLAIN, "parallel": 1})

    assert seconds(asked) == [2, 4, 6]
    assert [round(each, 2) for each in world.upstreams["a"].counts.waits] == [2, 4]
    assert world.upstreams["a"].counts.most == 1


def test_a_call_too_many_in_line_is_refused() -> None:
    asked, world = asked_at([0, 0, 0], config("a"), settings={**PLAIN, "parallel": 1, "max_queue": 1})

    assert [each.error for each in asked] == ["", "", "overloaded"]
    assert world.upstreams["a"].counts.refused == 1


def test_a_caller_who_goes_away_gives_the_turn_to_the_next() -> None:
    impatient = config("a", timeouts={"total": "3s"})

    asked, world = asked_at([0, 0, 0], impatient, settings={**PLAIN, "parallel": 1}, answer=16)

    assert [each.error for each in asked] == ["", "deadline_exceeded", "deadline_exceeded"]
    assert world.upstreams["a"].at_work == 0


def test_answers_share_the_speed_of_an_upstream_that_slows_down() -> None:
    alone, _ = asked_at([0], config("a"), settings={**PLAIN, "full_speed": 1})
    both, _ = asked_at([0, 0], config("a"), settings={**PLAIN, "full_speed": 1})
    one_after, _ = asked_at([0, 1], config("a"), settings={**PLAIN, "full_speed": 1})

    assert seconds(alone) == [2]
    assert seconds(both) == [4, 4]
    assert seconds(one_after) == [3, 3]  # a second alone, two seconds of half speed, the last one alone


def test_a_model_that_is_not_in_memory_is_loaded_and_puts_out_another() -> None:
    two = Config.from_mapping(
        {
            "providers": {"a": {"type": "ollama"}},
            "models": {name: {"deployments": [f"a/{name}"]} for name in ("m", "n")},
        }
    )
    memory = MemorySettings(max_loaded=1, load_time=4)

    asked, world = asked_at(
        [0, 10, 20, 30], two, settings={**PLAIN, "memory": memory}, models=("m", "m", "n", "m")
    )

    assert seconds(asked) == [6, 2, 6, 6]
    assert world.upstreams["a"].cold_loads == 3


def test_an_upstream_answers_429_above_its_limits_and_says_when() -> None:
    settings = {**PLAIN, "limits": UpstreamLimits.model_validate({"requests": "2/min"})}

    asked, world = asked_at([0, 0, 0, 31], config("a", overload={"base": "1s"}), settings=settings)

    assert [each.error for each in asked] == ["", "", "rate_limited", ""]
    assert world.upstreams["a"].counts.limited == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", "unavailable"),
        ("503", "overloaded"),
        ("429:5", "rate_limited"),
        ("429/quota", "quota_exhausted"),
        ("400", "invalid_request"),
        ("401", "authentication_failed"),
        ("refused", "connection_failed"),
        ("reset", "connection_failed"),
        ("loading:3", "overloaded"),
        ("stall", "deadline_exceeded"),  # there is nobody else
        ("cut_after:0", "truncated"),
        ("cut_after:3", "stream_broken"),
        ("stall_after:3", "stream_broken"),
        ("error_after:3", "stream_broken"),
    ],
)
def test_a_fault_is_the_error_that_it_is_at_a_real_upstream(fault: str, error: str) -> None:
    asked, world = asked_at([0], config("a"), faults=[{"upstream": "a", "fault": fault}])

    assert [each.error for each in asked] == [error]
    assert world.upstreams["a"].counts.troubled == 1
    assert world.upstreams["a"].at_work == 0


def test_a_fault_lasts_as_long_as_is_said_and_befalls_the_share_that_is_said() -> None:
    times = [n / 10 for n in range(1000)]
    healthy = {"circuit_breaker": {"enabled": False}, "overload": {"base": "1ms", "max": "1ms"}}

    outage, _ = asked_at(
        times, config("a", **healthy), faults=[{"upstream": "a", "fault": 500, "at": "20s", "last": "30s"}]
    )
    some, _ = asked_at(times, config("a", **healthy), faults=[{"upstream": "a/x", "fault": "500@20%"}])

    assert {n for n, each in enumerate(outage) if each.error} == set(range(200, 500))
    assert 150 < sum(bool(each.error) for each in some) < 250


def test_an_upstream_that_goes_down_breaks_off_what_runs_and_takes_nothing_until_it_is_back() -> None:
    down = {"upstream": "a", "fault": "down", "at": "3s", "last": "3s"}
    alone = config("a", circuit_breaker={"enabled": False})

    asked, world = asked_at([0, 1.5, 2.5, 4, 7], alone, settings={**PLAIN, "parallel": 2}, faults=[down])

    assert [each.error for each in asked] == [
        "",
        "stream_broken",
        "connection_failed",
        "connection_failed",
        "",
    ]
    assert world.upstreams["a"].at_work == 0


def test_the_breaker_of_the_router_opens_and_the_fallback_answers() -> None:
    configured = Config.from_mapping(
        {
            "providers": {name: {"type": "openai", "api_key": "sk-none"} for name in "ab"},
            "models": {
                "m": {"deployments": ["a/x"], "fallback": ["n"]},
                "n": {"deployments": ["b/x"]},
            },
        }
    )

    asked, world = asked_at(
        list(range(60)), configured, faults=[{"upstream": "a", "fault": "refused", "last": "40s"}]
    )

    assert Counter(each.error for each in asked) == {"": 60}
    assert {each.deployment for each in asked[:30]} == {"b/x"}
    assert "a/x" in {each.deployment for each in asked[-10:]}
    assert world.upstreams["a"].counts.troubled < 20  # the breaker kept the others away


def test_the_same_seed_makes_the_same_world_and_another_one_another() -> None:
    spread = {"first_token": {"median": "1s", "p95": "3s"}, "tokens_per_second": {"from": 5, "to": 20}}
    times = [n / 5 for n in range(50)]

    first, second, third = (
        asked_at(times, config(*"abc"), settings=spread, seed=seed)[0] for seed in (7, 7, 8)
    )

    assert first == second
    assert first != third


def test_a_world_writes_no_audit_needs_no_key_and_starts_no_service(tmp_path: Path) -> None:
    configured = config(
        "a",
        audit=[{"type": "jsonl", "path": str(tmp_path / "audit")}],
        state={"type": "redis", "url": "redis://127.0.0.1:1"},
        control={"socket": str(tmp_path / "control.sock")},
    )
    keyless = {**configured.providers}
    keyless["a"] = keyless["a"].model_copy(update={"api_key": None, "auth": {"type": "env", "name": "NONE"}})

    asked, world = asked_at([0], configured.model_copy(update={"providers": keyless}))

    assert [each.error for each in asked] == [""]
    assert list(tmp_path.iterdir()) == []
    assert world.router.config.audit == []


def test_what_an_answer_costs_is_what_the_deployment_costs() -> None:
    priced = Config.from_mapping(
        {
            "providers": {"a": {"type": "openai", "api_key": "sk-none"}},
            "models": {
                "m": {"deployments": [{"provider": "a", "model": "x", "price": {"input": 1, "output": 2}}]}
            },
        }
    )

    (asked,), _ = asked_at([0], priced)

    assert asked.cost_microcents == (100 * 1 + 11 * 2) * 100


def test_questions_that_belong_together_begin_alike_and_others_do_not() -> None:
    affine = config(
        "a", "b", "c", models={"m": {"strategy": "affinity", "deployments": ["a/x", "b/x", "c/x"]}}
    )

    asked, _ = asked_at([n / 2 for n in range(60)], affine)

    assert set(Counter(each.deployment for each in asked)) == {"a/x", "b/x", "c/x"}


def test_filler_is_as_long_as_the_router_thinks() -> None:
    from pointsman.plugin import ChatRequest, Message, input_estimate

    for tokens in (50, 1_000, 20_000):
        estimate = input_estimate(ChatRequest("m", (Message("user", filler(tokens)),)))
        assert abs(estimate - tokens) <= 0.02 * tokens + 5
