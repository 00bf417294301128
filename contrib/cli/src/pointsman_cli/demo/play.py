"""The demo as it runs: starts the upstreams, makes the requests, kills one upstream, keeps account."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pointsman_cli.demo.process import VictimProcess
from pointsman_cli.demo.scene import (
    ACTORS,
    BACK,
    GONE,
    KILLED,
    LOST,
    WELL,
    Act,
    Kind,
    configuration,
    embed_model,
)
from pointsman_cli.options import Asked
from pointsman_cli.running import drained_by_sigterm

if TYPE_CHECKING:
    from pointsman import ChatResponse, ChatStream, EmbedResponse, Router, Tool
    from pointsman_cli.demo.account import Account
    from pointsman_simulator import Upstream

    Reply = ChatResponse | EmbedResponse

AT_ONCE = 24
_HELD = 6
"""Requests that the upstream has in its hands when it is killed, at least."""

Progress = Callable[[str, int], None]
"""Told what is going on and how many requests are done."""


async def play(asked: Asked, *, seed: int, progress: Progress) -> Account:
    """The whole demo, and what it comes to; after a SIGTERM nothing that means anything."""
    began = asyncio.get_running_loop().time()
    progress("starting four upstreams", 0)
    victim = await VictimProcess.start(seed=seed)
    try:
        # The process starts while this one loads what it needs.
        from pointsman_cli.demo.account import Account

        account = Account(seed)
        async with _stage(asked, victim, seed) as stage:
            await _Play(stage, account, progress, began).run()
        account.seconds = asyncio.get_running_loop().time() - began
        return account
    finally:
        await victim.kill()


class _Stage:
    """The router and the upstreams."""

    def __init__(
        self, router: Router, upstreams: dict[str, Upstream], victim: VictimProcess, seed: int
    ) -> None:
        self.router = router
        self.upstreams = upstreams
        self.victims = [victim]
        self.seed = seed


@asynccontextmanager
async def _stage(asked: Asked, victim: VictimProcess, seed: int) -> AsyncIterator[_Stage]:
    from pointsman import Config, Router
    from pointsman.clock import system_rng
    from pointsman_cli.demo.victim import tool_reply
    from pointsman_simulator import Simulator

    async with Simulator(seed=seed) as simulator:
        for actor in ACTORS:
            if actor.type != LOST:
                upstream = await simulator.add(
                    actor.type, name=actor.type, models=actor.models, latency=actor.latency
                )
                upstream.respond = tool_reply
        await victim.ready()
        urls = {LOST: victim.base_url, **{name: each.base_url for name, each in simulator.upstreams.items()}}
        config = configuration({actor.type: urls[actor.type] for actor in ACTORS})
        async with Router(Config.from_mapping(config), rng=system_rng(seed)) as router:
            stage = _Stage(router, simulator.upstreams, victim, seed)
            try:
                async with drained_by_sigterm(asked, router):
                    yield stage
            finally:
                for each in stage.victims:
                    await each.kill()


class _Play:
    def __init__(self, stage: _Stage, account: Account, progress: Progress, began: float) -> None:
        self._stage = stage
        self._router = stage.router
        self._account = account
        self._progress = progress
        self._loop = asyncio.get_running_loop()
        self._began = began
        self._done = 0
        self._number = 0

    async def run(self) -> None:
        self._router.listen(lambda event: self._account.hear(event, self._loop.time() - self._began))
        await self._router.health()
        first = self._stage.victims[0]
        await self._act(WELL)
        await first.report()
        await self._killed(first)
        again = await VictimProcess.start(seed=self._stage.seed, port=first.port)
        self._stage.victims.append(again)
        await self._act(GONE)
        await again.ready()
        await self._until_it_may_return()
        await self._act(BACK)
        await again.report()
        await self._settle()

    async def _killed(self, victim: VictimProcess) -> None:
        """Requests are on their way when the process dies; none of their answers had begun."""
        await victim.hold()
        before = victim.seen
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._act(KILLED, at_once=1000))
            await victim.has_seen(before + _HELD)
            await victim.kill()
        self._account.killed_with = victim.seen - before

    async def _act(self, act: Act, *, at_once: int = AT_ONCE) -> None:
        places = asyncio.Semaphore(at_once)
        self._progress(act.title, self._done)

        async def one(strategy: str, kind: Kind) -> None:
            async with places:
                await self._request(act, strategy, kind)

        async with asyncio.TaskGroup() as tasks:
            for strategy, kind in act.requests():
                tasks.create_task(one(strategy, kind))

    async def _request(self, act: Act, strategy: str, kind: Kind) -> None:
        from pointsman import PointsmanError

        account = self._account
        account.requests += 1
        self._number += 1
        try:
            reply = await _CALLS[kind](self._router, strategy, f"Question {self._number}")
        except PointsmanError as error:
            account.failed.append(f"{act.name}: {strategy} {kind}: {error}")
        else:
            self._note(act, strategy, kind, reply)
        self._done += 1
        self._progress(act.title, self._done)

    def _note(self, act: Act, strategy: str, kind: Kind, reply: Reply) -> None:
        account = self._account
        if not _whole(kind, reply):
            account.failed.append(f"{act.name}: {strategy} {kind}: {reply.deployment} gave no whole answer")
            return
        account.streams += kind.startswith("stream")
        account.tool_calls += kind.endswith("tools")
        account.embeddings += kind == "embed"
        account.answered(strategy, act.name, reply.deployment, reply.attempts)

    async def _until_it_may_return(self) -> None:
        """Wait, a second at most, until the breakers let calls through to the upstream that is back."""
        for _ in range(40):
            status = self._router.status()
            deployments = [each for model in status.models.values() for each in model.deployments.values()]
            if not any(each.blocked for each in deployments if each.provider == LOST):
                return
            await asyncio.sleep(0.025)

    async def _settle(self) -> None:
        account, stage = self._account, self._stage
        for upstream in stage.upstreams.values():
            # A client has the last byte of an answer before the server notes that it was sent.
            await upstream.idle()
        account.in_flight_after = self._router.status().in_flight + sum(
            each.in_flight for each in stage.upstreams.values()
        )
        account.upstream_seen[LOST] = sum(each.seen for each in stage.victims)
        account.upstream_completed[LOST] = sum(each.completed for each in stage.victims)
        for name, upstream in stage.upstreams.items():
            calls = [each for each in upstream.requests if each.method == "POST"]
            account.upstream_seen[name] = len(calls)
            account.upstream_completed[name] = sum(each.outcome == "completed" for each in calls)


# ── the kinds of requests ────────────────────────────────────────────────────────────────────────────


def _whole(kind: Kind, reply: Reply) -> bool:
    from pointsman import EmbedResponse

    if isinstance(reply, EmbedResponse):
        return len(reply.vectors) == 2
    if kind.endswith("tools"):
        return [call.name for call in reply.tool_calls] == ["departures"]
    return bool(reply.text)


def _tools() -> list[Tool]:
    from pointsman import Tool

    station = {"type": "object", "properties": {"station": {"type": "string"}}, "required": ["station"]}
    return [Tool("departures", "The next departures from a station.", station)]


async def _chat(router: Router, model: str, prompt: str) -> Reply:
    return await router.chat(model, prompt, max_tokens=64)


async def _with_tools(router: Router, model: str, prompt: str) -> Reply:
    return await router.chat(model, prompt, max_tokens=64, tools=_tools())


async def _streamed(router: Router, model: str, prompt: str) -> Reply:
    return await _read(router.stream(model, prompt, max_tokens=64))


async def _streamed_with_tools(router: Router, model: str, prompt: str) -> Reply:
    return await _read(router.stream(model, prompt, max_tokens=64, tools=_tools()))


async def _embedded(router: Router, model: str, prompt: str) -> Reply:
    return await router.embed(embed_model(model), [prompt, "and another text"])


async def _read(stream: ChatStream) -> ChatResponse:
    async with stream:
        async for _event in stream:
            pass
    return stream.response


_CALLS: dict[Kind, Callable[[Router, str, str], Awaitable[Reply]]] = {
    "chat": _chat,
    "tools": _with_tools,
    "stream": _streamed,
    "stream with tools": _streamed_with_tools,
    "embed": _embedded,
}
