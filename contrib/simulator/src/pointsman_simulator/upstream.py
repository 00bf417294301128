"""One simulated server: listens, keeps account, asks the wire what to say."""

import asyncio
import json
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

from aiohttp import web

from pointsman_simulator.compose import compose, latency
from pointsman_simulator.delivery import deliver, never, reset
from pointsman_simulator.exchange import Answer, Ask, Call, Ids, Stream
from pointsman_simulator.plan import Plan, plan_answer, plan_stream
from pointsman_simulator.records import Outcome, RequestRecord
from pointsman_simulator.script import Fault, Reply
from pointsman_simulator.site import Site
from pointsman_simulator.vram import Busy, Loaded, Vram
from pointsman_simulator.vram_gate import VramGate
from pointsman_simulator.wires.base import Wire, kind_of

_HOST = "127.0.0.1"
_TURNS_TO_ACCEPT = 3
"""Turns of the loop from a connection that is taken to one that the server knows of."""
_EPOCH = 1_786_356_000  # simulated clocks start here, so that bodies can be repeated
_BODY_LIMIT = 256 * 1024 * 1024
_PLAIN = Reply()

Chooser = Callable[[RequestRecord, Random], Reply | None]


class Upstream:
    """A server on loopback; made and started by `Simulator.add`.

    Attributes:
        name, wire: as given.
        default: what an inference request gets when nothing is scripted.
        respond: asked after the script and before the default; None means the default.
        latency, tokens_per_second: for replies that do not say their own.
        site: models, readiness and other state of the server; may be changed at any time.
        requests: all that came, in order of arrival.
        in_flight, max_in_flight_seen: inference requests being answered, now and at most.
        counts: how many requests ended, by (path, outcome).
    """

    def __init__(
        self,
        wire: Wire,
        site: Site,
        *,
        seed: int,
        host: str = _HOST,
        port: int = 0,
        default: Reply = _PLAIN,
        latency: float | tuple[float, float] | None = None,
        tokens_per_second: float | None = None,
        vram: Vram | None = None,
    ) -> None:
        self.name = site.name
        self.wire = wire.name
        self.default = default
        self.respond: Chooser | None = None
        self.latency = latency
        self.tokens_per_second = tokens_per_second
        self.site = site
        self.requests: list[RequestRecord] = []
        self.in_flight = 0
        self.max_in_flight_seen = 0
        self.counts: Counter[tuple[str, Outcome]] = Counter()
        self._api = wire
        self._seed = seed
        self._host = host
        self._port = port
        self._vram = vram
        self._gate: VramGate | None = None
        self._script: deque[Reply] = deque()
        self._arrivals = 0
        self._expected: list[tuple[int, asyncio.Future[None]]] = []
        self._running: set[RequestRecord] = set()
        self._listener: asyncio.Server | None = None
        self._server: web.Server | None = None
        self._dying = False
        self._cold_loads_before = 0
        site.loaded = self._loaded
        site.unload = self._unload

    @property
    def port(self) -> int:
        """The TCP port, kept over `stop` and `restart`."""
        return self._port

    @property
    def base_url(self) -> str:
        """What a client of this API is configured with."""
        return f"{self.site.origin}{self._api.suffix}"

    @property
    def cold_loads(self) -> int:
        """How often a model had to be loaded into memory."""
        return self._cold_loads_before + (self._gate.cold_loads if self._gate else 0)

    @property
    def running(self) -> bool:
        return self._listener is not None

    def script(self, *replies: Reply) -> None:
        """Adds replies: the next inference requests get one each, in order."""
        self._script.extend(replies)

    def clear_script(self) -> None:
        """Forgets the scripted replies that nobody asked for."""
        self._script.clear()

    async def arrived(self, n: int = 1, *, timeout: float = 5.0) -> RequestRecord:
        """The `n`-th request (1 is the first), as soon as it has come.

        Raises: TimeoutError after `timeout` seconds.
        """
        if len(self.requests) < n:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._expected.append((n, future))
            async with asyncio.timeout(timeout):
                await future
        return self.requests[n - 1]

    async def idle(self, *, timeout: float = 5.0) -> None:
        """Returns when no request is being answered; raises TimeoutError after `timeout` seconds."""
        async with asyncio.timeout(timeout):
            while self._running:
                await next(iter(self._running)).ended.wait()

    async def start(self) -> None:
        """Listens; with port 0 on a free port, which stays the same from then on."""
        if self._listener is not None:
            return
        self._dying = False
        self._gate = VramGate(self._vram) if self._vram is not None else None
        self._server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            lingering_time=0,
        )
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._server, self._host, self._port, backlog=4096)
        self._port = self._listener.sockets[0].getsockname()[1]
        self.site.origin = f"http://{self._host}:{self._port}"

    async def finish(self, *, timeout: float) -> bool:
        """Takes no further connections and lets running requests finish; false when some still run then."""
        if self._listener is not None:
            self._listener.close()
        try:
            await self.idle(timeout=timeout)
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Stops listening and resets all connections, as a killed process would. Loaded models are lost."""
        if self._listener is None or self._server is None:
            return
        self._dying = True
        # A connection that is being taken while the listener closes would never be closed: asyncio fails in
        # the middle of making its transport. So first nothing is taken any more, then those come through.
        loop = asyncio.get_running_loop()
        for listening in self._listener.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_ACCEPT):
            await asyncio.sleep(0)
        self._listener.close()
        self._listener = None
        for connection in self._server.connections:
            reset(connection.transport)
        await self.idle()
        await self._server.shutdown(timeout=1.0)
        if self._gate is not None:
            self._gate.close()
            self._cold_loads_before += self._gate.cold_loads
            self._gate = None

    async def restart(self) -> None:
        """Stops if need be and listens again on the same port."""
        await self.stop()
        await self.start()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        record = await self._note(request)
        try:
            response = await self._answer(request, record)
        except (asyncio.CancelledError, ConnectionError):
            if self._dying:
                record.outcome = "killed"
            elif record.outcome is None:
                record.outcome = "aborted by client"
                record.aborted_at = asyncio.get_running_loop().time()
            raise
        finally:
            self._running.discard(record)
            record.outcome = record.outcome or "completed"
            self.counts[record.path, record.outcome] += 1
            record.ended.set()
        return response

    async def _note(self, request: web.BaseRequest) -> RequestRecord:
        raw = await request.read() if request.body_exists else b""
        try:
            body = json.loads(raw) if raw else None
        except (ValueError, RecursionError):  # the real ones, too, call what is nested too deep no JSON
            body = None
        self._arrivals += 1
        record = RequestRecord(
            request.method,
            request.path,
            {name.lower(): value for name, value in request.headers.items()},
            body,
            asyncio.get_running_loop().time(),
            self._arrivals,
        )
        self.requests.append(record)
        self._running.add(record)
        if self._expected:
            self._announce()
        return record

    def _announce(self) -> None:
        for n, future in self._expected:
            if n <= len(self.requests) and not future.done():
                future.set_result(None)
        self._expected = [(n, future) for n, future in self._expected if not future.done()]

    async def _answer(self, request: web.BaseRequest, record: RequestRecord) -> web.StreamResponse:
        rng = Random(f"{self._seed}/{self.name}/{record.number}")  # noqa: S311 - a simulation, not a secret
        ids = Ids(f"{rng.getrandbits(128):032x}", _EPOCH + record.number)
        query = request.query if request.query_string else {}
        body = record.body if isinstance(record.body, dict) else None
        call = Call(record.method, record.path, query, record.headers, body, body is None, record.number, ids)
        reply = self._api.refuse(call, self.site) or self._api.manage(call, self.site)
        if reply is None:
            asked = self._understood(call)
            if isinstance(asked, Ask):
                return await self._infer(request, record, call, asked, rng)
            reply = asked
        if isinstance(reply, Answer):
            return await deliver(request, plan_answer(reply, _PLAIN), record)
        response = await deliver(request, plan_stream(reply, _PLAIN, junk=b"", ping=b"", error=b""), record)
        if reply.installs is not None:
            self.site.models.setdefault(reply.installs)
        return response

    def _understood(self, call: Call) -> Ask | Answer:
        try:
            return self._api.understand(call, self.site)
        except (TypeError, AttributeError, KeyError, ValueError):
            # The wires check what people get wrong; anything else in a body is simply a bad request.
            return self._api.error(call, 400, "bad_request", "")

    async def _infer(
        self, request: web.BaseRequest, record: RequestRecord, call: Call, ask: Ask, rng: Random
    ) -> web.StreamResponse:
        if ask.kind == "load":
            return await self._load(request, record, call, ask)
        self.in_flight += 1
        self.max_in_flight_seen = max(self.max_in_flight_seen, self.in_flight)
        try:
            reply = self._next_reply(record, rng)
            response = await self._early(request, record, call, ask, reply, rng)
            if response is None:
                response = await self._late(request, record, call, ask, reply, rng)
            if reply.fault is not None:
                record.outcome = "faulted"
            return response
        finally:
            self.in_flight -= 1

    def _next_reply(self, record: RequestRecord, rng: Random) -> Reply:
        reply = self._script.popleft() if self._script else None
        if reply is None and self.respond is not None:
            reply = self.respond(record, rng)
        reply = reply or self.default
        if reply.latency is None and self.latency is not None:
            reply = replace(reply, latency=self.latency)
        if reply.tokens_per_second is None and self.tokens_per_second is not None:
            reply = replace(reply, tokens_per_second=self.tokens_per_second)
        return reply

    async def _early(
        self, request: web.BaseRequest, record: RequestRecord, call: Call, ask: Ask, reply: Reply, rng: Random
    ) -> web.StreamResponse | None:
        """The response of a fault that never reaches the model; None when the model has to speak."""
        fault = reply.fault
        if fault is None:
            return None
        answer = self._refusal(call, ask, fault)
        silent = fault.name in ("reset", "stall") and fault.n_events is None
        if answer is None and not silent:
            return None
        await asyncio.sleep(latency(reply, rng))
        if fault.name == "reset" and silent:
            record.outcome = "faulted"
            reset(request.transport)
        if answer is None:
            await never()
        assert answer is not None
        return await deliver(request, plan_answer(answer, Reply(headers=reply.headers)), record)

    def _refusal(self, call: Call, ask: Ask, fault: Fault) -> Answer | None:
        api = self._api
        match fault.name:
            case "redirect":
                return Answer(fault.code, headers={"location": fault.target})
            case "loading":
                answer = api.loading(call, ask.model, fault.seconds)
                return answer and _with(answer, api.retry_headers(math.ceil(fault.seconds)))
            case "error" if not ask.stream and fault.kind is not None:
                return api.error(call, api.status_of(fault.kind), fault.kind, ask.model)
            case "status":
                answer = api.error(call, fault.code, kind_of(fault), ask.model)
                if fault.body is not None:
                    answer = replace(answer, body=fault.body)
                later = {} if fault.retry_after is None else api.retry_headers(fault.retry_after)
                return _with(answer, later)
        return None

    async def _late(
        self, request: web.BaseRequest, record: RequestRecord, call: Call, ask: Ask, reply: Reply, rng: Random
    ) -> web.StreamResponse:
        try:
            async with self._turn(ask) as load_s:
                if reply.fault is not None and reply.fault.name == "loading":
                    load_s += reply.fault.seconds
                    await asyncio.sleep(reply.fault.seconds)
                completion = replace(compose(ask, reply, seed=self._seed, rng=rng), load_s=load_s)
                if completion.wait_s:
                    await asyncio.sleep(completion.wait_s)
                if ask.stream:
                    plan = self._streamed(call, ask, reply, self._api.stream(call, ask, completion))
                else:
                    plan = plan_answer(self._api.answer(call, ask, completion), reply)
                    if completion.eval_s:
                        await asyncio.sleep(completion.eval_s)
                return await deliver(request, plan, record)
        except Busy:
            busy = self._api.error(call, 503, "overloaded", ask.model)
            return await deliver(request, plan_answer(busy, _PLAIN), record)

    def _streamed(self, call: Call, ask: Ask, reply: Reply, stream: Stream) -> Plan:
        fault, api = reply.fault, self._api
        wanted = fault.kind if fault is not None and fault.name == "error" else None
        return plan_stream(
            stream,
            reply,
            junk=api.junk(call, ask) if fault is not None else b"",
            ping=api.ping(call, ask) if reply.pings else b"",
            error=api.error_frames(call, ask, wanted) if wanted else b"",
        )

    async def _load(
        self, request: web.BaseRequest, record: RequestRecord, call: Call, ask: Ask
    ) -> web.StreamResponse:
        try:
            if ask.keep_alive == 0:
                self._unload(ask.model)
            else:
                async with self._turn(ask):
                    pass
            answer = self._api.answer(call, ask, compose(ask, _PLAIN, seed=self._seed, rng=Random(0)))  # noqa: S311
        except Busy:
            answer = self._api.error(call, 503, "overloaded", ask.model)
        return await deliver(request, plan_answer(answer, _PLAIN), record)

    @asynccontextmanager
    async def _turn(self, ask: Ask) -> AsyncIterator[float]:
        """A place on the model; gives the seconds of loading that this request caused."""
        if self._gate is None:
            yield 0.0
            return
        async with self._gate.turn(ask.model, ask.keep_alive) as grant:
            yield grant.load_time

    def _loaded(self) -> list[Loaded]:
        """The models in memory with the seconds that they stay; without `Vram` all of them."""
        if self._gate is None:
            return [Loaded(name, 300.0) for name in self.site.models]
        now = asyncio.get_running_loop().time()
        return [Loaded(entry.model, entry.expires_at - now) for entry in self._gate.loaded()]

    def _unload(self, model: str) -> None:
        if self._gate is not None:
            self._gate.unload(model)


def _with(answer: Answer, headers: dict[str, str]) -> Answer:
    return replace(answer, headers={**answer.headers, **headers}) if headers else answer


def _request(*parts: Any) -> web.BaseRequest:
    message, payload, protocol, writer, task = parts
    return web.BaseRequest(
        message, payload, protocol, writer, task, task.get_loop(), client_max_size=_BODY_LIMIT
    )
