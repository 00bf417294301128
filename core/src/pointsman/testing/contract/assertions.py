"""What an answer says, compared with what its author wrote beside it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pointsman.testing.contract.canned import CannedChat
from pointsman.types import (
    ChatResponse,
    Done,
    Finished,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
)
from pointsman.wire.assembly import Assembly


def check(response: ChatResponse, canned: CannedChat) -> None:
    """Assert that `response` says all that was written beside its body."""
    assert response.text == canned.text, f"text: {response.text!r}"
    assert response.finish_reason == canned.finish_reason, f"finish_reason: {response.finish_reason!r}"
    assert response.usage == canned.usage, f"usage: {response.usage!r}"
    assert response.reasoning == canned.reasoning, f"reasoning: {response.reasoning!r}"
    calls = [(each.name, each.parsed(), each.index) for each in response.tool_calls]
    assert calls == [(each.name, each.parsed(), each.index) for each in canned.tool_calls], f"tools: {calls}"
    ids = [each.id for each in response.tool_calls]
    assert all(ids), "a tool call without an id"
    assert len(set(ids)) == len(ids), f"two tool calls with one id: {ids}"
    for found, meant in zip(ids, canned.tool_calls, strict=True):
        assert not meant.id or found == meant.id, f"a tool call's id is {found!r}, not {meant.id!r}"


def check_events(events: Sequence[StreamEvent]) -> None:
    """Assert the grammar of every stream's events."""
    calls: set[int] = set()
    for position, event in enumerate(events):
        match event:
            case Started():
                assert position == 0, "Started comes first, and once"
            case TextDelta() | ReasoningDelta() | RefusalDelta():
                content = event.text or getattr(event, event.kind, "")
                assert content, f"an event without content: {event!r}"
            case ToolCallDelta() if event.index in calls:
                assert not event.id, "the id of a tool call stands in its first piece only"
                assert not event.name, "the name of a tool call stands in its first piece only"
            case ToolCallDelta():
                assert event.id, "the first piece of a tool call has its id"
                assert event.name, "the first piece of a tool call has its name"
                assert event.index == len(calls), "tool calls are counted from 0, in order"
                calls.add(event.index)
            case Done():
                pytest.fail("Done is the router's; a stream ends with None")
    finished = sum(isinstance(event, Finished) for event in events)
    assert finished == 1, f"{finished} Finished events, expected one"


def assembled(events: Sequence[StreamEvent]) -> ChatResponse:
    """The whole answer, as the router makes it of `events`."""
    whole = Assembly()
    for event in events:
        whole.add(event)
    return whole.response()
