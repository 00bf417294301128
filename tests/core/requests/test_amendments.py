"""What a configuration makes of requests: defaults, forced options, and text around system prompts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.requests.amendments import Amendments, Around, amendments, overruled
from pointsman.text_messages import TextMessages
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Image, Message, Text

USER = Message.user("hi")


def amended(*around: Around, defaults: Any = (), forced: Any = ()) -> Amendments:
    made = amendments(defaults, forced, around)
    assert made is not None
    return made


def told(request: ChatRequest) -> list[tuple[str, str]]:
    return [(each.role, each.text) for each in request.messages]


# ── options ──────────────────────────────────────────────────────────────────────────────────────────

VALUES = {
    "temperature": st.sampled_from([0.0, 0.5, 1.0]),
    "max_tokens": st.integers(1, 3),
    "user": st.just("u"),
}
options = st.fixed_dictionaries({}, optional=VALUES)


@settings(deadline=None)
@given(options, options, options, options, options)
def test_what_is_forced_always_holds_and_defaults_only_where_nothing_is_said(
    said: dict[str, Any],
    of_model: dict[str, Any],
    of_deployment: dict[str, Any],
    forced: dict[str, Any],
    forced_more: dict[str, Any],
) -> None:
    made = amendments([of_model, of_deployment], [forced, forced_more], [])
    request = ChatRequest("m", (USER,), **said)

    asked = request if made is None else made.of(request)

    assert asked == ChatRequest(
        "m", (USER,), **{**of_model, **of_deployment, **said, **forced, **forced_more}
    )
    assert made is None or made.of(asked) == asked


def test_nothing_said_is_nothing_at_all() -> None:
    assert amendments([{}, {}], [{}, {}], []) is None


def test_forced_members_of_extra_are_laid_over_those_of_the_caller() -> None:
    made = amended(forced=[{"extra": {"a": 1, "b": 1}}, {"extra": {"b": 2}}])

    asked = made.of(ChatRequest("m", (USER,), extra={"a": 9, "c": 9}))

    assert asked.extra == {"a": 1, "b": 2, "c": 9}


def test_defaults_in_extra_of_model_and_deployment_come_together() -> None:
    made = amended(defaults=[{"extra": {"a": 1, "b": 1}}, {"extra": {"b": 2}}])

    assert made.of(ChatRequest("m", (USER,), extra={"c": 9})).extra == {"a": 1, "b": 2, "c": 9}


@pytest.mark.parametrize(
    "extra",
    [
        {"temperature": 2, "max_tokens": 9},
        {"max_completion_tokens": 9},
        {"options": {"num_predict": 9, "temperature": 2}},
    ],
)
def test_what_is_forced_holds_against_extra_under_its_names(extra: dict[str, Any]) -> None:
    made = amended(forced=[{"temperature": 0.0, "max_tokens": 5}])

    asked = made.of(ChatRequest("m", (USER,), extra={**extra, "seen": True}))

    assert (asked.temperature, asked.max_tokens) == (0.0, 5)
    assert asked.extra == {"seen": True} | ({"options": {}} if "options" in extra else {})


def test_what_another_kind_of_request_has_is_not_forced_on_one_that_lacks_it() -> None:
    embed = EmbedRequest("m", ("x",))

    assert amended(forced=[{"temperature": 0.0}]).of(embed) is embed


def test_a_default_that_is_forced_never_holds() -> None:
    defaults = {"temperature": 1.0, "seed": 1, "extra": {"a": 1, "b": 1}}

    assert overruled(defaults, {"temperature": 0.0, "extra": {"b": 2}}) == ["temperature", "extra.b"]
    assert overruled(defaults, {}) == []


# ── the system prompt ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([("user", "hi")], [("system", "p\n\ns"), ("user", "hi")]),
        ([("system", "x"), ("user", "hi")], [("system", "p\n\nx\n\ns"), ("user", "hi")]),
        ([("system", ""), ("user", "hi")], [("system", "p\n\ns"), ("user", "hi")]),
        (
            [("system", "x"), ("system", "y"), ("system", "z"), ("user", "hi"), ("system", "late")],
            [("system", "p\n\nx"), ("system", "y"), ("system", "z\n\ns"), ("user", "hi"), ("system", "late")],
        ),
        ([("user", "hi"), ("system", "late")], [("system", "p\n\ns"), ("user", "hi"), ("system", "late")]),
        ([("system", "x")], [("system", "p\n\nx\n\ns")]),
        ([], []),
    ],
)
@pytest.mark.parametrize("texts", [True, False])
def test_text_stands_around_the_system_messages_that_come_first(
    before: list[Any], after: list[Any], texts: bool
) -> None:
    roles, said = tuple(role for role, _ in before), tuple(text for _, text in before)
    messages = TextMessages(roles, said) if texts and before else tuple(map(Message, roles, said))

    asked = amended(Around("p", "s")).of(ChatRequest("m", messages))

    assert told(asked) == after
    assert isinstance(asked.messages, TextMessages) == (texts and bool(before))
    assert [(each.role, each.text) for each in messages] == before


def test_a_prefix_or_suffix_alone_is_alone() -> None:
    request = ChatRequest("m", (Message.system("x"), USER))

    assert told(amended(Around("p")).of(request))[0] == ("system", "p\n\nx")
    assert told(amended(Around("", "s")).of(request))[0] == ("system", "x\n\ns")


def test_parts_keep_what_they_bear_and_get_parts_around_them() -> None:
    marked = Text("x", {"cache_control": {"type": "ephemeral"}})
    system = Message("system", (marked, Text("y")), extra={"a": 1})

    asked = amended(Around("p", "s")).of(ChatRequest("m", (system, USER)))

    assert asked.messages[0].content == (Text("p\n\n"), marked, Text("y"), Text("\n\ns"))
    assert asked.messages[0].text == "p\n\nxy\n\ns"
    assert asked.messages[0].extra == {"a": 1}
    assert asked.messages[1] is USER


def test_a_system_message_without_any_part_is_what_stands_around_it() -> None:
    asked = amended(Around("p", "s")).of(ChatRequest("m", (Message("system", ()), USER)))

    assert asked.messages[0] == Message.system("p\n\ns")


def test_a_plain_completion_has_it_in_its_system_prompt_and_an_embedding_nowhere() -> None:
    made = amended(Around("p", "s"))
    embed = EmbedRequest("m", ("x",))

    assert made.of(GenerateRequest("m", "x")).system == "p\n\ns"
    assert made.of(GenerateRequest("m", "x", system="y")).system == "p\n\ny\n\ns"
    assert made.of(embed) is embed


def test_a_request_that_only_has_a_model_loaded_stays_one() -> None:
    made = amended(Around("p"))
    requests = ChatRequest("m", ()), GenerateRequest("m", "", images=(Image(b"x"),))

    assert [made.of(each) for each in requests] == list(requests)  # type: ignore[type-var]


names = st.text("ab ", max_size=3).map(str.strip)


@given(st.builds(Around, names, names), st.builds(Around, names, names), names)
def test_the_texts_of_a_deployment_stand_outside_of_those_of_its_model(
    model: Around, deployment: Around, said: str
) -> None:
    made = amendments([], [], [model, deployment])
    request = ChatRequest("m", (Message.system(said), USER))

    asked = request if made is None else made.of(request)

    paragraphs = [deployment.prefix, model.prefix, said, model.suffix, deployment.suffix]
    assert asked.messages[0].text == "\n\n".join(filter(None, paragraphs))


def test_what_stands_around_prompts_is_known_in_tokens() -> None:
    assert amended(Around("p" * 40, "s" * 40)).tokens == 4 + 21
    assert amended(forced=[{"seed": 1}]).tokens == 0
