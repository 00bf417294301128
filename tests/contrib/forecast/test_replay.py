"""What a changed configuration would have made of the requests of a log."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pointsman import Config
from pointsman.errors import CallError
from pointsman.events import AttemptEnded
from pointsman_forecast.records import Log, RecordedAttempt, RecordedRequest, read_log
from pointsman_forecast.replay import _KINDS, decisions, error_of, replay
from pointsman_forecast.settings import UpstreamSettings
from pointsman_forecast.spreads import Always
from pointsman_forecast.upstreams import Size
from pointsman_forecast.world import Question, World, in_virtual_time

BEGAN = 1_796_032_800.0


def config(*order: str, **changes: Any) -> Config:
    """The model `m` at `order`, each after the one before it."""
    deployments = [
        {"provider": name, "model": "x", "priority": n, "price": {"input": 1 + n, "output": 1 + n}}
        for n, name in enumerate(order)
    ]
    return Config.from_mapping(
        {
            "providers": {name: {"type": "openai", "api_key": "k"} for name in "abc"},
            "models": {"m": {"deployments": deployments}},
            **changes,
        }
    )


def attempt(deployment: str, at: float, *, error: str = "", seconds: float = 1.0) -> RecordedAttempt:
    outcome = "upstream_fault" if error else "ok"
    tokens = (None, None) if error else (100, 50)
    return RecordedAttempt(
        deployment, outcome, error, 503 if error else None, seconds, None, *tokens, None, BEGAN + at
    )


def request(id: str, at: float, *attempts: RecordedAttempt, error: str = "") -> RecordedRequest:
    seconds = sum(each.seconds for each in attempts)
    last = attempts[-1].deployment if attempts else ""
    return RecordedRequest(
        id, BEGAN + at, seconds, "chat", "m", last, "error" if error else "ok", error,
        100, 50, "", 150 * 100, attempts,
    )  # fmt: skip


def log(*requests: RecordedRequest) -> Log:
    return Log(requests, (), 0, ())


def test_the_same_configuration_decides_the_same_and_costs_the_same() -> None:
    recorded = log(*(request(f"r{n}", n * 10.0, attempt("a/x", n * 10.0)) for n in range(5)))

    again = replay(config("a", "b"), recorded)

    assert (again.requests, again.changes, again.moves) == (5, [], [])
    assert again.cost_before_usd == again.cost_after_usd > 0


def test_an_attempt_that_failed_fails_again_and_the_next_one_answers() -> None:
    failed = request("r1", 0, attempt("a/x", 0, error="unavailable"), attempt("b/x", 1))

    (decision,), _ = decisions(config("a", "b"), [failed])

    assert (decision.path, decision.end) == (["a/x", "b/x"], "b/x")


def test_a_changed_order_is_told_from_where_to_where_with_its_cost() -> None:
    recorded = log(*(request(f"r{n}", n * 10.0, attempt("a/x", n * 10.0)) for n in range(4)))

    changed = replay(config("b", "a"), recorded)
    compared = replay(config("b", "a"), recorded, than=config("a", "b"))

    assert changed.moves == compared.moves == [("a/x", "b/x", 4)]
    assert changed.drawn == ["b/x"]
    assert [each.request_id for each in changed.changes] == ["r0", "r1", "r2", "r3"]


def test_where_others_found_it_down_at_that_time_a_call_finds_it_down() -> None:
    down = [
        request(f"r{n}", n, attempt("b/x", n, error="unavailable"), attempt("a/x", n + 1)) for n in range(3)
    ]
    elsewhere = request("there", 1.5, attempt("a/x", 1.5))
    in_order = sorted([*down, elsewhere], key=lambda each: each.began)

    found, drawn = decisions(config("b", "a"), in_order)

    assert drawn == []
    assert all(each.end == "a/x" for each in found)
    assert found[[each.id for each in in_order].index("there")].path[0] == "b/x"


def test_what_no_deployment_had_a_say_in_is_left_out_and_other_errors_are_compared() -> None:
    unknown = request("r1", 0, error="unknown_model")
    nobody = request("r2", 1, error="no_deployment_available")

    found = replay(config("a"), log(unknown, nobody))

    assert (found.requests, found.left_out) == (1, 1)
    assert found.moves == [("(no_deployment_available)", "a/x", 1)]
    assert (found.errors_before, found.errors_after) == (1, 0)


@pytest.mark.parametrize("strategy", ["round_robin", "weighted", "least_connections"])
def test_a_log_of_another_configuration_is_decided_as_that_traffic_really_would_be(strategy: str) -> None:
    deployments = [{"provider": name, "model": "x", "weight": n + 1} for n, name in enumerate("abc")]
    now, other = (
        config("a", models={"m": {"deployments": deployments, "strategy": each}})
        for each in ("round_robin", strategy)
    )

    recorded, _ = in_virtual_time(lived(now, seed=4))
    _, really = in_virtual_time(lived(other, seed=4))

    found, drawn = decisions(other, recorded, seed=4)
    assert [each.end for each in found] == really
    assert drawn == []


async def lived(config: Config, *, seed: int) -> tuple[list[RecordedRequest], list[str]]:
    """What a world whose upstreams all take as long records of some traffic, and who answered."""
    same = {"*": UpstreamSettings(first_token=Always(0.3), tokens_per_second=Always(50.0))}
    told: dict[str, tuple[float, AttemptEnded]] = {}
    async with World(config, upstreams=same, seed=seed, begins=BEGAN) as world:
        wall = world.clock.wall

        def tell(event: AttemptEnded) -> None:
            told[event.request_id] = (wall() - event.seconds, event)

        world.router.listen(tell, kinds=[AttemptEnded])
        asking = []
        for n in range(40):
            await world.clock.sleep(0.37013)  # so that nothing ends when something begins
            question = Question(id=f"q{n}", model="m", size=Size(50, 10 + 7 * n % 90))
            asking.append((wall(), question, asyncio.create_task(world.ask(question))))
        for _, _, task in asking:
            await task
    requests = []
    for at, question, _ in asking:
        began, event = told[question.id]
        tokens = (question.size.prompt, question.size.answer)
        only = RecordedAttempt(
            event.deployment, "ok", "", None, event.seconds, event.first_token, *tokens, None, began
        )
        requests.append(
            RecordedRequest(
                question.id, at, event.seconds, "stream", "m", event.deployment, "ok", "", *tokens, "", None,
                (only,),
            )
        )  # fmt: skip
    return requests, [task.result().deployment for _, _, task in asking]


def test_a_deployment_with_too_few_answers_to_go_by_is_told() -> None:
    few = [request(f"r{n}", n * 500.0, attempt("b/x", n * 500.0)) for n in range(2)]
    others = [request(f"o{n}", 2000 + n, attempt("a/x", 2000.0 + n)) for n in range(3)]

    assert decisions(config("b", "a"), [*few, *others])[1] == ["b/x"]


@pytest.mark.parametrize("code", [*_KINDS, "plugin", "of_tomorrow"])
def test_every_code_of_a_log_is_an_error_that_a_provider_may_raise(code: str) -> None:
    assert isinstance(error_of(code, 500), CallError)


def test_the_same_seed_decides_the_same(tmp_path: Path) -> None:
    lines = [
        {"ts": f"2026-11-30T10:00:{n:02}.000+00:00", "event": kind, "request_id": f"r{n}", "model": "m",
         "deployment": "a/x", "outcome": "ok", "result": "ok", "operation": "stream", "ms": 900,
         "first_token_ms": 100, "usage": {"prompt": 10, "completion": 9}}
        for n in range(30) for kind in ("attempt", "request")
    ]  # fmt: skip
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    spread = Config.from_mapping(
        {
            "providers": {name: {"type": "openai", "api_key": "k"} for name in "abc"},
            "models": {"m": {"deployments": ["a/x", "b/x", "c/x"], "strategy": "least_connections"}},
        }
    )
    recorded = read_log([tmp_path / "a.jsonl"])

    one, other = (decisions(spread, recorded.requests, seed=3) for _ in range(2))

    assert one == other
    assert {each.end for each in one[0]} == {"a/x", "b/x", "c/x"}
