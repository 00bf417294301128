"""Sums of the last hour, by minute, and the route that tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx
import msgspec
import pytest
from gateways import MODEL, PLAIN, gateway_for
from hypothesis import given
from hypothesis import strategies as st

from pointsman.plugin import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    HealthChanged,
    Outcome,
    RequestEnded,
    Usage,
)
from pointsman_gateway.operator.history import KEPT, MINUTE, OTHERS, History, Times
from pointsman_gateway.operator.journal import Journal
from pointsman_simulator import Fault, Reply, Simulator

AT = 1_800_000_000.0
OURS = {"x-pointsman-csrf": "1"}
SAY = {"model": MODEL, "text": "Why?"}


def attempt(deployment: str = "gpu/a", outcome: Outcome = Outcome.OK, **more: Any) -> AttemptEnded:
    usage = Usage(prompt=100, completion=10, cached=40)
    return AttemptEnded(
        "r", MODEL, deployment, 1, outcome, "", "", None, AT, 2.0, 0.5, usage, "", cost_microcents=7, **more
    )


def ended(result: str = "ok", error: str = "", model: str = MODEL) -> RequestEnded:
    usage = Usage(prompt=100, completion=10)
    return RequestEnded(
        "r", "chat", model, model, "gpu/a", result, error, "", 1, AT, 2.0, usage, cost_microcents=7
    )


def told(history: History, now: float) -> Any:
    return msgspec.json.decode(msgspec.json.encode(history.told(now)))


def test_a_minute_sums_up_what_ended_in_it() -> None:
    history = History(AT)
    refused = CallerRefused("r", "openai", "", "", "", "invalid_api_key", "", 401, AT)
    failed = attempt("gpu/b", Outcome.UPSTREAM_FAULT)

    history.take([(AT, attempt()), (AT + 1, failed), (AT + 2, ended()), (AT + 3, refused)])
    history.take([(AT + 4, ended("error", "timeout")), (AT + 5, ended("error", "queue_full"))])

    (minute,) = told(history, AT + 10)["minutes"]
    assert minute["at"] == AT // MINUTE * MINUTE
    assert (minute["requests"], minute["results"]) == (3, {"ok": 1, "error": 2})
    assert minute["errors"] == {"upstream": 1, "gateway": 1}
    assert minute["refused"] == {"invalid_api_key": 1}
    assert (minute["prompt_tokens"], minute["completion_tokens"], minute["cost_microcents"]) == (300, 30, 21)
    assert minute["models"] == {MODEL: 3}
    assert minute["answers"] == {MODEL: {"gpu/a": 1}}
    one, other = minute["deployments"]["gpu/a"], minute["deployments"]["gpu/b"]
    assert (one["attempts"], one["failed"], one["prompt_tokens"], one["cached_tokens"]) == (1, 0, 100, 40)
    assert (other["attempts"], other["failed"], other["busy_seconds"]) == (1, 1, 2.0)
    assert sum(count for _, count in minute["first_token_ms"]) == 2


def test_what_is_older_than_an_hour_is_gone() -> None:
    history = History(AT)
    for minute in range(KEPT + 10):
        history.take([(AT + minute * MINUTE, ended())])
        history.take([(AT + minute * MINUTE, BreakerChanged("gpu/a", "closed", "open", "5 failures"))])

    now = AT + (KEPT + 9) * MINUTE
    said = told(history, now)

    assert [each["at"] for each in said["minutes"]] == [AT + n * MINUTE for n in range(10, KEPT + 10)]
    assert said["changes"][0]["at"] == AT + 10 * MINUTE
    assert said["since"] == AT + 10 * MINUTE
    assert told(history, now + 3_600)["minutes"] == []


def test_it_says_since_when_it_counts() -> None:
    assert told(History(AT), AT + 90)["since"] == AT


def test_a_clock_that_is_set_back_loses_nothing() -> None:
    history = History(AT)

    history.take([(AT, ended()), (AT - 600, ended())])

    assert [each["requests"] for each in told(history, AT)["minutes"]] == [2]


def test_names_that_callers_make_up_fill_no_memory() -> None:
    history = History(AT)

    history.take([(AT, ended("error", "unknown_model", model=f"m{n}")) for n in range(5_000)])

    models = told(history, AT)["minutes"][0]["models"]
    assert len(models) == 501
    assert models[OTHERS] == 4_500


@given(st.lists(st.floats(0.001, 3_600), min_size=1, max_size=50))
def test_times_are_told_to_five_percent(samples: list[float]) -> None:
    times = Times()
    for each in samples:
        times.add(each)

    found = [ms for ms, count in times.told() for _ in range(count)]

    assert found == pytest.approx(sorted(each * 1e3 for each in samples), rel=0.05)


@given(st.lists(st.integers(1, 3_000), max_size=6))
def test_each_event_is_summed_up_once_or_told_to_be_lost(lots: list[int]) -> None:
    seen, lost = list[int](), 0

    def listen(_listener: Any, *, kinds: Any) -> Callable[[], None]:
        return lambda: None

    def sums(entries: Iterable[tuple[float, Any]], forgotten: int) -> None:
        nonlocal lost
        lost += forgotten
        seen.extend(int(each.subject) for _, each in entries)

    journal, number = Journal(listen, lambda: AT, "run", sums), 0
    for lot in lots:
        for _ in range(lot):
            journal.add(HealthChanged(str(number), True, ""))
            number += 1
        journal.settle()
        journal.settle()

    assert len(seen) + lost == number
    assert seen == sorted(set(seen))
    assert lost == sum(max(0, lot - 2_000) for lot in lots)


async def test_who_opens_a_page_gets_the_hour_before(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with (
        gateway_for(upstream, surfaces=[PLAIN]) as served,
        httpx.AsyncClient(base_url=served.url, headers=OURS) as client,
    ):
        before = (await client.get("/admin/v1/history")).json()
        await client.post("/v1/say", json=SAY)
        upstream.script(Reply(fault=Fault.status(400)))
        await client.post("/v1/say", json=SAY)
        said = (await client.get("/admin/v1/history")).json()

    assert before["minutes"] == []
    assert sum(each["requests"] for each in said["minutes"]) == 2
    assert sum(sum(each["errors"].values()) for each in said["minutes"]) == 1
    assert (said["seconds"], said["lost"]) == (60, 0)


def test_what_is_in_no_sum_is_told() -> None:
    history = History(AT)

    history.take([(AT, ended())], 3)
    history.take([], 2)

    assert told(history, AT)["lost"] == 5
