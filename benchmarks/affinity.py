"""What `affinity` saves on hosts that keep prompts in a cache, and what an outage costs then.

    uv run python benchmarks/affinity.py [--conversations 200] [--minutes 20] [--pause 2] [--out 180]
                                         [--seed 1] [--quick] [--json]

Eight hosts with a prompt cache each, and conversations that grow from one shared prefix of 20,000 tokens, in
virtual time through the router. A turn adds 800 tokens and its answer 600; the next one comes about 2 s
later. A host works off 8,000 tokens of a prompt in a second, except those that it has in its cache, writes 40
tokens a second, and keeps 2 M tokens for 10 minutes. A third of the way one host is out for 3 minutes. Each
strategy meets the same conversations. Of two routers that share a store, each turn of a conversation goes to
the other one.

Printed are, over all calls, the share of their prompts that was in the cache, and what was not, against round
robin; the most calls in flight at a host against the mean (averaged over time, the worst of before, during
and after the outage); and cold turns, which found nothing of their own history in the cache: how many, and
the most that a conversation had which was at the host when that went, until 10 minutes after it was back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
from collections import Counter, OrderedDict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pydantic import BaseModel

from pointsman import Router
from pointsman.plugin import (
    Call,
    ChatRequest,
    ChatResponse,
    MemoryStore,
    PointsmanSpec,
    Provider,
    ProviderContext,
    ProviderFactory,
    StateContext,
    StateFactory,
    StateStore,
    Unavailable,
    Usage,
    hookimpl,
)
from pointsman.testing import run

HOSTS = tuple(f"host{n}" for n in range(8))
SHARED, ASKED, ANSWERED = 20_000, 800, 600
"""Tokens of the prefix that all share, of what a turn adds, and of an answer."""
LETTERS = 4
"""Of a token."""
READS, WRITES = 8_000.0, 40.0
"""Tokens a second."""
CAPACITY, KEPT = 2_000_000, 600.0
"""Tokens that a host keeps, and for how many seconds."""
PAUSE = 2.0
"""Seconds between a turn and the next, on average: an agent runs its tool."""
VICTIM = HOSTS[3]
OUT = 180.0
SETTLED = 60.0
"""Seconds after which all have come, or what happened to a host is known."""
STRATEGIES: dict[str, tuple[Any, bool, int]] = {
    "affinity": ("affinity", True, 1),
    "affinity, no keys": ("affinity", False, 1),
    "affinity, two routers": ("affinity", True, 2),
    "two routers, no keys": ("affinity", False, 2),
    "least_connections": ("least_connections", False, 1),
    "round_robin": ("round_robin", False, 1),
}
"""By the name that is printed: what is configured, whether calls say which conversation is theirs, and to how
many routers they go in turn."""


class Cache:
    """The beginnings of prompts that a host keeps, message by message."""

    def __init__(self) -> None:
        self._kept: OrderedDict[int, tuple[float, int]] = OrderedDict()  # by chain: last use, tokens
        self._tokens = 0

    def read(self, texts: Sequence[str], now: float) -> int:
        """How many tokens of a prompt are there; from now on all of them are."""
        while self._kept and next(iter(self._kept.values()))[0] + KEPT <= now:
            self._drop()
        chain, cached, whole = 0, 0, True
        chains = []
        for text in texts:
            chain = hash((chain, text))
            tokens = len(text) // LETTERS
            chains.append((chain, tokens))
            whole = whole and chain in self._kept
            cached += tokens if whole else 0
        for chain, tokens in reversed(chains):
            if chain not in self._kept:
                self._tokens += tokens
            self._kept[chain] = now, tokens
            self._kept.move_to_end(chain)
        while self._tokens > CAPACITY:
            self._drop()
        return cached

    def _drop(self) -> None:
        _, (_, tokens) = self._kept.popitem(last=False)
        self._tokens -= tokens


@dataclass
class Host:
    """One server, and how busy it has been."""

    cache: Cache = field(default_factory=Cache)
    down: bool = False
    in_flight: int = 0
    busy: float = 0.0
    since: float = 0.0

    def count(self, change: int, now: float) -> None:
        """From `now` on, so many more are in flight."""
        self.busy += self.in_flight * (now - self.since)
        self.since = now
        self.in_flight += change


class World(PointsmanSpec):
    """The hosts, as a provider type, and the store that the routers share."""

    def __init__(self) -> None:
        self.hosts = {name: Host() for name in HOSTS}
        self._store: MemoryStore | None = None

    @hookimpl
    def pointsman_state_stores(self) -> Sequence[StateFactory]:
        return [StateFactory("world", None, self._shared)]

    def _shared(self, context: StateContext) -> StateStore:
        self._store = self._store or MemoryStore(context.clock)
        return self._store

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [ProviderFactory("host", BaseModel, lambda context: _Host(context, self.hosts[context.name]))]


class _Host(Provider):
    def __init__(self, context: ProviderContext, host: Host) -> None:
        super().__init__(context)
        self._host = host
        self._clock = context.clock

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        host, clock = self._host, self._clock
        if host.down:
            raise Unavailable("it is out")
        texts = [message.text for message in request.messages]
        prompt = sum(len(text) for text in texts) // LETTERS
        host.count(1, clock.now())
        try:
            cached = host.cache.read(texts, clock.now())
            await clock.sleep((prompt - cached) / READS + ANSWERED / WRITES)
            answer = f"{call.request_id} ".ljust(ANSWERED * LETTERS, "a")
            host.cache.read([*texts, answer], clock.now())  # what it wrote is in there, too
        finally:
            host.count(-1, clock.now())
        return ChatResponse(text=answer, usage=Usage(prompt=prompt, completion=ANSWERED, cached=cached))


@dataclass
class Result:
    """What one strategy made of it."""

    turns: int = 0
    prompt: int = 0
    cached: int = 0
    spread: float = 0.0
    cold: int = 0
    most_cold: int = 0
    failed: int = 0

    @property
    def share(self) -> float:
        return self.cached / self.prompt

    @property
    def work(self) -> int:
        return self.prompt - self.cached


@dataclass(frozen=True)
class Load:
    """What the strategies meet: so many conversations for so long, and one host `out` for so many seconds."""

    conversations: int = 200
    seconds: float = 1_200.0
    pause: float = PAUSE
    out: float = OUT
    seed: int = 1


def simulate(name: str, load: Load) -> Result:
    """What one strategy makes of that."""
    return run(_simulated(name, load))


async def _simulated(name: str, load: Load) -> Result:
    strategy, keyed, count = STRATEGIES[name]
    world, result, loop = World(), Result(), asyncio.get_running_loop()
    cold, places, struck = Counter[int](), dict[int, str](), set[int]()
    seconds, out = load.seconds, load.out
    given = {
        "providers": {host: {"type": "host"} for host in HOSTS},
        "strategy": strategy,
        **({"state": "world"} if count > 1 else {}),
        "models": {"m": {"deployments": [f"{host}/x" for host in HOSTS]}},
    }
    shared = {"role": "system", "content": "s" * SHARED * LETTERS}

    async def converse(number: int, routers: Sequence[Router]) -> None:
        rng = random.Random(f"{load.seed} {number}")
        messages, had = [shared], False
        await asyncio.sleep(rng.random() * 30)
        while loop.time() < seconds:
            text = f"{number} {len(messages)} ".ljust(ASKED * LETTERS, "u")
            messages = [*messages, {"role": "user", "content": text}]
            options = {"affinity": f"conversation {number}"} if keyed else {}
            began = loop.time()
            try:
                answer = await routers[len(messages) // 2 % count].chat("m", messages, **options)
            except Unavailable:
                result.failed += 1
                return
            usage = answer.usage
            result.turns += 1
            result.prompt += usage.prompt
            result.cached += usage.cached
            if had and usage.cached <= SHARED:
                result.cold += 1
                cold[number] += number in struck and began < seconds / 3 + out + KEPT
            messages.append({"role": "assistant", "content": answer.text})
            had, places[number] = True, answer.deployment
            await asyncio.sleep(rng.expovariate(1 / load.pause))

    async def watch() -> None:
        """The outage, and how evenly the hosts that are there are busy before, in and after it."""
        begins = seconds / 3
        for down, until in ((False, begins), (True, begins + out), (False, seconds)):
            world.hosts[VICTIM].down = down
            if down:
                struck.update(number for number, place in places.items() if place == f"{VICTIM}/x")
            await asyncio.sleep(SETTLED)
            before = busy()
            await asyncio.sleep(until - loop.time())
            loads = [now - before[name] for name, now in busy().items() if not (down and name == VICTIM)]
            result.spread = max(result.spread, max(loads) * len(loads) / sum(loads))

    def busy() -> dict[str, float]:
        for host in world.hosts.values():
            host.count(0, loop.time())
        return {name: host.busy for name, host in world.hosts.items()}

    async with AsyncExitStack() as stack:
        made = (Router.from_config(given, plugins=[world]) for _ in range(count))
        routers = [await stack.enter_async_context(each) for each in made]
        watching = asyncio.create_task(watch())
        await asyncio.gather(*(converse(number, routers) for number in range(load.conversations)))
        await watching
    result.most_cold = max(cold.values(), default=0)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=float, default=OUT, help="seconds for which one host is out")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between turns, on average")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="10 minutes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds = 600.0 if options.quick else options.minutes * 60
    load = Load(options.conversations, seconds, options.pause, options.out, options.seed)
    began = perf_counter()
    found = {name: simulate(name, load) for name in STRATEGIES}
    rows = {
        name: {
            "turns": each.turns,
            "cached_share": each.share,
            "work_over_round_robin": each.work / found["round_robin"].work,
            "in_flight_spread": each.spread,
            "cold_turns": each.cold,
            "most_cold_turns_of_a_conversation_by_the_outage": each.most_cold,
            "failed": each.failed,
        }
        for name, each in found.items()
    }
    if options.json:
        json.dump(rows, sys.stdout, indent=2)
        print()
        return
    columns = "turns cached work spread cold at_most failed"
    print(f"{'strategy':22}" + "".join(f"{column:>9}" for column in columns.split()))
    for name, row in rows.items():
        turns, share, work, spread, cold, most, failed = row.values()
        print(f"{name:22}{turns:9}{share:9.1%}{work:9.3f}{spread:9.2f}{cold:9}{most:9}{failed:9}")
    print(f"{perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
