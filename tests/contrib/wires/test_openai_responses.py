"""OpenAI's Responses API from the side of the server: what is read, and what is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    Done,
    InvalidRequest,
    ProblemDetails,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Understood,
    Unsupported,
    Usage,
)
from pointsman_wires import openai_responses

FORECAST = {"type": "function", "name": "forecast", "parameters": {"type": "object", "properties": {}}}
PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": "start: patch"},
}
MCP = {
    "type": "namespace",
    "name": "mcp__github__",
    "description": "",
    "tools": [FORECAST | {"name": "issue"}],
}


def read(given: Any = "Hi", **members: Any) -> Understood:
    body = {"model": "m", "input": given} | members
    return openai_responses.read(json.dumps(body).encode(), request_id="r", wall=1.5)


def request(given: Any = "Hi", **members: Any) -> ChatRequest:
    asked = read(given, **members).request
    assert isinstance(asked, ChatRequest)
    return asked


def frames(data: bytes) -> list[dict[str, Any]]:
    """The events in `data`, each of which is named as its type says."""
    assert data.endswith(b"\n\n")
    found = []
    for frame in data.decode().removesuffix("\n\n").split("\n\n"):
        name, line = frame.split("\n")
        value = json.loads(line.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def streamed(understood: Understood, *events: StreamEvent) -> list[dict[str, Any]]:
    written = frames(b"".join(understood.writer.events([event]) for event in events))
    assert [each["sequence_number"] for each in written] == list(range(len(written)))
    return written


def types(written: Sequence[dict[str, Any]]) -> list[str]:
    return [each["type"].removeprefix("response.") for each in written]


def whole(answer: ChatResponse, **members: Any) -> Any:
    return json.loads(read(**members).writer.whole(answer))


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_text_is_what_the_user_says_after_the_instructions() -> None:
    asked = request("Hi", instructions="Be brief.")

    assert [(each.role, each.content) for each in asked.messages] == [("system", "Be brief."), ("user", "Hi")]


def test_what_a_request_of_ours_can_say_is_read() -> None:
    form = {"type": "json_schema", "name": "leg", "strict": True, "schema": {"type": "object"}}
    understood = read(
        max_output_tokens=20,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto"},
        text={"format": form},
        user="u",
        stream=True,
    )

    asked = understood.request
    assert isinstance(asked, ChatRequest)
    assert understood.stream
    assert (asked.max_tokens, asked.temperature, asked.top_p, asked.user) == (20, 0.5, 0.9, "u")
    assert (asked.parallel_tool_calls, asked.reasoning_effort) == (False, "high")
    assert asked.response_format is not None
    assert (asked.response_format.name, asked.response_format.strict) == ("leg", True)
    assert (understood.needs_wire, understood.ignored) == ([], [])


def test_all_of_one_turn_of_the_assistant_is_one_message() -> None:
    asked = request(
        [
            {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Ask."}]},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I ask."}]},
            {"type": "function_call", "call_id": "a", "name": "forecast", "arguments": "{}"},
            {"type": "function_call", "call_id": "b", "name": "forecast", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "Rain"},
            {
                "type": "function_call_output",
                "call_id": "b",
                "output": [{"type": "input_text", "text": "Sun"}],
            },
        ]
    )

    user, assistant, first, second = asked.messages
    assert (user.role, user.text) == ("user", "Weather?")
    assert (assistant.text, assistant.reasoning) == ("I ask.", "Ask.")
    assert [(each.id, each.index) for each in assistant.tool_calls] == [("a", 0), ("b", 1)]
    assert (first.role, first.tool_call_id, first.content) == ("tool", "a", "Rain")
    assert (second.tool_call_id, list(second.parts)) == ("b", [Text("Sun")])


def test_pictures_and_files_are_read_with_what_they_hold() -> None:
    asked = request(
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "data:image/png;base64,AAEC", "detail": "low"},
                    {
                        "type": "input_file",
                        "filename": "a.pdf",
                        "file_data": "data:application/pdf;base64,AAEC",
                    },
                    {"type": "input_file", "file_id": "file-1"},
                ],
            }
        ]
    )

    image, inline, stored = asked.messages[0].parts
    assert (image.data, image.detail) == (b"\0\1\2", "low")  # type: ignore[union-attr]
    assert (inline.data, inline.filename) == (b"\0\1\2", "a.pdf")  # type: ignore[union-attr]
    assert stored.id == "file-1"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({"conversation": "conv_1"}, ["conversation"]),
        ({"background": True}, ["background"]),
        ({"previous_response_id": "resp_1"}, ["previous_response_id"]),
        ({"prompt": {"id": "pmpt_1"}}, ["prompt"]),
        ({"top_logprobs": 2}, ["top_logprobs"]),
        ({"include": ["message.output_text.logprobs"]}, ["include"]),
        (
            {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
            ["tool_choice (web_search)"],
        ),
        ({"tools": [FORECAST, {"type": "web_search"}], "tool_choice": "required"}, ["tool_choice"]),
        ({"reasoning": {"effort": "enormous"}}, ["reasoning.effort"]),
        ({"background": False, "truncation": "auto", "service_tier": "auto", "store": False}, []),
    ],
)
def test_what_only_this_wire_can_say_is_named(members: dict[str, Any], needs: list[str]) -> None:
    assert read(**members).needs_wire == needs


@pytest.mark.parametrize(
    ("item", "needs"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[1] (item_reference)"),
        ({"type": "compaction", "encrypted_content": "x"}, "input[1] (compaction)"),
        ({"type": "computer_call_output", "call_id": "c", "output": {}}, "input[1] (computer_call_output)"),
        ({"role": "user", "content": [{"type": "input_video"}]}, "input[1].content[0] (input_video)"),
        (
            {"role": "user", "content": [{"type": "input_image", "file_id": "f"}]},
            "input[1].content[0] (input_image)",
        ),
    ],
)
def test_an_item_that_only_this_wire_has_is_named(item: Any, needs: str) -> None:
    assert read([{"role": "user", "content": "Hi"}, item]).needs_wire == [needs]


def test_what_only_an_upstream_of_this_wire_can_look_up_is_left_to_one() -> None:
    for body in (
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "computer_call_output", "call_id": "c", "output": {}}]},
        {"prompt": {"id": "pmpt_1"}},
        {"previous_response_id": "resp_1", "input": []},
    ):
        data = json.dumps({"model": "m", **body}).encode()
        assert openai_responses.read(data, request_id="r", wall=1.5).needs_wire


def test_a_conversation_that_is_to_be_made_shorter_names_the_model() -> None:
    body = b'{"model":"m","input":"Hi"}'
    compact = openai_responses.read_compact(body, request_id="r", wall=1.5)

    assert compact.needs_wire == ["compaction with the model m"]
    assert read([{"role": "user", "content": "Hi"}, {"type": "compaction_trigger"}]).needs_wire == [
        "input[1] (compaction_trigger)",
        "compaction with the model m",
    ]


def test_what_changes_nothing_for_others_is_named_as_ignored() -> None:
    understood = read(
        [{"role": "user", "content": "Hi"}, {"type": "web_search_call", "id": "ws_1", "status": "completed"}],
        tools=[FORECAST, {"type": "web_search"}],
        text={"verbosity": "low"},
        service_tier="flex",
        something_new=1,
    )

    assert understood.ignored == [
        "service_tier",
        "something_new",
        "input[1] (web_search_call)",
        "text.verbosity",
        "tools[1] (web_search)",
    ]
    assert understood.needs_wire == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "Hi"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": [5]}, "input[0]"),
        ({"model": "m", "input": [{"id": "x"}]}, "input[0].type"),
        ({"model": "m", "input": [{"role": "robot", "content": "Hi"}]}, "input[0].role"),
        ({"model": "m", "input": [{"role": "user", "content": 5}]}, "input[0].content"),
        (
            {"model": "m", "input": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        ({"model": "m", "input": [{"type": "function_call", "name": "f"}]}, "input[0].arguments"),
        ({"model": "m", "input": "Hi", "tools": {}}, "tools"),
        ({"model": "m", "input": "Hi", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"model": "m", "input": "Hi", "tool_choice": "perhaps"}, "tool_choice"),
        ({"model": "m", "input": "Hi", "tool_choice": "required"}, "tool_choice"),
        ({"model": "m", "input": "Hi", "text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"model": "m", "input": "Hi", "temperature": "warm"}, "temperature"),
        ({"model": "m", "input": "Hi", "stream": "yes"}, "stream"),
        ({"model": "m", "input": "Hi", "include": "all"}, "include"),
    ],
)
def test_a_wrong_body_is_refused_by_the_member(body: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        openai_responses.read(json.dumps(body).encode(), request_id="r", wall=1.5)

    assert getattr(refused.value, "param", None) == param


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────


def test_tools_of_all_kinds_that_can_be_functions_are_some() -> None:
    asked = request(tools=[FORECAST, PATCH, MCP], tool_choice={"type": "custom", "name": "apply_patch"})

    assert [each.name for each in asked.tools] == ["forecast", "apply_patch", "mcp__github__issue"]
    assert "start: patch" in asked.tools[1].description
    assert asked.tools[1].parameters["required"] == ["input"]
    assert asked.tool_choice is not None
    assert asked.tool_choice.name == "apply_patch"


def test_a_long_name_is_made_short_the_same_way_in_tools_and_history() -> None:
    space = MCP | {"name": "a" * 60}
    call = {
        "type": "function_call",
        "call_id": "c",
        "name": "issue",
        "namespace": "a" * 60,
        "arguments": "{}",
    }
    said = [
        {"role": "user", "content": "Hi"},
        call,
        {"type": "function_call_output", "call_id": "c", "output": ""},
    ]

    with_tool, without = request(said, tools=[space]), request(said)

    name = with_tool.tools[0].name
    assert len(name) == 64
    assert with_tool.messages[1].tool_calls[0].name == without.messages[1].tool_calls[0].name == name


def test_only_tools_that_are_allowed_are_offered() -> None:
    choice = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "forecast"}],
    }

    asked = request(tools=[FORECAST, PATCH], tool_choice=choice)

    assert [each.name for each in asked.tools] == ["forecast"]
    assert asked.tool_choice is not None
    assert asked.tool_choice.mode == "required"


def test_a_call_of_a_custom_tool_comes_back_as_such_with_its_plain_text() -> None:
    understood = read(tools=[PATCH, MCP], stream=True)

    written = streamed(
        understood,
        ToolCallDelta(0, "c1", "apply_patch", '{"inp'),
        ToolCallDelta(0, arguments='ut": "*** Begin"}'),
        ToolCallDelta(1, "c2", "mcp__github__issue", "{}"),
        Done(ChatResponse(finish_reason="tool_calls")),
    )

    custom, spaced = written[-1]["response"]["output"]
    assert (custom["type"], custom["name"], custom["input"]) == (
        "custom_tool_call",
        "apply_patch",
        "*** Begin",
    )
    assert (spaced["namespace"], spaced["name"], spaced["call_id"]) == ("mcp__github__", "issue", "c2")
    assert "custom_tool_call_input.done" in types(written)


def test_calls_in_the_history_name_the_functions_that_stand_for_the_tools() -> None:
    asked = request(
        [
            {"role": "user", "content": "Hi"},
            {"type": "custom_tool_call", "call_id": "a", "name": "apply_patch", "input": "*** Begin"},
            {
                "type": "function_call",
                "call_id": "b",
                "name": "issue",
                "namespace": "mcp__github__",
                "arguments": "{}",
            },
            {"type": "custom_tool_call_output", "call_id": "a", "output": "ok"},
            {"type": "function_call_output", "call_id": "b", "output": "ok"},
        ],
        tools=[PATCH, MCP],
    )

    first, second = asked.messages[1].tool_calls
    assert (first.name, json.loads(first.arguments)) == ("apply_patch", {"input": "*** Begin"})
    assert second.name == "mcp__github__issue"


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_has_all_that_clients_look_for() -> None:
    calls = (ToolCall("call_1", "forecast", '{"a":1}'),)
    answer = ChatResponse("Hm.", calls, "tool_calls", Usage(7, 5, cached=2, reasoning=1), reasoning="Think.")

    body = whole(answer, tools=[FORECAST], metadata={"a": "b"})

    assert (body["object"], body["status"], body["model"], body["created_at"]) == (
        "response",
        "completed",
        "m",
        1,
    )
    assert body["id"].startswith("resp_")
    thought, said, call = body["output"]
    assert thought["summary"] == [{"type": "summary_text", "text": "Think."}]
    assert said["content"] == [{"type": "output_text", "text": "Hm.", "annotations": [], "logprobs": []}]
    assert (call["type"], call["call_id"], call["arguments"]) == ("function_call", "call_1", '{"a":1}')
    assert body["usage"]["input_tokens_details"]["cached_tokens"] == 2
    assert body["usage"]["output_tokens_details"] == {"reasoning_tokens": 1}
    assert body["usage"]["total_tokens"] == 12
    assert (body["error"], body["incomplete_details"]) == (None, None)
    assert (body["tool_choice"], body["tools"], body["metadata"]) == ("auto", [FORECAST], {"a": "b"})
    assert body["store"] is False


@pytest.mark.parametrize(
    ("reason", "status", "details"),
    [
        ("stop", "completed", None),
        ("length", "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", "incomplete", {"reason": "content_filter"}),
    ],
)
def test_an_answer_that_was_cut_is_incomplete(reason: Any, status: str, details: Any) -> None:
    body = whole(ChatResponse("Hm", finish_reason=reason))

    assert (body["status"], body["incomplete_details"]) == (status, details)


def test_an_answer_without_anything_in_it_has_an_empty_message() -> None:
    body = whole(ChatResponse(""))

    assert [each["content"] for each in body["output"]] == [
        [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
    ]
    assert body["usage"] is None


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────

TEXT = [
    "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta",
    "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed",
]  # fmt: skip


def test_a_text_comes_in_the_order_of_the_real_api() -> None:
    written = streamed(
        read(stream=True),
        Started(),
        TextDelta("Hel"),
        TextDelta("lo"),
        Done(ChatResponse("Hello", usage=Usage(1, 2))),
    )

    assert types(written) == TEXT
    assert written[-1]["response"]["output"][0]["content"][0]["text"] == "Hello"
    assert written[-1]["response"]["usage"]["total_tokens"] == 3
    assert {each["item_id"] for each in written if "item_id" in each} == {written[2]["item"]["id"]}


def test_thinking_speaking_and_calling_are_items_of_their_own() -> None:
    written = streamed(
        read(stream=True),
        ReasoningDelta("Th"),
        ReasoningDelta("ink"),
        ReasoningBlock({"type": "thinking", "signature": "s"}),
        TextDelta("Hm"),
        ToolCallDelta(0, "a", "f", ""),
        ToolCallDelta(1, "b", "g", "{}"),
        ToolCallDelta(0, arguments="{}"),
        Done(ChatResponse(finish_reason="tool_calls")),
    )

    assert types(written) == [
        "created", "in_progress",
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
        "output_item.done",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.done", "content_part.done",
        "output_item.done",
        "output_item.added", "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done", "function_call_arguments.done", "output_item.done",
        "completed",
    ]  # fmt: skip
    assert [each["output_index"] for each in written if each["type"] == "response.output_item.added"] == [
        0,
        1,
        2,
        3,
    ]
    assert [each["arguments"] for each in written[-1]["response"]["output"][2:]] == ["{}", "{}"]


def test_a_refusal_is_a_part_of_its_own() -> None:
    written = streamed(
        read(stream=True), TextDelta("I"), RefusalDelta("No"), Done(ChatResponse("I", refusal="No"))
    )

    content = written[-1]["response"]["output"][0]["content"]
    assert [each["type"] for each in content] == ["output_text", "refusal"]
    assert [each["content_index"] for each in written if each["type"] == "response.refusal.delta"] == [1]


def test_a_stream_without_content_still_has_a_beginning_and_an_end() -> None:
    assert types(streamed(read(stream=True), Done(ChatResponse()))) == ["created", "in_progress", "completed"]


def test_events_come_out_the_same_however_they_are_handed_over() -> None:
    events = [
        Started(),
        ReasoningDelta("T"),
        TextDelta("a"),
        ToolCallDelta(0, "c", "f", "{}"),
        Done(ChatResponse()),
    ]

    writer = read(stream=True).writer
    one_by_one = b"".join(writer.events([each]) for each in events)

    assert read(stream=True).writer.events(events) == one_by_one


PROBLEM = ProblemDetails("upstream", "the upstream failed", "unavailable", "upstream", "r")


def test_a_stream_that_fails_says_so_and_what_came_before() -> None:
    writer = read(stream=True).writer
    writer.events([TextDelta("Hel")])

    (failed,) = frames(writer.failure(PROBLEM))

    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["message"] == "the upstream failed"
    assert failed["response"]["output"][0]["content"][0]["text"] == "Hel"


def test_a_stream_that_never_began_ends_in_an_error() -> None:
    (failed,) = frames(read(stream=True).writer.failure(PROBLEM))

    assert failed["type"] == "error"
    assert failed["error"]["message"].endswith("the upstream failed")


# ── reasoning that only its maker can read ───────────────────────────────────────────────────────────


def test_pieces_of_reasoning_go_out_and_come_back() -> None:
    blocks = ({"type": "thinking", "thinking": "Hm", "signature": "s"},)
    body = whole(ChatResponse("Yes", reasoning="Hm", reasoning_blocks=blocks))

    asked = request([{"role": "user", "content": "Hi"}, *body["output"], {"role": "user", "content": "And?"}])

    assert tuple(asked.messages[1].reasoning_blocks) == blocks
    assert (asked.messages[1].reasoning, asked.messages[1].text) == ("Hm", "Yes")


@pytest.mark.parametrize("blob", ["pm.blocks.", "pm.blocks.!", "pm.blocks.e30=", "pm.blocks.WzFd", 5, None])
def test_what_is_no_piece_of_ours_is_none(blob: Any) -> None:
    asked = request(
        [{"role": "user", "content": "Hi"}, {"type": "reasoning", "summary": [], "encrypted_content": blob}]
    )

    assert all(not each.reasoning_blocks for each in asked.messages)


def test_blobs_of_this_wire_stay_items_of_their_own() -> None:
    blocks = tuple({"type": "reasoning", "encrypted_content": each} for each in ("one", "two"))
    answer = ChatResponse("Yes", reasoning="Hm", reasoning_blocks=blocks)

    body = whole(answer)
    written = streamed(read(stream=True), *map(ReasoningBlock, blocks), TextDelta("Yes"), Done(answer))
    asked = request([*body["output"], {"role": "user", "content": "And?"}])

    for output in (body["output"], written[-1]["response"]["output"]):
        assert [each.get("encrypted_content") for each in output] == ["one", "two", None]
    assert tuple(asked.messages[0].reasoning_blocks) == blocks


def test_an_upstream_gets_its_own_blobs_and_none_of_others() -> None:
    body = (
        b'{"model":"m","big":123456789012345678901234567890,"input":[{"role":"user","content":"pm.a.b"},'
        b'{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"pm.aaaaaaaaaaaa.own.1"},'
        b'{"type":"function_call","id":"fc_1","call_id":"c","name":"f","arguments":"{}"},'
        b'{"type":"function_call_output","call_id":"c","output":"1.0"}]}'
    )
    understood = openai_responses.read(body, request_id="r", wall=1.5)
    assert understood.opaque is not None

    own, other = understood.opaque(body, "aaaaaaaaaaaa"), understood.opaque(body, "bbbbbbbbbbbb")

    assert own == body.replace(b"pm.aaaaaaaaaaaa.", b"")
    assert b"123456789012345678901234567890" in other
    assert [each.get("type") for each in json.loads(other)["input"]] == [
        None,
        "function_call",
        "function_call_output",
    ]
    assert "id" not in json.loads(other)["input"][1]


def test_a_conversation_in_a_blob_of_another_upstream_is_refused_rather_than_lost() -> None:
    body = b'{"model":"m","input":[{"type":"compaction","encrypted_content":"pm.aaaaaaaaaaaa.x"},{"role":"user","content":"Hi"}]}'

    with pytest.raises(Unsupported, match="compaction"):
        openai_responses.for_maker(body, "bbbbbbbbbbbb")


def test_a_body_without_marks_is_not_looked_at_again() -> None:
    assert (
        read(
            [
                {"type": "reasoning", "summary": [], "encrypted_content": "gAAA"},
                {"role": "user", "content": "Hi"},
            ]
        ).opaque
        is None
    )
