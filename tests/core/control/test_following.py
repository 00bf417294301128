"""`events` on the control socket: what is heard, what a reader that is slow or gone costs, and how it ends."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from routers import config, router

from pointsman import Router
from pointsman.control import following
from pointsman.control.commands import follows
from pointsman.control.following import Following, event_json, kind_of
from pointsman.errors import Outcome
from pointsman.events import EVENTS, AttemptEnded, RequestEnded
from pointsman.testing import Scripted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p.sock"


class Reader:
    """A connection that has asked for what happens."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def __aenter__(self) -> Reader:
        self._reader, self.writer = await asyncio.open_unix_connection(self._path)
        self.writer.write(b'{"command": "events"}\n')
        assert await self.hear() == {"ok": True}
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.writer.close()

    async def hear(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        line = await self._reader.readline()
        return json.loads(line) if line else None


@pytest.fixture(autouse=True)
def listeners(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those who listen to a router at present."""
    there: list[Any] = []
    listen = Router.listen

    def counted(r: Router, listener: Any) -> Any:
        stop = listen(r, listener)
        there.append(listener)

        def remove() -> None:
            stop()
            if listener in there:
                there.remove(listener)

        return remove

    monkeypatch.setattr(Router, "listen", counted)
    return there


async def quiet(listeners: list[Any]) -> None:
    """Return when nobody listens any more."""
    while listeners:  # noqa: ASYNC110 - turns of the loop, no time
        await asyncio.sleep(0)


async def test_who_follows_hears_what_happens_from_then_on_and_costs_nothing_before_and_after(
    path: Path, listeners: list[Any]
) -> None:
    async with router(Scripted(), config("ab", control=str(path))) as r:
        await r.chat("m", "before")
        assert not listeners

        async with Reader(path) as reader:
            await r.chat("m", "hi", caller="ci", tags={"x": "y"})
            heard = [await reader.hear() for _ in range(2)]

        await quiet(listeners)

    assert [each["type"] for each in heard if each] == ["attempt_ended", "request_ended"]
    last = heard[-1]
    assert last is not None
    assert (last["model"], last["result"], last["caller"], last["tags"]) == ("m", "ok", "ci", {"x": "y"})
    assert last["at"] > 0


async def test_who_does_not_read_keeps_nobody_waiting_and_hears_how_much_was_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "MOST_WAITING", 3)
    r = router(Scripted(), config("ab", control=str(path)))
    async with r, Reader(path) as reader:
        for _ in range(5):  # in one turn of the loop: no reader could keep up
            r.force_open("a/x")
            r.reset("a/x")

        heard = [await reader.hear() for _ in range(4)]
        r.force_open("a/x")
        further = await reader.hear()

    assert [each["type"] for each in heard if each] == ["breaker_changed"] * 3 + ["gap"]
    assert heard[-1] is not None
    assert heard[-1]["left_out"] == 7
    assert further is not None
    assert further["type"] == "breaker_changed"


async def test_following_ends_when_the_router_goes(path: Path) -> None:
    async with router(Scripted(), config("ab", control=str(path))) as r, Reader(path) as reader:
        await r.aclose()

        assert await reader.hear() is None


async def test_a_reload_that_moves_the_socket_ends_it_too(path: Path, tmp_path: Path) -> None:
    moved = config("ab", control=str(tmp_path / "other.sock"))
    async with router(Scripted(), config("ab", control=str(path))) as r, Reader(path) as reader:
        await r.reload(moved)

        heard = []
        while (said := await reader.hear()) is not None:
            heard.append(said["type"])
        assert set(heard) <= {"reloaded"}


async def test_who_says_something_more_or_hangs_up_is_done(path: Path, listeners: list[Any]) -> None:
    async with router(Scripted(), config("ab", control=str(path))):
        async with Reader(path) as reader:
            reader.writer.write(b'{"command": "ping"}\n')
            assert await reader.hear() is None
        async with Reader(path) as reader:
            assert listeners
        await quiet(listeners)


def test_only_the_bare_command_follows() -> None:
    assert follows(b'{"command": "events"}\n')
    for line in (
        b'{"command": "events", "x": 1}',
        b'{"command": "status"}',
        b'"events"',
        b"events",
        b'["events"]',
    ):
        assert not follows(line)


async def test_a_command_with_more_in_it_is_refused_as_any_other(path: Path) -> None:
    async with router(Scripted(), config("ab", control=str(path))):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"command": "events", "since": 1}\n')
        said = json.loads(await reader.readline())
        writer.close()

    assert said["ok"] is False
    assert "takes nothing" in said["error"]


async def test_all_that_waits_is_said_before_the_end() -> None:
    heard: list[Any] = []

    def listen(listener: Any) -> Any:
        heard.append(listener)
        return lambda: heard.append("stopped")

    made = Following(listen, lambda: 1.0)
    heard[0](RequestEnded("r", "chat", "m", "m", "a/x", "ok", "", "", 1, 0.0, 0.1, None))
    made.end()

    assert json.loads(await made.lines())["type"] == "request_ended"
    assert await made.lines() == b""
    made.close()
    assert heard[1:] == ["stopped"]


def test_every_kind_of_event_can_be_told_and_read_again() -> None:
    assert [kind_of(each) for each in EVENTS][:2] == ["attempt_ended", "request_ended"]
    event = AttemptEnded("r", "m", "a/x", 1, Outcome.OK, "", "", None, 0.0, 0.1, None, None, "")

    said = json.loads(event_json(event, 2.0))

    assert said.pop("type") == "attempt_ended"
    assert said.pop("at") == 2.0
    assert msgspec.convert(said, AttemptEnded) == event
