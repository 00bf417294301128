"""No name means two things: a class, or another name for a type, is defined once in the core and its kit."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping

from core_source import TREES, top_level

# Names that are defined in several modules, and in how many. Entries shrink and go; none grows or is added.
NOT_YET: dict[str, int] = {}


def types_of(tree: ast.Module) -> Iterator[str]:
    """The classes of a module, and what it names as types are named: `Priority = Literal[...]`."""
    for node in top_level(tree):
        match node:
            case ast.ClassDef(name=name):
                yield name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                # One letter is a type variable; all in capitals is a constant.
                if name.lstrip("_")[:1].isupper() and not name.isupper():
                    yield name


def several(trees: Mapping[str, ast.Module]) -> dict[str, int]:
    """The names that more than one module defines, and how many do."""
    modules = Counter(name for tree in trees.values() for name in set(types_of(tree)))
    return {name: count for name, count in modules.items() if count > 1}


def test_no_name_means_two_things() -> None:
    found = several(TREES)

    where = {name: [file for file, tree in TREES.items() if name in types_of(tree)] for name in found}
    assert {name: where[name] for name in found if found[name] > NOT_YET.get(name, 1)} == {}
    assert [name for name in NOT_YET if name not in found] == [], "needed no longer: take it out of NOT_YET"


def test_a_name_is_found_in_classes_and_other_names_for_types_but_not_in_constants() -> None:
    one = """
class Thing: pass
class Thing: pass
Alias = int | str
T = TypeVar("T")
LIMIT = 2
class Other:
    class Inner: pass
"""
    two = """
if TYPE_CHECKING:
    class Thing: pass
else:
    Alias: TypeAlias = str
T = TypeVar("T")
LIMIT = 3
class Inner: pass
"""
    three = """
Thing = Literal["a"]
from one import Alias
"""

    found = several({"one.py": ast.parse(one), "two.py": ast.parse(two), "three.py": ast.parse(three)})

    assert found == {"Thing": 3, "Alias": 2}
