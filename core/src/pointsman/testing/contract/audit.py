"""What every audit sink owes the router."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any, ClassVar

from msgspec import Struct

from pointsman.audit import AuditSink
from pointsman.errors import AuditUnavailable, Outcome
from pointsman.events import (
    AttemptEnded,
    BreakerChanged,
    CallerRefused,
    Event,
    HealthChanged,
    Reloaded,
    RequestEnded,
    RequestStarted,
)
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import open_files, waits_noted
from pointsman.types import Usage

_TEXTS = ("", "x", "\u00e9\n\r\0", "half a pair: \ud800", "y" * 100_000)
_LONGEST = 0.05


class AuditContract(Contract, terms=True):
    """What every audit sink owes the router. Write `make`.

    Attributes:
        patience: seconds after which whatever has not returned never will.
    """

    patience: ClassVar[float] = 10.0

    def make(self, directory: Path) -> AuditSink:
        """A fresh sink; what it writes to files goes to `directory`."""
        raise NotImplementedError("write `make`, which returns a sink")

    @rule("AUDIT-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        check_made("audit", sink)
        sink.close()

    @rule("AUDIT-02", "Ids, tags and reasons come from outside; one odd letter would end the record.")
    def test_it_takes_every_event_whatever_texts_it_holds(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        for event in (event for text in _TEXTS for event in _events(text)):
            sink(event)
        sink.close()

    @rule(
        "AUDIT-03",
        "It is called between the chunks of everybody's streams, and a slow disk would stop them all.",
    )
    def test_it_hands_the_writing_on(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        for event in _events("x"):
            kind = type(event).__name__
            # Every time: what is prepared with the first event is the sink's own affair.
            assert not (waits := _waits_each_time(sink, event)), f"it calls {waits}() with every {kind}"
            took = []
            for _ in range(5):
                began = time.perf_counter()
                sink(event)
                took.append(time.perf_counter() - began)
            # The least of them: a machine that is busy may stop any.
            assert min(took) < _LONGEST, f"it keeps the event loop for {min(took):.3f} s with every {kind}"
        sink.close()

    @rule("AUDIT-04", "The process would hang for ever, on a rare turn of the garbage collector.")
    def test_an_event_that_is_told_in_the_midst_of_another_is_taken(self, tmp_path: Path) -> None:
        """A stream that nobody holds any more tells its end wherever the collector happens to run."""
        sink = self.make(tmp_path)
        (event, *_) = _events("x")
        inside = False

        def collector(_frame: Any, what: str, _function: Any) -> None:
            nonlocal inside
            if what == "c_call" and not inside:
                inside = True
                sink(event)
                inside = False

        def tell() -> None:
            sys.setprofile(collector)
            try:
                sink(event)
            finally:
                sys.setprofile(None)

        assert _returns(tell, self.patience), "it waits for itself: use no lock where events are taken"
        sink.close()

    @rule("AUDIT-05", "A program would not end, or end without its last records.")
    def test_nothing_is_left_at_work_when_it_is_closed(self, tmp_path: Path) -> None:
        before = set(threading.enumerate())
        sink = self.make(tmp_path)
        for event in _events("x"):
            sink(event)
        assert _returns(sink.close, self.patience), f"`close` has not returned after {self.patience:g} s"
        left = [each.name for each in threading.enumerate() if each not in before]
        assert not left, f"threads that go on: {left}"

    @rule("AUDIT-06", "An update of the router would break every record.")
    def test_an_event_of_a_kind_that_it_does_not_know_is_no_fault(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        sink(_Newer("x", 1, {"a": "b"}))  # type: ignore[arg-type]
        sink.close()

    @rule("AUDIT-07", "Others are told the same event, and would be told something else.")
    def test_events_stay_as_they_were(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        for event in _events("x"):
            before = deepcopy(event)
            sink(event)
            assert event == before, f"it changes a {type(event).__name__}; copy its tags"
        sink.close()

    @rule("AUDIT-08", "Each reload opens another file, until the process may open no more.")
    def test_no_file_is_left_open_when_it_is_closed(self, tmp_path: Path) -> None:
        before = open_files()
        sink = self.make(tmp_path)
        for event in _events("x"):
            sink(event)
        assert _returns(sink.close, self.patience), f"`close` has not returned after {self.patience:g} s"
        left = sorted(open_files() - before)
        assert not left, f"open after `close`: {', '.join(left)}"

    @rule("AUDIT-09", "Everybody's streams would stop while one request waits to be taken.")
    def test_a_request_that_waits_to_be_taken_keeps_nobody(self, tmp_path: Path) -> None:
        """Of a sink that has `admit`; so are the rules after it."""
        sink = self.make(tmp_path)
        if (admit := getattr(sink, "admit", None)) is not None:
            took: list[float] = []

            async def turns() -> None:
                waits = asyncio.ensure_future(_taken(admit))
                for _ in range(5):
                    began = time.perf_counter()
                    await asyncio.sleep(0)
                    took.append(time.perf_counter() - began)
                await waits

            took_it = _returns(lambda: asyncio.run(turns()), self.patience)
            assert took_it, f"`admit` has not returned after {self.patience:g} s"
            # As above, but the turn in which it begins is one of them: no other may be as long.
            assert max(took) < _LONGEST or sorted(took)[-2] > _LONGEST / 2, "`admit` keeps the event loop"
        sink.close()

    @rule("AUDIT-10", "A caller who goes away would be waited for, and a router that closes would not end.")
    def test_a_request_can_be_cancelled_while_it_waits_to_be_taken(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        if (admit := getattr(sink, "admit", None)) is not None:

            async def cancel() -> None:
                task = asyncio.ensure_future(_taken(admit))
                await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])

            assert _returns(lambda: asyncio.run(cancel()), self.patience), "it goes on when it is cancelled"
        sink.close()

    @rule("AUDIT-11", "Requests that were under way at a reload would wait for ever.")
    def test_a_sink_that_is_closed_lets_nobody_wait(self, tmp_path: Path) -> None:
        sink = self.make(tmp_path)
        sink.close()
        if (admit := getattr(sink, "admit", None)) is not None:
            ended = _returns(lambda: asyncio.run(_taken(admit)), self.patience)
            assert ended, "`admit` waits after `close`: raise AuditUnavailable"


def _waits_each_time(sink: AuditSink, event: Event) -> str | None:
    """A call that waits for something, which the sink makes whenever it is told of `event`."""
    for _ in range(2):
        with waits_noted() as waits:
            sink(event)
        if not waits:
            return None
    return waits[0]


async def _taken(admit: Callable[[RequestStarted], Any]) -> None:
    with suppress(AuditUnavailable):
        await admit(RequestStarted("x", "chat", "x", 1e9))


class _Newer(Struct, frozen=True):
    """An event of a later version."""

    request_id: str
    count: int
    tags: dict[str, str]


def _returns(work: Callable[[], object], seconds: float) -> bool:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _events(text: str) -> list[Event]:
    """One of each kind, all of whose texts are `text`."""
    usage, tags = Usage(3, 2), {text: text}
    return [
        AttemptEnded(
            text, text, text, 1, Outcome.OK, text, text, None, 1e9, 0.1, 0.05, usage, text, False, text, tags
        ),
        RequestEnded(text, text, text, text, text, text, text, text, 1, 1e9, 0.1, usage, text, tags),
        CallerRefused(text, text, text, text, text, text, text, 401, 1e9),
        BreakerChanged(text, text, text, text),
        HealthChanged(text, False, text),
        Reloaded(1, 2, 3),
    ]
