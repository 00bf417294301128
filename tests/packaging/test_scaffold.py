"""What `pointsman plugins new` writes, of every kind: built, installed from its wheel, found, tried and used."""

from __future__ import annotations

import ast
import json
import re
import shlex
import tomllib
import zipfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct
from wheelhouse import Wheelhouse, output_of

from pointsman_cli.scaffold.kinds import BEGINNINGS
from pointsman_cli.scaffold.naming import Names
from pointsman_cli.scaffold.writing import distribution_of, write

WORDS = sorted(BEGINNINGS)
IN_PYTHON = [word for word in WORDS if not BEGINNINGS[word].data]
SAID = re.compile(r"^(?P<word>[\w-]+)/(?P<test>\S+) (?P<outcome>[A-Z]+)", re.MULTILINE)
TYPE = """
import asyncio, json, os, runpy, sys, threading
from http.server import HTTPServer
from pointsman_cli.app import run
from pointsman_simulator import Simulator

loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()
simulator = Simulator(seed=1)
urls = {
    wire: asyncio.run_coroutine_threadsafe(simulator.add(wire), loop).result(20).base_url
    for wire in ("openai", "ollama")
}
own = HTTPServer(("127.0.0.1", 0), runpy.run_path(sys.argv[2])["Server"])
threading.Thread(target=own.serve_forever, daemon=True).start()
urls["own"] = f"http://127.0.0.1:{own.server_port}"
for word, wire, variables, commands in json.loads(sys.argv[1]):
    os.chdir(word)
    os.environ.update(dict.fromkeys(variables, urls[wire]))
    with open("servers.txt", "w") as servers:  # as the page of a discovery has one write
        servers.write(urls[wire])
    print(json.dumps({"word": word, "codes": [run(command) for command in commands]}))
    os.chdir("..")
"""
WIRES = {"auth": "openai", "auth-signing": "openai", "provider": "own", "provider-openai": "openai"}
WIRES["provider-data"] = "openai"
REFUSED = 4
WATCHED = ("provider", "strategy")


class Made(Struct, frozen=True):
    """Everything that can be begun, in `folder` by its word, and installed where `python` is."""

    folder: Path
    python: Path
    names: Mapping[str, Names]
    wheels: Mapping[str, Path]

    def output(self, *command: object) -> str:
        """What a command of the environment prints."""
        return output_of(self.python.parent / str(command[0]), *command[1:], cwd=self.folder)


@pytest.fixture(scope="module")
def made(wheelhouse: Wheelhouse) -> Made:
    folder = wheelhouse.folder / "begun"
    folder.mkdir()
    names = {}
    for n, word in enumerate(WORDS):
        name = f"our-{word}" if n % 2 else f"our-{word}".replace("-", "_")
        names[word], texts = distribution_of(word, name, "0.1.0")
        write(folder / word, texts)
    wheels = dict(zip(WORDS, wheelhouse.build(folder / word for word in WORDS), strict=True))
    python = wheelhouse.environment("begun-here", [*wheelhouse.ours, *wheels.values()])
    return Made(folder, python, names, wheels)


@pytest.mark.parametrize("word", WORDS)
def test_its_wheel_holds_a_typed_package_or_data_and_no_tests(made: Made, word: str) -> None:
    names = made.names[word]

    inside = zipfile.ZipFile(made.wheels[word]).namelist()

    if BEGINNINGS[word].data:
        assert f"{names.package}/{BEGINNINGS[word].data}" in inside
        assert not [each for each in inside if each.endswith(".py")]
    else:
        assert {f"{names.package}/__init__.py", f"{names.package}/py.typed"} <= set(inside)
    assert not [each for each in inside if each.startswith("tests/")]


@pytest.fixture(scope="module")
def listed(made: Made) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(made.output("pointsman", "plugins", "list", "--json"))
    return found


@pytest.mark.parametrize("word", WORDS)
def test_it_is_found_where_its_wheel_is_installed(
    listed: list[dict[str, Any]], word: str, made: Made
) -> None:
    names, beginning = made.names[word], BEGINNINGS[word]

    found = [each for each in listed if each["distribution"] == names.distribution]

    assert {(each["kind"], each["name"]) for each in found} == {
        (kind, names.name) for kind in (beginning.kind, *beginning.names)
    }
    assert not [each for each in found if each["error"]]


@pytest.fixture(scope="module")
def tried(made: Made) -> tuple[dict[str, dict[str, str]], str]:
    """The outcome of every test of each, as they are run where the wheels are installed; and all output."""
    options = ("-v", "--tb=short", "-p", "no:cacheprovider", "-c", made.folder / WORDS[0] / "pyproject.toml")
    folders = [Path(word) / "tests" for word in WORDS]
    try:
        output = made.output("python", "-m", "pytest", *options, "--rootdir", made.folder, *folders)
    except AssertionError as error:
        output = str(error)
    outcomes: dict[str, dict[str, str]] = {word: {} for word in WORDS}
    for each in SAID.finditer(output):
        outcomes[each["word"]][each["test"]] = each["outcome"]
    return outcomes, output


@pytest.mark.parametrize("word", WORDS)
def test_its_own_tests_pass_as_they_are_written(
    tried: tuple[dict[str, dict[str, str]], str], made: Made, word: str
) -> None:
    outcomes, output = tried
    key = made.names[word].key

    bad = {name for name, outcome in outcomes[word].items() if outcome not in ("PASSED", "SKIPPED")}
    passed = {name for name, outcome in outcomes[word].items() if outcome == "PASSED"}
    of_the_contract = {name for name in passed if name.startswith(f"tests/test_{key}_contract.py::Test")}

    assert not bad, output
    assert passed - of_the_contract, f"no test of pointsman.yaml was run\n{output}"
    assert bool(of_the_contract) == bool(BEGINNINGS[word].contract), output


def to_type(folder: Path) -> list[list[str]]:
    """What the README of a distribution says to type to try it, but for what goes on until it is stopped, and a
    check before.
    """
    text = (folder / "README.md").read_text("utf-8")
    section = text[text.index("## Try it") : text.index("## Make it yours")]
    lines = [shlex.split(line) for line in re.findall(r"^    pointsman (.*)$", section, re.MULTILINE)]
    return [
        ["config", "check", "pointsman.yaml"],
        *(each for each in lines if {"sim", "serve"}.isdisjoint(each)),
    ]


@pytest.fixture(scope="module")
def typed(made: Made) -> dict[str, list[int]]:
    """The exit codes of what each README says to type, with simulated upstreams in place of real ones."""
    given = []
    for word in WORDS:
        wire = WIRES.get(word, "ollama")
        variables = ["UPSTREAM", "LEFT", "RIGHT", f"{made.names[word].variable}_URL"]
        given.append([word, wire, variables, to_type(made.folder / word)])
    server = made.folder / "provider" / "tests" / f"test_{made.names['provider'].key}.py"
    output = made.output("python", "-c", TYPE, json.dumps(given), server)
    told = [json.loads(line) for line in output.splitlines() if line.startswith('{"word"')]
    return {each["word"]: each["codes"] for each in told}


@pytest.mark.parametrize("word", WORDS)
def test_what_its_readme_says_to_type_works_with_the_installed_command(
    typed: dict[str, list[int]], made: Made, word: str
) -> None:
    expected = [
        REFUSED if word == "guard" and "quince" in each[-1] else 0 for each in to_type(made.folder / word)
    ]

    assert typed[word] == expected


@pytest.fixture(scope="module")
def kit(made: Made) -> dict[str, dict[str, Any]]:
    """What `pointsman plugins check` says of each, two at a time.

    What is watched while it is imported and made takes processes of its own, and so is of two of them only.
    """
    quick = [f"--rule=PLUGIN-{n:02}" for n in range(1, 13) if n not in range(4, 8)]

    def check(word: str) -> dict[str, Any]:
        options = ["--tests", f"{word}/tests"] if BEGINNINGS[word].data else []
        if word not in WATCHED:
            options += [*quick, f"--rule={BEGINNINGS[word].contract.upper()}"]
        check = ("pointsman", "plugins", "check", made.names[word].distribution, "--json")
        try:
            found: dict[str, Any] = json.loads(made.output(*check, *options))
        except AssertionError as error:
            return {"ok": False, "said": str(error)}
        return found

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(WORDS, pool.map(check, WORDS), strict=True))


@pytest.mark.parametrize("word", WORDS)
def test_no_rule_is_broken_where_its_wheel_is_installed(kit: dict[str, dict[str, Any]], word: str) -> None:
    contract = BEGINNINGS[word].contract.upper()
    told = kit[word]

    assert told["ok"], told
    held = {each["id"].rpartition("-")[0] for each in told["rules"] if each["result"] == "held"}
    assert held == {"PLUGIN", *([contract] if contract else [])}


@pytest.mark.parametrize("word", WATCHED)
def test_importing_and_making_it_does_nothing_else(kit: dict[str, dict[str, Any]], word: str) -> None:
    results = {each["id"]: each["result"] for each in kit[word]["rules"]}

    assert [results[f"PLUGIN-{n:02}"] for n in range(4, 8)] == ["held"] * 4


def lines_of_code(path: Path) -> int:
    """Lines that are neither empty nor comments nor docstrings."""
    tree = ast.parse(text := path.read_text("utf-8"))
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            said |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for n, line in lines if n not in said and line.strip() and not line.strip().startswith("#"))


@pytest.mark.parametrize(
    ("word", "plugin", "with_contract"), [("provider-openai", 20, 40), ("auth-signing", 40, 60)]
)
def test_a_small_plugin_is_small(made: Made, word: str, plugin: int, with_contract: int) -> None:
    package = made.folder / word / "src" / made.names[word].package

    written = lines_of_code(package / "__init__.py")

    assert written <= plugin
    (tests,) = (made.folder / word / "tests").glob("*_contract.py")
    assert written + lines_of_code(package / "contract.py") + lines_of_code(tests) <= with_contract


def test_all_that_is_written_has_types_and_style(made: Made) -> None:
    packages = [made.folder / word / "src" / made.names[word].package for word in IN_PYTHON]
    tests = [made.folder / word / "tests" for word in WORDS]

    made.output("mypy", "--strict", "--cache-dir", made.folder / ".mypy_cache", *packages, *tests)
    made.output("ruff", "check", "--no-cache", ".")
    made.output("ruff", "format", "--no-cache", "--check", ".")


@pytest.mark.parametrize("word", WORDS)
def test_it_says_which_versions_it_goes_with_and_claims_its_name_where_its_kind_does(
    made: Made, word: str
) -> None:
    project = tomllib.loads((made.folder / word / "pyproject.toml").read_text("utf-8"))["project"]
    names, beginning = made.names[word], BEGINNINGS[word]

    assert "pointsman>=0.1,<0.3" in project["dependencies"]
    groups = project["entry-points"]
    assert {group for group in groups if group != "pointsman.contracts"} == set(beginning.groups)
    assert all(names.name in groups[group] for group in beginning.groups)


@pytest.mark.parametrize("word", WORDS)
def test_nothing_that_was_to_be_filled_in_is_left(made: Made, word: str) -> None:
    for file in (made.folder / word).rglob("*"):
        if file.is_file() and file.suffix != ".pyc":
            left = re.findall(r"__[A-Z]+__", file.read_text("utf-8"))
            assert not left, f"{file} has {left}"


def test_what_is_installed_is_what_was_tried(made: Made) -> None:
    packages = [made.names[word].package for word in IN_PYTHON]
    program = (
        "import importlib, sys; [print(importlib.import_module(each).__file__) for each in sys.argv[1:]]"
    )

    found = made.output("python", "-c", program, *packages).splitlines()

    assert len(found) == len(IN_PYTHON)
    assert all(Path(each).is_relative_to(made.python.parents[1]) for each in found)
