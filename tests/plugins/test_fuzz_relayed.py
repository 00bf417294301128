"""Damaged streams that are relayed: read as they would be otherwise, and sent on in whole frames that say the same."""

from __future__ import annotations

import random
import sys
import time
from itertools import groupby
from pathlib import Path

from pointsman.http.relayed_frames import RelayedFrames, Renaming, WholeFrames
from pointsman.plugin import SseFramer
from pointsman.types import Relayed, StreamEvent
from pointsman_ollama.decode import Lines
from pointsman_openai.decode import ChatDecoder

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
import stream_fuzz


def test_a_damaged_stream_is_read_as_it_is_otherwise_and_what_is_sent_on_says_what_was_read() -> None:
    seed = time.time_ns() % 1_000_000
    print(f"seed {seed}")

    for n in range(800):
        given = stream_fuzz.stream(seed, n, mutate=bool(n % 4))
        parts = list(stream_fuzz.pieces(given.body, random.Random(f"{seed}/{n}")))
        end = b"\n" if isinstance(given.make()[0], Lines) else b"\n\n"
        named = Renaming("public", holder="", end=end)
        relaying = RelayedFrames(*given.make(), named, None, end=end, ends=b"")

        events, error = stream_fuzz.decoded(*given.make(), parts)
        relayed, relayed_error = stream_fuzz.decoded(WholeFrames(end), relaying, parts)

        read = [event for event in relayed if not isinstance(event, Relayed)]
        came = b"".join(event.data for event in relayed if isinstance(event, Relayed))
        assert text(read) == text(events), (n, given.name)
        assert type(relayed_error) is type(error), (n, given.name)
        assert kinds(read) == kinds(events), (n, given.name)
        if came:
            assert came.endswith(end), (n, given.name)
            assert text(stream_fuzz.decoded(*given.make(), [came])[0]) == text(read), (n, given.name)


def test_an_end_marker_without_its_blank_line_goes_on_with_one() -> None:
    named = Renaming("public", holder="", end=b"\n\n")
    relaying = RelayedFrames(SseFramer(), ChatDecoder(), named, None, end=b"\n\n", ends=b"data: [DONE]\n\n")
    said = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}]}\n\n'

    events, error = stream_fuzz.decoded(WholeFrames(b"\n\n"), relaying, [said, b"data: [DO", b"NE]"])

    assert error is None
    came = b"".join(event.data for event in events if isinstance(event, Relayed))
    assert came == said + b"data: [DONE]\n\n"


def text(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events)


def kinds(events: list[StreamEvent]) -> list[str]:
    """Of each event; of texts that follow one another only once, for a run of them is one."""
    return [kind for kind, _same in groupby(type(event).__name__ for event in events)]
