"""docs/errors.md: its programs do what it says with each kind of failure, and its tables are complete."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pages import blocks, pages

import pointsman
from pointsman import CallError, ChatRequest, Message, PointsmanError, Router, SyncRouter
from pointsman.testing import Scripted, ScriptedAnswer

PAGE = pages()["docs/errors.md"]
CONFIG: dict[str, Any] = {
    "providers": {"gpu": {"type": "scripted"}},
    "models": {"assistant": {"deployments": ["gpu/llama3.2"]}},
    "retry": {"type": "none"},
    "circuit_breaker": {"failure_threshold": 1000},
}


def program(having: str) -> dict[str, Any]:
    """What the example defines that has this."""
    (block,) = [each for each in blocks("python") if each.page == "docs/errors.md" and having in each.text]
    space: dict[str, Any] = {}
    exec(compile(block.text, block.where, "exec"), space)
    return space


@pytest.fixture
def upstream() -> Scripted:
    return Scripted()


def test_a_script_ends_with_one_line(upstream: Scripted) -> None:
    answer = program("def answer")["answer"]
    upstream.script("gpu", "blue", pointsman.Unavailable("down"))
    with SyncRouter.from_config(CONFIG, plugins=[upstream]) as router:
        assert answer(router, "Why?") == "blue"
        with pytest.raises(SystemExit, match=r"^unavailable: down \(gpu/llama3.2, req_\w+\)$"):
            answer(router, "Why?")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (pointsman.InvalidRequest("m"), 400),
        (pointsman.ContextWindowExceeded("m"), 400),
        (pointsman.DeadlineExceeded("m"), 504),
        (pointsman.QueueFull("m"), 503),
        (pointsman.RateLimited("m", retry_after=2.5), 503),
        (pointsman.NoDeploymentAvailable("m", reasons={}), 503),
        (pointsman.Unavailable("m"), 502),
    ],
)
def test_a_web_application_tells_who_it_was(error: CallError, status: int) -> None:
    said, headers, _text = program("def as_response")["as_response"](error)

    assert said == status
    assert headers.get("retry-after") == ("3" if error.retry_after else None)


@pytest.mark.parametrize(
    "error",
    [
        pointsman.UnknownModel("no model is called gpu"),
        pointsman.Unavailable("gpu/llama3.2 at http://gpu1: down"),
        pointsman.NoDeploymentAvailable("nothing is ready", reasons={"gpu/llama3.2": "circuit breaker open"}),
    ],
)
def test_a_web_application_shows_no_name_and_blames_no_crowd(error: CallError) -> None:
    *_, text = program("def as_response")["as_response"](error)

    assert "gpu" not in text
    assert "too much" not in text


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("blue", ("blue", 0)),
        (pointsman.InvalidRequest("m"), ("put aside: invalid_request", 0)),
        (pointsman.QuotaExhausted("m"), ("somebody has to act: quota_exhausted", 3600)),
        (pointsman.Unavailable("m"), ("later: unavailable", 60)),
    ],
)
async def test_a_worker_knows_what_to_ask_again(
    step: Any, told: tuple[str, float], upstream: Scripted
) -> None:
    work = program("async def work")["work"]
    upstream.script("gpu", step)
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        assert await work(router, "Why?") == told


async def test_a_stream_keeps_what_was_shown(upstream: Scripted, capsys: pytest.CaptureFixture[str]) -> None:
    show = program("async def show")["show"]
    broken = ScriptedAnswer("red green blue", error=pointsman.Truncated("cut"), words=2)
    upstream.script("gpu", "red green", broken, pointsman.Unavailable("down"))
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        told = [await show(router, "Why?") for _ in range(3)]

    assert told == ["whole", f"{len('red green')} characters, then truncated", "nothing: unavailable"]
    assert capsys.readouterr().out == "red greenred green"


async def test_a_batch_is_asked_again_where_that_may_help(upstream: Scripted) -> None:
    twice = program("async def twice")["twice"]
    upstream.script("gpu", "one", pointsman.Unavailable("down"), pointsman.InvalidRequest("no"), "two")
    asked = [ChatRequest("assistant", [Message.user(str(n))]) for n in range(3)]
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        answered, left = await twice(router, asked)

    assert (answered, [each.messages[0].text for each in left]) == (2, ["1"])


async def test_what_is_over_is_named_as_the_page_shows(upstream: Scripted) -> None:
    shown = next(each for each in blocks("text") if each.page == "docs/errors.md" and "deadline" in each.text)
    upstream.script("gpu", ScriptedAnswer(after=60), ScriptedAnswer("red green", gap=60))
    async with Router.from_config(CONFIG, plugins=[upstream]) as router:
        with pytest.raises(pointsman.DeadlineExceeded) as late:
            await router.chat("assistant", "Why?", timeout=0.2)
        with pytest.raises(pointsman.MidStreamError) as silent:
            async with router.stream("assistant", "Why?", idle_timeout=0.1) as stream:
                async for _event in stream:
                    pass

    assert [late.value.message, silent.value.cause.message] == shown.text.splitlines()


def test_every_attribute_of_an_error_stands_on_the_page() -> None:
    attributes = {name for name in vars(CallError("m")) if not name.startswith("_")} | {
        "failures",
        "body",
        "outcome",
    }

    assert [name for name in sorted(attributes) if f"`{name}`" not in PAGE] == []


def test_every_public_error_stands_in_the_tree_and_in_the_table() -> None:
    errors = {
        name
        for name in pointsman.__all__
        if isinstance(kind := getattr(pointsman, name), type) and issubclass(kind, PointsmanError)
    }
    tree = PAGE.partition("<!-- tree -->")[2].partition("<!-- /tree -->")[0]
    table = PAGE.partition("<!-- errors -->")[2].partition("<!-- /errors -->")[0]
    abstract = {"PointsmanError", "CallError", "RequestError", "ProviderError", "ConfigError", "NotReady"}

    assert {name for name in errors if not re.search(rf"\b{name}\b", tree)} == {
        "CallError"
    }  # between the two
    assert set(re.findall(r"^\| \[`(\w+)`\]", table, re.MULTILINE)) == errors - abstract
