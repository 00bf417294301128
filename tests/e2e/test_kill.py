"""Four upstream processes, a thousand streams in flight, and one of the processes is killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pointsman import MidStreamError, PointsmanError, Router
from pointsman.execution.stream import ChatStream

MODELS = {
    "ollama": "llama3.2",
    "openai": "gpt-5-mini",
    "claude": "claude-sonnet-5-5",
    "localai": "qwen3-4b",
}
TEXT = "drei Chinesen mit dem Kontrabaß saßen auf der Straße ☀"
PACE = 4.0
STREAMS = int(os.environ.get("POINTSMAN_KILL_STREAMS", "1000"))


@dataclass
class Upstream:
    """One simulated upstream, in a process of its own."""

    process: Process
    base_url: str

    @classmethod
    async def start(cls, wire: str, latency: float) -> Upstream:
        reply = {"text": TEXT, "latency": latency, "tokens_per_second": PACE}
        arguments = [
            "--wire",
            wire,
            "--models",
            MODELS[wire],
            "--reply",
            json.dumps(reply),
            "--json",
        ]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pointsman_simulator", *arguments, stdout=PIPE
        )
        assert process.stdout is not None
        async with asyncio.timeout(30):
            ready = json.loads(await process.stdout.readline())
        return cls(process, ready["base_url"])

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)

    async def end(self) -> None:
        if self.process.returncode is None:
            self.kill()
        await self.process.communicate()


@asynccontextmanager
async def processes(latency: float) -> AsyncIterator[dict[str, Upstream]]:
    started = await asyncio.gather(*(Upstream.start(wire, latency) for wire in MODELS))
    try:
        yield dict(zip(MODELS, started, strict=True))
    finally:
        await asyncio.gather(*(each.end() for each in started))


@dataclass
class Caller:
    """One caller, who notes what it is given and how that ends."""

    stream: ChatStream
    pieces: list[str] = field(default_factory=list)
    errors: list[PointsmanError] = field(default_factory=list)
    whole: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    third: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def host(self) -> str:
        return self.stream.deployment.partition("/")[0]

    async def read(self) -> None:
        try:
            async with self.stream:
                async for event in self.stream:
                    if event.kind == "text":
                        self.pieces.append(event.text)
                        self.begun.set()
                        if len(self.pieces) == 3:
                            self.third.set()
                self.whole = True
        except PointsmanError as error:
            self.errors.append(error)
            # Nothing comes after it: neither more content nor a second error.
            async for event in self.stream:
                self.pieces.append(f"after the end: {event}")


async def all_of(events: Iterable[asyncio.Event]) -> None:
    async with asyncio.timeout(30):
        for event in events:
            await event.wait()


def records(directory: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line)
        for path in directory.glob("*.jsonl")
        for line in path.read_text("utf-8").splitlines()
    ]


@pytest.fixture
def descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 2 * STREAMS + 500
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))


async def test_a_killed_process_costs_only_the_streams_that_had_content_of_it_and_those_say_so(
    transport: str, tmp_path: Path, descriptors: None
) -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")
    chance = random.Random(seed)
    # httpx, the slower one: the same, with fewer. Other tests may run beside this one.
    most, latency = (STREAMS // 5, 3.0) if transport == "httpx" else (STREAMS, 4.0)
    victim = chance.choice(tuple(MODELS))

    for count in (most, most // 5):  # a machine that others use just then carries fewer
        audit = tmp_path / f"audit-of-{count}"
        async with processes(latency) as upstreams:
            config = {
                "providers": {
                    wire: {"type": wire, "base_url": each.base_url, "api_key": "k-for-tests"}
                    for wire, each in upstreams.items()
                },
                "models": {"m": {"deployments": [f"{wire}/{model}" for wire, model in MODELS.items()]}},
                "strategy": "least_connections",
                "transport": transport,
                "audit": [{"type": "jsonl", "path": str(audit)}],
            }
            async with Router.from_config(config, rng=random.Random(seed)) as router:
                callers = [Caller(router.stream("m", "sing", max_tokens=50)) for _ in range(count)]
                first, second = callers[: count // 2], callers[count // 2 :]
                tasks = [asyncio.ensure_future(each.read()) for each in first]
                await all_of(each.begun for each in first)
                second_at = time.monotonic()
                tasks += [asyncio.ensure_future(each.read()) for each in second]
                # By then the second half has been sent, and has no answer yet.
                await all_of(each.third for each in first)

                upstreams[victim].kill()
                took = time.monotonic() - second_at
                in_flight = router.status().in_flight
                had_content = {n: each.host for n, each in enumerate(callers) if each.pieces}
                had_none = {n: each.host for n, each in enumerate(callers) if not each.pieces}
                await asyncio.gather(*tasks)
                left = router.status().in_flight
        if took < latency:
            break

    assert took < latency, "this machine is too slow to have them all in flight at once"
    assert in_flight == count
    assert list(had_none) == list(range(count // 2, count))
    assert Counter(had_none.values())[victim] > count // 2 // 4 * 0.8
    assert Counter(had_content.values())[victim] > count // 2 // 4 * 0.8

    broken = {n for n, each in enumerate(callers) if each.errors}
    assert broken == {n for n, host in had_content.items() if host == victim}
    for n, caller in enumerate(callers):
        if n not in broken:
            assert caller.whole
            assert caller.text == caller.stream.response.text == TEXT
            continue
        (error,) = caller.errors
        assert isinstance(error, MidStreamError)
        assert error.deployment == f"{victim}/{MODELS[victim]}"
        assert error.text == caller.text != ""
        assert TEXT.startswith(error.text)
        assert error.text != TEXT

    assert left == 0
    written = records(audit)
    requests = [each for each in written if each["event"] == "request"]
    attempts = Counter(each["request_id"] for each in written if each["event"] == "attempt")
    assert not [each for each in written if each["event"] == "gap"]
    assert [each["seq"] for each in written] == list(range(1, len(written) + 1))
    assert len(requests) == len({each["request_id"] for each in requests}) == count
    assert Counter(each["result"] for each in requests) == {"ok": count - len(broken), "error": len(broken)}
    assert {each["request_id"] for each in requests if each["result"] == "error"} == {
        callers[n].stream.request_id for n in broken
    }
    assert {each["error"] for each in requests if each["result"] == "error"} == {"stream_broken"}
    assert all(each["attempts"] == attempts[each["request_id"]] for each in requests)
    again = sum(each["attempts"] > 1 for each in requests)
    assert again >= Counter(had_none.values())[victim]
    print(
        f"{victim} killed: {len(broken)} streams broken, {again} went elsewhere, {count} accounted for; {took:.2f} s"
    )
