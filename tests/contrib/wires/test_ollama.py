"""Ollama's own API from the side of the server: what is read, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pointsman.plugin import (
    Assembly,
    ChatRequest,
    ChatResponse,
    Done,
    EmbedRequest,
    EmbedResponse,
    Finished,
    GenerateRequest,
    InvalidRequest,
    Message,
    ProblemDetails,
    ReasoningDelta,
    ResponseFormat,
    StreamEvent,
    TextDelta,
    TextMessages,
    Tool,
    ToolCall,
    ToolCallDelta,
    Understood,
    Unsupported,
    Usage,
    UsageUpdate,
)
from pointsman_ollama.decode import StreamDecoder, chat_response
from pointsman_ollama.wire import Defaults, chat_body
from pointsman_wires import ollama

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
RECORDED = Path(__file__).parents[4] / "shared" / "recorded" / "ollama"
AT = "1970-01-01T00:00:01.500000Z"


def read(**members: Any) -> Understood:
    return ollama.read(json.dumps(ASKED | members).encode(), request_id="r", wall=1.5)


def request(**members: Any) -> ChatRequest:
    asked = read(**members).request
    assert isinstance(asked, ChatRequest)
    return asked


def generate(**members: Any) -> Understood:
    return ollama.read_generate({"model": "m", "prompt": "Hi", **members}, wall=1.5)


def lines(understood: Understood, *events: StreamEvent) -> list[Any]:
    """The lines of a stream of `events`, handed over one by one."""
    data = b"".join(understood.writer.events([event]) for event in events).decode()
    assert data.endswith("}\n")
    return [json.loads(line) for line in data.removesuffix("\n").split("\n")]


def done(*events: StreamEvent) -> list[StreamEvent]:
    said = Assembly()
    said.extend(events)
    return [*events, Done(said.response())]


# ── reading ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_request_of_ours_can_say_is_read() -> None:
    function = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {}}}

    asked = request(
        messages=[{"role": "System", "content": "s"}, {"role": "user", "content": "Hi"}],
        tools=[{"type": "function", "function": function}],
        format={"type": "object"},
        think="high",
        options={"temperature": 0, "top_k": 4, "num_predict": 5, "seed": 0, "stop": ["end"], "min_p": 0.1},
    )

    assert asked == ChatRequest(
        "m",
        (Message.system("s"), Message.user("Hi")),
        tools=(Tool("f", "d", {"type": "object", "properties": {}}),),
        temperature=0,
        top_k=4,
        min_p=0.1,
        max_tokens=5,
        stop=("end",),
        seed=0,
        reasoning_effort="high",
        response_format=ResponseFormat("schema", {"type": "object"}),
    )


def test_a_stream_is_what_happens_when_nobody_says_otherwise() -> None:
    assert (read().stream, read(stream=True).stream, read(stream=False).stream) == (True, True, False)


def test_a_conversation_of_mere_text_is_carried_as_text() -> None:
    assert isinstance(request().messages, TextMessages)


def test_numbers_that_stand_for_no_bound_and_for_any_seed_are_not_said() -> None:
    asked = request(options={"num_predict": -1, "seed": -1})

    assert (asked.max_tokens, asked.seed) == (None, None)


@pytest.mark.parametrize(
    "results",
    [
        [{"tool_call_id": "c2"}, {"tool_call_id": "c1"}],
        [{"tool_name": "g"}, {"tool_name": "f"}],
        [{"tool_name": "g"}, {}],
    ],
)
def test_results_find_their_calls_by_id_by_name_or_by_their_order(results: list[dict[str, str]]) -> None:
    calls = [{"id": f"c{n}", "function": {"name": name, "arguments": {}}} for n, name in ((1, "f"), (2, "g"))]

    asked = request(
        messages=[
            *ASKED["messages"],
            {"role": "assistant", "tool_calls": calls},
            *({"role": "tool", "content": "x", **each} for each in results),
        ]
    )

    assert [message.tool_call_id for message in asked.messages[2:]] == ["c2", "c1"]


def test_calls_without_ids_get_some_that_their_results_have_too() -> None:
    call = {"function": {"name": "f", "arguments": {"n": 1}}}

    asked = request(
        messages=[
            {"role": "assistant", "content": "", "tool_calls": [call, call]},
            *[{"role": "tool", "content": "x", "tool_name": "f"}] * 2,
        ]
    )

    ids = [each.id for each in asked.messages[0].tool_calls]
    assert len(set(ids)) == 2
    assert [each.tool_call_id for each in asked.messages[1:]] == ids
    assert asked.messages[0].tool_calls[0].arguments == '{"n":1}'


def test_pictures_are_parts_of_the_kind_that_they_begin_like() -> None:
    asked = request(messages=[{"role": "user", "content": "see", "images": ["/9j/4AAQ", "iVBORw0K"]}])

    urls = [getattr(part, "url", None) for part in asked.messages[0].parts]
    assert urls == [None, "data:image/jpeg;base64,/9j/4AAQ", "data:image/png;base64,iVBORw0K"]


def test_what_is_about_the_server_that_runs_the_model_is_ignored_by_name() -> None:
    asked = read(keep_alive=-1, truncate=False, options={"num_ctx": 4096, "mirostat": 1})

    assert asked.ignored == ("options.num_ctx", "options.mirostat", "keep_alive", "truncate")
    assert asked.needs_wire == ()


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": ""}, "model"),
        ({"messages": [{"role": "user", "content": []}]}, "messages[0].content"),
        ({"messages": [{"role": "nobody"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"format": "xml"}, "format"),
        ({"think": "much"}, "think"),
        ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"stop": 1}}, "options.stop"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"stream": "no"}, "stream"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)

    assert getattr(caught.value, "param", "") == param


def test_a_completion_is_the_turn_of_a_chat_unless_it_goes_on_before_a_text() -> None:
    turn = generate(system="s", context=[])
    between = generate(stream=False, system="s", suffix="end")

    assert turn.request == ChatRequest("m", (Message.system("s"), Message.user("Hi")))
    assert (turn.stream, turn.wire) == (True, "ollama.generate")
    assert between.request == GenerateRequest("m", "Hi", "end", "s", [])
    assert (between.stream, between.wire) == (False, "ollama")


def test_what_stands_between_two_texts_comes_at_once_in_the_shape_of_a_stream() -> None:
    asked = generate(suffix="end")

    body = asked.writer.whole(ChatResponse("x", usage=Usage(1, 2)))

    assert (asked.stream, asked.writer.content_type) == (False, "application/x-ndjson")
    said, last = map(json.loads, body.splitlines())
    assert (said["response"], said["done"], last["response"], last["done"]) == ("x", False, "", True)


def test_a_prompt_of_the_callers_own_making_needs_the_wire() -> None:
    assert generate(raw=True, stream=False).needs_wire == ("raw",)
    with pytest.raises(Unsupported, match="raw in a stream"):
        generate(raw=True)


def test_texts_to_embed_are_one_or_several() -> None:
    one = ollama.read_embed({"model": "m", "input": "a", "dimensions": 3, "truncate": True})
    old = ollama.read_embeddings({"model": "m", "prompt": "a"})

    assert one.request == EmbedRequest("m", ("a",), 3)
    assert one.ignored == ("truncate",)
    assert ollama.read_embed({"model": "m", "input": ["a", "b"]}).request == EmbedRequest("m", ("a", "b"))
    assert json.loads(old.writer.whole(EmbedResponse([[1.0, 2.0]]))) == {"embedding": [1.0, 2.0]}
    with pytest.raises(InvalidRequest, match="invalid input type"):
        ollama.read_embed({"model": "m", "input": 1})


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"messages": []}, "load"),
        ({}, "load"),
        ({"keep_alive": 0}, "unload"),
        ({"messages": [{}], "keep_alive": 0}, ""),
    ],
)
def test_a_body_that_asks_for_nothing_only_loads(given: dict[str, Any], reason: str) -> None:
    assert ollama.only_loads(given, "messages") == reason


@pytest.mark.skipif(not RECORDED.exists(), reason="the recorded exchanges are not beside the project")
def test_recorded_requests_are_written_again_as_they_were() -> None:
    seen = 0
    for path in sorted(RECORDED.glob("*api-chat*.json")):
        body = json.loads(path.read_text("utf-8"))["request"]["body"]
        asked = ollama.read(json.dumps(body).encode(), request_id="r", wall=1.5)
        assert isinstance(asked.request, ChatRequest)

        again = chat_body(asked.request, body["model"], Defaults({}, {}), stream=asked.stream)

        twice = ollama.read(json.dumps(again).encode(), request_id="r", wall=1.5)
        assert twice.request == asked.request, path.name
        seen += 1
    assert seen > 20


# ── writing ──────────────────────────────────────────────────────────────────────────────────────────


def test_a_whole_answer_has_all_that_clients_insist_on() -> None:
    answer = ChatResponse(
        "Hi",
        tool_calls=(ToolCall("call_1", "f", '{"n": 1}'),),
        finish_reason="tool_calls",
        usage=Usage(10, 5),
        reasoning="hm",
        model="upstream's name",
    )

    assert json.loads(read().writer.whole(answer)) == {
        "model": "m",
        "created_at": AT,
        "message": {
            "role": "assistant",
            "content": "Hi",
            "thinking": "hm",
            "tool_calls": [{"id": "call_1", "function": {"index": 0, "name": "f", "arguments": {"n": 1}}}],
        },
        "done": True,
        "done_reason": "stop",
        "prompt_eval_count": 10,
        "eval_count": 5,
    }


def test_a_stream_is_a_line_for_each_piece_and_one_for_each_call() -> None:
    events = done(
        ReasoningDelta("hm"),
        TextDelta("a\n"),
        ToolCallDelta(0, "c", "f"),
        ToolCallDelta(0, arguments='{"n"'),
        ToolCallDelta(0, arguments=":1}"),
        UsageUpdate(Usage(7, 3)),
        Finished("length", "length"),
    )

    found = lines(read(), *events)

    assert [each.get("message") for each in found] == [
        {"role": "assistant", "content": "", "thinking": "hm"},
        {"role": "assistant", "content": "a\n"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c", "function": {"index": 0, "name": "f", "arguments": {"n": 1}}}],
        },
        {"role": "assistant", "content": ""},
    ]
    assert [each["done"] for each in found] == [False, False, False, True]
    assert (found[-1]["done_reason"], found[-1]["prompt_eval_count"], found[-1]["eval_count"]) == (
        "length",
        7,
        3,
    )


def test_a_completion_has_its_text_at_the_top() -> None:
    found = lines(generate(), *done(ReasoningDelta("hm"), TextDelta("a")))

    assert [(each["response"], each.get("thinking")) for each in found] == [
        ("", "hm"),
        ("a", None),
        ("", None),
    ]


def test_durations_are_the_upstreams_own_or_ours() -> None:
    asked = ollama.read_chat(dict(ASKED), wall=1.5, elapsed=lambda: 9)

    ours = json.loads(asked.writer.whole(ChatResponse("a")))
    theirs = json.loads(asked.writer.whole(ChatResponse("a", raw={"total_duration": 5, "load_duration": 0})))

    assert (ours["total_duration"], ours["eval_duration"]) == (9, 9)
    assert theirs["total_duration"] == 5
    assert "eval_duration" not in theirs
    assert "load_duration" not in theirs


def test_a_line_without_text_tells_that_a_stream_is_alive() -> None:
    line = json.loads(read().writer.heartbeat())

    assert line == {
        "model": "m",
        "created_at": AT,
        "message": {"role": "assistant", "content": ""},
        "done": False,
    }


def test_our_own_client_reads_from_the_lines_what_was_written() -> None:
    events = done(
        TextDelta("a"), TextDelta("é\u2028"), ToolCallDelta(0, "c", "f", '{"n": 12345678901234567890123}')
    )
    data = b"".join(read().writer.events([event]) for event in events)

    answer = chat_response(data, StreamDecoder("s"))

    assert answer.text == "aé\u2028"
    assert json.loads(answer.tool_calls[0].arguments) == {"n": 12345678901234567890123}


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("unknown_model", 404, "caller: it failed (not found)"),
        ("overloaded", 503, "caller: it failed (server busy, please try again)"),
        ("invalid", 400, "caller: it failed"),
        ("budget", 429, "caller: it failed"),
        ("upstream", 502, "caller: it failed"),
    ],
)
def test_problems_are_a_text_with_a_status(kind: Any, status: int, text: str) -> None:
    reply = ollama.problem(ProblemDetails(kind, "it failed", "c", "caller"))

    assert (reply.status, json.loads(reply.body)) == (status, {"error": text})


def test_a_failure_in_a_stream_is_a_line() -> None:
    line = read().writer.failure(ProblemDetails("upstream", "it failed", "c", "upstream"))

    assert line == b'{"error":"upstream: it failed"}\n'


# ── models ───────────────────────────────────────────────────────────────────────────────────────────


def test_models_have_all_members_that_strict_programs_insist_on() -> None:
    card = ollama.ModelCard("m", ("completion", "tools"), 4096, 86400, "llama", 5, "7B", "Q4_0")

    [tag] = json.loads(ollama.listed([card]))["models"]
    [loaded] = json.loads(ollama.running([card]))["models"]
    shown = json.loads(ollama.shown(card))

    assert {"name", "model", "modified_at", "size", "digest", "details"} <= tag.keys()
    assert {"format", "family", "parameter_size", "quantization_level"} <= tag["details"].keys()
    assert (tag["modified_at"], loaded["expires_at"]) == ("1970-01-02T00:00:00Z", "9999-12-31T23:59:59Z")
    assert shown["capabilities"] == ["completion", "tools"]
    assert shown["model_info"] == {
        "general.architecture": "llama",
        "general.basename": "m",
        "llama.context_length": 4096,
    }
    assert json.loads(ollama.listed([])) == {"models": []}
