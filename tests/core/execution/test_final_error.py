"""What an error says of itself to a person: one sentence, where, how often, and what went wrong before."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import traceback
import weakref
from string import ascii_lowercase
from typing import Any

import pytest
from routers import config, router

from pointsman import Router, SyncRouter
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    DeadlineExceeded,
    FailedAttempt,
    FirstTokenTimeout,
    MidStreamError,
    NoDeploymentAvailable,
    RateLimited,
    Unavailable,
)
from pointsman.testing import Scripted, ScriptedAnswer, run


def printed(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def scripted(**steps: Any) -> Scripted:
    """An upstream whose providers do these steps, in order; a single one they do for ever."""
    upstream = Scripted()
    for name, each in steps.items():
        if isinstance(each, list):
            upstream.script(name, *each)
        else:
            upstream.default(name, each)
    return upstream


def in_order(providers: str, **retry: Any) -> dict[str, Any]:
    """Model `m` at these providers, each asked when the one before has failed."""
    deployments = [{"provider": each, "model": "x", "priority": n} for n, each in enumerate(providers)]
    return config(
        providers,
        models={"m": {"deployments": deployments}},
        retry={"type": "exponential", "base_delay": "1ms", "budget": None, **retry},
        circuit_breaker={"enabled": False},
    )


async def failed(given: Router, **options: Any) -> CallError:
    async with given as r:
        with pytest.raises(CallError) as raised:
            await r.chat("m", "hi", **options)
    return raised.value


def test_of_many_deployments_an_error_says_why_of_ten_and_how_many_more() -> None:
    given = router(Scripted(), config(ascii_lowercase))
    for each in ascii_lowercase:
        given.disable(f"{each}/x")

    error = run(failed(given))

    assert isinstance(error, NoDeploymentAvailable)
    assert len(error.reasons) == 26
    assert error.message.count("disabled") == 10
    assert "j/x: disabled by an operator; and 16 more" in error.message


@pytest.mark.parametrize(
    ("known", "shown"),
    [
        ({}, "it broke"),
        ({"deployment": "gpu1/x"}, "it broke (gpu1/x)"),
        ({"attempts": 1, "request_id": "req_1"}, "it broke (req_1)"),
        ({"deployment": "d", "attempts": 4, "request_id": "r"}, "it broke (d, 4 attempts, r)"),
    ],
)
def test_an_error_says_what_is_known_of_where_it_happened(known: dict[str, Any], shown: str) -> None:
    error = Unavailable("it broke")
    for name, value in known.items():
        setattr(error, name, value)

    assert (str(error), error.message) == (shown, "it broke")


async def test_a_failed_request_says_what_each_attempt_before_the_last_ended_with() -> None:
    upstream = scripted(a=Unavailable("first"), b=RateLimited("second"), c=Unavailable("third"))

    error = await failed(router(upstream, in_order("abc", attempts=3)))

    assert str(error) == f"third (c/x, 3 attempts, {error.request_id})"
    assert [(at, type(each), each.message) for at, each in error.failures] == [
        ("a/x", Unavailable, "first"),
        ("b/x", RateLimited, "second"),
    ]
    assert error.__notes__ == ["before: a/x: first", "before: b/x: second"]


async def test_attempts_that_failed_alike_are_one_line() -> None:
    error = await failed(router(scripted(a=[Unavailable("no") for _ in range(4)]), in_order("a")))

    assert error.__notes__ == ["before, 3 times: a/x: no"]
    assert len(error.failures) == 3


def test_a_deadline_that_passes_has_all_attempts_that_failed_before_it() -> None:
    upstream = scripted(a=Unavailable("no"), b=ScriptedAnswer(after=100.0))

    error = run(failed(router(upstream, in_order("ab")), timeout=5))

    assert isinstance(error, DeadlineExceeded)
    assert error.__notes__ == ["before: a/x: no"]
    assert isinstance(error.__cause__, AttemptTimeout)


async def test_failures_belong_to_their_own_request() -> None:
    upstream = scripted(a=[RateLimited("slowly", retry_after=300.0)])
    async with router(upstream, {**in_order("a"), "queue": None}) as r:
        with pytest.raises(RateLimited) as first:
            await r.chat("m", "hi")
        with pytest.raises(NoDeploymentAvailable) as second:
            await r.chat("m", "hi")

    assert (first.value.failures, second.value.failures) == ((), ())


async def test_an_answer_after_failures_lets_go_of_them() -> None:
    error = Unavailable("first")
    held = weakref.ref(error)
    upstream = scripted(a=[error])
    del error
    async with router(upstream, in_order("ab")) as r:
        stream = r.stream("m", "hi")
        async with stream:
            gc.collect()
            assert held() is None


@pytest.mark.parametrize(
    "answer",
    [
        lambda *_: ScriptedAnswer("one two three", error=Unavailable("down"), words=2),
        lambda *_: ScriptedAnswer("one two three", cut=True),
        lambda *_: Unavailable("down"),
        lambda *_: ZeroDivisionError(),
    ],
    ids=["broken", "truncated", "down", "mistake at once"],
)
@pytest.mark.parametrize("attempts", [1, 3])
def test_a_stream_that_failed_goes_with_its_error_and_waits_for_no_collector(
    answer: Any, attempts: int
) -> None:
    held: list[weakref.ref[Any]] = []

    async def read(given: Router) -> None:
        stream = given.stream("m", "hi")
        held.append(weakref.ref(stream))
        with pytest.raises(CallError):
            async with stream:
                async for _ in stream:
                    pass

    async def main() -> None:
        async with router(scripted(a=answer, b=answer), in_order("ab", attempts=attempts)) as given:
            await read(given)
            await asyncio.sleep(0)
            assert [each() for each in held] == [None]

    gc.disable()
    try:
        run(main())
    finally:
        gc.enable()


async def test_the_errors_of_the_attempts_before_hold_nothing_of_other_libraries_and_no_frames() -> None:
    def fail(*_: object) -> Unavailable:
        error = Unavailable("first")
        error.__cause__ = OSError("a key")
        return error

    error = await failed(router(scripted(a=fail, b=Unavailable("last")), in_order("ab", attempts=2)))

    (before,) = [each.error for each in error.failures]
    assert (before.message, before.__traceback__) == ("first", None)
    assert (before.__cause__, before.__context__) == (None, None)


async def test_an_error_raised_again_and_again_does_not_collect_notes() -> None:
    last = Unavailable("two")
    async with router(scripted(a=Unavailable("one"), b=last), in_order("ab", attempts=2)) as r:
        for _ in range(3):
            with pytest.raises(Unavailable):
                await r.chat("m", "hi")

    assert last.__notes__ == ["before: a/x: one"]


async def test_notes_of_the_provider_stay() -> None:
    last = Unavailable("two")
    last.add_note("of the provider")

    error = await failed(router(scripted(a=Unavailable("one"), b=last), in_order("ab", attempts=2)))

    assert error.__notes__ == ["of the provider", "before: a/x: one"]


async def test_the_failures_travel_with_the_error() -> None:
    upstream = scripted(a=Unavailable("first"), b=Unavailable("second"))
    error = await failed(router(upstream, in_order("ab", attempts=2)))

    arrived = pickle.loads(pickle.dumps(error))

    assert str(arrived) == str(error)
    assert [(each.deployment, each.error.message) for each in arrived.failures] == [("a/x", "first")]
    assert isinstance(arrived.failures[0], FailedAttempt)


class Broken(Exception):
    """Of a library that stands below a provider."""


def below(*_call: object) -> CallError:
    """An error as it looks that was raised over a hundred lines of other libraries."""
    try:
        try:
            raise Broken("with the URL http://user:password@proxy")
        except Broken as cause:
            raise Unavailable("no connection") from cause
    except Unavailable as error:
        return error


async def test_a_failed_call_prints_neither_the_frames_nor_the_causes_below_it() -> None:
    error = await failed(router(scripted(a=below), in_order("a")))

    text = printed(error)
    assert len(text.splitlines()) < 15
    assert "password" not in text
    assert (error.__cause__, error.__context__) == (None, None)
    assert "scripted.py" not in text


def test_a_failed_call_that_blocks_prints_no_more() -> None:
    with (
        SyncRouter.from_config(in_order("a"), plugins=[scripted(a=below)]) as r,
        pytest.raises(Unavailable) as raised,
    ):
        r.chat("m", "hi")

    assert len(printed(raised.value).splitlines()) < 15


async def test_a_developer_who_has_the_logger_at_debug_finds_what_was_below(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "pointsman")

    error = await failed(router(scripted(a=below), in_order("a")))

    assert isinstance(error.__context__, Broken)
    assert "scripted.py" in printed(error)
    assert "password" not in printed(error)


async def test_what_the_caller_was_handling_stays_the_context() -> None:
    async with router(scripted(a=below), in_order("a")) as r:
        try:
            raise KeyError("of the caller")
        except KeyError as own:
            with pytest.raises(Unavailable) as raised:
                await r.chat("m", "hi")

            assert raised.value.__context__ is own
    assert "of the caller" in printed(raised.value)


async def test_a_broken_stream_keeps_its_cause_and_nothing_below_that() -> None:
    async with router(
        scripted(a=[ScriptedAnswer("one two three", words=2, error=below())]), in_order("a")
    ) as r:
        with pytest.raises(MidStreamError) as raised:
            async with r.stream("m", "hi") as stream:
                async for _ in stream:
                    pass

    error = raised.value
    assert error.__cause__ is error.cause
    assert (error.cause.__cause__, error.cause.__context__) == (None, None)
    assert "password" not in printed(error)


@pytest.mark.parametrize("kind", [DeadlineExceeded, AttemptTimeout, FirstTokenTimeout])
def test_what_took_too_long_is_a_timeout_to_python_too(kind: type[CallError]) -> None:
    with pytest.raises(TimeoutError) as raised:
        raise kind("too late", deployment="d")

    error = raised.value
    assert isinstance(error, kind)
    assert (str(error), error.message, error.args) == ("too late (d)", "too late", ("too late",))


def in_a_circle(length: int) -> Unavailable:
    """An error that is, through as many others as there are, its own cause."""
    errors = [Unavailable(f"number {n}") for n in range(length)]
    for each, cause in zip(errors, [*errors[1:], errors[0]], strict=True):
        each.__cause__ = cause
    return errors[0]


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("words", [0, 1])
def test_an_error_that_is_its_own_cause_is_told_and_ends(
    words: int, length: int, level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level, logger="pointsman")
    upstream = scripted(a=ScriptedAnswer("one two", error=in_a_circle(length), words=words))

    async def main() -> CallError:
        async with router(upstream, config("a", retry={"type": "none"})) as r:
            with pytest.raises(CallError) as raised:
                async with r.stream("m", "hi") as stream:
                    async for _ in stream:
                        pass
        return raised.value

    assert "number 0" in printed(run(main()))
