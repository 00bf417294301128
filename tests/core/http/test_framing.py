"""Frames out of bytes: the same ones wherever the bytes are cut, and never more memory than the limits."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pointsman.errors import BadResponse
from pointsman.http.framing import MAX_EVENT, MAX_LINE, JsonLineFramer, LineFramer, SseEvent, SseFramer

ODD = "\n\r\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\0\ufeff: "

line_ends = st.sampled_from(["\n", "\r", "\r\n"])
words = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), max_size=6)
lines = st.one_of(
    words,
    st.just(""),
    st.builds("data:{}".format, words),
    st.builds("data: {}".format, words),
    st.builds("event: {}".format, words),
    st.builds("event:{}".format, words),
    st.builds(": {}".format, words),
    st.builds("id: {}".format, words),
    st.sampled_from(["data", "event", "data:", "event:", "retry: 3", "datum: x", " data: x", "Data: x"]),
)
bodies = st.builds(
    lambda bom, parts: bom + b"".join((line + end).encode() for line, end in parts),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf\xef\xbb\xbf", b"\xef"]),
    st.lists(st.tuples(lines, line_ends), max_size=12),
)


def pieces(body: bytes, cuts: Iterable[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    return [body[start:end] for start, end in pairwise(at)]


def framed(make: Callable[[], SseFramer | JsonLineFramer], chunks: Iterable[bytes]) -> list[SseEvent]:
    framer = make()
    return [event for chunk in chunks for event in framer.feed(chunk)] + framer.close()


def until_it_fails(make: Callable[[], SseFramer | JsonLineFramer], chunks: Iterable[bytes]) -> list[SseEvent]:
    """The events before the failure, which must come at the end of the body at the latest."""
    framer = make()
    events: list[SseEvent] = []
    try:
        for chunk in chunks:
            events += framer.feed(chunk)
        framer.close()
    except BadResponse:
        return events
    raise AssertionError("it did not fail")


def beyond_the_standard(body: bytes) -> bool:
    """Whether a line has no field before it and begins as JSON or, at the beginning, as a page does."""
    text = body.removeprefix(b"\xef\xbb\xbf")
    return re.search(rb"(^|[\r\n])([{\[]|error:)", text) is not None or text.lstrip()[:1] == b"<"


def as_the_standard_says(body: bytes) -> list[SseEvent]:
    """The events of a whole body: the standard's algorithm, word for word, with the text in one piece."""
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    events, data, name = [], "", ""
    for line in re.split("\r\n|\r|\n", text)[:-1]:
        if line == "":
            if data != "":
                plain = data.removesuffix("\n").encode("utf-8", "surrogateescape")
                events.append(
                    SseEvent(name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"), plain)
                )
            data, name = "", ""
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data += value + "\n"
            elif field == "event":
                name = value
    return events


@settings(deadline=None)
@given(bodies)
@example(b"data: a\r\ndata:b\rdata\n\n")
@example(b"event: x\nevent\ndata: 1\n\n")
@example(b"event:  two blanks \ndata: 1\n\n")
@example(b"\xef\xbb\xbfdata: 1\n\n")
@example(b"event: lost\n\ndata: 1\n\n")
def test_events_are_those_of_the_standard(body: bytes) -> None:
    assume(not beyond_the_standard(body))
    events = framed(SseFramer, [body])

    if events != as_the_standard_says(body):  # the one thing more that it reads
        assert events == as_the_standard_says(body + b"\n\n"), "the last event lacks its blank line"
        json.loads(events[-1].data)


@settings(deadline=None)
@given(bodies, st.lists(st.integers(0, 400), max_size=20))
@example(b"data: 1\r\n\r\ndata: 2\r\n\r\n", [8, 9, 10, 11])
@example(b"\xef\xbb\xbfdata: 1\n\n", [1, 2, 3])
def test_a_body_cut_anywhere_gives_the_same_events(body: bytes, cuts: list[int]) -> None:
    whole = framed(SseFramer, [body])

    assert framed(SseFramer, pieces(body, cuts)) == whole
    assert framed(SseFramer, [body[n : n + 1] for n in range(len(body))]) == whole


class ByLines(SseFramer):
    """Reads everything line by line."""

    def feed(self, data: bytes) -> list[SseEvent]:
        return self._feed_lines(data)


class PlainFirst(SseFramer):
    """Is asked for plain data first, as an event source does it."""

    def feed(self, data: bytes) -> list[SseEvent]:
        values = self.feed_plain(data)
        return super().feed(data) if values is None else [SseEvent("", each) for each in values]


values = st.text(st.one_of(st.sampled_from('{} :\n\r"de'), st.characters(codec="utf-8")), max_size=8)
usual = st.builds("data: {}\n\n".format, values)
named = st.builds("event: {}\ndata: {}\n\n".format, values, values)
unusual = st.sampled_from(
    ["\n", "\r\n", ": ping\n\n", "data: a\ndata: b\n\n", "event: x\n\n", "event: x\n", "data:1\n\n", "data: 1\r\n\r\n",
     "data\n\n", "event\ndata: 1\n\n", "id: 1\ndata: 2\n\n", "data: 1\nevent: x\n\n", "data: 1\n", "event: ", "data: "]
)  # fmt: skip
plain_bodies = st.builds(
    lambda bom, parts: (bom + "".join(parts)).encode(),
    st.sampled_from(["", "", "\ufeff"]),
    st.one_of(
        st.lists(usual, max_size=6),
        st.lists(named, max_size=6),
        st.lists(st.one_of(usual, usual, usual, named, unusual), max_size=10),
    ),
)


@settings(deadline=None)
@given(plain_bodies, st.lists(st.integers(0, 200), max_size=6), st.sampled_from([4 << 20, 3, 12, 40]))
@example(b"data: 1\n\ndata: 2\n\ndata: 3\n\n", [3, 12], 4 << 20)
@example(b"data: 1\n\n\ndata: 2\n\n", [], 4 << 20)
@example(b"data: 1\ndata: 2\n\ndata: 3\n\n", [8], 4 << 20)
@example(b"event: a\n\nevent: b\ndata: 1\ndata: 2\n\n", [], 4 << 20)
@example(b"event: a\ndata: 1\n\ndata: 2\n\n", [9], 4 << 20)
@example(b"data: 1\r\n\r\n\ndata: 2\n\n", [11], 4 << 20)
def test_whole_events_at_once_are_the_same_as_line_by_line(
    body: bytes, cuts: list[int], max_event: int
) -> None:
    def told(make: Callable[[int], SseFramer]) -> tuple[list[SseEvent], bool]:
        framer = make(max_event)
        events: list[SseEvent] = []
        try:
            for piece in pieces(body, cuts):
                events += framer.feed(piece)
            framer.close()
        except BadResponse:
            return events, False
        return events, True

    line_by_line = told(ByLines)

    assert told(SseFramer) == line_by_line
    assert told(PlainFirst) == line_by_line
    if line_by_line[1] and not beyond_the_standard(body):
        assert line_by_line[0] == as_the_standard_says(body)


def test_plain_data_is_given_for_whole_events_of_one_line_only() -> None:
    framer = SseFramer()

    assert framer.feed_plain(b"data: 1\n\ndata: 2\n\n") == [b"1", b"2"]
    for other in (b"", b"data: 1\n", b"event: x\ndata: 1\n\n", b"data: 1\ndata: 2\n\n", b": ping\n\n"):
        assert framer.feed_plain(other) is None
    assert framer.feed(b"data: 3\n\ndata: ") == [SseEvent("", b"3")]
    assert framer.feed_plain(b"data: 4\n\n") is None
    assert framer.feed(b"data: 4\n\ndata: 5\n\n") == [SseEvent("", b"data: 4"), SseEvent("", b"5")]
    assert framer.feed_plain(b"data: 6\n\n") == [b"6"]


@settings(deadline=None)
@given(bodies, st.lists(st.integers(0, 400), max_size=20))
def test_json_lines_cut_anywhere_are_the_same_lines(body: bytes, cuts: list[int]) -> None:
    whole = [SseEvent("", line) for line in re.split(b"\r\n|\r|\n", body) if line.strip()]

    assert framed(JsonLineFramer, [body]) == whole
    assert framed(JsonLineFramer, pieces(body, cuts)) == whole
    framer = JsonLineFramer()
    plain = [line for piece in pieces(body, cuts) for line in framer.feed_plain(piece)]
    assert [SseEvent("", line) for line in plain] + framer.close() == whole


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=30))
def test_no_bytes_make_a_framer_raise_anything_below_its_limits(chunks: list[bytes]) -> None:
    framed(SseFramer, chunks)
    framed(JsonLineFramer, chunks)


@pytest.mark.parametrize("odd", [*"\u2028\u2029\x85\x0b\x0c\x1c\x1d\x1e\0"])
def test_only_cr_and_lf_end_a_line(odd: str) -> None:
    said = f"a{odd}b".encode()

    assert framed(SseFramer, [b"data: " + said + b"\n\n"]) == [SseEvent("", said)]
    assert framed(JsonLineFramer, [said + b"\n"]) == [SseEvent("", said)]


def test_a_crlf_cut_in_two_ends_one_line_and_not_two() -> None:
    framer = LineFramer()

    given_lines = [framer.feed(chunk) for chunk in (b"a\r", b"", b"\nb\r", b"\n", b"\n", b"\r")]

    assert given_lines == [[b"a"], [], [b"b"], [], [b""], [b""]]


def test_a_lf_after_a_closed_framer_is_a_line_of_its_own() -> None:
    framer = LineFramer()
    framer.feed(b"a\r")
    framer.close()

    assert framer.feed(b"\nb\n") == [b"", b"b"]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n", b"\nid: 7", b"\n: ping"])
@pytest.mark.parametrize("last", [b"[DONE]", b" [DONE] ", b'{"a": 1}', b"2", b'{\ndata: "a": 1}'])
def test_the_last_event_needs_no_blank_line_when_it_is_whole(last: bytes, end: bytes) -> None:
    (_, event) = framed(SseFramer, [b"data: 1\n\nevent: x\ndata:" + last + end])
    assert event == SseEvent("x", last.replace(b"\ndata: ", b"\n").removeprefix(b" "))


@pytest.mark.parametrize("last", [b"[DONE", b'{"a": 1', b'{"a": "b', b"", b"nul", b'{"a": 1}\ndata: {'])
def test_a_last_event_that_was_cut_is_dropped(last: bytes) -> None:
    assert framed(SseFramer, [b"data: 1\n\ndata: " + last]) == [SseEvent("", b"1")]


def test_a_field_of_the_name_error_is_an_event_of_that_name() -> None:
    body = b'data: 1\n\nerror: {"code":500}\n\ndata: 2\n\n'
    assert framed(SseFramer, [body]) == [
        SseEvent("", b"1"),
        SseEvent("error", b'{"code":500}'),
        SseEvent("", b"2"),
    ]


def test_an_event_of_the_name_error_counts_without_data_others_do_not() -> None:
    assert framed(SseFramer, [b"event: ping\n\nevent: error\n\n"]) == [SseEvent("error", b"")]


@pytest.mark.parametrize(
    ("body", "data"),
    [
        (b'{"error": 1}', [b'{"error": 1}']),
        (b'\xef\xbb\xbf\n{"error": 1}\n', [b'{"error": 1}']),
        (b'{\n  "error": {\n  "a": 1\n }\n}\n', [b'{\n  "error": {\n  "a": 1\n }\n}']),
        (b'[{"error": 1}]', [b'[{"error": 1}]']),
        (b'{"error": 1}\n\ndata: [DONE]\n\n', [b'{"error": 1}', b"[DONE]"]),
        (b'data: 1\n\n{"error": 1}\ndata: [DONE]\n\n', [b"1", b'{"error": 1}', b"[DONE]"]),
        (b'data: 1\n\n{"error": ', [b"1"]),
    ],
)
def test_json_without_a_field_before_it_is_an_event(body: bytes, data: list[bytes]) -> None:
    whole = framed(SseFramer, [body])
    assert [event.data for event in whole] == data
    assert framed(SseFramer, [body[n : n + 1] for n in range(len(body))]) == whole


def test_data_lines_are_joined_and_lose_one_blank_only() -> None:
    assert framed(SseFramer, [b"data:  a\ndata:b\ndata\ndata:\n\n"]) == [SseEvent("", b" a\nb\n\n")]


def test_comments_and_unknown_fields_make_no_event() -> None:
    assert framed(SseFramer, [b": ping\n\nid: 7\nretry: 10\nfoo: bar\n\n:\n\n"]) == []


def test_a_name_holds_for_one_event() -> None:
    body = b"event: one\ndata: 1\n\ndata: 2\n\nevent: lost\n\ndata: 3\n\n"

    assert framed(SseFramer, [body]) == [SseEvent("one", b"1"), SseEvent("", b"2"), SseEvent("", b"3")]


def test_a_name_that_is_not_utf_8_is_no_failure() -> None:
    assert framed(SseFramer, [b"event: \xff\ndata: 1\n\n"]) == [SseEvent("\ufffd", b"1")]


def test_json_lines_pass_over_blank_ones_and_need_no_last_line_end() -> None:
    assert framed(JsonLineFramer, [b'\n{"a":1}\r\n \r\n\n{"b":', b"2}"]) == [
        SseEvent("", b'{"a":1}'),
        SseEvent("", b'{"b":2}'),
    ]


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("make", "line"), [(SseFramer, b"data: " + b"x" * MAX_EVENT), (JsonLineFramer, b"x" * MAX_LINE)]
)
def test_a_line_of_the_limit_passes_and_one_byte_more_does_not(
    make: Callable[[], SseFramer | JsonLineFramer], line: bytes
) -> None:
    assert len(framed(make, [line, b"\n\n"])) == 1
    assert until_it_fails(make, [line + b"x\n\n"]) == []
    assert until_it_fails(make, [line, b"x", b"\n\n"]) == []
    assert until_it_fails(make, [line + b"x"]) == []


@pytest.mark.parametrize("make", [SseFramer, JsonLineFramer])
@pytest.mark.parametrize("size", [1 << 10, 100_000, 3 << 20, 8 << 20])
def test_what_came_before_a_line_too_long_is_delivered_wherever_the_cut_is(
    make: Callable[[], SseFramer | JsonLineFramer], size: int
) -> None:
    body = b"data: 1\n\ndata: 2\n\n" + b"data: " + b"x" * MAX_LINE + b"\n\ndata: 3\n\n"

    events = until_it_fails(make, [body[at : at + size] for at in range(0, len(body), size)])

    assert [event.data[-1:] for event in events] == [b"1", b"2"]


@pytest.mark.parametrize("size", [4 << 10, 700_001, 20 << 20])
def test_an_event_above_the_limit_is_refused_after_those_before_it(size: int) -> None:
    most = b"".join(b"data: " + b"x" * ((1 << 20) - 10) + b"\n" for _ in range(4))
    at_most = most + b"data: " + b"x" * 36 + b"\n\n"
    body = b"data: 1\n\n" + at_most + most + b"data: " + b"x" * 37 + b"\n\ndata: 3\n\n"

    events = until_it_fails(SseFramer, [body[at : at + size] for at in range(0, len(body), size)])

    assert [len(event.data) for event in events] == [1, MAX_EVENT]


@pytest.mark.parametrize("line", [b"data\n", b"data:\n", b"data: \n"])
def test_an_event_of_empty_lines_does_not_grow_for_ever(line: bytes) -> None:
    framer = SseFramer(max_event=1000)

    framer.feed(line * 1001)
    with pytest.raises(BadResponse):
        framer.feed(line)


def test_a_framer_that_refused_refuses_ever_after() -> None:
    for framer in (SseFramer(), JsonLineFramer()):
        with pytest.raises(BadResponse):
            framer.feed(b"x" * (MAX_LINE + 1))
        with pytest.raises(BadResponse):
            framer.feed(b"data: 1\n\n")
        with pytest.raises(BadResponse):
            framer.close()


def test_a_line_that_never_ends_takes_no_more_memory_than_its_limit() -> None:
    chunk = b"x" * 1024
    framer = LineFramer()
    tracemalloc.start()

    try:
        for _ in range(MAX_LINE // 1024):
            framer.feed(chunk)
        for _ in range(MAX_LINE // 1024):
            with pytest.raises(BadResponse):
                framer.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * MAX_LINE


class Counted(bytearray):
    """A buffer that counts how many bytes were searched for line ends."""

    searched = 0

    def rfind(self, sub: bytes, start: int = 0, end: int | None = None) -> int:  # type: ignore[override]
        self.searched += len(self) - start
        return super().rfind(sub, start)


def test_no_byte_of_a_long_line_is_searched_twice() -> None:
    framer = LineFramer(max_line=4 << 20)
    framer._partial = buffer = Counted()
    chunk = b"x" * 1024

    for _ in range(4 << 10):
        assert framer.feed(chunk) == []

    assert buffer.searched == 4 << 20
    assert framer.feed(b"\n") == [b"x" * (4 << 20)]


@pytest.mark.parametrize("before", ["", "\ufeff", "\n\r\n", "  "])
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_page_in_place_of_events_is_an_event(before: str, size: int) -> None:
    page = f"{before}<html>\n<p>Sign in\n\n</html>".encode()

    events = framed(SseFramer, [page[at : at + size] for at in range(0, len(page), size)])

    assert events[0].data.split() == [b"<html>", b"<p>Sign", b"in"]


@pytest.mark.parametrize("size", [1, 1000])
def test_a_page_on_one_line_without_an_end_is_an_event(size: int) -> None:
    page = b"<html>Sign in</html>"

    events = framed(SseFramer, [page[at : at + size] for at in range(0, len(page), size)])

    assert events == [SseEvent("", page)]


def test_markup_behind_the_first_line_is_no_event() -> None:
    assert framed(SseFramer, [b": hello\n<html>\n\ndata: 1\n\n<p>"]) == [SseEvent("", b"1")]
