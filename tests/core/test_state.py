"""Limits that hold by every name, reloads that forget and keep the right things, callers' mistakes."""

from __future__ import annotations

import asyncio
import gc
import weakref
from typing import Any
from weakref import WeakSet

import httpx
import pytest
from routers import config, in_flight, router

from pointsman import Router
from pointsman.errors import (
    AuthenticationFailed,
    DeadlineExceeded,
    InvalidRequest,
    NoDeploymentAvailable,
    RateLimited,
    Unavailable,
)
from pointsman.http.client import Endpoint
from pointsman.plugin import PointsmanSpec, TransportFactory, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, Scripted, ScriptedAnswer, run
from pointsman.testing.replay import Ending
from pointsman.types import ChatRequest, Image, Message, ResponseFormat, Text, Tool, ToolChoice


def limited(max_in_flight: int) -> dict[str, Any]:
    deployment = {"provider": "a", "model": "x", "max_in_flight": max_in_flight}
    return config("a", models={"m": {"deployments": [deployment]}})


def test_max_in_flight_holds_for_calls_by_the_full_name_too() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1))

    async def main() -> None:
        async with router(upstream, limited(1)) as r:
            calls = (r.chat(name, "hi") for name in ("m", "a/x", "a/x"))
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert sum(isinstance(each, NoDeploymentAvailable) for each in answers) == 2

    run(main())
    assert upstream.most_in_flight["a"] == 1


def test_calls_by_full_name_are_counted_in_the_status() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=1))

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            call = asyncio.create_task(r.chat("a/other", "hi"))
            await asyncio.sleep(0.5)
            assert in_flight(r) == 1
            await call
            assert in_flight(r) == 0

    run(main())


def test_what_an_operator_said_outlives_a_change_of_the_deployment() -> None:
    async def main() -> None:
        async with router(Scripted(), limited(1)) as r:
            r.disable("a/x")
            await r.reload(limited(2))
            assert r.status().to_dict()["models"]["m"]["deployments"][0]["state"] == "down"

    run(main())


def over_http(**changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "ollama", "base_url": "http://127.0.0.1:1"}},
        "models": {"m": {"deployments": ["a/x"]}},
        **changes,
    }


class Seen(PointsmanSpec):
    """The transport `seen`, which answers by itself or is that given, and what was asked of it."""

    def __init__(self, given: httpx.AsyncBaseTransport | None = None) -> None:
        self.given = given
        self.requests: list[httpx.Request] = []
        self.made: WeakSet[httpx.AsyncBaseTransport] = WeakSet()

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("seen", None, self.make)]

    def make(self, _context: object) -> httpx.AsyncBaseTransport:
        transport = self.given or httpx.MockTransport(self.answer)
        self.made.add(transport)
        return transport

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, json={"message": {"content": "ok"}, "done": True, "done_reason": "stop"})


def seen_at(port: int, **changes: Any) -> dict[str, Any]:
    here = {"type": "ollama", "base_url": f"http://127.0.0.1:{port}", "transport": "seen"}
    return over_http(providers={"a": here}, **changes)


async def test_a_reload_heeds_a_new_connect_timeout() -> None:
    seen = Seen()
    async with Router.from_config(seen_at(1, timeouts={"connect": "5s"}), plugins=[seen]) as r:
        await r.chat("m", "hi")
        await r.reload(seen_at(1, timeouts={"connect": "1s"}))
        await r.chat("m", "hi")

    assert [each.extensions["timeout"]["connect"] for each in seen.requests] == [5.0, 1.0]


async def test_reloads_do_not_pile_up() -> None:
    seen = Seen()
    async with Router.from_config(seen_at(1), plugins=[seen]) as r:
        first = [weakref.ref(each) for each in seen.made]
        for port in range(2, 5):
            await r.reload(seen_at(port))
        await asyncio.sleep(0.05)
        gc.collect()
        assert first
        assert [each() for each in first if each() is not None] == []


@pytest.mark.parametrize("left", ["two reloads", "eviction", "the router"])
async def test_a_client_is_closed_after_its_last_call_and_not_before(left: str) -> None:
    """A call by full name, whose provider is then removed from the configuration."""
    upstreams = Scripted()

    def given(*names: str) -> dict[str, Any]:
        return {
            "providers": {name: {"type": "scripted"} for name in names},
            "models": {"m": {"deployments": ["b/x"]}},
        }

    upstreams.default("a", ScriptedAnswer(text="one two", gap=0.01))
    closed: list[str] = []
    r = router(upstreams, given("a", "b"))

    async def close() -> None:
        closed.append("a")

    r.provider("a").aclose = close
    stream = r.stream("a/other", "hi")
    await stream.__anext__()
    if left == "two reloads":
        await r.reload(given("a", "b"))
    if left == "eviction":
        for n in range(300):
            r.explain(f"a/x{n}")
    await r.reload(given("b"))
    await asyncio.sleep(0.02)
    assert closed == []

    if left == "the router":
        await r.aclose()
        assert closed == ["a"]
        await stream.aclose()
    else:
        assert "".join([event.text async for event in stream]) == " two"
        await r.aclose()
    assert closed == ["a"]


def test_nobody_returns_to_a_deployment_whose_credential_was_rejected_meanwhile() -> None:
    upstream = Scripted()
    upstream.script("a", Unavailable("down"), AuthenticationFailed("no"), "fine")

    async def main() -> None:
        given = config("a", models={"m": {"deployments": ["a/x", "a/y"]}})
        async with router(upstream, given) as r:
            with pytest.raises(AuthenticationFailed):
                await r.chat("m", "hi")

    run(main())
    assert len(upstream.calls) == 2


def test_the_deadline_holds_for_providers_that_keep_no_time() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=50))

    async def main() -> None:
        async with router(upstream, config("a", timeouts={"total": "5s"})) as r:
            began = asyncio.get_running_loop().time()
            with pytest.raises(DeadlineExceeded):
                await r.chat("m", "hi")
            assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.01)

    run(main())


async def test_a_broken_plugin_hides_neither_health_nor_models_of_the_others() -> None:
    async def broken() -> None:
        raise OSError("disk")

    async with router(Scripted(), config("ab")) as r:
        r.provider("a").models = r.provider("a").probe = broken
        health = (await r.health()).to_dict()
        assert health["a"]["ok"] is False
        assert health["a"]["error"] == "provider plugin 'scripted' failed in probe(): OSError"
        assert health["b"]["ok"]
        assert "b/scripted-model" in [each.id for each in await r.models()]


@pytest.mark.parametrize("type", ["ollama", "openai", "claude", "localai"])
@pytest.mark.parametrize("then", ["silence", "break"])
def test_an_error_counts_although_its_body_does_not_come(type: str, then: Ending) -> None:
    transport = ReplayTransport(CannedReply(429, b"{", {"retry-after": "7"}, ending=then))
    here = {"type": type, "base_url": "http://upstream.test", "api_key": "k", "transport": "seen"}

    async def main() -> None:
        loop = asyncio.get_running_loop()
        given = over_http(providers={"a": here}, retry="none")
        async with Router.from_config(given, plugins=[Seen(transport)]) as r:
            began = loop.time()
            with pytest.raises(RateLimited) as caught:
                await r.chat("m", "hi")
            assert caught.value.retry_after == 7
            assert loop.time() - began < 5.1

    run(main())


@pytest.mark.parametrize("model", [5, None, b"m", ["m"], {"m": 1}, object()])
@pytest.mark.parametrize("operation", ["chat", "stream", "generate", "embed", "explain"])
def test_a_model_that_is_no_name_is_an_invalid_request(operation: str, model: Any) -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            with pytest.raises(InvalidRequest, match="model is"):
                work = getattr(r, operation)(model, "hi")
                await work

    run(main())


def user(content: Any, **more: Any) -> Message:
    return Message("user", content, **more)


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": [user(5)]},
        {"messages": [user(None)]},
        {"messages": user([5])},
        {"messages": user([Text(5)])},  # type: ignore[arg-type]  # what a caller without a type checker gives
        {"messages": user([Image(data=5)])},  # type: ignore[arg-type]  # as above
        {"messages": user([Image(url=5)])},  # type: ignore[arg-type]  # as above
        {"messages": user("hi", tool_calls=5)},
        {"messages": user("hi", tool_calls=[5])},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": 5}]},
        {"messages": [{"role": "user", "content": "x", "name": 5}]},
        {"messages": Message("boss", "hi")},  # type: ignore[arg-type]  # as above
        {"tools": [{"name": 5}]},
        {"tools": [Tool("f", "d", 5)]},  # type: ignore[arg-type]  # as above
        {"tool_choice": ToolChoice("maybe")},  # type: ignore[arg-type]  # as above
        {"response_format": ResponseFormat("poem")},  # type: ignore[arg-type]  # as above
        {"response_format": ResponseFormat("schema", 5)},  # type: ignore[arg-type]  # as above
        {"metadata": 5},
        {"user": 5},
        {"temperature": "hot"},
    ],
)
def test_a_callers_mistake_is_never_laid_at_the_upstreams_door(wrong: dict[str, Any]) -> None:
    """It would open the breaker of a healthy deployment for everybody else."""
    upstream = Scripted()

    async def main() -> None:
        async with router(upstream, config("a")) as r:
            given = {"messages": "hi", **wrong}
            with pytest.raises(InvalidRequest):
                await r.chat("m", **given)
            with pytest.raises(InvalidRequest):
                await r.chat(ChatRequest("m", **given))

    run(main())
    assert upstream.calls == []


def test_a_complete_request_takes_nothing_beside_it() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            request = ChatRequest("m", (Message("user", "hi"),))
            assert (await r.chat(request)).text == "ok"
            for more in ({"messages": "hi"}, {"temperature": 1.0}):
                with pytest.raises(InvalidRequest, match="no further options"):
                    await r.chat(request, **more)

    run(main())


def test_an_endpoint_shows_neither_password_nor_header() -> None:
    assert "hunter2" not in repr(Endpoint("http://u:hunter2@host", {"x-key": "hunter2"}))
