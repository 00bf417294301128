"""The demo's hold on the upstream process that it kills."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress

from pointsman_cli.errors import Failed

_PATIENCE = 20.0


class VictimProcess:
    """One run of `victim`; what it saw is counted here.

    Attributes:
        seen: inference requests that reached it.
        completed: those it had answered in full, as of its last report.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._reading: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._holding = False
        self._ended = False
        self._reports = 0
        self.base_url = ""
        self.port = 0
        self.seen = 0
        self.completed = 0

    @classmethod
    async def start(cls, *, seed: int, port: int = 0) -> VictimProcess:
        """A process that begins to start; `ready` waits for it."""
        arguments = ("-m", "pointsman_cli.demo.victim", str(seed), str(port))
        # In a group of its own, so that Ctrl-C at a terminal reaches the demo alone.
        return cls(
            await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdin=PIPE, stdout=PIPE, process_group=0
            )
        )

    async def ready(self) -> None:
        """Return when it listens. Raises Failed when it does not come to that."""
        assert self._process.stdout is not None
        line = b""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                line = await self._process.stdout.readline()
        if not line:
            raise Failed("a simulated upstream did not start")
        ready = json.loads(line)
        self.base_url, self.port = ready["base_url"], ready["port"]
        self._reading = asyncio.create_task(self._read())

    async def hold(self) -> None:
        """Have it answer nothing from now on."""
        await self._tell("hold")
        await self._answered(lambda: self._holding)

    async def report(self) -> None:
        """Bring `completed` up to date."""
        wanted = self._reports + 1
        await self._tell("report")
        await self._answered(lambda: self._reports >= wanted)

    async def has_seen(self, count: int) -> bool:
        """Return when it has seen `count` requests; false when it does not come to that."""
        return await self._until(lambda: self.seen >= count)

    async def kill(self) -> None:
        """SIGKILL; returns when it is dead and all that it had said is counted."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if self._reading is not None:
            await self._reading

    async def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{word}\n".encode())
        await self._process.stdin.drain()

    async def _answered(self, condition: Callable[[], bool]) -> None:
        if not await self._until(condition):
            raise Failed("a simulated upstream ended before its time")

    async def _until(self, condition: Callable[[], bool]) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not condition() and not self._ended:
                    self._changed.clear()
                    await self._changed.wait()
        return condition()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            word, _, rest = line.decode().strip().partition(" ")
            if word == "seen":
                self.seen += 1
            elif word == "holding":
                self._holding = True
            elif word == "completed":
                self.completed = int(rest)
                self._reports += 1
            self._changed.set()
        self._ended = True
        self._changed.set()
