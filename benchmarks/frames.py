"""Which way does a call go through our code? Every Python frame of ours that it enters, in order.

    uv run python benchmarks/frames.py [--only chat] [--counts] [--json]

One chat that succeeds, and a stream of eight chunks that come in one read: provider `openai` over `h1` on
loopback, three deployments, all connections open, everything imported. The list reads like the straight line
of docs/architecture.md: one line for each stay in a module, beginning with the running number of its first
frame. A coroutine that goes on after waiting has entered its module again; it stands in brackets.

    frames      entered; once more for each time that a coroutine or generator goes on
    functions   and `modules` and `classes`: how many different ones
    stays       frames in a row that belong to one module
    returns     stays in a module that had been left already: all but the first in each

They are given for everything of ours and for the core alone, and for both without the frames that only went
on. A function of another library is no frame of ours, and neither is one written in C; a stay in a plugin
ends that in the core. The counts are the same each time with the same minor version of Python.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import inspect
import json
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, takewhile
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from types import FrameType
from typing import Any, NamedTuple
from unittest.mock import patch

from pointsman import Router

CORE = "pointsman"
DEPLOYMENTS = 3
CHUNKS = 8
WARM_UP = 20
COLUMNS = {"all": "all", "core": "core", "all_once": "all, once", "core_once": "core, once"}

Call = Callable[[], Awaitable[None]]


class Step(NamedTuple):
    """A frame that was entered."""

    package: str
    """That of the distribution: `pointsman`, `pointsman_openai`."""
    module: str
    """Its file, as seen from the core's folder or from that which holds the package."""
    function: str
    """Its qualified name, without what says that it is local."""
    owner: str
    """The class that it is written in; empty where there is none."""
    resumed: bool


Walk = Sequence[Step]
Counts = dict[str, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=["chat", "stream"])
    parser.add_argument("--counts", action="store_true", help="without the lists")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = {kind: walk for kind, walk in walks().items() if options.only in (kind, None)}
    if options.json:
        print(json.dumps({kind: as_data(walk, whole=not options.counts) for kind, walk in found.items()}))
        return
    for kind, walk in found.items():
        print(f"{kind}\n")
        if not options.counts:
            print("\n".join(listed(walk)), end="\n\n")
        print("\n".join(tabulated(walk)), end="\n\n")


# ── counting ─────────────────────────────────────────────────────────────────────────────────────────


def counted(walk: Walk) -> dict[str, Counts]:
    """The counts of everything and of the core, with and without frames that only went on."""
    once = [step for step in walk if not step.resumed]
    return {
        "all": _counts(walk, lambda _package: True),
        "core": _counts(walk, CORE.__eq__),
        "all_once": _counts(once, lambda _package: True),
        "core_once": _counts(once, CORE.__eq__),
    }


def _counts(walk: Walk, belongs: Callable[[str], bool]) -> Counts:
    steps = [step for step in walk if belongs(step.package)]
    modules = {step.module for step in steps}
    stays = sum(belongs(stay[0].package) for stay in stays_of(walk))
    return {
        "frames": len(steps),
        "functions": len({(step.module, step.function) for step in steps}),
        "modules": len(modules),
        "classes": len({(step.module, step.owner) for step in steps if step.owner}),
        "stays": stays,
        "returns": stays - len(modules),
    }


def stays_of(walk: Walk) -> Iterator[list[Step]]:
    """The walk, cut where it goes on to another module."""
    for _module, steps in groupby(walk, lambda step: step.module):
        yield list(steps)


def as_data(walk: Walk, *, whole: bool = True) -> dict[str, Any]:
    """What `--json` prints of one walk."""
    steps = {"walk": [step._asdict() for step in walk]} if whole else {}
    return {**counted(walk), **steps}


def listed(walk: Walk) -> Iterator[str]:
    """One line for each stay."""
    number = 1
    for stay in stays_of(walk):
        names = (f"[{step.function}]" if step.resumed else step.function for step in stay)
        yield f"{number:4}  {stay[0].module:36}{' → '.join(names)}"
        number += len(stay)


def tabulated(walk: Walk) -> Iterator[str]:
    """The counts as a table."""
    counts = counted(walk)
    yield f"{'':12}" + "".join(f"{title:>12}" for title in COLUMNS.values())
    for name in counts["all"]:
        yield f"{name:12}" + "".join(f"{counts[column][name]:12}" for column in COLUMNS)


# ── walking ──────────────────────────────────────────────────────────────────────────────────────────


def walks() -> dict[str, Walk]:
    """The walk of a chat, and that of a stream."""
    # Time stands still: a call that meets the next second turns a page in some book, and a timer may ring.
    moment = time.monotonic()
    with patch.object(time, "monotonic", lambda: moment):
        return asyncio.run(_walks())


async def _walks() -> dict[str, Walk]:
    with upstream() as url:
        config = {
            "providers": {"a": {"type": "openai", "base_url": url, "api_key": "k-for-tests"}},
            "models": {"m": {"deployments": [f"a/x{n}" for n in range(DEPLOYMENTS)]}},
            "transport": "h1",
        }
        async with Router.from_config(config) as router:

            async def chat() -> None:
                assert (await router.chat("m", MESSAGES)).text == TEXT

            async def stream() -> None:
                text = ""
                async with router.stream("m", MESSAGES) as events:
                    async for event in events:
                        text += event.text
                assert text == TEXT

            return {"chat": await _warm(chat), "stream": await _warm(stream)}


async def _warm(call: Call) -> Walk:
    for _ in range(WARM_UP):
        await call()
    return await walked(call)


async def walked(call: Call) -> Walk:
    """The frames of ours that `call` enters, also in callbacks of the event loop meanwhile."""
    found: list[Step] = []

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and (step := step_into(frame)) is not None:
            found.append(step)

    before = sys.getprofile()
    gc.collect()
    gc.disable()  # what it finalizes has nothing to do with the call
    sys.setprofile(profile)
    try:
        await call()
    finally:
        sys.setprofile(before)
        gc.enable()
    return found


def step_into(frame: FrameType) -> Step | None:
    """The frame that has just been entered, when it is one of ours."""
    code = frame.f_code
    name, function = frame.f_globals.get("__name__", ""), code.co_qualname.replace(".<locals>", "")
    owner = code.co_qualname.partition(".<locals>")[0].rpartition(".")[0]
    if code.co_filename.startswith("<") and code.co_varnames:
        # Made of text, as dataclasses and named tuples do: it belongs to the class that it was made for.
        first = frame.f_locals.get(code.co_varnames[0])
        made_for = first if isinstance(first, type) else type(first)
        name, owner = made_for.__module__, made_for.__qualname__
        function = f"{owner}.{code.co_name}"
    package = name.partition(".")[0]
    if package != CORE and not package.startswith(f"{CORE}_"):
        return None
    return Step(package, module_of(name, package), function, owner, goes_on(frame))


def module_of(name: str, package: str) -> str:
    """The file of a module, as a reader of the list would look for it."""
    file, root = (Path(sys.modules[each].__file__ or "") for each in (name, package))
    return file.relative_to(root.parent if package == CORE else root.parents[1]).as_posix()


def goes_on(frame: FrameType) -> bool:
    """Whether the frame has waited before and does not begin now."""
    code = frame.f_code
    if not code.co_flags & (inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR):
        return False
    # The instruction RESUME says in two bits what it comes after; 0 is the beginning of the function.
    return bool(code.co_code[frame.f_lasti + 1] & 3)


# ── the upstream ─────────────────────────────────────────────────────────────────────────────────────

MESSAGES = [
    {"role": "system", "content": "You are a helpful assistant."},
    {"role": "user", "content": "Why is the sky blue?"},
]
TEXT = "".join(f"word{n} " for n in range(CHUNKS))


@contextmanager
def upstream() -> Iterator[str]:
    """The URL of a server, in threads of its own, that sends each answer in one piece."""
    with ThreadingTCPServer(("127.0.0.1", 0), _Upstream) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


class _Upstream(StreamRequestHandler):
    def handle(self) -> None:
        # A line is empty at the end of the head, and each is once the client has gone.
        while head := b"".join(takewhile(bytes.strip, iter(self.rfile.readline, None))):
            (length,) = re.findall(rb"(?i)content-length: *(\d+)", head)
            body = json.loads(self.rfile.read(int(length)))
            self.wfile.write(_STREAMED if body.get("stream") else _WHOLE)


def _reply(kind: str, body: bytes) -> bytes:
    fields = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
    return fields.encode() + body


def _chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    value = {"id": "c", "object": "chat.completion.chunk", "model": "x", "choices": [choice]}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


_WHOLE = _reply(
    "application/json",
    json.dumps(
        {
            "id": "c",
            "object": "chat.completion",
            "model": "x",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
        }
    ).encode(),
)
_STREAMED = _reply(
    "text/event-stream",
    b"".join(
        (
            *(_chunk({"content": f"word{n} "}) for n in range(CHUNKS)),
            _chunk({}, "stop"),
            b"data: [DONE]\n\n",
        )
    ),
)


if __name__ == "__main__":
    main()
