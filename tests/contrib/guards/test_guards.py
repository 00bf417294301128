"""The four guards by themselves: what they change, refuse, and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman.clock import system_rng
from pointsman.plugin import (
    Answered,
    Assembly,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    File,
    Finished,
    GenerateRequest,
    Guard,
    GuardCall,
    Image,
    Message,
    RawDelta,
    ReasoningBlock,
    ReasoningDelta,
    Refused,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
    replace,
)
from pointsman.testing import Contexts, run
from pointsman_guards import plugin

KEY = "sk-" + "a1B2" * 6
MAIL = "anna@example.org"


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


def guard(type: str, clock: Any = None, /, **settings: Any) -> Guard:
    (factory,) = [each for each in plugin.pointsman_guards() if each.name == type]
    model = factory.settings
    assert model is not None
    contexts = Contexts(clock or Time(), system_rng())
    return factory.make(contexts.guard(type, model.model_validate(settings), model=None))


def call(operation: str = "chat", **about: Any) -> GuardCall:
    return GuardCall("req-1", operation, "m", about.pop("caller", ""), {}, 60.0, **about)


def chat(*messages: Message | str, **more: Any) -> ChatRequest:
    given = (Message.user(each) if isinstance(each, str) else each for each in messages)
    return ChatRequest("m", tuple(given), **more)


def before(guard: Guard, request: Any, of: GuardCall | None = None) -> Any:
    return run(guard.before(request, of or call()))


def after(guard: Guard, response: Any, of: GuardCall | None = None) -> Any:
    return run(guard.after(response, of or call()))


def streamed(guard: Guard, *events: StreamEvent) -> list[StreamEvent]:
    through = guard.stream(call("stream"))
    assert through is not None
    return [*(each for event in events for each in through.feed(event)), *through.end()]


def whole(events: list[StreamEvent]) -> ChatResponse:
    assembly = Assembly()
    assembly.extend(events)
    return assembly.response()


# ── redact ───────────────────────────────────────────────────────────────────────────────────────────


def test_every_text_of_a_chat_is_redacted_and_what_nobody_wrote_stays() -> None:
    picture = Image(data=b"4111111111111111")
    asked = chat(
        Message.system(f"The key is {KEY}"),
        Message.user([Text(f"I am {MAIL}"), picture, File(data=b"x", filename=f"{MAIL}.pdf")]),
        Message.assistant("", [ToolCall("c1", "mail", f'{{"to": "{MAIL}"}}', 0)]),
        Message.tool("c1", f"sent to {MAIL}"),
        user=MAIL,
        metadata={"who": MAIL},
        extra={"note": [MAIL]},
    )

    got = before(guard("redact"), asked)

    assert KEY not in repr(got)
    assert MAIL not in repr(got)
    assert got.messages[0].text == "The key is [api_key]"
    assert got.messages[1].content[1] is picture
    assert got.messages[2].tool_calls[0].arguments == '{"to": "[email]"}'
    assert (got.user, got.metadata, got.extra) == ("[email]", {"who": "[email]"}, {"note": ["[email]"]})


@pytest.mark.parametrize(
    "request_", [chat("hello", "there"), GenerateRequest("m", "hello"), EmbedRequest("m", ("a", "b"))]
)
def test_a_request_without_anything_to_redact_stays_the_same_object(request_: Any) -> None:
    assert before(guard("redact"), request_) is request_


def test_prompts_and_texts_to_embed_are_redacted() -> None:
    it = guard("redact")

    assert before(it, GenerateRequest("m", MAIL, suffix=MAIL, system=MAIL)) == GenerateRequest(
        "m", "[email]", suffix="[email]", system="[email]"
    )
    assert before(it, EmbedRequest("m", ("a", MAIL))) == EmbedRequest("m", ("a", "[email]"))


def test_an_answer_is_redacted_with_its_calls_and_without_what_was_signed_for_the_old_text() -> None:
    kept, changed = (
        {"type": "thinking", "thinking": "hm"},
        {"type": "thinking", "thinking": MAIL, "signature": "x"},
    )
    answer = ChatResponse(
        text=f"Write to {MAIL}",
        tool_calls=(ToolCall("c1", "mail", f'{{"to": "{MAIL}"}}', 0),),
        reasoning=f"{MAIL}?",
        reasoning_blocks=(kept, changed),
        refusal=MAIL,
        raw={"choices": [{"message": {"content": f"Write to {MAIL}"}}]},
    )

    got = after(guard("redact"), answer)

    assert MAIL not in repr(got)
    assert (got.text, got.reasoning, got.refusal) == ("Write to [email]", "[email]?", "[email]")
    assert got.reasoning_blocks == (kept,)
    assert got.raw == {"choices": [{"message": {"content": "Write to [email]"}}]}


def test_what_is_switched_off_is_left_alone() -> None:
    assert before(guard("redact", requests=False), chat(MAIL)).messages[0].text == MAIL
    assert after(guard("redact", answers=False), ChatResponse(MAIL)).text == MAIL
    assert guard("redact", answers=False).stream(call()) is None
    assert before(guard("redact", find=["secrets"]), chat(MAIL)).messages[0].text == MAIL
    vectors = EmbedResponse([[1.0]])
    assert after(guard("redact"), vectors) is vectors


def test_a_pattern_of_ones_own_is_replaced_by_its_name() -> None:
    it = guard("redact", find=[], patterns={"ticket": r"T-\d{1,6}"})

    assert before(it, chat("see T-42")).messages[0].text == "see [ticket]"


LONG_KEYS = st.sampled_from(
    [KEY, MAIL, "4111 1111 1111 1111", "-----BEGIN PRIVATE KEY-----\nMII" + "Ab9" * 90]
)


@given(
    st.lists(st.one_of(LONG_KEYS, st.text("ab ,.", max_size=9)), max_size=6),
    st.lists(st.integers(1, 9), min_size=1),
)
@settings(deadline=None, max_examples=60)
def test_no_secret_that_is_split_over_pieces_gets_out_of_any_part_of_a_stream(
    texts: list[str], sizes: list[int]
) -> None:
    text, events, at = " ".join(texts), list[StreamEvent](), 0
    while at < len(text):
        piece = text[at : at + sizes[len(events) % len(sizes)]]
        at += len(piece)
        events += [
            TextDelta(piece),
            ReasoningDelta(piece),
            ToolCallDelta(0, *(("c1", "f") if len(events) == 0 else ("", "")), arguments=piece),
            RawDelta({"citation": piece}),
        ]
    it = guard("redact")

    got = whole(streamed(it, *events, Finished("stop")))

    assert (got.text, got.reasoning or "") == (before(it, chat(text)).messages[0].text,) * 2
    assert [each.arguments for each in got.tool_calls] == ([got.text] if events else [])
    for secret in (KEY, MAIL, "4111 1111 1111 1111"):
        assert secret not in repr(got)


def test_in_a_stream_all_that_was_held_back_comes_before_the_reason_of_its_end() -> None:
    events = streamed(
        guard("redact"),
        TextDelta("mail anna@exam"),
        ReasoningBlock({"thinking": MAIL}),
        RawDelta({"from": "anna@exa"}),
        RawDelta({"from": "mple.org"}),
        TextDelta("ple.org"),
        Finished("stop"),
        UsageUpdate(Usage(1, 2)),
    )

    assert events == [
        TextDelta("mail "),
        TextDelta("[email]"),
        RawDelta({"from": "[email]"}),
        Finished("stop"),
        UsageUpdate(Usage(1, 2)),
    ]


def test_a_call_of_a_tool_is_told_at_once_though_its_arguments_are_held_back() -> None:
    events = streamed(
        guard("redact"), ToolCallDelta(0, "c1", "mail", "anna@exa"), ToolCallDelta(0, arguments="mple.org")
    )

    assert events == [ToolCallDelta(0, "c1", "mail", ""), ToolCallDelta(0, arguments="[email]")]


def test_what_a_call_of_a_tool_has_besides_is_redacted_also_where_it_comes_in_pieces() -> None:
    pieces = [{"note": "anna@exa"}, {"note": "mple.org", "n": 1}]
    got = whole(streamed(guard("redact"), *(ToolCallDelta(0, "c1", "f", "", each) for each in pieces)))

    assert got.tool_calls == (ToolCall("c1", "f", "", 0, {"note": "[email]", "n": 1}),)


# ── words ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["Project Chimera", "about project   CHIMERA.", "project\nchimera"])
def test_a_request_with_a_forbidden_word_is_refused_and_the_word_is_not_said(text: str) -> None:
    with pytest.raises(Refused) as caught:
        before(guard("words", words=["project chimera"]), chat("hello", text))

    assert caught.value.message == "the request holds what the guard `words` does not let through"


@pytest.mark.parametrize("text", ["projectchimera", "project chimeras", "my-project chim era"])
def test_a_word_is_a_whole_word(text: str) -> None:
    assert before(guard("words", words=["project chimera"]), chat(text)).messages[0].text == text


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("秘密", "これは秘密です"),
        ("chimera", "这是chimera计划"),
        ("ลับ", "นี่คือความลับของเรา"),
        ("비밀", "비밀은 없다"),
    ],
)
def test_a_word_is_found_where_no_spaces_stand_between_words(word: str, text: str) -> None:
    with pytest.raises(Refused):
        before(guard("words", words=[word]), chat(text))


def test_of_many_words_that_begin_alike_each_is_found() -> None:
    listed = ["a" * n for n in range(1, 201)] + ["c++", "a b", "a\tc", "Straße", ".net", "a|b"]
    it = guard("words", words=listed)

    for word in listed:
        for said in {word, word.upper() if word != "Straße" else word}:
            with pytest.raises(Refused):
                before(it, chat(f"so {said} is"))
    assert before(it, chat("ab c+ net aac")).messages[0].text == "ab c+ net aac"


def test_ten_thousand_words_are_looked_for_in_a_long_prompt_without_losing_patience() -> None:
    listed = ["".join(each) for each in product("abcdefghij", repeat=4)]
    prompt = chat("dead beefs feed cafes " * 10_000)

    assert before(guard("words", words=[f"{each}x" for each in listed]), prompt) is prompt


def test_callers_are_told_what_the_configuration_says() -> None:
    with pytest.raises(Refused, match="^That is confidential.$"):
        after(guard("words", words=["chimera"], say="That is confidential."), ChatResponse("Chimera"))


def test_no_piece_of_a_forbidden_word_gets_out_of_a_stream() -> None:
    through = guard("words", words=["chimera"]).stream(call("stream"))
    assert through is not None

    assert through.feed(TextDelta("The chi")) == [TextDelta("The ")]
    assert through.feed(TextDelta("mer")) == []
    with pytest.raises(Refused):
        through.feed(TextDelta("a is here"))


def test_a_forbidden_word_at_the_very_end_of_a_stream_is_found() -> None:
    with pytest.raises(Refused):
        streamed(guard("words", patterns=["chimera"]), TextDelta("a chimera"), Finished("stop"))


# ── size ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("settings", "request_", "says"),
    [
        ({"messages": 1}, chat("a", "b"), "2 messages; the guard `size` lets 1 through"),
        ({"prompt_characters": 5}, chat("abc", "def"), "6 characters; the guard `size` lets 5 through"),
        ({"prompt_characters": 5}, GenerateRequest("m", "abc", suffix="def"), "6 characters"),
        (
            {"prompt_characters": 5},
            chat(replace(Message.assistant("abc"), reasoning="def")),
            "6 characters",
        ),
        ({"messages": 1}, EmbedRequest("m", ("a", "b")), "2 messages"),
        ({"attachments": "1KiB"}, chat(Message.user([Image(data=b"x" * 1025)])), "1,025 bytes"),
        ({"attachments": 8}, chat(Message.user([Image(url="data:image/png;base64,AAAA")])), "19 bytes"),
    ],
)
def test_what_is_too_large_is_refused_with_the_numbers(
    settings: Mapping[str, Any], request_: Any, says: str
) -> None:
    with pytest.raises(Refused, match=says):
        before(guard("size", **settings), request_)


def test_what_is_as_large_as_it_may_be_goes_on() -> None:
    it = guard("size", messages=2, prompt_characters=6, attachments=4, answer_characters=3)
    asked = chat("abc", Message.user([Text("def"), Image(data=b"1234"), Image(url="https://x.test/p.png")]))

    assert before(it, asked) is asked
    assert after(it, ChatResponse("abc")).text == "abc"
    with pytest.raises(Refused, match="more than the 3 characters"):
        after(it, ChatResponse("a", tool_calls=(ToolCall("c", "f", "{ }", 0),)))


def test_a_stream_ends_before_the_piece_that_is_too_much() -> None:
    through = guard("size", answer_characters=3).stream(call("stream"))
    assert through is not None

    assert list(through.feed(TextDelta("abc"))) == [TextDelta("abc")]
    with pytest.raises(Refused):
        through.feed(TextDelta("d"))


# ── cache ────────────────────────────────────────────────────────────────────────────────────────────

ANSWER = ChatResponse("blue", usage=Usage(3, 1), raw={"id": 1}, deployment="a/x", request_id="req-0")


def asked_twice(
    it: Guard, first: Any, second: Any, answer: Any = ANSWER, *, by: Sequence[str] = ("", "")
) -> Any:
    """What the guard makes of `second`, when `first` was answered before it."""
    one, two = (call(caller=each) for each in by)
    assert before(it, first, one) is first
    after(it, answer, one)
    return before(it, second, two)


def test_the_same_request_is_answered_without_what_the_upstream_sent() -> None:
    got = asked_twice(guard("cache"), chat("sky?"), chat("sky?"))

    assert got == Answered(replace(ANSWER, raw=None), "cached")


SAME = [
    (chat("sky?"), chat(Message.user([Text("sky?")]))),
    (chat("sky?"), chat("sky?", user="u1", metadata={"session": "7"})),
    (chat("sky?", extra={"a": 1, "b": 2}), chat("sky?", extra={"b": 2, "a": 1})),
    (GenerateRequest("m", "x"), GenerateRequest("m", "x")),
]
OTHER = [
    (chat("sky?"), chat("sea?")),
    (chat("sky?"), chat("sky?", temperature=0.1)),
    (chat("sky?"), chat("sky?", extra={"a": 1})),
    (chat("sky?"), chat(Message.system("sky?"))),
    (chat("a", "b"), chat("ab")),
    (chat("sky?"), chat(Message.user([Text("sky?", {"cache_control": {}})]))),
    (chat("sky?"), replace(chat("sky?"), model="other")),
    (GenerateRequest("m", "x"), EmbedRequest("m", ("x",))),
]


@pytest.mark.parametrize(("first", "second"), SAME)
def test_what_asks_the_same_gets_the_same_answer(first: Any, second: Any) -> None:
    assert isinstance(asked_twice(guard("cache"), first, second), Answered)


@pytest.mark.parametrize(("first", "second"), OTHER)
def test_what_asks_something_else_is_asked(first: Any, second: Any) -> None:
    assert asked_twice(guard("cache"), first, second) is second


def test_a_request_of_which_guards_do_not_see_all_is_asked_and_its_answer_is_not_kept() -> None:
    it, request = guard("cache"), chat("sky?")
    told = call(unsaid=("modalities",))

    assert before(it, request, told) is request
    after(it, ANSWER, told)
    assert it.stream(told) is None
    assert asked_twice(it, request, chat("sky?"))
    assert before(it, request, told) is request


def test_callers_have_answers_of_their_own_unless_they_are_shared() -> None:
    one, two = chat("sky?"), chat("sky?")

    assert asked_twice(guard("cache"), one, two, by=("ann", "bob")) is two
    assert isinstance(asked_twice(guard("cache", shared=True), one, two, by=("ann", "bob")), Answered)


def test_an_answer_is_forgotten_after_its_time() -> None:
    clock = Time()
    it = guard("cache", clock, ttl="10s")
    asked_twice(it, chat("sky?"), chat("sky?"))

    clock.at = 9.9
    assert isinstance(before(it, chat("sky?")), Answered)
    clock.at = 10.0
    assert not isinstance(before(it, chat("sky?")), Answered)


def test_the_oldest_answers_go_when_there_is_no_room() -> None:
    it = guard("cache", size=1000)
    for n in range(50):
        asked_twice(it, chat(f"{n}"), chat("?"))

    kept = [n for n in range(50) if isinstance(before(it, chat(f"{n}")), Answered)]
    assert kept
    assert kept == list(range(50 - len(kept), 50))
    huge = replace(ANSWER, text="x" * 2000)
    assert asked_twice(it, asked := chat("huge"), asked, huge) is asked


@pytest.mark.parametrize(
    "answer", [replace(ANSWER, finish_reason=why) for why in ("error", "content_filter", "other")]
)
def test_an_answer_that_is_none_is_not_given_again(answer: ChatResponse) -> None:
    again = chat("sky?")

    assert asked_twice(guard("cache"), chat("sky?"), again, answer) is again


def test_requests_with_tools_are_asked_unless_the_configuration_says_so() -> None:
    tools, again = chat("sky?", tools=(Tool("look"),)), chat("sky?", tools=(Tool("look"),))

    assert asked_twice(guard("cache"), tools, again) is again
    assert isinstance(asked_twice(guard("cache", tools=True), tools, again), Answered)


def test_a_stream_is_kept_when_it_is_whole_and_answers_a_chat_too() -> None:
    it, of = guard("cache"), call("stream")
    assert before(it, asked := chat("sky?"), of) is asked
    through = it.stream(of)
    assert through is not None
    for event in (TextDelta("bl"), TextDelta("ue"), UsageUpdate(Usage(3, 1)), Finished("stop")):
        assert list(through.feed(event)) == [event]
    assert not isinstance(before(it, chat("sky?")), Answered)  # it may still break

    assert list(through.end()) == []
    got = before(it, chat("sky?"))
    assert got.response.text == "blue"
    assert got.response.usage == Usage(3, 1)


def test_vectors_are_kept() -> None:
    asked = EmbedRequest("m", ("a",))

    assert asked_twice(
        guard("cache"), asked, EmbedRequest("m", ("a",)), EmbedResponse([[0.5]])
    ).response.vectors == [[0.5]]


def test_what_a_caller_does_to_an_answer_changes_none_that_others_get() -> None:
    it, asked = guard("cache", shared=True), EmbedRequest("m", ("a",))
    given = EmbedResponse([[0.5]])
    got = asked_twice(it, asked, EmbedRequest("m", ("a",)), given).response
    chatted = asked_twice(it, chat("sky?"), chat("sky?"), replace(ANSWER, extra={"x": [1]})).response

    given.vectors[0][0] = got.vectors[0][0] = 9.0  # type: ignore[index]
    chatted.extra["x"].append(2)

    assert before(it, asked).response.vectors == [[0.5]]
    assert before(it, chat("sky?")).response.extra == {"x": [1]}


def test_calls_of_tools_and_signed_reasoning_are_kept_as_they_were() -> None:
    answer = replace(
        ANSWER,
        text="",
        tool_calls=(ToolCall("c1", "look", "{}", 0, {"a": [1]}),),
        reasoning_blocks=({"type": "thinking", "signature": "x"},),
        finish_reason="tool_calls",
        dropped=("seed",),
    )

    got = asked_twice(guard("cache"), chat("sky?"), chat("sky?"), answer)

    assert got.response == replace(answer, raw=None)


@pytest.mark.parametrize("odd", [{1: 2}, 2**70, object(), "\ud800"])
def test_what_is_no_json_is_neither_kept_nor_an_error(odd: Any) -> None:
    asked, plain = chat("sky?", extra={"odd": odd}), chat("sea?")

    assert asked_twice(guard("cache"), asked, asked) is asked
    if not isinstance(odd, dict):
        assert asked_twice(guard("cache"), plain, plain, replace(ANSWER, extra={"odd": odd})) is plain


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("type", "settings", "says"),
    [
        ("redact", {"find": []}, "finds nothing"),
        ("redact", {"requests": False, "answers": False}, "neither requests nor answers"),
        ("redact", {"patterns": {"x": "a+"}}, "bound what repeats"),
        ("redact", {"patterns": {"X y": "a"}}, "pattern"),
        ("words", {}, "neither words nor patterns"),
        ("words", {"words": [" "]}, "at least 1 character"),
        ("words", {"patterns": ["("]}, "no regular expression"),
        ("size", {}, "bounds nothing"),
        ("size", {"attachments": "much"}, "could not parse"),
        ("cache", {"ttl": 0}, "greater than 0"),
        ("cache", {"size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(type: str, settings: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        guard(type, **settings)


@pytest.mark.parametrize(
    ("type", "settings"),
    [("redact", {}), ("cache", {}), ("words", {"words": ["x"]}), ("size", {"messages": 1})],
)
def test_no_repr_shows_what_was_asked_or_answered(type: str, settings: Mapping[str, Any]) -> None:
    it, of = guard(type, **settings), call()
    before(it, chat("plum 7291"), of)
    after(it, ChatResponse("plum 7291"), of)

    assert "7291" not in f"{it!r} {of!r}"


def test_long_texts_are_read_beside_the_loop() -> None:
    import asyncio

    async def both() -> tuple[Any, int]:
        turns, it = 0, guard("redact")
        reading = asyncio.create_task(it.before(chat("a b " * 100_000 + MAIL), call()))
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        return await reading, turns

    got, turns = asyncio.run(both())

    assert got.messages[0].text.endswith("[email]")
    assert turns > 2
