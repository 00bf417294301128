"""What code of others says when it fails goes to the log without the secrets that it was told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel
from routers import config

from pointsman import Router
from pointsman._internal.scrubber import MASK, Scrubber
from pointsman.audit import AuditFactory
from pointsman.builtin.strategies import RoundRobin
from pointsman.control.commands import answer
from pointsman.errors import PluginError
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.strategy import StrategyFactory
from pointsman.testing import Scripted, run

SECRET = "a-key-nobody-may-see-4711"


class Loud(RoundRobin):
    """Fails in one of its methods, and quotes the key."""

    def __init__(self, method: str) -> None:
        super().__init__()
        if method:
            setattr(self, method, self._fail)

    def observed(self, *_given: Any) -> None:
        """Hears of all, so that it is told."""

    def _fail(self, *_given: Any) -> Any:
        raise ValueError(f"cannot use {SECRET}")


class LoudSink:
    """Fails at every event, or when it is closed."""

    def __init__(self, method: str) -> None:
        self._method = method

    def __call__(self, _event: object) -> None:
        if self._method == "event":
            raise ValueError(f"cannot write {SECRET}")

    def close(self) -> None:
        if self._method == "close":
            raise ValueError(f"cannot write {SECRET}")


class Plugin(PointsmanSpec):
    def __init__(self, method: str) -> None:
        self._method = method

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("loud", None, lambda _context: Loud(self._method))]

    @hookimpl
    def pointsman_audit_sinks(self) -> list[AuditFactory]:
        return [AuditFactory("loud", BaseModel, lambda _context: LoudSink(self._method))]


def given(**more: Any) -> dict[str, Any]:
    keyed = {"a": {"type": "scripted", "auth": {"type": "static", "value": SECRET}}}
    return config("a") | {"providers": keyed, "retry": "none", **more}


def logged_by(caplog: pytest.LogCaptureFixture) -> str:
    """What stands in the log, which says something, and not the secret."""
    assert "ValueError" in caplog.text
    assert MASK in caplog.text
    assert SECRET not in caplog.text
    return caplog.text


@pytest.mark.parametrize("method", ["pick", "observed"])
def test_a_strategy_that_quotes_a_key(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Router.from_config(given(strategy="loud"), plugins=[Scripted(), Plugin(method)]) as r:
            try:
                await r.chat("m", "hi")
            except PluginError as error:
                assert SECRET not in str(error)

    run(main())

    assert f"failed in {method}()" in logged_by(caplog)


def test_a_strategy_that_quotes_a_key_when_it_is_to_go_on(caplog: pytest.LogCaptureFixture) -> None:
    class Unlucky(Loud):
        def state(self) -> Any:
            raise TypeError(f"cannot use {SECRET}")

    class Its(PointsmanSpec):
        @hookimpl
        def pointsman_strategies(self) -> list[StrategyFactory]:
            return [StrategyFactory("loud", None, lambda _context: Unlucky(""))]

    async def main() -> None:
        async with Router.from_config(given(strategy="loud"), plugins=[Scripted(), Its()]) as r:
            await r.reload(given(strategy="loud"))

    run(main())

    assert "failed in restore()" in caplog.text
    assert MASK in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("method", ["event", "close"])
def test_a_sink_that_quotes_a_key(method: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Router.from_config(given(audit=["loud"]), plugins=[Scripted(), Plugin(method)]) as r:
            await r.chat("m", "hi")

    run(main())

    logged_by(caplog)


def test_a_listener_that_quotes_a_key(caplog: pytest.LogCaptureFixture) -> None:
    def listener(_event: object) -> None:
        raise ValueError(f"cannot use {SECRET}")

    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted()]) as r:
            r.listen(listener)
            await r.chat("m", "hi")

    run(main())

    assert "a listener failed" in logged_by(caplog)


def test_a_command_that_fails_with_a_key(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        config = None

        def status(self) -> Any:
            raise ValueError(f"cannot use {SECRET}")

    async def main() -> bytes:
        line = json.dumps({"command": "status"}).encode()
        broken: Any = Broken()
        return await answer(broken, line, scrub=Scrubber([SECRET]).text)

    said = run(main())

    assert SECRET.encode() not in said
    assert "a command on the control socket failed" in logged_by(caplog)


@pytest.mark.parametrize("failing", ["aclose"])
def test_a_provider_that_quotes_a_key_when_it_is_closed(
    failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise ValueError(f"cannot use {SECRET}")

    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted()]) as r:
            setattr(r.provider("a"), failing, fail)

    run(main())

    assert f"failed in {failing}()" in logged_by(caplog)
