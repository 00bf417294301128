"""What is done to a log is found, by ours and by the verifier that stands in the docs."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.audit_log.chain import AuditKeys, day_key, parsed, tombstone
from pointsman.audit_log.committing import Committer, Entry, Rotation
from pointsman.audit_log.recovery import Recovery
from pointsman.audit_log.verify import verify

KEY = b"0123456789abcdef0123456789abcdef"
KEYS = AuditKeys((KEY,))
TS = "2026-12-01T09:30:00.125+00:00"
PAGE = Path(__file__).parents[3] / "docs" / "audit.md"
MUTATIONS = 200


@cache
def of_the_page() -> Any:
    """The verifier in the docs, which imports nothing of ours."""
    (source,) = re.findall(r"```python\n(import hashlib.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert "pointsman" not in re.sub(r'b"pointsman audit "', "", source)
    space: dict[str, Any] = {"__name__": "verifier"}
    exec(compile(source, str(PAGE), "exec"), space)  # it is ours
    return SimpleNamespace(**space)


def entries(first: int, many: int) -> Iterator[Entry]:
    for n in range(first, first + many):
        if n % 7 == 5:
            yield Entry(TS, "gap", b"", 1 + n % 3, "buffer full")
        else:
            yield Entry(TS, "request", b',"request_id":"r%d","caller":"ci"' % n)


def a_log(
    folder: Path, *, key: bytes = KEY, each: int = 4, until: int = 24, size: int = 5000
) -> tuple[Path, Path]:
    """A log of two files, of which a checkpoint knows all, one for `each` records and one at its end."""
    log, elsewhere = folder / "log", folder / "elsewhere"
    ticks = count(1_764_581_400)

    def wall() -> float:
        return float(next(ticks))

    kept = Committer(log, wall=wall, now=lambda: 0.0, key=key, synced=False, rotation=Rotation(size, 1e9))
    told = Committer(elsewhere, wall=wall, now=lambda: 0.0, key=key, synced=False, prefix="checkpoints")

    def tell() -> None:
        body = b',"log":"%s","at":%d,"of":"%s"' % (
            kept.path.name.encode(), kept.link.seq, kept.link.mac.encode(),
        )  # fmt: skip
        told.commit([Entry(TS, "checkpoint", body)])

    for n in range(0, until, each):
        kept.commit(list(entries(n, each)))
        if each < until:
            tell()
    kept.close()
    tell()
    told.close()
    return log, elsewhere


def _another_process_goes_on(log: Path) -> None:
    """With a file whose beginning knows the last record of the one before, as the checkpoints do."""
    ts = "2026-12-01T10:30:00.125+00:00"
    kept = Committer(log, wall=lambda: 1_764_585_000.0, now=lambda: 0.0, key=KEY, synced=False)
    kept.go_on_from(Recovery(log, key=KEY, ts=ts, now=lambda: 0.0).run())
    kept.commit([Entry(ts, "request", b',"request_id":"next","caller":"ci"')])
    kept.close()


def edit(lines: list[bytes], chance: random.Random) -> int:
    """Change one byte; returns the first line that differs."""
    n = chance.randrange(len(lines))
    line = bytearray(lines[n])
    at = chance.randrange(len(line) - 1)
    line[at] = chance.choice([each for each in b'0aZ"{,:9' if each != line[at]])
    lines[n] = bytes(line)
    return n


def delete(lines: list[bytes], chance: random.Random) -> int:
    n = chance.randrange(len(lines) - 1)
    del lines[n : n + chance.randint(1, 3)]
    return n


def move(lines: list[bytes], chance: random.Random) -> int:
    a, b = sorted(chance.sample(range(len(lines)), 2))
    lines[a], lines[b] = lines[b], lines[a]
    return a


def repeat(lines: list[bytes], chance: random.Random) -> int:
    n = chance.randrange(len(lines) - 1)
    lines.insert(n + 1, lines[n])
    return n + 1


def cut(lines: list[bytes], chance: random.Random) -> int:
    """Cut off the end, all of which a checkpoint knows but for the last line."""
    n = chance.randrange(1, len(lines) - 1)
    del lines[n:]
    return n


def tear(lines: list[bytes], chance: random.Random) -> int:
    n = cut(lines, chance)
    lines[-1] = lines[-1][: chance.randrange(1, len(lines[-1]))]
    return n - 1


CHANGES: list[Callable[[list[bytes], random.Random], int]] = [edit, edit, delete, move, repeat, cut, tear]


def first_bad(log: Path, elsewhere: Path | None, name: str) -> int:
    found = verify(log, keys=KEYS, checkpoints=elsewhere)
    return next((each.seq for each in found.findings if each.file == name), 0)


def test_whatever_is_done_to_a_log_is_found_with_its_first_number(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    log, elsewhere = a_log(tmp_path)
    files = sorted(log.iterdir())
    whole = {path: path.read_bytes() for path in files}
    assert len(files) > 1
    assert verify(log, keys=KEYS, checkpoints=elsewhere).ok
    assert set(of_the_page().main(log, KEY, elsewhere).values()) == {0}

    for _ in range(MUTATIONS):
        path, change = chance.choice(files), chance.choice(CHANGES)
        lines = whole[path].splitlines(keepends=True)
        numbers = [parsed(each).first_seq() for each in lines]  # type: ignore[union-attr]
        n = change(lines, chance)
        if lines == whole[path].splitlines(keepends=True):
            continue
        path.write_bytes(b"".join(lines))

        bad = first_bad(log, elsewhere, path.name)
        theirs = of_the_page().main(log, KEY, elsewhere)[path.name]

        path.write_bytes(whole[path])
        expected = numbers[n] if n < len(numbers) else numbers[-1] + 1
        said = f"{change.__name__} of line {n}: {bad}, {theirs}, expected {expected}"
        assert bad > 0, said
        assert theirs > 0, said
        if n:  # what is wrong with a first line may be what number it has
            assert bad == theirs == expected, said


@pytest.mark.parametrize("each", [4, 24], ids=["from its middle on", "of its last record alone"])
def test_a_file_that_is_gone_is_missed_by_the_checkpoints(each: int, tmp_path: Path) -> None:
    log, elsewhere = a_log(tmp_path, each=each)
    _another_process_goes_on(log)
    gone = sorted(log.iterdir())[0]
    gone.unlink()

    (found,) = verify(log, keys=KEYS, checkpoints=elsewhere).findings

    assert (found.file, found.kind) == (gone.name, "file")
    assert of_the_page().main(log, KEY, elsewhere)[gone.name] == 1
    assert verify(log, keys=KEYS).unlinked == [sorted(log.iterdir())[0].name]


def test_a_copy_of_a_file_under_another_name_is_found(tmp_path: Path) -> None:
    log, elsewhere = a_log(tmp_path)
    whole = sorted(log.iterdir())[0]
    (log / "audit-29990101T000000.000000Z-1.jsonl").write_bytes(whole.read_bytes())

    (found,) = verify(log, keys=KEYS, checkpoints=elsewhere).findings

    assert (found.kind, found.text) == ("file", f"it is {whole.name} once more")


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    log, elsewhere = a_log(tmp_path)
    os.mkfifo(log / "audit-29990101T000000.000000Z-1.jsonl")
    (log / "audit-29990101T000000.000000Z-2.jsonl").mkdir()

    assert verify(log, keys=KEYS, checkpoints=elsewhere).ok


def test_a_long_log_whose_checkpoints_are_gone_is_not_as_it_was_written(tmp_path: Path) -> None:
    log, _ = a_log(tmp_path, each=400, until=1200, size=10**6)
    (tmp_path / "empty").mkdir()

    (found,) = verify(log, keys=KEYS, checkpoints=tmp_path / "empty").findings

    assert (found.kind, found.seq) == ("file", 0)
    assert verify(log, keys=KEYS).ok


def test_an_end_that_is_cut_off_where_no_checkpoint_knows_of_it_is_not_found(tmp_path: Path) -> None:
    log, _ = a_log(tmp_path)
    last = sorted(log.iterdir())[-1]
    last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:-2]))

    assert verify(log, keys=KEYS).ok


@pytest.mark.parametrize("key", [b"", b"another key of the log"])
def test_a_chain_that_was_made_anew_without_the_key_is_found(key: bytes, tmp_path: Path) -> None:
    log, _ = a_log(tmp_path, key=key)

    found = verify(log, keys=KEYS).findings

    assert {each.kind for each in found} == {"key"}


def test_who_has_the_keys_of_a_day_can_verify_that_day(tmp_path: Path) -> None:
    log, _ = a_log(tmp_path)
    file = sorted(log.iterdir())[0]
    day = file.read_text().split('"ts":"')[1][:10]  # of its first record, and `TS` of the others

    assert verify(log, keys=AuditKeys(days={each: day_key(KEY, each) for each in (day, TS[:10])})).ok
    assert not verify(log, keys=AuditKeys(days={day: day_key(b"not it", day)})).ok
    another = verify(log, keys=AuditKeys(days={"2020-01-01": day_key(KEY, "2020-01-01")}))
    assert {each.kind for each in another.findings} == {"key"}
    assert {each.kind for each in verify(log).findings} == {"no_key"}


def erased(log: Path, key: bytes, n: int = 3) -> int:
    path = sorted(log.iterdir())[0]
    lines = path.read_bytes().splitlines(keepends=True)
    line = parsed(lines[n])
    assert line is not None
    lines[n] = tombstone(line, TS, day_key(key, TS[:10]))
    path.write_bytes(b"".join(lines))
    return line.seq


def test_a_record_that_was_erased_leaves_the_chain_whole(tmp_path: Path) -> None:
    log, elsewhere = a_log(tmp_path)
    erased(log, KEY)

    found = verify(log, keys=KEYS, checkpoints=elsewhere)

    assert found.ok
    assert sum(each.erased for each in found.files) == 1
    assert set(of_the_page().main(log, KEY, elsewhere).values()) == {0}
    assert b'"request_id":"r2"' not in b"".join(each.read_bytes() for each in log.iterdir())


def test_a_record_that_was_erased_by_somebody_without_the_key_is_found(tmp_path: Path) -> None:
    log, elsewhere = a_log(tmp_path)
    seq = erased(log, b"not the key of it")

    (found,) = verify(log, keys=KEYS, checkpoints=elsewhere).findings

    assert (found.kind, found.seq) == ("erased", seq)
    assert seq in of_the_page().main(log, KEY, elsewhere).values()


def test_reading_tells_how_far_it_has_come(tmp_path: Path) -> None:
    log, _ = a_log(tmp_path)
    told: list[tuple[int, int]] = []

    verify(log, keys=KEYS, progress=lambda done, total: told.append((done, total)))

    assert told
    assert {total for _, total in told} == {sum(each.stat().st_size for each in log.iterdir())}
