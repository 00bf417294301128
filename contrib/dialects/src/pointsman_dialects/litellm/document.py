"""A document of LiteLLM's that is being translated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from pointsman.plugin import NativeDocument
from pointsman_dialects.keys import Keys
from pointsman_dialects.litellm.hints import HINTS
from pointsman_dialects.litellm.values import is_nothing, written

NOTHING_HERE = "has no counterpart here"


class Translation:
    """What has been made of a document so far.

    Attributes:
        native: the document in our words.
        said: the document itself.
        models: each public name that there is, patterns among them.
        strategy: LiteLLM's name of how calls are shared; of its own accord it shuffles.
        shares: whether deployments say how much each of them gets.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.native = NativeDocument()
        self.said = said
        self.models: set[str] = set()
        named = mapping(said.get("router_settings")).get("routing_strategy")
        self.strategy = named if isinstance(named, str) and not is_nothing(named) else "simple-shuffle"
        self.shares = False
        self._variables = mapping(said.get("environment_variables"))

    def put(self, path: Keys, value: object, *, of: Keys) -> None:
        """As of NativeDocument, with references and dollar signs as they are written here."""
        self.native.put(path, written(value, self._variables), of=of)

    def written(self, value: object) -> Any:
        """`value` as our files have it."""
        return written(value, self._variables)

    def at(self, path: Keys) -> Any:
        """What stands at `path`; None for nothing."""
        found: Any = self.native.data
        for step in path:
            if isinstance(found, Mapping):
                found = found.get(step)
            elif isinstance(found, list) and isinstance(step, int) and step < len(found):
                found = found[step]
            else:
                return None
        return found

    def holds(self, path: Keys) -> bool:
        """Whether something stands at `path` already."""
        return path in self.native.origins

    def meant(self, name: str) -> str | None:
        """The model that is asked for as `name`; None where there is none, or that is a pattern itself."""
        aliased = mapping(self.native.data.get("aliases")).get(name)
        name = aliased if isinstance(aliased, str) else name
        if "*" in name:
            return None
        patterns = (each.partition("*") for each in self.models if "*" in each)
        matched = any(
            name.startswith(before) and name.endswith(after) and len(name) > len(before + after)
            for before, _star, after in patterns
        )
        return name if name in self.models or matched else None

    def warn(self, of: Keys, message: str = NOTHING_HERE, hint: str | None = None) -> None:
        """What stands at `of` is left out, or means something else here."""
        self.native.warn(of, message, hint)

    def leave_out(
        self, of: Keys, value: object, message: str = NOTHING_HERE, hint: str | None = None
    ) -> None:
        """Warn of what stands at `of`, where it says something; with what helps, where that is known."""
        if value is not False and not is_nothing(value) and value not in ([], {}):
            self.warn(of, message, hint or HINTS.get(str(of[-1])))


class Entry(Struct, frozen=True):
    """One deployment of a model, as it was put.

    Attributes:
        path: where it is in the native document.
        params, info: what LiteLLM's file says of it.
        of: where that stands.
    """

    path: Keys
    params: Mapping[str, Any]
    info: Mapping[str, Any]
    of: Keys


def mapping(value: object) -> Mapping[str, Any]:
    """`value`, or an empty mapping in place of what is none; with texts as keys."""
    return (
        {key: each for key, each in value.items() if isinstance(key, str)}
        if isinstance(value, Mapping)
        else {}
    )


def listed(value: object) -> list[Any]:
    """`value`, a list of it where it is no list, or none of nothing."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]
