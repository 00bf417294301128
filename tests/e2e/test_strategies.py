"""The further strategies in a real router: what they are told, and where their calls go."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from pointsman import Router
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman_simulator import Reply, Simulator, Vram


def test_cheapest_takes_the_lower_price_until_it_is_full() -> None:
    upstream = Scripted()
    upstream.default("dear", ScriptedAnswer(after=1.0))
    upstream.default("cheap", ScriptedAnswer(after=1.0))
    given: dict[str, Any] = {
        "providers": {"dear": {"type": "scripted"}, "cheap": {"type": "scripted"}},
        "models": {
            "m": {
                "strategy": "cheapest",
                "deployments": [
                    {"provider": "dear", "model": "x", "price": {"input": 3, "output": 15}},
                    {
                        "provider": "cheap",
                        "model": "x",
                        "max_in_flight": 5,
                        "price": {"input": 1, "output": 5},
                    },
                ],
            }
        },
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as r:
            replies = await asyncio.gather(*(r.chat("m", "hi") for _ in range(8)))
            assert Counter(reply.deployment for reply in replies) == {"cheap/x": 5, "dear/x": 3}

    run(main())


def test_peak_ewma_hears_how_attempts_end_and_leaves_the_slow_one_alone() -> None:
    upstream = Scripted()
    upstream.default("slow", ScriptedAnswer(after=5.0))
    upstream.default("fast", ScriptedAnswer(after=0.1))
    given = {
        "providers": {"slow": {"type": "scripted"}, "fast": {"type": "scripted"}},
        "models": {"m": {"strategy": "peak_ewma", "deployments": ["slow/x", "fast/x"]}},
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as r:
            for _ in range(60):
                await r.chat("m", "hi")

    run(main())
    assert upstream.count("fast") >= 50


def test_a_conversation_stays_with_its_deployment() -> None:
    upstream = Scripted()
    names = "abcde"
    given = {
        "providers": {name: {"type": "scripted"} for name in names},
        "models": {"m": {"strategy": "affinity", "deployments": [f"{name}/x" for name in names]}},
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as r:
            homes = {}
            for turn in range(5):
                for user in range(20):
                    reply = await r.chat("m", "hi", affinity=f"user-{user}")
                    assert homes.setdefault(user, reply.deployment) == reply.deployment, turn
            assert len(set(homes.values())) >= 4

    run(main())


async def test_warm_sends_each_model_to_the_host_that_has_it_in_memory() -> None:
    """Two Ollama hosts that keep one model each, two models: real sockets, and a poll of /api/ps."""
    async with Simulator(seed=3) as simulator:
        hosts = {}
        for name in ("gpu1", "gpu2"):
            hosts[name] = await simulator.add(
                "ollama", name=name, models=["one", "two"], vram=Vram(max_loaded=1, load_time=0.2)
            )
            hosts[name].default = Reply(text="hi")
        given: dict[str, Any] = {
            "providers": {
                name: {"type": "ollama", "base_url": host.base_url} for name, host in hosts.items()
            },
            "models": {
                model: {
                    "strategy": {"type": "warm", "load_time": "200ms"},
                    "deployments": [f"gpu1/{model}", f"gpu2/{model}"],
                }
                for model in ("one", "two")
            },
        }

        async with Router.from_config(given) as r:
            polled = r._snapshot.hosts["gpu1"]  # told at once: the next poll comes in 5 s
            await r.chat("gpu1/one", "load it")
            await r.chat("gpu2/two", "load it")
            for each in r._snapshot.hosts.values():
                each.host.told(await each.provider.in_memory(), asyncio.get_running_loop().time())
            assert polled.host.residency("one") is not None
            for _ in range(10):
                assert (await r.chat("one", "hi")).deployment == "gpu1/one"
                assert (await r.chat("two", "hi")).deployment == "gpu2/two"

        assert [host.cold_loads for host in hosts.values()] == [1, 1]


async def test_nobody_is_polled_when_no_strategy_asks() -> None:
    async with Simulator(seed=3) as simulator:
        host = await simulator.add("ollama", name="gpu", models=["one"])
        given = {
            "providers": {"gpu": {"type": "ollama", "base_url": host.base_url}},
            "models": {"m": {"deployments": ["gpu/one"]}},
        }
        async with Router.from_config(given) as r:
            await r.chat("m", "hi")
        assert [record.path for record in host.requests] == ["/api/chat"]


@pytest.mark.parametrize("strategy", ["power_of_two", "peak_ewma", "affinity", "cheapest", "warm"])
def test_every_strategy_is_switched_on_in_one_line_and_gives_everything_back(strategy: str) -> None:
    upstream = Scripted()
    for name in "abc":
        upstream.default(name, ScriptedAnswer(after=0.5))
    given = {
        "providers": {name: {"type": "scripted"} for name in "abc"},
        "models": {"m": {"strategy": strategy, "deployments": ["a/x", "b/x", "c/x"]}},
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as r:
            await asyncio.gather(*(r.chat("m", f"hi {n}", user=f"u{n}") for n in range(60)))
            assert r.explain("m").pick in ("a/x", "b/x", "c/x")
            await r.reload({**given, "timeouts": {"idle": "30s"}})
            await r.chat("m", "hi")
            assert r.status().in_flight == 0

    run(main())
