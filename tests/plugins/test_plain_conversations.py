"""Every wire sends the same, however a conversation was handed in; and it counts as much."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from replay import Scripted, context_for

from pointsman._internal import jsonio
from pointsman.errors import CallError
from pointsman.requests.messages import as_messages, message_from_dict
from pointsman.resilience.token_estimate import input_estimate
from pointsman.text_messages import TextMessages
from pointsman.types import ChatRequest, Message, Text, ToolCall
from pointsman_claude import wire as claude
from pointsman_localai import LocalAIProvider, LocalAISettings
from pointsman_ollama import wire as ollama
from pointsman_openai import wire as openai

Body = Callable[[ChatRequest], Any]
_LOCALAI = LocalAIProvider(context_for(Scripted([]), settings=LocalAISettings()))
LOCALAI = _LOCALAI.make_quirks(LocalAISettings())


def openai_body(quirks: openai.Quirks, model: str = "m") -> Body:
    return lambda request: openai.chat_body(request, model, quirks, stream=False)


def openai_content(quirks: openai.Quirks, model: str) -> Body:
    """As it is sent, where it is plain text."""

    def body(request: ChatRequest) -> Any:
        content = openai.text_content(request, model, quirks, stream=False)
        return openai.chat_body(request, model, quirks, stream=False) if content is None else content

    return body


def claude_body(wire: claude.Wire) -> Body:
    return lambda request: claude.messages_body(request, model="m", wire=wire, stream=False)


WIRES: Mapping[str, Body] = {
    "openai": openai_body(openai.Quirks(official=True), "gpt-5"),
    "openai, written": openai_content(openai.Quirks(official=True), "gpt-5"),
    "compatible": openai_body(openai.Quirks(reasoning_field="reasoning")),
    "compatible, no pictures": openai_body(openai.Quirks(unsupported=("images", "tools"))),
    "localai": openai_body(LOCALAI),
    "ollama": lambda request: ollama.chat_body(request, "m", ollama.Defaults({}, {}), stream=False),
    "claude": claude_body(claude.Wire()),
    "claude, late system prompts refused": claude_body(claude.Wire(late_system="refuse")),
    "claude, late system prompts native": claude_body(
        claude.Wire(api_version="2026-10-21", late_system="native")
    ),
}

texts = st.text(max_size=6) | st.sampled_from(
    ["", " ", "hello\n", "größer", "模型", "\ud800", "x" * 5_000, "ж" * 9_999]
)
mappings = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "developer", "user", "assistant"]), "content": texts}
)
others = st.one_of(
    st.fixed_dictionaries({"role": st.just("user"), "content": texts, "name": st.text(max_size=3)}),
    st.fixed_dictionaries({"role": st.just("tool"), "content": texts, "tool_call_id": st.just("c1")}),
    st.fixed_dictionaries({"role": st.just("assistant"), "content": texts, "reasoning": st.just("hm")}),
    st.builds(
        lambda text: {
            "role": "assistant",
            "content": text,
            "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
        },
        texts,
    ),
    st.builds(lambda text: {"role": "user", "content": [{"type": "text", "text": text}]}, texts),
)


@st.composite
def in_turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Mostly what people have: perhaps a system prompt, then user and assistant in turns."""
    said = draw(st.lists(texts, min_size=1, max_size=5))
    turns = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]
    return [*draw(st.lists(mappings, max_size=1)), *turns]


conversations = st.one_of(
    in_turns(),
    st.lists(mappings, min_size=1, max_size=5),
    st.lists(mappings | others, min_size=1, max_size=5),
)


own_messages = st.builds(
    Message,
    st.sampled_from(["system", "user", "assistant", "tool"]),
    texts,
    tool_calls=st.sampled_from([(), (ToolCall("c1", "f", "{}"),)]),
    tool_call_id=st.sampled_from([None, "c1"]),
    name=st.sampled_from([None, "n"]),
    is_error=st.booleans(),
    reasoning=st.sampled_from([None, "", "hm"]),
    reasoning_blocks=st.sampled_from([(), ({"type": "thinking", "thinking": "hm", "signature": "s"},)]),
)


def messages_of(conversation: Sequence[dict[str, Any]]) -> list[Message]:
    return [message_from_dict(each) for each in conversation]


def sent(body: Body, messages: Sequence[Message]) -> Any:
    """The bytes that go out, so that the order of keys counts too; or what is said against them."""
    try:
        made = body(ChatRequest("public", messages))
        return made if type(made) is bytes else jsonio.dumps(made)
    except CallError as error:
        return type(error), error.message


@pytest.mark.parametrize("body", WIRES.values(), ids=WIRES)
@settings(deadline=None, max_examples=150)
@example([{"role": "system", "content": "s"}])
@example([{"role": "user", "content": "x"}, {"role": "assistant", "content": "begun "}])
@example(
    [{"role": "user", "content": "x"}, {"role": "system", "content": "s"}, {"role": "user", "content": "y"}]
)
@given(conversations)
def test_the_body_is_the_same_however_a_conversation_was_handed_in(
    body: Body, conversation: list[dict[str, Any]]
) -> None:
    messages = messages_of(conversation)
    general = sent(body, messages)

    assert sent(body, as_messages(conversation)) == general
    assert sent(body, as_messages(messages)) == general


@pytest.mark.parametrize("body", WIRES.values(), ids=WIRES)
@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        own_messages | own_messages.map(lambda each: Message(each.role, each.content)), min_size=1, max_size=4
    )
)
def test_nothing_that_a_message_of_our_own_says_is_lost(body: Body, messages: list[Message]) -> None:
    read = as_messages(messages)

    assert sent(body, read) == sent(body, messages)
    assert input_estimate(ChatRequest("public", read)) == input_estimate(ChatRequest("public", messages))


@settings(deadline=None, max_examples=500)
@given(conversations)
def test_the_estimate_is_the_same_however_a_conversation_was_handed_in(
    conversation: list[dict[str, Any]],
) -> None:
    def estimate(messages: Sequence[Message]) -> int:
        return input_estimate(ChatRequest("public", messages))

    messages = messages_of(conversation)
    in_parts = [
        Message(each.role, (Text(each.content),) if isinstance(each.content, str) else each.content,
                tool_calls=each.tool_calls, reasoning=each.reasoning)
        for each in messages
    ]  # fmt: skip

    assert estimate(as_messages(conversation)) == estimate(messages)
    assert estimate(as_messages(messages)) == estimate(messages) == estimate(in_parts)


@settings(deadline=None)
@given(st.lists(mappings, min_size=1, max_size=5))
def test_for_a_plain_conversation_no_message_is_made(conversation: list[dict[str, Any]]) -> None:
    request = ChatRequest("public", as_messages(conversation))

    input_estimate(request)
    for name in ("openai", "compatible, no pictures", "localai", "ollama"):
        sent(WIRES[name], request.messages)

    assert type(request.messages) is TextMessages
    assert request.messages._messages is None
