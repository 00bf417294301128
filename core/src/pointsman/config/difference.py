"""What differs between two configurations in what they mean.

What is only written differently is no difference: a short form or a mapping, a default that is said or left
out, `60s` or `1m`, the order of keys. Where something can be said in several places, such as a timeout, what
holds is compared, and told at the place that says it. No value that may be secret is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, structs
from pydantic import BaseModel, RootModel

from pointsman._internal.settings import Section
from pointsman.config.model import Config
from pointsman.config.named import Named, Open
from pointsman.config.overrides import SPECIFIC, merged
from pointsman.config.plugin_settings import KINDS_AT, PluginSettings, as_mapping
from pointsman.config.problems import KeyPath, readable, show_path
from pointsman.config.sections import (
    DeploymentConfig,
    DiscoverModels,
    FallbackConfig,
    ModelConfig,
    ProviderConfig,
)
from pointsman.config.shown_values import Shows, fields_of, shown, shown_carefully

if TYPE_CHECKING:
    from pointsman.plugins.registry import Plugins

ChangeKind = Literal["added", "removed", "changed", "reordered"]


class Change(Struct, frozen=True):
    """One thing that differs.

    Attributes:
        kind: what happened to it.
        path: where it stands, as in `models.assistant.deployments["gpu1/llama3.2"].weight`: a deployment is
            named by its id.
        sentence: for people, such as `assistant: weight of gpu1/llama3.2 3 → 1`; `str()` of the change.
        before, after: as people write it; None where there is nothing to tell, or where it may be secret.
    """

    kind: ChangeKind
    path: str
    sentence: str
    before: str | None = None
    after: str | None = None

    def __str__(self) -> str:
        return self.sentence


def differences(old: Config, new: Config, *, plugins: Plugins | None = None) -> tuple[Change, ...]:
    """What `new` means that `old` does not, and the other way round; nothing when they mean the same.

    Args:
        plugins: who is asked what settings of plugins mean; None: those that are installed and let in. They
            are imported, and only where such settings are written differently.
    """
    return tuple(_Comparison(old.said, new.said, PluginSettings(new, plugins)).all())


class _At(Struct, frozen=True):
    """A place, and how it is told of.

    Attributes:
        lead: before the key: `assistant: `.
        keys: the way from there to the value.
        of: behind the key: ` of gpu1/llama3.2`.
        shows: how values look there.
    """

    path: KeyPath
    lead: str = ""
    keys: KeyPath = ()
    of: str = ""
    shows: Shows = shown
    annotation: Any = None

    def below(self, key: str | int, annotation: Any = None) -> _At:
        """The place of `key` in what stands here."""
        return structs.replace(
            self, path=(*self.path, key), keys=(*self.keys, key), annotation=annotation or self.annotation
        )

    def told(self, kind: ChangeKind, *, what: str = "") -> Change:
        """That something was added here or taken away, or that nothing more is to be told."""
        more = f" ({what})" if what else ""
        sentence = f"{self.lead}{show_path(self.keys)}{self.of} {kind}{more}"
        return Change(kind, show_path(self.path), sentence)

    def changed(self, old: Any, new: Any) -> Change:
        """That `new` stands here in place of `old`."""
        before, after = self.shows(old, self.annotation), self.shows(new, self.annotation)
        return self.told("changed") if before is None or after is None else self.from_to(before, after)

    def from_to(self, before: str, after: str, kind: ChangeKind = "changed") -> Change:
        """The same of values as they are to be shown."""
        if before == after:  # they differ beyond what is shown
            return self.told("changed")
        sentence = f"{self.lead}{show_path(self.keys)}{self.of} {before} → {after}"
        return Change(kind, show_path(self.path), sentence, before, after)


class _Comparison:
    """The differences of two configurations."""

    def __init__(self, old: Config, new: Config, settings: PluginSettings) -> None:
        self._old = old
        self._new = new
        self._settings = settings
        self._specific = old.specific(), new.specific()

    def all(self) -> Iterator[Change]:
        old, new = self._old, self._new
        yield from self._providers()
        yield from self._models()
        yield from self._aliases()
        at = _At(("default_model",), keys=("default_model",))
        yield from self._values(old.model_by_default, new.model_by_default, at)
        for name, before, annotation in fields_of(old):
            if name not in ("include", "providers", "models", "aliases", "default_model"):
                at = _At((name,), keys=(name,), annotation=annotation)
                yield from self._values(before, getattr(new, name), at)
        for name in dict.fromkeys((*old.sections, *new.sections)):
            at = _At((name,), keys=(name,))
            unsaid: dict[str, Any] | None = {} if name in _THERE_UNSAID else None
            yield from self._of_plugin(
                "section", name, old.sections.get(name, unsaid), new.sections.get(name, unsaid), at
            )

    # ── providers ────────────────────────────────────────────────────────────────────────────────────

    def _providers(self) -> Iterator[Change]:
        for name, old, new in _pairs(self._old.providers, self._new.providers):
            path: KeyPath = ("providers", name)
            if old is None or new is None:
                kind: ChangeKind = "added" if old is None else "removed"
                some = new or old
                what = some.type if some is not None and kind == "added" else ""
                yield _At(path, f"provider {readable(name)}").told(kind, what=readable(what))
            else:
                yield from self._provider(old, new, _At(path, f"provider {readable(name)}: "))

    def _provider(self, old: ProviderConfig, new: ProviderConfig, at: _At) -> Iterator[Change]:
        # What it lists is told as models; what holds of the others depends on what is said elsewhere.
        elsewhere = ("models", "api_key", "auth", "timeouts", "health", "transport")
        for name, before, annotation in fields_of(old):
            if name not in elsewhere:
                yield from self._values(before, getattr(new, name), at.below(name, annotation))
        yield from self._values(_asked_for(old), _asked_for(new), at.below("models"))
        yield from self._credential(old, new, at)
        if old.transport is not None or new.transport is not None:
            transports = old.transport or self._old.transport, new.transport or self._new.transport
            yield from self._values(*transports, at.below("transport"))
        if old.health is not None or new.health is not None:
            checks = self._old.health_for(old), self._new.health_for(new)
            yield from self._values(*checks, at.below("health"))
        before, after = merged_timeouts(self._old, old), merged_timeouts(self._new, new)
        yield from self._said(old.timeouts, new.timeouts, before, after, at.below("timeouts"))
        yield from self._of_plugin("provider", new.type, old.settings, new.settings, at)

    def _credential(self, old: ProviderConfig, new: ProviderConfig, at: _At) -> Iterator[Change]:
        if old.api_key is not None and new.api_key is not None:
            yield from self._values(old.api_key, new.api_key, at.below("api_key"))
        else:
            yield from self._values(_sources(old), _sources(new), at.below("auth"))

    # ── models ───────────────────────────────────────────────────────────────────────────────────────

    def _models(self) -> Iterator[Change]:
        for name, old, new in _pairs(self._old.described_models(), self._new.described_models()):
            path: KeyPath = ("models", name)
            if old is None or new is None:
                kind: ChangeKind = "added" if old is None else "removed"
                what = _to(new) if new is not None else ""
                yield _At(path, f"model {readable(name)}").told(kind, what=what)
            elif old != new or _is_specific(old):
                yield from self._model(name, old, new)

    def _model(self, name: str, old: ModelConfig, new: ModelConfig) -> Iterator[Change]:
        at = _At(("models", name), f"{readable(name)}: ")
        yield from self._deployments(name, old, new, at)
        if old.strategy is not None or new.strategy is not None:
            before, after = old.strategy or self._old.strategy, new.strategy or self._new.strategy
            yield from self._values(before, after, at.below("strategy"))
        if old.retry is not None or new.retry is not None:
            yield from self._values(
                old.retry or self._old.retry, new.retry or self._new.retry, at.below("retry")
            )
        if old.fallback is not None or new.fallback is not None:
            others = _others(self._old, name, old), _others(self._new, name, new)
            yield from self._values(*others, at.below("fallback"))
        elsewhere = ("deployments", "strategy", "retry", "fallback", "timeouts", *SPECIFIC)
        for key, value, annotation in fields_of(old):
            if key not in elsewhere:
                yield from self._values(value, getattr(new, key), at.below(key, annotation))
        if old.timeouts != new.timeouts:
            timeouts = _timeouts_of(self._old, old), _timeouts_of(self._new, new)
            yield from self._said(old.timeouts, new.timeouts, *timeouts, at.below("timeouts"))
        for section in SPECIFIC:
            said = getattr(old, section), getattr(new, section)
            if said != (None, None):
                general = getattr(self._old, section), getattr(self._new, section)
                one, other = (merged(*each) for each in zip(general, said, strict=True))
                yield from self._said(*said, dict(one), dict(other), at.below(section))

    def _deployments(self, model: str, old: ModelConfig, new: ModelConfig, at: _At) -> Iterator[Change]:
        before = {each.id: each for each in old.deployments}
        after = {each.id: each for each in new.deployments}
        for id, one, other in _pairs(before, after):
            path: KeyPath = (*at.path, "deployments", id)
            if one is None or other is None:
                kind: ChangeKind = "added" if one is None else "removed"
                what = _place(other) if other is not None else ""
                yield _At(path, f"{at.lead}{readable(id)}").told(kind, what=what)
            else:
                place = structs.replace(at, path=path, of=f" of {readable(id)}")
                yield from self._deployment(model, one, other, place)
        kept = [id for id in before if id in after], [id for id in after if id in before]
        if kept[0] != kept[1] and model in self._old.models and model in self._new.models:
            shown_as = [shown(each) or "" for each in kept]
            yield at.below("deployments").from_to(shown_as[0], shown_as[1], "reordered")

    def _deployment(
        self, model: str, old: DeploymentConfig, new: DeploymentConfig, at: _At
    ) -> Iterator[Change]:
        for key, value, annotation in fields_of(old):
            if key not in ("name", "timeouts", *SPECIFIC):  # with another name it is another one
                yield from self._values(value, getattr(new, key), at.below(key, annotation))
        if old.timeouts != new.timeouts:
            timeouts = dict(self._old.timeouts_for(model, old)), dict(self._new.timeouts_for(model, new))
            yield from self._said(old.timeouts, new.timeouts, *timeouts, at.below("timeouts"))
        for section in SPECIFIC:
            said = getattr(old, section), getattr(new, section)
            if said != (None, None):
                holds = self._specific[0].of(section, old), self._specific[1].of(section, new)
                yield from self._said(*said, dict(holds[0]), dict(holds[1]), at.below(section))

    def _aliases(self) -> Iterator[Change]:
        for name, old, new in _pairs(self._old.aliases, self._new.aliases):
            at = _At(("aliases", name), f"alias {readable(name)}")
            if old is None or new is None:
                yield at.told("added" if old is None else "removed", what=readable(new or ""))
            elif old != new:
                yield at.changed(old, new)

    # ── values ───────────────────────────────────────────────────────────────────────────────────────

    def _said(
        self,
        old: Section | None,
        new: Section | None,
        holds_before: Mapping[str, Any],
        holds_after: Mapping[str, Any],
        at: _At,
    ) -> Iterator[Change]:
        """The keys that one of the two sections says, where what holds is not the same."""
        section = new if new is not None else old
        for key, _value, annotation in () if section is None else fields_of(section):
            if _says(old, key) or _says(new, key):
                yield from self._values(holds_before[key], holds_after[key], at.below(key, annotation))

    def _values(self, old: Any, new: Any, at: _At) -> Iterator[Change]:
        if isinstance(old, RootModel) and isinstance(new, RootModel):
            old, new = old.root, new.root
        if _meaning(at, old) == _meaning(at, new):
            return
        if isinstance(old, Named) and isinstance(new, Named):
            yield from self._named(old, new, at)
        elif type(old) is type(new) and isinstance(old, Section | BaseModel):
            yield from self._fields(old, new, at)
        elif isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self._entries(old, new, at)
        elif _alike(old, new):
            for n, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from self._values(one, other, at.below(n))
        elif isinstance(old or new, Section | BaseModel | Mapping) and (old is None or new is None):
            yield at.told("added" if old is None else "removed")
        else:
            yield at.changed(old, new)

    def _fields(self, old: Any, new: Any, at: _At) -> Iterator[Change]:
        if at.shows is shown and at.keys[-1:] == ("system",):
            at = structs.replace(at, shows=shown_carefully)
        for (name, before, annotation), (_name, after, _) in zip(fields_of(old), fields_of(new), strict=True):
            yield from self._values(before, after, at.below(name, annotation))
        if isinstance(old, Open) and isinstance(new, Open):
            yield from self._entries(old.settings, new.settings, at)

    def _named(self, old: Named, new: Named, at: _At) -> Iterator[Change]:
        if old.type != new.type:
            yield at.from_to(readable(old.type), readable(new.type))
            return
        for name, before, annotation in fields_of(old):
            yield from self._values(before, getattr(new, name), at.below(name, annotation))
        kinds = [KINDS_AT[key] for key in at.path if key in KINDS_AT]
        yield from self._of_plugin(kinds[-1] if kinds else "", new.type, old.settings, new.settings, at)

    def _of_plugin(self, kind: str, name: str, old: Any, new: Any, at: _At) -> Iterator[Change]:
        """What differs in settings that the plugin `name` of that kind knows."""
        if old == new:
            return
        at = structs.replace(at, shows=self._settings.shows(kind, name))
        if old is None or new is None:
            yield at.told("added" if old is None else "removed")
            return
        before, after = (self._settings.read(kind, name, as_mapping(each)) for each in (old, new))
        yield from self._values(before, after, at)

    def _entries(self, old: Mapping[Any, Any], new: Mapping[Any, Any], at: _At) -> Iterator[Change]:
        """The differences of mappings whose keys are names or options."""
        if at.shows is shown and not _OPTIONS.isdisjoint(at.keys):
            at = structs.replace(at, shows=shown_carefully)  # a text there may be anything
        for key, before, after in _pairs(old, new):
            place = at.below(str(key))
            if key in old and key in new:
                yield from self._values(before, after, place)
            else:
                what = place.shows(after, at.annotation) if key in new else None
                yield place.told("added" if key in new else "removed", what=what or "")


def merged_timeouts(config: Config, provider: ProviderConfig) -> dict[str, Any]:
    """What holds for calls to `provider` that neither a model nor a deployment says otherwise of."""
    said = {key: value for key, value in provider.timeouts if value is not None}
    return {**dict(config.timeouts), **said}


def _timeouts_of(config: Config, model: ModelConfig) -> dict[str, Any]:
    """What holds for calls of `model`, each key a tuple where its providers differ."""
    providers = dict.fromkeys(each.provider for each in model.deployments)
    known = [config.providers[each] for each in providers if each in config.providers]
    levels = [merged_timeouts(config, each) for each in known] or [dict(config.timeouts)]
    said = {key: value for key, value in model.timeouts if value is not None}
    holds = {key: tuple(dict.fromkeys(each[key] for each in levels)) for key in levels[0]}
    return {key: each[0] if len(each) == 1 else each for key, each in holds.items()} | said


def _pairs(old: Mapping[Any, Any], new: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Each key of both, with what stands at it before and after; None where nothing does."""
    for key in dict.fromkeys(chain(old, new)):
        yield key, old.get(key), new.get(key)


def _to(model: ModelConfig) -> str:
    """Where calls of a model go."""
    if model.selector is not None:
        return f"{readable(model.selector.type)} of {shown(model.of)}"
    return shown([each.id for each in model.deployments]) or ""


def _asked_for(provider: ProviderConfig) -> DiscoverModels | None:
    """How the provider is asked which models it has; None where they are listed."""
    return provider.models if isinstance(provider.models, DiscoverModels) else None


def _place(deployment: DeploymentConfig) -> str:
    """What is special about its share."""
    said = {"weight": deployment.weight != 1, "priority": deployment.priority != 0}
    return ", ".join(f"{key} {getattr(deployment, key)}" for key, special in said.items() if special)


def _is_specific(model: ModelConfig) -> bool:
    """Whether it says something that `==` does not tell from a default that nobody said."""
    return any(getattr(each, key) is not None for each in (model, *model.deployments) for key in SPECIFIC)


def _others(config: Config, name: str, model: ModelConfig) -> Sequence[FallbackConfig]:
    return [each for each in config.fallback_of(model) if each.to != name]


def _says(section: Section | None, key: str) -> bool:
    """Whether a section says the key; a timeout of nothing says nothing."""
    return section is not None and key in section.model_fields_set


_THERE_UNSAID = ("reload",)
"""Sections that mean the same when nobody says them as when they are empty."""

_ANY_ORDER = ("allow", "can", "deny", "on", "require", "shared_limits")
"""Keys of lists whose order means nothing."""


def _meaning(at: _At, value: Any) -> Any:
    """What is to be compared of `value`."""
    if not isinstance(value, list | tuple):
        return value
    if any(key in _ANY_ORDER for key in at.keys[-2:]):
        return frozenset(value)
    return [(each.to, frozenset(each.on)) if isinstance(each, FallbackConfig) else each for each in value]


def _alike(old: Any, new: Any) -> bool:
    """Whether two lists are to be compared item by item: sections, and of what plugins offer the same."""
    if not (isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new)):
        return False
    if any(
        isinstance(each, FallbackConfig) or not isinstance(each, Section | BaseModel) for each in (*old, *new)
    ):
        return False
    return [getattr(each, "type", "") for each in old] == [getattr(each, "type", "") for each in new]


_OPTIONS = frozenset(("defaults", "forced", "options", "system"))
"""Keys of what goes to upstreams as it is."""


def _sources(config: ProviderConfig) -> object:
    """Where the credential comes from, or a list of it where there are several."""
    several = [*config.credentials]
    return several if len(several) > 1 else next(iter(several), None)
