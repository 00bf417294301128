"""A virtual world: the real router of a configuration, with models in place of its upstreams.

    async def work() -> None:
        async with World(config, seed=1) as world:
            await world.ask(Question("r1", model="assistant", size=Size(200, 100)))

    in_virtual_time(work())

Nothing of the machine is touched: time is a number, no credential is looked up, no socket, file, service,
store or audit sink of the configuration is opened.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pointsman import Config, Router
from pointsman.build.loading import plugins_for
from pointsman.build.presets import with_preset
from pointsman.errors import CallError, PluginError
from pointsman.plugin import (
    ChatRequest,
    Clock,
    Message,
    ModelInfo,
    ProviderFactory,
    Request,
    input_estimate,
    system_rng,
)
from pointsman.requests.call_options import DEFAULT, CallOptions
from pointsman.testing import VirtualLoop
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.provider import ModelledPlugin, Replies
from pointsman_forecast.settings import UpstreamSettings, settings_for
from pointsman_forecast.upstreams import Size, Upstream

T = TypeVar("T")

BEGINS = 1_767_225_600.0
"""When a virtual world begins unless somebody says: 2026-01-01, in seconds since 1970 UTC."""
_UNKNOWN_ANSWER = 200
"""Tokens of an answer to a question that is not ours, such as a selector's."""


class Question(Struct, frozen=True, kw_only=True):
    """One request of the traffic.

    Attributes:
        id: of the request; each has its own.
        model: the public name that is asked for; `provider/upstream-model` and aliases as well.
        size: tokens of the question and of the answer.
        streamed: whether the answer comes as a stream.
        text: what is asked; None for filler of the right length.
        options: how it is to be treated; its `request_id` is not looked at.
    """

    id: str
    model: str
    size: Size
    streamed: bool = True
    text: str | None = None
    options: CallOptions = DEFAULT


class Asked(Struct, frozen=True):
    """What became of a question.

    Attributes:
        began: seconds on the clock.
        first_token, total: seconds; None for what did not come.
        error: the stable code of what it ended with; "" for none.
        deployment: the one that answered, or failed last; "" for none.
        attempts: that it took.
        cost_microcents: of the answer, in millionths of a US cent; None where nobody knows.
    """

    began: float
    first_token: float | None
    total: float | None
    error: str
    deployment: str
    attempts: int
    cost_microcents: int | None


class World:
    """A router in virtual time, on the running loop, which is a `VirtualLoop`.

    Attributes:
        router: the real one; look at it, add listeners, have it drain or reload.
        upstreams: by the names of the providers.
        clock: its time.
    """

    def __init__(
        self,
        config: Config,
        *,
        upstreams: Mapping[str, UpstreamSettings] | None = None,
        faults: Sequence[FaultSettings] = (),
        seed: int = 0,
        begins: float = BEGINS,
        plugins: Iterable[object] = (),
        replies: Replies = lambda _provider, _call: None,
    ) -> None:
        """Build the router of `config` as it is, but for what its providers are.

        Args:
            upstreams: how they behave, by provider, `provider/model`, type or `*`; else by their types.
            faults: what goes wrong with them, and when.
            seed: of all chance; the same one makes the same world.
            begins: when it does, in seconds since 1970 UTC.
            plugins: further plugin objects.
            replies: has the last word on how a call goes, by the name of its provider.

        Raises: ConfigError with all that is wrong.
        """
        rng = random.Random(seed)  # noqa: S311 - a model of chance, nothing secret
        given = tuple(plugins)
        self.clock = WorldClock(begins)
        self._sizes: dict[str, Size] = {}
        said = upstreams or {}
        known = _Known(config, given)
        self.upstreams: dict[str, Upstream] = {}
        for name, provider in config.providers.items():
            self.upstreams[name] = Upstream(
                name,
                provider.type,
                _settings(said, provider.type, name),
                [each for each in faults if each.upstream.partition("/")[0] == name],
                clock=self.clock,
                rng=system_rng(rng.getrandbits(64)),
            )
        types = {each.type: known.models(each.type) for each in config.providers.values()}
        modelled = ModelledPlugin(types, self.upstreams, self._size, replies)
        self.router = Router(
            without_surroundings(config, known.address),
            plugins=[modelled, *given],
            clock=self.clock,
            rng=system_rng(rng.getrandbits(64)),
        )

    async def __aenter__(self) -> Self:
        await self.router.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.router.__aexit__(kind, error, traceback)

    async def ask(self, question: Question) -> Asked:
        """What becomes of `question`, which is asked now."""
        self._sizes[question.id] = question.size
        try:
            return await ask(self.router, question, self.clock)
        finally:
            self._sizes.pop(question.id, None)

    def _size(self, request_id: str, request: Request) -> Size:
        size = self._sizes.get(request_id)
        return Size(input_estimate(request), _UNKNOWN_ANSWER) if size is None else size


class WorldClock:
    """The time of the running loop, which also says what date it is.

    Attributes:
        now: seconds from the beginning; the loop's own method, as each call reads it.
    """

    __slots__ = ("_begins", "now")

    def __init__(self, begins: float) -> None:
        self.now = asyncio.get_running_loop().time
        self._begins = begins - self.now()

    def wall(self) -> float:
        return self._begins + self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def ask(router: Router, question: Question, clock: Clock) -> Asked:
    """What becomes of `question` at `router`, which is asked now, in whatever time `clock` has."""
    began = clock.now()
    first: float | None = None
    text = question.text
    if text is None:  # each begins otherwise: strategies go by what prompts have in common
        text = f"{question.options.affinity or question.id}: {filler(question.size.prompt)}"
    request = ChatRequest(question.model, (Message("user", text),))
    options = replace(question.options, request_id=question.id)
    try:
        if question.streamed:
            async with router.stream(request, call_options=options) as stream:
                async for _ in stream:
                    if first is None:
                        first = clock.now() - began
                answer = stream.response
        else:
            answer = await router.chat(request, call_options=options)
    except CallError as error:
        return Asked(began, first, None, error.code, error.deployment, error.attempts, None)
    total = clock.now() - began
    return Asked(began, first, total, "", answer.deployment, answer.attempts, answer.cost_microcents)


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns, on a loop whose time is a number. Ctrl-C cancels it, as `asyncio.run` has it."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


# ── the configuration of a world ─────────────────────────────────────────────────────────────────────


class _Known:
    """What the real provider types say of themselves; nothing where they are not installed."""

    def __init__(self, config: Config, plugins: Sequence[object]) -> None:
        self._plugins = plugins_for(config, plugins)

    def models(self, type: str) -> Sequence[ModelInfo]:
        factory = self._factory(type)
        return () if factory is None else factory.models

    def address(self, type: str, preset: str | None) -> str | None:
        """Where its calls would go, which prices depend on."""
        factory = self._factory(type, preset)
        return None if factory is None else factory.default_base_url

    def _factory(self, type: str, preset: str | None = None) -> ProviderFactory | None:
        try:
            factory = self._plugins.provider(type)
            return factory if preset is None else with_preset(factory, preset)
        except PluginError:
            return None


def without_surroundings(config: Config, address: Any = lambda _type, _preset: None) -> Config:
    """`config` without what lives beside a router, or reaches out of it.

    Sections (control socket, gateway, metrics), audit sinks, the store that routers share and guards are
    left out: a guard judges texts, and there are none here. Providers lose credentials, certificates,
    proxies and headers.
    """
    providers = {
        name: each.model_copy(
            update={
                **dict.fromkeys(("preset", "api_key", "auth", "proxy", "ca_file", "client_cert"), None),
                **dict.fromkeys(("client_key", "client_key_password", "transport", "discover"), None),
                "headers": {},
                "trust_env": False,
                "base_url": each.base_url or address(each.type, each.preset),
            }
        )
        for name, each in config.providers.items()
    }
    models = {name: each.model_copy(update={"guards": []}) for name, each in config.models.items()}
    update: dict[str, Any] = dict.fromkeys(config.sections)
    update |= {"providers": providers, "models": models, "guards": [], "audit": [], "state": None}
    return config.model_copy(update=update)


def _settings(said: Mapping[str, UpstreamSettings], type: str, provider: str) -> Any:
    return lambda model: settings_for(said, type=type, provider=provider, model=model)


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────

_WORDS = "the points are set so that each train takes the right track and nobody waits longer than he must "
_FILLER = _WORDS * 400
_PER_TOKEN = len(_FILLER) / input_estimate(ChatRequest("", (Message("user", _FILLER),)))
"""Characters of filler that the router estimates one token for."""


def filler(tokens: int) -> str:
    """A text that the router takes for so many tokens, about."""
    length = int(tokens * _PER_TOKEN)
    return _FILLER[:length] if length <= len(_FILLER) else (_FILLER * (length // len(_FILLER) + 1))[:length]
