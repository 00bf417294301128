"""LiteLLM's fallbacks: what follows a model, and after what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.document import Translation, listed, mapping

_KINDS = {
    "context_window_fallbacks": "context_window",
    "content_policy_fallbacks": "content_filtered",
    "fallbacks": "unavailable",
}
"""What each follows; the last one also what no other one is said for, by any model."""
_USUAL = {"context_window", "unavailable"}
_SECTIONS = ("router_settings", "litellm_settings")
_ALONE = "{} (alone)"

Following = dict[str, tuple[set[str], Keys]]
"""By the model that follows: after what, and where that is said."""


def put_fallbacks(to: Translation) -> None:
    """Those of all models, each with what it follows; and the general ones."""
    found: dict[str, Following] = {}
    for key, reason in _KINDS.items():
        for model, target, of in _pairs(to, key):
            reasons, _of = found.setdefault(model, {}).setdefault(target, (set(), of))
            reasons.add(reason)
    said = {reason for key, reason in _KINDS.items() if any(section.get(key) for section in _sections(to))}
    others = {reason for reason in _KINDS.values() if reason not in said} | {"unavailable"}
    for following in found.values():
        for reasons, _of in following.values():
            if "unavailable" in reasons:
                reasons |= others
    general = found.pop("*", {})
    _put_general(to, general, others)
    for model, following in _without_loops(to, found).items():
        _put(to, ("models", model, "fallback"), following)


def _sections(to: Translation) -> list[Mapping[str, Any]]:
    return [mapping(to.said.get(section)) for section in _SECTIONS]


def _put_general(to: Translation, following: Following, reasons: set[str]) -> None:
    for section in _SECTIONS:
        said = mapping(to.said.get(section)).get("default_fallbacks")
        for n, target in enumerate(listed(said)):
            of: Keys = (
                (section, "default_fallbacks", n)
                if isinstance(said, list)
                else (section, "default_fallbacks")
            )
            if (meant := _meant(to, target, of)) is not None:
                following.setdefault(meant, (set(reasons), of))
    _put(to, ("fallback",), following)


def _put(to: Translation, path: Keys, following: Following) -> None:
    for n, (target, (reasons, of)) in enumerate(following.items()):
        value = target if reasons == _USUAL else {"to": target, "on": sorted(reasons)}
        to.put((*path, n), value, of=of)


def _pairs(to: Translation, key: str) -> Iterator[tuple[str, str, Keys]]:
    """Each model with one that follows it, and where that stands, as far as both can be asked."""
    for section in _SECTIONS:
        said = mapping(to.said.get(section)).get(key)
        for n, each in enumerate(listed(said)):
            within: Keys = (section, key, n) if isinstance(said, list) else (section, key)
            if isinstance(each, str):  # for all models that have none of their own
                yield from _targets(to, "*", each, within)
                continue
            if not isinstance(each, Mapping):
                to.leave_out(within, each, "expected `{model: [others]}`; it is left out")
            for model, targets in mapping(each).items():
                of = (*within, model)
                meant = model if model == "*" else to.meant(model)
                if meant is None:
                    to.warn(of, f"no model is called {model!r} here; it is left out")
                elif meant != "*" and meant not in to.models:
                    to.warn(
                        of, "only a model, or all names of a pattern, can have what follows; it is left out"
                    )
                else:
                    yield from _targets(to, meant, targets, of)


def _targets(to: Translation, model: str, targets: Any, of: Keys) -> Iterator[tuple[str, str, Keys]]:
    for n, target in enumerate(listed(targets)):
        at = (*of, n) if isinstance(targets, list) else of
        meant = _meant(to, target, at)
        if meant is not None and meant != model:
            yield model, meant, at


def _meant(to: Translation, target: object, of: Keys) -> str | None:
    """The model where calls can go on; None, with a warning, where they cannot."""
    if not isinstance(target, str):
        to.warn(of, "only names of models can follow here; it is left out")
    elif (meant := to.meant(target)) is None:
        to.warn(of, f"no model is called {target!r} here; it is left out")
    else:
        return meant
    return None


# ── what falls back on each other ────────────────────────────────────────────────────────────────────


def _without_loops(to: Translation, found: Mapping[str, Following]) -> dict[str, Following]:
    """The same where nothing comes back to where it began.

    Here fallbacks may not go round. A model from which one can get into a circle names all that follows it,
    one way or the other, in the order in which it would be tried, by names of models that nothing follows.
    """
    ways = {model: _way(found, model) for model in found}
    circling = {model for model, way in ways.items() if model in way}
    made = dict(found)
    for model, way in ways.items():
        if circling & {model, *way}:
            way.pop(model, None)
            _warn_once(to, way)
            made[model] = {_alone(to, found, target): said for target, said in way.items()}
    return made


def _way(found: Mapping[str, Following], start: str) -> Following:
    """All that follows `start`, in the order in which it is tried; `start` itself, if it comes back to it.

    Each follows what leads to the first step on the way there; what happens on the way makes no difference.
    """
    way: Following = {}
    for first, (reasons, of) in found.get(start, {}).items():
        passed: set[str] = set()
        waiting = [first]
        while waiting:
            target = waiting.pop(0)
            if target in passed:
                continue
            passed.add(target)
            before, at = way.get(target, (set(), of))
            way[target] = (before | reasons, at)
            if target != start:
                waiting = [*found.get(target, {}), *waiting]
    return way


def _alone(to: Translation, found: Mapping[str, Following], model: str) -> str:
    """The name of the same model without what follows it."""
    own = to.native.data["models"].get(model)
    general = to.holds(("fallback",))
    if own is None or (model not in found and not general):  # of a pattern, or nothing follows it anyway
        return model
    name = _ALONE.format(model)
    if name not in to.models:
        to.models.add(name)
        for key, value in own.items():
            _copy(to, ("models", model, key), ("models", name, key), value)
        if general:
            to.native.put(("models", name, "fallback"), [], of=to.native.origins["models", model])
    return name


def _copy(to: Translation, source: Keys, path: Keys, value: Any) -> None:
    """Put `value`, which stands at `source`, at `path`, too, with the origins of all that is in it."""
    to.native.put(path, deepcopy(value), of=to.native.origins.get(source, to.native.origins[source[:2]]))
    inside = [each for each in to.native.origins if each[: len(source)] == source]
    for each in inside:
        to.native.origins[path + each[len(source) :]] = to.native.origins[each]


def _warn_once(to: Translation, way: Following) -> None:
    of = next((of for _reasons, of in way.values()), None)
    said = (
        "these come back to where they began: each is tried once, by the name of a model that nothing follows"
    )
    if of is not None and all(each.message != said for each in to.native.warnings):
        to.warn(of, said)
