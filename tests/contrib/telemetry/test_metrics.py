"""Metrics: what a router counts, under which names and labels, and what nobody can make it count."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families
from ruamel.yaml import YAML

from pointsman import CredentialStatus, Router, Unavailable, Usage
from pointsman.clock import LoopClock
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman_telemetry import instruments as table
from pointsman_telemetry.instruments import GAUGES, INSTRUMENTS, SERIES_AT_MOST, Children
from pointsman_telemetry.metrics import Metrics, _credentials_end

CONFIG: dict[str, Any] = {
    "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
    "models": {
        "m": {
            "deployments": [
                {"provider": "a", "model": "x", "price": {"input": 1_000_000, "output": 2_000_000, "cached": 500_000}},
                {"provider": "b", "model": "y", "priority": 1},
            ],
        },
        "narrow": {"deployments": [{"provider": "b", "model": "z", "max_in_flight": 1, "limits": {"requests": "60/min"}}]},
    },
    "queue": {"length": 10, "wait": "5s"},
}  # fmt: skip


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    body, content_type = metrics.exposition()
    assert content_type.startswith("text/plain")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def value(found: dict[Any, float], name: str, **labels: str) -> float | None:
    """What the only sample of that name says which has these labels; None for no sample."""
    fits = [v for (n, has), v in found.items() if n == name and labels.items() <= dict(has).items()]
    assert len(fits) < 2, f"{name} {labels} is not one sample"
    return fits[0] if fits else None


def measured(
    scripted: Scripted, calls: Any, config: dict[str, Any] = CONFIG, **more: Any
) -> dict[Any, float]:
    async def main() -> dict[Any, float]:
        async with Router.from_config(config, plugins=[scripted]) as r:
            metrics = Metrics(r, clock=LoopClock(), **more)
            await calls(r, metrics)
            return samples(metrics)

    return run(main())


def test_a_request_counts_by_surface_model_and_result_and_its_attempts_by_outcome() -> None:
    scripted = Scripted()
    scripted.script("a", Unavailable("down"))

    async def calls(r: Router, _metrics: Metrics) -> None:
        await r.chat("m", "hi", tags={"surface": "openai"})

    found = measured(scripted, calls, surfaces=["openai"])

    assert value(found, "pointsman_requests_total", surface="openai", model="m", result="ok", error="") == 1
    assert value(found, "pointsman_attempts_total", deployment="a/x", outcome="upstream_fault") == 1
    assert value(found, "pointsman_attempts_total", deployment="b/y", outcome="ok") == 1
    assert value(found, "pointsman_request_duration_seconds_count", surface="openai", model="m") == 1


def test_the_cost_of_many_calls_is_the_exact_sum_of_what_they_said() -> None:
    scripted, said = Scripted(), list[int]()
    scripted.default("a", ScriptedAnswer(usage=Usage(1, 2, cached=1)))
    price = {"input": 0.1, "output": 0.07, "cached": 0.03}
    given = {**CONFIG, "models": {"m": {"deployments": [{"provider": "a", "model": "x", "price": price}]}}}

    async def calls(r: Router, _metrics: Metrics) -> None:
        await r.reload(given)
        for _ in range(100):
            said.append((await r.chat("m", "hi")).cost_microcents or 0)

    found = measured(scripted, calls)

    assert said == [17] * 100
    assert value(found, "pointsman_cost_usd_total", model="m", deployment="a/x") == 0.000017


def test_tokens_cost_what_the_configuration_says() -> None:
    async def calls(r: Router, _metrics: Metrics) -> None:
        await r.chat("m", "one two three")

    found = measured(Scripted(), calls)
    prompt = value(found, "pointsman_tokens_total", deployment="a/x", type="prompt")
    completion = value(found, "pointsman_tokens_total", deployment="a/x", type="completion")

    assert prompt is not None
    assert completion is not None
    cost = value(found, "pointsman_cost_usd_total", model="m", deployment="a/x")
    assert cost == pytest.approx(prompt + 2 * completion)
    usage = "gen_ai_client_token_usage_sum"
    assert value(found, usage, gen_ai_token_type="input", gen_ai_request_model="x") == prompt


def test_names_of_a_pattern_count_as_that_and_aliases_as_themselves() -> None:
    names = {**CONFIG["models"], "x-*": {"deployments": ["b/*"]}}

    async def calls(r: Router, _metrics: Metrics) -> None:
        for n in range(5):
            await r.chat(f"x-{n}", "hi")
        await r.chat("alias", "hi")

    found = measured(Scripted(), calls, {**CONFIG, "models": names, "aliases": {"alias": "m"}})

    assert value(found, "pointsman_requests_total", model="x-*", result="ok") == 5
    assert value(found, "pointsman_requests_total", model="alias", result="ok") == 1


def test_what_callers_make_up_is_other() -> None:
    async def calls(r: Router, _metrics: Metrics) -> None:
        for n in range(5):
            await r.chat(f"a/made-up-{n}", "hi", tags={"surface": f"invented-{n}"})
            with pytest.raises(Exception, match="made-up"):
                await r.chat(f"made-up-{n}", "hi")

    found = measured(Scripted(), calls)

    labels = {text for (_name, has) in found for _, text in has}
    assert not [text for text in labels if "made-up" in text or "invented" in text]
    assert value(found, "pointsman_requests_total", surface="other", model="other", result="ok") == 5
    assert value(found, "pointsman_requests_total", surface="", model="other", result="error") == 5


def test_a_metric_has_a_bounded_number_of_series() -> None:
    async def calls(_r: Router, metrics: Metrics) -> None:
        for status in range(SERIES_AT_MOST + 50):
            metrics.answered("POST", status, 0.1)

    found = measured(Scripted(), calls)

    counted = [(has, v) for (name, has), v in found.items() if name == "ai_proxy_requests_total"]
    assert len(counted) == SERIES_AT_MOST + 1
    assert sum(v for _, v in counted) == SERIES_AT_MOST + 50


def test_the_first_token_and_the_wait_in_line_are_measured() -> None:
    scripted = Scripted()
    scripted.script("b", ScriptedAnswer("two words", after=1.0), ScriptedAnswer("two words", after=1.0))

    async def streamed(r: Router) -> None:
        async with r.stream("narrow", "hi") as stream:
            assert [event async for event in stream]

    async def calls(r: Router, metrics: Metrics) -> None:
        begun = asyncio.gather(streamed(r), streamed(r))
        await asyncio.sleep(0.5)
        now = samples(metrics)
        assert value(now, "pointsman_queue_length", model="narrow") == 1
        assert value(now, "pointsman_strategy_degraded", model="narrow", strategy="round_robin") == 0
        assert value(now, "pointsman_in_flight", deployment="b/z") == 1
        assert value(now, "pointsman_limit_remaining", scope="deployment b/z", unit="requests") == 59
        await begun

    found = measured(scripted, calls)

    assert value(found, "pointsman_time_to_first_token_seconds_count", deployment="b/z") == 2
    assert value(found, "pointsman_time_to_first_token_seconds_sum", deployment="b/z") == pytest.approx(
        2, abs=0.1
    )
    assert value(found, "pointsman_queue_seconds_sum", model="narrow") == pytest.approx(1, abs=0.1)


def test_an_open_breaker_is_2_under_both_names() -> None:
    async def calls(r: Router, _metrics: Metrics) -> None:
        r.force_open("a/x")

    found = measured(Scripted(), calls)

    assert value(found, "pointsman_breaker_state", deployment="a/x") == 2
    assert value(found, "ai_proxy_circuit_breaker_state", service="a/x") == 2
    assert value(found, "pointsman_breaker_state", deployment="b/y") == 0


def test_a_reload_counts_and_brings_its_names() -> None:
    async def calls(r: Router, metrics: Metrics) -> None:
        await r.chat("m", "hi")
        await r.reload({**CONFIG, "models": {**CONFIG["models"], "new": {"deployments": ["a/n"]}}})
        await r.chat("new", "hi")
        metrics.reload_failed()

    found = measured(Scripted(), calls)

    assert value(found, "pointsman_reloads_total", result="ok") == 1
    assert value(found, "pointsman_reloads_total", result="failed") == 1
    assert value(found, "pointsman_requests_total", model="new", result="ok") == 1
    assert value(found, "pointsman_attempts_total", deployment="a/n", outcome="ok") == 1


def test_metrics_that_are_closed_count_nothing_further() -> None:
    async def calls(r: Router, metrics: Metrics) -> None:
        metrics.close()
        await r.chat("m", "hi")

    assert value(measured(Scripted(), calls), "pointsman_requests_total") is None


def test_open_metrics_comes_to_who_asks_for_it() -> None:
    async def main() -> tuple[bytes, str]:
        async with Router.from_config(CONFIG, plugins=[Scripted()]) as r:
            return Metrics(r, clock=LoopClock()).exposition("application/openmetrics-text; version=1.0.0")

    body, content_type = run(main())

    assert content_type.startswith("application/openmetrics-text")
    assert body.endswith(b"# EOF\n")


# ── what is shipped beside it ────────────────────────────────────────────────────────────────────────

SHIPPED = files("pointsman_telemetry") / "dashboards"
SUFFIXES = ("", "_total", "_bucket", "_sum", "_count")
KNOWN = {f"{each.name}{suffix}" for each in INSTRUMENTS for suffix in SUFFIXES} | set(GAUGES)
LABELS = {each.name: set(each.labels.split()) for each in INSTRUMENTS}
LABELS |= {name: set(labels.split()) for name, (_says, labels) in GAUGES.items()}
NAME = re.compile(r"\b(?:pointsman|ai_proxy|gen_ai)_\w+")


def expressions() -> Iterator[str]:
    dashboard = json.loads((SHIPPED / "grafana.json").read_text("utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for group in YAML(typ="safe").load((SHIPPED / "alerts.yaml").read_text("utf-8"))["groups"]:
        yield from (rule["expr"] for rule in group["rules"])


def test_dashboard_and_alerts_ask_for_metrics_that_there_are() -> None:
    asked = {name for each in expressions() for name in NAME.findall(each)}

    assert asked - KNOWN == set()
    assert {name for name in asked if name.startswith("pointsman_")} > {
        "pointsman_requests_total",
        "pointsman_in_flight",
    }


def test_they_ask_by_labels_that_these_metrics_have() -> None:
    for expression in expressions():
        for name, matchers in re.findall(r"\b((?:pointsman|ai_proxy)_\w+)\{([^}]*)\}", expression):
            base = next(each for each in sorted(LABELS, key=len, reverse=True) if name.startswith(each))
            asked = set(re.findall(r"(\w+)(?:=~|!=|=)", matchers))
            assert asked <= LABELS[base], expression


def test_the_end_of_credentials_is_that_of_the_last_one_that_can_be_used() -> None:
    def told(provider: str, state: str, left: float | None) -> CredentialStatus:
        return CredentialStatus(provider, "keystore", "", state, seconds_left=left)

    assert _credentials_end(
        [
            *(told("ends", state, left) for state, left in (("in_use", 5.0), ("ready", 9.0), ("ended", 0.0))),
            *(told("goes on", state, left) for state, left in (("in_use", None), ("ready", 9.0))),
            told("is missing", "missing", None),
        ]
    ) == {"ends": 9.0, "is missing": 0.0}


def test_no_two_panels_have_one_place() -> None:
    panels = json.loads((SHIPPED / "grafana.json").read_text("utf-8"))["panels"]
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels]
    assert len(set(places)) == len(places) == len({each["id"] for each in panels})


def test_every_alert_says_what_to_do() -> None:
    groups = YAML(typ="safe").load((SHIPPED / "alerts.yaml").read_text("utf-8"))["groups"]
    for rule in groups[0]["rules"]:
        assert rule["annotations"].keys() == {"summary", "what_to_do"}


def test_a_histogram_of_ours_counts_as_the_library_does() -> None:
    registry, ours = CollectorRegistry(), Children(table.OVERHEAD)
    theirs = Histogram(
        table.OVERHEAD.name,
        table.OVERHEAD.says,
        ["surface"],
        buckets=table.OVERHEAD_BUCKETS,
        registry=registry,
    )
    for seconds in (0.0, *table.OVERHEAD_BUCKETS, 0.0003, 7.0):
        ours["openai",].observe(seconds)
        theirs.labels("openai").observe(seconds)

    (family,) = registry.collect()

    assert ours.family().samples == [each for each in family.samples if not each.name.endswith("_created")]


def test_copies_to_another_model_are_counted_apart_and_beside_their_requests() -> None:
    upstream = Scripted()
    upstream.script("b", ScriptedAnswer(after=2), Unavailable("down"))
    given = {
        "providers": {name: {"type": "scripted"} for name in "ab"},
        "models": {
            "m": {"deployments": ["a/x"], "mirror": {"to": "n", "share": 1}},
            "n": {"deployments": ["b/x"]},
        },
    }

    async def calls(router: Router, _metrics: Metrics) -> None:
        for _ in range(2):
            await router.chat("m", "hello")
            await asyncio.sleep(5)

    found = measured(upstream, calls, given)
    copies = {"model": "m", "to": "n"}
    assert value(found, "pointsman_mirror_requests_total", **copies, result="ok", error="") == 1
    assert value(found, "pointsman_mirror_requests_total", **copies, result="error", error="unavailable") == 1
    assert value(found, "pointsman_mirror_finishes_total", **copies, asked="stop", copy="stop") == 1
    took = value(found, "pointsman_mirror_duration_seconds_sum", **copies, side="copy")
    assert took == pytest.approx(2, abs=0.01)
    assert value(found, "pointsman_requests_total", model="m", result="ok") == 2
    assert value(found, "pointsman_attempts_total", deployment="b/x") is None
