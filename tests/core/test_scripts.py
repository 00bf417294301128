"""Random scripts of calls that end in every way leave nothing behind; and what they have found so far.

The long run is `benchmarks/lease_scripts.py`, which says what a script is. Here run 150 of them, or as many
as the environment variable POINTSMAN_SCRIPTS says.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from routers import Heard, config, in_flight, router

from pointsman import Router
from pointsman.errors import DeadlineExceeded, Unavailable, Unsupported
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import ChatRequest

WORDS = "the sky is blue because of air"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def scripts() -> Iterator[ModuleType]:
    """The benchmark, as a module."""
    spec = spec_from_file_location("lease_scripts", ROOT / "benchmarks" / "lease_scripts.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def silence() -> Iterator[None]:
    """Scripts drop streams by the hundred, each with a warning in the log."""
    log = logging.getLogger("pointsman")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(before)


def test_random_scripts_leave_nothing_behind(scripts: ModuleType, silence: None) -> None:
    number = int(os.environ.get("POINTSMAN_SCRIPTS", "150"))
    tally = scripts.Tally()

    for seed in range(number):
        scripts.play(seed, tally)

    assert tally.scripts == number
    assert set(tally.results) == {"ok", "error", "cancelled", "abandoned"}
    assert set(tally.ends) == set(scripts.ENDS)
    assert tally.probed > 0


def test_a_script_replays_by_its_seed(scripts: ModuleType, silence: None) -> None:
    assert scripts.script(5) == scripts.script(5)
    first, second = scripts.Tally(), scripts.Tally()

    for tally in (first, second):
        for seed in range(10):
            scripts.play(seed, tally)

    assert first == second


def test_the_ledger_notices_what_is_lost(
    scripts: ModuleType, silence: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pointsman.routing.lease import Lease

    release = Lease.release

    def forgetful(self: Lease, outcome: Any, *given: Any, **more: Any) -> bool:
        done = release(self, outcome, *given, **more)
        if outcome == "neutral":
            self.deployment.live.in_flight += 1
        return done

    monkeypatch.setattr(Lease, "release", forgetful)
    with pytest.raises(scripts.Failed, match="in flight") as caught:
        for seed in range(50):
            scripts.play(seed)
    assert "POINTSMAN_SEED=" in caught.value.__notes__[0]


# ── what they found ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", [Unavailable, Unsupported])
def test_a_stream_that_failed_over_is_released_as_soon_as_it_is_dropped(kind: type[Exception]) -> None:
    """The error of the first attempt held its frames, and with them the stream; for ever, not just until gc."""

    def fail(_request: Any, _call: Any) -> Any:
        raise kind("no")

    upstream = Scripted()
    upstream.default("a", fail)
    upstream.default("b", ScriptedAnswer(text=WORDS, gap=1))

    async def main() -> None:
        async with router(upstream, config("ab", strategy="least_connections")) as r:
            for _ in range(4):
                stream = r.stream("m", "hi")
                await anext(stream)
                assert in_flight(r) == 1
                del stream
                await asyncio.sleep(0)
                assert in_flight(r) == 0

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()
    assert upstream.count("a") > 0


def charged(r: Router) -> tuple[int, int]:
    """The retries that the budget of `m` was charged for, and those that it was given back."""
    budget = r.status().to_dict()["models"]["m"]["retries"]
    return budget["retries"], budget["refunds"]


def ejected_until(r: Router) -> float:
    """Until when the first deployment of `m` is ejected."""
    until: float = r.status().to_dict()["models"]["m"]["deployments"][0]["ejection"]["ejected_until"]
    return until


def test_a_retry_that_was_cancelled_while_it_waited_is_given_back_to_the_budget() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        retry = {"type": "exponential", "base_delay": "100s", "max_delay": "100s"}
        async with router(upstream, config("a", retry=retry)) as r:
            heard = Heard(r)
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(0.001)
            call.cancel()
            await asyncio.wait([call])
            assert [each.result for each in heard.requests] == ["cancelled"]
            assert charged(r) == (1, 1)

    run(main())
    assert len(upstream.calls) == 1


def test_a_retry_that_met_only_who_cannot_is_given_back_to_the_budget() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", Unsupported("no"))

    async def main() -> None:
        given = config("ab", circuit_breaker={"failure_threshold": 1})
        async with router(upstream, given) as r:
            while upstream.count("a") == 0:
                with pytest.raises((Unavailable, Unsupported)):
                    await r.chat("m", "hi")
            retries, refunds = charged(r)
            assert retries == refunds

    run(main())
    assert upstream.count("a") == 1


def test_a_source_that_fails_to_abort_is_logged_when_its_stream_is_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, gap=1))
    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        async with router(upstream, config("a")) as r:
            provider = r.provider("a")
            open_stream = provider.stream

            async def stream(request: ChatRequest, call: Any) -> Any:
                source = await open_stream(request, call)
                abort = source.abort

                def fail() -> None:
                    abort()
                    raise OSError("cannot abort")

                source.abort = fail
                return source

            provider.stream = stream
            dropped = r.stream("m", "hi")
            await anext(dropped)
            del dropped
            gc.collect()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert in_flight(r) == 0

    run(main())
    assert complaints == []
    assert "failed in abort(): OSError" in caplog.text


def test_a_call_by_the_full_name_does_not_touch_the_ejections_of_the_level() -> None:
    """It made a level of one: the ejection ended at once, and the next one failed with a NaN."""
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))

    async def main() -> None:
        off = {"circuit_breaker": {"enabled": False}, "retry": "none"}
        async with router(upstream, config("ab", outliers={"failure_threshold": 1}, **off)) as r:
            while upstream.count("a") == 0:
                with suppress(Unavailable):
                    await r.chat("m", "hi")
            until = ejected_until(r)
            with pytest.raises(Unavailable):  # it alone can take the call, so its health is not believed
                await r.chat("a/x", "hi")
            assert ejected_until(r) == until
            await asyncio.sleep(until)
            with pytest.raises(Unavailable):
                await r.chat("a/x", "hi")
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["blocked"] == "unhealthy: ejected"

    run(main())


def test_whose_turn_comes_with_the_deadline_starts_nothing_after_it() -> None:
    """The place is given in one turn of the loop and used in the next; the deadline may lie between."""
    upstream = Scripted()
    late: list[float] = []

    def answer(_request: Any, call: Any) -> ScriptedAnswer:
        late.append(asyncio.get_running_loop().time() - call.timeouts.deadline)
        return ScriptedAnswer(after=1.0)

    upstream.default("a", answer)

    async def main(timeout: float) -> None:
        one_place = {"m": {"deployments": [{"provider": "a", "model": "x", "max_in_flight": 1}]}}
        async with router(upstream, config("a", models=one_place)) as r:
            first = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(0)
            second = asyncio.ensure_future(r.chat("m", "hi", timeout=timeout))
            await asyncio.wait([first, second])
            assert isinstance(second.exception(), DeadlineExceeded)
            assert in_flight(r) == 0

    for quarters in range(-20, 40):  # of a microsecond, which is what a turn takes
        run(main(1 + quarters * 0.25e-6))
    assert max(late) < 0


def test_a_retry_that_met_its_deadline_in_line_is_given_back() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=3.0))
    upstream.script("b", Unavailable("down"))

    async def main() -> None:
        one_place = {
            "m": {
                "deployments": [
                    {"provider": "a", "model": "x", "max_in_flight": 1},
                    {"provider": "b", "model": "x", "max_in_flight": 1},
                ]
            }
        }
        given = config("ab", models=one_place, circuit_breaker={"failure_threshold": 1})
        async with router(upstream, given, seed=3) as r:
            calls = [asyncio.ensure_future(r.chat("m", "hi", timeout=2)) for _ in range(2)]
            await asyncio.wait(calls)
            assert len(upstream.calls) == 2
            retries, refunds = charged(r)
            assert retries == refunds
            assert in_flight(r) == 0

    run(main())
