"""The router: an application asks for a model by its public name, and gets the answer back."""

from __future__ import annotations

import asyncio
from asyncio import get_running_loop
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload
from weakref import ref

from msgspec.structs import replace

from pointsman._internal.idle import all_idle
from pointsman._internal.plugin_errors import fault, is_own
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.suggest import did_you_mean
from pointsman._internal.timeouts import TimeLimit
from pointsman.build.builder import check
from pointsman.build.loading import as_config, expect_config, plugins_for, to_run_on
from pointsman.clock import Clock, LoopClock, Rng, request_id, system_rng
from pointsman.config import Config
from pointsman.config.document import ConfigSource
from pointsman.errors import AttemptTimeout, CallError, InvalidRequest, writable
from pointsman.events import Event, Events, Listener, NamesAttempts, Progress, RequestEnded
from pointsman.execution.execution import Execution, begin_request
from pointsman.execution.stream import ChatStream
from pointsman.execution.whole_answer import CHAT, EMBED, GENERATE
from pointsman.lifecycle import Lifecycle
from pointsman.offered import GatewayOffers
from pointsman.provider import Provider
from pointsman.requests.call_options import DEFAULT, CallOptions, split_options
from pointsman.requests.messages import Messages, as_messages
from pointsman.requests.parsing import chat_request, embed_request, generate_request
from pointsman.resilience.health_check import answered
from pointsman.routing.deployment_state import Admin
from pointsman.routing.pool import Pool
from pointsman.routing.runtime import shutting_down
from pointsman.routing.snapshot import Snapshot, Upstream
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    ModelInfo,
    Request,
)
from pointsman.values.typed_answers import typed

if TYPE_CHECKING:
    from cachetools import TTLCache

    from pointsman.batch import Batch
    from pointsman.budget import Budgets
    from pointsman.execution.relaying import RelayedAnswers
    from pointsman.explanations import Explanation
    from pointsman.reports import Health, ProviderHealth, Status
    from pointsman.requests.option_types import ChatOptions, EmbedOptions, GenerateOptions

T = TypeVar("T")
Q = TypeVar("Q", bound=Request)
E = TypeVar("E", bound=CallError)
K = TypeVar("K", bound=Event | Progress)

_NAME_CUT = 200
"""Characters of what was asked for in place of the name of a model, that its event shows."""
LOOK_WITHIN = 10.0
"""Seconds for which a provider is waited for that is only looked at."""
MODELS_CACHED = 30.0
"""Seconds for which a provider's list of models is believed."""


class Router:
    """Routes calls to the deployments of a configuration.

        async with Router.from_config("pointsman.yaml") as router:
            reply = await router.chat("assistant", "Why is the sky blue?")

    Bound to one event loop; close it after use.

    Attributes:
        offered: what its services offer to a gateway in front of it.
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
        expect_config(config, type(self).__name__)
        self._clock = clock or LoopClock()
        scrubber = Scrubber()
        self._events = Events(scrub=scrubber.text)
        self.offered = GatewayOffers()
        self._lifecycle = Lifecycle(
            config,
            plugins=tuple(plugins),
            clock=self._clock,
            rng=rng,
            events=self._events,
            scrubber=scrubber,
            router=ref(self),  # else one that nobody closes would be freed late: it would hold itself
        )

    @classmethod
    def from_config(
        cls,
        source: ConfigSource | Mapping[str, Any] | Config,
        *,
        plugins: Iterable[object] = (),
        clock: Clock | None = None,
        rng: Rng | None = None,
    ) -> Router:
        """A router for a file (.yaml, .toml, .json), a folder, several of these, a mapping or a `Config`.

        Raises: ConfigError with all problems at once, each with file, line and column where there is a file.
        """
        given = tuple(plugins)
        return cls(to_run_on(source, given), plugins=given, clock=clock, rng=rng)

    @staticmethod
    def check(source: ConfigSource | Mapping[str, Any] | Config, *, plugins: Iterable[object] = ()) -> Config:
        """The configuration in `source`, built as far as can be without starting anything or opening a file.

        Its `warnings` are what is allowed and probably not meant.

        Raises: ConfigError with all problems at once, as `from_config` would.
        """
        plugins = tuple(plugins)
        config = as_config(source, plugins)
        found = check(config, plugins_for(config, plugins), clock=LoopClock(), rng=system_rng())
        config.warn(dict.fromkeys([*config.warnings, *found]))
        return config

    async def __aenter__(self) -> Router:
        await self._lifecycle.begin()
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
        await self._lifecycle.aclose()

    async def shutdown(self, *, grace: float | None = None) -> bool:
        """Take no further requests, let the running ones finish, then close.

        Args:
            grace: seconds after which those that still run are ended: with a typed error, in the audit;
                `timeouts.drain` of the configuration when None.

        Returns: whether none had to be ended.
        """
        return await self._lifecycle.shutdown(grace=grace)

    def shutdown_on(self, *signals: int, grace: float | None = None) -> None:
        """Have the process's `signals`, SIGTERM for one, begin a `shutdown`. Not on Windows."""
        self._lifecycle.shutdown_on(*signals, grace=grace)

    # ── calls ────────────────────────────────────────────────────────────────────────────────────────

    async def chat(
        self, model: str | ChatRequest, messages: Messages = (), **options: Unpack[ChatOptions]
    ) -> ChatResponse:
        """The whole answer of `model` to `messages`.

        Args:
            model: a public name, `provider/upstream-model`, or a complete ChatRequest and nothing else.
            messages: a string, Message objects, or OpenAI-style mappings.
            options: the fields of `ChatRequest` and of `CallOptions` (`timeout=30`,
                `require={"local": True}`);
                what a provider alone knows goes into `extra={...}`. Programs that check what they are given
                themselves may hand over a CallOptions as `call_options`, which is taken as it is.

        Raises: a RequestError, a ProviderError, NoDeploymentAvailable or DeadlineExceeded; see `errors`.
        """
        if options or not isinstance(model, str):
            request, call_options = self._asked("chat", chat_request, model, messages, options)
            if call_options.original is not None:
                return await self._begin("chat", request, call_options).run(_relayed().chat)
            if request.response_format is not None:
                return typed(await self._begin("chat", request, call_options).run(CHAT), request)
            return await self._begin("chat", request, call_options).run(CHAT)
        try:  # as nearly all calls are: nothing more to read
            request = ChatRequest(model, as_messages(messages))
        except InvalidRequest as error:
            raise self._refused("chat", model, error) from error.__cause__
        return await self._begin("chat", request).run(CHAT)

    def stream(
        self, model: str | ChatRequest, messages: Messages = (), **options: Unpack[ChatOptions]
    ) -> ChatStream:
        """The answer as a stream of events; takes what `chat` takes. Use it with `async with`.

        Raises: InvalidRequest, here; all else where the stream is entered, see `ChatStream`.
        """
        request, call_options = self._asked("stream", chat_request, model, messages, options)
        return ChatStream(lambda: self._begin("stream", request, call_options))

    async def generate(
        self, model: str | GenerateRequest, prompt: str = "", **options: Unpack[GenerateOptions]
    ) -> ChatResponse:
        """A plain completion of `prompt`, where the upstream has one.

        Args:
            model: as of `chat`, or a complete GenerateRequest and nothing else.

        Options: the fields of `GenerateRequest` and of `CallOptions`. Raises: as `chat`.
        """
        request, call_options = self._asked("generate", generate_request, model, prompt, options)
        if call_options.original is not None:
            return await self._begin("generate", request, call_options).run(_relayed().generate)
        return typed(await self._begin("generate", request, call_options).run(GENERATE), request)

    async def embed(
        self, model: str | EmbedRequest, texts: str | Sequence[str] = (), **options: Unpack[EmbedOptions]
    ) -> EmbedResponse:
        """One vector for each text: `vectors` is n lists of dim floats, in the order of `texts`.

        Args:
            model: as of `chat`, or a complete EmbedRequest and nothing else.

        Options: the fields of `EmbedRequest` and of `CallOptions`. Raises: as `chat`.
        """
        request, call_options = self._asked("embed", embed_request, model, texts, options)
        if call_options.original is not None:
            return await self._begin("embed", request, call_options).run(_relayed().embed)
        return await self._begin("embed", request, call_options).run(EMBED)

    def batch(
        self,
        requests: Iterable[ChatRequest],
        *,
        concurrency: int = 8,
        ordered: bool = False,
        per_minute: float | None = None,
    ) -> Batch:
        """The results of many chats, as they finish or `ordered`; a failed one holds its `error`.

        Args:
            concurrency: requests in flight at most, 1 or more.
            per_minute: requests begun per minute at most, evenly paced; None for no limit.

        Raises: ValueError for a number out of range.
        """
        from pointsman.batch import Batch  # few programs have one

        return Batch(self.chat, requests, concurrency=concurrency, ordered=ordered, per_minute=per_minute)

    def _asked(
        self,
        operation: str,
        read: Callable[[Any, Any, Mapping[str, Any]], Q],
        model: object,
        given: object,
        options: Mapping[str, Any],
    ) -> tuple[Q, CallOptions]:
        """The request that `read` makes of what a caller handed in, and how it is to be treated."""
        try:
            call_options, rest = split_options(options)
            request, original = read(model, given, rest), call_options.original
            if original is not None and original.request is model is not request:  # as written, until changed
                call_options = replace(call_options, original=replace(original, request=request))
            return request, call_options
        except InvalidRequest as error:
            # From its cause, not from itself: the caller sees one error, and what it was refused for.
            raise self._refused(operation, model, error) from error.__cause__

    def _begin(self, operation: str, request: Request, options: CallOptions = DEFAULT) -> Execution:
        """A request on the present configuration; it counts as running until it has ended."""
        lifecycle = self._lifecycle
        if lifecycle.open_on is not get_running_loop():
            lifecycle.bind()
            if lifecycle.stopping:
                raise self._refused(operation, request.model, shutting_down(), options)
        snapshot = lifecycle.snapshot
        chain = snapshot.chains.get(request.model)
        if chain is None or (options is not DEFAULT and (options.strategy or options.fallbacks is not None)):
            # The first request for its model, one that no model is called, one that something stands before,
            # or one that says itself where it goes.
            try:
                if snapshot.entrance(request.model) is not None:
                    from pointsman.execution.guarded import begin_guarded  # for those that have some

                    return begin_guarded(snapshot, request, operation, options)
                chain = _chain(snapshot, request.model, options)
            except CallError as error:
                raise self._refused(operation, request.model, error, options) from None
        return begin_request(snapshot.setting, chain, request, operation, options)

    def _refused(self, operation: str, model: object, error: E, options: CallOptions = DEFAULT) -> E:
        """`error`, of a request that never came to an attempt: it is still one request, with one event."""
        if isinstance(model, Request):
            model = model.model
        error.request_id = options.request_id or request_id(self._lifecycle.rng)
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
                caller=options.caller,
                tags=options.tags,
            )
        )
        return error

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def _snapshot(self) -> Snapshot:
        return self._lifecycle.snapshot

    @property
    def config(self) -> Config:
        """What the router runs on."""
        return self._snapshot.config

    def status(self) -> Status:
        """For each model its strategy, fallbacks and deployments, each with its live state."""
        from pointsman.status import status  # here, as most programs never ask

        lifecycle = self._lifecycle
        in_use, found = lifecycle.in_use.status(self.config.file), lifecycle.discoveries()
        return status(lifecycle.snapshot, self._now(), in_use, found)

    def explain(
        self,
        model: str | ChatRequest,
        messages: Messages = "",
        *,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> Explanation:
        """A dry run of `chat`: candidates, why each other one is out, the pick, the order of the attempts,
        what would be sent. Nobody is called, and nothing is taken or changed.

        Args:
            messages: as of `chat`; none: something short stands in their place.
            stream: of `stream` in place of `chat`.
            options: as of `chat`.

        Raises: UnknownModel, InvalidRequest.
        """
        from pointsman.dry_run.explaining import explain

        call_options, rest = split_options(options)
        said = messages if isinstance(model, ChatRequest) else messages or "…"
        request = chat_request(model, said or (), rest)
        operation = "stream" if stream else "chat"
        return explain(self._snapshot, request, self._now(), call_options, operation=operation)

    async def models(self) -> list[ModelInfo]:
        """The public names with their aliases, and `provider/upstream-model` for what each provider lists.

        A provider that does not answer is left out here; `health` says why.
        """
        self._lifecycle.bind()
        from pointsman.status import public_models

        public = public_models(self._snapshot)
        upstreams = self._snapshot.upstreams
        listed = await asyncio.gather(*map(self._list, upstreams, upstreams.values()))
        known: dict[str, ModelInfo] = {}
        for each in (*public, *(each for some in listed for each in some)):
            known.setdefault(each.id, each)  # which several servers of one provider have
        return list(known.values())

    @cached_property
    def _listed(self) -> TTLCache[str, Sequence[ModelInfo]]:
        """The models of each provider, as it listed them last."""
        from cachetools import TTLCache  # takes 3 M instructions, and most programs never ask for a list

        return TTLCache(maxsize=256, ttl=MODELS_CACHED, timer=self._clock.now)

    async def _list(self, name: str, upstream: Upstream) -> Sequence[ModelInfo]:
        async def ask(provider: Provider) -> Sequence[ModelInfo]:
            offered = upstream.factory.models or await provider.models()
            return [_full_name(each, self.config.family(name)) for each in offered]

        with suppress(KeyError):
            return self._listed[name]
        try:
            self._listed[name] = listed = await self._look(upstream, "models", ask)
        except CallError:  # also a plugin's own mistake: it must not take the others' models away
            return ()
        return listed

    async def _look(self, upstream: Upstream, method: str, ask: Callable[[Provider], Awaitable[T]]) -> T:
        """What `ask` gets from `method` of a provider, outside of any request. Raises CallError."""
        setting = self._snapshot.setting
        late = partial(AttemptTimeout, f"no answer within {LOOK_WITHIN:g} s")
        try:
            with TimeLimit(self._clock.now() + LOOK_WITHIN, late, setting.alarms):
                return await ask(upstream.provider)
        except BaseException as error:
            if isinstance(error, CallError) or not is_own(error):
                raise
            plugin = upstream.factory.name
            raise fault("provider", plugin, method, error, scrub=setting.scrubber.text) from error

    async def health(self) -> Health:
        """Asks every provider now whether it is well, free of charge."""
        from pointsman.reports import Health

        self._lifecycle.bind()
        upstreams = self._snapshot.upstreams
        answers = await asyncio.gather(*map(self._health_of, upstreams.values()))
        return Health(dict(zip(upstreams, answers, strict=True)))

    async def _health_of(self, upstream: Upstream) -> ProviderHealth:
        from pointsman.reports import ProviderHealth

        began, wrong = self._clock.now(), None
        try:
            await self._look(upstream, "probe", lambda provider: answered(provider.probe()))
        except CallError as error:
            wrong = self._snapshot.setting.scrubber.shown(error)
        return ProviderHealth(wrong is None, round((self._clock.now() - began) * 1e3, 1), wrong)

    def provider(self, name: str) -> Any:
        """The provider object itself, for what only its type can do. Raises KeyError that lists the names."""
        try:
            return self._snapshot.providers[name]
        except KeyError:
            hint = did_you_mean(name, self._snapshot.providers, what="there are")
            raise KeyError(f"no provider is called {name!r}; {hint}") from None

    @overload
    def listen(self, listener: Listener) -> Callable[[], None]: ...
    @overload
    def listen(self, listener: Callable[[K], None], *, kinds: Iterable[type[K]]) -> Callable[[], None]: ...
    def listen(
        self, listener: Callable[[Any], None], *, kinds: Iterable[type[Any]] | None = None
    ) -> Callable[[], None]:
        """Tell `listener` of what happens from now on; returns what ends it. It must not block.

        Args:
            kinds: classes of events, such as `FirstToken`; by default those that tell of an end or a
                change. An event that nobody asked for is not made.

        Raises: TypeError for what is no kind of event.
        """
        return self._events.add(listener) if kinds is None else self._events.add(listener, kinds)

    def use_budgets(self, budgets: Budgets) -> Callable[[], None]:
        """Hold every attempt against `budgets` from now on; returns what ends it. The latest count."""
        return self._lifecycle.use_budgets(budgets)

    @property
    def budgets(self) -> Budgets | None:
        """What attempts are held against; None while nothing is."""
        return self._lifecycle.budgets

    def report(self, event: Event) -> None:
        """Tell listeners, journal and audit of what happened beside the router, such as a `CallerRefused`."""
        self._events.report(event)

    def trace(self, names: NamesAttempts) -> Callable[[], None]:
        """Have upstreams told, as `traceparent`, what `names` makes of the id of a request, the number of an
        attempt, and the tags; returns what ends it. It must not block, and there is one at a time.

        Without it they are told the tag `traceparent` of the request, where there is one.
        """
        self._events.traces = names

        def end() -> None:
            if self._events.traces is names:
                self._events.traces = None

        return end

    def scrub(self, text: str) -> str:
        """`text` with `***` in place of each secret of the configuration, to be shown to somebody."""
        return self._snapshot.setting.scrubber.text(text)

    # ── operating ────────────────────────────────────────────────────────────────────────────────────

    def disable(self, deployment: str) -> None:
        """Send no further calls there until `enable`; running ones go on.

        Raises: KeyError, which names the nearest one, for a `deployment` that there is not.
        """
        self._snapshot.live(deployment).admit(Admin.DOWN)

    def enable(self, deployment: str) -> None:
        """Send calls there again, also after `drain`. Raises: as `disable`."""
        self._snapshot.live(deployment).admit(Admin.UP)

    def reset(self, deployment: str) -> None:
        """Forget what went wrong there: its breaker closes, cool-down and ejection end, and its rate limits,
        also those that it shares with others, count from nothing. Raises: as `disable`.
        """
        now, live = self._now(), self._snapshot.live(deployment)
        live.forget()
        if live.limits is not None:
            live.limits.reset()
        live.breaker.reset(now)
        for pool in self._snapshot.pools.values():
            for each in pool.deployments:
                if each.live is live and each.outlier is not None:
                    each.outlier.reset(now)
        live.wake()

    def force_open(self, deployment: str) -> None:
        """Have its breaker refuse every call until `reset`. Raises: as `disable`."""
        self._snapshot.live(deployment).breaker.force_open(self._now())

    async def drain(self, deployment: str, *, timeout: float | None = None) -> bool:
        """Send no further calls there and wait for the running ones; false when some still ran at the end.

        Args:
            timeout: seconds; `timeouts.drain` of the configuration when None.

        Raises: as `disable`.
        """
        live = self._snapshot.live(deployment)
        live.admit(Admin.DRAINING)
        await all_idle([live], within=self.config.timeouts.drain if timeout is None else timeout)
        return live.in_flight == 0

    async def reload(self, source: str | Path | Mapping[str, Any] | Config | None = None) -> None:
        """Run on a new configuration: the same file read again, or `source`.

        It is built aside first, so a configuration with problems changes nothing. Deployments that stay what
        they are keep their state and connections; running calls keep what they started with, and the
        connections of a removed deployment are closed after its last call.

        Raises: ConfigError with all problems at once.
        """
        await self._lifecycle.reload(source)
        self._listed.clear()

    def prepare(self) -> None:
        """Import and make what the first call would have to; nothing is opened, and no loop needs to run."""
        self._snapshot.prepare()

    def _now(self) -> float:
        try:
            return self._clock.now()
        except RuntimeError:  # no loop runs yet; nothing has happened, so any instant will do
            return 0.0


def _chain(snapshot: Snapshot, model: str, options: CallOptions) -> Sequence[Pool]:
    """Where a call with these `options` can go, in order. Raises: UnknownModel, InvalidRequest."""
    if options is DEFAULT:
        return snapshot.chain(model)
    from pointsman.routing.per_call import chain_of_call  # few calls say it themselves

    return chain_of_call(snapshot, model, options)


@cache  # a module is looked for anew by each import in a function, for 8,000 instructions
def _relayed() -> RelayedAnswers:
    from pointsman.execution.relaying import RelayedAnswers  # only gateways relay

    return RelayedAnswers()


def _full_name(model: ModelInfo, provider: str) -> ModelInfo:
    """`model`, as `provider` lists it, by the name under which it is called here."""
    if not isinstance(model, ModelInfo) or not isinstance(model.id, str):
        raise TypeError(f"a list of models has a {type(model).__name__} in it, or one whose id is no text")
    return replace(model, id=f"{provider}/{model.id}", provider=provider)
