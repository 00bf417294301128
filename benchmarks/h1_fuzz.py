"""What the transport h1 makes of damaged responses: a response or an httpx error, and nothing else.

    uv run python benchmarks/h1_fuzz.py [--count 1048576] [--cuts 100000] [--seed 1] [--jobs 2] [--json]
    uv run python benchmarks/h1_fuzz.py --only 4711      # one response again, with what was done to it

Every response begins as a sound one and suffers up to four mutations; its bytes are fed to a `Connection`
without a socket. It must end in a response or in an `httpx.RemoteProtocolError`, within `SLOW` seconds, and
with no more memory than `MEMORY_FLAT` and `MEMORY_PER_BYTE` for each byte, which is looked at in one of
`MEMORY_EVERY`. Cutting the same bytes anywhere must give the same. h11 reads all of them too: where both
accept a response, its status, fields and body must be the same. What only one of them accepts is counted,
with what the other one says; that is no finding. Response `n` depends on the seed and on `n` alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import resource
import signal
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from time import perf_counter
from types import FrameType
from typing import Any, cast

import h11
import httpx

from pointsman.transports.raw import named
from pointsman_h1.connection import READ_BYTES, Connection
from pointsman_h1.framing import MAX_HEAD, ResponseReader
from pointsman_h1.heads import KnownHeads

SLOW = 5.0
MEMORY_EVERY = 64
MEMORY_FLAT = 1 << 20
MEMORY_PER_BYTE = 20
BATCH = 4096


class Hang(BaseException):
    """A response took longer than `SLOW` seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1 << 20, help="mutated responses")
    parser.add_argument("--cuts", type=int, default=100_000, help="random cuts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", type=int, metavar="N", help="look at response N alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only is not None:
        look_at(options.seed, options.only)
        return
    began = perf_counter()
    report = run(options.count, options.cuts, seed=options.seed, jobs=options.jobs)
    figures = {
        "seed": options.seed,
        "responses": report.responses,
        "cuts": report.cuts,
        "bytes": report.size,
        "ends": dict(report.ends.most_common()),
        "both_accept": report.both,
        "taken_whole": report.whole,
        "only_h1_accepts": dict(report.only_ours.most_common()),
        "only_h11_accepts": dict(report.only_theirs.most_common()),
        "mutations": dict(report.mutations.most_common()),
        "slowest_ms": round(report.slowest[0] * 1e3, 1),
        "slowest_response": report.slowest[1],
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
        f"seed {figures['seed']}: {figures['responses']:,} mutated responses "
        f"({figures['bytes'] >> 20:,} MiB), {figures['cuts']:,} cuts, {figures['seconds']:,.0f} s"
    )
    for title, name in (
        ("ends", "ends"),
        ("accepted here, refused by h11, which says", "only_h1_accepts"),
        ("accepted by h11, refused here, because", "only_h11_accepts"),
    ):
        print(f"{title}:")
        for what, count in figures[name].items():
            print(f"  {count:9,}  {what}")
    print(f"accepted by both, with the same outcome: {figures['both_accept']:,}")
    print(f"taken in one piece, without a reader: {figures['taken_whole']:,}")
    print(
        f"slowest {figures['slowest_ms']} ms (response {figures['slowest_response']}); most memory of one "
        f"{figures['memory_peak_mib']} MiB (of {figures['memory_looked_at']:,} looked at), of a process "
        f"{figures['process_peak_mib']} MiB"
    )
    print(f"findings: {len(figures['findings'])}")
    for finding in figures["findings"]:
        print(f"  {finding}")


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Report:
    """What came of some responses."""

    responses: int = 0
    cuts: int = 0
    size: int = 0
    both: int = 0
    whole: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    only_ours: Counter[str] = field(default_factory=Counter)
    only_theirs: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)
    looked_at: int = 0
    peak: int = 0
    resident: int = 0

    def add(self, other: Report) -> None:
        """Take in what came of others."""
        for name in ("responses", "cuts", "size", "both", "whole", "looked_at"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("ends", "only_ours", "only_theirs", "mutations"):
            getattr(self, name).update(getattr(other, name))
        for name in ("slowest", "peak", "resident"):
            setattr(self, name, max(getattr(self, name), getattr(other, name)))
        self.findings = (self.findings + other.findings)[:100]


def run(count: int, cuts: int, *, seed: int, jobs: int = 1) -> Report:
    """`count` mutated responses and `cuts` cuts, spread over `jobs` processes."""
    share = cuts / max(count, 1)
    batches = [(seed, first, min(first + BATCH, count), share) for first in range(0, count, BATCH)]
    report = Report()
    for done in _done(batches, jobs):
        report.add(done)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{report.responses:,} of {count:,}, {len(report.findings)} findings")
    return report


def _done(batches: Sequence[tuple[int, int, int, float]], jobs: int) -> Iterator[Report]:
    if jobs < 2:
        for batch in batches:
            yield _batch(*batch)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_batch, *zip(*batches, strict=True))


def _batch(seed: int, first: int, last: int, share: float) -> Report:
    report = Report()
    before = signal.signal(signal.SIGALRM, _hang)
    try:
        for n in range(first, last):
            given = response(seed, n)
            found = _one(given, n, report)
            if found is not None:
                _ask_h11(given, n, found, report)
                _take_whole(given, n, found, report)
                for again in range(int((n + 1) * share) - int(n * share)):
                    _cut_one(seed, given, n, again, found, report)
    finally:
        signal.signal(signal.SIGALRM, before)
    report.resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    return report


def _one(given: Response, n: int, report: Report) -> Outcome | None:
    memory = n % MEMORY_EVERY == 0
    report.responses += 1
    report.size += len(given.wire)
    report.mutations.update(given.mutations)
    found = None
    if memory:
        tracemalloc.start()
    began = perf_counter()
    signal.setitimer(signal.ITIMER_REAL, SLOW)
    try:
        found = fed([given.wire], bodiless=given.bodiless)
        end = found.end
    except Hang:
        end = "HANG"
        report.findings.append(f"response {n} ({'+'.join(given.mutations)}): hangs")
    except Exception as error:
        end = f"UNTYPED {type(error).__name__}"
        report.findings.append(f"response {n} ({'+'.join(given.mutations)}): {error!r}"[:500])
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        spent = perf_counter() - began
        peak = tracemalloc.get_traced_memory()[1] if memory else 0
        if memory:
            tracemalloc.stop()
    report.ends[end] += 1
    report.looked_at += memory
    report.peak = max(report.peak, peak)
    report.slowest = max(report.slowest, (spent, n))
    if peak > MEMORY_FLAT + MEMORY_PER_BYTE * len(given.wire):
        report.findings.append(f"response {n}: {peak:,} bytes for {len(given.wire):,}")
    return found


def _take_whole(given: Response, n: int, found: Outcome, report: Report) -> None:
    """What is taken in one piece without a reader must be what the reader makes of it."""
    if given.bodiless or len(given.wire) > READ_BYTES:
        return
    whole = NoOwner.heads.whole(given.wire)
    if whole is None:
        return
    report.whole += 1
    if not found.kept or (whole.status, whole.fields, whole.body) != (
        found.status,
        named(found.fields),
        found.body,
    ):
        report.findings.append(f"response {n}: {whole!r} of {whole.fields} at once, {found} else"[:1000])


def _ask_h11(given: Response, n: int, ours: Outcome, report: Report) -> None:
    theirs = fed_to_h11(given.wire, bodiless=given.bodiless)
    if ours.accepted and theirs.accepted:
        report.both += 1
        # h11 writes the one transfer coding in lower case.
        fields = tuple((k, v.lower() if k.lower() == b"transfer-encoding" else v) for k, v in ours.fields)
        if (ours.status, fields, ours.body) != (theirs.status, theirs.fields, theirs.body):
            report.findings.append(f"response {n}: {ours} here, {theirs} from h11"[:1000])
    elif ours.accepted:
        report.only_ours[theirs.end] += 1
    elif theirs.accepted:
        report.only_theirs[ours.end] += 1


def _cut_one(seed: int, given: Response, n: int, again: int, whole: Outcome, report: Report) -> None:
    report.cuts += 1
    cut = fed(pieces(given.wire, random.Random(f"{seed}/{n}/cut/{again}")), bodiless=given.bodiless)
    if (cut.accepted, cut.status, cut.body, cut.kept) != (
        whole.accepted,
        whole.status,
        whole.body,
        whole.kept,
    ):
        report.findings.append(f"response {n} cut ({again}): {cut} in place of {whole}"[:1000])


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


def look_at(seed: int, n: int) -> None:
    """Show one response and what comes of it."""
    given = response(seed, n)
    to = "HEAD" if given.bodiless else "GET"
    print(f"{' + '.join(given.mutations)}, {len(given.wire):,} bytes, to a {to}")
    print(given.wire[:4000])
    print("h1: ", fed([given.wire], bodiless=given.bodiless))
    print("h11:", fed_to_h11(given.wire, bodiless=given.bodiless))


# ── feeding ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Outcome:
    """What a caller would get. `kept`: the connection would carry another exchange."""

    accepted: bool
    end: str
    status: int = 0
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""
    kept: bool = False


class NoSocket(asyncio.Transport):
    """Says what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = self.aborted = False

    def get_extra_info(self, name: str, default: object = None) -> None:
        return None

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def abort(self) -> None:
        self.aborted = True


class Told:
    """What becomes of an exchange: nobody waits for it."""

    def done(self) -> bool:
        return True


class NoOwner:
    """Counts how often an exchange ended."""

    buffer = memoryview(bytearray(READ_BYTES))
    heads = KnownHeads()
    ended_times = 0

    def opened(self, connection: Connection) -> None:
        """Nothing."""

    def ended(self, connection: Connection, *, keep: bool) -> None:
        self.ended_times += 1

    def closed(self, connection: Connection) -> None:
        """Nothing."""


def fed(parts: Sequence[bytes], *, bodiless: bool = False) -> Outcome:
    """The outcome when these bytes arrive and then the end, and whoever reads takes what is there."""
    owner, transport, reader = NoOwner(), NoSocket(), ResponseReader(bodiless=bodiless)
    connection = Connection("fuzz", owner, cast("asyncio.AbstractEventLoop", None))
    connection.connection_made(transport)
    connection.answer, connection.reader = cast("Any", Told()), reader
    taken: list[bytes] = []
    for part in parts:
        view = memoryview(part)
        while view and not transport.aborted:
            buffer = connection.get_buffer(-1)
            size = min(len(view), len(buffer))
            buffer[:size] = view[:size]
            connection.buffer_updated(size)
            view = view[size:]
            if transport.paused:  # nothing more comes before somebody reads
                taken.append(reader.take())
                connection.taken(reader)
    if reader.pieces:
        taken.append(reader.take())
    kept = not transport.aborted and connection.reader is None
    if not transport.aborted:
        connection.eof_received()
    if reader.pieces:
        taken.append(reader.take())
    assert owner.ended_times == 1, f"the exchange ended {owner.ended_times} times"
    assert not reader.done or reader.error is None
    if reader.error is not None:
        assert isinstance(reader.error, httpx.RemoteProtocolError), reader.error
        assert reader.error.__cause__ is not None
        return Outcome(False, str(reader.error), reader.status, (), b"".join(taken))
    assert reader.done
    end = "a response, connection kept" if kept else "a response, connection closed"
    return Outcome(True, end, reader.status, tuple(reader.headers), b"".join(taken), kept)


def fed_to_h11(wire: bytes, *, bodiless: bool) -> Outcome:
    """The same from h11."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    method = "HEAD" if bodiless else "GET"
    connection.send(h11.Request(method=method, target="/", headers=[("host", "h")]))
    connection.send(h11.EndOfMessage())
    status, fields, body = 0, (), []
    try:
        connection.receive_data(wire)
        over = False
        while True:
            match connection.next_event():
                case h11.Response() as head:
                    status = head.status_code
                    fields = tuple((bytes(name), bytes(value)) for name, value in head.headers.raw_items())
                case h11.Data(data=data):
                    body.append(bytes(data))
                case h11.EndOfMessage():
                    return Outcome(True, "a response", status, fields, b"".join(body))
                case h11.NEED_DATA if not over:
                    over = True
                    connection.receive_data(b"")
                case h11.InformationalResponse():
                    continue
                case event:
                    return Outcome(False, f"{type(event).__name__} {event}")
    except h11.RemoteProtocolError as error:
        return Outcome(False, re.sub(r"b?'.*|b?\".*|\d+", "…", str(error)))


def pieces(wire: bytes, rng: random.Random) -> list[bytes]:
    """`wire`, cut at random."""
    if len(wire) < 2:
        return [wire]
    most = len(wire) - 1
    count = min(most, rng.choice((1, 2, 5, 20, most if most < 500 else 50)))
    bounds = [0, *sorted(rng.sample(range(1, len(wire)), count)), len(wire)]
    return [wire[a:b] for a, b in pairwise(bounds)]


# ── one response ─────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Response:
    """A damaged response, and whether it answers a HEAD."""

    wire: bytes
    bodiless: bool
    mutations: Sequence[str]


def response(seed: int, n: int) -> Response:
    """Response number `n`."""
    rng = random.Random(f"{seed}/{n}")
    wire = sound(rng)
    done: list[str] = []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        mutation = rng.choices(tuple(MUTATIONS), weights=WEIGHTS)[0]
        wire = mutation(wire, rng)
        done.append(mutation.__name__)
    return Response(wire, rng.random() < 0.05, done)


_FIELDS = (
    b"Content-Type: application/json", b"content-type: text/event-stream", b"Server: upstream/1.0",
    b"X-Empty:", b"Date: Sat, 21 Nov 2026 00:00:00 GMT", b"Connection: keep-alive", b"Connection: close",
    b"Keep-Alive: timeout=5", b"x-request-id: req_1", b"Set-Cookie: a=b; Path=/", b"Set-Cookie: c=\xe9",
    b"Retry-After: 1", b"Vary:  Origin  ", b"Content-Encoding: gzip", b"X-RateLimit-Remaining: 9",
    b"Upgrade: h2c", b"Trailer: X-Sum",
)  # fmt: skip
_FRAMING = (
    b"Content-Length: 5", b"content-length: 0", b"Content-Length: 05", b"Content-Length: +5",
    b"Content-Length: 5, 5", b"Content-Length: 5,6", b"Content-Length: -1", b"Content-Length: 0x5",
    b"Content-Length: ", b"Content-Length: 5 5", b"Content-Length: 18446744073709551616",
    b"Content-Length: 99999999999999999999999", b"Content-Length:\t5\t", b"Content-Length : 5",
    b"Content-Length: \xb2", b"Transfer-Encoding: chunked", b"transfer-encoding: CHUNKED",
    b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding: chunked, gzip",
    b"Transfer-Encoding: identity", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked,",
    b"Transfer-Encoding: ", b"Transfer-Encoding : chunked", b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: \"chunked\"", b" folded", b"\tfolded: x", b": no name", b"no colon",
    b"Bad Name: x", b"Bad\x00: x", b"Nul: a\x00b", b"Bell: a\x07b", b"Del: a\x7fb", b"\xff: x", b"(): x",
    b"Connection: upgrade", b"Connection: close, keep-alive", b"X: a\rb", b"X: a\nb", b"X: a\r\n b", b"",
)  # fmt: skip
_LINES = (
    b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/2 200 OK",
    b"HTTP/2.0 200 OK", b"HTTP/0.9 200 OK", b"HTTP/1.2 200 OK", b"HTTP/1.10 200 OK", b"http/1.1 200 OK",
    b"HTTP/1.1  200 OK", b" HTTP/1.1 200 OK", b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 OK",
    b"HTTP/1.1 999 OK", b"HTTP/1.1 -20 OK", b"ICY 200 OK", b"HTTP/1.1 101 Switching",
    b"HTTP/1.1 100 Continue", b"HTTP/1.1 199 x", b"HTTP/1.1 204 x", b"HTTP/1.1 205 x", b"HTTP/1.1 304 x",
    b"HTTP/1.1 200 O\x00K", b"HTTP/1.1 200 \xff", b"HTTP/1.1\t200 OK", b"RTSP/1.0 200 OK", b"\r\n", b"",
)  # fmt: skip


def sound(rng: random.Random) -> bytes:
    """A response that nobody can object to."""
    fields = rng.sample(_FIELDS, rng.randint(0, 5))
    body = rng.choice(
        (
            b"",
            b"hello",
            b'{"a": 1}',
            b"data: x\n\n",
            b"\r\n\r\n",
            b"0\r\n\r\n",
            rng.randbytes(40),
            b"x" * 3000,
        )
    )
    status = rng.choice(
        (b"200 OK", b"200 OK", b"200 OK", b"201 ", b"429 Too Many Requests", b"503 \xe9", b"599 x")
    )
    version = b"HTTP/1.0 " if rng.random() < 0.05 else b"HTTP/1.1 "
    match rng.choices(("length", "chunked", "eof", "none"), weights=(5, 5, 1, 1))[0]:
        case "length":
            fields.append(b"Content-Length: %d" % len(body))
        case "chunked":
            version = b"HTTP/1.1 "
            fields.append(b"Transfer-Encoding: chunked")
            body = chunked(body, rng)
        case "none":
            status, body = rng.choice((b"204 No Content", b"304 Not Modified")), b""
    rng.shuffle(fields)
    interim = b"".join(
        rng.choice((b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 1, 2)))
    )
    return interim + version + status + b"\r\n" + b"".join(each + b"\r\n" for each in fields) + b"\r\n" + body


def chunked(body: bytes, rng: random.Random) -> bytes:
    """`body` in chunks, with extensions and trailers now and then."""
    wire = b""
    while body:
        size = rng.randint(1, max(1, len(body)))
        digits = rng.choice((b"%x", b"%x", b"%X", b"0%x")) % size
        extension = rng.choice((b"",) * 8 + (b";a", b";a=b", b';a="b c"'))
        wire += digits + extension + b"\r\n" + body[:size] + b"\r\n"
        body = body[size:]
    return wire + b"0\r\n" + rng.choice((b"",) * 6 + (b"X-Sum: 1\r\n", b"A: b\r\nC: d\r\n")) + b"\r\n"


_SIZES = (
    b"", b" 5", b"5 ", b"+5", b"-5", b"0x5", b"5;", b"5;;", b"5 ;a", b'5;a="', b"g", b"1" * 20,
    b"0" * 30 + b"5", b"f" * 16, b"7" + b"f" * 15, b"5\n", b"5\r", b"5_0", b"\xb2",
    b"5;" + b"x" * 500, b"00", b"0;a",
)  # fmt: skip


# ── mutations ────────────────────────────────────────────────────────────────────────────────────────


def flip(wire: bytes, rng: random.Random) -> bytes:
    changed = bytearray(wire)
    for _ in range(rng.choice((1, 1, 2, 8)) if wire else 0):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def insert(wire: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(wire))
    odd = rng.choice(
        (
            b"\r",
            b"\n",
            b"\r\n",
            b"\0",
            b" ",
            b"\t",
            b":",
            b";",
            b",",
            b"\x0b",
            b"\xff",
            b"0",
            b"a",
            b"\r\n\r\n",
        )
    )
    return wire[:at] + (odd if rng.random() < 0.7 else rng.randbytes(rng.randint(1, 20))) + wire[at:]


def delete(wire: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(wire))
    return wire[:at] + wire[at + rng.choice((1, 1, 2, rng.randint(1, 50))) :]


def truncate(wire: bytes, rng: random.Random) -> bytes:
    return wire[: rng.randint(0, len(wire))]


def duplicate(wire: bytes, rng: random.Random) -> bytes:
    """A stretch, mostly one of whole lines, comes several times."""
    parts = (
        wire.splitlines(keepends=True)
        if rng.random() < 0.7
        else [wire[i : i + 7] for i in range(0, len(wire), 7)]
    )
    at, length = rng.randint(0, len(parts)), rng.randint(1, 4)
    return b"".join(parts[:at] + parts[at : at + length] * rng.randint(2, 4) + parts[at + length :])


def reorder(wire: bytes, rng: random.Random) -> bytes:
    lines = wire.splitlines(keepends=True)
    rng.shuffle(lines) if rng.random() < 0.2 else lines.reverse() if rng.random() < 0.1 else None
    if len(lines) > 1:
        a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
        lines[a], lines[b] = lines[b], lines[a]
    return b"".join(lines)


def splice(wire: bytes, rng: random.Random) -> bytes:
    other = sound(rng)
    return wire[: rng.randint(0, len(wire))] + other[rng.randint(0, len(other)) :]


def another_field(wire: bytes, rng: random.Random) -> bytes:
    """A field comes in addition, mostly one that is not allowed or frames the body otherwise."""
    lines = wire.split(b"\r\n")
    end = lines.index(b"") if b"" in lines else len(lines)
    lines.insert(rng.randint(1, max(1, end)), rng.choice(_FRAMING))
    return b"\r\n".join(lines)


def other_field(wire: bytes, rng: random.Random) -> bytes:
    """What frames the body is replaced."""
    frame = rb"(?im)^(content-length|transfer-encoding):[^\r\n]*"
    return re.sub(frame, lambda _match: rng.choice(_FRAMING), wire, count=1)


def other_status_line(wire: bytes, rng: random.Random) -> bytes:
    return rng.choice(_LINES) + b"\r\n" + wire.partition(b"\r\n")[2]


def other_chunk_size(wire: bytes, rng: random.Random) -> bytes:
    size = rng.choice(_SIZES)
    return re.sub(rb"(?m)^0?[0-9a-fA-F]{1,3}(?=[\r;])", lambda _match: size, wire, count=rng.choice((1, 0)))


def line_ends(wire: bytes, rng: random.Random) -> bytes:
    return wire.replace(
        b"\r\n", rng.choice((b"\n", b"\r", b"\r\r\n", b"\n\r", b"\r\n\r\n")), rng.choice((1, 2, -1))
    )


def more(wire: bytes, rng: random.Random) -> bytes:
    """Something comes after the end."""
    return wire + rng.choice((b"\r\n", b"\n", b"x", b"0\r\n\r\n", wire, b"HTTP/1.1 408 x\r\n\r\n", b"\0"))


def many_interim(wire: bytes, rng: random.Random) -> bytes:
    return b"HTTP/1.1 100 Continue\r\n\r\n" * rng.choice((50, 100, 101, 500)) + wire


def giant(wire: bytes, rng: random.Random) -> bytes:
    """Far too much of something, in the head, in the body or behind it."""
    filler = rng.choice((b"x", b"a: b\r\n", b" ", b"0", b"\r\n", b"1;a\r\nx\r\n"))
    at = rng.choice((wire.find(b"\r\n") + 2, rng.randint(0, len(wire)), max(0, len(wire) - 2), len(wire)))
    return wire[:at] + filler * (rng.choice((60_000, 200_000, 1_000_000)) // len(filler)) + wire[at:]


MUTATIONS: dict[Callable[[bytes, random.Random], bytes], float] = {
    flip: 10,
    insert: 10,
    delete: 8,
    truncate: 4,
    duplicate: 5,
    reorder: 4,
    splice: 4,
    another_field: 12,
    other_field: 10,
    other_status_line: 6,
    other_chunk_size: 8,
    line_ends: 5,
    more: 5,
    many_interim: 0.3,
    giant: 0.2,
}
WEIGHTS = tuple(MUTATIONS.values())

if __name__ == "__main__":
    main()
