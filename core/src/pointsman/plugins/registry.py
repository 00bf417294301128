"""Plugins: found by their metadata, imported on first use, and each broken one kept to itself.

An entry point in one of the groups of `KINDS` is a claim: this distribution offers that name. Nothing is
imported for it before somebody asks for the name. What is built in and what is passed in as an object goes
through the same hooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, distributions
from typing import Any, Literal, NamedTuple

import pluggy
from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.suggest import did_you_mean, nearest
from pointsman.audit import AuditFactory
from pointsman.auth import AuthFactory
from pointsman.errors import PluginError
from pointsman.hookspecs import PROJECT, PointsmanSpec
from pointsman.provider import ProviderFactory
from pointsman.retry import RetryFactory
from pointsman.section import SectionFactory
from pointsman.service import ServiceFactory
from pointsman.strategy import StrategyFactory
from pointsman.transports.factory import TransportFactory

_PREFIX = f"{PROJECT}."
"""What all groups of entry points begin with."""
CORE = "pointsman"
"""The distribution that the built-in plugin belongs to, as `choose` names it."""


class Kind(NamedTuple):
    """One kind of plugin: its entry-point group, its hook, and the class of what the hook returns.

    `factory` is None where anything with a `name` will do.
    """

    name: str
    group: str
    hook: str
    factory: type | None = None


KINDS = {
    kind.name: kind
    for kind in (
        Kind("provider", "pointsman.providers", "pointsman_providers", ProviderFactory),
        Kind("auth", "pointsman.auth", "pointsman_auth", AuthFactory),
        Kind("retry", "pointsman.retry", "pointsman_retry_policies", RetryFactory),
        Kind("strategy", "pointsman.strategies", "pointsman_strategies", StrategyFactory),
        Kind("audit", "pointsman.audit", "pointsman_audit_sinks", AuditFactory),
        Kind("transport", "pointsman.transports", "pointsman_transports", TransportFactory),
        Kind("service", "pointsman.services", "pointsman_services", ServiceFactory),
        Kind("section", "pointsman.sections", "pointsman_sections", SectionFactory),
        Kind("dialect", "pointsman.dialects", "pointsman_config_dialects"),
        Kind("command", "pointsman.commands", "pointsman_commands"),
    )
}
"""Every kind by its name."""

State = Literal["built in", "not loaded", "loaded", "broken", "conflict", "not chosen"]


class PluginInfo(Struct, frozen=True):
    """One name that somebody offers.

    Attributes:
        kind: a key of `KINDS`.
        name: as configurations use it; "" for a plugin so broken that it has none.
        distribution: what to `pip install`; None for an object that was passed in.
        version: of the distribution, None where unknown.
        module: where the plugin object is, such as `pointsman_ollama:plugin`.
        state: "conflict": two distributions claim the name and nothing settles it; "not chosen": it was
            settled in favour of another.
        error: why it is broken or in conflict.
        hooks: what the plugin implements; () before it is loaded.
    """

    kind: str
    name: str
    distribution: str | None
    version: str | None
    module: str
    state: State
    error: str | None = None
    hooks: tuple[str, ...] = ()


class Plugins:
    """What can be used by name. Two of these objects know nothing of each other.

    Args:
        plugins: objects with hooks, which win over everything that is installed.
        choose: name → distribution, where two distributions claim one name.
    """

    def __init__(self, plugins: Iterable[object] = (), *, choose: Mapping[str, str] | None = None) -> None:
        from pointsman.builtin.plugin import plugin as builtin

        self.manager: pluggy.PluginManager = _Manager(PROJECT)
        self.manager.add_hookspecs(PointsmanSpec)
        self._choose = {name: _canonical(each) for name, each in (choose or {}).items()}
        self._objects: dict[int, _Loaded] = {}
        self._builtin = self._take(builtin, f"{CORE}.builtin:plugin", None)  # ours, so it is not tried before
        self._passed = [self._register(each, _describe(each)) for each in plugins]
        self._outcomes: dict[_Claim, _Loaded | _Broken] = {}

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

    def get(self, kind: str, name: str) -> Any:
        """What is offered as `name` of the kind `kind`; a plugin that is installed is imported for it.

        Raises: PluginError when nobody offers it, two do, or the plugin is broken.
        """
        passed = self._among_passed(KINDS[kind], name)
        if passed is not None:
            return passed
        claims = self._claims.get((kind, name), [])
        built_in = self._builtin.offers(KINDS[kind]).get(name)
        claim = self._chosen(kind, name, claims, built_in=built_in is not None)
        if claim is not None:
            return self._from_claim(claim)
        if built_in is not None:
            return built_in
        raise self._unknown(kind, name)

    def origin(self, kind: str, name: str) -> str:
        """Where what `get` returns comes from: a distribution, or the place of an object passed in."""
        for loaded in self._passed:
            with suppress(_Fault):
                if name in loaded.offers(KINDS[kind]):
                    return loaded.where
        built_in = name in self._builtin.offers(KINDS[kind])
        claim = self._chosen(kind, name, self._claims.get((kind, name), []), built_in=built_in)
        return CORE if claim is None else claim.distribution

    def names(self, kind: str) -> list[str]:
        """Every name of that kind, from metadata, built-in and passed-in plugins; sorted."""
        found = {name for each, name in self._claims if each == kind}
        found |= set(self._builtin.offers(KINDS[kind]))
        for loaded in self._passed:
            with suppress(_Fault):
                found |= set(loaded.offers(KINDS[kind]))
        return sorted(found)

    def listing(self) -> list[PluginInfo]:
        """Everything there is, by kind and name. Imports nothing that was not used before."""
        infos = [info for each in self._passed for info in self._object_infos(each, None, "loaded")]
        infos += self._object_infos(self._builtin, CORE, "built in")
        infos += [self._info(claim) for claims in self._claims.values() for claim in claims]
        infos += [
            PluginInfo("", "", name, None, "", "broken", error) for name, error in self._unreadable.items()
        ]
        order = {kind: n for n, kind in enumerate(KINDS)}
        return sorted(
            infos,
            key=lambda info: (order.get(info.kind, -1), info.name, info.distribution or "", info.module),
        )

    # ── looking up ───────────────────────────────────────────────────────────────────────────────────

    def _among_passed(self, kind: Kind, name: str) -> Any:
        """What the passed-in objects offer under `name`. They were asked for: a broken one is an error."""
        found: list[tuple[_Loaded, Any]] = []
        for loaded in self._passed:
            try:
                factory = loaded.offers(kind).get(name)
            except _Fault as fault:
                raise PluginError(f"the plugin {loaded.where} that was passed in {fault}") from fault.cause
            if factory is not None:
                found.append((loaded, factory))
        if len(found) > 1:
            both = " and ".join(loaded.where for loaded, _factory in found)
            raise PluginError(
                f"{kind.name} {name!r} is offered by two passed-in plugins: {both}; pass one of them"
            )
        return found[0][1] if found else None

    def _chosen(self, kind: str, name: str, claims: Sequence[_Claim], *, built_in: bool) -> _Claim | None:
        """The claim to follow; None when there is none, or when the built-in plugin is meant."""
        chosen = self._choose.get(name)
        offered = [claim.distribution for claim in claims] + [CORE] * built_in
        for claim in claims:
            if chosen == _canonical(claim.distribution):
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
            each == name and _canonical(claim.distribution) == distribution
            for (_kind, each), claims in self._claims.items()
            for claim in claims
        )

    def _from_claim(self, claim: _Claim) -> Any:
        outcome = self._outcomes.get(claim)
        if outcome is None:
            outcome = self._outcomes[claim] = self._loaded(claim)
        if isinstance(outcome, _Broken):
            raise PluginError(
                f"{claim.kind} {claim.name!r} cannot be used: {claim.entry_point.value} of the distribution "
                f"{claim.distribution} {outcome.message}. Try: {outcome.help}"
            ) from outcome.cause
        return outcome.offers(KINDS[claim.kind])[claim.name]

    def _loaded(self, claim: _Claim) -> _Loaded | _Broken:
        """The plugin behind `claim`, imported and asked; or what is wrong with it."""
        reinstall = f"pip install --force-reinstall {claim.distribution}"
        try:
            plugin = claim.entry_point.load()
        except Exception as error:  # somebody else's module: anything can happen
            return _Broken(f"cannot be imported: {_short(error)}", error, reinstall)
        loaded = self._register(plugin, claim.entry_point.value)
        upgrade = f"pip install --upgrade {claim.distribution}"
        kind = KINDS[claim.kind]
        try:
            offered = loaded.offers(kind)
        except _Fault as fault:
            return _Broken(str(fault), fault.cause, upgrade, loaded.hooks)
        if kind.hook not in loaded.hooks:
            return _Broken(f"has no hook {kind.hook}", None, upgrade, loaded.hooks)
        if claim.name not in offered:
            others = ", ".join(sorted(offered)) or "nothing"
            message = f"does not offer the name of its entry point: {kind.hook} returns {others}"
            return _Broken(message, None, upgrade, loaded.hooks)
        return loaded

    def _register(self, plugin: object, where: str) -> _Loaded:
        """`plugin` among those of the manager, once; an invalid one stays outside and knows why."""
        known = self._objects.get(id(plugin))
        return self._take(plugin, where, _fault_of(plugin)) if known is None else known

    def _take(self, plugin: object, where: str, fault: _Fault | None) -> _Loaded:
        if fault is None:
            self.manager.register(plugin, f"{where}#{len(self._objects)}")
        taken = self._objects[id(plugin)] = _Loaded(plugin, where, self.manager, fault)
        return taken

    def _unknown(self, kind: str, name: str) -> PluginError:
        from pointsman.plugins.known_names import (
            what_to_write,  # most programs never have anything to suggest
        )

        names = self.names(kind)
        message = f"no plugin offers {kind} {name!r}; installed: {', '.join(names) or 'none'}"
        hint = what_to_write(kind, name, names)
        return PluginError(f"{message}.{hint}" if hint else message)

    # ── metadata ─────────────────────────────────────────────────────────────────────────────────────

    @cached_property
    def _metadata(self) -> tuple[dict[tuple[str, str], list[_Claim]], dict[str, str]]:
        """All claims by kind and name, and the distributions whose metadata cannot be read."""
        kinds = {kind.group: kind.name for kind in KINDS.values()}
        claims: dict[tuple[str, str], list[_Claim]] = {}
        unreadable: dict[str, str] = {}
        for distribution in distributions():
            try:
                # Parsing the entry points of all that is installed would take as long as the rest of a build.
                if _PREFIX not in (distribution.read_text("entry_points.txt") or ""):
                    continue
                ours = [each for each in distribution.entry_points if each.group in kinds]
                name, version = _identity(distribution)
            except Exception as error:  # somebody else's files: anything can happen
                unreadable[_directory(distribution)] = f"its metadata cannot be read: {_short(error)}"
                continue
            for entry_point in ours:
                claim = _Claim(kinds[entry_point.group], entry_point.name, name, version, entry_point)
                others = claims.setdefault((claim.kind, claim.name), [])
                # The same distribution twice on the path, as editable installs have it: the first one counts.
                if all(_canonical(each.distribution) != _canonical(name) for each in others):
                    others.append(claim)
        return claims, unreadable

    @property
    def _claims(self) -> dict[tuple[str, str], list[_Claim]]:
        return self._metadata[0]

    @property
    def _unreadable(self) -> dict[str, str]:
        return self._metadata[1]

    # ── listing ──────────────────────────────────────────────────────────────────────────────────────

    def _object_infos(self, loaded: _Loaded, distribution: str | None, state: State) -> Iterator[PluginInfo]:
        version = _version_of_core() if distribution else None
        info = PluginInfo("", "", distribution, version, loaded.where, state, None, loaded.hooks)
        if loaded.fault is not None:
            yield replace(info, state="broken", error=str(loaded.fault))
            return
        for kind in KINDS.values():
            try:
                for name in loaded.offers(kind):
                    yield replace(info, kind=kind.name, name=name)
            except _Fault as fault:
                yield replace(info, kind=kind.name, state="broken", error=str(fault))

    def _info(self, claim: _Claim) -> PluginInfo:
        outcome = self._outcomes.get(claim)
        state: State = "not loaded"
        error: str | None = None
        if isinstance(outcome, _Broken):
            state, error = "broken", outcome.message
        elif outcome is not None:
            state = "loaded"
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
        )

    def _standing(self, claim: _Claim) -> tuple[State, str | None]:
        """Whether a claim that was not followed yet would be."""
        claims = self._claims[claim.kind, claim.name]
        built_in = claim.name in self._builtin.offers(KINDS[claim.kind])
        try:
            chosen = self._chosen(claim.kind, claim.name, claims, built_in=built_in)
        except PluginError as error:
            return "conflict", error.message
        return ("not loaded" if chosen == claim else "not chosen"), None


class _Manager(pluggy.PluginManager):
    """A manager that does not look for hooks among what every object has.

    Those are three quarters of what there is to look at, and to look at them takes most of the time.
    """

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookspec_opts(module_or_class, name)


class _Claim(NamedTuple):
    """A distribution says in its metadata that it offers a name."""

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint


class _Broken(NamedTuple):
    """What came of a claim that does not hold. `help` is a command that may mend it."""

    message: str
    cause: BaseException | None
    help: str
    hooks: tuple[str, ...] = ()


class _Fault(Exception):
    """What is wrong with a plugin object, as the end of a sentence about it."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class _Loaded:
    """A plugin object, and what it offers of each kind."""

    def __init__(
        self, plugin: object, where: str, manager: pluggy.PluginManager, fault: _Fault | None
    ) -> None:
        self.plugin = plugin
        self.where = where
        self.fault = fault
        self._manager = manager
        self._offers: dict[str, dict[str, Any] | _Fault] = {}

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of its hooks."""
        callers = self._manager.get_hookcallers(self.plugin) if self.fault is None else None
        return tuple(sorted(caller.name for caller in callers or ()))

    def offers(self, kind: Kind) -> dict[str, Any]:
        """What its hook for `kind` returns, by name; asked once. Raises _Fault."""
        if self.fault is not None:
            raise self.fault
        if kind.name not in self._offers:
            try:
                self._offers[kind.name] = self._ask(kind)
            except _Fault as fault:
                self._offers[kind.name] = fault
        offered = self._offers[kind.name]
        if isinstance(offered, _Fault):
            raise offered
        return offered

    def _ask(self, kind: Kind) -> dict[str, Any]:
        others = [each for each in self._manager.get_plugins() if each is not self.plugin]
        try:
            answers = self._manager.subset_hook_caller(kind.hook, others)()
            factories = [factory for answer in answers for factory in answer]
        except Exception as error:  # somebody else's code: anything can happen
            raise _Fault(f"fails in its hook {kind.hook}: {_short(error)}", error) from error
        offered: dict[str, Any] = {}
        for factory in factories:
            name = getattr(factory, "name", None)
            if not isinstance(name, str) or not isinstance(factory, kind.factory or object):
                wanted = kind.factory.__name__ if kind.factory else "something with a name"
                raise _Fault(
                    f"returns a {type(factory).__name__} from {kind.hook}, expected a list of {wanted}"
                )
            if name in offered:
                raise _Fault(f"returns two of the name {name!r} from {kind.hook}")
            offered[name] = factory
        return offered


def _fault_of(plugin: object) -> _Fault | None:
    """Why `plugin` cannot be registered. A manager of its own takes the damage."""
    if isinstance(plugin, type):
        return _Fault(f"is a class, expected an object: write plugin = {plugin.__name__}()")
    trial = _Manager(PROJECT)
    trial.add_hookspecs(PointsmanSpec)
    try:
        hash(plugin)
        trial.register(plugin, "trial")
        hooks = [caller.name for caller in trial.get_hookcallers(plugin) or ()]
        _refuse_strays(trial, plugin, hooks)
    except _Fault as fault:
        return fault
    except Exception as error:  # somebody else's object: anything can happen
        return _Fault(f"is not a plugin: {_short(error)}", error)
    return None if hooks else _Fault("has no hook: no method is marked with @hookimpl")


def _refuse_strays(trial: pluggy.PluginManager, plugin: object, hooks: Sequence[str]) -> None:
    """Raise _Fault for an implementation of no hook, and for one that lacks its mark."""
    known = [kind.hook for kind in KINDS.values()]
    for name in hooks:
        caller = getattr(trial.hook, name)
        if not caller.has_spec() and not all(each.optionalhook for each in caller.get_hookimpls()):
            raise _Fault(
                f"implements {name}, which is no hook; {did_you_mean(name, known, what='there are')}"
            )
    for name in dir(plugin):
        if not name.startswith(f"{PROJECT}_") or name in hooks:
            continue
        method: Callable[..., Any] | None = getattr(plugin, name, None)
        inherited = hasattr(method, f"{PROJECT}_spec")
        if callable(method) and not inherited and nearest(name, known) is not None:
            raise _Fault(f"has a method {name} that is not marked with @hookimpl")


def _conflict(kind: str, name: str, offered: Sequence[str]) -> str:
    return (
        f"{kind} {name!r} is offered by {' and by '.join(offered)}; settle it in the configuration with "
        f"plugins: {{{name}: {offered[0]}}}, or uninstall one of them"
    )


def _canonical(distribution: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _identity(distribution: Distribution) -> tuple[str, str]:
    """Its name and version, without the parser of mail that takes its whole description apart."""
    head = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
    said = {key: value for key, _colon, value in (line.partition(": ") for line in head.splitlines())}
    if "Name" in said and "Version" in said:
        return said["Name"], said["Version"]
    about = distribution.metadata  # parsed anew each time that it is asked for
    return about["Name"], about["Version"]


def _directory(distribution: Distribution) -> str:
    """Some name for a distribution whose metadata cannot be read."""
    path = getattr(distribution, "_path", None)
    return getattr(path, "name", None) or "a distribution without a name"


def _version_of_core() -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(CORE)
    except PackageNotFoundError:
        return None


def _describe(plugin: object) -> str:
    kind = plugin if isinstance(plugin, type) else type(plugin)
    return f"{kind.__module__}:{kind.__qualname__}"


def _short(error: BaseException) -> str:
    """The kind of `error` and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
