"""Upstreams in virtual time: who waits, how long an answer takes, what goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from pointsman.plugin import Clock, ConnectionFailed, Gcra, RateLimited, Rng
from pointsman_forecast.faults import BUSY, FaultSettings, Trouble
from pointsman_forecast.lines import Line, LineFull, LoadedModels, Places
from pointsman_forecast.pace import Alone, Pace, Shared
from pointsman_forecast.settings import UpstreamSettings
from pointsman_simulator import Vram

_UNBOUNDED = 1_000_000


class Size(Struct, frozen=True):
    """How long a question is, and how long its answer will be, in tokens."""

    prompt: int
    answer: int


class UpstreamCounts(Struct):
    """What an upstream has seen.

    Attributes:
        calls: that reached it.
        refused: answered 503 because too many waited.
        limited: answered 429 by its own limits.
        troubled: that went wrong because a fault said so.
        waits: seconds that calls waited in its line, of those that did.
        most: answers at once, at most.
        tokens: of the answers that it has given as a whole.
    """

    calls: int = 0
    refused: int = 0
    limited: int = 0
    troubled: int = 0
    most: int = 0
    tokens: int = 0
    waits: list[float] = []


class Upstream:
    """One server, on the running event loop.

    Attributes:
        counts: what it has seen; `at_work`: answers that it is busy with.
        now: seconds on its clock.
    """

    def __init__(
        self,
        name: str,
        type: str,
        settings: Callable[[str | None], UpstreamSettings],
        faults: Sequence[FaultSettings],
        *,
        clock: Clock,
        rng: Rng,
    ) -> None:
        """`settings`: what holds for one of its models, or, for None, for the server."""
        self.name = name
        self.counts = UpstreamCounts()
        self.at_work = 0
        self._type = type
        self._settings = settings
        self._of_models: dict[str, UpstreamSettings] = {}
        self._faults = faults
        self._clock = clock
        self._rng = rng
        self.now = clock.now
        self._began = clock.now()
        self._cuts = sorted(self._began + each.at for each in faults if each.fault.cuts)
        server = settings(None)
        self._line = _line(server)
        self._pace: Pace = Alone() if server.full_speed is None else Shared(server.full_speed)
        limits = server.limits
        self._requests = _meter(None if limits is None else limits.requests)
        self._tokens = _meter(None if limits is None else limits.tokens)

    @property
    def cold_loads(self) -> int:
        """How often a model came into memory."""
        return 0 if self._line is None else self._line.cold_loads

    def loaded(self) -> list[str] | None:
        """The models in memory; None where all of them are, or nobody knows."""
        return None if self._line is None else self._line.loaded()

    def begin(self, model: str, size: Size) -> Answer:
        """The answer to a call that has come just now, which nobody works at yet."""
        self.counts.calls += 1
        settings = self._of_models.get(model)
        if settings is None:
            settings = self._of_models[model] = self._settings(model)
        return Answer(self, model, size, settings, self._trouble(model) if self._faults else None)

    def trouble(self) -> Trouble | None:
        """What goes wrong with all of its calls now; None when some may be answered."""
        now = self._clock.now() - self._began
        for each in self._faults:
            if each.upstream == self.name and each.fault.share >= 1 and each.holds(now):
                return each.fault
        return None

    def _trouble(self, model: str) -> Trouble | None:
        now, rng = self._clock.now() - self._began, self._rng
        for each in self._faults:
            if each.upstream in (self.name, f"{self.name}/{model}") and each.holds(now):
                share = each.fault.share
                if share >= 1 or rng.random() < share:
                    return each.fault
        return None

    # ── for its answers ──────────────────────────────────────────────────────────────────────────────

    def admit(self, size: Size) -> None:
        """Count a call against the limits. Raises RateLimited with the time to wait."""
        now, tokens = self._clock.now(), size.prompt + size.answer
        pairs = [(self._requests, 1), (self._tokens, tokens)]
        wait = max((meter.wait(much, now) for meter, much in pairs if meter is not None), default=0.0)
        if wait:
            self.counts.limited += 1
            raise RateLimited("as modelled", status=429, retry_after=wait)
        for meter, much in pairs:
            if meter is not None:
                meter.take(much, now)

    async def enter(self, model: str) -> int:
        """Wait for a turn. Raises what a call comes to that is one too many."""
        began = self._clock.now()
        if self._line is None:
            ticket = 0
        else:
            try:
                if self._cuts:
                    async with self._while_up():
                        ticket = await self._line.enter(model)
                else:
                    ticket = await self._line.enter(model)
            except LineFull:
                self.counts.refused += 1
                raise BUSY.error(self.name, self._type, wall=self._clock.wall()) from None
            waited = self._clock.now() - began
            if waited > 0:
                self.counts.waits.append(waited)
        self.at_work += 1
        self.counts.most = max(self.counts.most, self.at_work)
        return ticket

    def leave(self, ticket: int) -> None:
        """A turn is over."""
        self.at_work -= 1
        if self._line is not None:
            self._line.leave(ticket)

    async def wait(self, seconds: float) -> None:
        """Work for so long. Raises ConnectionFailed when it goes down meanwhile."""
        if not self._cuts:
            await self._pace.work(seconds)
            return
        async with self._while_up():
            await self._pace.work(seconds)

    @asynccontextmanager
    async def _while_up(self) -> AsyncIterator[None]:
        now = self._clock.now()
        cut = next((each for each in self._cuts if each > now), None)
        try:
            async with asyncio.timeout_at(cut):
                yield
        except TimeoutError:
            self.counts.troubled += 1
            raise ConnectionFailed(f"{self.name} goes down") from None

    def draw(self, settings: UpstreamSettings, size: Size) -> tuple[float, float]:
        """Seconds until the first token, and seconds for each token after it."""
        first = settings.first_token.draw(self._rng)
        if settings.prompt_tokens_per_second:
            first += size.prompt / settings.prompt_tokens_per_second
        speed = settings.tokens_per_second.draw(self._rng)
        return first, 1 / speed if speed else 0.0

    def failed(self, trouble: Trouble, model: str) -> Exception:
        """The error that `trouble` makes of a call, counted."""
        self.counts.troubled += 1
        return trouble.error(f"{self.name}/{model}", self._type, wall=self._clock.wall())

    def waits_for_loading(self, trouble: Trouble) -> bool:
        """Whether a call waits while the model is loaded, in place of being refused."""
        return trouble.loading > 0 and self._type == "ollama"


class Answer:
    """One answer, from the question on; it holds its turn until `close`."""

    __slots__ = ("_each", "_model", "_settings", "_ticket", "_trouble", "_upstream", "size")

    def __init__(
        self,
        upstream: Upstream,
        model: str,
        size: Size,
        settings: UpstreamSettings,
        trouble: Trouble | None,
    ) -> None:
        self.size = size
        self._upstream = upstream
        self._model = model
        self._settings = settings
        self._trouble = trouble
        self._ticket: int | None = None
        self._each = 0.0

    async def first(self) -> None:
        """Return with the first token. Raises what goes wrong before it; then the turn is over."""
        upstream, trouble, size = self._upstream, self._trouble, self.size
        if trouble is not None and trouble.fault is None:
            raise upstream.failed(trouble, self._model)
        upstream.admit(size)
        first, self._each = upstream.draw(self._settings, size)
        if trouble is not None and trouble.after is None:
            await self._go_wrong(trouble, first)
        self._ticket = await upstream.enter(self._model)
        try:
            await upstream.wait(first)
            if trouble is not None and trouble.after == 0:
                raise upstream.failed(trouble, self._model)
        except BaseException:
            self.close()
            raise

    async def _go_wrong(self, trouble: Trouble, first: float) -> None:
        """What comes in place of an answer: it takes as long as a first token, and no turn."""
        upstream = self._upstream
        if upstream.waits_for_loading(trouble):
            await asyncio.sleep(trouble.loading)
            return
        if trouble.silent:
            upstream.counts.troubled += 1
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(first)
        raise upstream.failed(trouble, self._model)

    @property
    def left(self) -> float:
        """Seconds of work after the first token: to the end, or to where it goes wrong."""
        after = None if self._trouble is None else self._trouble.after
        tokens = self.size.answer if after is None else min(after, self.size.answer)
        return max(0, tokens - 1) * self._each

    async def work(self, seconds: float) -> None:
        """Go on for so much of what is `left`. Whoever is cancelled in it closes."""
        await self._upstream.wait(seconds)

    async def end(self) -> None:
        """All is said. Raises what goes wrong instead."""
        trouble = self._trouble
        if trouble is not None and trouble.after is not None:
            if trouble.fault is not None and trouble.fault.name == "stall":
                self._upstream.counts.troubled += 1
                await asyncio.get_running_loop().create_future()
            raise self._upstream.failed(trouble, self._model)
        self._upstream.counts.tokens += self.size.answer
        self.close()

    def close(self) -> None:
        """Give the turn back; safe to repeat."""
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            self._upstream.leave(ticket)


def _line(server: UpstreamSettings) -> Line | None:
    memory, parallel = server.memory, server.parallel
    if memory is not None:
        return LoadedModels(
            Vram(
                max_loaded=memory.max_loaded,
                load_time=memory.load_time,
                unload_after=memory.unload_after,
                parallel=_UNBOUNDED if parallel is None else parallel,
                max_queue=server.max_queue,
            )
        )
    return None if parallel is None else Places(parallel, server.max_queue)


def _meter(rate: Any) -> Gcra | None:
    return None if rate is None else Gcra(rate.count, rate.period, oversize="full")
