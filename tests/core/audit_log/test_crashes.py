"""A machine that dies: whatever a disk lost or tore of what was not synced, nothing that was acknowledged is gone."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

from pointsman.audit_log.chain import AuditKeys, parsed
from pointsman.audit_log.committing import Committer, Origin
from pointsman.audit_log.files import Disk
from pointsman.audit_log.recovery import Recovery, examined, recovered_line
from pointsman.audit_log.verify import verify

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import audit_crash

IMAGES = int(os.environ.get("POINTSMAN_CRASH_IMAGES", "1500"))
KILLS = int(os.environ.get("POINTSMAN_CRASH_KILLS", "6"))
KEY = audit_crash.KEY


def seeded() -> random.Random:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    return random.Random(seed)


def test_no_image_of_a_crash_lacks_what_was_acknowledged() -> None:
    found = audit_crash.images(IMAGES, seeded())

    assert found == {"images": IMAGES, "lost": 0, "broken": 0, "unchained": 0, "torn": found["torn"]}
    assert found["torn"] > IMAGES // 10


def test_no_kill_costs_a_record_that_was_acknowledged(tmp_path: Path) -> None:
    found = audit_crash.kills(KILLS, seeded(), tmp_path)

    assert found["lost"] == found["findings"] == 0
    assert found["acknowledged"] > 0
    assert found["recovered"] == KILLS


def left_behind(folder: Path, many: int = 5) -> Path:
    """A file whose process died with so many acknowledged records."""
    committer = Committer(folder, wall=lambda: 1e9, now=lambda: 0.0, key=KEY)
    for n in range(many):
        committer.commit([audit_crash.entry(n)])
    committer._file.close()  # as the end of a process does
    return committer.path


def recovery(folder: Path) -> Recovery:
    return Recovery(folder, key=KEY, ts=audit_crash.TS, now=lambda: 0.0)


def test_a_torn_line_is_cut_off_and_kept_beside_the_file(tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"v":2,"seq":7,"ts"')

    looked = recovery(tmp_path)
    origin = looked.run()

    assert path.read_bytes().startswith(whole)
    (torn,) = tmp_path.glob("*.torn-*")
    assert torn.read_bytes() == b'{"v":2,"seq":7,"ts"'
    assert torn.stat().st_mode & 0o777 == 0o600
    last = parsed(path.read_bytes().splitlines(keepends=True)[-1])
    assert last is not None
    assert (last.event, origin) == ("recovered", Origin(path.name, last.link))
    assert verify(tmp_path, keys=AuditKeys((KEY,))).ok
    again = recovery(tmp_path)
    assert (again.run(), again.found) == (origin, [])


def test_an_acknowledged_record_that_was_changed_is_no_torn_line(tmp_path: Path) -> None:
    path = left_behind(tmp_path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"r2"', b'"r9"')
    path.write_bytes(b"".join(lines))

    looked = recovery(tmp_path)

    assert looked.run() == Origin()
    assert [each.found.broken for each in looked.found] == [4]
    assert path.read_bytes() == b"".join(lines)


def test_a_file_that_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    committer = Committer(tmp_path, wall=lambda: 1e9, now=lambda: 0.0, key=KEY)
    committer.commit([audit_crash.entry(0)])
    before = committer.path.read_bytes()

    looked = recovery(tmp_path)

    assert (looked.run(), looked.found) == (Origin(), [])
    assert committer.path.read_bytes() == before
    committer.close()


def test_a_file_is_never_synced_again_after_that_failed(tmp_path: Path) -> None:
    class Failing(Disk):
        synced: list[int]

        def sync(self, descriptor: int) -> None:
            self.synced.append(descriptor)
            if len(self.synced) == 3:
                raise OSError(5, "Input/output error")

    disk = Failing()
    disk.synced = []
    ticks = iter(range(100))
    committer = Committer(tmp_path, wall=lambda: float(next(ticks)), now=lambda: 0.0, key=KEY, disk=disk)
    committer.commit([audit_crash.entry(0)])
    first = committer.path
    try:
        committer.commit([audit_crash.entry(1)])
    except OSError:
        pass
    committer.commit([audit_crash.entry(1)])
    committer.close()

    assert committer.path != first
    assert committer.counts.abandoned == 1
    found = verify(tmp_path, keys=AuditKeys((KEY,)))
    assert found.findings == []
    assert b'"r1"' in committer.path.read_bytes()


def test_what_is_recovered_can_be_looked_at_again() -> None:
    data = audit_crash.written(6)[0]
    found = examined(data, AuditKeys((KEY,)))
    line, link = recovered_line(found, KEY, audit_crash.TS)

    again = examined(data + line, AuditKeys((KEY,)))

    assert (again.link, again.ended, again.torn) == (link, True, 0)


def test_a_pipe_among_the_files_of_a_log_is_passed_over_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "audit-20260101T000000.000000Z-1.jsonl")
    found = recovery(tmp_path)
    assert not found.run().name
    assert (found.found, found.left) == ([], 0)
