"""What the logger `pointsman` says, at which level, and that a call that succeeds pays nothing for it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from routers import config, router

from pointsman import Router
from pointsman.errors import ConfigError, Outcome, Unavailable
from pointsman.event_log import level_of, line
from pointsman.events import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    Event,
    HealthChanged,
    Reloaded,
    RequestEnded,
    StateChanged,
)
from pointsman.testing import Scripted

ATTEMPT = AttemptEnded(
    "req_1",
    "m",
    "a/x",
    2,
    Outcome.UPSTREAM_FAULT,
    "unavailable",
    "HTTP 503: no",
    503,
    0.0,
    0.25,
    None,
    None,
    "up-7",
)
REQUEST = RequestEnded("req_1", "chat", "m", "m", "a/x", "error", "unavailable", "no", 2, 0.0, 1.5, None)


@pytest.fixture(autouse=True)
def _level() -> Iterator[None]:
    """Nobody has set a level when a test begins."""
    logger = logging.getLogger("pointsman")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.parametrize(
    ("event", "level", "said"),
    [
        (ATTEMPT, logging.INFO,
         "req_1 at a/x, attempt 2: unavailable after 0.250 s: HTTP 503: no (the upstream's up-7)"),
        (replace(ATTEMPT, error="", outcome=Outcome.OK, first_token=0.1), logging.DEBUG,
         "req_1 at a/x, attempt 2: ok after 0.250 s, first content after 0.100 s"),
        (REQUEST, logging.INFO, "req_1 chat of m: error after 1.500 s and 2 attempts: unavailable"),
        (replace(REQUEST, error="", result="ok", attempts=1, caller="c", tags={"f": "s"}), logging.DEBUG,
         "req_1 chat of m: ok after 1.500 s and 1 attempt caller=c f=s"),
        (replace(REQUEST, model="", attempts=0), logging.INFO,
         "req_1 chat: error after 1.500 s and 0 attempts: unavailable"),
        (BreakerChanged("a/x", "closed", "open", "5 in a row"), logging.WARNING,
         "a/x: its breaker went from closed to open: 5 in a row"),
        (BreakerChanged("a/x", "open", "half_open", "time"), logging.INFO,
         "a/x: its breaker went from open to half_open: time"),
        (BreakerChanged("a/x", "half_open", "closed", "2 passed"), logging.WARNING,
         "a/x: its breaker went from half_open to closed: 2 passed"),
        (HealthChanged("a", False, "3 checks failed"), logging.WARNING, "a: left alone: 3 checks failed"),
        (
            CallerRefused("req_1", "openai", "m", "ci", "", "unknown_model", "not for you", 404, 0.0),
            logging.INFO,
            "req_1 of ci for m is refused: unknown_model: not for you",
        ),
        (HealthChanged("a", True, "2 checks passed"), logging.WARNING, "a: well again: 2 checks passed"),
        (StateChanged("redis", True, 2, "it answers again"), logging.WARNING,
         "the shared state in redis is back: it answers again"),
        (Reloaded(1, 2, 3), logging.INFO,
         "runs on a new configuration: 1 deployments kept, 2 added, 3 removed"),
        (Reloaded(1, 0, 0, ("m: strategy weighted → round_robin", "alias a → m")), logging.INFO,
         "runs on a new configuration: 1 deployments kept, 0 added, 0 removed; "
         "m: strategy weighted → round_robin; alias a → m"),
    ],
)  # fmt: skip
def test_an_event_is_one_line_at_its_level(event: Event, level: int, said: str) -> None:
    assert (level_of(event), line(event)) == (level, said)


def test_a_line_stays_one_line_whatever_an_upstream_says() -> None:
    said = line(replace(ATTEMPT, detail="no\nWARNING: all is lost\x1b[2J\r\u202e"))

    assert said.isprintable()
    assert r"no\nWARNING: all is lost\x1b[2J\x0d\u202e" in said


def failing() -> Router:
    upstream = Scripted()
    upstream.script("a", *(Unavailable("down") for _ in range(9)))
    upstream.script("b", *(Unavailable("down, too") for _ in range(9)))
    deployments = [{"provider": each, "model": "x", "priority": n} for n, each in enumerate("abc")]
    return router(
        upstream,
        config(models={"m": {"deployments": deployments}}, circuit_breaker={"failure_threshold": 2}),
    )


def heard(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    """Level and line of each record, without ids and times."""
    return [
        (each.levelname, each.getMessage().partition(" ")[2].partition(" after ")[0])
        for each in caplog.records
        if each.name == "pointsman"
    ]


async def test_at_info_one_sees_failed_attempts_and_where_a_request_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "pointsman")
    async with failing() as r:
        await r.chat("m", "hi")

    assert heard(caplog) == [
        ("INFO", "at a/x, attempt 1: unavailable"),
        ("INFO", "goes on to b/x, attempt 2"),
        ("INFO", "at b/x, attempt 2: unavailable"),
        ("INFO", "goes on to c/x, attempt 3"),
    ]


async def test_at_debug_one_sees_every_attempt_and_every_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pointsman")
    async with router(Scripted(), config("a")) as r:
        await r.chat("m", "hi")

    assert heard(caplog) == [
        ("DEBUG", "goes to a/x"),
        ("DEBUG", "at a/x, attempt 1: ok"),
        ("DEBUG", "chat of m: ok"),
    ]


async def test_without_a_level_one_sees_what_an_operator_has_to_know(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with failing() as r:
        for _ in range(2):
            await r.chat("m", "hi")

    assert {(each.levelname, each.getMessage()[:34]) for each in caplog.records} == {
        ("WARNING", "a/x: its breaker went from closed "),
        ("WARNING", "b/x: its breaker went from closed "),
    }


async def test_a_configuration_that_is_refused_is_a_warning_on_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with router(Scripted(), config("a")) as r:
        with pytest.raises(ConfigError):
            await r.reload(
                {"providers": {"a": {"type": "nobody"}}, "models": {"m": {"deployments": ["b/x"]}}}
            )

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("a new configuration is refused, the one before stays: ")
    assert "\n" not in record.getMessage()
    assert "\\n" not in record.getMessage()


async def test_who_listens_hears_each_event_once_at_any_level(caplog: pytest.LogCaptureFixture) -> None:
    for level in (logging.DEBUG, logging.WARNING):
        caplog.set_level(level, "pointsman")
        async with failing() as r:
            events: list[Event] = []
            r.listen(events.append)
            await r.chat("m", "hi")

        assert [type(each) for each in events] == [AttemptEnded] * 3 + [RequestEnded]


async def test_nobody_hears_of_a_call_that_succeeds_unless_the_logger_is_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listened: dict[int, tuple[bool, bool, bool]] = {}
    for level in (logging.INFO, logging.DEBUG):
        caplog.set_level(level, "pointsman")
        async with router(Scripted(), config("a")) as r:
            events = r._events  # that nobody is told shows nowhere but in what a call costs
            listened[level] = (events.attempt_ended, events.request_ended, events.detailed)

    assert listened == {logging.INFO: (False, False, False), logging.DEBUG: (True, True, True)}


async def test_a_level_that_is_set_later_is_found_with_the_next_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with failing() as r:
        await r.chat("m", "hi")
        caplog.set_level(logging.DEBUG, "pointsman")
        await r.chat("m", "hi")
        caplog.clear()
        await r.chat("m", "hi")

    assert ("DEBUG", "chat of m: ok") in heard(caplog)


def test_an_application_that_configures_no_logging_hears_nothing(tmp_path: Path) -> None:
    script = """
import asyncio
from pointsman import Router
from pointsman.errors import Unavailable
from pointsman.testing import Scripted
async def main():
    upstream = Scripted()
    upstream.default("a", Unavailable("no"))
    given = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}, "retry": "none",
             "circuit_breaker": {"failure_threshold": 1}}
    async with Router.from_config(given, plugins=[upstream]) as r:
        try:
            await r.chat("m", "hi")
        except Unavailable:
            print("failed", r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"])
asyncio.run(main())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert (ran.stdout, ran.stderr) == ("failed open\n", "")
