"""Verifying: of files as `jsonl` writes them and of tables, by the command's verifier and the stand-alone one."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from audited import At, ended, sink_at, started
from hypothesis import given
from hypothesis import strategies as st

from pointsman import Router
from pointsman.audit_log.chain import AuditKeys, day_key, parsed, tombstone
from pointsman.audit_log.retention import OldFile, to_let_go
from pointsman.plugin import ConfigError
from pointsman.testing import Scripted
from pointsman_audit import plugin
from pointsman_audit.admin import search, verification
from pointsman_audit.asking import ALL, Wanted
from pointsman_audit.checking import verified, write_chains
from pointsman_audit.erasing import erase
from pointsman_audit.sources import Folder, Source, Table, places_in
from pointsman_audit.standalone import first_wrong

KEY = b"a key of at least sixteen bytes"


def config(tmp_path: Path, *sinks: dict[str, Any]) -> dict[str, Any]:
    (tmp_path / "key").write_bytes(KEY)
    return {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "audit": [{"key": {"file": str(tmp_path / "key")}, **each} for each in sinks],
    }


async def test_files_and_tables_of_one_router_say_the_same_and_both_verify_and_are_erased(
    tmp_path: Path,
) -> None:
    said = config(
        tmp_path,
        {"type": "jsonl", "path": str(tmp_path / "lines")},
        {"type": "sqlite", "database": str(tmp_path / "audit.db")},
    )
    async with Router.from_config(said, plugins=[Scripted(), plugin]) as router:
        for caller in ("ci", "qa", "ci"):
            await router.chat("m", "hello", caller=caller)

    counts = []
    for place in places_in(said["audit"], tmp_path):
        source = place.open()
        events = [each.facts.event for each in source.records(ALL) if each.facts.request_id]
        assert events == ["start", "attempt", "request"] * 3
        assert verified(source, keys=place.keys()).ok
        assert not verified(source, keys=AuditKeys((b"another key of that length",))).ok
        assert erase(source, "ci", 1.8e9).left  # not without the key
        assert erase(source, "ci", 1.8e9, place.keys()).records == 6
        assert len(list(source.records(Wanted(caller="ci")))) == 0
        found = verified(source, keys=place.keys())
        assert found.ok
        counts.append(sum(each.erased for each in found.files))
        source.close()
    assert counts == [6, 6]
    assert [each["ok"] for each in verification(said["audit"], tmp_path)] == [True, True]


def test_a_key_that_is_too_short_is_refused_when_the_sink_is_made(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="openssl rand"):
        sink_at("audit.db", tmp_path, key={"file": str(tmp_path / "key")})


def log_of(tmp_path: Path, count: int = 12) -> Sequence[bytes]:
    clock = At()
    sink = sink_at("audit.db", tmp_path, clock=clock)
    for n in range(count):
        clock.wall_now += 1
        sink(started(f"r{n}"))
        sink(ended(f"r{n}"))
    sink.close()
    table = Table("audit.db", tmp_path)
    folder = tmp_path / "lines"
    folder.mkdir()
    write_chains(table, folder)
    table.close()
    (path,) = folder.iterdir()
    return path.read_bytes().splitlines(keepends=True)


def mutated(lines: Sequence[bytes], rng: random.Random) -> tuple[list[bytes], int]:
    """The lines after one change, and the index of the first that is not as it was."""
    made, at = list(lines), rng.randrange(1, len(lines) - 1)
    match rng.choice(["edit", "delete", "swap", "repeat", "cut", "forge"]):
        case "edit":
            place = rng.randrange(len(made[at]) - 1)
            old = made[at][place]
            new = rng.choice([each for each in range(32, 127) if each != old])
            made[at] = made[at][:place] + bytes([new]) + made[at][place + 1 :]
        case "delete":
            del made[at]
        case "swap":
            made[at], made[at + 1] = made[at + 1], made[at]
        case "repeat":
            made.insert(at, made[at - 1])
        case "cut":
            del made[0]
            at = 0
        case "forge":
            made[at] = (
                made[at]
                .replace(b'"caller":"ci"', b'"caller":"qa"')
                .replace(b'"event":"close"', b'"event":"gap"')
            )
    return made, at


def test_both_verifiers_find_the_first_record_that_is_not_as_it_was(tmp_path: Path) -> None:
    lines, rng, path = log_of(tmp_path), random.Random(7), tmp_path / "changed" / "audit-x.jsonl"
    path.parent.mkdir()
    assert first_wrong(lines, b"") == (0, len(lines))
    for _ in range(200):
        made, at = mutated(lines, rng)
        path.write_bytes(b"".join(made))

        seq, good = first_wrong(made, b"")
        (finding,) = verified(Folder(path.parent)).findings

        assert finding.seq == seq, (finding, at)
        assert (seq, good) == (at + 1, at) or at == 0


def test_both_verifiers_believe_that_a_record_was_erased_only_of_who_has_the_key(tmp_path: Path) -> None:
    lines, path = log_of(tmp_path), tmp_path / "erased" / "audit-x.jsonl"
    path.parent.mkdir()
    for key, bad in ((b"", 0), (KEY, 2)):
        line = parsed(lines[1])
        assert line is not None
        erased = tombstone(line, "2026-12-01T00:00:00.000+00:00", day_key(key, "2026-12-01"))
        made = [lines[0], erased, *lines[2:]]
        path.write_bytes(b"".join(made))

        assert first_wrong(made, b"")[0] == bad
        assert [each.seq for each in verified(Folder(path.parent)).findings] == ([bad] if bad else [])


def test_pages_of_a_search_leave_nothing_out_and_repeat_nothing(tmp_path: Path) -> None:
    log_of(tmp_path)
    for sink in (
        {"type": "sqlite", "database": "audit.db"},
        {"type": "jsonl", "path": str(tmp_path / "lines")},
    ):
        seen, before = list[int](), ""
        while True:
            page = search([sink], tmp_path, {"caller": "ci"}, 5, before=before)
            seen += [each["seq"] for each in page["records"]]
            if page["before"] is None:
                break
            before = page["before"]
        assert seen == [*range(25, 1, -1)]


def test_what_is_written_while_somebody_follows_is_shown(tmp_path: Path) -> None:
    log_of(tmp_path, 1)
    table: Source = Table("audit.db", tmp_path)
    for source in (table, Folder(tmp_path / "lines")):
        following = source.followed(Wanted(event="request"))
        assert (next(following), next(following)) == (None, None)
        sink = sink_at("audit.db", tmp_path)
        sink(ended("later"))
        sink.close()
        for path in (tmp_path / "lines").iterdir():
            path.unlink()
        assert isinstance(table, Table)
        write_chains(table, tmp_path / "lines")
        more = [each.facts.request_id for each in iter(lambda each=following: next(each), None)]  # type: ignore[misc]
        assert more[-1] == "later"
    table.close()


def test_files_that_nobody_needs_go_whole_and_the_checkpoints_know_of_it(tmp_path: Path) -> None:
    directory, pins = tmp_path / "lines", tmp_path / "pins"
    settings = {"type": "jsonl", "path": str(directory), "checkpoints": {"directory": str(pins)}}

    async def one(caller: str) -> None:
        async with Router.from_config(config(tmp_path, settings), plugins=[Scripted()]) as router:
            await router.chat("m", "hello", caller=caller)

    for caller in ("old", "new"):
        asyncio.run(one(caller))
    old, new = sorted(directory.iterdir())
    os.utime(old, (1e9, 1e9))
    (place,) = places_in(config(tmp_path, settings)["audit"], tmp_path)
    source = place.open()
    assert verified(source, keys=place.keys(), checkpoints=pins).checkpoints == 2

    assert source.prune(lambda: 1.8e9, age=7e8, size_bytes=None, checkpoints=pins, key=KEY) == [old.name]

    found = verified(source, keys=place.keys(), checkpoints=pins)
    assert (found.ok, [each.name for each in found.files]) == (True, [new.name])
    new.unlink()  # of this one they know that it should be there
    assert [each.file for each in verified(source, keys=place.keys(), checkpoints=pins).findings] == [
        new.name
    ]


@given(
    st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=6).map(sorted),
    st.none() | st.floats(0, 100),
    st.none() | st.integers(0, 200),
)
def test_what_is_left_is_within_both_limits_and_nothing_younger_goes_before_it_must(
    facts: list[tuple[float, int]], age: float | None, size_bytes: int | None
) -> None:
    files = [OldFile(Path(str(n)), *each) for n, each in enumerate(facts)]

    gone = to_let_go(files, 100.0, age=age, size_bytes=size_bytes)

    left = files[len(gone) :]
    assert gone == files[: len(gone)]
    assert size_bytes is None or sum(each.size_bytes for each in left) <= size_bytes
    assert age is None or all(each.latest >= 100.0 - age for each in left)
    if gone:
        last = gone[-1]
        is_old = age is not None and last.latest < 100.0 - age
        with_it = last.size_bytes + sum(each.size_bytes for each in left)
        assert is_old or (size_bytes is not None and with_it > size_bytes) or last.size_bytes == 0
