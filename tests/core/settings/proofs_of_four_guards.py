"""The settings of `cache`, `redact`, `words` and `size`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from proving import Given, Setting, ask, during, proves
from routers import config

from pointsman import Message, Router, Tool
from pointsman.plugin import ChatRequest, Image, Original, Text
from pointsman.testing import Scripted

MAIL, KEY = "anna@example.org", "sk-" + "a1B2" * 6
SLOW = "(a|a){1,40}(a|a){1,40}(a|a){1,40}b"


def around(**settings: Any) -> Given:
    return config("a", retry="none", guards=[settings])


def asked(given: Given, *messages: Any, **options: Any) -> tuple[str, str, int]:
    """What comes back for the last of `messages`, what the upstream saw of it, and how often it was asked."""
    upstream = Scripted()
    upstream.default("a", f"to {MAIL}")

    async def story(r: Router) -> str:
        return [await ask(r, "m", each, **options) for each in messages][-1]

    said = during(given, upstream, story)
    seen = upstream.calls[-1][1].messages[-1].text if upstream.calls else ""
    return said, seen, len(upstream.calls)


@proves("guard:cache.ttl")
def an_answer_is_given_again_so_long(setting: Setting) -> None:
    async def story(r: Router) -> None:
        await ask(r)
        await asyncio.sleep(30)
        await ask(r)

    for value, calls in (("1m", 1), ("10s", 2)):
        upstream = Scripted()
        during(setting.to(value, around()), upstream, story)
        assert len(upstream.calls) == calls


@proves("guard:cache.size")
def answers_take_no_more_memory_than_that(setting: Setting) -> None:
    assert asked(setting.to("1MiB", around()), "hi", "hi")[2] == 1
    assert asked(setting.to(1, around()), "hi", "hi")[2] == 2


@proves("guard:cache.shared")
def callers_share_answers_or_not(setting: Setting) -> None:
    async def story(r: Router) -> None:
        for caller in ("ann", "bob"):
            await ask(r, caller=caller)

    for value, calls in ((True, 1), (False, 2)):
        upstream = Scripted()
        during(setting.to(value, around()), upstream, story)
        assert len(upstream.calls) == calls


@proves("guard:cache.tools")
def requests_with_tools_are_answered_again_or_not(setting: Setting) -> None:
    for value, calls in ((True, 1), (False, 2)):
        assert asked(setting.to(value, around()), "hi", "hi", tools=[Tool("look")])[2] == calls


@proves("guard:redact.find")
def what_is_found_is_what_it_says(setting: Setting) -> None:
    text = f"{MAIL} {KEY}"
    for value, seen in (
        (["secrets"], f"{MAIL} [api_key]"),
        (["personal"], f"[email] {KEY}"),
        (["secrets", "personal"], "[email] [api_key]"),
    ):
        assert asked(setting.to(value, around()), text)[1] == seen


@proves("guard:redact.patterns")
def patterns_of_one_s_own_are_found_by_their_names(setting: Setting) -> None:
    for name in ("ticket", "case_number"):
        assert asked(setting.to({name: r"T-\d{1,5}"}, around()), "see T-42")[1] == f"see [{name}]"


@proves("guard:redact.requests")
def requests_are_redacted_or_not(setting: Setting) -> None:
    for value, seen in ((True, "[email]"), (False, MAIL)):
        assert asked(setting.to(value, around()), MAIL)[1] == seen


@proves("guard:redact.answers")
def answers_are_redacted_or_not(setting: Setting) -> None:
    for value, said in ((True, "to [email]"), (False, f"to {MAIL}")):
        assert asked(setting.to(value, around()), "hi")[0] == said


@proves("guard:redact.unseen")
def what_no_guard_sees_is_let_through_or_refused(setting: Setting) -> None:
    request = ChatRequest("m", [Message.user("hi")])
    original = Original("a wire", b"{}", request, unseen=["prediction"])
    for value, calls in (("allow", 1), ("refuse", 0)):
        assert asked(setting.to(value, around()), "hi", original=original)[2] == calls


@proves("guard:size.messages")
def so_many_messages_are_let_through(setting: Setting) -> None:
    several = [Message.user("one"), Message.user("two")]
    for value, calls in ((2, 1), (1, 0)):
        assert asked(setting.to(value, around()), several)[2] == calls


@proves("guard:size.prompt_characters")
def so_many_characters_are_let_through(setting: Setting) -> None:
    for value, calls in ((5, 1), (4, 0)):
        assert asked(setting.to(value, around()), "hello")[2] == calls


@proves("guard:size.attachments")
def so_many_bytes_of_attachments_are_let_through(setting: Setting) -> None:
    picture = [Message.user([Text("see"), Image(data=b"x" * 1024)])]
    for value, calls in (("1KiB", 1), (1023, 0)):
        assert asked(setting.to(value, around()), picture)[2] == calls


@proves("guard:size.answer_characters")
def so_many_characters_of_an_answer_are_let_through(setting: Setting) -> None:
    for value, said in ((len(f"to {MAIL}"), f"to {MAIL}"), (5, "Refused")):
        assert asked(setting.to(value, around()), "hi")[0] == said


@proves("guard:words.words", "guard:words.patterns")
def what_is_listed_is_refused(setting: Setting) -> None:
    for value in ("chimera", "plum"):
        given = setting.to([value], around())
        assert [asked(given, each)[0] == "Refused" for each in ("Chimera", "a plum")] == [
            value == "chimera",
            value == "plum",
        ]


@proves("guard:words.requests")
def requests_are_looked_at_or_not(setting: Setting) -> None:
    for value, calls in ((True, 0), (False, 1)):
        assert asked(setting.to(value, around(words=["plum"])), "plum")[2] == calls


@proves("guard:words.answers")
def answers_are_looked_at_or_not(setting: Setting) -> None:
    for value, said in ((True, "Refused"), (False, f"to {MAIL}")):
        assert asked(setting.to(value, around(words=["anna"])), "hi")[0] == said


@proves("guard:words.say")
def callers_are_told_what_it_says(setting: Setting) -> None:
    async def story(r: Router) -> str:
        try:
            return (await r.chat("m", "plum")).text
        except Exception as error:
            return str(error)

    for value in ("Not that.", "No fruit."):
        assert value in during(setting.to(value, around(words=["plum"])), Scripted(), story)


class Heard(logging.Handler):
    """What the log says."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record)


@proves("guard:words.patience")
def a_search_takes_no_longer(setting: Setting) -> None:
    for value, named in (("10ms", "longer than 0.0101 s"), ("50ms", "longer than 0.0501 s")):
        logging.getLogger("pointsman").addHandler(heard := Heard())
        try:
            assert asked(setting.to(value, around(patterns=[SLOW])), "a" * 60)[0] == "PluginError"
        finally:
            logging.getLogger("pointsman").removeHandler(heard)
        assert named in heard.text
