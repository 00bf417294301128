"""The command line in this process or in one of its own, against simulated upstreams in a thread."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner

from pointsman_cli.discover import PRESETS
from pointsman_simulator import Simulator, Upstream

T = TypeVar("T")

OUR_VARIABLES = (
    "POINTSMAN_CONFIG",
    "OLLAMA_HOST",
    "LOCALAI_ADDRESS",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "ANTHROPIC_API_KEY",
    *(key for _, key, _ in PRESETS),
    "ANTHROPIC_BASE_URL",
)
NOWHERE = "127.0.0.1:9"


@dataclass(frozen=True)
class Ran:
    """One run of the command line."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def json_lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self) -> Any:
        """The error object on stderr."""
        return json.loads(self.err)["error"]


class Cli:
    """Runs the command line inside this process; input and output are pipes to it."""

    def __call__(self, *arguments: object, input: str | bytes | None = None) -> Ran:
        from pointsman_cli.app import run

        with CliRunner().isolation(input=input) as (out, err, _both):
            code = run([str(each) for each in arguments])
            return Ran(code, out.getvalue().decode(), err.getvalue().decode())


@pytest.fixture
def cli(workdir: Path) -> Cli:
    return Cli()


@pytest.fixture
def workdir(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty working directory, and an environment in which nothing can be discovered."""
    monkeypatch.chdir(tmp_path)
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", NOWHERE)
    monkeypatch.setenv("LOCALAI_ADDRESS", NOWHERE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def _heeded_ctrl_c() -> Iterator[None]:
    """Whoever runs the tests in the background ignores Ctrl-C, and so would every process started here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Servers:
    """Simulated upstreams on a loop of their own, in a thread, for tests that block."""

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._simulator = Simulator(seed=3)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, on the upstreams' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def add(self, wire: str, **options: Any) -> Upstream:
        return self.do(self._simulator.add(wire, **options))

    def configure(self, *upstreams: Upstream, more: str = "", strategy: str = "round_robin") -> Path:
        """`pointsman.yaml` in the working directory, with the model `assistant` over all of `upstreams`."""
        lines = ["providers:"]
        lines += [f"  {each.name}: {{type: {each.wire}, base_url: '{each.base_url}'}}" for each in upstreams]
        lines += ["models:", "  assistant:", f"    strategy: {strategy}", "    deployments:"]
        lines += [f"      - {each.name}/{next(iter(each.site.models))}" for each in upstreams]
        file = self.workdir / "pointsman.yaml"
        file.write_text("\n".join(lines) + f"\n{more}\n")
        return file

    def close(self) -> None:
        self.do(self._simulator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def servers(workdir: Path) -> Iterator[Servers]:
    made = Servers(workdir)
    yield made
    made.close()


@pytest.fixture(scope="session")
def servers_in() -> Callable[[Path], Servers]:
    """Makes simulated upstreams that outlive one test."""
    return Servers


@pytest.fixture
def gpu(servers: Servers) -> Upstream:
    """One Ollama server, configured as the model `assistant`."""
    upstream = servers.add("ollama", name="gpu")
    servers.configure(upstream)
    return upstream


class Processes:
    """Starts the command as processes of its own; what still runs at the end is killed."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.terminals: list[int] = []

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        """The command with pipes to its standard streams."""
        pipe = subprocess.PIPE
        return self._keep(subprocess.Popen(_line(arguments), stdin=pipe, stdout=pipe, stderr=pipe))

    def at_terminal(self, *arguments: object, rows: int = 24, columns: int = 80) -> Terminal:
        """The command at a terminal of its own; COLUMNS, where it is set, wins over the size."""
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = self._keep(subprocess.Popen(_line(arguments), stdin=theirs, stdout=theirs, stderr=theirs))
        os.close(theirs)
        self.terminals.append(ours)
        return Terminal(process, ours)

    def _keep(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        for terminal in self.terminals:
            os.close(terminal)


class Terminal:
    """What a person sees and types; `seen` grows as it is read, `sent` is the same in bytes."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.seen = ""
        self.sent = b""
        self._terminal = terminal

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def resize(self, *, rows: int = 24, columns: int) -> None:
        """Have another size, and tell the command."""
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def until(self, text: str) -> str:
        """What was shown since the last call, up to `text`, at most 30 seconds later."""
        before = len(self.seen)
        while text not in self.seen[before:]:
            assert self._more(), f"{text!r} never came; seen: {self.seen[before:]!r}"
        return self.seen[before:]

    def rest(self) -> str:
        """All that is shown until the command ends."""
        while self._more():
            pass
        self.process.wait(30)
        return self.seen

    def _more(self) -> bool:
        readable, _, _ = select.select([self._terminal], [], [], 30)
        assert readable, f"nothing more came; seen: {self.seen!r}"
        try:
            data = os.read(self._terminal, 4096)
        except OSError:  # how Linux says that the other side is closed
            return False
        self.sent += data
        self.seen = self.sent.decode(errors="replace")
        return bool(data)


def _line(arguments: tuple[object, ...]) -> list[str]:
    return [sys.executable, "-m", "pointsman_cli", *(str(each) for each in arguments)]


@pytest.fixture
def processes(workdir: Path) -> Iterator[Processes]:
    made = Processes()
    yield made
    made.close()


APPLICATION = """
import asyncio, sys
from pointsman import Router

async def main():
    async with Router.from_config(sys.argv[1]) as router:
        print("ready", flush=True)
        loop, calls = asyncio.get_running_loop(), []
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            stream = router.stream("assistant", line)
            await stream.__aenter__()
            calls.append(asyncio.ensure_future(read(stream)))
            print("streaming", flush=True)
        await asyncio.gather(*calls)

async def read(stream):
    async with stream:
        async for _ in stream:
            pass

asyncio.run(main())
"""


class Application:
    """A process with a router; `ask` begins a stream in it."""

    def __init__(self, config: str = "pointsman.yaml", cwd: Path | None = None) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, config], stdin=pipe, stdout=pipe, text=True, cwd=cwd
        )
        self._heard("ready")

    def ask(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("Count.\n")
        self.process.stdin.flush()
        self._heard("streaming")

    def close(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _heard(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word


@pytest.fixture
def application(workdir: Path) -> Iterator[Callable[..., Application]]:
    made: list[Application] = []

    def start(*given: Any, **more: Any) -> Application:
        made.append(Application(*given, **more))
        return made[-1]

    yield start
    for each in made:
        each.kill()
