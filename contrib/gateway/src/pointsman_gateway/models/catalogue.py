"""The models that callers can ask for, with what each can do: in memory, for every public name.

Each fact comes from the first of these that has it: the configuration, the upstreams' lists, what the router
knows by its sources of prices, the table of well-known models, a default that is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman.clock import Clock
from pointsman.plugin import Caller, Capabilities, CatalogueEntry, ModelInfo
from pointsman_gateway.models.well_known import known_model

if TYPE_CHECKING:
    from pointsman import Config, Router
    from pointsman.config import DeploymentConfig

STALE = 60.0
"""Seconds after which what upstreams list is asked for again, when somebody looks."""
_DEFAULT = Capabilities()
_ORDER = ("completion", "tools", "vision", "thinking", "embedding", "insert")
_MEANT = {
    "chat": "completion",
    "embeddings": "embedding",
    "image_input": "vision",
    "reasoning": "thinking",
    "fim": "insert",
}
"""What upstreams say in place of the names that we go by."""


class Facts(Struct, frozen=True):
    """What is known of one model; None and 0 for what is not.

    Attributes:
        can: what upstreams say besides is left out.
    """

    can: frozenset[str] | None = None
    context_length: int | None = None
    family: str | None = None
    created: int | None = None
    size_bytes: int = 0
    parameter_size: str = ""
    quantization: str = ""


class GatewayCatalogue:
    """The catalogue of one router.

    What upstreams list is asked for by the first `look`, and again when somebody reads what has become old:
    beside all else, and kept. Without a `look` no upstream is asked.
    """

    def __init__(self, router: Router, clock: Clock) -> None:
        self._router = router
        self._clock = clock
        self._began = int(clock.wall())
        self._listed: Mapping[str, Facts] = {}
        self._routed: Mapping[str, Facts] = {}
        self._routed_by: Config | None = None
        self._looked: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self._of: Config | None = None
        self._entries: dict[str, CatalogueEntry] = {}

    def listed(self, caller: Caller) -> Sequence[CatalogueEntry]:
        """As of `Catalogue`."""
        return [each for name, each in self._known().items() if caller.may_use(name)]

    def entry(self, name: str, caller: Caller) -> CatalogueEntry | None:
        """As of `Catalogue`."""
        if not caller.may_use(name):
            return None
        entry = self._known().get(name)
        return self._entry(name, self._router.config) if entry is None else entry

    # ── what upstreams list ──────────────────────────────────────────────────────────────────────────

    def look(self) -> None:
        """Have upstreams asked what they have, beside all else, unless that is known or under way."""
        now = self._clock.now()
        fresh = self._looked is not None and now - self._looked < STALE
        if fresh or (self._looking is not None and not self._looking.done()):
            return
        self._looked = now
        self._looking = asyncio.create_task(self._look(), name="pointsman.gateway.catalogue")

    async def _look(self) -> None:
        config, models = self._router.config, await self._router.models()
        # One that does not answer now had what it had before.
        self._listed = {**self._listed, **{each.id: facts_of(each) for each in models if each.provider}}
        self._routed = {each.id: facts_of(each) for each in models if not each.provider}
        self._routed_by = config
        self._of = None

    async def aclose(self) -> None:
        """Ask nobody any more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    # ── entries ──────────────────────────────────────────────────────────────────────────────────────

    def _known(self) -> Mapping[str, CatalogueEntry]:
        """The entry of each public name, made once for what is known now."""
        if self._looked is not None:
            self.look()
        config = self._router.config
        if self._of is not config:
            self._of = config
            made = {name: self._entry(name, config) for name in config.names()}
            self._entries = {name: entry for name, entry in made.items() if entry is not None}
        return self._entries

    def _entry(self, name: str, config: Config) -> CatalogueEntry | None:
        model = config.described(name)
        if model is None:
            return None
        if model.selector is None:
            # By another configuration the name may have meant another model.
            routed = self._routed.get(name, Facts()) if self._routed_by is config else Facts()
            facts = common([self._upstream(each, routed) for each in model.deployments])
        else:
            facts = common([self._facts_of(each, config) for each in model.of])
        said = model.capabilities
        configured = Facts(
            None if said.can is None else frozenset(said.can), said.context_length, said.family
        )
        return self._written(name, first_said([configured, facts]))

    def _facts_of(self, name: str, config: Config) -> Facts:
        entry = self._entry(name, config)
        if entry is None:
            return Facts()
        able = entry.capabilities
        return Facts(frozenset(able.can), able.context_length, able.family, entry.created)

    def _upstream(self, deployment: DeploymentConfig, routed: Facts) -> Facts:
        """What is known of the model of a deployment; `routed` is what the router says of all beside it."""
        id = f"{deployment.provider}/{deployment.model}"
        listed = self._listed.get(id) or self._listed.get(f"{id}:latest", Facts())
        known = known_model(deployment.model)
        table = Facts() if known is None else Facts(frozenset(known.can), known.context_length, known.family)
        extras_alone = listed.can is not None and listed.can.isdisjoint(("completion", "embedding"))
        if listed.can is not None and table.can is not None and extras_alone:
            listed = _with_can(listed, listed.can | table.can)
        configured = Facts(context_length=deployment.context_window)
        return first_said([configured, listed, routed, table])

    def _written(self, name: str, facts: Facts) -> CatalogueEntry:
        can = _DEFAULT.can if facts.can is None else [each for each in _ORDER if each in facts.can]
        return CatalogueEntry(
            name,
            Capabilities(can, facts.context_length or _DEFAULT.context_length, facts.family or ""),
            self._began if facts.created is None else facts.created,
            facts.size_bytes,
            facts.parameter_size,
            facts.quantization,
        )


def facts_of(listed: ModelInfo) -> Facts:
    """What an upstream says of a model in its list."""
    said = frozenset(_MEANT.get(each.lower(), each.lower()) for each in listed.capabilities)
    details = listed.raw.get("details") if isinstance(listed.raw, Mapping) else None
    texts: Mapping[str, Any] = details if isinstance(details, Mapping) else {}
    return Facts(
        said & frozenset(_ORDER) or None,
        listed.context_window,
        _text(texts, "family") or None,
        listed.created,
        listed.size_bytes or 0,
        _text(texts, "parameter_size"),
        _text(texts, "quantization_level"),
    )


def first_said(sources: Sequence[Facts]) -> Facts:
    """Each fact from the first of `sources` that has it."""
    return Facts(
        **{name: _first(getattr(each, name) for each in sources) for name in Facts.__struct_fields__}
    )


def common(members: Sequence[Facts]) -> Facts:
    """What holds wherever a call goes: what all can do, the shortest context; texts where all have the same.

    Members of which nothing is known have no say.
    """
    abilities = [each.can for each in members if each.can is not None]
    lengths = [each.context_length for each in members if each.context_length is not None]
    created = [each.created for each in members if each.created is not None]
    return Facts(
        # Where they have nothing in common, some of what is asked would be refused, whatever is said here.
        (frozenset.intersection(*abilities) or abilities[0]) if abilities else None,
        min(lengths, default=None),
        _same(each.family for each in members) or None,
        min(created, default=None),
        max((each.size_bytes for each in members), default=0),
        _same(each.parameter_size for each in members) or "",
        _same(each.quantization for each in members) or "",
    )


def _with_can(facts: Facts, can: frozenset[str]) -> Facts:
    return first_said([Facts(can), facts])


def _first(values: Iterable[Any]) -> Any:
    """The first that says something, else the last."""
    value = None
    for value in values:
        if value:
            break
    return value


def _same(values: Iterable[str | None]) -> str | None:
    """The one text that there is among them, where there is one."""
    different = {each for each in values if each}
    return different.pop() if len(different) == 1 else None


def _text(details: Mapping[str, Any], name: str) -> str:
    value = details.get(name)
    return value if isinstance(value, str) else ""
