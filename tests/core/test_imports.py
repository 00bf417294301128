"""What the core may import: one way only, chance and time in one place, and nothing heavy before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import pointsman
from pointsman.hookspecs import PointsmanSpec

ROOT = Path(pointsman.__file__).parent

# Each package, or module beside them, may import only what stands before it. The kit in `testing` comes last.
ORDER = """
    errors clock units context
    _internal values types text_messages reports explanations
    events event_log wire
    auth prices budget strategy state resilience retry
    original requests
    provider transports http audit guard selector service surface offered section dialect discovery hookspecs
    audit_log control builtin plugins
    config
    shared routing execution mirroring build
    plugin
    credential_status status dry_run service_runner in_use discovering awaited_budgets lifecycle batch router loop_thread sync
""".split()  # noqa: SIM905 - it is read as a row

CLOCK = "clock"


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): ast.parse(path.read_text("utf-8")) for path in sorted(ROOT.rglob("*.py"))}


def code(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run: not those under `if TYPE_CHECKING:`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def imported(tree: ast.Module) -> Iterator[str]:
    """The full names of what is imported anywhere in a module, inside functions too."""
    for node in code(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not used"
            assert node.module is not None
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [each for each in whole if each.removeprefix("pointsman.") in MODULES]
            yield from modules
            if len(modules) < len(whole):
                yield node.module


def in_the_kit(name: str) -> bool:
    return name.partition(".")[0] == "testing"


def roots(tree: ast.Module) -> set[str]:
    return {name.partition(".")[0] for name in imported(tree)}


def package_of(name: str) -> str:
    return name.partition(".")[0]


def imports_of_ours(name: str) -> set[str]:
    """The modules of the core that `name` imports, as names below `pointsman`."""
    own = {each for each in imported(MODULES[name]) if package_of(each) == "pointsman"}
    return {each.removeprefix("pointsman.") for each in own} - {name}


def test_every_package_has_its_place_in_the_order() -> None:
    assert {package_of(name) for name in MODULES} == {"", "testing", *ORDER}
    assert len(ORDER) == len(set(ORDER))


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_what_stands_before_it(package: str) -> None:
    allowed = {package, *ORDER[: ORDER.index(package)]}

    astray = {
        f"{name} imports {each}"
        for name in MODULES
        if package_of(name) == package
        for each in imports_of_ours(name)
        if package_of(each) not in allowed
    }
    assert astray == set()


def test_no_modules_import_each_other_in_a_ring() -> None:
    below = {name: imports_of_ours(name) & MODULES.keys() for name in MODULES if not in_the_kit(name)}
    while free := {name for name, others in below.items() if not others & below.keys()}:
        below = {name: others for name, others in below.items() if name not in free}

    assert below == {}


def test_httpx_is_known_to_the_seam_and_the_transports_only() -> None:
    libraries = {"httpx", "httpcore", "anyio"}
    users = {name for name, tree in MODULES.items() if roots(tree) & libraries}
    seam = {name for name, tree in MODULES.items() if "pointsman._internal.httpx_lazy" in imported(tree)}

    transports = ("transports.", "builtin.httpx.")
    here = {name for name in users | seam if not name.startswith(transports) and not in_the_kit(name)}
    assert here == {"_internal.httpx_lazy", "http.answer", "http.client", "http.failures"}


def test_the_core_imports_no_plugin_and_nothing_of_contrib() -> None:
    assert {
        root for tree in MODULES.values() for root in roots(tree) if root.startswith("pointsman_")
    } == set()


def strings(tree: ast.Module) -> Iterator[str]:
    """What a module says as values; docstrings are left out."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_the_core_spells_the_name_of_no_package_beside_it() -> None:
    """Nor is one imported by its name: whatever others may offer goes through the same hooks as theirs."""
    root = ROOT.parents[2]
    found = (root.glob(f"{each}/*/src/pointsman_*") for each in ("plugins", "contrib"))
    packages = {path.name for each in found for path in each} - set(
        vars(PointsmanSpec)
    )  # hooks are no packages
    assert {"pointsman_h1", "pointsman_openai"} <= packages
    assert "pointsman_h1" in list(strings(ast.parse('"a docstring"\nimport_module("pointsman_h1")')))

    hooks = set(vars(PointsmanSpec))  # of which some begin as a package does
    astray = {
        (name, package)
        for name, tree in MODULES.items()
        for text in {*strings(tree)} - hooks
        for package in packages
        if package in text
    }
    assert astray == set()


FORBIDDEN = {
    "time": {"time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "sleep"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "random": None,  # all of it
    "uuid": None,
    "secrets": None,
    "os": {"urandom"},
}


def chances(tree: ast.Module) -> Iterator[str]:
    """Where a module reads a clock or rolls dice by itself."""
    for node in code(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = FORBIDDEN.get(node.value.id, set())
            if names is None or node.attr in names:
                yield f"line {node.lineno}: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "random", "uuid", "secrets"):
            yield f"line {node.lineno}: from {node.module} import"


@pytest.mark.parametrize("module", [name for name in MODULES if name != CLOCK and not in_the_kit(name)])
def test_time_and_chance_come_from_the_clock_module_only(module: str) -> None:
    assert list(chances(MODULES[module])) == []


def test_the_lint_of_time_and_chance_finds_them() -> None:
    tree = ast.parse(
        "import time\nfrom random import random\ndef f():\n  return time.time(), datetime.now(UTC)"
    )

    assert len(list(chances(tree))) == 3
    assert list(chances(MODULES[CLOCK])) != []


def loaded_by(script: str) -> set[str]:
    """The modules of a fresh interpreter after `script`."""
    ask = f"import sys\n{script}\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_none_of_its_modules() -> None:
    assert {name for name in loaded_by("import pointsman") if name.startswith("pointsman")} == {"pointsman"}


def test_using_every_public_name_loads_nothing_that_only_some_need() -> None:
    loaded = loaded_by("import pointsman\nfor name in pointsman.__all__: getattr(pointsman, name)")

    heavy = {"aiohttp", "ruamel", "yaml", "click", "rich", "pygments", "h2", "pytest", "hypothesis"}
    assert loaded & heavy == set()
    assert {name for name in loaded if name.startswith(("pointsman_", "pointsman.testing"))} == set()
    assert "pointsman.router" in loaded


PLAIN = (
    "{'providers': {'a': {'type': 'openai', 'base_url': 'http://127.0.0.1:1'}},"
    " 'models': {'m': {'deployments': ['a/x']}}}"
)


def test_a_router_is_built_without_what_only_calls_or_other_configurations_need() -> None:
    loaded = loaded_by(f"import pointsman; pointsman.Router.from_config({PLAIN})")

    late = {
        "httpx",
        "aiohttp",
        "anyio",
        "httpcore",
        "ruamel",
        "tomllib",
        "tenacity",
        "aiolimiter",
        "cachetools",
    }
    late |= {"pointsman.config.readers", "pydantic.functional_serializers"}
    late |= {"pointsman.builtin.audit", "pointsman.builtin.auth"}
    late |= {"pointsman.build.alternatives", "pointsman.build.unlisted", "pointsman.build.presets"}
    late |= {
        "pointsman.config.name_findings",
        "pointsman.config.deployment_templates",
        "pointsman.config.uses",
    }
    late |= {"pointsman.routing.per_call", "pointsman.routing.places"}
    late |= {"pointsman.requests.amendments", "pointsman.execution.dropping"}
    late |= {"pointsman_openai.answers", "pointsman_openai.decode", "pointsman_openai.shapes"}
    late |= {"pointsman_openai.short_ids"}
    assert loaded & late == set()
    assert {name for name in loaded if name.startswith("pointsman_") and "." not in name} == {
        "pointsman_openai"
    }


def test_no_schema_is_made_for_a_section_that_the_configuration_lacks() -> None:
    script = (
        "from pointsman.config import Config, LimitsConfig, Named, TimeoutSettings\n"
        "def made(): return ['_validator' in vars(each) for each in (LimitsConfig, Named, TimeoutSettings)]\n"
        f"Config.from_mapping({PLAIN}); print(made())\n"
        f"Config.from_mapping({{**{PLAIN}, 'timeouts': {{'total': 1}}}}); print(made())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["[False, False, False]", "[False, False, True]"]


def test_a_router_that_is_started_has_imported_the_libraries_of_transport_and_retries() -> None:
    loaded = loaded_by(
        "import asyncio, pointsman\n"
        f"async def start():\n    async with pointsman.Router.from_config({PLAIN}): pass\n"
        "asyncio.run(start())"
    )

    assert loaded & {"pointsman_h1", "pointsman_aiohttp.transport", "pointsman.builtin.httpx.transport"}
    assert "tenacity" in loaded


def test_the_public_names_are_those_of_the_stub_that_type_checkers_read() -> None:
    stub = ast.parse((ROOT / "__init__.pyi").read_text("utf-8"))
    for_checkers = {
        alias.asname: node.module
        for node in stub.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pointsman")
        for alias in node.names
    }

    assert sorted(pointsman.__all__) == sorted([*for_checkers, "__version__"])
    assert list(pointsman.__all__) == sorted(pointsman.__all__)
    for name, home in for_checkers.items():
        assert home is not None
        assert getattr(pointsman, str(name)) is getattr(import_module(home), str(name))
    assert set(pointsman.__all__) <= set(dir(pointsman))
    with pytest.raises(AttributeError, match="Rooter"):
        _ = pointsman.Rooter
