"""Models by the names that callers have for them."""

from __future__ import annotations

from pointsman.plugin import Caller, Catalogue, CatalogueEntry, UnknownModel

_TAG = ":latest"


def named(catalogue: Catalogue, name: str, caller: Caller) -> CatalogueEntry:
    """The model of that name. Raises UnknownModel."""
    entry = catalogue.entry(name, caller)
    if entry is None:
        raise UnknownModel(f"model {name[:200]!r} not found")
    return entry


def without_tag(catalogue: Catalogue, name: str, caller: Caller) -> str:
    """The name that is meant: programs add the tag `latest` to one that has none."""
    plain = name.removesuffix(_TAG)
    if plain == name or catalogue.entry(name, caller) is not None:
        return name
    return plain if catalogue.entry(plain, caller) is not None else name
