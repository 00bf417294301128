"""The audit log: what a record holds, and what becomes of it when the disk is slow, full or not there."""

from __future__ import annotations

import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from errno import EIO, ENOSPC
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from pointsman._internal import jsonio
from pointsman.audit_log import records as audit_records
from pointsman.audit_log.committing import Committer, Rotation
from pointsman.audit_log.files import Disk
from pointsman.audit_log.records import line, record_of
from pointsman.audit_log.verify import verify
from pointsman.audit_log.writer import LogWriter
from pointsman.build.contexts import Contexts
from pointsman.builtin import audit
from pointsman.builtin.audit import JsonlSettings, JsonlSink, LoggingSettings, LoggingSink
from pointsman.clock import system_rng
from pointsman.errors import ConfigError, Outcome
from pointsman.events import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    Event,
    HealthChanged,
    Mirrored,
    Reloaded,
    RequestEnded,
    RequestStarted,
    StateChanged,
)
from pointsman.types import Usage

WALL = 1709208000.0625  # 2024-02-29T12:00:00.062500Z

ATTEMPT = AttemptEnded(
    request_id="req_1",
    model="assistant",
    deployment="gpu1/llama",
    number=1,
    outcome=Outcome.UPSTREAM_FAULT,
    error="unavailable",
    detail="HTTP 500: no",
    status=500,
    wall=WALL,
    seconds=0.1234567,
    first_token=0.05,
    usage=Usage(prompt=3, completion=0),
    upstream_request_id="up_1",
    hedge=True,
)
REQUEST = RequestEnded(
    request_id="req_1",
    operation="chat",
    model="assistant",
    pool="cloud",
    deployment="openai/x",
    result="ok",
    error="",
    detail="",
    attempts=2,
    wall=WALL,
    seconds=1.5,
    usage=None,
)
HEAD = {"v": 2, "seq": 7, "ts": "2024-02-29T12:00:00.062+00:00"}
GOLDEN: dict[str, tuple[Any, dict[str, Any]]] = {
    "start": (
        RequestStarted("req_1", "chat", "assistant", WALL, "ci", {"key_id": "k7", "team": "qa"}),
        {
            **HEAD, "event": "start", "request_id": "req_1", "key_id": "k7", "operation": "chat",
            "model": "assistant", "caller": "ci", "tags": {"team": "qa"},
        },
    ),
    "attempt": (
        ATTEMPT,
        {
            **HEAD, "event": "attempt", "request_id": "req_1", "model": "assistant",
            "deployment": "gpu1/llama", "number": 1, "outcome": "upstream_fault", "error": "unavailable", "detail": "HTTP 500: no",
            "status": 500, "ms": 123.457, "first_token_ms": 50.0, "usage": {"prompt": 3, "completion": 0},
            "upstream_request_id": "up_1", "hedge": True,
        },
    ),
    "request": (
        REQUEST,
        {
            **HEAD, "event": "request", "request_id": "req_1", "operation": "chat", "model": "assistant",
            "pool": "cloud", "deployment": "openai/x", "result": "ok", "attempts": 2, "ms": 1500.0,
        },
    ),
    "refused": (
        CallerRefused("req_1", "openai", "m", "ci", "k1", "caller_rate_limited", "caller: no", 429, WALL),
        {
            **HEAD, "event": "refused", "request_id": "req_1", "surface": "openai", "model": "m",
            "caller": "ci", "key_id": "k1", "error": "caller_rate_limited", "detail": "caller: no", "status": 429,
        },
    ),
    "breaker": (
        BreakerChanged("gpu1/llama", "closed", "open", "5 failures in a row"),
        {
            **HEAD, "event": "breaker", "deployment": "gpu1/llama", "old": "closed", "new": "open",
            "reason": "5 failures in a row",
        },
    ),
    "health": (
        HealthChanged("gpu1", False, "3 checks failed"),
        {**HEAD, "event": "health", "subject": "gpu1", "healthy": False, "reason": "3 checks failed"},
    ),
    "reload": (
        Reloaded(kept=1, added=0, removed=2, changes=("m: weight of a/x 3 → 1",)),
        {
            **HEAD, "event": "reload", "kept": 1, "added": 0, "removed": 2,
            "changes": ["m: weight of a/x 3 → 1"],
        },
    ),
    "state": (
        StateChanged("redis", False, 2, "no answer within 50 ms"),
        {
            **HEAD, "event": "state", "store": "redis", "available": False, "replicas": 2,
            "reason": "no answer within 50 ms",
        },
    ),
    "mirror": (
        Mirrored(
            "req_1", "chat", "assistant", "candidate", "openai/x", "ok", "", "", WALL, 1.5, 0.25, Usage(3, 5), 7, "stop",
            "gpu1/llama", 0.75, None, None, "length",
        ),
        {
            **HEAD, "event": "mirror", "request_id": "req_1", "operation": "chat", "model": "assistant", "to": "candidate",
            "deployment": "openai/x", "result": "ok", "ms": 1500.0, "first_token_ms": 250.0,
            "usage": {"prompt": 3, "completion": 5}, "cost_microcents": 7, "finish_reason": "stop",
            "asked_deployment": "gpu1/llama", "asked_ms": 750.0, "asked_finish_reason": "length",
        },
    ),
}  # fmt: skip


class Standing:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return WALL

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing in audit sleeps")


def breaker(reason: str) -> BreakerChanged:
    return BreakerChanged("d", "closed", "open", reason)


CHAIN = ("salt", "group", "body", "prev", "mac")


def said_in(path: Path) -> list[dict[str, Any]]:
    """The records of a file but for its first and its last, without what chains them."""
    written = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [
        {name: value for name, value in each.items() if name not in CHAIN}
        for each in written
        if each["event"] not in ("open", "close")
    ]


def lines(sink: JsonlSink) -> list[dict[str, Any]]:
    return said_in(sink.path)


def record(event: Event) -> dict[str, Any]:
    """The record of `event`, as who reads the line has it."""
    written: dict[str, Any] = json.loads(line(event, seq=7, wall=WALL))
    return written


# ── records ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("event", "golden"), GOLDEN.values(), ids=GOLDEN)
def test_a_record_holds_this_in_this_order(event: Event, golden: dict[str, Any]) -> None:
    assert list(record(event).items()) == list(golden.items())


def test_every_kind_of_event_has_a_record() -> None:
    assert {type(event) for event, _ in GOLDEN.values()} == {*get_args(Event), RequestStarted}


@settings(deadline=None)
@given(st.text(st.characters(), max_size=3000))
@example("half a pair: \ud800")
def test_strings_are_cut_and_any_of_them_is_one_line(text: str) -> None:
    written = line(breaker(text), seq=1, wall=WALL)

    assert json.loads(written).get("reason", "") == text[:1024]
    assert b"\n" not in written
    assert b"\r" not in written


TEXTS = st.sampled_from(["", "x", "y" * 1025, "é" * 700, "\U0001f600" * 1030]) | st.text(max_size=20)
TIMES = st.floats(0, 1e6)
TOKENS = st.none() | st.integers(0, 10**9)
USAGES = st.none() | st.builds(Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS)
TAGS = st.dictionaries(TEXTS, TEXTS, max_size=2)
ATTEMPTS = st.builds(
    AttemptEnded, TEXTS, TEXTS, TEXTS, st.integers(0, 20), st.sampled_from(Outcome), TEXTS, TEXTS,
    st.none() | st.integers(0, 599), TIMES, TIMES, st.none() | TIMES, USAGES, TEXTS, st.booleans(),
    TEXTS, TAGS,
)  # fmt: skip
REQUESTS = st.builds(
    RequestEnded, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS,
    st.integers(0, 20), TIMES, TIMES, USAGES, TEXTS, TAGS,
)  # fmt: skip
CHANGES = (
    st.builds(BreakerChanged, TEXTS, TEXTS, TEXTS, TEXTS)
    | st.builds(HealthChanged, TEXTS, st.booleans(), TEXTS)
    | st.builds(Reloaded, st.integers(0), st.integers(0), st.integers(0))
    | st.builds(StateChanged, TEXTS, st.booleans(), st.integers(0), TEXTS)
)


def by_the_rule(event: Event) -> Iterator[tuple[str, Any]]:
    """What the record of any event has after its head."""
    for name, value in asdict(event).items():
        if value in (None, "", {}, ()) or name == "wall" or (name in ("hedge", "delivered") and not value):
            continue
        if name in ("seconds", "first_token"):
            yield {"seconds": "ms", "first_token": "first_token_ms"}[name], round(value * 1e3, 3)
        elif name == "usage":
            kinds = ("prompt", "completion", "cached", "cache_write", "reasoning")
            yield name, {kind: tokens for kind in kinds if (tokens := getattr(value, kind)) is not None}
        else:
            yield name, str(value)[:1024] if isinstance(value, str) else value


@settings(deadline=None)
@given(ATTEMPTS | REQUESTS | CHANGES, st.integers(1, 2**40))
@example(replace(ATTEMPT, detail="half a pair: \ud800", caller="é"), 1)
@example(Reloaded(2**70, 0, 0), 1)
@example(StateChanged("", False, 2**64, "é" * 400), 1)
def test_a_line_is_to_the_byte_what_the_rule_for_all_events_says(event: Event, seq: int) -> None:
    written = line(event, seq=seq, wall=WALL)

    said = dict(by_the_rule(event))
    name = next(kind for kind, (example, _) in GOLDEN.items() if type(example) is type(event))
    whole = jsonio.dumps({**HEAD, "seq": seq, "event": name, **said})
    assert json.loads(written) == json.loads(whole)
    # `jsonio` leaves to the standard library whatever might be a null, and numbers of more than 64 bits; that
    # one escapes what is not ASCII.
    by_the_library = whole.isascii() and not written.isascii()
    assert (
        written == whole or by_the_library or any(each in written for each in (b":null", b",null", b"[null"))
    )


class Text(str):
    __slots__ = ()


def test_a_text_of_a_class_of_its_own_is_text_and_what_json_does_not_have_is_refused() -> None:
    assert record(breaker(Text("é")))["reason"] == "é"
    assert record(breaker(Text("y" * 2000)))["reason"] == "y" * 1024
    with pytest.raises(TypeError):
        line(breaker(object()), seq=1, wall=WALL)  # type: ignore[arg-type]


@pytest.mark.parametrize("beside", ["é" * 2000, "half a pair: \ud800"], ids=["long", "odd"])
def test_what_is_written_beside_a_record_changes_nothing_of_its_line(
    beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without orjson: the standard library writes six bytes for each letter that is not ASCII."""
    monkeypatch.setattr(jsonio, "orjson", None)
    records = [record_of(breaker(each), 7, HEAD["ts"]) for each in ("é", beside, "é" * 2000)]

    together = audit_records.lines(records)

    assert together == b"".join(audit_records.lines([each]) for each in records)
    assert "é".encode() * 1024 in together.splitlines()[2]


@given(st.floats(0, 2**33))
def test_the_time_is_that_of_the_calendar(wall: float) -> None:
    ts = json.loads(line(breaker("x"), seq=1, wall=wall))["ts"]

    calendar = datetime.fromtimestamp(int(wall * 1e3) // 1000, UTC)
    assert ts == f"{calendar:%Y-%m-%dT%H:%M:%S}.{int(wall * 1e3) % 1000:03}+00:00"
    assert datetime.fromisoformat(ts).timestamp() == pytest.approx(wall, abs=0.0011)


# ── jsonl ────────────────────────────────────────────────────────────────────────────────────────────


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        sink = JsonlSink(JsonlSettings(path=tmp_path / "audit"), Standing())
    finally:
        os.umask(before)
    sink.close()

    assert stat.S_IMODE(sink.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sink.path.parent.stat().st_mode) == 0o700


def test_each_event_is_one_line_with_the_next_number_and_close_writes_them_all(tmp_path: Path) -> None:
    sink = JsonlSink(JsonlSettings(path=tmp_path), Standing())

    for n in range(1000):
        sink(breaker(f"é\n{n}"))
    sink.close()

    written = lines(sink)
    assert [each["seq"] for each in written] == list(range(2, 1002))
    assert [each["reason"] for each in written] == [f"é\n{n}" for n in range(1000)]


def test_a_record_that_cannot_be_written_costs_no_other_of_its_batch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = JsonlSink(JsonlSettings(path=tmp_path), Standing())

    for seconds in (1.0, float("nan"), 3.0):
        sink(replace(REQUEST, seconds=seconds))
    sink.close()

    first, gap, last = lines(sink)
    assert (first["ms"], last["ms"]) == (1000.0, 3000.0)
    assert (gap["event"], gap["seq"], gap["from_seq"], gap["count"]) == ("gap", 4, 3, 1)
    assert [each.message for each in caplog.records] == ["an audit record cannot be written: ValueError"]


def test_two_sinks_of_one_directory_do_not_share_a_file(tmp_path: Path) -> None:
    sinks = [JsonlSink(JsonlSettings(path=tmp_path), Standing()) for _ in range(3)]

    for n, sink in enumerate(sinks):
        sink(breaker(str(n)))
        sink.close()

    assert [[each["reason"] for each in lines(sink)] for sink in sinks] == [["0"], ["1"], ["2"]]


def test_a_directory_that_cannot_be_written_is_an_error_at_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="file"):
            JsonlSink(JsonlSettings(path=path), Standing())


class Slow(JsonlSink):
    """A sink whose disk hangs until it is let go."""

    def __init__(self, settings: JsonlSettings) -> None:
        self.hangs = hangs = threading.Event()
        self.goes_on = goes_on = threading.Event()
        super().__init__(settings, Standing())

        class Hanging(Disk):
            def write(self, descriptor: int, data: bytes | memoryview) -> int:
                hangs.set()
                assert goes_on.wait(10)
                return super().write(descriptor, data)

        self._committer._file._disk = Hanging()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    """A sink with room for two records, and one more that the disk is busy with."""
    sink = Slow(JsonlSettings(path=tmp_path, buffer=2))
    sink(breaker("0"))
    assert sink.hangs.wait(10)
    yield sink
    sink.goes_on.set()
    sink.close()


def test_records_that_find_no_room_are_counted_in_the_next_that_does(slow: Slow) -> None:
    for n in range(1, 6):
        slow(breaker(str(n)))  # 1 and 2 wait, 3 to 5 are dropped
    slow.goes_on.set()
    while slow.writer.waiting:
        slow.writer.thread.join(0.001)
    slow(breaker("6"))
    slow.close()

    written = lines(slow)
    assert [each.get("reason") for each in written] == ["0", "1", "2", "buffer full", "6"]
    assert [each["seq"] for each in written] == [2, 3, 4, 8, 9]
    gap = written[3]
    assert gap == {
        "v": 2, "seq": 8, "ts": "2024-02-29T12:00:00.062+00:00", "event": "gap",
        "from_seq": 5, "count": 3, "reason": "buffer full",
    }  # fmt: skip


def test_what_was_dropped_last_is_told_when_the_sink_closes(slow: Slow) -> None:
    for n in range(1, 5):
        slow(breaker(str(n)))
    slow.goes_on.set()
    slow.close()

    written = lines(slow)
    assert [each["event"] for each in written] == ["breaker", "breaker", "breaker", "gap"]
    assert (written[-1]["from_seq"], written[-1]["count"]) == (5, 2)


def test_a_gap_that_takes_the_last_room_does_not_wait_for_another_event(tmp_path: Path) -> None:
    sink = Slow(JsonlSettings(path=tmp_path, buffer=1))
    sink(breaker("0"))
    assert sink.hangs.wait(10)
    for n in range(1, 3):
        sink(breaker(str(n)))  # 1 waits, 2 is dropped
    sink.goes_on.set()
    while sink.writer._rung:  # the thread is asleep, after some time in which nothing came
        sink.writer.thread.join(0.001)

    sink(breaker("3"))
    while len(lines(sink)) < 3:
        sink.writer.thread.join(0.001)

    assert [each["event"] for each in lines(sink)] == ["breaker", "breaker", "gap"]
    sink.close()
    assert accounted_for(lines(sink)) == 7


def accounted_for(written: Iterable[dict[str, Any]]) -> int:
    """The last number of a file whose every number is that of a record, or counted in a gap."""
    seen = 1  # that of the file's own first
    for each in written:
        if each["event"] == "gap" and each["reason"] != "file deleted":
            assert each["from_seq"] == seen + 1
            seen += each["count"]
        seen += 1
        assert each["seq"] == seen
    return seen


class Whims(Disk):
    """A disk that takes so many bytes of each write as it is told to, and refuses the rest."""

    def __init__(self, takes: Iterable[int | None], cuts: Iterable[bool], syncs: Iterable[bool]) -> None:
        self.takes, self.cuts, self.syncs = iter(takes), iter(cuts), iter(syncs)
        self.left: int | None = None

    def write(self, descriptor: int, data: bytes | memoryview) -> int:
        if self.left is None:
            self.left = next(self.takes, None)
        if self.left is None:
            return super().write(descriptor, data)
        if self.left == 0:
            self.left = None
            raise OSError(ENOSPC, "No space left on device")
        taken = super().write(descriptor, data[: self.left])
        self.left -= taken
        return taken

    def truncate(self, descriptor: int, size: int) -> None:
        if not next(self.cuts, True):
            raise OSError(EIO, "Input/output error")
        super().truncate(descriptor, size)

    def sync(self, descriptor: int) -> None:
        if not next(self.syncs, True):
            raise OSError(EIO, "Input/output error")


class Still(LogWriter):
    """A writer without its thread: the test writes."""

    def _run(self) -> None: ...

    def close(self) -> None:
        if self._dropped:
            self._put_gap()
        self._write_waiting()
        self._committer.close()


STEPS = st.lists(st.sampled_from(["event", "write", "delete", "not JSON"]), max_size=30)
TAKES = st.lists(st.none() | st.integers(0, 400), max_size=20)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    STEPS, st.integers(1, 5), TAKES, st.lists(st.booleans(), max_size=20), st.lists(st.booleans(), max_size=9)
)
@example(["event", "write"], 5, [50], [], [])
@example(["event", "write", "write"], 5, [50, 50], [False, False, True], [])
@example(["event", "event", "event", "write", "delete", "event", "write", "delete"], 5, [], [], [])
@example(["event", "write", "event", "write"], 5, [], [], [True, False])
def test_every_number_is_written_or_lies_in_a_gap(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[str],
    buffer: int,
    takes: list[int | None],
    cuts: list[bool],
    syncs: list[bool],
) -> None:
    """Whatever comes, and whatever the disk does with it, as long as it works at the end."""
    directory = tmp_path_factory.mktemp("audit") / "a"
    disk = Whims(takes, cuts, syncs)
    ticks = count(int(WALL))

    def wall() -> float:
        return float(next(ticks))  # so that no two files have one name

    committer = Committer(directory, wall=wall, now=wall, rotation=Rotation(10**9, 10**9), disk=disk)
    sink = Still(committer, wall=wall, now=wall, buffer=buffer)

    came, deleted = 0, False
    for step in steps:
        match step:
            case "event":
                sink.put(breaker("x"))
                came += 1
            case "not JSON":
                sink.put(replace(REQUEST, seconds=float("nan")))
                came += 1
            case "write":
                sink._write_waiting()
            case "delete":
                shutil.rmtree(directory, ignore_errors=True)
                deleted = True
    disk.takes, disk.cuts, disk.syncs, disk.left = iter(()), iter(()), iter(()), None
    sink.put(breaker("last"))
    sink._write_waiting()
    sink.close()

    assert not sink._held
    found = verify(directory)
    assert found.findings == []
    written = [each for path in sorted(directory.iterdir()) for each in said_in(path)]
    whole = sum(each["event"] != "gap" for each in written)
    lost = sum(each.get("count", 0) for each in written)
    if not deleted or all(syncs):  # nobody watches a file that was given up
        assert whole + lost >= came + 1
    if not deleted and not found.findings and set(steps) <= {"event", "write"} and all(syncs):
        assert whole + lost == came + 1


def test_an_event_told_while_another_is_being_told_does_not_hang(tmp_path: Path) -> None:
    """The collector may run a stream's `__del__`, which tells its end, in the middle of telling another."""
    sink = JsonlSink(JsonlSettings(path=tmp_path), Standing())
    inside = False
    extra = 0

    def collector(_frame: Any, event: str, _function: Any) -> None:
        nonlocal inside, extra
        if event == "c_call" and not inside:
            inside = True
            sink(breaker("from the collector"))
            inside = False
            extra += 1

    told = threading.Event()

    def tell() -> None:
        sys.setprofile(collector)
        try:
            sink(breaker("told"))
        finally:
            sys.setprofile(None)
        told.set()

    threading.Thread(target=tell, daemon=True).start()
    assert told.wait(10)
    sink.close()
    written = lines(sink)
    assert sorted(each["seq"] for each in written) == list(range(2, extra + 3))
    assert [each["reason"] for each in written].count("told") == 1


# A limit on the size of files is a full disk that needs no rights: it takes a part of a write and refuses the rest.
FULL_DISK = """
import logging, resource, signal, sys, threading
from pathlib import Path
from pointsman.builtin.audit import JsonlSettings, JsonlSink
from pointsman.clock import LoopClock
from pointsman.events import BreakerChanged

class Told(logging.Handler):
    def __init__(self):
        super().__init__()
        self.failing, self.well = threading.Event(), threading.Event()
    def emit(self, record):
        print(record.getMessage().split(" to ")[0], flush=True)
        (self.well if "again" in record.getMessage() else self.failing).set()

told = Told()
logging.getLogger("pointsman").addHandler(told)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, -1))
sink = JsonlSink(JsonlSettings(path=Path(sys.argv[1]), buffer=int(sys.argv[2])), LoopClock())
for n in range(500):
    sink(BreakerChanged("d", "closed", "open", str(n)))
assert told.failing.wait(20)
if sys.argv[3] == "for a while":
    for n in range(500):
        sink(BreakerChanged("d", "closed", "open", str(n)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
    assert told.well.wait(20)
    sink(BreakerChanged("d", "closed", "open", "after it"))
sink.close()
"""


def on_a_full_disk(directory: Path, *, buffer: int, how_long: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The records that are in the file, and what was logged."""
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(directory), str(buffer), how_long],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = directory.iterdir()
    assert verify(directory).ok
    return said_in(file), done.stdout.splitlines()


def test_a_disk_that_is_full_for_a_while_costs_no_record_that_the_buffer_has_room_for(tmp_path: Path) -> None:
    written, logged = on_a_full_disk(tmp_path, buffer=10_000, how_long="for a while")

    assert [each["seq"] for each in written] == list(range(2, 1003))
    assert [each["event"] for each in written] == ["breaker"] * 1001
    assert written[-1]["reason"] == "after it"
    assert logged == ["audit records cannot be written", "audit records are written again,"]


def test_what_the_buffer_has_no_room_for_while_the_disk_is_full_is_counted_in_a_gap(tmp_path: Path) -> None:
    written, logged = on_a_full_disk(tmp_path, buffer=100, how_long="for a while")

    assert accounted_for(written) == written[-1]["seq"]
    gaps = [each for each in written if each["event"] == "gap"]
    assert sum(each["count"] for each in gaps) + len(written) - len(gaps) == 1001
    assert "File too large" in gaps[-1]["reason"]
    assert f"{gaps[-1]['count']} audit records were dropped: {gaps[-1]['reason']}" in logged


def test_a_disk_that_stays_full_leaves_whole_lines_and_the_loss_is_counted_in_the_log(tmp_path: Path) -> None:
    written, logged = on_a_full_disk(tmp_path, buffer=10_000, how_long="for ever")

    assert [each["seq"] for each in written] == list(range(2, len(written) + 2))
    assert logged == [
        "audit records cannot be written",
        f"{500 - len(written)} audit records are lost: File too large",
    ]


@pytest.mark.parametrize("what", ["the file", "the directory"])
@pytest.mark.parametrize("fate", ["deleted", "moved"])
def test_the_record_goes_on_in_another_file_when_its_own_is_gone(
    what: str, fate: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = JsonlSink(JsonlSettings(path=tmp_path / "audit"), Standing())
    for n in range(3):
        sink(breaker(str(n)))
    while len(lines(sink)) < 3:
        sink.writer.thread.join(0.001)
    first = sink.path

    gone = first if what == "the file" else first.parent
    if fate == "moved":
        gone.rename(tmp_path / "elsewhere")
    elif what == "the file":
        first.unlink()
    else:
        shutil.rmtree(first.parent)
    sink(breaker("after it"))
    sink.close()

    gap, record = lines(sink)
    assert (gap["seq"], gap["from_seq"], gap["count"], gap["reason"]) == (6, 1, 4, f"file {fate}")
    assert (record["seq"], record["reason"]) == (7, "after it")
    assert stat.S_IMODE(sink.path.parent.stat().st_mode) == 0o700
    assert f"the audit file {first} was {fate}" in caplog.text


def test_a_failure_is_logged_again_when_it_becomes_another(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = JsonlSink(JsonlSettings(path=tmp_path), Standing())

    for code in (ENOSPC, ENOSPC, EIO, ENOSPC):
        sink.writer._complain(OSError(code, os.strerror(code)))
    sink.writer.trouble = ""
    sink.close()

    assert [each.getMessage().rpartition(": ")[2] for each in caplog.records] == [
        "No space left on device",
        "Input/output error",
        "No space left on device",
    ]


# ── logging ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_logging_sink_writes_json_to_its_logger(caplog: pytest.LogCaptureFixture) -> None:
    sink = LoggingSink(LoggingSettings(logger="my.audit"), Standing())

    with caplog.at_level(logging.INFO, "my.audit"):
        sink(ATTEMPT)
        sink(breaker("é\n%s"))
    sink.close()

    first, second = (json.loads(each.getMessage()) for each in caplog.records)
    assert first == {**GOLDEN["attempt"][1], "seq": 1}
    assert (second["seq"], second["reason"]) == (2, "é\n%s")
    assert {each.name for each in caplog.records} == {"my.audit"}


def test_the_logging_sink_is_silent_where_its_level_is_off(caplog: pytest.LogCaptureFixture) -> None:
    sink = LoggingSink(LoggingSettings(), Standing())

    with caplog.at_level(logging.WARNING, "pointsman.audit"):
        sink(ATTEMPT)

    assert caplog.records == []


def test_the_built_in_sinks_are_made_from_their_settings(tmp_path: Path) -> None:
    settings: dict[str, dict[str, Any]] = {"jsonl": {"path": tmp_path}, "logging": {}}

    for each in audit.BUILT_IN:
        given = each.settings.model_validate(settings[each.name])
        sink = each.make(Contexts(Standing(), system_rng()).audit(each.name, given))
        sink(ATTEMPT)
        sink.close()
