"""What is public: `pointsman` for callers, `pointsman.plugin` for plugins, `pointsman.testing` for tests."""

from __future__ import annotations

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from public_stubs import COMMAND, MODULES, path_of, stub

import pointsman
import pointsman.plugin as public
import pointsman.testing
from pointsman.plugins.kinds import KINDS

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = {"pointsman", "pointsman.plugin", "pointsman.testing"}
PLUGINS = sorted(
    [
        *ROOT.glob("plugins/*/src"),
        ROOT / "contrib" / "h1" / "src",
        ROOT / "contrib" / "strategies" / "src",
    ]
)


def imported_from_the_core(tree: ast.Module) -> Iterator[str]:
    """The modules of the core that a module imports anything from, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names = [node.module]
        else:
            continue
        yield from (name for name in names if name.partition(".")[0] == "pointsman")


@pytest.mark.parametrize("folder", PLUGINS, ids=lambda folder: folder.parent.name)
def test_our_plugins_import_of_the_core_what_is_public_and_nothing_else(folder: Path) -> None:
    astray = {
        f"{path.relative_to(folder)} imports {name}"
        for path in folder.rglob("*.py")
        for name in imported_from_the_core(ast.parse(path.read_text("utf-8")))
        if name not in PUBLIC
    }

    assert astray == set()


def test_the_search_finds_an_import_that_is_not_public() -> None:
    tree = ast.parse("def f():\n    from pointsman.wire import data_urls\nimport pointsman.errors, json")

    assert set(imported_from_the_core(tree)) == {"pointsman.wire", "pointsman.errors"}


@pytest.mark.parametrize("module", [public, pointsman.testing], ids=lambda each: each.__name__)
def test_the_names_for_plugins_are_those_of_the_stub_that_type_checkers_read(module: ModuleType) -> None:
    stub = ast.parse(Path(str(module.__file__)).with_suffix(".pyi").read_text("utf-8"))
    typed = {
        alias.asname: f"{node.module}.{alias.name}"
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert list(module.__all__) == sorted(module.__all__)
    assert set(module.__all__) == set(typed)
    for name, home in typed.items():
        assert getattr(module, str(name)) is pkgutil.resolve_name(home)
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError, match="Provder"):
        _ = module.Provder


@pytest.mark.parametrize("name", MODULES)
def test_the_stub_of_a_public_module_is_the_one_that_is_made_of_it(name: str) -> None:
    assert path_of(name).read_text("utf-8") == stub(name), f"make it anew: {COMMAND}"


def test_every_public_module_has_a_stub() -> None:
    assert set(MODULES) == PUBLIC


def test_a_plugin_finds_every_error_and_value_that_a_caller_does() -> None:
    of_callers = {"Batch", "BatchResult", "ChatStream", "Config", "Router", "__version__"}
    of_callers |= {name for name in pointsman.__all__ if name.startswith("Sync")}
    homes = vars(pointsman)["_HOME_OF"]
    theirs = (".messages", ".option_types", ".reports", ".explanations")
    of_callers |= {name for name in homes if homes[name].endswith(theirs)}

    assert set(pointsman.__all__) - of_callers <= set(public.__all__)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.factory is not None])
def test_a_plugin_finds_the_factory_and_the_context_of_every_kind(kind: object) -> None:
    factory = kind.factory  # type: ignore[attr-defined]
    name = factory.__name__
    context = {name.replace("Factory", "Context")} if "make" in factory.__struct_fields__ else set()

    assert {name, *context} <= set(public.__all__)


def test_what_plugins_import_loads_no_http_library() -> None:
    ask = "import sys, pointsman.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)

    assert {"httpx", "httpcore", "anyio", "aiohttp", "pointsman.router"} & set(done.stdout.split()) == set()
