"""The way of a call through the core gets no longer and no more crooked than it is."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import frames

# What the core may take of a call, as `benchmarks/frames.py` counts it today. Who makes the way shorter writes
# the new figures here; 45 frames and 15 returns were the goal for a chat. Two frames of each are what it costs,
# which is known of a server on this machine: nothing. Six of a stream's are the length of an answer whose upstream
# counts nothing, as this one: else nobody would pay for it.
BOUNDS = {"chat": {"frames": 37, "returns": 9}, "stream": {"frames": 156, "returns": 57}}


@pytest.fixture(scope="module")
def walks() -> dict[str, frames.Walk]:
    return frames.walks()


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_call_enters_no_more_of_the_core_than_it_may(kind: str, walks: dict[str, frames.Walk]) -> None:
    core = frames.counted(walks[kind])["core"]

    above = {name: core[name] for name, bound in BOUNDS[kind].items() if core[name] > bound}
    assert above == {}, (
        f"bounds: {BOUNDS[kind]}; uv run python benchmarks/frames.py --only {kind} lists the way"
    )


def test_the_way_is_the_same_each_time(walks: dict[str, frames.Walk]) -> None:
    assert frames.walks() == walks


def test_a_chat_begins_at_the_router_and_passes_the_provider_and_its_transport(
    walks: dict[str, frames.Walk],
) -> None:
    walk = walks["chat"]

    assert (walk[0].module, walk[0].function) == ("router.py", "Router.chat")
    assert {step.package for step in walk} == {"pointsman", "pointsman_openai", "pointsman_h1"}
    assert "pointsman_openai/provider.py" in {step.module for step in walk}
    for step in walk:
        file = step.module if step.package == "pointsman" else step.module.partition("/")[2]
        assert (Path(sys.modules[step.package].__file__ or "").parent / file).is_file(), step


def test_the_upstream_is_through_with_a_client_that_has_gone() -> None:
    before = set(threading.enumerate())
    with frames.upstream() as url, socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as client:
        client.sendall(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")
        assert client.recv(1 << 16)
    late = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < late:
        time.sleep(0.01)

    # Those that read on filled lists with 8 million empty lines each within two minutes of the tests after this.
    assert set(threading.enumerate()) - before == set()


def step(module: str, function: str, *, resumed: bool = False) -> frames.Step:
    package = module.partition("/")[0] if "/" in module else "pointsman"
    return frames.Step(package, module, function, function.rpartition(".")[0], resumed)


WALK = [
    step("router.py", "Router.chat"),
    step("router.py", "chat"),
    step("http.py", "send"),
    step("pointsman_x/provider.py", "X.chat"),
    step("http.py", "Answer.value"),
    step("router.py", "Router.chat", resumed=True),
]


def test_a_stay_in_a_plugin_ends_that_in_the_core_and_coming_back_is_a_return() -> None:
    counts = frames.counted(WALK)

    assert counts["all"] == {
        "frames": 6,
        "functions": 5,
        "modules": 3,
        "classes": 3,
        "stays": 5,
        "returns": 2,
    }
    assert counts["core"] == {
        "frames": 5,
        "functions": 4,
        "modules": 2,
        "classes": 2,
        "stays": 4,
        "returns": 2,
    }


def test_a_frame_that_only_goes_on_is_left_out_where_each_is_counted_once() -> None:
    once = frames.counted(WALK)["core_once"]

    assert (once["frames"], once["stays"], once["returns"]) == (4, 3, 1)


def test_the_list_has_a_line_for_each_stay_with_the_number_of_its_first_frame() -> None:
    assert [" ".join(line.split()) for line in frames.listed(WALK)] == [
        "1 router.py Router.chat → chat",
        "3 http.py send",
        "4 pointsman_x/provider.py X.chat",
        "5 http.py Answer.value",
        "6 router.py [Router.chat]",
    ]


SOURCE = """
import asyncio
from dataclasses import dataclass
from typing import NamedTuple

@dataclass
class Made:
    a: int

class Named(NamedTuple):
    a: int

async def waits():
    await asyncio.sleep(0)
    return len([[1], [2]])

async def call():
    Made(1)
    Named(1)
    await waits()
    await waits()
"""


def test_coroutines_that_go_on_are_counted_again_and_constructors_that_were_made_of_text_too() -> None:
    here: dict[str, Any] = {"__name__": "pointsman.router"}
    exec(compile(SOURCE, "router.py", "exec"), here)

    walk = asyncio.run(frames.walked(here["call"]))

    assert [(each.function, each.resumed) for each in walk] == [
        ("call", False),
        ("Made.__init__", False),
        ("Named.<lambda>", False),
        ("waits", False),
        ("call", True),
        ("waits", True),
        ("waits", False),
        ("call", True),
        ("waits", True),
    ]
    assert {each.module for each in walk} == {"router.py"}


def test_what_is_none_of_ours_is_not_counted() -> None:
    async def call() -> None:
        await asyncio.sleep(0)

    assert asyncio.run(frames.walked(call)) == []
