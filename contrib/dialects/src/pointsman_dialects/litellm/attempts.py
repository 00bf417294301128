"""How often a model with fallbacks is asked: `num_retries` counts for each model there, for a chain here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.document import Translation, listed, mapping

_MOST = 20


def put_attempts(to: Translation) -> None:
    """Give the models more attempts whose chain would take them from their own deployments.

    Each model of a chain has an attempt kept for it; of what is left, each deployment that LiteLLM would
    have asked gets one before the chain is followed.
    """
    general = to.at(("retry",))
    for name, model in mapping(to.native.data.get("models")).items():
        said = mapping(model.get("retry", general)).get("attempts")
        if not isinstance(said, int):
            continue
        chain = len(set(_chain(to, name, frozenset())) - {name})
        wanted = min(said, len(listed(model.get("deployments"))))
        if wanted > max(1, said - chain):
            path: Keys = ("models", name, "retry")
            of = to.native.origins[path if to.holds(path) else ("retry",)]
            retry = {"type": "exponential", "attempts": min(wanted + chain, _MOST)}
            to.native.put(path, retry, of=of)


def _chain(to: Translation, name: str, passed: frozenset[str]) -> Iterator[str]:
    """Each model that is asked, while others are not there, when `name` is not."""
    own: Mapping[str, Any] = mapping(to.at(("models", name)))
    for each in listed(own.get("fallback", to.at(("fallback",)))):
        target = each if isinstance(each, str) else each["to"]
        if target not in passed and (isinstance(each, str) or "unavailable" in each["on"]):
            yield target
            yield from _chain(to, target, passed | {name, target})
