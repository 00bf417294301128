"""Audit logs read: what was asked and when, and how each attempt at it went."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from gzip import GzipFile
from io import BufferedReader
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Struct

LONGEST_LINE = 1 << 20
"""Bytes; what is longer is no record."""


class BrokenLine(Struct, frozen=True):
    """A line that is no record, and was skipped.

    Attributes:
        line: 1 or more; 0 for a file that cannot be read on.
    """

    file: str
    line: int
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.why}"


class RecordedAttempt(Struct, frozen=True):
    """One attempt, as the log tells it.

    Attributes:
        deployment: its id.
        outcome: `ok`, `upstream_fault`, `overload`, `client_fault` or `neutral`.
        error: the code of what it ended with; "" for none. `status`: of HTTP, where there was one.
        seconds: from its choice to its end.
        first_token: seconds to the first content; None where that is not known.
        prompt, answer: tokens, None where the upstream did not count.
        cost_microcents: millionths of a US cent; None where nobody knows.
        began: seconds since 1970 UTC.
    """

    deployment: str
    outcome: str
    error: str
    status: int | None
    seconds: float
    first_token: float | None
    prompt: int | None
    answer: int | None
    cost_microcents: int | None
    began: float = 0.0


class RecordedRequest(Struct, frozen=True):
    """One request, as the log tells it.

    Attributes:
        began: seconds since 1970 UTC.
        operation: `chat`, `stream`, `generate` or `embed`.
        model: as it was asked for.
        deployment: the one that answered, or failed last; "" for none.
        result: `ok`, `error`, `cancelled` or another word of a later version.
        error: the code of what it ended with; "" for none.
        prompt, answer: tokens, None where nobody counted.
        attempts: in order.
    """

    id: str
    began: float
    seconds: float
    operation: str
    model: str
    deployment: str
    result: str
    error: str
    prompt: int | None
    answer: int | None
    caller: str
    cost_microcents: int | None
    attempts: tuple[RecordedAttempt, ...]


class Log(Struct, frozen=True):
    """What some files hold.

    Attributes:
        requests: that have ended, in the order in which they began.
        broken: lines that were skipped.
        missing: records that the log itself says are not in it.
        files: that were read.
    """

    requests: Sequence[RecordedRequest]
    broken: Sequence[BrokenLine]
    missing: int
    files: Sequence[str]


_Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**7)]
_Amount = Annotated[int, msgspec.Meta(ge=0, le=10**18)]
"""What can be at all: anybody may have written a log, and a forecast would wait for a thousand years."""


class _Tokens(Struct):
    prompt: _Count | None = None
    completion: _Count | None = None


class _Line(Struct):
    """All that is looked at of a record of whatever kind; what else there is, is not."""

    event: str
    ts: datetime
    request_id: str = ""
    operation: str = "chat"
    model: str = ""
    deployment: str = ""
    number: int = 1
    outcome: str = ""
    result: str = ""
    error: str = ""
    status: int | None = None
    ms: _Milliseconds = 0.0
    first_token_ms: _Milliseconds | None = None
    usage: _Tokens | None = None
    caller: str = ""
    cost_microcents: _Amount | None = None
    count: _Amount = 0

    def __post_init__(self) -> None:
        if not 1970 <= self.ts.year <= 9000:
            raise ValueError(f"ts: the year {self.ts.year} is none of a log")


def read_log(files: Iterable[Path | str]) -> Log:
    """What is recorded in `files`: JSON lines, also in gzip; of a folder, all that are such files in it.

    Lines that are no records are skipped and told. Raises: OSError for a file that cannot be opened.
    """
    attempts: dict[str, list[tuple[int, RecordedAttempt]]] = {}
    ended: list[_Line] = []
    broken: list[BrokenLine] = []
    paths = [each for file in files for each in _files(Path(file))]
    missing = 0
    for path in paths:
        for line in _lines(path, broken):
            if line.event == "attempt":
                attempts.setdefault(line.request_id, []).append((line.number, _attempt(line)))
            elif line.event == "request":
                ended.append(line)
            elif line.event == "gap":
                missing += line.count
    requests = [_request(each, attempts.get(each.request_id, ())) for each in ended]
    requests.sort(key=lambda each: each.began)
    return Log(requests, broken, missing, [str(each) for each in paths])


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.iterdir() if each.name.endswith((".jsonl", ".jsonl.gz")))


def _lines(path: Path, broken: list[BrokenLine]) -> Iterator[_Line]:
    decode = msgspec.json.Decoder(_Line).decode
    number = 0
    with _opened(path) as file:
        try:
            while raw := file.readline(LONGEST_LINE):
                number += 1
                if not raw.strip():
                    continue
                try:
                    yield decode(raw)
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    broken.append(BrokenLine(str(path), number, str(error)))
        except (EOFError, OSError, zlib.error) as error:  # of gzip: it was cut off, or is none
            broken.append(BrokenLine(str(path), 0, str(error)))


def _opened(path: Path) -> GzipFile | BufferedReader:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else path.open("rb")


def _attempt(line: _Line) -> RecordedAttempt:
    usage = line.usage or _Tokens()
    first = None if line.first_token_ms is None else line.first_token_ms / 1e3
    return RecordedAttempt(
        line.deployment, line.outcome, line.error, line.status, line.ms / 1e3, first,
        usage.prompt, usage.completion, line.cost_microcents, line.ts.timestamp() - line.ms / 1e3,
    )  # fmt: skip


def _request(line: _Line, attempts: Iterable[tuple[int, RecordedAttempt]]) -> RecordedRequest:
    usage, seconds = line.usage or _Tokens(), line.ms / 1e3
    return RecordedRequest(
        id=line.request_id,
        began=line.ts.timestamp() - seconds,
        seconds=seconds,
        operation=line.operation,
        model=line.model,
        deployment=line.deployment,
        result=line.result,
        error=line.error,
        prompt=usage.prompt,
        answer=usage.completion,
        caller=line.caller,
        cost_microcents=line.cost_microcents,
        attempts=tuple(each for _, each in sorted(attempts, key=lambda pair: pair[0])),
    )
