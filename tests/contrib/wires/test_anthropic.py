"""Anthropic's Messages API from the side of the server: what is read, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.plugin import (
    Assembly,
    ChatRequest,
    ChatResponse,
    Done,
    Finished,
    InvalidRequest,
    Message,
    ProblemDetails,
    ReasoningBlock,
    ReasoningDelta,
    RefusalDelta,
    ResponseFormat,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    TextMessages,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Understood,
    Usage,
    UsageUpdate,
)
from pointsman_claude.decode import chat_response
from pointsman_claude.frames import Frames
from pointsman_claude.stream import MessagesDecoder
from pointsman_claude.wire import Wire, messages_body
from pointsman_wires import anthropic

ASKED: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
RECORDED = Path(__file__).parents[4] / "shared" / "recorded" / "anthropic"
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 1}}


def read(**members: Any) -> Understood:
    return anthropic.read(json.dumps(ASKED | members).encode(), request_id="r", wall=1.5)


def request(**members: Any) -> ChatRequest:
    asked = read(**members).request
    assert isinstance(asked, ChatRequest)
    return asked


def turns(*content: Any) -> list[dict[str, Any]]:
    """Turns of user and assistant by turns."""
    return [{"role": ("user", "assistant")[n % 2], "content": each} for n, each in enumerate(content)]


def frames(*events: StreamEvent, writer: Any = None) -> list[dict[str, Any]]:
    """The data of the frames of a stream of `events`, handed over one by one."""
    writer = writer or read().writer
    data = b"".join(writer.events([event]) for event in events).decode()
    found = []
    for frame in data.removesuffix("\n\n").split("\n\n"):
        name, line = frame.split("\n")
        found.append(json.loads(line.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def done(*events: StreamEvent) -> list[StreamEvent]:
    """`events` with the last one, which has the whole answer."""
    said = Assembly()
    said.extend(events)
    return [*events, Done(said.response())]


def understood_by_claude(data: bytes) -> ChatResponse:
    """The answer that our own client of this wire reads from a stream."""
    said, decoder, framer = Assembly(), MessagesDecoder(), Frames()
    for frame in (*framer.feed(data), *framer.close()):
        said.extend(decoder.decode(frame))
    assert decoder.done
    return said.response()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_request_of_ours_can_say_is_read() -> None:
    tool = {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": True}

    asked = request(
        system=[{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        stop_sequences=["end"],
        tools=[tool],
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "u"},
    )

    assert asked == ChatRequest(
        "m",
        (Message.system("one\n\ntwo"), Message.user("Hi")),
        tools=(Tool("f", "d", {"type": "object"}, True),),
        tool_choice=ToolChoice("tool", "f"),
        parallel_tool_calls=False,
        temperature=0.5,
        top_p=0.9,
        top_k=4,
        max_tokens=9,
        stop=("end",),
        response_format=ResponseFormat("schema", {"type": "object"}, strict=True),
        user="u",
    )


def test_a_conversation_of_mere_text_is_carried_as_text() -> None:
    assert isinstance(request(system="s", messages=turns("a", "b", "c")).messages, TextMessages)


def test_results_of_tools_come_before_what_the_user_says_beside_them() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "is_error": True,
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
    }

    asked = request(messages=turns("Hi", [CALL], [result, {"type": "text", "text": "go on"}]))

    assert asked.messages[1:] == (
        Message.assistant(tool_calls=(ToolCall("toolu_1", "f", '{"n":1}'),)),
        Message.tool("toolu_1", "a\nb", is_error=True),
        Message.user("go on"),
    )


def test_the_numbers_of_a_call_stay_as_they_are_however_long() -> None:
    call = {**CALL, "input": {"n": 12345678901234567890123}}

    assert request(messages=turns("Hi", [call])).messages[1].tool_calls[0].arguments == (
        '{"n":12345678901234567890123}'
    )


def test_pictures_and_documents_are_parts() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    document = {"type": "document", "title": "t", "source": {"type": "text", "data": "said"}}

    parts = request(messages=turns([picture, document])).messages[0].parts

    assert [getattr(part, "url", "") or getattr(part, "text", "") for part in parts] == [
        "data:image/png;base64,QUJD",
        "t\n\nsaid",
    ]


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 9000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 32000}}, "high"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
    ],
)
def test_a_budget_for_thinking_is_an_effort(members: dict[str, Any], effort: str | None) -> None:
    assert request(**members).reasoning_effort == effort


def test_what_would_change_the_answer_needs_the_wire_and_the_rest_is_named() -> None:
    said = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}

    asked = read(
        messages=[{"role": "user", "content": [said, {"type": "container_upload", "file_id": "f"}]}],
        container="c",
        service_tier="auto",
        unheard_of=1,
        tools=[{"type": "web_search_20250305", "name": "web_search"}],
        tool_choice={"type": "tool", "name": "web_search"},
    )

    assert asked.needs_wire == ("messages.container_upload", "tool_choice", "container")
    assert asked.ignored == (
        "messages.cache_control",
        "tools.web_search_20250305",
        "service_tier",
        "unheard_of",
    )


def test_what_only_claude_knows_of_an_answer_goes_back_to_it_as_it_came() -> None:
    searched = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
        {"type": "text", "text": "found"},
    ]
    asked = read(messages=turns("Hi", searched, "and?"))
    assert isinstance(asked.request, ChatRequest)

    body = messages_body(asked.request, model="m", wire=Wire(), stream=False)

    assert body["messages"][1]["content"] == searched
    assert asked.ignored == ("messages.server_tool_use",)


def test_reasoning_is_kept_with_its_signature() -> None:
    thinking = {"type": "thinking", "thinking": "hm", "signature": "s"}

    message = request(messages=turns("Hi", [thinking, {"type": "text", "text": "a"}])).messages[1]

    assert (message.reasoning, message.reasoning_blocks, message.text) == ("hm", (thinking,), "a")


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": ""}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": turns([{"type": "text"}])}, "messages.0.content.0.text.text"),
        ({"messages": turns([{"type": "image"}])}, "messages.0.content.0.source"),
        ({"messages": turns("a", [{**CALL, "input": "{}"}])}, "messages.1.content.0.input"),
        ({"system": [{"type": "image"}]}, "system.0.type"),
        ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema"),
        ({"tool_choice": {"type": "some"}}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop_sequences": [1]}, "stop_sequences.0"),
        ({"stream": 1}, "stream"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)

    assert getattr(caught.value, "param", "") == param
    assert caught.value.message.startswith(f"{param}: ")


def test_a_count_needs_no_limit() -> None:
    body = json.dumps({"model": "m", "messages": turns("Hi")}).encode()

    assert anthropic.read_count(body, request_id="r", wall=1.5).request == ChatRequest(
        "m", (Message.user("Hi"),)
    )


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded exchanges are not beside the project")
def test_recorded_requests_say_the_same_when_they_are_written_and_read_again() -> None:
    seen = 0
    for path in sorted(RECORDED.glob("*messages*.json")):
        recorded = json.loads(path.read_text("utf-8"))
        body = recorded["request"]["body"]
        if recorded["response"]["status"] != 200 or "messages" not in (body or {}):
            continue
        once = anthropic.read(json.dumps(body).encode(), request_id="r", wall=1.5).request
        assert isinstance(once, ChatRequest)
        again = messages_body(once, model=once.model, wire=Wire(late_system="native"), stream=False)
        twice = anthropic.read(json.dumps(again).encode(), request_id="r", wall=1.5).request
        assert isinstance(twice, ChatRequest)
        said = [[(m.text, m.tool_calls) for m in each.messages] for each in (once, twice)]
        once_said, twice_said = ([one for one in each if any(one)] for each in said)  # nothing is not sent
        assert once_said == twice_said, path.name
        assert twice.tools == once.tools, path.name
        seen += 1
    assert seen > 40


# ── opaque reasoning ─────────────────────────────────────────────────────────────────────────────────


def test_only_what_an_upstream_made_itself_goes_to_it_and_without_our_mark() -> None:
    def thought(signature: str) -> dict[str, str]:
        return {"type": "thinking", "thinking": "t", "signature": signature}

    blocks = [thought("pm.aaa.x"), thought("pm.bbb.y"), thought("z"), thought(""), CALL]
    asked = read(messages=turns("Hi", blocks))
    assert asked.opaque is not None

    body = asked.opaque(json.dumps(ASKED | {"messages": turns("Hi", blocks)}).encode(), "aaa")

    assert json.loads(body)["messages"][1]["content"] == [thought("x"), thought("z"), CALL]
    assert read().opaque is None


def test_a_turn_of_which_nothing_may_be_sent_is_left_out() -> None:
    said = turns("Hi", [{"type": "redacted_thinking", "data": "pm.bbb.y"}], "and?")

    body = read(messages=said).opaque(json.dumps(ASKED | {"messages": said}).encode(), "aaa")  # type: ignore[misc]

    assert [turn["content"] for turn in json.loads(body)["messages"]] == ["Hi", "and?"]


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


def whole(answer: ChatResponse) -> dict[str, Any]:
    value = json.loads(read().writer.whole(answer))
    assert isinstance(value, dict)
    return value


def test_a_whole_answer_has_all_that_clients_insist_on() -> None:
    answer = ChatResponse(
        "Hi",
        tool_calls=(ToolCall("call_1", "f", '{"n": 12345678901234567890123}'),),
        finish_reason="tool_calls",
        usage=Usage(prompt=10, completion=5, cached=3, cache_write=2, reasoning=1),
        reasoning="hm",
        id="chatcmpl-1",
        model="upstream's name",
    )

    message = whole(answer)

    assert message.pop("id").startswith("msg_")
    assert message == {
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "text", "text": "Hi"},
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"n": 12345678901234567890123}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 2,
            "cache_read_input_tokens": 3,
            "output_tokens": 5,
            "output_tokens_details": {"thinking_tokens": 1},
        },
    }


@pytest.mark.parametrize("arguments", ["{", "[1]", "nonsense"])
def test_arguments_that_are_no_object_are_put_into_one(arguments: str) -> None:
    answer = ChatResponse(tool_calls=(ToolCall("c", "f", arguments),))

    assert whole(answer)["content"][0]["input"] == {"INVALID_JSON": arguments}


def test_a_refusal_is_told_and_can_be_read() -> None:
    message = whole(ChatResponse(refusal="no"))

    assert message["stop_reason"] == "refusal"
    assert message["stop_details"]["explanation"] == "no"
    assert message["content"] == [{"type": "text", "text": "no"}]


def test_the_word_for_why_it_ended_is_the_upstreams_where_it_is_one_of_the_apis() -> None:
    stopped = ChatResponse("a", native_finish_reason="stop_sequence", raw={"stop_sequence": "end"})

    assert (whole(stopped)["stop_reason"], whole(stopped)["stop_sequence"]) == ("stop_sequence", "end")
    assert whole(ChatResponse("a", native_finish_reason="eos"))["stop_reason"] == "end_turn"
    assert whole(ChatResponse("a", finish_reason="length"))["stop_reason"] == "max_tokens"


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded exchanges are not beside the project")
def test_recorded_answers_mean_the_same_when_they_are_written_anew() -> None:
    seen = 0
    for path in sorted(RECORDED.glob("*messages*.json")):
        recorded = json.loads(path.read_text("utf-8"))
        if recorded["response"]["status"] != 200 or recorded["body_kind"] != "json":
            continue
        body = json.loads(recorded["response"]["body"])
        if body.get("type") != "message":
            continue
        answer = chat_response(body)
        again = chat_response(json.loads(read().writer.whole(answer)))
        for name in ("text", "tool_calls", "finish_reason", "reasoning", "reasoning_blocks", "usage"):
            ours, theirs = getattr(again, name), getattr(answer, name)
            if name == "usage":
                ours, theirs = ours.total, theirs.total
            assert ours == theirs, (path.name, name)
        seen += 1
    assert seen > 20


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_has_its_events_in_the_order_that_clients_insist_on() -> None:
    events = done(
        Started("msg_1", "x"),
        ReasoningDelta("hm"),
        ReasoningBlock({"type": "thinking", "thinking": "hm", "signature": "s"}),
        TextDelta("a"),
        TextDelta("b"),
        ToolCallDelta(0, "c1", "f"),
        ToolCallDelta(0, arguments='{"n"'),
        ToolCallDelta(0, arguments=":1}"),
        ToolCallDelta(1, "c2", "g"),
        UsageUpdate(Usage(7, 3)),
        Finished("tool_calls", "tool_calls"),
    )

    found = frames(*events)

    assert [(each["type"], each.get("index")) for each in found] == [
        ("message_start", None),
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
        ("content_block_start", 2),
        ("content_block_delta", 2),
        ("content_block_delta", 2),
        ("content_block_stop", 2),
        ("content_block_start", 3),
        ("content_block_stop", 3),
        ("message_delta", None),
        ("message_stop", None),
    ]
    assert found[0]["message"]["content"] == []
    assert found[5]["content_block"] == {"type": "text", "text": ""}
    assert found[9]["content_block"] == {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    assert found[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert found[-2]["usage"]["output_tokens"] == 3


def test_an_answer_without_content_is_a_message_without_blocks() -> None:
    assert [each["type"] for each in frames(*done())] == ["message_start", "message_delta", "message_stop"]


def test_a_message_starts_with_the_count_of_its_prompt_where_it_is_known_by_then() -> None:
    data = read().writer.events([Started(), UsageUpdate(Usage(7, 1)), TextDelta("a")]).decode()

    assert json.loads(data.split("\n")[1].removeprefix("data: "))["message"]["usage"]["input_tokens"] == 7


def test_a_call_without_an_id_gets_one() -> None:
    start = frames(*done(ToolCallDelta(0, "", "f", "{}")))[1]

    assert start["content_block"]["id"].startswith("call_")


PIECES = st.lists(
    st.one_of(
        st.builds(TextDelta, st.text(min_size=1, max_size=3)),
        st.builds(ReasoningDelta, st.text(min_size=1, max_size=3)),
        st.tuples(st.integers(0, 2), st.integers(1, 4)),
    ),
    max_size=20,
)


@settings(deadline=None)
@given(PIECES, st.integers(1, 5))
def test_streams_say_the_same_whatever_is_interleaved(pieces: list[Any], batch: int) -> None:
    arguments = [f'{{"n": "{n}{{}}"}}' for n in range(3)]
    given, begun = dict(enumerate(arguments)), set()
    events: list[StreamEvent] = []
    for piece in pieces:
        if isinstance(piece, StreamEvent):
            events.append(piece)
            continue
        index, length = piece
        id, name = ("", "") if index in begun else (f"c{index}", f"f{index}")
        begun.add(index)
        events.append(ToolCallDelta(index, id, name, given[index][:length]))
        given[index] = given[index][length:]
    events += [ToolCallDelta(n, arguments=given[n]) for n in sorted(begun) if given[n]]
    events = done(*events)

    writer = read().writer
    data = b"".join(writer.events(events[n : n + batch]) for n in range(0, len(events), batch))

    said, meant = understood_by_claude(data), events[-1].response  # type: ignore[attr-defined]
    assert (said.text, said.reasoning) == (meant.text, meant.reasoning)
    assert {(c.id, c.name, c.arguments) for c in said.tool_calls} == {
        (c.id, c.name, c.arguments) for c in meant.tool_calls
    }


def test_a_refusal_in_pieces_is_text() -> None:
    found = frames(*done(RefusalDelta("n"), RefusalDelta("o"), Finished("content_filter", None)))

    assert [each["delta"]["text"] for each in found if each["type"] == "content_block_delta"] == ["n", "o"]
    assert found[-2]["delta"]["stop_reason"] == "refusal"


def test_a_ping_tells_that_a_stream_is_alive() -> None:
    assert read().writer.heartbeat() == b'event: ping\ndata: {"type": "ping"}\n\n'


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "status", "type"),
    [
        ("authentication", 401, "authentication_error"),
        ("forbidden", 403, "permission_error"),
        ("unknown_model", 404, "not_found_error"),
        ("invalid", 400, "invalid_request_error"),
        ("rate_limit", 429, "rate_limit_error"),
        ("budget", 402, "billing_error"),
        ("overloaded", 529, "overloaded_error"),
        ("upstream", 500, "api_error"),
        ("timeout", 504, "timeout_error"),
    ],
)
def test_problems_have_the_status_and_the_type_of_the_api(kind: Any, status: int, type: str) -> None:
    reply = anthropic.problem(ProblemDetails(kind, "it failed", "c", "gateway", "r1", retry_after=1.5))

    assert reply.status == status
    assert json.loads(reply.body) == {
        "type": "error",
        "error": {"type": type, "message": "gateway: it failed"},
        "request_id": "r1",
    }
    assert (reply.fields["request-id"], reply.fields["retry-after"]) == ("r1", "2")


def test_a_prompt_that_is_too_long_is_called_what_clients_look_for() -> None:
    reply = anthropic.problem(ProblemDetails("context", "9 tokens, 8 at most", "c", "caller"))

    assert "prompt is too long" in json.loads(reply.body)["error"]["message"]


def test_the_upstreams_own_words_go_back_as_they_came() -> None:
    body = b'{"type": "error", "error": {"type": "odd"}}'

    reply = anthropic.problem(ProblemDetails("invalid", "m", "c", "caller", body=body, status=422))

    assert (reply.status, reply.body) == (422, body)


def test_a_failure_in_a_stream_is_an_event_of_the_api() -> None:
    data = read().writer.failure(ProblemDetails("overloaded", "busy", "c", "upstream"))

    assert data.startswith(b"event: error\ndata: ")
    assert data.endswith(b"\n\n")


def test_text_parts_of_a_user_stay_apart() -> None:
    said = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]

    assert request(messages=turns(said)).messages[0].content == (Text("a"), Text("b"))
