"""docs/examples: built, installed into a fresh environment, found there, and tested there by their own tests."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
from example_folders import EXAMPLES, FOLDER, NAMES, Installed, claims_of, package_of
from wheelhouse import Wheelhouse, output_of

PAGE = (FOLDER / "README.md").read_text("utf-8")
CHECK = """
import sys
from pathlib import Path
from pointsman_cli.app import run

for file in sys.argv[1:]:
    print(Path(file).parent.name, "ends with", run(["config", "check", file]))
"""
CONTRACT = """
from pointsman.testing.contract import PluginContract

class TestDistribution(PluginContract):
    distribution = {name!r}
    settings = {{"cheapest_within": {{"bound": 1}}}}
"""
KIND_OF = {
    "pointsman.providers": "provider",
    "pointsman.strategies": "strategy",
    "pointsman.audit": "audit",
    "pointsman.guards": "guard",
    "pointsman.surfaces": "surface",
    "pointsman.discovery": "discovery",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_a_wheel_holds_a_typed_package_and_nothing_else(installed: Installed, example: Path) -> None:
    package = package_of(example)
    inside = zipfile.ZipFile(installed.wheels[example.name]).namelist()

    modules = {each for each in inside if ".dist-info/" not in each}

    assert f"{package.name}/py.typed" in modules
    assert modules == {
        f"{package.name}/{path.name}" for path in package.iterdir() if path.name != "__pycache__"
    }


def test_no_wheel_of_the_project_holds_an_example(wheelhouse: Wheelhouse) -> None:
    packages = {package_of(each).name for each in EXAMPLES}

    for wheel in wheelhouse.ours:
        inside = {each.partition("/")[0] for each in zipfile.ZipFile(wheel).namelist()}
        assert inside.isdisjoint({*packages, "docs", "tests"}), wheel.name


def test_each_is_found_where_its_wheel_is_installed(installed: Installed, tmp_path: Path) -> None:
    said = output_of(installed.python.with_name("pointsman"), "plugins", "list", "--json", cwd=tmp_path)

    found = {(each["distribution"], each["kind"], each["name"]) for each in json.loads(said)}

    for example in EXAMPLES:
        for group, name in claims_of(example):
            assert (example.name, KIND_OF[group], name) in found


@pytest.fixture(scope="session")
def ran(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """How the tests of each example ended, all run at once: `passed`, or what is wrong.

    They stand away from their sources, so that it is the wheels which they are about. With them runs what the
    kit asks of each distribution, but for the time of its import, which takes the longest to tell.
    """
    folder = tmp_path_factory.mktemp("examples")
    for example in EXAMPLES:
        shutil.copytree(example / "tests", folder / example.name / "tests")
        shutil.copy(example / "pointsman.yaml", folder / example.name)
        (folder / example.name / "test_distribution.py").write_text(CONTRACT.format(name=example.name))
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    alone = ("--import-mode=importlib", "-p", "no:cacheprovider", "-p", "no:asyncio")
    options = (*alone, "-k", "not its_import_takes", "-q", "--junit-xml=ended.xml")
    output_of(installed.python, "-m", "pytest", *options, *NAMES, cwd=folder)
    ended: dict[str, list[str]] = {name: [] for name in NAMES}
    for case in ElementTree.parse(folder / "ended.xml").iter("testcase"):
        ended[case.attrib["classname"].partition(".")[0]] += [
            each.tag for each in case if each.tag != "properties"
        ] or ["passed"]
    return ended


@pytest.mark.parametrize("name", NAMES)
def test_its_own_tests_pass_where_it_is_installed(ran: dict[str, list[str]], name: str) -> None:
    assert set(ran[name]) <= {"passed", "skipped"}
    assert ran[name].count("passed") >= 20


@pytest.fixture(scope="session")
def checked(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `pointsman config check` ends with for the file of each."""
    files = [FOLDER / name / "pointsman.yaml" for name in NAMES]
    folder = tmp_path_factory.mktemp("checked")
    return output_of(installed.python, "-c", CHECK, *files, cwd=folder, COURIER_KEY="for-tests")


@pytest.mark.parametrize("name", NAMES)
def test_its_configuration_file_is_a_sound_one(checked: str, name: str) -> None:
    assert f"{name} ends with 0\n" in checked


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_its_readme_says_what_it_is_why_and_how_to_run_it(example: Path) -> None:
    text = (example / "README.md").read_text("utf-8")

    headings = re.findall(r"^## (.*)", text, re.MULTILINE)

    assert text.startswith(f"# {example.name}\n")
    assert headings == ["What it shows", "Why it is made this way", "Run it"]


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_each_stands_on_the_page_of_the_examples(example: Path) -> None:
    assert f"]({example.name}/README.md)" in PAGE


def test_an_example_uses_no_name_that_is_not_public() -> None:
    for path in FOLDER.glob("*/*/**/*.py"):
        for module in re.findall(
            r"^\s*(?:from|import) (pointsman[\w.]*)", path.read_text("utf-8"), re.MULTILINE
        ):
            own = module.partition(".")[0] != "pointsman"
            assert own or module in (
                "pointsman",
                "pointsman.plugin",
                "pointsman.testing",
                "pointsman.testing.contract",
            )
