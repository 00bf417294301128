"""A real redis-server for tests, from the system's packages."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

PROGRAM = shutil.which("redis-server")


class RedisServer:
    """One server on a socket in `folder`, which keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "redis.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin empty; it answers when this returns."""
        assert PROGRAM is not None
        command = [PROGRAM, "--port", "0", "--unixsocket", str(self._socket), "--save", ""]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=self._socket.parent)
        for _ in range(200):
            if self.asks("PING").strip() == "PONG":
                return
            time.sleep(0.02)  # it has no other way to say that it has begun
        raise AssertionError("redis-server does not answer")

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Have it accept connections and never answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def asks(self, *command: str) -> str:
        """What the command line of Redis prints for `command`."""
        client = ["redis-cli", "-s", str(self._socket), *command]
        return subprocess.run(client, capture_output=True, text=True, timeout=10, check=False).stdout

    def scripts_run(self) -> int:
        """How many scripts it was asked to run since it began, or since that was reset."""
        lines = self.asks("INFO", "commandstats").splitlines()
        counted = [each for each in lines if each.startswith(("cmdstat_evalsha:", "cmdstat_eval:"))]
        return sum(int(each.partition("calls=")[2].partition(",")[0]) for each in counted)


@contextmanager
def running() -> Iterator[RedisServer]:
    """A server of one test's own; where there is no program for it, the test is skipped."""
    if PROGRAM is None:
        pytest.skip("there is no redis-server here: apt-get install redis-server")
    with TemporaryDirectory() as folder:  # not `tmp_path`: the path of a socket must be short
        server = RedisServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
