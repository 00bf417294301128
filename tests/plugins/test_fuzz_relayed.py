"""Damaged streams that are relayed: read as they would be otherwise, and sent on in whole frames that say the same."""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from pointsman.http.relayed_frames import RelayedFrames, Renaming, WholeFrames
from pointsman.types import Relayed, StreamEvent
from pointsman_ollama.decode import Lines

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


def text(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events)


def kinds(events: list[StreamEvent]) -> list[str]:
    return [type(event).__name__ for event in events]
