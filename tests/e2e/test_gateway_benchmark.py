"""The benchmark of the gateway measures what it says: each call is answered, and each answer looked at."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

sys.path += [str(Path(__file__).resolve().parents[2] / "benchmarks" / each) for each in ("peers", "gateway")]
pytest.importorskip("uvloop", reason="the benchmark runs where uvloop does")
if not Path("/proc/self/stat").exists():
    pytest.skip("the CPU time of other processes is read from /proc", allow_module_level=True)
import asked
import conversation
import cpu_time
import generator
import measuring
import subjects
import upstream
from lab import Figures, Results

GATEWAY = Path(measuring.__file__).parent


def test_a_run_measures_a_gateway_and_a_relay_and_says_which_goals_are_met() -> None:
    """The whole program, with the subjects that are installed here."""
    command = [sys.executable, str(GATEWAY), "--smoke", "--only", "whole", "stream", "protocol"]
    done = subprocess.run(
        [*command, "--subjects", "relay", "pointsman", "--json"], capture_output=True, text=True, timeout=120
    )

    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert found["errors"] == []
    assert found["skipped"] == {}
    assert found["figures"].keys() == {"whole", "stream", *(f"protocol at {each}" for each in (1, 16, 128))}
    for case in ("whole", "stream"):
        assert found["figures"][case].keys() == {"relay", "pointsman"}
        for figures in found["figures"][case].values():
            assert (figures["calls"], figures["failed"]) == (16, 0)
    # Some kernels count the time of processes in steps of 10 ms, of which 16 calls need none; the longest case does.
    assert found["figures"]["protocol at 128"]["pointsman"]["cpu_us"] > 0
    assert found["figures"]["protocol at 128"]["pointsman"]["calls"] >= 128
    beside_others = [each["passed"] for each in found["goals"] if each["goal"] == 1]
    assert set(beside_others) == {None}, "neither nginx nor Envoy were asked"


async def test_an_answer_that_is_not_the_one_that_was_sent_counts_as_failed(tmp_path: Path) -> None:
    with ExitStack() as opened:
        served = opened.enter_context(upstream.running(program=str(GATEWAY / "mock.py")))
        place = subjects.Place(tmp_path, served.port, None, tmp_path)
        subject = opened.enter_context(subjects.running("direct", place))
        right = await measuring.measured(
            measuring.Case("c", (), "short", 3, 6, chunks=20, bodies=conversation.streaming), subject
        )
        wrong = await measuring.measured(
            measuring.Case("c", (), "short", 3, 6, chunks=19, bodies=conversation.streaming), subject
        )

    assert (right["calls"], right["failed"]) == (6, 0), right
    assert wrong["failed"] == 3, "the first answer of each connection"
    assert wrong["errors"][0].startswith("wrong answer")
    assert served.requests == {"plain": 6, "chunks=20": 12}


async def test_a_connection_that_is_lost_is_an_error_of_its_call_and_of_those_that_nobody_asks() -> None:
    with upstream.running(program=str(GATEWAY / "mock.py")) as served:
        async with generator.connected(served.port, 1) as load:
            load.connections[0].close()
            await load.run([b"GET / HTTP/1.1\r\n\r\n"], 2)

    assert len(load.errors) == 2


def test_the_text_is_read_out_of_an_answer_however_it_is_cut() -> None:
    frames = b'data: {"choices": [{"delta": {"content": "a b"}}]}\n\ndata: [DONE]\n\n'
    chunks = [b"%x\r\n%b\r\n" % (len(each), each) for each in (frames[:21], frames[21:50], frames[50:], b"")]
    streamed = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(chunks)
    whole = b'HTTP/1.1 200 OK\r\n\r\n{"choices": [{"message": {"content": "a b"}}]}'

    assert generator.text_of(streamed) == generator.text_of(whole) == "a b"


def test_the_time_of_a_process_is_that_of_its_children_too() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as process:
        until = time.monotonic() + 30
        while len(pids := cpu_time.tree(process.pid)) < 2 and time.monotonic() < until:
            pass
        while not cpu_time.seconds(pids[1:]) and time.monotonic() < until:
            pass  # it is there, and has not run yet
        alone = cpu_time.seconds(pids[:1])
        used = cpu_time.seconds(pids)
        process.communicate(b"\n")

    assert pids[0] == process.pid
    assert used > alone > 0
    assert os.getpid() in cpu_time.tree(os.getppid())


def test_a_goal_beside_a_peer_that_cannot_be_had_is_void_and_the_peer_is_named() -> None:
    def rounds(*values: float) -> list[Figures]:
        rest: dict[str, Any] = {
            "calls": 1,
            "failed": 0,
            "calls_per_s": 1.0,
            "p50_us": 1.0,
            "p99_us": 1.0,
            "resident_mib": 1.0,
        }
        return [{"cpu_us": value, **rest} for value in values]

    results = Results(
        {"whole": {"pointsman": rounds(100, 300), "nginx": rounds(20, 50)}}, skipped={"envoy": "not here"}
    )

    envoy, nginx = asked.goals(results)[:2]
    text = asked.tables(results, [envoy, nginx], about="")

    assert (envoy.passed, nginx.passed, nginx.measured) == (None, True, 5.5)
    assert "- envoy: not here" in text
