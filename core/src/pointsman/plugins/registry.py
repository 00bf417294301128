"""Plugins: looked up by name, imported on first use, and each broken one kept to itself.

An entry point in one of the groups of `KINDS` is a claim: this distribution offers that name. Nothing is
imported for it before somebody asks for the name. What is built in and what is passed in as an object goes
through the same hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pluggy
from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.suggest import did_you_mean
from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.errors import ConfigError, PluginError
from pointsman.hookspecs import PROJECT, PointsmanSpec
from pointsman.plugins.discovery import CORE, Claim, Installed, short
from pointsman.plugins.kinds import KINDS, Kind
from pointsman.plugins.known_names import our_distributions
from pointsman.plugins.validation import Loaded, Manager, PluginFault, fault_of
from pointsman.plugins.versions import canonical
from pointsman.provider import ProviderFactory
from pointsman.retry import RetryFactory
from pointsman.strategy import StrategyFactory
from pointsman.transports.factory import TransportFactory

if TYPE_CHECKING:
    from pointsman.plugins.control import Rules
    from pointsman.plugins.data_files import DataFile

State = Literal[
    "built in",
    "not loaded",
    "loaded",
    "broken",
    "conflict",
    "not chosen",
    "left out",
    "denied",
    "not allowed",
]


class PluginInfo(Struct, frozen=True):
    """One name that somebody offers.

    Attributes:
        kind: a key of `KINDS`; the name of a group of entry points that is none of ours.
        name: as configurations use it; "" for a plugin so broken that it has none.
        distribution: what to `pip install`; None for an object that was passed in.
        version: of the distribution, None where unknown.
        module: where the plugin object is, such as `pointsman_ollama:plugin`.
        state: "conflict": two distributions claim the name and nothing settles it; "not chosen": it was
            settled in favour of another; "left out": by `POINTSMAN_PLUGINS`; "denied", "not allowed": by the
            configuration.
        error: why it is broken, in conflict or not let in.
        hooks: what the plugin implements; () before it is loaded.
        form: "data" where it is a file and no code.
    """

    kind: str
    name: str
    distribution: str | None
    version: str | None
    module: str
    state: State
    error: str | None = None
    hooks: tuple[str, ...] = ()
    form: Literal["code", "data"] = "code"


ReadData = Callable[["DataFile", Callable[[str], ProviderFactory]], ProviderFactory]
"""Makes the factory of a provider type of what a file says, and of the type that it is like, by name.

Raises ConfigError.
"""


class PassedInBroken(PluginError):
    """An object that was passed in is no plugin, or a broken one, whatever it was to be asked for."""


class Plugins:
    """What can be used by name. Two of these objects know nothing of each other.

    Args:
        plugins: objects with hooks, which win over everything that is installed.
        rules: what the configuration says of them.
        environ: where `POINTSMAN_PLUGINS` is looked up; None: that of the process.
        read_data: makes provider types of those plugins that are data; without it none can be used.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        rules: Rules | None = None,
        environ: Mapping[str, str] | None = None,
        read_data: ReadData | None = None,
    ) -> None:
        from pointsman.builtin.plugin import plugin as builtin

        self.manager: pluggy.PluginManager = Manager(PROJECT)
        self.manager.add_hookspecs(PointsmanSpec)
        self._rules = rules
        self._objects: dict[int, Loaded] = {}
        self._builtin = self._take(builtin, f"{CORE}.builtin:plugin", None)  # ours, so it is not tried before
        self._passed = [self._register(each, _describe(each)) for each in plugins]
        self._installed = Installed(environ, rules)
        self._outcomes: dict[Claim, Loaded | _Read | _Broken] = {}
        self._read_data = read_data
        self._reading: list[Claim] = []

    def look_up(self) -> None:
        """Read now what is installed, which is read when first asked for else: hundreds of small files."""
        self._installed.look_up()

    def provider(self, name: str) -> ProviderFactory:
        """The provider type `name`. Like its sisters it raises PluginError, with the cause where known."""
        factory: ProviderFactory = self.get("provider", name)
        return factory

    def auth(self, name: str) -> AuthFactory:
        """The source of credentials `name`."""
        factory: AuthFactory = self.get("auth", name)
        return factory

    def retry(self, name: str) -> RetryFactory:
        """The retry policy `name`."""
        factory: RetryFactory = self.get("retry", name)
        return factory

    def strategy(self, name: str) -> StrategyFactory:
        """The balancing strategy `name`."""
        factory: StrategyFactory = self.get("strategy", name)
        return factory

    def audit(self, name: str) -> AuditFactory:
        """The audit sink `name`."""
        factory: AuditFactory = self.get("audit", name)
        return factory

    def transport(self, name: str) -> TransportFactory:
        """The transport `name`."""
        factory: TransportFactory = self.get("transport", name)
        return factory

    def get(self, kind: str, name: str, *, unsaid: bool = False) -> Any:
        """What is offered as `name` of the kind `kind`; a plugin that is installed is imported for it.

        Args:
            unsaid: no configuration names it, it is the default: then a built-in one is meant, whoever else
                claims the name.

        Raises: PluginError when nobody offers it, two do, or the plugin is broken.
        """
        passed = self._among_passed(KINDS[kind], name)
        if passed is not None:
            return passed
        claims = self._installed.claims.get((kind, name), [])
        built_in = self._builtin.offers(KINDS[kind]).get(name)
        if unsaid and built_in is not None and (self._rules is None or self._rules.chosen(name) is None):
            return built_in
        claim = self._chosen(kind, name, claims, built_in=built_in is not None)
        if claim is not None:
            return self._from_claim(claim)
        if built_in is not None:
            return built_in
        if (why := self.left_out(kind, name)) is not None:
            raise PluginError(why)
        raise self._unknown(kind, name)

    def left_out(self, kind: str, name: str) -> str | None:
        """Why nobody offers `name`, though one that is installed would; None when none would."""
        for claim, reason in self._installed.left_out.items():
            if (claim.kind, claim.name) == (kind, name):
                return f"{kind} {name!r} is offered by {claim.distribution}, {reason.because}"
        return None

    def origin(self, kind: str, name: str) -> str:
        """Where what `get` returns comes from: a distribution, or the place of an object passed in."""
        for loaded in self._passed:
            with suppress(PluginFault):
                if name in loaded.offers(KINDS[kind]):
                    return loaded.where
        built_in = name in self._builtin.offers(KINDS[kind])
        claim = self._chosen(kind, name, self._installed.claims.get((kind, name), []), built_in=built_in)
        return CORE if claim is None else claim.distribution

    def names(self, kind: str) -> list[str]:
        """Every name of that kind, from metadata, built-in and passed-in plugins; sorted."""
        found = {name for each, name in self._installed.claims if each == kind}
        found |= set(self._builtin.offers(KINDS[kind]))
        for loaded in self._passed:
            with suppress(PluginFault):
                found |= set(loaded.offers(KINDS[kind]))
        return sorted(found)

    def distributions(self) -> set[str]:
        """Those that are installed and offer something, let in or not."""
        claims = (claim for some in self._installed.claims.values() for claim in some)
        return {claim.distribution for claim in (*claims, *self._installed.left_out)}

    def listing(self) -> list[PluginInfo]:
        """Everything there is, by kind and name. Imports nothing that was not used before."""
        infos = [info for each in self._passed for info in self._object_infos(each, None, "loaded")]
        infos += self._object_infos(self._builtin, CORE, "built in")
        infos += [self._info(claim) for claims in self._installed.claims.values() for claim in claims]
        infos += [self._info(claim) for claim in (*self._installed.left_out, *self._installed.astray)]
        infos += [
            PluginInfo("", "", name, None, "", "broken", error)
            for name, error in self._installed.unreadable.items()
        ]
        order = {kind: n for n, kind in enumerate(KINDS)}
        return sorted(
            infos,
            key=lambda info: (order.get(info.kind, -1), info.name, info.distribution or "", info.module),
        )

    # ── looking up ───────────────────────────────────────────────────────────────────────────────────

    def _among_passed(self, kind: Kind, name: str) -> Any:
        """What the passed-in objects offer under `name`. They were asked for: a broken one is an error."""
        found: list[tuple[Loaded, Any]] = []
        for loaded in self._passed:
            try:
                factory = loaded.offers(kind).get(name)
            except PluginFault as fault:
                raise PassedInBroken(f"the plugin {loaded.where} that was passed in {fault}") from fault.cause
            if factory is not None:
                found.append((loaded, factory))
        if len(found) > 1:
            both = " and ".join(loaded.where for loaded, _factory in found)
            raise PluginError(
                f"{kind.name} {name!r} is offered by two passed-in plugins: {both}; pass one of them"
            )
        return found[0][1] if found else None

    def _chosen(self, kind: str, name: str, claims: Sequence[Claim], *, built_in: bool) -> Claim | None:
        """The claim to follow; None when there is none, or when the built-in plugin is meant."""
        chosen = None if self._rules is None else self._rules.chosen(name)
        offered = [claim.distribution for claim in claims] + [CORE] * built_in
        for claim in claims:
            if chosen == canonical(claim.distribution):
                return claim
        if chosen == CORE and built_in:
            return None
        if chosen is not None and offered and not self._has_any(chosen, name):
            raise PluginError(
                f"{kind} {name!r} is to come from {chosen!r}, which does not offer it; "
                f"{' and '.join(offered)} {'does' if len(offered) == 1 else 'do'}"
            )
        if len(offered) > 1:
            raise PluginError(_conflict(kind, name, offered))
        return claims[0] if claims else None

    def _has_any(self, distribution: str, name: str) -> bool:
        """Whether `distribution` offers `name` as any kind, so that choosing it means something."""
        return any(
            each == name and canonical(claim.distribution) == distribution
            for (_kind, each), claims in self._installed.claims.items()
            for claim in claims
        )

    def _from_claim(self, claim: Claim) -> Any:
        outcome = self._outcomes.get(claim)
        if outcome is None:
            outcome = self._outcomes[claim] = self._loaded(claim)
        if isinstance(outcome, _Broken):
            stop = "" if outcome.message.endswith("?") else "."
            raise PluginError(
                f"{claim.kind} {claim.name!r} cannot be used: {claim.entry_point.value} of the distribution "
                f"{claim.distribution} {outcome.message}{stop} Try: {outcome.help}"
            ) from outcome.cause
        return outcome.offers(KINDS[claim.kind])[claim.name]

    def _loaded(self, claim: Claim) -> Loaded | _Read | _Broken:
        """The plugin behind `claim`, imported and asked; or what is wrong with it."""
        reinstall = f"pip install --force-reinstall {claim.distribution}"
        upgrade = f"pip install --upgrade {claim.distribution}"
        if (misfit := self._installed.misfit(claim)) is not None:
            return _Broken(misfit, None, upgrade)
        if (unpinned := self._broken_pin(claim)) is not None:
            return _Broken(unpinned[0], None, unpinned[1])
        if claim.is_data:
            return self._data(claim, upgrade)
        try:
            plugin = claim.entry_point.load()
        except (Exception, SystemExit) as error:  # somebody else's module: anything can happen
            return _Broken(f"cannot be imported: {short(error)}", error, reinstall)
        loaded = self._register(plugin, claim.entry_point.value)
        kind = KINDS[claim.kind]
        try:
            offered = loaded.offers(kind)
        except PluginFault as fault:
            return _Broken(str(fault), fault.cause, upgrade, loaded.hooks)
        if kind.hook not in loaded.hooks:
            return _Broken(f"has no hook {kind.hook}", None, upgrade, loaded.hooks)
        if claim.name not in offered:
            others = ", ".join(sorted(offered)) or "nothing"
            message = f"does not offer the name of its entry point: {kind.hook} returns {others}"
            return _Broken(message, None, upgrade, loaded.hooks)
        return loaded

    def _data(self, claim: Claim, upgrade: str) -> _Read | _Broken:
        """The provider type that a file describes; nothing is imported for it but what that is like."""
        from pointsman.plugins.data_files import Unreadable, data_of  # few programs use one

        if claim.kind != "provider":
            return _Broken(f"is data, and a {claim.kind} is none", None, upgrade)
        if self._read_data is None:
            return _Broken("is data, which is read for routers only", None, "Router.check")
        if claim in self._reading:
            names = " is like ".join(each.name for each in (*self._reading, claim))
            return _Broken(f"goes round in a circle: {names}", None, upgrade)
        self._reading.append(claim)
        try:
            file = data_of(claim.name, claim.entry_point.value, claim.entry_point.dist)
            return _Read(self._read_data(file, self.provider))
        except Unreadable as error:
            return _Broken(str(error), error, f"pip install --force-reinstall {claim.distribution}")
        except ConfigError as error:
            return _Broken(_problems(error), error, upgrade)
        finally:
            self._reading.pop()

    def _broken_pin(self, claim: Claim) -> tuple[str, str] | None:
        """What keeps the distribution of `claim` from being what it is pinned to, and what would help."""
        if self._rules is None:
            return None
        return self._rules.broken_pin(claim.entry_point.dist, claim.distribution, claim.version)

    def _register(self, plugin: object, where: str) -> Loaded:
        """`plugin` among those of the manager, once; an invalid one stays outside and knows why."""
        known = self._objects.get(id(plugin))
        return self._take(plugin, where, fault_of(plugin)) if known is None else known

    def _take(self, plugin: object, where: str, fault: PluginFault | None) -> Loaded:
        if fault is None:
            self.manager.register(plugin, f"{where}#{len(self._objects)}")
        taken = self._objects[id(plugin)] = Loaded(plugin, where, self.manager, fault)
        return taken

    def _unknown(self, kind: str, name: str) -> PluginError:
        from pointsman.plugins.known_names import (
            what_to_write,  # most programs never have anything to suggest
        )

        names = self.names(kind)
        message = f"no plugin offers {kind} {name!r}; installed: {', '.join(names) or 'none'}"
        hint = what_to_write(kind, name, names) or self._of_another_kind(kind, name)
        return PluginError(f"{message}.{hint}" if hint else message)

    def _of_another_kind(self, kind: str, name: str) -> str:
        """Who claims `name` as something else than `kind`, as a sentence; "" when nobody does."""
        for (other, each), claims in self._installed.claims.items():
            if each == name and other != kind:
                return (
                    f" {claims[0].distribution} offers {other} {name!r}; a {kind} is an entry point in the "
                    f"group {KINDS[kind].group}, and not in {KINDS[other].group}"
                )
        for claim in self._installed.astray:
            if claim.name == name:
                return (
                    f" {claim.distribution} names it in the group {claim.kind}: {_no_such_group(claim.kind)}"
                )
        return ""

    # ── listing ──────────────────────────────────────────────────────────────────────────────────────

    def _object_infos(self, loaded: Loaded, distribution: str | None, state: State) -> Iterator[PluginInfo]:
        version = self._installed.version_of_core if distribution else None
        info = PluginInfo("", "", distribution, version, loaded.where, state, None, loaded.hooks)
        if loaded.fault is not None:
            yield replace(info, state="broken", error=str(loaded.fault))
            return
        for kind in KINDS.values():
            try:
                for name in loaded.offers(kind):
                    yield replace(info, kind=kind.name, name=name)
            except PluginFault as fault:
                yield replace(info, kind=kind.name, state="broken", error=str(fault))

    def _info(self, claim: Claim) -> PluginInfo:
        outcome = self._outcomes.get(claim)
        state: State
        error: str | None = None
        if isinstance(outcome, _Broken):
            state, error = "broken", outcome.message
        elif outcome is not None:
            state = "loaded"
        elif (left_out := self._installed.left_out.get(claim)) is not None:
            state, error = left_out.state, left_out.error
        elif claim.kind not in KINDS:
            state, error = "broken", _no_such_group(claim.kind)
        else:
            state, error = self._standing(claim)
        return PluginInfo(
            kind=claim.kind,
            name=claim.name,
            distribution=claim.distribution,
            version=claim.version,
            module=claim.entry_point.value,
            state=state,
            error=error,
            hooks=() if outcome is None else outcome.hooks,
            form="data" if claim.is_data else "code",
        )

    def _standing(self, claim: Claim) -> tuple[State, str | None]:
        """Whether a claim that was not followed yet would be."""
        claims = self._installed.claims[claim.kind, claim.name]
        built_in = claim.name in self._builtin.offers(KINDS[claim.kind])
        try:
            chosen = self._chosen(claim.kind, claim.name, claims, built_in=built_in)
        except PluginError as error:
            return "conflict", error.message
        if chosen != claim:
            return "not chosen", None
        if (misfit := self._installed.misfit(claim)) is not None:
            return "broken", misfit
        if (unpinned := self._broken_pin(claim)) is not None:
            return "broken", f"{unpinned[0]}; {unpinned[1]}"
        return "not loaded", None


class _Read(Struct, frozen=True):
    """A provider type that is data."""

    factory: ProviderFactory
    hooks: tuple[str, ...] = ()

    def offers(self, _kind: Kind) -> Mapping[str, ProviderFactory]:
        """As of `Loaded`."""
        return {self.factory.name: self.factory}


class _Broken(Struct, frozen=True):
    """What came of a claim that does not hold. `help` is a command that may mend it."""

    message: str
    cause: BaseException | None
    help: str
    hooks: tuple[str, ...] = ()


def _problems(error: ConfigError) -> str:
    """What is wrong with the data, as the end of a sentence."""
    said = [str(each) for each in error.problems] or [error.message]
    more = f" (and {len(said) - 3} more)" if len(said) > 3 else ""
    return f"is wrong: {'; '.join(said[:3])}{more}"


def _no_such_group(group: str) -> str:
    groups = [kind.group for kind in KINDS.values()]
    return f"there is no group {group} of entry points; {did_you_mean(group, groups, what='there are')}"


def _conflict(kind: str, name: str, offered: Sequence[str]) -> str:
    known = our_distributions()
    # Whoever follows the advice without a thought goes on as before the other one was installed.
    advised = next((each for each in offered if each == CORE or canonical(each) in known), offered[0])
    return (
        f"{kind} {name!r} is offered by {' and by '.join(offered)}; settle it in the configuration with "
        f"plugins: {{{name}: {advised}}}, or uninstall one of them"
    )


def _describe(plugin: object) -> str:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{kind.__module__}:{kind.__qualname__}"
