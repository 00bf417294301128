"""What stands before the models of a configuration: guards and selectors, those that a reload keeps too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman.build.asking import Asking
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import codes
from pointsman.config.problems import KeyPath
from pointsman.config.sections import GuardConfig, ModelConfig
from pointsman.routing.entrance import ConfiguredGuard, ConfiguredSelector, Entrance
from pointsman.routing.pool import Pool

if TYPE_CHECKING:
    from pointsman.mirroring.mirror import Mirror

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
            mirror = self._mirror(name, model)
            if own or around_all or selector is not None or mirror is not None:
                guards = (*around_all, *own)
                total_of = model.timeouts.total or total
                by_name[name] = Entrance(guards, len(own), total_of, selector, mirror)
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

    def _mirror(self, name: str, model: ModelConfig) -> Mirror | None:
        if model.mirror is None:
            return None
        from pointsman.mirroring.mirror import Mirror  # few routers have one

        previous = None if self._draft.previous is None else self._draft.previous.entrances.get(name)
        old = None if previous is None else previous.mirror
        if isinstance(old, Mirror) and old.config.to == model.mirror.to:
            self._draft.adoptions.append(partial(old.configure, model.mirror))
            return old
        made = Mirror(name, model.mirror, self._draft.rng)
        if isinstance(old, Mirror):
            self._draft.adoptions.append(partial(made.spend_on, old))
        return made

    def expect_prices(self, pools: Mapping[str, Pool | None]) -> None:
        """Copies whose money is counted go where a call has a known price; else that is a problem."""
        config = self._draft.config
        names = config.names()
        for name, model in config.models.items():
            pool = None if model.mirror is None else pools.get(names.target(model.mirror.to))
            if model.mirror is None or model.mirror.budget is None or pool is None:
                continue
            unknown = [each.id for each in pool.deployments if each.price is None]
            if unknown:
                message = f"nobody knows what a call of {', '.join(unknown)} costs, so this cannot be kept to"
                hint = "say its `price`, such as `{input: 0, output: 0}` for a machine of your own"
                path = ("models", name, "mirror", "budget")
                self._draft.problem(path, message, hint=hint, code=codes.UNKNOWN_COST)

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
                    code = codes.GUARD_MISSED
                    self._draft.warnings.append(config.problem((*path, n), message, hint, code=code))


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
