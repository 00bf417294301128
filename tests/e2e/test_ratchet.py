"""A routed call does no more work than the committed baseline says, counted without a clock."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import ratchet
from pointsman.events import Event
from pointsman.plugins.registry import Plugins

FEW = {"chats": 50, "streams": 2, "keeping": 200}


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    found = ratchet.baseline()
    if found is None:
        pytest.skip(f"benchmarks/ratchet.json has no baseline for {ratchet.key()}")
    if found["libraries"] != ratchet.libraries():
        pytest.skip(f"the baseline was made with {found['libraries']}, here are {ratchet.libraries()}")
    return found


async def test_a_thousand_routed_calls_do_no_more_than_the_baseline(known: dict[str, Any]) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        ratchet.__file__,
        "--json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()

    assert process.returncode == 0, err.decode()
    found = json.loads(out)
    assert found.keys() == {"chat", "stream"}
    for kind, figures in found.items():
        assert figures.keys() == known[kind].keys()


@pytest.fixture(scope="module")
def plain() -> dict[str, Any]:
    return {"libraries": ratchet.libraries(), **ratchet.measured(**FEW)}


def test_the_counts_are_the_same_each_time(plain: dict[str, Any]) -> None:
    again = ratchet.measured(**FEW)

    for kind, figures in again.items():
        for name in ("instructions", "calls", "c_calls"):
            assert figures[name] == plain[kind][name], (kind, name)


def test_copies_of_the_events_turn_it_red(plain: dict[str, Any]) -> None:
    def copying(event: Event) -> None:
        for _ in range(5):
            type(event)(*(getattr(event, name) for name in event.__struct_fields__))

    findings = ratchet.compared(ratchet.measured(**FEW, listeners=[copying]), plain)

    assert any("instructions of one chat" in each for each in findings), findings
    assert all("benchmarks/ratchet.py --update" in each for each in findings)


def test_a_hook_call_on_the_path_turns_it_red(plain: dict[str, Any]) -> None:
    hook = Plugins().manager.hook.pointsman_auth

    findings = ratchet.compared(ratchet.measured(**FEW, listeners=[lambda event: hook()]), plain)

    assert any("calls of one chat" in each for each in findings), findings


def test_memory_that_calls_leave_behind_turns_it_red(plain: dict[str, Any]) -> None:
    kept: list[tuple[Event, ...]] = []

    findings = ratchet.compared(
        ratchet.measured(**FEW, listeners=[lambda event: kept.append((event,))]), plain
    )

    assert any("kept_blocks of one chat" in each for each in findings), findings
    assert any("kept_blocks of one stream" in each for each in findings), findings


def test_other_libraries_than_those_of_the_baseline_are_named_beside_what_grew() -> None:
    found = {"chat": {"calls": 120.0}}
    known = {"libraries": {"httpx": "0.1"}, "chat": {"calls": 100.0}}

    calls, libraries = ratchet.compared(found, known)

    assert calls.startswith("calls of one chat went from 100.0 to 120.0 (+20.0%); allowed: +1%.")
    assert "0.1" in libraries


def test_an_update_leaves_the_figures_of_other_interpreters_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ratchet, "BASELINE", tmp_path / "ratchet.json")
    ratchet.BASELINE.write_text('{"other-1.0": {"chat": {"calls": 7}}}')

    ratchet.update({"chat": {"calls": 9.0}})

    assert json.loads(ratchet.BASELINE.read_text())["other-1.0"] == {"chat": {"calls": 7}}
    assert ratchet.baseline() == {"libraries": ratchet.libraries(), "chat": {"calls": 9.0}}
