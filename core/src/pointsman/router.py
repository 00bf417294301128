"""The router: an application asks for a model by its public name, and gets the answer back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import TTLCache

from pointsman._internal.plugin_errors import fault, is_own
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import TimeLimit
from pointsman.build.builder import build, check, wrong_for_plugins
from pointsman.clock import Clock, LoopClock, Rng, new_id, system_rng
from pointsman.config import Config
from pointsman.config.findings import Finding
from pointsman.config.problems import config_error
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConfigError,
    InvalidRequest,
    NoDeploymentAvailable,
    PluginError,
    UnknownModel,
    writable,
)
from pointsman.event_log import Journal, refused
from pointsman.events import Events, Listener, Reloaded, RequestEnded
from pointsman.execution.execution import Execution
from pointsman.execution.stream import ChatStream
from pointsman.execution.whole_answer import CHAT, EMBED, GENERATE
from pointsman.plugins.registry import Plugins
from pointsman.provider import Provider
from pointsman.requests.call_options import DEFAULT, CallOptions, split_options
from pointsman.requests.parsing import Messages, chat_request, checked, embed_request, generate_request
from pointsman.resilience.health_check import answered
from pointsman.routing.deployment_state import Admin
from pointsman.routing.introspection import explain, status
from pointsman.routing.pool import when_all_idle
from pointsman.routing.runtime import Running
from pointsman.routing.snapshot import Snapshot
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedResponse,
    ModelInfo,
    Request,
)

if TYPE_CHECKING:
    from pointsman.control.socket import Control
    from pointsman.execution.batch import Batch

R = TypeVar("R", ChatResponse, EmbedResponse)
E = TypeVar("E", bound=CallError)

_LAST_WORDS = 1.0
_NAME_CUT = 200
"""Characters of what was asked for in place of the name of a model, that its event shows."""
LOOK_WITHIN = 10.0
"""Seconds for which a provider is waited for that is only looked at."""
MODELS_CACHED = 30.0
"""Seconds for which a provider's list of models is believed."""


class Router:
    """Routes calls to the deployments of a configuration. Bound to one event loop; close it after use.

    async with Router.from_config("pointsman.yaml") as router:
        reply = await router.chat("assistant", "Why is the sky blue?")
    """

    def __init__(
        self,
        config: Config,
        *,
        plugins: Iterable[object] = (),
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> None:
        """Build everything that `config` names; nothing is connected yet.

        Args:
            plugins: plugin objects that need not be installed; they win over installed ones.
            clock, rng: time and chance, for tests.

        Raises: ConfigError with all problems at once.
        """
        self._clock = clock or LoopClock()
        self._given_rng = rng
        self._rng = rng or system_rng()
        self._pid = os.getpid()
        self._scrubber = Scrubber()
        self._events = Events(scrub=self._scrubber.text)
        self._journal = Journal(self._events)
        self._extra_plugins = tuple(plugins)
        self._control: Control | None = None
        self._silence: list[Callable[[], None]] = []
        self._use(self._build(config, None))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: set[asyncio.Future[None]] = set()
        self._retired: set[Callable[[], Awaitable[None]]] = set()
        self._end: asyncio.Future[None] | None = None
        self._former: list[Running] = []
        self._stopping = False
        self._shutdown: asyncio.Future[bool] | None = None
        self._listed: TTLCache[str, Sequence[ModelInfo]] = TTLCache(
            maxsize=256, ttl=MODELS_CACHED, timer=self._clock.now
        )

    @classmethod
    def from_config(
        cls,
        source: str | Path | Mapping[str, Any] | Config,
        *,
        plugins: Iterable[object] = (),
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> Router:
        """A router for a file (`.yaml`, `.toml`, `.json`), a mapping, or a `Config`.

        Raises: ConfigError with all problems at once, each with file, line and column where there is a file.
        """
        given = tuple(plugins)
        return cls(as_config(source, given), plugins=given, clock=clock, rng=rng)

    @staticmethod
    def check(source: str | Path | Mapping[str, Any] | Config, *, plugins: Iterable[object] = ()) -> Config:
        """The configuration in `source`, built as far as can be without starting anything or opening a file.

        Its `warnings` are what is allowed and probably not meant.

        Raises: ConfigError with all problems at once, as `from_config` would.
        """
        plugins = tuple(plugins)
        config = as_config(source, plugins)
        found = check(config, Plugins(plugins, choose=config.plugins), clock=LoopClock(), rng=system_rng())
        config.warn(found)
        return config

    async def __aenter__(self) -> Router:
        self._bind()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections and write what the audit still holds. Calls that still run will fail.

        Safe to repeat. It goes on when its caller is cancelled.
        """
        if self._end is None:
            self._end = asyncio.ensure_future(self._close())
        await asyncio.shield(self._end)

    async def _close(self) -> None:
        if self._control is not None:
            await self._control.aclose()
        retired, self._retired = self._retired, set()
        for close in retired:  # of earlier configurations, for calls that still run
            self._close_later(close)
        for task in tuple(self._closing):
            with suppress(Exception):
                await task
        running = self._running()
        for each in running:
            each.closed = True
        for pool in self._snapshot.alive:
            if pool.queue is not None:
                pool.queue.refuse_all(_shutting_down)
        await self._snapshot.aclose()
        # What still ran has just lost its connection; its records belong into the audit, too.
        if not await self._idle(running, within=_LAST_WORDS):
            for each in running:
                each.give_up()
        await self._snapshot.close_sinks()

    async def shutdown(self, *, grace: float | None = None) -> bool:
        """Take no further requests, let the running ones finish, then close.

        Args:
            grace: seconds after which those that still run are ended: with a typed error, in the audit;
                `timeouts.drain` of the configuration when None.

        Returns: whether none had to be ended.
        """
        self._stopping = True
        within = self.config.timeouts.drain if grace is None else grace
        finished = await self._idle(self._running(), within=within)
        await self.aclose()
        return finished

    def shutdown_on(self, *signals: int, grace: float | None = None) -> None:
        """Have the process's `signals`, SIGTERM for one, begin a `shutdown`. Not on Windows."""

        def begin() -> None:
            if self._shutdown is None:
                self._shutdown = asyncio.ensure_future(self.shutdown(grace=grace))

        loop = asyncio.get_running_loop()
        for each in signals:
            loop.add_signal_handler(each, begin)

    def _running(self) -> list[Running]:
        """The requests that run, by snapshot; those of idle ones are forgotten."""
        self._former = [each for each in self._former if each.requests]
        return [*self._former, self._snapshot.setting.running]

    async def _idle(self, running: Sequence[Running], *, within: float) -> bool:
        idle = asyncio.Event()
        when_all_idle(running, idle.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await idle.wait()
        return idle.is_set()

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────

    async def chat(self, model: str | ChatRequest, messages: Messages = (), **options: Any) -> ChatResponse:
        """The whole answer of `model` to `messages`.

        Args:
            model: a public name, `provider/upstream-model`, or a complete ChatRequest and nothing else.
            messages: a string, Message objects, or OpenAI-style mappings.
            options: the fields of `ChatRequest` and of `CallOptions` (`timeout=30`,
                `require={"local": True}`);
                what a provider alone knows goes into `extra={...}`.

        Raises: a RequestError, a ProviderError, NoDeploymentAvailable or DeadlineExceeded; see `errors`.
        """
        try:
            request, terms = _asked(model, messages, options)
        except InvalidRequest as error:
            raise self._refused("chat", model, error) from error.__cause__
        return await self._begin("chat", request, terms).run(CHAT)

    def stream(self, model: str | ChatRequest, messages: Messages = (), **options: Any) -> ChatStream:
        """The answer as a stream of events; takes what `chat` takes. Use it with `async with`."""
        try:
            request, terms = _asked(model, messages, options)
        except InvalidRequest as error:
            raise self._refused("stream", model, error) from error.__cause__
        return ChatStream(lambda: self._begin("stream", request, terms))

    async def generate(self, model: str, prompt: str, **options: Any) -> ChatResponse:
        """A plain completion of `prompt`, where the upstream has one; options as in GenerateRequest."""
        try:
            terms, rest = split_options(options)
            request = generate_request(model, prompt, rest)
        except InvalidRequest as error:
            raise self._refused("generate", model, error) from error.__cause__
        return await self._begin("generate", request, terms).run(GENERATE)

    async def embed(self, model: str, texts: str | Sequence[str], **options: Any) -> EmbedResponse:
        """One vector for each text: `vectors` is n lists of dim floats, in the order of `texts`."""
        try:
            terms, rest = split_options(options)
            request = embed_request(model, texts, rest)
        except InvalidRequest as error:
            raise self._refused("embed", model, error) from error.__cause__
        return await self._begin("embed", request, terms).run(EMBED)

    def batch(
        self,
        requests: Iterable[ChatRequest],
        *,
        concurrency: int = 8,
        ordered: bool = False,
        per_minute: float | None = None,
    ) -> Batch:
        """The results of many chats, as they finish or `ordered`; a failed one holds its `error`."""
        from pointsman.execution.batch import Batch

        return Batch(self.chat, requests, concurrency=concurrency, ordered=ordered, per_minute=per_minute)

    def _begin(self, operation: str, request: Request, terms: CallOptions) -> Execution:
        """A request on the present configuration; it counts as running until it has ended."""
        self._bind()
        snapshot = self._snapshot
        if self._stopping:
            raise self._refused(operation, request.model, _shutting_down(), terms)
        try:
            chain = snapshot.chain(request.model)
        except UnknownModel as error:
            raise self._refused(operation, request.model, error, terms) from None
        execution = Execution(snapshot.setting, chain, request, operation, terms)
        snapshot.setting.running.requests.add(execution)
        return execution

    def _refused(self, operation: str, model: object, error: E, terms: CallOptions = DEFAULT) -> E:
        """`error`, of a request that never came to an attempt: it is still one request, with one event."""
        if isinstance(model, ChatRequest):
            model = model.model
        error.request_id = terms.request_id or new_id("req_", self._rng)
        self._events.report(
            RequestEnded(
                request_id=error.request_id,
                operation=operation,
                model=writable(model[:_NAME_CUT]) if isinstance(model, str) else "",
                pool="",
                deployment="",
                result="error",
                error=error.code,
                detail=error.message,
                attempts=0,
                wall=self._clock.wall(),
                seconds=0.0,
                usage=None,
                caller=terms.caller,
                tags=terms.tags,
            )
        )
        return error

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def config(self) -> Config:
        """What the router runs on."""
        return self._snapshot.config

    def status(self) -> dict[str, Any]:
        """Plain data: for each model its strategy, fallbacks and deployments, each with its live state."""
        return status(self._snapshot, self._now())

    def explain(self, model: str, messages: Messages = "") -> dict[str, Any]:
        """A dry run that calls nobody: candidates, why each other one is out, the pick, the fallbacks."""
        request = chat_request(model, messages or "…", {})
        return explain(self._snapshot, request, self._now())

    async def models(self) -> list[ModelInfo]:
        """The public names, and `provider/upstream-model` for what each provider lists.

        A provider that does not answer is left out here; `health` says why.
        """
        self._bind()
        public = [
            ModelInfo(name, capabilities=(), raw={"deployments": [each.id for each in pool.deployments]})
            for name, pool in self._snapshot.pools.items()
        ]
        listed = await asyncio.gather(
            *(self._list(name, each) for name, each in self._snapshot.providers.items())
        )
        known = {each.id for each in public}
        return public + [each for some in listed for each in some if each.id not in known]

    async def _list(self, name: str, provider: Provider) -> Sequence[ModelInfo]:
        with suppress(KeyError):
            return self._listed[name]
        try:
            with self._looking():
                found = await provider.models()
            listed = [_full_name(each, name) for each in found]
        except (
            BaseException
        ) as error:  # also a plugin's own mistake: it must not take the others' models away
            if self._fault(name, "models", error) is None and not isinstance(error, Exception):
                raise
            return ()
        self._listed[name] = listed
        return listed

    def _looking(self) -> TimeLimit:
        """The limit of a look at a provider, outside of any request."""
        late = partial(AttemptTimeout, f"no answer within {LOOK_WITHIN:g} s")
        return TimeLimit(self._clock.now() + LOOK_WITHIN, late, self._snapshot.setting.alarms)

    def _fault(self, provider: str, method: str, error: BaseException) -> PluginError | None:
        """What `error`, which came out of the provider of that name, is when it is the plugin's mistake."""
        if isinstance(error, CallError) or not is_own(error):
            return None
        plugin = self._snapshot.upstreams[provider].factory.name
        return fault("provider", plugin, method, error, scrub=self._snapshot.setting.scrubber.text)

    async def health(self) -> dict[str, dict[str, Any]]:
        """Asks every provider now whether it is well, free of charge.

        Returns: provider name → `ok`, `ms` and, when it is not well, `error`.
        """
        self._bind()
        scrubber = self._snapshot.setting.scrubber

        async def probe(name: str, provider: Provider) -> dict[str, Any]:
            began = self._clock.now()
            try:
                with self._looking():
                    await answered(provider.probe())
            except CallError as error:
                return {"ok": False, "ms": self._ms(began), "error": scrubber.shown(error)}
            except BaseException as error:  # a plugin's own mistake is said here, and hides no others
                if (wrong := self._fault(name, "probe", error)) is None:
                    raise
                return {"ok": False, "ms": self._ms(began), "error": wrong.message}
            return {"ok": True, "ms": self._ms(began)}

        providers = self._snapshot.providers
        answers = await asyncio.gather(*(probe(name, each) for name, each in providers.items()))
        return dict(zip(providers, answers, strict=True))

    def provider(self, name: str) -> Any:
        """The provider object itself, for what only its type can do. Raises KeyError that lists the names."""
        try:
            return self._snapshot.providers[name]
        except KeyError:
            names = ", ".join(self._snapshot.providers)
            raise KeyError(f"no provider is called {name!r}; there are {names}") from None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener` of every event from now on; returns what ends it. It must not block."""
        return self._events.add(listener)

    # ── operating ────────────────────────────────────────────────────────────────────────────────────

    def disable(self, deployment: str) -> None:
        """Send no further calls there until `enable`; running ones go on."""
        self._snapshot.live(deployment).admit(Admin.DOWN)

    def enable(self, deployment: str) -> None:
        """Send calls there again, also after `drain`."""
        self._snapshot.live(deployment).admit(Admin.UP)

    def reset(self, deployment: str) -> None:
        """Forget what went wrong there: its breaker closes, cool-down and ejection end, and its rate limits,
        also those that it shares with others, count from nothing.
        """
        now, live = self._now(), self._snapshot.live(deployment)
        live.forget()
        if live.limits is not None:
            live.limits.reset()
        if live.breaker is not None:
            live.breaker.reset(now)
        for pool in self._snapshot.pools.values():
            for each in pool.deployments:
                if each.live is live and each.outlier is not None:
                    each.outlier.reset(now)
        live.wake()

    def force_open(self, deployment: str) -> None:
        """Have its breaker refuse every call until `reset`. Raises ValueError when it has none."""
        live = self._snapshot.live(deployment)
        if live.breaker is None:
            raise ValueError(f"deployment {deployment!r} has no breaker; use disable()")
        live.breaker.force_open(self._now())

    async def drain(self, deployment: str, *, timeout: float | None = None) -> bool:
        """Send no further calls there and wait for the running ones; false when some still ran at the end.

        Args:
            timeout: seconds; `timeouts.drain` of the configuration when None.
        """
        live = self._snapshot.live(deployment)
        live.admit(Admin.DRAINING)
        idle = asyncio.Event()
        live.when_idle(idle.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(self.config.timeouts.drain if timeout is None else timeout):
                await idle.wait()
        return live.in_flight == 0

    async def reload(self, source: str | Path | Mapping[str, Any] | Config | None = None) -> None:
        """Run on a new configuration: the same file read again, or `source`.

        It is built aside first, so a configuration with problems changes nothing. Deployments that stay what
        they are keep their state and connections; running calls keep what they started with, and the
        connections of a removed deployment are closed after its last call.

        Raises: ConfigError with all problems at once.
        """
        try:
            await self._reload(source)
        except ConfigError as error:
            refused(self._snapshot.setting.scrubber.shown(error))
            raise

    async def _reload(self, source: str | Path | Mapping[str, Any] | Config | None) -> None:
        if source is None:
            source = self.config.file
        if source is None:
            raise ConfigError("the router was not made from a file; hand the new configuration to reload()")
        # A thread, because files are read, those that values refer to as well.
        config = (
            source
            if isinstance(source, Config)
            else await asyncio.to_thread(as_config, source, self._extra_plugins)
        )
        self._bind()
        old = self._snapshot
        control = self._control_for(config)
        try:
            new = self._build(config, old)
        except BaseException:
            if control is not None and control is not self._control:
                control.close()
            raise
        self._use(new)
        new.start()
        self._use_control(control)
        self._listed.clear()
        kept = sum(1 for id in new.lives if id in old.lives and new.lives[id] is old.lives[id])
        self._former.append(old.setting.running)
        # A request that waits between attempts holds no lease, yet it will need its connections again.
        former = [each for each in self._running() if each is not new.setting.running]
        for lives, close in old.retired_by(new):
            self._retired.add(close)
            when_all_idle([*lives, *former], partial(self._close_retired, close))
        self._close_later(old.close_sinks)
        self._events.report(Reloaded(kept, len(new.lives) - kept, len(old.lives) - kept))

    # ── the rest ─────────────────────────────────────────────────────────────────────────────────────

    def _build(self, config: Config, previous: Snapshot | None) -> Snapshot:
        return build(
            config,
            Plugins(self._extra_plugins, choose=config.plugins),
            clock=self._clock,
            rng=self._rng,
            events=self._events,
            previous=previous,
            scrubber=self._scrubber,
        )

    def _use(self, snapshot: Snapshot) -> None:
        """Run on `snapshot` from now on; its audit sinks hear of everything that ends from now on."""
        silence = self._silence
        self._silence = [self._events.add(sink) for sink in snapshot.sinks]
        for each in silence:
            each()
        self._snapshot = snapshot

    def prepare(self) -> None:
        """Import and make what the first call would have to; nothing is opened, and no loop needs to run."""
        self._snapshot.prepare()

    def _bind(self) -> None:
        if self._end is not None:
            raise RuntimeError("this router is closed")
        loop = asyncio.get_running_loop()
        if self._loop is None:
            if self._pid != os.getpid():
                self._begin_anew()
            control = self._control_for(self.config)
            self._loop = loop
            self._journal.adjust()
            self._snapshot.start()
            self._use_control(control)
        elif self._loop is not loop:
            raise RuntimeError(
                "this router belongs to another event loop; make one for each, or a SyncRouter"
            )

    def _begin_anew(self) -> None:
        """The process was forked since: audit files and their threads, and chance, must be its own."""
        self._pid = os.getpid()
        self._rng = self._given_rng or system_rng()
        self._use(self._build(self.config, None))

    def _control_for(self, config: Config) -> Control | None:
        """The control socket that `config` wants: the one there is, or a new one. Raises ConfigError."""
        if config.control is None:
            return None
        from pointsman.control.commands import socket_path
        from pointsman.control.socket import Control

        try:
            path = socket_path(config.control, config.file, pid=os.getpid())
            if self._control is not None and self._control.path == path:
                return self._control
            return Control(self, path, scrub=self._scrubber.text)
        except (ConfigError, ValueError) as error:
            raise config_error([config.problem(("control",), str(error))], file=config.file) from error

    def _use_control(self, control: Control | None) -> None:
        old, self._control = self._control, control
        if control is old:
            return
        if control is not None:
            control.start()
        if old is not None:
            # It may be what asked for this reload, and still owes the answer.
            old.close()
            self._retired.add(old.aclose)
            old.when_idle(partial(self._close_retired, old.aclose))

    def _close_retired(self, close: Callable[[], Awaitable[None]]) -> None:
        if close in self._retired:
            self._retired.discard(close)
            self._close_later(close)

    def _close_later(self, close: Callable[[], Awaitable[None]]) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # the loop is gone, and the connections with it
            return
        task = asyncio.ensure_future(close(), loop=loop)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _now(self) -> float:
        try:
            return self._clock.now()
        except RuntimeError:  # no loop runs yet; nothing has happened, so any instant will do
            return 0.0

    def _ms(self, since: float) -> float:
        return round((self._clock.now() - since) * 1e3, 1)


def _full_name(model: ModelInfo, provider: str) -> ModelInfo:
    """`model`, as `provider` lists it, by the name under which it is called here."""
    if not isinstance(model, ModelInfo) or not isinstance(model.id, str):
        raise TypeError(f"a list of models has a {type(model).__name__} in it, or one whose id is no text")
    return replace(model, id=f"{provider}/{model.id}", provider=provider)


def _shutting_down() -> NoDeploymentAvailable:
    return NoDeploymentAvailable("the router is shutting down", reasons={})


def _asked(
    model: str | ChatRequest, messages: Messages, options: Mapping[str, Any]
) -> tuple[ChatRequest, CallOptions]:
    terms, rest = split_options(options)
    if not isinstance(model, ChatRequest):
        return chat_request(model, messages, rest), terms
    if rest or messages != ():
        surplus = ", ".join(rest) or "messages"
        raise InvalidRequest(f"a complete ChatRequest takes no further options: {surplus}")
    return checked(model), terms


def as_config(source: str | Path | Mapping[str, Any] | Config, plugins: Sequence[object] = ()) -> Config:
    """The configuration in a file or a mapping, or `source` itself.

    Raises: ConfigError with all problems at once, those that `plugins` and installed ones find as well.
    """
    if isinstance(source, Config):
        return source

    def further(rest: Config) -> Sequence[Finding]:
        known = Plugins(plugins, choose=rest.plugins)
        return wrong_for_plugins(rest, known, clock=LoopClock(), rng=system_rng())

    if isinstance(source, Mapping):
        return Config.from_mapping(source, further=further)
    return Config.load(source, further=further)
