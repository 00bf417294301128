"""What becomes of requests while the disk does not take their records, and what is said of it."""

from __future__ import annotations

import asyncio
import threading
from errno import EIO, ENOSPC
from pathlib import Path
from typing import Any

import pytest

from pointsman import Router
from pointsman.audit_log.files import Disk
from pointsman.audit_log.verify import verify
from pointsman.builtin.audit import AwaitedJsonlSink, JsonlSettings, jsonl
from pointsman.clock import LoopClock
from pointsman.errors import AuditUnavailable, ConfigError
from pointsman.events import RequestStarted
from pointsman.testing import Scripted

STARTED = RequestStarted("r1", "chat", "m", 1.0)


def sink_of(folder: Path, **settings: Any) -> AwaitedJsonlSink:
    made = jsonl(JsonlSettings.model_validate({"path": folder / "log", **settings}), LoopClock())
    assert isinstance(made, AwaitedJsonlSink)
    return made


def failing(monkeypatch: pytest.MonkeyPatch, code: int) -> threading.Event:
    """Have every write fail; what comes back is set with the first."""
    failed = threading.Event()

    def write(self: Disk, descriptor: int, data: bytes) -> int:
        failed.set()
        raise OSError(code, "it fails")

    monkeypatch.setattr(Disk, "write", write)
    return failed


async def test_a_request_is_admitted_once_its_record_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, synced, goes_on = Disk.sync, threading.Event(), threading.Event()

    def slowly(self: Disk, descriptor: int) -> None:
        synced.set()
        assert goes_on.wait(10)
        sync(self, descriptor)

    monkeypatch.setattr(Disk, "sync", slowly)
    sink = sink_of(tmp_path, mode="block", wait=30)
    admitted = asyncio.ensure_future(sink.admit(STARTED))
    assert await asyncio.to_thread(synced.wait, 10)
    assert not admitted.done()

    goes_on.set()
    await admitted

    assert b'"event":"start"' in sink.path.read_bytes()
    await asyncio.to_thread(sink.close)


async def test_fail_closed_refuses_at_once_while_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, ENOSPC)
    sink = sink_of(tmp_path, mode="fail_closed", wait=60)

    for _ in range(2):  # who finds out, and who comes after
        with pytest.raises(AuditUnavailable, match="it fails"):
            await sink.admit(STARTED)

    status = sink.status()
    assert (status.mode, status.trouble, status.disk_full, status.io_errors) == (
        "fail_closed", "it fails", 1, 0,
    )  # fmt: skip
    monkeypatch.undo()
    await asyncio.to_thread(sink.close)
    assert verify(tmp_path / "log").ok


async def test_block_waits_for_a_disk_that_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = failing(monkeypatch, EIO)
    sink = sink_of(tmp_path, mode="block", wait=30)
    admitted = asyncio.ensure_future(sink.admit(STARTED))
    assert await asyncio.to_thread(failed.wait, 10)

    monkeypatch.undo()
    await admitted

    assert b'"event":"start"' in sink.path.read_bytes()
    await asyncio.to_thread(sink.close)


@pytest.mark.parametrize("mode", ["block", "fail_closed"])
async def test_who_waits_longer_than_that_is_refused(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, goes_on = Disk.sync, threading.Event()

    def never(self: Disk, descriptor: int) -> None:
        assert goes_on.wait(10)
        sync(self, descriptor)

    monkeypatch.setattr(Disk, "sync", never)
    sink = sink_of(tmp_path, mode=mode, wait=0.01)

    with pytest.raises(AuditUnavailable, match="not within 0.01 s"):
        await sink.admit(STARTED)

    goes_on.set()
    await asyncio.to_thread(sink.close)


async def test_half_of_the_buffer_is_for_those_who_were_admitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, hangs, goes_on = Disk.write, threading.Event(), threading.Event()

    def hanging(self: Disk, descriptor: int, data: bytes) -> int:
        hangs.set()
        assert goes_on.wait(10)
        return write(self, descriptor, data)

    monkeypatch.setattr(Disk, "write", hanging)
    sink = sink_of(tmp_path, mode="fail_closed", wait=30, buffer=4)
    waiting = [asyncio.ensure_future(sink.admit(STARTED))]
    assert await asyncio.to_thread(hangs.wait, 10)
    waiting += [asyncio.ensure_future(sink.admit(STARTED)) for _ in range(2)]
    await asyncio.sleep(0)

    with pytest.raises(AuditUnavailable, match="buffer is full"):
        await sink.admit(STARTED)

    goes_on.set()
    await asyncio.gather(*waiting)
    await asyncio.to_thread(sink.close)


async def test_a_broken_log_is_refused_in_fail_closed_and_told_of_in_the_others(tmp_path: Path) -> None:
    first = sink_of(tmp_path, mode="block")
    await first.admit(STARTED)
    path = first.path
    await asyncio.to_thread(first.close)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1].replace(b'"chat"', b'"tahc"') + lines[1] + lines[1])

    with pytest.raises(ConfigError, match="is broken"):
        sink_of(tmp_path, mode="fail_closed")
    second = sink_of(tmp_path, mode="block")
    await second.admit(STARTED)
    await asyncio.to_thread(second.close)

    assert b'"event":"broken"' in second.path.read_bytes()
    assert len(list((tmp_path / "log").iterdir())) == 2


@pytest.mark.parametrize(
    ("key", "said"),
    [({"env": "NO_SUCH"}, "0 bytes"), ({"file": "nowhere"}, "cannot be read"), ({"env": "SHORT"}, "5 bytes")],
)
def test_a_key_that_is_none_is_refused(
    key: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "short")

    with pytest.raises(ConfigError, match=said):
        sink_of(tmp_path, mode="block", key=key)


async def test_the_status_of_a_router_says_how_it_stands_with_its_sinks(tmp_path: Path) -> None:
    config = {
        "providers": {"gpu": {"type": "scripted"}},
        "models": {"m": {"deployments": ["gpu/x"]}},
        "audit": ["logging", *({"type": "jsonl", "path": str(tmp_path / each)} for each in "ab")],
    }
    async with Router.from_config(config, plugins=[Scripted()]) as router:
        await router.chat("m", "hi")
        told = router.status().audit

    assert [(each.sink, each.mode, each.dropped, each.trouble) for each in told] == [
        ("jsonl", "drop_counted", 0, ""),
        ("jsonl-2", "drop_counted", 0, ""),
    ]
