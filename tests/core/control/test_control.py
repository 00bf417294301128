"""The control socket, over real sockets: what it answers, who may connect, and what becomes of the file."""

# ruff: noqa: ASYNC240 - the files are what is tested, and they are small

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routers import config, router

from pointsman import ConfigError, Router
from pointsman.config.one_key import one_key
from pointsman.control.commands import COMMANDS, FOLLOW, answer, socket_at, socket_path
from pointsman.control.socket import CONNECTIONS, LONGEST_LINE, Control
from pointsman.testing import Scripted, ScriptedAnswer

SECRET = "sk-this-must-never-be-seen"


class Operator:
    """A connection to a control socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __call__(self, command: str, **more: Any) -> dict[str, Any]:
        return await self.say(json.dumps({"command": command, **more}).encode() + b"\n")

    async def say(self, line: bytes) -> dict[str, Any]:
        self.writer.write(line)
        return await self.hear()

    async def hear(self) -> dict[str, Any]:
        said = json.loads(await self.reader.readline())
        assert isinstance(said, dict)
        return said

    async def is_over(self) -> bool:
        """Whether the router has closed the connection; waits until it has."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read() == b""
        return True

    async def leave(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def operator(path: Path) -> Any:
    made = Operator(*await asyncio.open_unix_connection(path, limit=2**20))
    try:
        yield made
    finally:
        await made.leave()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p.sock"


def with_control(path: Path | None, providers: str = "ab", **more: Any) -> dict[str, Any]:
    return config(providers, control=None if path is None else str(path), **more)


async def busy(r: Router) -> asyncio.Task[Any]:
    """A call that is in flight, and stays so."""
    call = asyncio.ensure_future(r.chat("m", "hi"))
    while not r.status().in_flight:  # noqa: ASYNC110 - a turn of the loop, no time
        await asyncio.sleep(0)
    return call


async def ended(*calls: asyncio.Task[Any]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


# ── what can be said ─────────────────────────────────────────────────────────────────────────────────


async def test_every_command_does_what_its_name_says(path: Path) -> None:
    async with router(Scripted(), with_control(path)) as r, operator(path) as ask:
        ping = await ask("ping")
        assert (ping["ok"], ping["pid"], ping["config"]) == (True, os.getpid(), None)
        assert ping["version"]

        disabled = await ask("disable", deployment="a/x")
        assert disabled == {"ok": True, "deployment": "a/x", "state": "down", "in_flight": 0}
        assert r.explain("m").pick == "b/x"

        explained = await ask("explain", model="m")
        assert explained["pick"] == "b/x"
        assert explained["chain"][0]["refused"] == {"a/x": "disabled by an operator"}

        assert (await ask("enable", deployment="a/x"))["state"] == "up"
        assert (await ask("force_open", deployment="a/x"))["ok"]
        deployments = (await ask("status"))["models"]["m"]["deployments"]
        assert [each["breaker"]["state"] for each in deployments] == ["forced_open", "closed"]
        assert (await ask("reset", deployment="a/x"))["ok"]
        assert r.status().to_dict()["models"]["m"]["deployments"][0]["breaker"]["state"] == "closed"


async def test_a_drain_answers_when_the_last_call_is_over_or_its_time_is_and_says_how_many_are_left(
    path: Path,
) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=300))

    async with router(upstream, with_control(path, "a")) as r, operator(path) as ask:
        call = await busy(r)
        late = await ask("drain", deployment="a/x", timeout=0.01)
        assert late == {
            "ok": True, "deployment": "a/x", "state": "draining", "in_flight": 1, "drained": False,
        }  # fmt: skip

        waiting = asyncio.ensure_future(ask("drain", deployment="a/x", timeout=300))
        async with operator(path) as other:  # nobody waits for the one who waits
            assert (await other("status"))["in_flight"] == 1
        assert not waiting.done()
        await ended(call)
        assert (await waiting)["drained"] is True
        assert (await ask("status"))["models"]["m"]["deployments"][0]["refused"] == "draining"


async def test_a_reload_that_cannot_be_changes_nothing_and_says_where_it_is_wrong(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.json"
    good = with_control(Path("p.sock"))
    file.write_text(json.dumps(good))
    async with (
        Router.from_config(file, plugins=[Scripted()]) as r,
        operator(tmp_path / "p.sock") as ask,
    ):
        file.write_text(json.dumps({**good, "strategy": "none_such"}))
        failed = await ask("reload")
        assert (failed["ok"], failed["code"]) == (False, "config")
        assert f"{file}:1:" in failed["error"]

        file.write_text(json.dumps({**good, "strategy": "weighted"}))
        assert await ask("reload") == {"ok": True, "config": str(file), "deployments": 2}
        assert r.config.strategy.type == "weighted"
        assert (await ask("ping"))["config"] == str(file)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"\n", "one line of JSON"),
        (b"no json\n", "one line of JSON"),
        (b"\xff\xfe\n", "one line of JSON"),
        (b"[" * 20_000 + b"\n", "one line of JSON"),
        (b'{"command": NaN}\n', "no such command"),
        (b"[1]\n", "is a JSON object"),
        (b"{}\n", "no such command"),
        (b'{"command": ["status"]}\n', "no such command"),
        (b'{"command": "disabel"}\n', "did you mean 'disable'?"),
        (b'{"command": "disable"}\n', "disable needs 'deployment'"),
        (b'{"command": "disable", "deployment": 3}\n', "disable needs 'deployment'"),
        (
            b'{"command": "disable", "deployment": "a/y"}\n',
            "no deployment is called 'a/y'; did you mean 'a/x'?",
        ),
        (b'{"command": "status", "deployment": "a/x"}\n', "status takes nothing, and not 'deployment'"),
        (b'{"command": "drain", "deployment": "a/x", "timeout": true}\n', "'timeout' is a number of seconds"),
        (b'{"command": "drain", "deployment": "a/x", "timeout": -1}\n', "'timeout' is a number of seconds"),
        (b'{"command": "drain", "deployment": "a/x", "timeout": 1e99}\n', "'timeout' is a number of seconds"),
        (b'{"command": "explain", "model": "n"}\n', "no model is called 'n'"),
        (b'{"command": "explain", "model": "m", "options": 3}\n', "explain takes `options`, a mapping"),
        (b'{"command": "explain", "model": "m", "options": {"self": 1}}\n', "'self' is none of the"),
        (b'{"command": "explain", "model": "m", "messages": 3}\n', "messages"),
        (b'{"command": "reload"}\n', "was not made from a file"),
    ],
)
async def test_what_cannot_be_done_is_answered_with_an_error_and_the_next_line_is_heard(
    path: Path, line: bytes, error: str
) -> None:
    async with router(Scripted(), with_control(path)) as r, operator(path) as ask:
        said = await ask.say(line)
        assert said["ok"] is False
        assert error in said["error"]
        assert {each["state"] for each in r.status().to_dict()["models"]["m"]["deployments"]} == {"up"}
        assert (await ask("ping"))["ok"]


WORDS = st.one_of(
    st.sampled_from([*COMMANDS, "a/x", "m", "command", "deployment", "timeout", "model"]), st.text(max_size=8)
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
REQUESTS = st.builds(
    lambda command, more: json.dumps({**more, "command": command}).encode(),
    st.sampled_from([each for each in COMMANDS if each != "drain"]) | VALUES,
    st.dictionaries(st.sampled_from(["deployment", "model", "timeout"]) | WORDS, VALUES, max_size=3),
)


@given(st.one_of(st.binary(max_size=64), VALUES.map(lambda each: json.dumps(each).encode()), REQUESTS))
def test_whatever_is_said_the_answer_is_one_line_that_says_whether_it_was_done(line: bytes) -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            said = await answer(r, line, scrub=str)
            assert b"\n" not in said
            assert json.loads(said)["ok"] in (True, False)

    asyncio.run(main())


async def test_no_answer_holds_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", SECRET)
    file = tmp_path / "pointsman.json"
    provider = {"type": "openai", "api_key": "${KEY}", "headers": {"x-more": "${KEY}"}}
    given_ = {
        "providers": {"a": provider},
        "models": {"m": {"deployments": ["a/x"]}},
        "control": "p.sock",
    }
    file.write_text(json.dumps(given_))
    heard = []
    async with Router.from_config(file) as r, operator(tmp_path / "p.sock") as ask:
        for command in COMMANDS.keys() - {FOLLOW}:  # behind that nothing can be asked
            heard.append(await ask(command, deployment="a/x", model="m"))
            heard.append(await ask(command, deployment="a/x"))
            heard.append(await ask(command))
        file.write_text(json.dumps({**given_, "providers": {"a": {**provider, "base_url": SECRET}}}))
        heard.append(await ask("reload"))
        monkeypatch.setattr(type(r), "status", lambda _self: 1 / 0)
        heard.append(await ask("status"))
    assert heard[-1] == {
        "ok": False, "code": "internal", "error": "the router failed with ZeroDivisionError; its log says more",
    }  # fmt: skip
    assert SECRET not in json.dumps(heard)


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("length", [LONGEST_LINE + 1, 4 * LONGEST_LINE])
async def test_a_line_that_is_too_long_is_refused_and_ends_only_its_own_connection(
    path: Path, length: int
) -> None:
    async with router(Scripted(), with_control(path)):
        async with operator(path) as ask:
            ask.writer.write(b" " * length)
            said = await ask.hear()
            assert said["error"] == f"a request has at most {LONGEST_LINE} bytes"
            assert await ask.is_over()
        async with operator(path) as ask:
            assert (await ask("ping"))["ok"]


async def test_connections_beyond_the_bound_are_told_so_and_those_before_go_on(path: Path) -> None:
    async with router(Scripted(), with_control(path)), contextlib.AsyncExitStack() as stack:
        open_ = [await stack.enter_async_context(operator(path)) for _ in range(CONNECTIONS)]
        for each in open_:
            assert (await each("ping"))["ok"]
        async with operator(path) as refused:
            assert (await refused.hear())["code"] == "busy"
            assert await refused.is_over()
        assert (await open_[0]("ping"))["ok"]
        await open_[0].leave()
        for _ in range(1000):  # the router notices it in its own time
            async with operator(path) as again:
                if (await again("ping")).get("ok"):
                    break
        else:
            pytest.fail("a place that was given back was not given out")


async def test_closing_the_router_ends_connections_that_wait_and_commands_that_run(path: Path) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=300))
    r = router(upstream, with_control(path, "a"))
    async with r, operator(path) as idle, operator(path) as drains:
        assert (await idle("ping"))["ok"]
        call = await busy(r)
        drains.writer.write(b'{"command": "drain", "deployment": "a/x", "timeout": 3600}\n')
        while (await idle("status"))["models"]["m"]["deployments"][0]["state"] == "up":
            pass
        closing = asyncio.ensure_future(r.aclose())
        assert await idle.is_over()
        assert await drains.is_over()
        await ended(call)
        await closing
    assert not path.exists()
    assert [each.get_name() for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_who_leaves_in_the_middle_hurts_nobody(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with router(Scripted(), with_control(path)):
        for line in (b"", b'{"comm', b'{"command": "status"}\n', b'{"command": "status"}'):
            async with operator(path) as ask:
                ask.writer.write(line)
        async with operator(path) as ask:
            assert (await ask("ping"))["ok"]
        async with operator(path) as ask:  # the last line needs no line break
            ask.writer.write(b'{"command": "ping"}')
            ask.writer.write_eof()
            assert (await ask.hear())["ok"]
    assert [each for each in caplog.records if each.levelname == "ERROR"] == []


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def generous() -> Iterator[None]:
    """Files of this process may be written by everybody."""
    old = os.umask(0)
    yield
    os.umask(old)


async def test_only_its_owner_may_connect_whatever_the_umask(path: Path, generous: None) -> None:
    async with router(Scripted(), with_control(path)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_mode_is_set_before_anybody_can_connect(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[type[BaseException]] = []
    chmod = os.chmod

    def watched(target: Any, mode: int) -> None:
        with socket.socket(socket.AF_UNIX) as other, pytest.raises(ConnectionRefusedError) as refused:
            other.connect(str(target))
        tried.append(refused.type)
        chmod(target, mode)

    monkeypatch.setattr(os, "chmod", watched)
    with contextlib.closing(
        Control(Router.from_config(config("a"), plugins=[Scripted()]), path, scrub=str, wall=lambda: 0.0)
    ):
        assert tried == [ConnectionRefusedError]


HOLD = """
import socket, sys
held = socket.socket(socket.AF_UNIX)
held.bind(sys.argv[1])
held.listen(1)
print("ready", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that listens at `path`, and is killed at the end."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        try:
            yield process
        finally:
            process.kill()


async def test_a_live_socket_is_an_error_that_names_its_process_and_a_stale_one_is_replaced(
    path: Path,
) -> None:
    with held(path) as process:
        for _ in range(5):  # also when so many wait that nobody more is let in
            with pytest.raises(ConfigError, match=f"(process {process.pid}|another process) holds.*{{pid}}"):
                await router(Scripted(), with_control(path)).__aenter__()
        assert path.exists()
    assert path.exists()

    async with router(Scripted(), with_control(path)), operator(path) as ask:
        assert (await ask("ping"))["pid"] == os.getpid()
        with pytest.raises(ConfigError, match=rf"this process \({os.getpid()}\) holds"):
            await router(Scripted(), with_control(path)).__aenter__()
    assert not path.exists()


async def test_a_router_that_could_not_open_it_can_be_entered_later(path: Path) -> None:
    r = router(Scripted(), with_control(path))
    with held(path), pytest.raises(ConfigError):
        await r.__aenter__()
    async with r, operator(path) as ask:
        assert (await ask("ping"))["ok"]


@pytest.mark.parametrize("round_", range(5))
def test_of_many_that_begin_at_once_over_a_stale_socket_one_wins(path: Path, round_: int) -> None:
    with held(path):
        pass
    r = Router.from_config(config("a"), plugins=[Scripted()])

    def begin(_: int) -> Control | None:
        try:
            return Control(r, path, scrub=str, wall=lambda: 0.0)
        except ConfigError:
            return None

    with ThreadPoolExecutor(16) as pool:
        won = [each for each in pool.map(begin, range(16)) if each is not None]

    assert len(won) == 1
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    won[0].close()
    assert not path.exists()


async def test_something_else_at_the_path_is_never_removed(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(ConfigError, match="something else is there"):
        await router(Scripted(), with_control(path)).__aenter__()
    assert path.read_text() == "mine"


async def test_the_socket_of_somebody_else_is_not_removed_at_the_end(path: Path) -> None:
    async with router(Scripted(), with_control(path)):
        path.unlink()
        path.write_text("mine")
    assert path.read_text() == "mine"


async def test_a_directory_that_is_missing_is_said_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(config("a", control="gone/p.sock"), indent=1))
    line = file.read_text().splitlines().index(' "control": "gone/p.sock"') + 1
    said = rf"{file}:{line}:\d+: control: .*No such file or directory; make the directory {tmp_path}/gone \[PM1407\]$"
    with pytest.raises(ConfigError, match=said):
        await Router.from_config(file, plugins=[Scripted()]).__aenter__()


def test_a_path_that_is_too_long_is_found_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"control: .* has \d+ bytes, and the path of a socket at most 10\d"
    ):
        Router.check(config("a", control=str(tmp_path / ("x" * 100))), plugins=[Scripted()])
    with pytest.raises(ConfigError, match="zero character"):
        Router.check(config("a", control="a\0b"), plugins=[Scripted()])


def test_the_longest_path_that_is_let_through_can_be_opened(tmp_path: Path) -> None:
    short = Path("/tmp") / f"p{os.getpid()}"
    longest = short / ("x" * (107 - len(str(short)) - 1))
    with pytest.raises(ValueError):
        socket_path(f"{longest}x", Path())
    short.mkdir()
    try:
        r = Router.from_config(config("a"), plugins=[Scripted()])
        with contextlib.closing(Control(r, socket_path(longest, Path()), scrub=str, wall=lambda: 0.0)):
            assert longest.exists()
    finally:
        short.rmdir()


def test_a_relative_path_starts_at_the_configuration_for_router_and_operator_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "pointsman.yaml").write_text(
        "providers: {a: {type: openai, api_key: '${KEY_THAT_OPERATORS_LACK}'}}\n"
        "models: {m: {deployments: [a/x]}}\n"
        "control: ./run/${WHICH:-p}.sock\n"
    )
    monkeypatch.chdir(tmp_path)
    assert socket_path("p.sock", Path("etc")) == folder / "p.sock"
    assert socket_path("p.sock", Path()) == tmp_path / "p.sock"
    assert socket_path("/run/p.sock", Path("etc")) == Path("/run/p.sock")
    assert one_key("etc/pointsman.yaml", "control", socket_at) == folder / "run" / "p.sock"


@pytest.mark.parametrize("control", ["[1]", "''", "${NOT_SET_ANYWHERE}", "3"])
def test_a_control_that_is_no_path_is_said_with_its_place(tmp_path: Path, control: str) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(f"providers: {{}}\ncontrol: {control}\n")
    with pytest.raises(ConfigError, match=rf"{file}:2:\d+: control: "):
        one_key(file, "control", socket_at)


# ── reload ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_reload_moves_keeps_and_closes_the_socket_and_answers_who_asked_for_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pointsman.json"
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    file.write_text(json.dumps(with_control(one)))
    async with Router.from_config(file, plugins=[Scripted()]):
        async with operator(one) as ask, operator(one) as idle:
            assert (await ask("reload"))["ok"]
            assert (await ask("ping"))["ok"]

            file.write_text(json.dumps(with_control(two)))
            assert (await ask("reload"))["ok"]
            assert await ask.is_over()
            assert await idle.is_over()
        assert not one.exists()

        async with operator(two) as ask:
            file.write_text(json.dumps(with_control(None)))
            assert (await ask("reload"))["ok"]
            assert await ask.is_over()
        assert not two.exists()
    assert list(tmp_path.iterdir()) == [file]


async def test_a_reload_that_fails_leaves_the_socket_where_it_is(tmp_path: Path) -> None:
    one, two = tmp_path / "one.sock", tmp_path / "two.sock"
    async with router(Scripted(), with_control(one)) as r, operator(one) as ask:
        with pytest.raises(ConfigError):
            await r.reload({**with_control(two), "strategy": "none_such"})
        with held(two), pytest.raises(ConfigError, match="holds"):
            await r.reload(with_control(two, "abc"))
        assert (await ask("ping"))["ok"]
        assert set(r.config.providers) == {"a", "b"}


async def test_the_number_of_the_process_stands_where_the_path_says(tmp_path: Path) -> None:
    pattern, path = tmp_path / "run-{pid}.sock", tmp_path / f"run-{os.getpid()}.sock"
    async with router(Scripted(), with_control(pattern)) as r, operator(path) as ask:
        assert (await ask("ping"))["pid"] == os.getpid()
        await r.reload({**with_control(pattern), "strategy": "weighted"})
        assert (await ask("status"))["ok"]
    assert not path.exists()


def test_a_path_that_is_too_long_with_a_large_process_number_is_refused_before_it_is(tmp_path: Path) -> None:
    stem = "x" * (101 - len(str(tmp_path)))
    with pytest.raises(ConfigError, match="the path of a socket at most"):
        Router.check(config("a", control=str(tmp_path / (stem + "{pid}"))), plugins=[Scripted()])


async def test_a_router_without_control_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with router(Scripted(), config("a")) as r:
        assert (await r.chat("m", "hi")).text == "ok"
        assert len(asyncio.all_tasks()) == 1
    assert list(tmp_path.iterdir()) == []
