"""What is left of an audit log when its process or its machine dies.

    python benchmarks/audit_crash.py [--kills 1000] [--images 100000] [--seed N]

`kills`: a process writes with sync and says on its standard output what was acknowledged, until it is killed
with SIGKILL at a random instant; then the log is recovered and verified: all that was said must be there.

`images`: kill -9 keeps what the system holds. So a disk is modelled that, at every write, loses or tears any
part of what was not synced; each image is recovered and verified in memory.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pointsman.audit_log.chain import AuditKeys, parsed
from pointsman.audit_log.committing import Committer, Entry
from pointsman.audit_log.files import Disk
from pointsman.audit_log.recovery import Recovery, examined, recovered_line
from pointsman.audit_log.verify import verify

KEY = b"0123456789abcdef0123456789abcdef"
KEYS = AuditKeys((KEY,))
TS = "2026-12-01T09:30:00.125+00:00"


def entry(n: int) -> Entry:
    """A record that says which one it is."""
    return Entry(TS, "request", b',"request_id":"r%d"' % n)


# ── a modelled disk ──────────────────────────────────────────────────────────────────────────────────


class Modelled(Disk):
    """One file, in memory, of which it is known how much is synced."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.synced = 0
        self.boundaries: list[tuple[bytes, int]] = []

    def make_directory(self, path: Path) -> None: ...

    def create(self, path: Path) -> int:
        return 0

    def lock(self, descriptor: int) -> bool:
        return True

    def sync_directory(self, path: Path) -> None: ...

    def removed(self, descriptor: int) -> bool:
        return False

    def close(self, descriptor: int) -> None: ...

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        self.data += data
        self.boundaries.append((bytes(self.data), self.synced))
        return len(data)

    def truncate(self, descriptor: int, size: int) -> None:
        del self.data[size:]

    def sync(self, descriptor: int) -> None:
        self.synced = len(self.data)
        self.boundaries.append((bytes(self.data), self.synced))


def written(many: int, chance: random.Random | None = None) -> tuple[bytes, list[tuple[bytes, int]]]:
    """The bytes of a log of so many records; and what was there at each write, and how much of it synced."""
    chance, disk = chance or random.Random(0), Modelled()
    committer = Committer(Path("nowhere"), wall=lambda: 1.7e9, now=lambda: 0.0, key=KEY, disk=disk)
    n = 0
    while n < many:
        group = [entry(each) for each in range(n, min(many, n + chance.randint(1, 5)))]
        committer.commit(group)
        n += len(group)
    return bytes(disk.data), disk.boundaries


def image(data: bytes, synced: int, chance: random.Random) -> bytes:
    """What may be on the disk after a crash: all that was synced, and anything of the rest."""
    kept, rest = data[:synced], bytearray(data[synced:])
    if not rest:
        return kept
    match chance.randrange(4):
        case 0:  # all of it is lost from somewhere on
            del rest[chance.randrange(len(rest)) :]
        case 1:  # some sector was never written, those after it were
            at = chance.randrange(len(rest))
            end = min(len(rest), at + chance.choice((1, 64, 512)))
            rest[at:end] = bytes(end - at)
        case 2:  # a sector holds what was there before
            at = chance.randrange(len(rest))
            end = min(len(rest), at + chance.choice((1, 64, 512)))
            rest[at:end] = chance.randbytes(end - at)
        case _:  # the length is there, and nothing else
            rest[:] = bytes(len(rest))
    return kept + bytes(rest)


def numbers(data: bytes) -> list[int]:
    return [line.seq for each in data.splitlines(keepends=True) if (line := parsed(each)) is not None]


def images(many: int, chance: random.Random) -> dict[str, int]:
    """How many of so many images lack what was acknowledged, count as broken, or do not verify afterwards."""
    found = {"images": 0, "lost": 0, "broken": 0, "unchained": 0, "torn": 0}
    while found["images"] < many:
        _, boundaries = written(chance.randint(1, 10), chance)
        for data, synced in boundaries:
            for _ in range(5):
                if found["images"] == many:
                    return found
                found["images"] += 1
                left = image(data, synced, chance)
                looked = examined(left, KEYS)
                found["broken"] += bool(looked.broken)
                found["torn"] += bool(looked.torn)
                found["lost"] += looked.good < synced
                if looked.good:
                    line, link = recovered_line(looked, KEY, TS)
                    again = examined(left[: looked.good] + line, KEYS)
                    found["unchained"] += (again.torn, again.broken, again.link) != (0, 0, link)
    return found


# ── real processes ───────────────────────────────────────────────────────────────────────────────────

WRITER = """
import asyncio, os, sys
from pathlib import Path
from pointsman.builtin.audit import AwaitedJsonlSink, JsonlSettings
from pointsman.clock import LoopClock
from pointsman.events import RequestStarted

async def main():
    settings = JsonlSettings.model_validate(
        {"path": sys.argv[1], "mode": "block", "key": {"file": sys.argv[2]}, "wait": 30}
    )
    sink = AwaitedJsonlSink(settings, LoopClock())

    async def call(n):
        while True:
            id = f"r{os.getpid()}-{n}"
            await sink.admit(RequestStarted(id, "chat", "m", 1.0))
            os.write(1, id.encode() + b"\\n")
            n += 8

    await asyncio.gather(*(call(n) for n in range(8)))

asyncio.run(main())
"""


def kills(many: int, chance: random.Random, folder: Path) -> dict[str, int]:
    """What became of the records of so many processes that were killed."""
    log, key = folder / "log", folder / "key"
    key.write_bytes(KEY)
    acknowledged: set[str] = set()
    for _ in range(many):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(log), str(key)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        said = process.stdout.read(1)  # it writes
        wait = chance.uniform(0, 0.05)
        try:
            process.wait(wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        *whole, _torn = (said + rest).split(b"\n")
        acknowledged.update(each.decode() for each in whole)
    recovery = Recovery(log, key=KEY, ts=TS, now=lambda: 0.0)
    recovery.run()
    verified = verify(log, keys=KEYS)
    kept = {
        json.loads(line).get("request_id")
        for file in log.glob("*.jsonl")
        for line in file.read_bytes().splitlines()
    }
    files = list(log.glob("audit-*.jsonl"))
    ended = sum(file.read_bytes().splitlines()[-1].find(b'"event":"recovered"') > 0 for file in files)
    return {
        "kills": many,
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - kept),
        "findings": len(verified.findings),
        "recovered": ended,
        "torn": len(list(log.glob("*.torn-*"))),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    print(json.dumps(images(asked.images, random.Random(asked.seed))))
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(kills(asked.kills, random.Random(asked.seed), Path(folder))))


if __name__ == "__main__":
    main()
