"""Streams that guards stand around: an upstream's, filtered, or the answer that a guard had."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from pointsman.errors import CallError, Outcome
from pointsman.execution.accounting import end_attempt
from pointsman.execution.execution import Execution
from pointsman.execution.filtering import Filters
from pointsman.execution.guards_at_work import SAID, GuardAtWork, without_old_raw
from pointsman.execution.recording import tell
from pointsman.execution.stream_attempt import StreamAttempt
from pointsman.routing.lease import Lease
from pointsman.types import (
    ChatResponse,
    Done,
    Finished,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Request,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageUpdate,
    replace,
)
from pointsman.values.typed_answers import typed
from pointsman.wire.assembly import Assembly

if TYPE_CHECKING:
    from pointsman.execution.guarded import GuardedExecution


class FilteredAttempt(StreamAttempt):
    """One attempt at a stream that guards filter, once it is the one that answers."""

    __slots__ = ("_filters",)

    def __init__(self, execution: Execution, lease: Lease) -> None:
        super().__init__(execution, lease)
        self.told = Assembly()
        self._filters: Filters | None = None

    async def begin(self, passed: Sequence[GuardAtWork]) -> None:
        """Have what was read until here, and all that follows, pass the filters of these guards.

        On an error it has ended.

        Raises: Refused, PluginError.
        """
        try:
            self._filters = filters = Filters(self._execution, passed)
            read = list(self.ready)
            self.ready.clear()
            self._pass_on(filters.feed(read))
            if self.whole:
                await self.complete()
        except BaseException as error:
            self.abort()
            failure = error if isinstance(error, CallError) else None
            outcome = Outcome.NEUTRAL if failure is None else failure.outcome
            end_attempt(self._execution, self.lease, outcome, failure, self.assembly.usage)
            raise

    def take(self, events: Sequence[StreamEvent]) -> bool:
        """As of an attempt; the caller gets what the filters make of them."""
        committed = super().take(events)
        if self._filters is not None:
            for _ in events:
                self.ready.pop()
            self._pass_on(self._filters.feed(events))
        return committed

    async def complete(self) -> None:
        """As of an attempt, as soon as there are filters, with what they still hold back."""
        if self._filters is None:
            return
        # First: whatever the guards say, the upstream has done its part.
        usage, id = self.assembly.usage, getattr(self.source, "upstream_request_id", "")
        end_attempt(self._execution, self.lease, Outcome.OK, None, usage, id if isinstance(id, str) else "")
        self._pass_on(self._filters.end())
        self.told.usage = usage
        await super().complete()
        execution = cast("GuardedExecution", self._execution)
        if execution.mirror is not None and self.response is not None:
            execution.mirror.answered(execution, self.response)
        if execution.setting.recording:
            tell(execution, self.response)

    def abort(self) -> None:
        """As of an attempt; of one that has begun to answer it is told what was delivered."""
        super().abort()
        if self._filters is not None and self._execution.setting.recording:
            tell(cast("GuardedExecution", self._execution), self.told.response())

    def _pass_on(self, events: Sequence[StreamEvent]) -> None:
        self.told.extend(events)
        self.ready.extend(events)


class AnsweredStream:
    """The answer that a guard had, told as a stream. It is whole from the start.

    Attributes:
        ready: its events; told: what they say together; response: the whole answer.
    """

    __slots__ = ("ready", "response", "told")

    def __init__(self, response: ChatResponse, filters: Filters, request: Request) -> None:
        """Raises: Refused, PluginError."""
        self.told = Assembly()
        events = [*filters.feed(events_of(response)), *filters.end()]
        self.told.extend(events)
        told, names = self.told.response(), (*SAID, "finish_reason", "native_finish_reason")
        given = replace(response, **{name: getattr(told, name) for name in names})
        self.response = typed(without_old_raw(response, given), request)
        self.ready = deque([*events, Done(self.response)])

    async def read(self) -> None:
        """Nothing is left to read."""

    def discard(self) -> None:
        """Nothing is at work."""


def events_of(response: ChatResponse) -> Iterator[StreamEvent]:
    """The events that tell `response`, but for its `raw`, which is that of a whole answer."""
    yield Started(response.id, response.model)
    if response.reasoning:
        yield ReasoningDelta(response.reasoning)
    for block in response.reasoning_blocks:
        yield ReasoningBlock(block)
    if response.text:
        yield TextDelta(response.text)
    if response.refusal:
        yield RefusalDelta(response.refusal)
    for call in response.tool_calls:
        yield ToolCallDelta(call.index, call.id, call.name, call.arguments, call.extra)
    if response.extra:
        yield RawDelta(extra=response.extra)
    yield UsageUpdate(response.usage)
    yield Finished(response.finish_reason, response.native_finish_reason)
