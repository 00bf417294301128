"""Type checkers accept the examples and the programs of the pages, and find the mistakes that people make."""

from __future__ import annotations

import json
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from example_folders import EXAMPLES, Installed
from pages import Example, python_examples
from plugin_pages import PAGES, blocks

MISTAKES = Path(__file__).with_name("mistakes")
Said = Mapping[tuple[str, int], str]
"""What a checker says is wrong, by the name of the file and the line."""

OF_CALLERS = [each for each in python_examples() if not each.page.startswith("docs/plugins/")]
"""The programs of the pages, but for those of plugins, of which the modules are looked at."""

EXCUSED = {
    "docs/clients.md": "langchain_openai|llama_index|pydantic_ai|litellm",  # not installed here
    "docs/frameworks.md": r"celery|django\.http|Untyped decorator",  # they have no types
    "docs/audit.md": "annotation|untyped|None",  # a program of its own, as short as can be
    "docs/security.md": "http_message_signatures|HTTPMessageSigner|MappingKeyResolver|algorithms",  # it says none
    "docs/testing.md": '"weather"',  # the application of the reader
    "README.md": '"text"',  # of Anthropic's SDK, used as its own examples do
}
"""By page, what is in the message of an error that says nothing of our types."""


@pytest.fixture(scope="session")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the blocks of the pages that are whole modules of plugins, each in a file of its own."""
    folder = tmp_path_factory.mktemp("modules")
    for page in PAGES:
        for number, block in enumerate(blocks(page)):
            if re.search(r"^plugin = ", block, re.MULTILINE):
                (folder / f"{page.removesuffix('.md').replace('-', '_')}_{number}.py").write_text(block)
    return folder


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs of the other pages, each in a file of its own."""
    folder = tmp_path_factory.mktemp("programs")
    for each in OF_CALLERS:
        (folder / file_of(each)).write_text(each.source, "utf-8")
    return folder


def file_of(program: Example) -> str:
    page = re.sub(r"\W", "_", program.page.removesuffix(".md"))
    return f"{page}_{program.block.line}.py"


@pytest.fixture(scope="session")
def said(
    installed: Installed, modules: Path, programs: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Said]:
    """By checker. Each runs once over everything, beside the other, in an environment of wheels."""
    folder = tmp_path_factory.mktemp("types")
    files = [*(each / part for each in EXAMPLES for part in ("src", "tests")), modules, programs, MISTAKES]
    with ThreadPoolExecutor() as pool:
        mypy = pool.submit(_mypy, installed.python, folder, files)
        pyright = pool.submit(_pyright, installed.python, folder, files)
        return {"mypy": mypy.result(), "pyright": pyright.result()}


def by_place(messages: Iterable[tuple[str, int, str]]) -> Said:
    """What is said at the same place, in one text."""
    found = defaultdict[tuple[str, int], str](str)
    for path, line, message in messages:
        found[Path(path).name, line] += f"{message}\n"
    return found


def _mypy(python: Path, folder: Path, files: list[Path]) -> Said:
    path = ":".join(str(each / part) for each in EXAMPLES for part in ("src", "tests"))
    config = f"[mypy]\nstrict = True\nexplicit_package_bases = True\nmypy_path = {path}\n"
    (folder / "mypy.ini").write_text(f"{config}[mypy-*.aiagent_pb2]\nignore_errors = True\n")
    options = (
        "--config-file",
        "mypy.ini",
        "--cache-dir",
        "cache",
        "--no-error-summary",
        "--hide-error-context",
    )
    lines = _output(folder, python, "-m", "mypy", *options, *files).splitlines()
    found = [re.fullmatch(r"(.+?):(\d+): error: (.*)", line) for line in lines if ": note: " not in line]
    assert all(found), lines
    return by_place((each[1], int(each[2]), each[3]) for each in found if each)


def _pyright(python: Path, folder: Path, files: list[Path]) -> Said:
    config = {"include": [str(each) for each in files], "typeCheckingMode": "standard"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    checker = python.with_name("basedpyright")  # pyright, with all that it needs in its wheel
    output = json.loads(_output(folder, checker, "-p", folder, "--pythonpath", python, "--outputjson"))
    assert output["summary"]["filesAnalyzed"] >= len(files)
    return by_place(
        (each["file"], each["range"]["start"]["line"] + 1, each["message"])
        for each in output["generalDiagnostics"]
        if each["severity"] == "error"
    )


def _output(folder: Path, *command: object) -> str:
    done = subprocess.run(
        [str(each) for each in command], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), f"{done.stdout}\n{done.stderr}"
    return done.stdout


def marked() -> dict[tuple[str, int], str]:
    """The lines that hold a mistake, and what it is."""
    return {
        (path.name, number): line.partition("# wrong: ")[2]
        for path in sorted(MISTAKES.glob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if "# wrong: " in line
    }


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_examples_and_the_modules_of_the_pages_are_accepted(
    said: dict[str, Said], modules: Path, checker: str
) -> None:
    assert len(list(modules.iterdir())) >= 10
    others = {path.name for path in MISTAKES.glob("*.py")} | {file_of(each) for each in OF_CALLERS}

    assert {where: what for where, what in said[checker].items() if where[0] not in others} == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_programs_of_the_pages_for_callers_are_accepted(said: dict[str, Said], checker: str) -> None:
    assert {each.page for each in OF_CALLERS} >= {"README.md", "docs/calling.md", "docs/types.md"}

    wrong = {
        f"{each.page}:{each.line + line - 1}": what
        for each in OF_CALLERS
        for (file, line), what in said[checker].items()
        if file == file_of(each) and not re.search(EXCUSED.get(each.page, "$^"), what)
    }
    assert wrong == {}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_typical_mistakes_are_found_where_they_are(said: dict[str, Said], checker: str) -> None:
    mistakes = {path.name for path in MISTAKES.glob("*.py")}
    found = {where: what for where, what in said[checker].items() if where[0] in mistakes}

    assert {where: what for where, what in marked().items() if where not in found} == {}, "not found"
    assert {where: what for where, what in found.items() if where not in marked()} == {}, "no mistakes"


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_the_message_at_a_mistake_of_a_caller_names_it(said: dict[str, Said], checker: str) -> None:
    of_callers = {where: what for where, what in marked().items() if where[0] == "calling.py"}

    unclear = {
        where: said[checker][where]
        for where, what in of_callers.items()
        if what.rpartition(": ")[2] not in said[checker][where]
    }
    assert unclear == {}


def test_there_are_enough_of_them() -> None:
    assert len(marked()) >= 60
