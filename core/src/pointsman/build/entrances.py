"""What stands before the models of a configuration: guards and selectors, those that a reload keeps too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pointsman.build.asking import Asking
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config.problems import KeyPath
from pointsman.config.sections import GuardConfig, ModelConfig
from pointsman.routing.entrance import ConfiguredGuard, ConfiguredSelector, Entrance

C = TypeVar("C", ConfiguredGuard, ConfiguredSelector)


class Entrances:
    """Makes guards and selectors; what says the same as before goes on with what it has in memory.

    Args:
        router: what selectors can ask; None for nobody.
    """

    def __init__(self, draft: Draft, factories: Factories, router: Any) -> None:
        self._draft = draft
        self._factories = factories
        self._router = router
        self._kept_guards, self._kept_selectors = _before(draft)

    def made(self) -> tuple[Mapping[str, Entrance], Entrance | None]:
        """By public name what stands before it, and what stands before all that no model lists.

        Whatever is wrong is a problem of the draft.
        """
        config = self._draft.config
        around_all = self._guards(config.guards, ("guards",), None)
        total = config.timeouts.total
        by_name = {}
        for name, model in config.described_models().items():
            own = self._guards(model.guards, ("models", name, "guards"), name)
            selector = self._selector(name, model)
            if own or around_all or selector is not None:
                guards = (*around_all, *own)
                by_name[name] = Entrance(guards, len(own), model.timeouts.total or total, selector)
        self._kept_guards, self._kept_selectors = [], []  # what does not go on is not kept in memory
        return by_name, Entrance(around_all, 0, total) if around_all else None

    def _guards(
        self, configs: Sequence[GuardConfig], path: KeyPath, model: str | None
    ) -> tuple[ConfiguredGuard, ...]:
        made = [self._guard(each, (*path, n), model) for n, each in enumerate(configs)]
        return tuple(each for each in made if each is not None)

    def _guard(self, config: GuardConfig, path: KeyPath, model: str | None) -> ConfiguredGuard | None:
        configured = self._factories.configured("guard", config, path)
        if configured is None:
            return None
        factory, settings = configured
        context = self._draft.contexts.guard(config.type, settings, model=model)
        guard = self._factories.make("guard", config.type, path, lambda: factory.make(context))
        if guard is None:
            return None
        made = ConfiguredGuard(guard, config.type, settings, model, config.on_error == "allow")
        old = _taken(self._kept_guards, made)
        return made if old is None else ConfiguredGuard(old.guard, old.name, settings, model, made.allows)

    def _selector(self, name: str, model: ModelConfig) -> ConfiguredSelector | None:
        if model.selector is None or not model.of:
            return None
        config, path = model.selector, ("models", name, "selector")
        configured = self._factories.configured("selector", config, path)
        if configured is None:
            return None
        factory, settings = configured
        default = model.chosen_by_default
        ask = Asking(self._router, self._draft.clock)
        context = self._draft.contexts.selector(
            config.type, settings, model=name, models=model.of, default=default, ask=ask
        )
        selector = self._factories.make("selector", config.type, path, lambda: factory.make(context))
        if selector is None:
            return None
        made = partial(
            ConfiguredSelector,
            name=config.type,
            settings=settings,
            model=name,
            of=tuple(model.of),
            default=default,
            within=model.select_within,
        )
        old = _taken(self._kept_selectors, made(selector=selector))
        return made(selector=selector if old is None else old.selector)

    def warn(self) -> None:
        """Of guards that a request does not meet where it falls back on a model."""
        config = self._draft.config
        names = config.names()
        for name, model in config.models.items():
            general = model.fallback is None
            path: KeyPath = ("fallback",) if general else ("models", name, "fallback")
            for n, fallback in enumerate(config.fallback_of(model) if model.selector is None else ()):
                to = names.described_as(fallback.to)
                other = None if to == name else config.models.get(to or "")
                lacking = [] if other is None else [e.type for e in other.guards if e not in model.guards]
                if lacking:
                    message = (
                        f"what falls back on {fallback.to!r} misses its guards ({', '.join(lacking)}): "
                        "those of the model that was asked for hold"
                    )
                    where = "at models that have no `fallback`" if general else f"at {name!r}"
                    hint = f"name them {where} too, or under the general `guards`"
                    self._draft.warnings.append(config.problem((*path, n), message, hint))


def _before(draft: Draft) -> tuple[list[ConfiguredGuard], list[ConfiguredSelector]]:
    """The guards and selectors that run, each once."""
    if draft.previous is None:
        return [], []
    entrances = [*draft.previous.entrances.values()]
    if draft.previous.general_entrance is not None:
        entrances.append(draft.previous.general_entrance)
    guards = {id(each): each for entrance in entrances for each in entrance.guards}
    return list(guards.values()), [each.selector for each in entrances if each.selector is not None]


def _taken(kept: list[C], made: C) -> C | None:
    """The first of `kept` that goes on as `made`, which is then no longer there for another."""
    for n, each in enumerate(kept):
        if made.goes_on(each):
            return kept.pop(n)
    return None
