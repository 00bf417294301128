"""Callers of the demo, and what befalls its upstreams, so that whoever watches sees a gateway at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.json import encode

from pointsman_gateway.process.demo import MODEL, MORTAL, SEED, Demo
from pointsman_telemetry.request_log import RequestLog

if TYPE_CHECKING:
    from pointsman_gateway.gateway import Gateway
    from pointsman_gateway.listening.addresses import Address

OURS = "demo-"
"""What the ids of these requests begin with."""
_PER_SECOND = 1.2
_MOST_AT_ONCE = 12
_MODELS = (MODEL, "coder", "batch")
_SHARES = (6, 3, 1)
_QUESTIONS = (
    "Why is the sky blue?",
    "Write a haiku about load balancers.",
    "What does a circuit breaker do?",
    "Explain round robin to a child.",
    "Sort these names: Ada, Grace, Barbara, Edsger.",
    "用一句话解释什么是熔断器。",
)
_BURST_EVERY, _BURST = 30, 6
"""Each so many requests so many come at once for one deployment: some wait in line."""
_OVERLOADED = 0.04
_LEAVES = 0.04
"""Shares of the answers that are refused, and of the callers who leave in the midst of theirs."""


class Moments(Struct, frozen=True):
    """When an upstream dies: seconds after the start, that it is dead, and that it then lives."""

    dies_after: float = 12.0
    dead_for: float = 14.0
    lives_for: float = 46.0


_CALM = Moments()


class Question(Struct, frozen=True):
    """One request of the demo.

    Attributes:
        pause: seconds before it.
        leaves_after: pieces of the answer after which its caller leaves; None for who hears it out.
    """

    id: str
    pause: float
    model: str
    text: str
    max_tokens: int
    stream: bool
    leaves_after: int | None


def questions(seed: int = SEED) -> Questions:
    """All that is ever asked, the same for the same seed."""
    return Questions(Random(seed))  # noqa: S311 - a play, no secret


class Questions:
    """An endless iterator of `Question`."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._number = 0

    def __iter__(self) -> Questions:
        return self

    def __next__(self) -> Question:
        rng, self._number = self._rng, self._number + 1
        in_burst = self._number % _BURST_EVERY < _BURST
        stream = rng.random() < 0.8
        leaves = stream and rng.random() < _LEAVES
        pause = rng.expovariate(_PER_SECOND)
        model = rng.choices(_MODELS, _SHARES)[0]
        return Question(
            id=f"{OURS}{self._number}",
            pause=0.0 if in_burst else min(pause, 4.0),
            model="batch" if in_burst else model,
            text=rng.choice(_QUESTIONS),
            max_tokens=rng.choice((32, 64, 128, 256)),
            stream=stream,
            leaves_after=rng.randint(1, 6) if leaves else None,
        )


@asynccontextmanager
async def traffic(
    demo: Demo, gateway: Gateway, *, seed: int = SEED, moments: Moments = _CALM
) -> AsyncIterator[None]:
    """While this is open somebody asks the gateway, and its upstreams have their bad moments."""
    from pointsman_simulator import Habit, fault_of

    for name in ("ollama", "openai", "localai"):
        habit = Habit(faults=((fault_of("503")[0], _OVERLOADED),))
        demo.simulator.upstreams[name].respond = habit.reply
    at = next(at for place, at in gateway.listeners.items() if not place.health)
    tasks = [
        asyncio.create_task(_ask(at, questions(seed))),
        asyncio.create_task(_die_and_live(demo, moments)),
    ]
    try:
        yield
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)


async def _ask(at: Address, asked: Questions) -> None:
    async with asyncio.TaskGroup() as group:
        running: set[asyncio.Task[None]] = set()
        for each in asked:
            await asyncio.sleep(each.pause)
            if len(running) >= _MOST_AT_ONCE:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            task = group.create_task(_hear(at, each))
            running.add(task)
            task.add_done_callback(running.discard)


async def _hear(at: Address, asked: Question) -> None:
    """Hear the answer, or part of it; what goes wrong is for whoever watches, and nothing to us."""
    with suppress(OSError):
        reader, writer = await (
            asyncio.open_connection(at.host, at.port)
            if at.path is None
            else asyncio.open_unix_connection(at.path)
        )
        try:
            writer.write(_request(asked))
            heard = 0
            while piece := await reader.read(65_536):
                heard += piece.count(b"data: ")
                if asked.leaves_after is not None and heard >= asked.leaves_after:
                    return
        finally:
            writer.close()


def _request(asked: Question) -> bytes:
    body = encode(
        {
            "model": asked.model,
            "messages": [{"role": "user", "content": asked.text}],
            "max_tokens": asked.max_tokens,
            "stream": asked.stream,
        }
    )
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"x-request-id: {asked.id}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _die_and_live(demo: Demo, moments: Moments) -> None:
    mortal = demo.simulator.upstreams[MORTAL]
    pause = moments.dies_after
    while True:
        await asyncio.sleep(pause)
        await mortal.stop()
        await asyncio.sleep(moments.dead_for)
        await mortal.restart()
        pause = moments.lives_for
        for each in demo.simulator.upstreams.values():
            each.requests.clear()  # of which nobody makes anything here, for as long as it is watched


class LogOfOthers(RequestLog):
    """Has no lines of these requests, among which nobody would find their own."""

    def write(self, event: str, fields: Mapping[str, Any], *, failed: bool = False) -> None:
        """As of `RequestLog`."""
        if not str(fields.get("request_id", "")).startswith(OURS):
            super().write(event, fields, failed=failed)
