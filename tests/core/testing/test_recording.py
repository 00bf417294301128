"""Recordings of real exchanges: what is in them, and what never is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.testing.recording import Exchange, Recording, RecordingTransport, ReplayedTransport
from pointsman.testing.replay import CannedReply, ReplayTransport

KEY = "sk-live-canary-5c0ffee5"


def exchange(*pieces: bytes, **more: Any) -> Exchange:
    timed = [(0.25 * n, piece) for n, piece in enumerate(pieces)]
    return Exchange("POST", "/v1/chat", b'{"a": 1}', 200, pieces=timed, ending="end", **more)


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    one = exchange(b"data: \xc3", b"\xa9\n\n", headers={"content-type": "text/event-stream"})

    Recording(file).keep("first", [one], KEY)
    Recording(file).keep("second", [exchange(b"x")], KEY)

    assert Recording(file).exchanges == {"first": [one], "second": [exchange(b"x")]}
    assert json.loads(file.read_text())["recorded"].startswith("20")


@given(st.integers(0, len(KEY)), st.integers(0, len(KEY)), st.binary(max_size=5))
def test_no_cut_and_no_bytes_around_it_save_a_key(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int, around: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "cut.json"
    a, b = sorted((first, second))
    whole = KEY.encode()
    pieces = (around + whole[:a], whole[a:b], whole[b:] + around)

    Recording(file).keep("it", [exchange(*pieces)], KEY)

    (kept,) = Recording(file).exchanges["it"]
    assert whole not in b"".join(piece for _, piece in kept.pieces)


def test_a_key_stands_nowhere_in_a_recording(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    headers = {"set-cookie": "s=1", "x-ratelimit-remaining": f"1 of {KEY}", "content-type": "text/plain"}
    said = Exchange("GET", f"/models?key={KEY}", KEY.encode(), 401, headers, [(0.1, f"no {KEY}".encode())])

    Recording(file).keep("it", [said], KEY)

    (kept,) = Recording(file).exchanges["it"]
    assert KEY not in file.read_text()
    assert kept.target == "/models?key=***"
    assert kept.headers == {"x-ratelimit-remaining": "1 of ***", "content-type": "text/plain"}


def test_a_key_that_could_be_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fewer than 8 characters"):
        Recording(tmp_path / "r.json").keep("it", [exchange(b"x")], "secret")

    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"exchanges": {"a": [{"method": 1}]}}', '{"exchanges": 1}']
)
def test_a_file_that_is_no_recording_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(text)

    with pytest.raises(ValueError, match="is no recording of exchanges; record it again"):
        Recording(tmp_path / "r.json")


async def sent(transport: httpx.AsyncBaseTransport, body: bytes = b'{"a": 1, "b": 2}') -> bytes:
    headers = {"authorization": f"Bearer {KEY}"}
    request = httpx.Request("POST", "http://u.test/v1/chat?x=1", content=body, headers=headers)
    response = await transport.handle_async_request(request)
    return b"".join([piece async for piece in response.stream])  # type: ignore[union-attr]


async def test_what_passes_is_kept_with_its_times_and_given_again() -> None:
    now = iter(range(100))
    recorder = RecordingTransport(
        ReplayTransport(CannedReply(200, b"abcdef").cut(2, 4)), clock=lambda: next(now)
    )

    assert await sent(recorder) == b"abcdef"

    (kept,) = recorder.exchanges
    assert kept.pieces == [(1, b"ab"), (2, b"cd"), (3, b"ef")]
    assert (kept.target, kept.ending) == ("/v1/chat?x=1", "end")
    assert await sent(ReplayedTransport([kept]), b'{"b": 2, "a": 1}') == b"abcdef"


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (httpx.ConnectError("refused"), httpx.ConnectError),
        (CannedReply(200, b"abc", ending="break"), httpx.RemoteProtocolError),
    ],
)
async def test_failures_are_kept_and_fail_again(step: Any, error: type[Exception]) -> None:
    recorder = RecordingTransport(ReplayTransport(step))

    with pytest.raises(error):
        await sent(recorder)
    with pytest.raises(error):
        await sent(ReplayedTransport(recorder.exchanges))


async def test_a_body_that_was_given_up_falls_silent_when_it_is_given_again() -> None:
    recorder = RecordingTransport(ReplayTransport(CannedReply(200, b"abc", ending="silence")))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await sent(recorder)

    (kept,) = recorder.exchanges
    assert (kept.pieces[0][1], kept.ending) == (b"abc", "silence")


@pytest.mark.parametrize(
    ("recorded", "said"),
    [
        ([], "POST /v1/chat?x=1 is not recorded"),
        ([exchange(b"x")], "POST /v1/chat?x=1 was asked, and POST /v1/chat is recorded"),
        ([Exchange("POST", "/v1/chat?x=1", b"{}")], "POST /v1/chat?x=1 is recorded with another body"),
    ],
)
async def test_what_is_asked_otherwise_is_told(recorded: list[Exchange], said: str) -> None:
    transport = ReplayedTransport(recorded)

    with pytest.raises(httpx.ConnectError):
        await sent(transport)

    assert transport.mismatch == f"{said}; record it again: pytest --pointsman-live"
