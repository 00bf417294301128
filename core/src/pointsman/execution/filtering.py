"""What guards do to the events of one streamed answer: each filter asked, and what it gives back checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any

from pointsman._internal.plugin_errors import OWN
from pointsman.execution.guards_at_work import GuardAtWork, Wrong, failed
from pointsman.guard import StreamFilter
from pointsman.routing.entrance import ConfiguredGuard
from pointsman.types import Done, Finished, Relayed, StreamEvent, TextDelta
from pointsman.wire.assembly import Assembly

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution


class FilterAtWork:
    """The filter of one guard; `left_out`: it failed, and the stream goes on without it."""

    __slots__ = ("configured", "filter", "left_out")

    def __init__(self, configured: ConfiguredGuard, filter: StreamFilter) -> None:
        self.configured = configured
        self.filter = filter
        self.left_out = False


class Filters:
    """The filters of one stream, in the order in which its events pass them.

    Why the answer ends is told last: after the text that was held back until then.
    """

    __slots__ = ("_ending", "_execution", "_filters")

    def __init__(self, execution: Execution, passed: Sequence[GuardAtWork]) -> None:
        """Those of the guards that a request has passed. Raises: PluginError."""
        self._execution = execution
        self._ending: list[StreamEvent] = []
        made = (_made(execution, each) for each in reversed(passed))
        self._filters = [each for each in made if each is not None]

    def feed(self, events: Iterable[StreamEvent]) -> list[StreamEvent]:
        """What the caller gets for `events`. Raises: Refused, PluginError."""
        if not self._filters:
            return list(events)
        # Frames as they came say what the filters may have something against.
        passing = [event for event in events if not isinstance(event, Relayed)]
        for each in self._filters:
            passing = [out for event in passing for out in self._fed(each, event)]
        self._ending += [event for event in passing if isinstance(event, Finished)]
        return [event for event in passing if not isinstance(event, Finished)]

    def end(self) -> list[StreamEvent]:
        """What was held back, of an answer that is whole. Raises: as `feed`."""
        passing: list[StreamEvent] = []
        for each in self._filters:
            passing = [out for event in passing for out in self._fed(each, event)]
            if not each.left_out:
                passing += self._asked(each, "end", each.filter.end, ())
        self._ending += [event for event in passing if isinstance(event, Finished)]
        return [*(event for event in passing if not isinstance(event, Finished)), *self._ending]

    def _fed(self, each: FilterAtWork, event: StreamEvent) -> Sequence[StreamEvent]:
        if each.left_out:
            return (event,)
        return self._asked(each, "feed", lambda: each.filter.feed(event), (event,))

    def _asked(
        self, each: FilterAtWork, method: str, ask: Callable[[], Any], given: Sequence[StreamEvent]
    ) -> Sequence[StreamEvent]:
        """What a filter gives for the events that it was `given`.

        One that fails and may is left out from then on; what it has held back is asked for, for else it would
        be missing from the answer, and that nobody has allowed.
        """
        did: BaseException | str | None
        try:
            out = ask()
            did = wrong_events(out, given)
        except OWN as error:
            did = error
        if did is None:
            return list(out)
        failed(self._execution, each.configured, method, did)
        each.left_out = True
        if method == "end":
            return self._lost(each, did)
        try:
            held = each.filter.end()
            did = wrong_events(held, ())
        except OWN as error:
            did = error
        return [*held, *given] if did is None else self._lost(each, did)

    def _lost(self, each: FilterAtWork, did: BaseException | str) -> Sequence[StreamEvent]:
        strict = ConfiguredGuard(each.configured.guard, each.configured.name, None, None)
        failed(self._execution, strict, "end", did)
        return ()


def _made(execution: Execution, at_work: GuardAtWork) -> FilterAtWork | None:
    """The filter of a guard, if it has any."""
    configured = at_work.configured
    did: BaseException | str
    try:
        made: Any = configured.guard.stream(at_work.call)
        if made is None:
            return None
        lacking = [name for name in ("feed", "end") if not callable(getattr(made, name, None))]
        if not lacking:
            return FilterAtWork(configured, made)
        did = f"returned a {type(made).__name__} without {lacking[0]}(), in stream()"
        _close(made)
    except OWN as error:
        did = error
    failed(execution, configured, "stream", did)
    return None


def wrong_events(out: Any, given: Sequence[StreamEvent]) -> Wrong:
    """What is wrong with the events that a filter gave for those that it was `given`."""
    if not isinstance(out, list | tuple):
        _close(out)
        return f"gave a {type(out).__name__}, expected a list of events"
    for event in out:
        if event in given or (type(event) is TextDelta and type(event.text) is str):
            continue
        if not isinstance(event, StreamEvent) or isinstance(event, Done | Relayed):
            return f"gave a {type(event).__name__}, expected events of an answer"
        try:
            Assembly().add(event)
        except TypeError as error:
            return f"gave a {type(event).__name__} that is none: {error}"
    return None


def _close(made: object) -> None:
    """Python warns of a coroutine that nobody awaited, at some other place."""
    if iscoroutine(made):
        made.close()
