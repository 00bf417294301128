"""What an audit log says is read from its files, whatever became of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pointsman import Router
from pointsman.errors import Unavailable
from pointsman.testing import Scripted, run
from pointsman_forecast.records import read_log

LINES = [
    {"v": 1, "seq": 1, "ts": "2026-11-30T10:00:01.500+00:00", "event": "attempt", "request_id": "r1",
     "model": "m", "deployment": "a/x", "number": 1, "outcome": "upstream_fault", "error": "unavailable",
     "status": 503, "ms": 500},
    {"v": 1, "seq": 2, "ts": "2026-11-30T10:00:03.000+00:00", "event": "attempt", "request_id": "r1",
     "model": "m", "deployment": "b/x", "number": 2, "outcome": "ok", "ms": 1500, "first_token_ms": 200,
     "usage": {"prompt": 10, "completion": 20}, "cost_microcents": 7},
    {"v": 1, "seq": 3, "ts": "2026-11-30T10:00:03.000+00:00", "event": "request", "request_id": "r1",
     "operation": "stream", "model": "m", "pool": "m", "deployment": "b/x", "result": "ok", "attempts": 2,
     "ms": 2000, "usage": {"prompt": 10, "completion": 20}, "caller": "me", "cost_microcents": 7},
    {"v": 1, "seq": 4, "ts": "2026-11-30T10:00:04.000+00:00", "event": "gap", "from_seq": 4, "count": 3},
    {"v": 2, "seq": 9, "ts": "2026-11-30T10:00:04.000+00:00", "event": "of_tomorrow", "ms": 1},
]  # fmt: skip


def written(*lines: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def test_a_request_has_its_attempts_and_the_moment_when_it_began(tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(written(*LINES))

    log = read_log([tmp_path / "audit.jsonl"])

    (request,) = log.requests
    assert (request.id, request.model, request.seconds, request.caller) == ("r1", "m", 2.0, "me")
    assert request.began == pytest.approx(1_796_032_801.0)
    assert [(each.deployment, each.error, each.seconds) for each in request.attempts] == [
        ("a/x", "unavailable", 0.5),
        ("b/x", "", 1.5),
    ]
    assert (log.missing, log.broken) == (3, [])


def test_files_of_a_folder_and_packed_ones_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "audit-1.jsonl").write_bytes(written(*LINES[:1]))
    (tmp_path / "audit-2.jsonl.gz").write_bytes(gzip.compress(written(*LINES[1:])))
    (tmp_path / "notes.txt").write_text("not of the log")

    (request,) = read_log([tmp_path]).requests

    assert len(request.attempts) == 2


@pytest.mark.parametrize("line", [b"{\n", b"no json\n", b"[1]\n", b'{"event": "request"}\n', b"\xff\xfe\n"])
def test_a_broken_line_is_skipped_and_told_with_its_number(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.jsonl").write_bytes(written(LINES[0]) + line + written(*LINES[1:]))

    log = read_log([tmp_path / "a.jsonl"])

    assert len(log.requests) == 1
    (broken,) = log.broken
    assert broken.line == 2
    assert str(broken).startswith(f"{tmp_path / 'a.jsonl'}:2: ")


@pytest.mark.parametrize(
    "said",
    [
        {"ms": 1e300},
        {"ms": -1},
        {"first_token_ms": -1},
        {"usage": {"prompt": 2**62}},
        {"cost_microcents": -1},
        {"ts": "0001-01-01T00:00:00"},
        {"ts": "9999-12-31T23:59:59-14:00"},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_a_broken_line(tmp_path: Path, said: dict[str, Any]) -> None:
    (tmp_path / "a.jsonl").write_bytes(written(*({**each, **said} for each in LINES[1:3]), LINES[3]))

    log = read_log([tmp_path / "a.jsonl"])

    assert [each.line for each in log.broken][:1] == [1]
    assert all(each.attempts == () for each in log.requests)


def test_a_packed_file_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    packed = gzip.compress(written(*LINES) + bytes(range(256)) * 9)
    (tmp_path / "a.jsonl.gz").write_bytes(packed[: len(packed) - 20])

    log = read_log([tmp_path / "a.jsonl.gz"])

    assert len(log.requests) <= 1
    assert log.broken


def test_what_a_router_records_is_what_is_read(tmp_path: Path) -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down", status=503))
    given = {
        "providers": {name: {"type": "scripted"} for name in "ab"},
        "models": {"m": {"deployments": ["a/x", {"provider": "b", "model": "x", "priority": 1}]}},
        "audit": [{"type": "jsonl", "path": str(tmp_path)}],
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[upstream]) as router:
            await router.chat("m", "hi", caller="me")

    run(main())

    (request,) = read_log([tmp_path]).requests
    assert [each.deployment for each in request.attempts] == ["a/x", "b/x"]
    assert (request.deployment, request.result, request.caller) == ("b/x", "ok", "me")
