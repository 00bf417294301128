"""Answers and streams as odd servers write them: read where they can be, refused with words where not."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replay import Scripted, assemble, call_for, client_for, context_for, decoded, events_of

from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ContextWindowExceeded,
    ModelNotFound,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.http.framing import SseFramer
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    Finished,
    Image,
    Message,
    RawDelta,
    ReasoningBlock,
    Text,
    TextDelta,
)
from pointsman_openai.answers import chat_response, embed_response, model_infos
from pointsman_openai.decode import ChatDecoder
from pointsman_openai.provider import OpenAIProvider
from pointsman_openai.settings import OpenAISettings

HELLO = ChatRequest("m", (Message.user("hi"),))


def chunk(delta: Any = None, finish: Any = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "model": "m",
        "choices": [{"index": 0, "delta": delta or {}, "finish_reason": finish}],
        **more,
    }


def framed(*chunks: Any) -> bytes:
    frames = [
        each if isinstance(each, bytes) else b"data: " + json.dumps(each).encode() + b"\n\n"
        for each in chunks
    ]
    return b"".join([*frames, b"data: [DONE]\n\n"])


def events(*chunks: Any) -> list[Any]:
    return decoded(SseFramer(), ChatDecoder(), [framed(*chunks)])


async def ask(status: int, body: Any, headers: dict[str, str] | None = None, *, stream: bool = False) -> Any:
    transport = Scripted([(status, body, headers or {})])
    ours = OpenAIProvider(context_for(transport, settings=OpenAISettings(), base_url="http://up.test/v1"))
    call = call_for(client_for(transport, ours.endpoint))
    if stream:
        return assemble(await events_of(await ours.stream(HELLO, call)))
    return await ours.chat(HELLO, call)


# ── errors in a stream ───────────────────────────────────────────────────────────────────────────────

SAID: list[Any] = [
    {"error": {"message": "it broke", "code": 500}},
    {"error": "it broke"},
    [{"error": {"message": "it broke"}}],
    {"error_type": "server", "error_message": "it broke"},
    {"errors": [{"message": "it broke"}]},
    {"base_resp": {"status_code": 1000, "status_msg": "it broke"}},
    {"object": "error", "message": "it broke"},
    {"type": "error", "message": "it broke"},
    {"message": "it broke"},
    {"detail": "it broke"},
    {"detail": [{"loc": ["body"], "msg": "it broke"}]},
    {"detail": {"error": "it broke"}},
    {"choices": [{"index": 0, "delta": {"error": "it broke"}}]},
    {"choices": [{"index": 0, "delta": {"content": "a", "error": {"message": "it broke"}}}]},
    chunk({"content": "a"}, error={"message": "it broke"}),
    chunk({"content": "a"}, error_message="it broke"),
    {"choices": [{"index": 0, "delta": {"content": "a"}, "error": {"message": "it broke"}}]},
]
PLACES = [
    lambda said: said,
    lambda said: b"event: error\ndata: " + json.dumps(said).encode() + b"\n\n",
    lambda said: b"error: " + json.dumps(said).encode() + b"\n\n",
    lambda said: json.dumps(said).encode() + b"\n\n",
    lambda said: json.dumps(said, indent=2).encode() + b"\n\n",
]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("before", [[], [chunk({"content": "a"})], [chunk({"content": "a"}, "stop")]])
def test_whatever_names_an_error_breaks_the_stream_with_its_words(before: Any, said: Any, place: Any) -> None:
    with pytest.raises(CallError, match="it broke"):
        events(*before, place(said))


@pytest.mark.parametrize("line", [b"error: it broke\n\n", b"event: error\ndata: it broke\n\n"])
def test_an_error_may_be_mere_words(line: bytes) -> None:
    with pytest.raises(Unavailable, match="it broke"):
        events(chunk({"content": "a"}), line)


def test_an_error_without_words_is_one() -> None:
    with pytest.raises(Unavailable):
        events(chunk({"content": "a"}), b"event: error\n\n")


@pytest.mark.parametrize(
    "odd",
    [
        {"ERROR": "x"}, {"exception": "x"}, {"fault": {"faultstring": "x"}}, {"status": "error"},
        {"success": False}, {"error": {}}, {"id": "c", "message": "x"}, {"type": "response.failed"},
        {"modelStreamErrorException": {"message": "x"}}, {"data": {"error": "x"}}, {"Message": "x"},
    ],
)  # fmt: skip
def test_a_frame_that_is_no_chunk_breaks_an_answer_that_gives_no_reason_for_its_end(odd: Any) -> None:
    with pytest.raises(CallError):
        events(chunk({"content": "half an"}), odd)
    with pytest.raises(CallError):
        events(chunk({"content": "half an"}), odd, chunk({"content": " answer"}))
    assert assemble(events(chunk({"content": "whole"}), odd, chunk(finish="stop"))).text == "whole"


@pytest.mark.parametrize(
    "fine",
    [{"usage": {"prompt_tokens": 1, "completion_tokens": 1}}, {"id": "c", "object": "ping"}, {}, chunk(x=1)],
)
def test_an_answer_of_chunks_alone_needs_no_reason_for_its_end(fine: Any) -> None:
    assert assemble(events(chunk({"content": "whole"}), fine)).text == "whole"


@pytest.mark.parametrize(
    "choice",
    [{"index": 0}, {"message": {"content": ""}}, {"message": {"content": None}, "finish_reason": None}],
)
async def test_an_answer_that_says_nothing_and_not_why_is_none(choice: Any) -> None:
    with pytest.raises(BadResponse, match="says nothing"):
        await ask(200, {"id": "c", "choices": [choice]})
    choice = {"message": {"content": ""}, "finish_reason": "stop"}
    assert (await ask(200, {"id": "c", "choices": [choice]})).text == ""


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("content", [5, 0.5, True, {"answer": 42}])
async def test_content_that_is_no_text_is_not_lost_without_a_word(content: Any, stream: bool) -> None:
    with pytest.raises(BadResponse, match="has a content that is a JSON"):
        await ask(
            200, {"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}, stream=stream
        )


async def test_a_part_of_a_content_may_be_but_a_text() -> None:
    message = {"content": ["a", {"type": "text", "text": "b"}, {"type": "image_url"}]}
    assert (await ask(200, {"choices": [{"message": message, "finish_reason": "stop"}]})).text == "ab"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_number_of_any_length_in_a_field_that_nobody_reads_costs_nothing(stream: bool) -> None:
    body = json.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "x": 1})
    assert (await ask(200, body.replace("1}", "9" * 6000 + "}"), stream=stream)).text == "hi"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_number_in_arguments_that_nobody_can_read_is_told(stream: bool) -> None:
    message = {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": {"x": 1}}}]}
    body = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]})
    with pytest.raises(BadResponse, match="tool call cannot be read"):
        await ask(200, body.replace('"x": 1', '"x": ' + "9" * 6000), stream=stream)


def test_what_only_looks_like_an_error_is_none() -> None:
    got = events(
        chunk({"content": "a"}, error=None, errors=[], base_resp={"status_code": 0}),
        chunk({"content": "b"}, message="a note", error_code=0),
        chunk(finish="stop"),
    )
    assert assemble(got).text == "ab"


# ── what came instead ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, "<html><body>nginx</body></html>"),
        (404, "404 page not found"),
        (404, ""),
        (404, {"detail": "Not Found"}),
        (
            404,
            {
                "error": {
                    "message": "Invalid URL (POST /v1/v1/chat/completions)",
                    "type": "invalid_request_error",
                }
            },
        ),
        (404, {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}}),
        (404, {"error": {"code": "404", "message": "Resource not found"}}),
        (404, {"message": "no Route matched with those values"}),
        (404, "Cannot POST /chat/completions"),
        (405, {"detail": "Method Not Allowed"}),
        (405, "405 method not allowed"),
        (200, "<!doctype html><html></html>"),
    ],
)
async def test_a_wrong_address_says_what_it_should_look_like(status: int, body: Any) -> None:
    with pytest.raises(BadResponse, match=r"base_url should look like https://host/v1") as caught:
        await ask(status, body)
    assert not caught.value.retry_same


@pytest.mark.parametrize(
    "page",
    [
        "<html>Sign in to the network</html>",
        "<!doctype html>\n<html>\n\n<body></body>\n</html>\n",
        "\n  <HTML><head></head>",
        "\ufeff<?xml version='1.0'?>\n<error/>",
    ],
)
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_a_page_in_place_of_a_stream_says_what_came_and_what_the_address_should_look_like(
    page: str, cut: int
) -> None:
    body = page.encode()
    pieces = [body[at : at + cut] for at in range(0, len(body), cut)]

    with pytest.raises(BadResponse, match=r"an HTML page.*base_url should look like https://host$") as caught:
        decoded(SseFramer(), ChatDecoder(address="https://host"), pieces)
    assert not caught.value.retry_same


async def test_a_path_that_is_not_there_is_named_also_with_a_status_of_success() -> None:
    with pytest.raises(BadResponse, match=r"Unexpected endpoint.*base_url should end with /v1"):
        await ask(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"})


def test_an_error_in_place_of_the_models_is_that_error() -> None:
    with pytest.raises(RateLimited, match="slowly"):
        model_infos({"error": {"message": "slowly", "code": "rate_limit_exceeded"}}, provider="p")


@pytest.mark.parametrize(
    "body",
    [
        {
            "error": {
                "message": "The model `x` does not exist or you do not have access to it.",
                "code": "model_not_found",
            }
        },
        {"error": "model 'x' not found"},
        {
            "error": {
                "code": 404,
                "message": 'model "x" not found. To see available models, call GET /v1/models',
            }
        },
        {
            "error": {
                "code": "DeploymentNotFound",
                "message": "The API deployment for this resource does not exist.",
            }
        },
    ],
)
async def test_a_model_that_is_not_there_is_no_wrong_address(body: Any) -> None:
    with pytest.raises(ModelNotFound):
        await ask(404, body)


@pytest.mark.parametrize(
    ("body", "said"), [("", "nothing"), ("hello there", "hello there"), ("{broken", "broken")]
)
async def test_an_answer_that_is_no_json_says_what_it_is(body: str, said: str) -> None:
    with pytest.raises(BadResponse, match=said):
        await ask(200, body)


@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", "text/plain", ""])
async def test_events_for_a_chat_are_put_together(kind: str) -> None:
    body = framed(
        chunk({"content": "o"}),
        chunk({"content": "k"}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2}),
    )
    for before in (b"", b": ping\n\n", b"\xef\xbb\xbf"):
        answer = await ask(200, before + body, {"content-type": kind})
        assert (answer.text, answer.finish_reason, answer.usage.total) == ("ok", "stop", 3)
    with pytest.raises(ContextWindowExceeded):
        await ask(200, framed({"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}}))


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON", "text/plain", "text/event-stream", ""]
)
async def test_one_answer_for_a_stream_is_read(kind: str) -> None:
    message = {
        "role": "assistant",
        "content": "ok",
        "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
    }
    answer = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    for body in (json.dumps(answer), json.dumps(answer, indent=1)):
        got = await ask(200, body, {"content-type": kind}, stream=True)
        assert (got.text, got.finish_reason, len(got.tool_calls)) == ("ok", "tool_calls", 1)


async def test_a_wait_in_the_body_counts_where_no_header_says_one() -> None:
    body = {
        "error": {"message": "Rate limit reached. Please try again in 1.5s.", "code": "rate_limit_exceeded"}
    }
    for headers, wait in (({}, 1.5), ({"retry-after": "3"}, 3.0)):
        with pytest.raises(RateLimited) as caught:
            await ask(429, body, headers)
        assert caught.value.retry_after == wait


async def test_a_request_larger_than_the_accounts_rate_goes_elsewhere_at_once() -> None:
    said = "Request too large for m on tokens per min (TPM): Limit 30000, Requested 46226."
    with pytest.raises(RateLimited) as caught:
        await ask(429, {"error": {"message": said, "code": "rate_limit_exceeded"}}, {"retry-after": "5"})
    error = caught.value
    assert (error.retry_same, error.retry_elsewhere, error.retry_after, error.outcome) == (
        False,
        True,
        None,
        "client_fault",
    )


async def test_a_rejected_key_shows_what_is_said_of_it() -> None:
    said = "Incorrect API key provided. You can find your API key elsewhere."
    with pytest.raises(AuthenticationFailed, match="Incorrect API key provided"):
        await ask(400, {"code": "invalid-argument", "error": said})


# ── text, reasoning, what is beside them ─────────────────────────────────────────────────────────────


@given(st.lists(st.text(st.sampled_from("aé😀\ud83d\ude00"), min_size=1, max_size=4), min_size=1, max_size=6))
@settings(deadline=None)
def test_every_text_that_comes_can_be_written(pieces: list[str]) -> None:
    parts = [chunk({"content": each}) for each in pieces]
    thoughts = [chunk({"reasoning_content": each}) for each in pieces]
    calls = [
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": each}}]}) for each in pieces
    ]
    got = assemble(events(*thoughts, *parts, *calls, chunk(finish="stop")))
    joined = "".join(pieces).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    assert (got.text, got.reasoning, got.tool_calls[0].arguments) == (joined, joined, joined)
    whole = chat_response({"choices": [{"message": {"content": "".join(pieces)}, "finish_reason": "stop"}]})
    assert whole.text == joined


def test_a_whole_message_behind_its_pieces_says_nothing_twice() -> None:
    call = {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "ab", "reasoning": "r", "tool_calls": [call]}
    last = {"id": "c", "choices": [{"index": 0, "delta": {}, "message": message, "finish_reason": "stop"}]}
    pieces = [
        chunk({"reasoning": "r"}),
        chunk({"content": "a"}),
        chunk({"content": "b"}),
        chunk({"tool_calls": [call]}),
    ]
    got = assemble(events(*pieces, last))
    assert (got.text, got.reasoning, [each.arguments for each in got.tool_calls]) == ("ab", "r", ["{}"])
    alone = assemble(events(last))
    assert (alone.text, alone.reasoning, [each.arguments for each in alone.tool_calls]) == ("ab", "r", ["{}"])


def test_signed_pieces_of_reasoning_are_blocks() -> None:
    first = {"type": "reasoning.text", "text": "th", "format": "x", "index": 0}
    got = events(
        chunk({"reasoning_details": [first]}),
        chunk(
            {
                "reasoning_details": [
                    {"type": "reasoning.text", "text": "ink", "signature": "s", "format": "x", "index": 0}
                ]
            }
        ),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "e", "index": 1}]}),
        chunk({"content": "a"}, "stop"),
    )
    blocks = [each.block for each in got if isinstance(each, ReasoningBlock)]
    assert blocks == [
        {"type": "reasoning.text", "text": "think", "format": "x", "index": 0, "signature": "s"},
        {"type": "reasoning.encrypted", "data": "e", "index": 1},
    ]
    assert assemble(got).reasoning == "think"
    message = {"content": "a", "reasoning_details": blocks}
    whole = chat_response({"choices": [{"message": message, "finish_reason": "stop"}]})
    assert (whole.reasoning_blocks, whole.reasoning) == (tuple(blocks), "think")
    assert whole.message.reasoning_blocks == tuple(blocks)


def test_what_has_no_place_in_the_answer_is_raw() -> None:
    got = events(
        chunk({"content": "a"}, citations=["u"]),
        chunk({"content": "b"}, citations=["u"]),
        chunk({"annotations": [{"type": "url_citation"}], "extra_content": {"google": 1}}),
        chunk({"images": [{"url": "data:"}]}, "stop"),
    )
    assert [each.raw for each in got if isinstance(each, RawDelta)] == [
        {"citations": ["u"]},
        {"annotations": [{"type": "url_citation"}], "extra_content": {"google": 1}},
        {"images": [{"url": "data:"}]},
    ]
    assert [each.extra for each in got if isinstance(each, RawDelta) and each.extra] == [
        {"extra_content": {"google": 1}}
    ]


def test_the_first_id_that_is_some_counts() -> None:
    empty = {
        "id": "",
        "model": "",
        "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}],
    }
    got = events(empty, chunk({"content": "a"}), chunk(finish="stop"))
    assert (got[0].id, got[0].model) == ("c", "m")
    nameless = {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": "stop"}]}
    assert [type(each) for each in events(nameless)[1:]] == [TextDelta, Finished]


# ── vectors ──────────────────────────────────────────────────────────────────────────────────────────


def embedded(embedding: Any, **asked: Any) -> Any:
    return embed_response(
        {"data": [{"index": 0, "embedding": embedding}]}, EmbedRequest("m", ("a",), **asked)
    ).vectors


@pytest.mark.parametrize("asked", [2, 4])
def test_vectors_of_other_dimensions_than_asked_for_are_unsupported(asked: int) -> None:
    with pytest.raises(Unsupported, match=f"3 dimensions, not the {asked}"):
        embedded([0.1, 0.2, 0.3], dimensions=asked)
    assert embedded([0.1, 0.2, 0.3], dimensions=3) == [[0.1, 0.2, 0.3]]


@pytest.mark.parametrize("first", [0, 1, 7])
def test_vectors_are_in_the_order_of_their_numbers_wherever_these_begin(first: int) -> None:
    data = [{"index": first + 1, "embedding": [2.0]}, {"index": first, "embedding": [1.0]}]
    assert embed_response({"data": data}, EmbedRequest("m", ("a", "b"))).vectors == [[1.0], [2.0]]


@pytest.mark.parametrize("embedding", [[None], [], "", "AADAfw==", [1e400]])
def test_a_vector_that_is_none_is_refused(embedding: Any) -> None:
    with pytest.raises(BadResponse):
        embedded(embedding)


def test_base64_is_read_as_the_kind_of_number_that_was_asked_for() -> None:
    assert embedded("AQID/w==", extra={"output_dtype": "int8"}) == [[1, 2, 3, -1]]
    assert embedded("AQID/w==", extra={"output_dtype": "uint8"}) == [[1, 2, 3, 255]]
    assert embedded("AACAPw==") == [[1.0]]
    assert embedded("AQI=", extra={"output_dtype": "ubinary"}, dimensions=16) == [[1, 2]]


def test_base64_of_another_kind_than_asked_for_is_noticed_by_its_length() -> None:
    with pytest.raises(Unsupported):
        embedded("AQID/wECA/8=", dimensions=8)  # eight numbers of int8 would be two of float32
    with pytest.raises(BadResponse):
        embedded("AQID")


# ── large pictures ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [10, 2 << 20])
async def test_a_picture_goes_out_the_same_whatever_its_size(size: int) -> None:
    ok = {"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}
    transport = Scripted([(200, ok, {})])
    ours = OpenAIProvider(context_for(transport, settings=OpenAISettings(), base_url="http://up.test/v1"))
    picture = Image(b"\x00\x01\xff" * (size // 3), "image/jpeg")
    request = ChatRequest("m", (Message.user((picture, Text("what is it"))),))

    await ours.chat(request, call_for(client_for(transport, ours.endpoint)))

    (message,) = transport.sent()["messages"]
    written = b64encode(picture.data or b"").decode()
    assert message["content"][0] == {
        "type": "image_url",
        "image_url": {"url": f"data:image/jpeg;base64,{written}"},
    }
