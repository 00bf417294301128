"""What was asked and answered is recorded where a sink says so, of that what it names, and never by default."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from routers import config

from pointsman import ConfigError, Message, MidStreamError, Router, Unavailable
from pointsman.testing import Scripted, ScriptedAnswer
from pointsman.types import TextDelta

ALL = ["messages", "system", "tools", "answer", "reasoning", "tool_calls"]
SECRET = "sk-of-the-configuration-0123456789"


def tell(
    folder: Path, content: dict[str, Any] | None, story: Callable[[Router], Awaitable[Any]], **more: Any
) -> list[Any]:
    """The records of content of what `story` does."""
    sink = {"type": "jsonl", "path": str(folder), **({} if content is None else {"content": content})}
    upstream = Scripted()
    upstream.default("a", more.pop("answer", ScriptedAnswer(text="Because of Rayleigh.")))

    async def main() -> None:
        async with Router.from_config({**config("a", audit=[sink]), **more}, plugins=[upstream]) as router:
            await story(router)

    asyncio.run(main())
    lines = [json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text().splitlines()]
    return [each for each in lines if each["event"] == "content"]


async def chat(router: Router) -> None:
    said = [Message("system", "Be short."), Message("user", "Why is the sky blue? Card 4111111111111111.")]
    await router.chat("m", said, caller="ci", request_id="one", tags={"key_id": "k7"})


def test_nothing_is_recorded_unless_it_is_said(tmp_path: Path) -> None:
    assert tell(tmp_path, None, chat) == []
    assert "sky" not in "".join(each.read_text() for each in tmp_path.iterdir())


def test_what_is_named_is_recorded_once_for_a_request(tmp_path: Path) -> None:
    (told,) = tell(tmp_path, {"fields": ["messages", "answer"], "redact": ["[0-9]{16}"]}, chat)

    assert (told["request_id"], told["caller"], told["key_id"]) == ("one", "ci", "k7")
    assert told["asked"] == {"messages": [{"role": "user", "content": "Why is the sky blue? Card ***."}]}
    assert told["answered"] == {"text": "Because of Rayleigh.", "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("field", "has"), [("system", "Be short."), ("answer", "Rayleigh"), ("messages", "sky")]
)
def test_a_field_that_is_not_named_is_not_there(field: str, has: str, tmp_path: Path) -> None:
    (with_it,) = tell(tmp_path / "with", {"fields": [field]}, chat)
    (without,) = tell(tmp_path / "without", {"fields": [each for each in ALL if each != field]}, chat)

    assert has in json.dumps(with_it)
    assert has not in json.dumps(without)


def test_a_text_is_cut_and_says_so(tmp_path: Path) -> None:
    (told,) = tell(tmp_path, {"fields": ["messages"]}, lambda router: router.chat("m", "x" * 3000))

    assert len(told["asked"]["messages"][0]["content"]) == 1024
    assert told["cut"] == 3000 - 1024


def test_a_pattern_is_found_also_where_the_text_is_cut(tmp_path: Path) -> None:
    text = "x" * 1020 + "4111111111111111"
    content = {"fields": ["messages"], "redact": ["[0-9]{16}"]}

    (told,) = tell(tmp_path, content, lambda router: router.chat("m", text))

    assert "4111" not in json.dumps(told["asked"])


@pytest.mark.parametrize("length", [2048, 8192])
def test_no_half_of_a_match_is_drawn_near_by_masks_before_it(length: int, tmp_path: Path) -> None:
    long = "<" + "y" * 900 + ">"
    text = (long * 10)[: length - 8 - len(long) % 7] + "4111111111111111" + "z" * 9000
    content = {"fields": ["messages"], "redact": ["<y{1,1000}>?", "[0-9]{16}"]}

    (told,) = tell(tmp_path, content, lambda router: router.chat("m", text))

    assert "4111" not in json.dumps(told["asked"])


def test_a_secret_of_the_configuration_is_never_in_it(tmp_path: Path) -> None:
    providers = {"a": {"type": "scripted", "api_key": SECRET}}

    (told,) = tell(
        tmp_path, {"fields": ALL}, lambda router: router.chat("m", f"it is {SECRET}"), providers=providers
    )

    assert told["asked"]["messages"][0]["content"] == "it is ***"


@pytest.mark.parametrize("whole", [True, False])
def test_of_a_stream_what_was_delivered_is_recorded_once(whole: bool, tmp_path: Path) -> None:
    async def story(router: Router) -> None:
        async with router.stream("m", "hi") as stream:
            async for event in stream:
                if not whole and isinstance(event, TextDelta):
                    break

    answer = ScriptedAnswer(text="one two three")
    (told,) = tell(tmp_path, {"fields": ["answer"]}, story, answer=answer)

    assert (told["answered"]["text"] == "one two three") == whole
    assert "one two three".startswith(told["answered"]["text"])


def test_a_request_that_fails_has_what_was_asked_and_no_answer(tmp_path: Path) -> None:
    async def story(router: Router) -> None:
        with pytest.raises((Unavailable, MidStreamError)):
            await router.chat("m", "why?", timeout=5)

    (told,) = tell(
        tmp_path,
        {"fields": ["messages", "answer"]},
        story,
        answer=ScriptedAnswer(error=Unavailable("down")),
        retry="none",
    )

    assert told["asked"] == {"messages": [{"role": "user", "content": "why?"}]}
    assert "answered" not in told or told["answered"] == {}


def test_a_pattern_that_would_match_everywhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="match nothing"):
        tell(tmp_path, {"fields": ["answer"], "redact": ["x*"]}, chat)


def test_what_has_a_name_is_found_by_it(tmp_path: Path) -> None:
    text = "anna@example.com, 4111 1111 1111 1111, DE89 3704 0044 0532 0130 00, +49 (170) 123-4567; v1.2, 2026-11-30"
    content = {"fields": ["messages"], "redact": ["email", "card", "iban", "phone"]}

    (told,) = tell(tmp_path, content, lambda router: router.chat("m", text))

    assert told["asked"]["messages"][0]["content"] == "***, ***, ***, ***; v1.2, 2026-11-30"


def test_a_text_that_was_made_to_hold_up_an_expression_is_recorded_as_nothing(tmp_path: Path) -> None:
    said = [Message("user", "a" * 5000 + "b"), Message("user", "Why?")]
    content = {"fields": ["messages"], "redact": ["(a+)+c"]}

    (told,) = tell(tmp_path, content, lambda router: router.chat("m", said))  # `re` would not end this year

    assert [each["content"] for each in told["asked"]["messages"]] == ["***", "***"]


def test_without_its_engine_an_expression_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "regex", None)

    with pytest.raises(ConfigError, match=r"pip install 'pointsman\[redact\]'"):
        tell(tmp_path, {"fields": ["answer"], "redact": ["x"]}, chat)
