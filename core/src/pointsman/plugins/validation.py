"""What a plugin object offers, and what is wrong with it. Whatever others' code raises here stays here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import iscoroutine
from typing import Any

import pluggy
from msgspec import Struct

from pointsman._internal.suggest import did_you_mean, nearest
from pointsman.hookspecs import PROJECT, PointsmanSpec
from pointsman.plugins.discovery import short
from pointsman.plugins.kinds import KINDS, Kind


class Manager(pluggy.PluginManager):
    """A manager that does not look for hooks among what every object has.

    Those are three quarters of what there is to look at, and to look at them takes most of the time.
    """

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookimpl_opts(plugin, name)

    def parse_hookspec_opts(self, module_or_class: Any, name: str) -> Any:
        return None if name.startswith("__") else super().parse_hookspec_opts(module_or_class, name)


class PluginFault(Exception):
    """What is wrong with a plugin object, as the end of a sentence about it."""

    def __init__(self, message: str, cause: BaseException | None = None) -> None:
        super().__init__(message)
        self.cause = cause


class Loaded:
    """A plugin object, and what it offers of each kind."""

    def __init__(
        self, plugin: object, where: str, manager: pluggy.PluginManager, fault: PluginFault | None
    ) -> None:
        self.plugin = plugin
        self.where = where
        self.fault = fault
        self._manager = manager
        self._offers: dict[str, dict[str, Any] | PluginFault] = {}

    @property
    def hooks(self) -> tuple[str, ...]:
        """The names of its hooks."""
        callers = self._manager.get_hookcallers(self.plugin) if self.fault is None else None
        return tuple(sorted(caller.name for caller in callers or ()))

    def offers(self, kind: Kind) -> dict[str, Any]:
        """What its hook for `kind` returns, by name; asked once. Raises PluginFault."""
        if self.fault is not None:
            raise self.fault
        if kind.name not in self._offers:
            try:
                self._offers[kind.name] = self._ask(kind)
            except PluginFault as fault:
                self._offers[kind.name] = fault
        offered = self._offers[kind.name]
        if isinstance(offered, PluginFault):
            raise offered
        return offered

    def _ask(self, kind: Kind) -> dict[str, Any]:
        others = [each for each in self._manager.get_plugins() if each is not self.plugin]
        try:
            answers = self._manager.subset_hook_caller(kind.hook, others)()
            for answer in answers:
                _refuse_no_list(answer, kind)
            factories = [factory for answer in answers for factory in answer]
        except PluginFault:
            raise
        except (Exception, SystemExit) as error:  # somebody else's code: anything can happen
            raise PluginFault(f"fails in its hook {kind.hook}: {short(error)}", error) from error
        offered: dict[str, Any] = {}
        for factory in factories:
            name = getattr(factory, "name", None)
            if not isinstance(name, str) or not isinstance(factory, kind.factory or object):
                wanted = kind.factory.__name__ if kind.factory else "something with a name"
                raise PluginFault(
                    f"returns a {type(factory).__name__} from {kind.hook}, expected a list of {wanted}"
                )
            if (wrong := _misshapen(factory)) is not None:
                raise PluginFault(f"returns a {type(factory).__name__} {wrong} from {kind.hook}")
            if name in offered:
                raise PluginFault(f"returns two of the name {name!r} from {kind.hook}")
            offered[name] = factory
        return offered


def _refuse_no_list(answer: Any, kind: Kind) -> None:
    """Raise PluginFault for what a hook returned in place of several of something."""
    if iscoroutine(answer):
        answer.close()  # or Python warns that nobody awaited it
        raise PluginFault(f"has an async hook {kind.hook}, and nobody awaits hooks: write def")
    if isinstance(answer, kind.factory or ()):
        name = type(answer).__name__
        raise PluginFault(f"returns a {name} from {kind.hook}, expected a list: write return [{name}(…)]")


_MEMBERS = {
    "default_base_url": str | None,
    "base_url_form": str | None,
    "presets": str | None,
    "key_variable": str | None,
    "needs_key": bool,
    "options": type | None,
    "models": Sequence,
    "rank": int,
}
"""What factories have besides a name, `settings` and `make`, seen to when something is made."""


def _misshapen(factory: Any) -> str | None:
    """What is wrong with a member of a factory; None when nothing is. Nobody checks them when it is made."""
    for member, kind in _MEMBERS.items():
        if isinstance(factory, Struct) and member in factory.__struct_fields__:
            value = getattr(factory, member)
            if not isinstance(value, kind):
                return f"whose `{member}` is a {type(value).__name__}"
    return None


def fault_of(plugin: object) -> PluginFault | None:
    """Why `plugin` cannot be registered. A manager of its own takes the damage."""
    if isinstance(plugin, type):
        return PluginFault(f"is a class, expected an object: write plugin = {plugin.__name__}()")
    trial = Manager(PROJECT)
    trial.add_hookspecs(PointsmanSpec)
    try:
        hash(plugin)
        trial.register(plugin, "trial")
        hooks = [caller.name for caller in trial.get_hookcallers(plugin) or ()]
        _refuse_strays(trial, plugin, hooks)
    except PluginFault as fault:
        return fault
    except pluggy.PluginValidationError as error:
        hook = next((kind.hook for kind in KINDS.values() if f"'{kind.hook}'" in str(error)), None)
        said = short(error) if hook is None else f"hooks are given nothing: write def {hook}(self)"
        return PluginFault(f"is not a plugin: {said}", error)
    except Exception as error:  # somebody else's object: anything can happen
        return PluginFault(f"is not a plugin: {short(error)}", error)
    return None if hooks else PluginFault("has no hook: no method is marked with @hookimpl")


def _refuse_strays(trial: pluggy.PluginManager, plugin: object, hooks: Sequence[str]) -> None:
    """Raise PluginFault for an implementation of no hook, and for one that lacks its mark."""
    known = [kind.hook for kind in KINDS.values()]
    for name in hooks:
        caller = getattr(trial.hook, name)
        if not caller.has_spec() and not all(each.optionalhook for each in caller.get_hookimpls()):
            raise PluginFault(
                f"implements {name}, which is no hook; {did_you_mean(name, known, what='there are')}"
            )
    for name in dir(plugin):
        if not name.startswith(f"{PROJECT}_") or name in hooks:
            continue
        method: Callable[..., Any] | None = getattr(plugin, name, None)
        inherited = hasattr(method, f"{PROJECT}_spec")
        if callable(method) and not inherited and nearest(name, known) is not None:
            raise PluginFault(f"has a method {name} that is not marked with @hookimpl")
