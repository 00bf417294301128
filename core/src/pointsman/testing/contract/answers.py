"""What a provider owes the router about whole answers and streams."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ProviderError,
    Truncated,
)
from pointsman.testing.contract.assertions import assembled, check, check_events
from pointsman.testing.contract.canned import CannedBreak, CannedStream
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import PATIENCE, Bench, error_of
from pointsman.testing.contract.mutations import (
    some_offsets,
)
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject
from pointsman.testing.replay import CannedReply


class AnswerTerms(ProviderSubject, terms=True):
    """Nothing of an answer is lost, however it arrives, and what breaks off is not taken for whole."""

    @rule(
        "PROVIDER-11",
        "What is lost on the way (a tool call, the reason of the end, the count of tokens) is "
        "lost for everybody after it.",
    )
    @on_virtual_loop
    async def test_a_chat_gives_everything_that_the_answer_says(self) -> None:
        canned = self._chat()
        bench = Bench(self, anyhow=True)

        response = await bench.chat(canned.reply)

        check(response, canned)

    @rule("PROVIDER-12", "Half an answer that passes for a whole one is taken for what the model said.")
    @on_virtual_loop
    async def test_a_chat_whose_answer_breaks_off_fails(self) -> None:
        canned = self._chat()
        bench = Bench(self)
        for length in some_offsets(canned.body.rstrip()):
            for ending in ("end", "break"):
                reply = canned.reply.until(length, ending)
                what = f"{length} of {len(canned.body)} bytes and then {ending!r}"
                error = await error_of(bench.chat(reply))
                assert isinstance(error, ProviderError), f"{what}: {error!r}"

    @rule("PROVIDER-13", "Whether it streams is the choice of the caller, and must not change what is said.")
    @on_virtual_loop
    async def test_a_stream_gives_everything_that_the_answer_says(self) -> None:
        for canned in self._streams():
            told = await Bench(self, anyhow=True).stream(canned.reply)

            assert told.error is None, f"the stream ended with {told.error!r}"
            check_events(told.events)
            check(assembled(told.events), canned)

    @rule(
        "PROVIDER-14",
        "A network cuts where it likes, and text would be lost or garbled now and then, which no "
        "test of whole bodies shows.",
    )
    @on_virtual_loop
    async def test_a_stream_cut_anywhere_gives_the_same_events(self) -> None:
        canned: list[CannedStream | CannedBreak] = [*self._streams()]
        if self.mid_stream_error is not None:
            canned.append(self.mid_stream_error)
        for each in canned:
            bench = Bench(self)
            whole = await bench.stream(each.reply)
            cuts: dict[str, CannedReply] = {f"seed {n}": each.reply.cut_by(n) for n in range(1, 30)}
            cuts |= {f"one cut at {n}": each.reply.cut(n) for n in some_offsets(each.body)}
            for how, reply in cuts.items():
                told = await bench.stream(reply)
                assert told.events == whole.events, f"other events with {how}"
                assert _said(told.error) == _said(whole.error), f"another end with {how}"

    @rule("PROVIDER-15", "A stream whose connection was lost would look like an answer that was finished.")
    @on_virtual_loop
    async def test_a_stream_without_its_end_marker_is_truncated_wherever_it_stops(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            for length in some_offsets(canned.body[: canned.body.index(canned.end)], first=0):
                for ending in ("end", "break"):
                    reply = canned.reply.until(length, ending)
                    told = await bench.stream(reply)
                    assert isinstance(told.error, Truncated), (
                        f"{length} bytes of {len(canned.body)} and then {ending!r}: expected Truncated, "
                        f"got {told.error!r} after {len(told.events)} events"
                    )

    @rule(
        "PROVIDER-16",
        "An answer that is all there would be thrown away, or taken for one that lacks its end.",
    )
    @on_virtual_loop
    async def test_a_stream_that_stops_inside_its_end_marker_loses_nothing_when_it_ends_well(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            for length in range(canned.body.index(canned.end), len(canned.body)):
                told = await bench.stream(canned.reply.until(length))
                if told.error is None:
                    response = assembled(told.events)
                    assert response.text == canned.text, f"text is missing after {length} bytes"
                    assert response.finish_reason == canned.finish_reason, f"wrong end after {length} bytes"
                else:
                    assert isinstance(told.error, Truncated), f"{length} bytes gave {told.error!r}"

    @rule("PROVIDER-17", "A caller waits for an answer that is complete, or is told of what comes after it.")
    @on_virtual_loop
    async def test_nothing_after_the_end_marker_is_read(self) -> None:
        for canned in self._streams():
            bench = Bench(self)
            whole = await bench.stream(canned.reply)
            size = len(canned.body)
            for more in (canned.body, b"\x00\xff{]\n\n", b"data: {\n\n", b"\n\n\n"):
                reply = replace(canned.reply, body=canned.body + more)
                together = (reply, reply.cut_by(1)) if more is canned.body else ()
                # Whatever comes in one piece with the end may be no frame of this wire.
                for each in (*together, reply.cut(size), replace(reply.cut(size), ending="silence")):
                    told = await bench.stream(each)
                    assert told.error is None, f"what follows the end marker ended it with {told.error!r}"
                    assert told.events == whole.events, "what follows the end marker gave events"

    @rule(
        "PROVIDER-18",
        "An upstream that hangs holds the caller and the place of a connection for as long as it likes.",
    )
    @on_virtual_loop
    async def test_a_stream_that_falls_silent_times_out_when_it_was_told(self) -> None:
        canned = self._stream()
        bench = Bench(self)
        for length in some_offsets(canned.body[: canned.body.index(canned.end)], first=0, most=20):
            before = bench.now()
            told = await bench.stream(canned.reply.until(length, "silence"))

            assert isinstance(told.error, AttemptTimeout), f"silence after {length} bytes: {told.error!r}"
            assert bench.now() - before < 2 * PATIENCE, "the time that `next` was given has passed"

    @rule(
        "PROVIDER-19",
        "What was said before a failure would be lost, or the failure itself taken for the end "
        "of the answer.",
    )
    @on_virtual_loop
    async def test_a_failure_that_the_upstream_reports_mid_stream_follows_what_came_before(self) -> None:
        canned = self.mid_stream_error
        if canned is None:
            pytest.skip("no canned mid_stream_error")

        told = await Bench(self).stream(canned.reply)

        assert type(told.error) is canned.kind, f"expected {canned.kind.__name__}, got {told.error!r}"
        assert assembled(told.events).text == canned.text, "the text before the failure is not all there"


def _said(error: CallError | None) -> tuple[type, str] | None:
    return None if error is None else (type(error), str(error))
