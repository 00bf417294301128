"""Between the packages of the core imports go one way: none needs itself by way of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core_source import TREES, imports, package_of

Needs = Mapping[str, Iterable[str]]


def needs() -> dict[str, set[str]]:
    """The other packages that each one imports; the kit, which nothing may need, left out."""
    found: dict[str, set[str]] = {}
    for file, tree in TREES.items():
        package = package_of(file)
        if package not in ("", "testing"):
            found.setdefault(package, set()).update(set(imports(tree)) - {package})
    return found


def rings(needs: Needs) -> set[frozenset[str]]:
    """The largest sets of packages that each need all others of their set, by whatever way."""
    reached = {package: reachable(package, needs) for package in needs}
    together = ({other for other in reached[package] if package in reached[other]} for package in needs)
    return {frozenset(ring) for ring in together if ring}


def reachable(package: str, needs: Needs) -> set[str]:
    found: set[str] = set()
    waiting = [package]
    while waiting:
        new = set(needs.get(waiting.pop(), ())) - found
        found |= new
        waiting += new
    return found


def test_no_package_needs_itself_by_way_of_another() -> None:
    found = needs()

    for ring in rings(found):
        within = {package: sorted(found[package] & ring) for package in sorted(ring)}
        raise AssertionError(f"a ring: {within}")


def test_nothing_needs_the_kit() -> None:
    assert [package for package, others in needs().items() if "testing" in others] == []


def test_a_ring_is_found_whole_and_what_only_leads_to_it_is_no_part_of_it() -> None:
    chain = {"a": ["b"], "b": ["c"], "c": []}
    ring = {"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b", "e"], "e": []}

    assert rings(chain) == set()
    assert rings(ring) == {frozenset("bcd")}
    assert rings({"a": ["b"], "b": ["a", "c"], "c": ["d"], "d": ["c"]}) == {frozenset("ab"), frozenset("cd")}
