"""Whose reasoning a request goes on from, when it brings results of tools."""

from __future__ import annotations

import pytest

from pointsman.types import ChatRequest, JsonObject, Message, ToolCall
from pointsman.wire.opaque import awaiting_maker

ASKED = Message.user("Is it raining?")
RESULT = Message("tool", "Yes.", tool_call_id="1")


def called(*blobs: JsonObject) -> Message:
    return Message("assistant", tool_calls=(ToolCall("1", "look", "{}"),), reasoning_blocks=blobs)


def signed(signature: str) -> JsonObject:
    return {"type": "thinking", "thinking": "t", "signature": signature}


MADE = called(signed("pm.aaa.x"))


@pytest.mark.parametrize(
    ("messages", "mark"),
    [
        ([ASKED, MADE, RESULT], "aaa"),
        ([ASKED, MADE, RESULT, Message.user("Quick!")], "aaa"),
        ([ASKED, MADE, RESULT, called(), RESULT], "aaa"),
        ([ASKED, MADE, RESULT, called(signed("pm.bbb.y")), RESULT], "bbb"),
        ([ASKED, called({"type": "reasoning", "encrypted_content": "pm.ccc.z"}), RESULT], "ccc"),
        ([ASKED, called(signed("of elsewhere"), signed("")), RESULT], ""),
        ([ASKED, MADE], ""),
        ([ASKED, MADE, RESULT, Message("assistant", "It is."), ASKED], ""),
        ([ASKED, MADE, RESULT, Message("assistant", "It is."), ASKED, called(), RESULT], ""),
        ([RESULT], ""),
    ],
)
def test_it_is_whose_reasoning_led_to_the_calls_that_are_answered_last(
    messages: list[Message], mark: str
) -> None:
    assert awaiting_maker(ChatRequest("m", messages)) == mark
