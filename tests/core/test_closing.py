"""Closing things while they are in use, from elsewhere, twice, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import json
import os
import re
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from routers import Heard, config, in_flight, router

from pointsman import NoDeploymentAvailable, Router, SyncRouter
from pointsman.errors import CallError, MidStreamError, Unavailable
from pointsman.plugin import AuditFactory, PointsmanSpec, hookimpl
from pointsman.provider import Provider, ProviderFactory
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman.types import ChatRequest, Message, TextDelta

WORDS = "the sky is blue because of air"


def test_a_stream_closed_by_another_task_while_it_opens_ends_there_and_then() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, after=5))
    upstream.default("b", ScriptedAnswer(text=WORDS, after=5))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            heard = Heard(r)
            stream = r.stream("m", "hi")
            opening = asyncio.create_task(stream.__aenter__())
            await asyncio.sleep(1)
            await stream.aclose()
            assert in_flight(r) == 0
            with pytest.raises(CallError, match="closed while it was being opened"):
                await opening
            await asyncio.sleep(60)
            assert in_flight(r) == 0
            assert [each.result for each in heard.requests] == ["cancelled"]
            assert heard.events[-1] is heard.requests[0]

    run(main())
    assert len(upstream.calls) == 1
    assert sum(upstream.in_flight.values()) == 0


def test_a_stream_closed_between_two_attempts_makes_no_further_one() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down", retry_after=5))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            stream = r.stream("m", "hi")
            opening = asyncio.create_task(stream.__aenter__())
            await asyncio.sleep(1)
            await stream.aclose()
            with pytest.raises(CallError):
                await opening
            await asyncio.sleep(60)

    run(main())
    assert len(upstream.calls) == 1


def test_a_cancelled_opener_is_cancelled_even_when_the_stream_is_closed_too() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS, after=5))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            stream = r.stream("m", "hi")
            opening = asyncio.create_task(stream.__aenter__())
            await asyncio.sleep(1)
            opening.cancel()
            await stream.aclose()
            with pytest.raises(asyncio.CancelledError):
                await opening
            assert in_flight(r) == 0

    run(main())


def test_a_closed_stream_cannot_be_entered() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            stream = r.stream("m", "hi")
            await stream.aclose()
            with pytest.raises(RuntimeError, match="closed"):
                await stream.__aenter__()
            assert in_flight(r) == 0

    run(main())


def test_a_source_that_cannot_be_closed_holds_up_no_lease() -> None:
    class Broken:
        upstream_request_id = ""

        async def next(self, until: float) -> list[TextDelta]:
            return [TextDelta("hi")]

        def abort(self) -> None:
            raise OSError("no")

        async def aclose(self) -> None: ...

    async def broken(_request: object, _call: object) -> Broken:
        return Broken()

    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            r.provider("a").stream = broken
            stream = r.stream("m", "hi")
            await stream.__anext__()
            await stream.aclose()
            assert in_flight(r) == 0

    run(main())


def test_a_stream_that_outlives_its_loop_is_released_and_told_of() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS))
    kept: list[Any] = []

    async def main() -> None:
        r = router(upstream, config("a"))
        kept.extend((r, Heard(r), r.stream("m", "hi")))
        await kept[-1].__anext__()

    run(main())
    r, heard = kept[:2]
    kept.clear()
    gc.collect()

    assert in_flight(r) == 0
    assert [each.result for each in heard.requests] == ["abandoned"]


class Sinks(PointsmanSpec):
    """The audit sink `closing`, which notes that it was closed."""

    def __init__(self, closed: list[int]) -> None:
        self.closed = closed

    @hookimpl
    def pointsman_audit_sinks(self) -> list[AuditFactory]:
        return [AuditFactory("closing", BaseModel, lambda _context: self)]

    def __call__(self, event: object) -> None:
        pass

    def close(self) -> None:
        self.closed.append(1)


def test_a_closed_router_says_so_and_closes_its_sinks_once() -> None:
    closed: list[int] = []

    async def main() -> None:
        async with Router.from_config(
            config("a", audit=["closing"]), plugins=[Scripted(), Sinks(closed)]
        ) as r:
            await r.aclose()
        for work in (r.chat("m", "hi"), r.models(), r.reload(config("a"))):
            with pytest.raises(RuntimeError, match="closed"):
                await work

    run(main())
    assert closed == [1]


def test_closing_goes_on_when_its_caller_is_cancelled() -> None:
    closed: list[int] = []

    async def main() -> None:
        r = Router.from_config(config("a", audit=["closing"]), plugins=[Scripted(), Sinks(closed)])
        closing = asyncio.create_task(r.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await r.aclose()

    run(main())
    assert closed == [1]


# ── the blocking router ──────────────────────────────────────────────────────────────────────────────


def in_thread(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """`work` in a thread, and where its result or error will be."""
    out: list[Any] = []

    def body() -> None:
        try:
            out.append(work())
        except Exception as error:
            out.append(error)

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    return thread, out


def test_closing_the_blocking_router_ends_calls_that_run_in_other_threads() -> None:
    upstream = Scripted()
    arrived = threading.Event()

    def slow(_request: Any, _call: Any) -> ScriptedAnswer:
        arrived.set()
        return ScriptedAnswer(after=300)

    upstream.default("a", slow)
    r = SyncRouter.from_config(config("a"), plugins=[upstream])
    heard = Heard(r)
    thread, out = in_thread(lambda: r.chat("m", "hi"))
    assert arrived.wait(5)

    closers = [in_thread(r.close)[0] for _ in range(4)]
    for each in (thread, *closers):
        each.join(5)

    assert not any(each.is_alive() for each in (thread, *closers))
    assert isinstance(out[0], RuntimeError)
    assert [each.result for each in heard.requests] == ["cancelled"]
    with pytest.raises(RuntimeError, match="closed"):
        r.chat("m", "hi")


def test_a_batch_whose_iterable_calls_the_router_is_told_so_rather_than_hanging() -> None:
    with SyncRouter.from_config(config("a"), plugins=[Scripted()]) as r:

        def requests() -> Iterator[ChatRequest]:
            r.chat("m", "hi")
            yield ChatRequest("m", (Message("user", "hi"),))

        thread, out = in_thread(lambda: list(r.batch(requests())))
        thread.join(5)
        assert not thread.is_alive()
        assert "own thread" in str(out[0])


def test_a_dropped_blocking_stream_gives_everything_back() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS))
    with SyncRouter.from_config(config("a"), plugins=[upstream]) as r:
        heard = Heard(r)
        stream = r.stream("m", "hi")
        next(stream)
        del stream
        gc.collect()
        assert r.status().in_flight == 0
        assert [each.result for each in heard.requests] == ["abandoned"]
    assert sum(upstream.in_flight.values()) == 0


def test_a_blocking_stream_can_be_left_after_its_router() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text=WORDS))
    with SyncRouter.from_config(config("a"), plugins=[upstream]) as r, r.stream("m", "hi") as stream:
        next(stream)
        r.close()


def test_the_state_can_be_looked_at_when_the_loop_is_gone() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down", retry_after=100))
    kept: list[Router] = []

    async def main() -> None:
        await asyncio.sleep(1000)
        r = router(upstream, config("a"))
        kept.append(r)
        with pytest.raises(Unavailable):
            await r.chat("m", "hi")

    run(main())
    (deployment,) = kept[0].status().to_dict()["models"]["m"]["deployments"]
    assert deployment["blocked"].startswith("cooling down, 1")
    assert len(deployment["blocked"]) == len("cooling down, 100.0 s left")


def test_a_request_that_waits_between_attempts_survives_a_reload_of_its_provider() -> None:
    answers = [(503, "retry-after: 1\r\n", b""), (200, "", OLLAMA_ANSWER)]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        status, more, body = answers.pop(0)
        head = f"HTTP/1.1 {status} x\r\n{more}content-type: application/json\r\nconnection: close\r\n"
        writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]

        def given(key: str) -> dict[str, Any]:
            provider = {"type": "ollama", "base_url": f"http://127.0.0.1:{port}", "api_key": key}
            return {"providers": {"a": provider}, "models": {"m": {"deployments": ["a/x"]}}}

        async with Router.from_config(given("old")) as r:
            failed = asyncio.Event()
            r.listen(lambda _event: failed.set())
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await failed.wait()
            await r.reload(given("new"))
            assert (await call).text == "fine"
        server.close()
        await server.wait_closed()

    asyncio.run(main())


OLLAMA_ANSWER = (
    b'{"model":"x","message":{"role":"assistant","content":"fine"},"done":true,"done_reason":"stop"}'
)


def test_a_request_that_still_runs_when_the_router_closes_is_in_the_audit(tmp_path: Path) -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=500))

    async def main() -> None:
        r = router(upstream, config("a", audit=[{"type": "jsonl", "path": str(tmp_path)}]))
        call = asyncio.ensure_future(r.chat("m", "hi"))
        await asyncio.sleep(1)
        await r.aclose()
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call

    run(main())
    (file,) = tmp_path.glob("*.jsonl")
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == [
        "open",
        "start",
        "attempt",
        "request",
        "close",
    ]


def test_a_shutdown_lets_running_calls_finish_takes_no_new_ones_and_ends_the_rest() -> None:
    upstream = Scripted()

    async def main() -> None:
        for after, finished in ((10.0, True), (1_000.0, False)):
            upstream.default("a", ScriptedAnswer(after=after))
            r = router(upstream, config("a"))
            heard = Heard(r)
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            closing = asyncio.ensure_future(r.shutdown(grace=30))
            await asyncio.sleep(1)
            with pytest.raises(NoDeploymentAvailable, match="shutting down"):
                await r.chat("m", "hi")
            assert await closing is finished
            assert len(heard.requests) == 2
            call.cancel()
            await asyncio.wait([call])

    run(main())


@pytest.mark.parametrize("transport", ["h1", "aiohttp", "httpx"])
async def test_calls_that_closing_ends_say_so_and_blame_no_upstream(transport: str) -> None:
    begun = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        streams = b'"stream":true' in await reader.readexactly(int(LENGTH.findall(head)[0]))
        if streams:
            writer.write(OLLAMA_STREAM)
        begun.release()
        with contextlib.suppress(ConnectionError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    r = Router.from_config(
        {
            "providers": {"a": {"type": "ollama", "base_url": url}},
            "models": {"m": {"deployments": ["a/x"]}},
            "transport": transport,
        }
    )
    heard = Heard(r)
    stream = r.stream("m", "hi")
    await stream.__anext__()
    calls = [asyncio.create_task(each) for each in (r.chat("m", "hi"), r.embed("m", ["hi"]))]
    reading = asyncio.create_task(rest_of(stream))
    for _ in range(3):
        await begun.acquire()

    assert not await r.shutdown(grace=0)

    for each in calls:
        with pytest.raises(NoDeploymentAvailable, match="the router is shutting down"):
            await each
    with pytest.raises(MidStreamError, match="shutting down") as broken:
        await reading
    assert isinstance(broken.value.cause, NoDeploymentAvailable)
    assert [each.outcome for each in heard.attempts] == ["neutral"] * 3
    assert [each.result for each in heard.requests] == ["error"] * 3
    server.close()
    await server.wait_closed()


async def rest_of(stream: Any) -> None:
    async for _ in stream:
        pass


LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
OLLAMA_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n"
    b'{"model":"x","message":{"role":"assistant","content":"some"},"done":false}\n'
)


async def test_sigterm_drains_the_router() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=0.2))
    r = router(upstream, config("a"))
    async with r:
        r.shutdown_on(signal.SIGTERM)
        call = asyncio.ensure_future(r.chat("m", "hi"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (await call).text == "ok"
        with pytest.raises((NoDeploymentAvailable, RuntimeError)):
            await r.chat("m", "hi")
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


def test_who_waits_in_line_when_the_router_closes_is_told_at_once() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=2.0))
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        r = router(upstream, given)
        heard = Heard(r)
        calls = [asyncio.ensure_future(r.chat("m", "hi")) for _ in range(3)]
        await asyncio.sleep(0.5)
        await r.aclose()
        for each in calls[1:]:
            with pytest.raises(NoDeploymentAvailable, match="shutting down"):
                await each
        assert loop.time() < 2
        assert len(heard.requests) == 3
        calls[0].cancel()
        await asyncio.wait(calls[:1])

    run(main())
    assert upstream.count("a") == 1


def test_the_blocking_router_has_every_method_of_the_other_with_the_same_parameters() -> None:
    called_otherwise = {"aclose": "close"}
    # Signals go to the main thread, where no loop of ours runs; what calls need it prepares when it is made.
    left_out = {"shutdown_on", "prepare"}
    not_handed_in = {"clock", "rng"}  # `from_config` of the blocking router runs on real time

    for name, found in inspect.getmembers(Router):
        if name.startswith("_") or name in left_out:
            continue
        own = inspect.getattr_static(SyncRouter, called_otherwise.get(name, name))
        if isinstance(found, property):
            assert isinstance(own, property), name
            continue
        theirs = {
            each: (parameter.kind, parameter.default, parameter.annotation)
            for each, parameter in inspect.signature(found).parameters.items()
            if each not in not_handed_in
        }
        bound = getattr(SyncRouter, called_otherwise.get(name, name))
        assert theirs == {
            each: (parameter.kind, parameter.default, parameter.annotation)
            for each, parameter in inspect.signature(bound).parameters.items()
        }, name
        assert not inspect.iscoroutinefunction(bound), name


def test_the_blocking_router_has_nothing_that_the_other_lacks() -> None:
    public = {name for name in vars(SyncRouter) if not name.startswith("_")}

    assert public - set(vars(Router)) == {"close"}


class NoSettings(BaseModel):
    pass


class Special(Provider, PointsmanSpec):
    """A plugin and its only provider, which can do more than the usual and tells in which thread it did."""

    size = 3

    def __init__(self) -> None:
        self.name = "a"
        self.threads: set[str] = set()
        self.ended = False

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("special", NoSettings, lambda _context: self)]

    def plain(self, number: int) -> int:
        self.threads.add(threading.current_thread().name)
        return number + 1

    async def later(self, number: int, *, times: int) -> int:
        self.threads.add(threading.current_thread().name)
        await asyncio.sleep(0)
        return number * times

    async def steps(self, number: int) -> AsyncIterator[int]:
        try:
            for each in range(number):
                self.threads.add(threading.current_thread().name)
                await asyncio.sleep(0)
                yield each
        finally:
            self.ended = True

    async def fails(self) -> None:
        raise Unavailable("down")


def test_the_methods_of_a_provider_block_and_its_steps_can_be_looped_over() -> None:
    special = Special()
    given = {**config("a"), "providers": {"a": {"type": "special"}}}
    with SyncRouter.from_config(given, plugins=[special]) as r:
        provider = r.provider("a")

        assert provider.size == 3
        assert provider.plain(1) == 2
        assert provider.later(2, times=3) == 6
        assert list(provider.steps(3)) == [0, 1, 2]
        with provider.steps(3) as steps:
            assert next(steps) == 0
            special.ended = False
        assert special.ended
        with pytest.raises(Unavailable, match="down"):
            provider.fails()
        with pytest.raises(AttributeError, match="nothing"):
            _ = provider.nothing
        with pytest.raises(KeyError, match="there are: a"):
            r.provider("c")
    assert special.threads == {"pointsman"}
    with pytest.raises(RuntimeError, match="closed"):
        provider.plain(1)


def test_a_listener_of_the_blocking_router_hears_until_it_is_ended() -> None:
    heard: list[object] = []
    with SyncRouter.from_config(config("a"), plugins=[Scripted()]) as r:
        assert r.config.models["m"]
        end = r.listen(heard.append)
        r.chat("m", "hi")
        told = len(heard)
        end()
        end()
        r.chat("m", "hi")

        assert told == len(heard) == 2
        late = r.listen(heard.append)
    late()


def test_a_blocking_shutdown_lets_a_running_call_finish_and_ends_the_thread() -> None:
    upstream = Scripted()
    arrived = threading.Event()

    def slow(_request: Any, _call: Any) -> ScriptedAnswer:
        arrived.set()
        return ScriptedAnswer(after=0.05)

    upstream.default("a", slow)
    before = set(threading.enumerate())
    r = SyncRouter.from_config(config("a"), plugins=[upstream])
    thread, out = in_thread(lambda: r.chat("m", "hi"))
    assert arrived.wait(5)

    assert r.shutdown(grace=30)

    thread.join(5)
    assert out[0].text == "ok"
    assert set(threading.enumerate()) == before
