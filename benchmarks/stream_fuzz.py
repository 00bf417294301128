"""What the four wires' decoders make of damaged streams: an answer or one of our errors, and nothing else.

    uv run python benchmarks/stream_fuzz.py [--count 1048576] [--cuts 100000] [--seed 1] [--jobs 2] [--json]
    uv run python benchmarks/stream_fuzz.py --only 4711      # one stream again, with what was done to it

Every stream begins as one that a server sent or might send (`tests/constructed`, and the recordings beside
the project where there are any), and suffers up to four mutations. Its bytes then go through framer and
decoder as the core's `HttpEventStream` feeds them, and the events through its `Assembly`. It must end in
an answer or in a PointsmanError, within `SLOW` seconds, and with no more memory than `MEMORY_FLAT` and
`MEMORY_PER_BYTE` for each byte; memory is looked at in one stream of `MEMORY_EVERY`, and in all with a giant
line. And cutting the same bytes anywhere must give the same events and the same end. Stream `n` depends on
the seed and on `n` alone.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import signal
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any, get_args

from pointsman.errors import PointsmanError
from pointsman.http.event_stream import Decoder, Framer
from pointsman.http.framing import SseFramer
from pointsman.types import FinishReason, StreamEvent, Usage
from pointsman.wire.assembly import Assembly
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder
from pointsman_ollama.decode import Lines, StreamDecoder
from pointsman_openai.decode import ChatDecoder

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "openai": ("openai", "openai-compatible", "llamacpp"),
    "claude": ("anthropic",),
    "ollama": ("ollama",),
    "localai": ("localai",),
}
SLOW = 5.0
MEMORY_EVERY = 64
MEMORY_FLAT = 4 << 20
MEMORY_PER_BYTE = 150
LARGE = 16 << 10
BATCH = 2048

Make = Callable[[], tuple[Framer, Decoder]]


class Hang(BaseException):
    """A stream took longer than `SLOW` seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1 << 20, help="mutated streams")
    parser.add_argument("--cuts", type=int, default=100_000, help="random cuts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", type=int, metavar="N", help="look at stream N alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only is not None:
        look_at(options.seed, options.only)
        return
    began = perf_counter()
    report = run(options.count, options.cuts, seed=options.seed, jobs=options.jobs, progress=_progress)
    figures = {
        "seed": options.seed,
        "streams": report.streams,
        "cuts": report.cuts,
        "templates": sum(len(bodies(wire)) for wire in FOLDERS),
        "ends": dict(report.ends.most_common()),
        "mutations": dict(report.mutations.most_common()),
        "slowest_ms": round(report.slowest[0] * 1e3, 1),
        "slowest_stream": report.slowest[1],
        "bytes": report.size,
        "memory_looked_at": report.looked_at,
        "memory_peak_mib": round(report.peak / 2**20, 2),
        "process_peak_mib": round(report.resident / 2**20, 1),
        "seconds": round(perf_counter() - began, 1),
        "findings": report.findings,
    }
    if options.json:
        print(json.dumps(figures))
    else:
        _show(figures)
    sys.exit(bool(report.findings))


def _show(figures: dict[str, Any]) -> None:
    print(
        f"seed {figures['seed']}: {figures['streams']:,} mutated streams ({figures['bytes'] >> 20:,} MiB) "
        f"out of {figures['templates']}, {figures['cuts']:,} cuts, {figures['seconds']:,.0f} s"
    )
    for end, count in figures["ends"].items():
        print(f"  {end:24} {count:9,}")
    print(
        f"slowest {figures['slowest_ms']} ms (stream {figures['slowest_stream']}); "
        f"most memory of one stream {figures['memory_peak_mib']} MiB "
        f"(of {figures['memory_looked_at']:,} looked at), of a process {figures['process_peak_mib']} MiB"
    )
    print(f"findings: {len(figures['findings'])}")
    for finding in figures["findings"]:
        print(f"  {finding}")


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Report:
    """What came of some streams."""

    streams: int = 0
    cuts: int = 0
    size: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    """Seconds, and the number of the stream."""
    looked_at: int = 0
    peak: int = 0
    resident: int = 0

    def add(self, other: Report) -> None:
        """Take in what came of others."""
        self.streams += other.streams
        self.cuts += other.cuts
        self.size += other.size
        self.ends += other.ends
        self.mutations += other.mutations
        self.findings = (self.findings + other.findings)[:100]
        self.slowest = max(self.slowest, other.slowest)
        self.looked_at += other.looked_at
        self.peak = max(self.peak, other.peak)
        self.resident = max(self.resident, other.resident)


def run(
    count: int,
    cuts: int,
    *,
    seed: int,
    jobs: int = 1,
    progress: Callable[[int, int, int], None] | None = None,
) -> Report:
    """`count` mutated streams and `cuts` cuts, spread over `jobs` processes."""
    total = max(count, 1)
    batches = [
        (seed, first, min(first + BATCH, count), _share(cuts, first, total))
        for first in range(0, count, BATCH)
    ]
    report = Report()
    for done in _done(batches, jobs):
        report.add(done)
        if progress is not None:
            progress(report.streams, count, len(report.findings))
    return report


def _share(cuts: int, first: int, total: int) -> int:
    """How many of the cuts fall to the batch that begins at `first`."""
    last = min(first + BATCH, total)
    return cuts * last // total - cuts * first // total


def _done(batches: Sequence[tuple[int, int, int, int]], jobs: int) -> Iterator[Report]:
    if jobs < 2:
        for batch in batches:
            yield _batch(*batch)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_batch, *zip(*batches, strict=True))


def _batch(seed: int, first: int, last: int, cuts: int) -> Report:
    report = Report()
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        for n in range(first, last):
            _one(seed, n, report)
            for again in range(_share_of_one(cuts, n - first, last - first)):
                _cut_one(seed, n, again, report)
    finally:
        signal.signal(signal.SIGALRM, before)
    report.resident = _most_resident()
    return report


def _most_resident() -> int:
    """Bytes; from /proc where there is one, because `ru_maxrss` begins with that of the parent."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _share_of_one(cuts: int, n: int, total: int) -> int:
    return cuts * (n + 1) // total - cuts * n // total


def _one(seed: int, n: int, report: Report) -> None:
    given = stream(seed, n)
    memory = n % MEMORY_EVERY == 0 or "long_line" in given.mutations
    report.streams += 1
    report.size += len(given.body)
    report.mutations.update(given.mutations)
    if memory:
        tracemalloc.start()
    began = perf_counter()
    signal.setitimer(signal.ITIMER_REAL, SLOW)
    try:
        end = given.outcome([given.body])[1]
    except Hang:
        end = "HANG"
    except Exception as error:
        end = f"UNTYPED {type(error).__name__}"
        report.findings.append(f"stream {n} ({given.name}, {'+'.join(given.mutations)}): {error!r}"[:500])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        spent = perf_counter() - began
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        if memory:
            tracemalloc.stop()
    report.ends[end] += 1
    if end == "HANG":
        report.findings.append(f"stream {n} ({given.name}, {'+'.join(given.mutations)}): hangs")
    report.looked_at += memory
    report.peak = max(report.peak, peak)
    report.slowest = max(report.slowest, (spent, n))
    if peak > MEMORY_FLAT + MEMORY_PER_BYTE * len(given.body):
        report.findings.append(f"stream {n} ({given.name}): {peak:,} bytes for {len(given.body):,}")


def _cut_one(seed: int, n: int, again: int, report: Report) -> None:
    """The same bytes, whole and cut: every second time as they came from the server."""
    given = stream(seed, n, mutate=bool(again % 2 or n % 2))
    rng = random.Random(f"{seed}/{n}/cut/{again}")
    report.cuts += 1
    try:
        whole, cut = given.outcome([given.body]), given.outcome(pieces(given.body, rng))
    except Exception:  # it is a finding of `_one` already
        return
    if not _equal(whole, cut):
        report.findings.append(f"stream {n} cut ({again}): {cut} in place of {whole}"[:1000])


def _equal(one: object, other: object) -> bool:
    """Whether they are equal, also when what the upstream sent is nested as deeply as JSON may be."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return one == other
    finally:
        sys.setrecursionlimit(limit)


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


def _progress(done: int, total: int, findings: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(
            f"\r{done:,} of {total:,} streams, {findings} findings" + ("\n" if done == total else "")
        )
        sys.stderr.flush()


def look_at(seed: int, n: int) -> None:
    """Show one stream and what comes of it; an exception that is none of ours comes with its traceback."""
    given = stream(seed, n)
    print(f"{given.name}: {' + '.join(given.mutations)}, {len(given.body):,} bytes")
    print(given.body[:4000])
    events, end = given.outcome([given.body])
    print(*events, sep="\n")
    print(end)


# ── one stream ───────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Stream:
    """A damaged body, and the decoder of its wire."""

    name: str
    make: Make
    body: bytes
    mutations: Sequence[str]

    def outcome(self, parts: Sequence[bytes]) -> tuple[list[StreamEvent], str]:
        """The events, and `answer` or the class of our error. Raises whatever is none of ours."""
        events, error = decoded(*self.make(), parts)
        assembly = Assembly()
        for event in events:
            check_types(event)
            assembly.add(event)
        _ = assembly.text, assembly.response().message
        return events, "answer" if error is None else type(error).__name__


def check_types(event: StreamEvent | Usage) -> None:
    """Raise TypeError when a field of `event` holds what its annotation does not allow.

    Whatever reads events (the assembly, audit, limits) relies on it.
    """
    for name in event.__struct_fields__:
        value, allowed = getattr(event, name), type(event).__annotations__[name]
        match allowed:
            case "str":
                sound = isinstance(value, str)
            case "str | None":
                sound = value is None or isinstance(value, str)
            case "int":
                sound = type(value) is int
            case "int | None":
                sound = value is None or (type(value) is int and 0 <= value < 1 << 63)
            case "FinishReason":
                sound = value in get_args(FinishReason)
            case "JsonObject":
                sound = isinstance(value, Mapping)
            case "Usage":
                check_types(value)
                continue
            case _:
                raise AssertionError(f"what is {allowed}?")
        if not sound:
            raise TypeError(f"{type(event).__name__}.{name} is {value!r:.80}, not {allowed}")


def decoded(
    framer: Framer, decoder: Decoder, parts: Sequence[bytes]
) -> tuple[list[StreamEvent], PointsmanError | None]:
    """The events of a body that comes in `parts`, and the error at its end: as `HttpEventStream` has them."""
    events: list[StreamEvent] = []
    decode_plain = getattr(decoder, "decode_plain", None)
    feed_plain = getattr(framer, "feed_plain", None) if decode_plain else None
    try:
        for part in parts:
            values = feed_plain(part) if feed_plain else None
            if decode_plain and values is not None:
                decode_plain(values, events)
                if decoder.done:
                    return events, None
                continue
            for frame in framer.feed(part):
                events += decoder.decode(frame)
                if decoder.done:
                    return events, None
        for frame in framer.close():
            events += decoder.decode(frame)
            if decoder.done:
                return events, None
        events += decoder.close()
    except PointsmanError as error:
        return events, error
    return events, None


def stream(seed: int, n: int, *, mutate: bool = True) -> Stream:
    """Stream number `n`."""
    rng = random.Random(f"{seed}/{n}")
    wire = rng.choice(tuple(FOLDERS))
    name, body = template(wire, rng)
    make = maker(wire)
    done: list[str] = []
    for _ in range(rng.choice((1, 1, 2, 4)) if mutate else 0):
        mutation = rng.choices(tuple(MUTATIONS), weights=WEIGHTS)[0]
        body = mutation(body, rng, wire)
        done.append(mutation.__name__)
    return Stream(name, make, body, done)


def maker(wire: str) -> Make:
    """What makes a fresh framer and decoder of `wire`."""
    match wire:
        case "claude":
            return lambda: (Frames(), MessagesDecoder())
        case "ollama":
            return lambda: (Lines(), StreamDecoder("fuzz"))
    return lambda: (SseFramer(), ChatDecoder())


def template(wire: str, rng: random.Random) -> tuple[str, bytes]:
    """A body that a server of `wire` sends, mostly a small one; with its name."""
    known = bodies(wire)
    while True:
        name, body = rng.choice(known)
        if len(body) <= LARGE or rng.random() < 0.05:
            return name, body


@cache
def bodies(wire: str) -> Sequence[tuple[str, bytes]]:
    """All streamed answers of the wire that are here, and for LocalAI those of OpenAI too."""
    found: list[tuple[str, bytes]] = []
    for root in (ROOT / "tests" / "constructed", ROOT.parent / "shared" / "recorded"):
        for folder in FOLDERS[wire] + (("openai",) if wire == "localai" else ()):
            for path in sorted((root / folder).glob("*.json")):
                data = json.loads(path.read_text("utf-8"))
                kind = "ndjson" if wire == "ollama" else "sse"
                if data["body_kind"] == kind and data["response"]["status"] < 400:
                    found.append((f"{wire}:{folder}/{path.stem}", str(data["response"]["body"]).encode()))
    return tuple(found)


def pieces(body: bytes, rng: random.Random) -> list[bytes]:
    """`body`, cut at random."""
    if len(body) < 2:
        return [body]
    most = len(body) - 1
    count = min(most, rng.choice((1, 2, 5, 20, min(2000, len(body) // 10 + 1), most if most < 500 else 50)))
    bounds = [0, *sorted(rng.sample(range(1, len(body)), count)), len(body)]
    return [body[a:b] for a, b in pairwise(bounds)]


# ── mutations ────────────────────────────────────────────────────────────────────────────────────────

_VALUE = re.compile(rb'(?<=[:\[,])\s*("(?:[^"\\]++|\\.)*+"|-?\d[\d.eE+-]*|true|false|null|\[\]|\{\})')
_OTHERS = (
    b"null", b"true", b"false", b"0", b"-1", b"0.5", b"1e999", b"-1e999", b"NaN", b'""', b'"other"',
    b'"\\ud800"', b'"\\u0000"', b'"\\u2028"', b"[]", b"[null]", b"[[]]", b"{}", b'{"a": 1}',
    b'[{"type": "text"}]',
)  # fmt: skip
_NOT_UTF8 = (
    b"\xff\xfe",
    b"\xc3",
    b"\xe2\x98",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\x80",
    b"\xc0\xaf",
    b"\xf0\x9f",
)
_LINES = (b"\r", b"\r\n", b"\n\n", b"\xe2\x80\xa8", b"\xc2\x85", b"\x0b", b"\x00", b"")


def flip(body: bytes, rng: random.Random, _wire: str) -> bytes:
    changed = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 8)) if body else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def insert(body: bytes, rng: random.Random, _wire: str) -> bytes:
    at = rng.randint(0, len(body))
    return body[:at] + rng.randbytes(rng.randint(1, 20)) + body[at:]


def delete(body: bytes, rng: random.Random, _wire: str) -> bytes:
    at = rng.randint(0, len(body))
    return body[:at] + body[at + rng.randint(1, 50) :]


def truncate(body: bytes, rng: random.Random, _wire: str) -> bytes:
    return body[: rng.randint(0, len(body))]


def duplicate(body: bytes, rng: random.Random, _wire: str) -> bytes:
    """A stretch, mostly one of whole frames, comes several times."""
    if rng.random() < 0.5:
        at, length = rng.randint(0, len(body)), rng.randint(1, 200)
        return body[:at] + body[at : at + length] * rng.randint(2, 5) + body[at + length :]
    frames = body.splitlines(keepends=True)
    at, length = rng.randint(0, len(frames)), rng.randint(1, 6)
    return b"".join(frames[:at] + frames[at : at + length] * rng.randint(2, 5) + frames[at + length :])


def reorder(body: bytes, rng: random.Random, _wire: str) -> bytes:
    frames = re.split(rb"(?<=\n\n)", body) if b"\n\n" in body else body.splitlines(keepends=True)
    if len(frames) > 1:
        a, b = rng.randrange(len(frames)), rng.randrange(len(frames))
        frames[a], frames[b] = frames[b], frames[a]
    return b"".join(frames)


def splice(body: bytes, rng: random.Random, wire: str) -> bytes:
    other = template(rng.choice((wire, wire, *FOLDERS)), rng)[1]
    return body[: rng.randint(0, len(body))] + other[rng.randint(0, len(other)) :]


def giant_number(body: bytes, rng: random.Random, _wire: str) -> bytes:
    digits = rng.choice(
        (b"9" * 20, b"1" * 400, b"7" * 5000, b"-" + b"9" * 19, b"1e309", b"0." + b"0" * 500 + b"1")
    )
    return _replaced(body, rng, digits)


def deep(body: bytes, rng: random.Random, _wire: str) -> bytes:
    depth = rng.choice((50, 990, 2000, 20_000))
    open_, close = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    return _replaced(body, rng, open_ * depth + b"1" + close * rng.choice((0, depth)))


def other_value(body: bytes, rng: random.Random, _wire: str) -> bytes:
    """A JSON value becomes another, mostly one of another type."""
    return _replaced(body, rng, rng.choice(_OTHERS))


def not_utf8(body: bytes, rng: random.Random, _wire: str) -> bytes:
    at = rng.randint(0, len(body))
    return body[:at] + rng.choice(_NOT_UTF8) + body[at:]


def line_ends(body: bytes, rng: random.Random, _wire: str) -> bytes:
    return body.replace(b"\n", rng.choice(_LINES), rng.choice((1, 3, -1)))


def long_line(body: bytes, rng: random.Random, _wire: str) -> bytes:
    at = rng.randint(0, len(body))
    return body[:at] + b"x" * rng.choice((1 << 19, (1 << 20) + 1, 3 << 20)) + body[at:]


def many_lines(body: bytes, rng: random.Random, _wire: str) -> bytes:
    line = rng.choice((b"data:\n", b": ping\n\n", b"data: {}\n\n", b"{}\n", b"event: x\n", b"\n"))
    at = body.find(b"\n", rng.randint(0, len(body))) + 1
    return body[:at] + line * rng.choice((20, 1000)) + body[at:]


def _replaced(body: bytes, rng: random.Random, value: bytes) -> bytes:
    spans = [place.span(1) for place in _VALUE.finditer(body)]
    if not spans:
        return body
    start, end = rng.choice(spans)
    return body[:start] + value + body[end:]


MUTATIONS: dict[Callable[[bytes, random.Random, str], bytes], float] = {
    flip: 10,
    insert: 6,
    delete: 6,
    truncate: 6,
    duplicate: 6,
    reorder: 5,
    splice: 6,
    giant_number: 4,
    deep: 2,
    other_value: 20,
    not_utf8: 5,
    line_ends: 4,
    long_line: 0.05,
    many_lines: 0.5,
}
WEIGHTS = tuple(MUTATIONS.values())

if __name__ == "__main__":
    main()
