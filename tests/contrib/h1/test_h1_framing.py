"""Where a response ends, and what is none."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from h1_fuzz import fed, response
from pointsman.transports.raw import named
from pointsman_h1.framing import MAX_HEAD, MAX_INTERIM, FramingError, ResponseReader
from pointsman_h1.heads import LINE_BYTES_AT_MOST, LINES_AT_MOST, KnownHeads

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        (OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "Duplicate Content-Length"),
        (OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "Duplicate Content-Length"),
        (OK + b"Content-Length: 3, 3\r\n\r\nabc", "Content-Length"),
        (OK + b"Content-Length: +3\r\n\r\nabc", "Content-Length"),
        (OK + b"Content-Length: 99999999999999999999\r\n\r\nabc", "Content-Length"),
        (OK + b"Content-Length:\r\n\r\nabc", "Content-Length"),
        (OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "Content-Length"),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", "Content-Length"),
        (OK + b"Transfer-Encoding: gzip\r\n\r\nabc", "transfer coding"),
        (OK + b"Transfer-Encoding: identity\r\n\r\nabc", "transfer coding"),
        (OK + b"Transfer-Encoding: chunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "transfer coding"),
        (OK + b"Transfer-Encoding: chunked, gzip\r\n\r\nabc", "transfer coding"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer coding"),
        (
            OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "transfer coding",
        ),
        (OK + b"A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "whitespace"),
        (OK + b" A: b\r\nContent-Length: 0\r\n\r\n", "space"),
        (OK + b"A : b\r\nContent-Length: 0\r\n\r\n", "header token"),
        (OK + b": b\r\nContent-Length: 0\r\n\r\n", "header token"),
        (OK + b"A\r\nContent-Length: 0\r\n\r\n", "header token"),
        (OK + b"A: b\x00\r\nContent-Length: 0\r\n\r\n", "value char"),
        (OK + b"A: b\nContent-Length: 0\r\n\r\n", "CR"),
        (OK + b"A: b\rContent-Length: 0\r\n\r\n", "LF"),
        (OK + b"Content-Length: 0\n\n", "CR LF"),
        (b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "status line"),
        (b"\r\n" + OK + b"Content-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "status line"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not begin with HTTP"),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "another protocol",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_INTERIM + 1), "interim"),
        (OK + b"A: " + b"x" * MAX_HEAD + b"\r\nContent-Length: 0\r\n\r\n", "longer than"),
        (OK + b"A: b\r\n" * MAX_HEAD, "longer than"),
        (CHUNKED + b"g\r\nabc\r\n0\r\n\r\n", "chunk size"),
        (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", "chunk size"),
        (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", "chunk size"),
        (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", "chunk size"),
        (CHUNKED + b"\r\nabc\r\n0\r\n\r\n", "chunk size"),
        (CHUNKED + b"1" + b"0" * 16 + b"\r\nabc", "overflow"),
        (CHUNKED + b"3\nabc\r\n0\r\n\r\n", "CR"),
        (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", "after chunk data"),
        (CHUNKED + b"3\r\nabc0\r\n\r\n", "after chunk data"),
        (CHUNKED + b"3\r\nabc\n0\r\n\r\n", "after chunk data"),
        (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", "whitespace"),
        (CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n", "Content-Length"),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * MAX_HEAD + b"\r\n", "after the last one"),
        (CHUNKED + b"3;" + b"x" * 3 * MAX_HEAD, "between chunks"),
        (b"", "without sending a response"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "within the head"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "within the head"),
        (OK + b"Content-Length: 3\r\n\r\nab", "before the body did"),
        (CHUNKED + b"3\r\nabc\r\n", "before the body did"),
        (CHUNKED + b"3\r\nabc\r\n0\r\n", "before the body did"),
    ],
)
def test_what_is_no_response_is_refused_in_one_piece_and_in_many(wire: bytes, message: str) -> None:
    whole = fed([wire])
    assert not whole.accepted
    assert message in whole.end
    assert KnownHeads().whole(wire) is None

    assert not fed([wire[i : i + 1000] for i in range(0, len(wire), 1000)]).accepted
    if len(wire) < 1000:
        assert not fed([wire[i : i + 1] for i in range(len(wire))]).accepted


@pytest.mark.parametrize(
    ("wire", "status", "body", "kept"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", 200, b"abc", True),
        (OK + b"content-length:  3 \r\n\r\nabc", 200, b"abc", True),
        (OK + b"Content-Length: 3\r\n\r\nabc\r\n", 200, b"abc", False),
        (OK + b"Content-Length: 3\r\n\r\nabcHTTP/1.1 408 x\r\n\r\n", 200, b"abc", False),
        (OK + b"Content-Length: 3\r\nConnection: x, Close\r\n\r\nabc", 200, b"abc", False),
        (OK + b"\r\nuntil the end", 200, b"until the end", False),
        (CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", 200, b"abc", True),
        (CHUNKED + b'003;a=b;c="d"\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n', 200, b"abc", True),
        (OK + b"Transfer-Encoding:  Chunked  \r\n\r\n3\r\nabc\r\n0\r\n\r\n", 200, b"abc", True),
        (OK + b"Content-Length: 3\t\r\n\r\nabc", 200, b"abc", True),
        (CHUNKED + b"0\r\n\r\n\r\n", 200, b"", False),
        (CHUNKED + b"0\r\n\r\n\n", 200, b"", False),
        (CHUNKED + b"0\r\n\r\nx", 200, b"", False),
        (CHUNKED + b"0\r\n\r\n" + OK + b"Content-Length: 3\r\n\r\nabc", 200, b"", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc", 200, b"abc", True),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + CHUNKED[17:] + b"0\r\n\r\n", 200, b"", False),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", 204, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", 304, b"", True),
        (b"HTTP/1.1 100 x\r\n\r\n" * MAX_INTERIM + OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 103 x\r\nContent-Length: 9\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n", 200, b"", True),
    ],
)
def test_what_is_a_response_is_read(wire: bytes, status: int, body: bytes, kept: bool) -> None:
    for parts in ([wire], [wire[i : i + 1] for i in range(len(wire))]):
        outcome = fed(parts)
        assert (outcome.accepted, outcome.status, outcome.body) == (True, status, body)
        assert outcome.kept is kept
    at_once = KnownHeads().whole(wire)
    assert at_once is None or (at_once.status, at_once.body, True) == (status, body, kept)


@pytest.mark.parametrize("body", [b"3\r\nabc\r\n0\r\n\r\n", b'1;a="b"\r\na\r\n02\r\nbc\r\n0\r\n\r\n'])
def test_chunks_that_came_in_one_read_are_an_answer_if_the_last_byte_is_their_end(body: bytes) -> None:
    heads = KnownHeads()
    whole = heads.whole(CHUNKED + body)
    assert whole is not None
    assert (whole.status, whole.body) == (200, b"abc")

    for more in (b"\r\n", b"0\r\n\r\n", b"x", CHUNKED + body):
        assert heads.whole(CHUNKED + body + more) is None
    for end in range(len(body)):
        assert heads.whole(CHUNKED + body[:end]) is None


@pytest.mark.parametrize("fields", [b"Content-Length: 9\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_the_answer_to_a_head_has_no_body_whatever_it_says(fields: bytes) -> None:
    outcome = fed([OK + fields + b"\r\n"], bodiless=True)

    assert (outcome.accepted, outcome.body, outcome.kept) == (True, b"", True)


NAMES = st.text("abcXYZ-0189!~", min_size=1, max_size=12).map(lambda name: b"x" + name.encode())
VALUES = st.binary(max_size=20).map(lambda raw: bytes(c for c in raw if c >= 0x20 and c != 0x7F).strip())


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    """A response on the wire, its fields, and its body."""
    fields = draw(st.lists(st.tuples(NAMES, VALUES), max_size=6))
    pieces = draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
    body = b"".join(pieces)
    match draw(st.sampled_from(("length", "chunked", "eof"))):
        case "length":
            fields.append((b"Content-Length", b"%d" % len(body)))
            wire = body
        case "chunked":
            fields.append((b"Transfer-Encoding", b"chunked"))
            extension = draw(st.sampled_from((b"", b";a=b", b';a="b;c"')))
            trailer = draw(st.sampled_from((b"", b"X-Sum: 1\r\n")))
            wire = b"".join(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
            wire += b"0\r\n" + trailer + b"\r\n"
        case _:
            wire = body
    head = b"".join(b"%b: %b\r\n" % field for field in fields)
    interim = draw(
        st.sampled_from((b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 x\r\nA: b\r\n\r\n"))
    )
    return interim + OK + head + b"\r\n" + wire, fields, body


@given(responses(), st.lists(st.integers(0, 3000), max_size=30))
@example((CHUNKED + b"0\r\n\r\n", [(b"Transfer-Encoding", b"chunked")], b""), list(range(60)))
def test_a_response_cut_anywhere_is_the_same_response(
    response: tuple[bytes, list[tuple[bytes, bytes]], bytes], cuts: list[int]
) -> None:
    wire, fields, body = response
    bounds = [0, *sorted({cut for cut in cuts if 0 < cut < len(wire)}), len(wire)]

    outcome = fed([wire[a:b] for a, b in zip(bounds, bounds[1:], strict=False)])

    assert (outcome.accepted, outcome.status, list(outcome.fields)) == (True, 200, fields)
    assert outcome.body == body
    assert outcome == fed([wire])


def test_damaged_responses_end_in_a_response_or_a_typed_error() -> None:
    """The short version of benchmarks/h1_fuzz.py; h11 is asked for its opinion too."""
    from h1_fuzz import run

    seed = int(os.environ.get("POINTSMAN_SEED", "20261121"))
    print(f"seed {seed}")

    report = run(4096, 2048, seed=seed)

    assert report.findings == []
    assert report.responses == 4096
    assert report.both > 500
    assert report.whole > 50
    # The one thing accepted here that h11 refuses: a chunk size with more than 20 digits, zeros in front.
    assert set(report.only_ours) <= {"illegal chunk header: bytearray(…"}


class Nothing(KnownHeads):
    """Knows no head, so that llhttp reports each field of each of them."""

    def read(self, head: bytes) -> None:
        """None."""


class Counting(KnownHeads):
    """Counts the heads that it could read."""

    found = 0

    def read(self, head: bytes) -> Any:
        read = super().read(head)
        self.found += read is not None
        return read


def _heads(seed: int) -> Iterator[bytes]:
    for n in range(4000):
        yield response(seed, n).wire


@pytest.mark.parametrize("last", [True, False])
def test_a_head_of_known_lines_is_read_like_any_other(last: bool) -> None:
    seed = int(os.environ.get("POINTSMAN_SEED", "20261121"))
    print(f"seed {seed}")
    known = Counting()

    for wire in _heads(seed):
        found = []
        for heads in (known, Nothing()):
            reader = ResponseReader(last=last, heads=heads)
            try:
                reader.feed(memoryview(wire or b"x"))
                error = ""
            except FramingError as failure:
                error = str(failure)
            said = (reader.minor, reader.reason, reader.headers, reader.named()) if reader.status else ()
            found.append((error, reader.status, said, reader.done, reader.keep_alive, reader.take()))
            assert not said or said[3] == named(said[2])
        assert found[0] == found[1]

    assert known.found > 300


def test_an_answer_is_taken_whole_only_if_a_reader_ends_with_its_last_byte() -> None:
    seed = int(os.environ.get("POINTSMAN_SEED", "20261121"))
    print(f"seed {seed}")
    heads, taken = KnownHeads(), 0

    for wire in _heads(seed):
        whole = heads.whole(wire)
        if whole is not None:
            taken += 1
            reader = ResponseReader(heads=Nothing())
            reader.feed(memoryview(wire))
            assert (reader.done, reader.keep_alive) == (True, True)
            assert (whole.status, whole.fields, whole.body) == (reader.status, reader.named(), reader.take())

    assert taken > 50


@pytest.mark.parametrize(
    "line",
    [
        *(
            b"A : b",
            b" A: b",
            b"\tA: b",
            b": b",
            b"A",
            b"",
            b"A:",
            b"A: ",
            b"A: b\x00",
            b"A: b\rc",
            b"A: b\nc",
        ),
        *(b"A: b\tc", b"A: \x7f", b"A\xe9: b", b"Connection: close", b"connection: keep-alive, close"),
        *(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 3", b"content-length: 4"),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Proxy-Connection: close"),
    ],
)
def test_a_head_with_a_line_that_is_odd_or_says_more_of_its_body_is_not_known(line: bytes) -> None:
    heads, sound = KnownHeads(), b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nB: c"
    for _ in range(2):
        assert heads.read(sound) == (200, {"content-length": "3", "b": "c"}, 3)
        assert heads.read(sound + b"\r\n" + line) is None
        assert heads.read(b"HTTP/1.1 200 OK\r\n" + line + sound[15:]) is None


@pytest.mark.parametrize(
    "line",
    [b"HTTP/1.0 200 OK", b"HTTP/1.1 204 x", b"HTTP/1.1 304 x", b"HTTP/1.1 100 x", b"A: b", b"HTTP/1.1 200\t"],
)
def test_a_head_that_begins_otherwise_is_not_known(line: bytes) -> None:
    heads = KnownHeads()
    for _ in range(2):
        assert heads.read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nA: b") is not None
        assert heads.read(line + b"\r\nContent-Length: 3\r\nA: b") is None


def test_lines_are_remembered_up_to_a_number_and_a_length() -> None:
    heads = KnownHeads()

    for n in range(3 * LINES_AT_MOST):
        long = b"x" * (LINE_BYTES_AT_MOST + n)
        read = heads.read(b"HTTP/1.1 200 %d\r\nContent-Length: 3\r\nX-%d: %d\r\nY: %b" % (n, n, n, long))
        assert read == (200, {"content-length": "3", f"x-{n}": str(n), "y": long.decode()}, 3)

    for kept in (heads._fields, heads._fields._names, heads._statuses):
        assert len(kept) <= LINES_AT_MOST
        assert max(map(len, kept)) <= LINE_BYTES_AT_MOST


def test_what_is_remembered_of_answers_with_lines_that_come_once_takes_little_room() -> None:
    """A router may have hundreds of transports, each with its own."""
    often = b"".join(b"X-Often-%d: some value of it\r\n" % n for n in range(14))
    tracemalloc.start()
    heads = KnownHeads()
    most = 0

    for n in range(1000):
        once = b"".join(b"X-Once-%d: %032d\r\n" % (each, n) for each in range(5))
        assert heads.read(b"HTTP/1.1 200 OK\r\n" + often + once + b"Content-Length: %d" % (n + 1)) is not None
        most = max(most, tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()

    assert most < 80 << 10
