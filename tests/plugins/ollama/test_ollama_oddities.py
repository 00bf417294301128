"""Ollama behind proxies, and servers that speak as it does, more or less."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Scripted, assemble, call_for, client_for, context_for, cut, decoded, events_of

from pointsman.errors import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ContextWindowExceeded,
    ModelNotFound,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
    Unsupported,
)
from pointsman.requests.parsing import chat_request
from pointsman.types import ChatRequest, EmbedRequest, Image, Message, Text
from pointsman_ollama import wire
from pointsman_ollama.decode import Lines, StreamDecoder, chat_response, embed_response
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings

NOTHING = wire.Defaults({}, {})
HELLO = ChatRequest("public", (Message.user("hello"),))


def line(message: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": "", **(message or {})}
    return {"model": "m", "created_at": "t", "message": message, "done": False, **more}


def body(*values: Any) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in values)


TEXT = [line({"content": each}) for each in ("Hi", " you", "!")]
END = line(done=True, done_reason="stop", prompt_eval_count=3, eval_count=4)


def made(*answers: Any, **settings: Any) -> tuple[OllamaProvider, Scripted]:
    transport = Scripted(answers)
    return OllamaProvider(context_for(transport, settings=OllamaSettings(**settings))), transport


async def asked(how: str, *answers: Any, **settings: Any) -> Any:
    provider, transport = made(*answers, **settings)
    assert provider.endpoint is not None
    call = call_for(client_for(transport, provider.endpoint), "m")
    if how == "chat":
        return await provider.chat(HELLO, call)
    return assemble(await events_of(await provider.stream(HELLO, call)))


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────

TOO_LONG = "input exceeds maximum context length and cannot be truncated further"
FAILURES: dict[str, tuple[Any, type[CallError], str]] = {
    "Ollama's": ({"error": "runner died"}, Unavailable, "runner died"),
    "of OpenAI": (
        {"error": {"message": "no funds", "type": "x", "code": "insufficient_quota"}},
        QuotaExhausted,
        "no funds",
    ),
    "of Claude": (
        {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}},
        RateLimited,
        "slow",
    ),
    "flat names": ({"error_type": "x", "error_message": "runner died"}, Unavailable, "runner died"),
    "a text of JSON": ({"error": json.dumps({"message": TOO_LONG})}, ContextWindowExceeded, TOO_LONG),
    "an object": ({"object": "error", "message": "runner died"}, Unavailable, "runner died"),
    "a detail": ({"detail": "runner died"}, Unavailable, "runner died"),
    "a message": ({"message": "runner died"}, Unavailable, "runner died"),
    "a status": ({"error": {"code": 401, "message": "bad key"}}, AuthenticationFailed, "bad key"),
    "beside a message": (line({"content": "x"}, error="runner died"), Unavailable, "runner died"),
    "beside the end": ({**END, "error": "runner died"}, Unavailable, "runner died"),
    "a missing model": ({"error": "model 'm' not found"}, ModelNotFound, "not found"),
}


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("last", [b"", body(END)])
def test_a_failure_breaks_the_answer_with_its_words_wherever_and_however_it_is_told(
    what: str, place: int, last: bytes
) -> None:
    value, kind, words = FAILURES[what]
    given = body(*TEXT[:place], value) + last

    for seed in (None, 2, 5):
        with pytest.raises(CallError) as caught:
            decoded(Lines(), StreamDecoder("s"), cut(given, seed=seed))
        assert type(caught.value) is kind
        assert words in caught.value.message
    with pytest.raises(kind):
        chat_response(given, StreamDecoder("s"))


@pytest.mark.parametrize("what", FAILURES)
@pytest.mark.parametrize("indent", [None, 2])
async def test_a_failure_of_status_200_is_one_whatever_was_asked_for(what: str, indent: int | None) -> None:
    value, kind, words = FAILURES[what]
    given = json.dumps(value, indent=indent)

    for how, underneath in (("chat", True), ("chat", False), ("stream", True)):
        with pytest.raises(CallError, match=words) as caught:
            await asked(how, (200, given), stream_underneath=underneath)
        assert type(caught.value) is kind


@pytest.mark.parametrize("nothing", [None, "", False, {}, []])
def test_an_error_that_is_nothing_is_none(nothing: Any) -> None:
    given = body(*({**each, "error": nothing} for each in (*TEXT, END)))

    assert assemble(decoded(Lines(), StreamDecoder("s"), [given])).text == "Hi you!"


# ── another form than was asked for ──────────────────────────────────────────────────────────────────

WHOLE = {**END, "message": {"role": "assistant", "content": "Hi you!"}}
FORMS = {
    "lines": body(*TEXT, END),
    "lines without their last end": body(*TEXT, END)[:-1],
    "one line": body(WHOLE),
    "one piece": json.dumps(WHOLE).encode(),
    "one piece, spread": json.dumps(WHOLE, indent=2).encode(),
    "one piece, spread, with blank lines": b"\n\n" + json.dumps(WHOLE, indent="\t").encode() + b"\n\n",
    "lines with blank ones": body(*TEXT, END).replace(b"\n", b"\r\n\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "kind", ["application/x-ndjson", "application/json", "text/plain", "Text/Event-Stream"]
)
@pytest.mark.parametrize("seed", [None, 3])
@pytest.mark.parametrize(("how", "underneath"), [("chat", True), ("chat", False), ("stream", True)])
async def test_an_answer_is_read_for_what_it_is(
    form: str, kind: str, seed: int | None, how: str, underneath: bool
) -> None:
    given = (200, cut(FORMS[form], seed=seed), {"content-type": kind})

    answer = await asked(how, given, stream_underneath=underneath)

    assert (answer.text, answer.finish_reason, answer.model) == ("Hi you!", "stop", "m")
    assert (answer.usage.prompt, answer.usage.completion) == (3, 4)
    assert answer.raw["prompt_eval_count"] == 3


@pytest.mark.parametrize("length", range(1, len(json.dumps(WHOLE, indent=2)), 7))
async def test_a_spread_answer_that_was_cut_is_truncated(length: int) -> None:
    with pytest.raises(Truncated):
        await asked("stream", (200, json.dumps(WHOLE, indent=2)[:length]))


# ── another address ──────────────────────────────────────────────────────────────────────────────────

PAGES = [
    (200, "<html>hello</html>"),
    (200, "Ollama is running"),
    (200, {"status": "ok"}),
    (200, {"object": "list", "data": []}),
    (404, "404 page not found"),
    (404, {"detail": "Not Found"}),
    (404, {"error": {"message": "Unknown request URL: POST /api/chat", "type": "invalid_request_error"}}),
    (404, {"error": 'path "/v1/api/chat" not found'}),
    (405, {"detail": "Method Not Allowed"}),
]


@pytest.mark.parametrize("answer", PAGES, ids=str)
@pytest.mark.parametrize(("how", "underneath"), [("chat", True), ("chat", False), ("stream", True)])
async def test_what_is_not_ollama_tells_what_the_address_should_look_like(
    answer: Any, how: str, underneath: bool
) -> None:
    with pytest.raises(BadResponse, match=r"not Ollama's API; base_url must end before /api, such as http"):
        await asked(how, answer, stream_underneath=underneath)


@pytest.mark.parametrize("call", ["version", "models", "ps", "probe", "embed"])
@pytest.mark.parametrize("body", ["<html>hello</html>", "Ollama is running"])
async def test_a_page_tells_other_calls_too_what_the_address_should_look_like(call: str, body: str) -> None:
    provider, transport = made((200, body))
    assert provider.endpoint is not None

    with pytest.raises(BadResponse, match=r"base_url must end before /api, such as http"):
        if call == "embed":
            client = client_for(transport, provider.endpoint)
            await provider.embed(EmbedRequest("public", ("a",)), call_for(client, "m"))
        else:
            await getattr(provider, call)()


# ── tool calls ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arguments", [{"q": 1}, '{"q":1}', '"{\\"q\\":1}"'])
@pytest.mark.parametrize("index", [..., None, 0, 7, "0", -1])
@pytest.mark.parametrize("inside", [True, False])
def test_calls_are_counted_by_us_whatever_their_numbers_and_forms(
    arguments: Any, index: Any, inside: bool
) -> None:
    function = {"name": "f", "arguments": arguments, **({} if index is ... else {"index": index})}
    call = {"function": function} if inside else function
    given = body(line({"tool_calls": [call]}), line({"tool_calls": [call, call]}), END)

    calls = assemble(decoded(Lines(), StreamDecoder("s"), [given])).tool_calls

    assert [(each.index, each.name, each.arguments) for each in calls] == [
        (n, "f", '{"q":1}') for n in range(3)
    ]
    assert len({each.id for each in calls}) == 3


@pytest.mark.parametrize("name", ["", " ", None, 7, ...])
def test_a_call_without_a_name_is_never_a_success(name: Any) -> None:
    call = {"function": {"arguments": {}, **({} if name is ... else {"name": name})}}

    with pytest.raises(BadResponse, match="name of a function"):
        decoded(Lines(), StreamDecoder("s"), [body(line({"tool_calls": [call]}), END)])


@pytest.mark.parametrize("number", [2**64, -(2**70), 10**30])
def test_large_numbers_of_a_call_are_not_changed(number: int) -> None:
    call = {"function": {"name": "f", "arguments": {"n": number}}}
    given = body(line({"content": "Hi"}), line({"tool_calls": [call]}), END)

    answer = assemble(decoded(Lines(), StreamDecoder("s"), [given]))

    assert answer.tool_calls[0].arguments == f'{{"n":{number}}}'
    assert answer.raw["message"]["tool_calls"] == [call]


# ── characters ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["content", "thinking"])
@pytest.mark.parametrize("seed", [None, 2])
def test_characters_that_were_cut_in_two_are_joined(name: str, seed: int | None) -> None:
    pieces = ["a", "b\ud83d", "\udc4dc\ud83d", "\udc4d", "d", "\ud83d"]
    given = body(*(line({name: each}) for each in pieces), END)

    answer = assemble(decoded(Lines(), StreamDecoder("s"), cut(given, seed=seed)))

    assert (answer.text or answer.reasoning) == "ab\U0001f44dc\U0001f44dd\ufffd"


# ── what requests say beside our fields ──────────────────────────────────────────────────────────────

CALL = {"id": "t1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a part": (
        {"role": "user", "content": [{"type": "text", "text": "a", "citations": {}}]},
        "citations of a part",
    ),
    "a picture": (
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "fps": 2}}],
        },
        "image_url of a part",
    ),
    "a message": ({"role": "assistant", "content": "a", "prefix": True}, "prefix of a message"),
    "several": ({"role": "user", "content": "a", "b": 1, "c": 2}, "b, c of a message"),
    "a call": (
        {"role": "assistant", "content": None, "tool_calls": [{**CALL, "mood": 1}]},
        "mood of the call of 'f'",
    ),
}


def sent(*messages: Any, **options: Any) -> dict[str, Any]:
    return wire.chat_body(chat_request("m", list(messages), options), "m", NOTHING, stream=False)


@pytest.mark.parametrize("of", REFUSED)
def test_a_member_that_ollama_does_not_have_is_refused_by_its_name(of: str) -> None:
    message, words = REFUSED[of]

    with pytest.raises(Unsupported, match=words):
        sent(message)


def test_a_member_of_a_tool_is_refused_by_its_name() -> None:
    with pytest.raises(Unsupported, match="defer_loading of tool 'f'"):
        sent({"role": "user", "content": "a"}, tools=[{"name": "f", "defer_loading": True}])


def test_what_to_keep_of_a_prompt_is_no_reason_to_refuse_it() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    said = {"role": "user", "content": [{"type": "text", "text": "a", **mark}], **mark}

    given = sent(said, tools=[{"name": "f", **mark}])

    assert given["messages"] == [{"role": "user", "content": "a"}]
    assert "cache_control" not in str(given["tools"])


def test_what_other_providers_want_back_stays_here() -> None:
    call = {**CALL, "extra_content": {"google": {"thought_signature": "QUJD"}}}
    claudes = Message("assistant", "a", extra={"content": [{"type": "server_tool_use"}]})

    body = json.dumps(sent({"role": "assistant", "content": None, "tool_calls": [call]}, claudes))

    assert "QUJD" not in body
    assert "server_tool_use" not in body


def test_a_message_may_be_written_in_ollamas_own_words() -> None:
    (message,) = sent({"role": "user", "content": "a", "images": ["QUJD"]})["messages"]

    assert message == {"role": "user", "content": "a", "images": ["QUJD"]}


@pytest.mark.parametrize("count", [None, 1, 2, 0])
def test_several_answers_to_one_request_are_refused_by_name(count: int | None) -> None:
    message = {"role": "user", "content": "a"}
    if count in (None, 1):
        assert "n" not in sent(message, extra={"n": count})
    else:
        with pytest.raises(Unsupported, match=f"n={count}"):
            sent(message, extra={"n": count})


@given(
    st.binary(min_size=1, max_size=90),
    st.sampled_from(["data:image/png;base64,", "DATA:;BASE64,", "data:image/jpeg;a=b;base64,"]),
    st.sampled_from(["", "\n", "\r\n"]),
)
def test_a_picture_in_a_data_url_is_sent_without_prefix_and_line_breaks(
    data: bytes, prefix: str, line_end: str
) -> None:
    plain = base64.b64encode(data).decode()
    broken = line_end.join(plain[n : n + 76] for n in range(0, len(plain), 76)) + line_end
    request = ChatRequest("m", (Message.user((Text("?"), Image(url=prefix + broken))),))

    (message,) = wire.chat_body(request, "m", NOTHING, stream=False)["messages"]

    assert message["images"] == [plain]


# ── what only counts or names ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("odd", [None, "12", 1.5, -1, True, [], {}, 10**30])
@pytest.mark.parametrize("how", ["chat", "stream"])
async def test_odd_counts_and_names_do_not_cost_an_answer(how: str, odd: Any) -> None:
    end = {**END, "prompt_eval_count": odd, "model": odd, "created_at": odd}
    answer = await asked(how, (200, body(*({**each, "model": odd} for each in TEXT), end), {}))
    assert (answer.text, answer.usage.prompt, answer.usage.completion) == ("Hi you!", None, 4)


def test_a_list_with_an_error_breaks_the_answer_with_its_words() -> None:
    with pytest.raises(Unavailable, match="it broke"):
        chat_response(json.dumps([{"error": "it broke"}]).encode(), StreamDecoder(""))


@pytest.mark.parametrize("vector", [[None], ["x"], [], [float("nan")]])
def test_a_vector_that_is_none_is_refused(vector: Any) -> None:
    with pytest.raises(BadResponse):
        embed_response({"embeddings": [vector]}, count=1, dimensions=None)
