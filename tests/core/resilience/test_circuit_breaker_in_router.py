"""The breaker where it works: between a router and upstreams that fail."""

from __future__ import annotations

import asyncio

import pytest
from routers import config, in_flight, router

from pointsman.errors import NoDeploymentAvailable, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer, run


@pytest.mark.parametrize("probes", [1, 2, 5])
def test_of_a_hundred_concurrent_calls_only_the_allowed_probes_reach_a_half_open_deployment(
    probes: int,
) -> None:
    upstream = Scripted()
    given = config("a", retry="none", queue=None, circuit_breaker={"half_open_max_calls": probes})

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.default("a", Unavailable("down"))
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("m", "hi")
            assert 15 <= (caught.value.retry_after or 0) <= 18.01
            await asyncio.sleep(20)
            upstream.calls.clear()
            upstream.default("a", ScriptedAnswer(after=1.0))

            ends = await asyncio.gather(*(r.chat("m", "hi") for _ in range(100)), return_exceptions=True)

            assert upstream.count("a") == probes
            assert upstream.most_in_flight["a"] == probes
            assert sum(isinstance(each, NoDeploymentAvailable) for each in ends) == 100 - probes
            assert in_flight(r) == 0
            if probes > 1:  # two successes close it, or one where only one is allowed
                assert r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] == "closed"

    run(main())


@pytest.mark.parametrize("well", [True, False])
def test_callers_wait_in_line_for_the_result_of_the_probes(well: bool) -> None:
    upstream = Scripted()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a", retry="none", warm_up=None)) as r:
            upstream.default("a", Unavailable("down"))
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
            await asyncio.sleep(20)
            upstream.calls.clear()
            upstream.default(
                "a",
                ScriptedAnswer(after=1.0) if well else ScriptedAnswer(after=1.0, error=Unavailable("down")),
            )
            began = loop.time()

            ends = await asyncio.gather(*(r.chat("m", "hi") for _ in range(10)), return_exceptions=True)

            if well:
                assert not any(isinstance(each, BaseException) for each in ends)
                assert loop.time() - began == pytest.approx(2.0, abs=0.01)
            else:
                assert upstream.count("a") == 2
                refused = [each for each in ends if isinstance(each, NoDeploymentAvailable)]
                assert len(refused) == 8
                assert all(30 <= (each.retry_after or 0) <= 36.01 for each in refused)
                assert loop.time() - began == pytest.approx(1.0, abs=0.01)

    run(main())


def test_a_cancelled_probe_frees_its_place() -> None:
    upstream = Scripted()
    given = config("a", retry="none", queue=None, circuit_breaker={"half_open_max_calls": 1})

    async def main() -> None:
        async with router(upstream, given) as r:
            upstream.default("a", Unavailable("down"))
            for _ in range(5):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")
            await asyncio.sleep(20)
            upstream.default("a", ScriptedAnswer(after=100.0))
            probe = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("m", "hi")
            probe.cancel()
            await asyncio.wait([probe])
            upstream.default("a", "back")
            assert (await r.chat("m", "hi")).text == "back"

    run(main())


def test_a_breaker_that_is_not_enabled_counts_and_nothing_follows() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    given = config("a", retry="none", circuit_breaker={"enabled": False})

    async def main() -> None:
        async with router(upstream, given) as r:
            for _ in range(50):
                with pytest.raises(Unavailable):
                    await r.chat("m", "hi")

            (deployment,) = r.status().to_dict()["models"]["m"]["deployments"]
            assert deployment["blocked"] is None
            breaker = deployment["breaker"]
            assert (breaker["state"], breaker["calls"], breaker["failures"]) == ("disabled", 50, 50)

            r.force_open("a/x")
            with pytest.raises(NoDeploymentAvailable):
                await r.chat("m", "hi")
            r.reset("a/x")
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] == "disabled"

    run(main())
