"""Does a routed call do more work than it did? Counts that no clock and no other process can change.

    uv run python benchmarks/ratchet.py [--json]   compare with benchmarks/ratchet.json; exit status 1: more
    uv run python benchmarks/ratchet.py --update   write the new counts there

A thousand chats, and streams of a hundred chunks, go through one router with ten deployments, least
connections, limits, retries, an audit sink and a listener, over a transport in memory and on virtual time.
Counted are

    instructions    of the interpreter, in all Python code that runs
    calls           of Python functions, and `c_calls` of those written in C
    peak_bytes      that one call holds at most, beyond what was held before it
    kept_blocks     of memory that are still held when a call is long over

per chat or stream. They are the same on every machine with the same minor version of Python and the same
libraries; the baseline holds one set for each Python version, and says with which libraries it was made.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import random
import sys
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx
from pydantic import BaseModel

from pointsman import Router
from pointsman.audit import AuditFactory
from pointsman.events import Event, Listener
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.testing import run
from pointsman.transports.factory import TransportFactory

BASELINE = Path(__file__).resolve().with_name("ratchet.json")
MARGIN = 0.01
"""By this share a figure may exceed its baseline."""
SLACK = {"kept_blocks": 1, "peak_bytes": 512}
"""And by so much in any case: what is near nothing has no share to speak of."""
LIBRARIES = ("httpx", "msgspec", "orjson", "pluggy", "prometheus-client", "pydantic")

DEPLOYMENTS = 10
CHUNKS = 100
WARM_UP = 100
CHATS = 1_000
STREAMS = 10
KEEPING = 400
"""Calls after which it is counted what they left behind."""

Figures = dict[str, float]
Call = Callable[[], Awaitable[None]]
Several = Callable[[int], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--update", action="store_true", help="write the counts into the baseline")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measured()
    if options.update:
        update(found)
    if options.json:
        print(json.dumps(found))
    else:
        for kind, figures in found.items():
            print(f"{kind:8}" + "".join(f"{value:>12,.2f} {name}" for name, value in figures.items()))
    findings = compared(found, baseline())
    for each in findings:
        print(each, file=sys.stderr)
    sys.exit(bool(findings))


def key() -> str:
    """Under which the figures of this interpreter stand in the baseline."""
    return f"{sys.implementation.name}-{sys.version_info.major}.{sys.version_info.minor}"


def baseline() -> dict[str, Any] | None:
    """What is committed for this interpreter, or None."""
    if not BASELINE.exists():
        return None
    known: dict[str, Any] = json.loads(BASELINE.read_text("utf-8"))
    return known.get(key())


def update(found: dict[str, Figures]) -> None:
    """Write `found` into the baseline; what else stands there stays."""
    known = json.loads(BASELINE.read_text("utf-8")) if BASELINE.exists() else {}
    known[key()] = {**known.get(key(), {}), "libraries": libraries(), **found}
    BASELINE.write_text(json.dumps(dict(sorted(known.items())), indent=2) + "\n", "utf-8")


def libraries() -> dict[str, str]:
    """The versions that the counts depend on."""
    return {name: version(name) for name in LIBRARIES}


def compared(found: dict[str, Figures], known: dict[str, Any] | None) -> list[str]:
    """What grew by more than its margin, one sentence each; nothing where there is no baseline."""
    findings = []
    for kind, figures in found.items():
        for name, now in figures.items():
            before = (known or found)[kind][name]
            if now > before * (1 + MARGIN) + SLACK.get(name, 0):
                share = f" ({now / before - 1:+.1%})" if before > 0 else ""
                findings.append(
                    f"{name} of one {kind} went from {before:,.1f} to {now:,.1f}{share}; "
                    f"allowed: {MARGIN:+.0%}. If it has to be: uv run python benchmarks/ratchet.py --update"
                )
    if findings and known and known["libraries"] != libraries():
        findings.append(f"the baseline was made with {known['libraries']}, here are {libraries()}")
    return findings


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────


def measured(
    *, chats: int = CHATS, streams: int = STREAMS, keeping: int = KEEPING, listeners: Sequence[Listener] = ()
) -> dict[str, Figures]:
    """The figures of one chat and of one stream; `listeners` are told of every event, too."""

    async def both() -> dict[str, Figures]:
        async with _router(listeners) as router:

            async def chat() -> None:
                assert (await router.chat("m", MESSAGES)).text == TEXT

            async def stream() -> None:
                text = ""
                async with router.stream("m", MESSAGES) as events:
                    async for event in events:
                        text += event.text
                assert text == TEXT

            return {
                "chat": await counted(chat, chats, keeping),
                "stream": await counted(stream, streams, keeping),
            }

    return run(both())


async def counted(call: Call, count: int, keeping: int) -> Figures:
    """All figures of `call`."""
    several = _several(call)
    await several(WARM_UP)
    gc.collect()
    gc.disable()  # when it comes by depends on everything else in the process
    try:
        work = await _work(several, count)
        peak = await _peak(call)
        gc.collect()
        before = sys.getallocatedblocks()
        await several(keeping)
        gc.collect()
        kept = sys.getallocatedblocks() - before
    finally:
        gc.enable()
    return {**work, "peak_bytes": peak, "kept_blocks": kept / keeping}


async def work_of(call: Call, count: int) -> Figures:
    """Of `call` the instructions and calls alone, as what it keeps is kept on purpose."""
    several = _several(call)
    await several(WARM_UP)
    gc.collect()
    gc.disable()
    try:
        return await _work(several, count)
    finally:
        gc.enable()


def _several(call: Call) -> Several:
    async def several(times: int) -> None:
        for _ in range(times):
            await call()

    return several


async def _work(several: Several, count: int) -> Figures:
    instructions = await _instructions(several, count)
    calls, c_calls = await _calls(several, count)
    return {"instructions": instructions / count, "calls": calls / count, "c_calls": c_calls / count}


async def _instructions(several: Several, count: int) -> int:
    seen = 0

    def trace(frame: Any, event: str, _argument: object) -> Any:
        nonlocal seen
        if event == "opcode":
            seen += 1
        elif event == "call":
            frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return trace

    before = sys.gettrace()
    # In a task of its own: the frames that run already would not be traced.
    task = asyncio.ensure_future(several(count))
    sys.settrace(trace)
    try:
        await task
    finally:
        sys.settrace(before)
    return seen


async def _calls(several: Several, count: int) -> tuple[int, int]:
    seen = {"call": 0, "c_call": 0, "return": 0, "c_return": 0, "c_exception": 0}

    def profile(_frame: Any, event: str, _argument: object) -> None:
        seen[event] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        await several(count)
    finally:
        sys.setprofile(before)
    return seen["call"], seen["c_call"]


async def _peak(call: Call) -> int:
    tracemalloc.start()
    try:
        await call()  # what is allocated once and kept is no part of it
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        await call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


# ── what is called ───────────────────────────────────────────────────────────────────────────────────

TEXT = "".join(f"word{n} " for n in range(CHUNKS))
MESSAGES = [
    {"role": "user" if n % 2 == 0 else "assistant", "content": f"sentence number {n} of a conversation"}
    for n in range(9)
]


def _router(listeners: Iterable[Listener]) -> Router:
    names = [f"p{n}" for n in range(DEPLOYMENTS)]
    plenty = {"requests": "1000000000/min", "tokens": "1000000000/s"}
    config = {
        "providers": {
            name: {"type": "openai", "base_url": "http://upstream.test/v1", "api_key": "k", "limits": plenty}
            for name in names
        },
        "models": {
            "m": {
                "strategy": "least_connections",
                "deployments": [{"provider": each, "model": "x", "max_in_flight": 1000} for each in names],
            }
        },
        "audit": ["count"],
        "transport": "memory",
    }
    router = Router.from_config(config, plugins=[InMemory()], rng=random.Random(1))
    for each in (_Count(), *listeners):
        router.listen(each)
    return router


class InMemory(PointsmanSpec):
    """A transport that answers at once, and an audit sink that only counts."""

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [TransportFactory("memory", None, lambda _context: _Transport())]

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        return [AuditFactory("count", _NoSettings, lambda _context: _Count())]


class _NoSettings(BaseModel):
    pass


class _Count:
    def __init__(self) -> None:
        self.events = 0

    def __call__(self, event: Event) -> None:
        self.events += 1

    def close(self) -> None:
        """Nothing is held open."""


class _Transport(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)  # lets the loop forget the timers that were called off
        if b'"stream":true' in request.content:
            return httpx.Response(200, headers=_SSE, stream=_Body(_FRAMES))
        return httpx.Response(200, headers=_JSON, stream=_Body(_WHOLE))


class _Body(httpx.AsyncByteStream):
    """One read for each piece: an upstream that sends a chunk at a time."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self._pieces:
            yield each

    def abort(self) -> None:
        """Nothing is held open."""


def _frame(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "model": "x", "choices": [choice]}).encode() + b"\n\n"


_JSON = [(b"content-type", b"application/json")]
_SSE = [(b"content-type", b"text/event-stream")]
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
_USAGE = {"prompt_tokens": 90, "completion_tokens": 100}
_WHOLE = (json.dumps({"id": "c", "model": "x", "choices": [_CHOICE], "usage": _USAGE}).encode(),)
_FRAMES = (
    *(_frame({"content": f"word{n} "}) for n in range(CHUNKS)),
    _frame({}, "stop"),
    b"data: [DONE]\n\n",
)


if __name__ == "__main__":
    main()
