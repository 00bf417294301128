"""The files of a new distribution, written all or not at all."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.scaffold.kinds import BEGINNINGS
from pointsman_cli.scaffold.naming import Names, names_of

_TEMPLATES = "templates"
_SUFFIX = ".tmpl"
_PLACES = {
    "gitignore": ".gitignore",
    "ci.yml": ".github/workflows/ci.yml",
    "plugin.py": "src/__PACKAGE__/__init__.py",
    "wire.py": "src/__PACKAGE__/wire.py",
    "provider.yaml": "src/__PACKAGE__/provider.yaml",
    "contract.py": "src/__PACKAGE__/contract.py",
    "test_contract.py": "tests/test___KEY___contract.py",
    "test_router.py": "tests/test___KEY__.py",
}
"""Where the file that is made from a template stands, if not under its own name."""


def distribution_of(
    word: str, name: str, version: str, *, shared: bool = False
) -> tuple[Names, dict[str, str]]:
    """The names of a new plugin, and its files by their paths.

    Args:
        word: a key of `BEGINNINGS`.
        version: of pointsman; what is written goes with this one and the next minor version.
        shared: another distribution offers something of that name, too.
    """
    templates = dict(_templates(word))
    if shared and BEGINNINGS[word].kind != "dialect":  # that has a file of another program
        templates["pointsman.yaml"] += "plugins: {__NAME__: __DIST__} # others have that name, too\n"
    names = names_of(called(word, name), templates.values())
    values = _values(word, names, version)
    texts = {_filled(_PLACES.get(each, each), values): text for each, text in templates.items()}
    if not BEGINNINGS[word].data:
        texts[f"src/{names.package}/py.typed"] = ""
    values |= {
        "__CONFIGURATION__": _filled(texts["pointsman.yaml"], values).rstrip("\n"),
        "__FILES__": "\n".join(_rows(names, texts)),
        **_paragraphs(word, values),
    }
    return names, {path: _filled(texts[path], values) for path in sorted(texts)}


def called(word: str, name: str) -> str:
    """What configurations call a new plugin; the key of a section has underscores in place of dashes."""
    return name.replace("-", "_") if "pointsman.sections" in BEGINNINGS[word].groups else name


def write(target: Path, texts: Mapping[str, str]) -> None:
    """Write the files below `target`, a folder that is not there or empty but for `.git`.

    Raises: Failed when there is something, or it cannot be written. Then nothing was written.
    """
    target = target.resolve()  # a link to an empty folder is as good as the folder
    refuse_full(target)
    if not target.parent.is_dir():
        raise Failed(f"there is no folder {target.parent} to put it in; make that first", code=USAGE)
    try:
        _write(target, texts)
    except OSError as error:
        why = error.strerror or error
        raise Failed(f"{target} cannot be written: {why}; name another folder with --directory") from error


def _write(target: Path, texts: Mapping[str, str]) -> None:
    is_there = target.is_dir()
    with _aside(target if is_there else target.parent) as aside:
        for path, text in texts.items():
            file = aside / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if is_there:
            _move_into(target, aside)
        else:
            aside.rename(target)


def refuse_full(target: Path) -> None:
    """Raise Failed when `target` is something else than an empty folder."""
    if not target.is_dir():
        if target.exists():
            raise Failed(f"{target} is there, and is no folder; name another with --directory", code=USAGE)
        return
    found = sorted(each.name for each in target.iterdir() if each.name != ".git")
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise Failed(
            f"{target} is not empty ({', '.join(found[:3])}{more}), and nothing there is written over; "
            "name another folder with --directory, or move these away",
            code=USAGE,
        )


@contextmanager
def _aside(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, which is gone afterwards, unless it was renamed."""
    folder = parent / f".pointsman-new-{secrets.token_hex(8)}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move_into(target: Path, aside: Path) -> None:
    """All that is in `aside` into `target`, or nothing.

    To rename the folder would take it from whoever is in it.
    """
    moved: list[Path] = []
    try:
        for each in sorted(aside.iterdir()):
            place = target / each.name
            if place.exists():
                raise FileExistsError(f"{place} has come into being meanwhile")
            os.rename(each, place)
            moved.append(place)
    except BaseException:
        for place in moved:
            with suppress(OSError):
                shutil.rmtree(place) if place.is_dir() else place.unlink()
        raise


@cache
def _templates(word: str) -> dict[str, str]:
    """The texts that make up a distribution, by the names of their files."""
    folder = files("pointsman_cli.scaffold") / _TEMPLATES
    own = _texts(folder / word)
    found = {**_texts(folder / "common"), **own}
    if not {"contract.py", "test_contract.py"} & set(own):
        del found["test_contract.py"]
    found.pop("about.md")
    return found


def _texts(folder: Traversable) -> dict[str, str]:
    return {
        each.name.removesuffix(_SUFFIX): each.read_text("utf-8")
        for each in folder.iterdir()
        if each.name.endswith(_SUFFIX)
    }


def _values(word: str, names: Names, version: str) -> dict[str, str]:
    """What stands in place of each placeholder."""
    beginning = BEGINNINGS[word]
    fits = _range(version)
    requires = [each if _is_foreign(each) else f"{each}{fits}" for each in ("pointsman", *beginning.requires)]
    for_tests = [f"pointsman[testing]{fits}", *(f"{each}{fits}" for each in beginning.for_tests)]
    tools = [f"pointsman-cli{fits}", "mypy>=1.15", "pytest>=8.3", "ruff>=0.9"]
    return {
        "__NAME__": names.name,
        "__KEY__": names.key,
        "__CLASS__": names.classes,
        "__VARIABLE__": names.variable,
        "__PACKAGE__": names.package,
        "__DIST__": names.distribution,
        "__DESCRIPTION__": f"A plugin of pointsman: {beginning.help}".replace("NAME", names.name),
        "__DEPENDENCIES__": _listed(sorted(requires)),
        "__TEST__": _listed(sorted({*for_tests, *tools})),
        "__ENTRY_POINTS__": "\n".join(_entry_points(word, names)),
        "__TYPED__": _listed(["tests"] if beginning.data else ["src", "tests"]),
        "__TESTS__": " --tests tests" if beginning.data else "",
    }


def _is_foreign(requirement: str) -> bool:
    return not requirement.startswith("pointsman")


def _range(version: str) -> str:
    """The versions of pointsman that what is begun now goes with: nothing is taken away in two minor ones."""
    major, minor = (int(each) for each in version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 2}"


def _listed(values: list[str]) -> str:
    """A list of TOML; JSON writes strings the same way."""
    if len(values) < 2:
        return json.dumps(values)[1:-1]
    return "".join(f"\n    {json.dumps(each)}," for each in values) + "\n"


def _entry_points(word: str, names: Names) -> Iterator[str]:
    beginning = BEGINNINGS[word]
    leads_to = f"{names.package}:{beginning.data or 'plugin'}"
    for group in beginning.groups:
        yield f'\n[project.entry-points."{group}"]\n{names.name} = "{leads_to}"'
    if beginning.contract and not beginning.data:
        tests = f"{names.package}.contract:Test{names.classes}"
        yield (
            "\n# `pointsman plugins check` finds the tests of its contract here."
            f'\n[project.entry-points."pointsman.contracts"]\n"{beginning.contract}.{names.name}" = "{tests}"'
        )
    yield ""


def _rows(names: Names, paths: Mapping[str, str]) -> Iterator[str]:
    """The files that an author changes, as rows of a table."""
    about = {
        "__init__.py": "the plugin, its settings, and what it does",
        "wire.py": "what goes over the wire",
        "provider.yaml": "the plugin: addresses, models, quirks",
        "contract.py": "the tests of its contract, with what it is tried with",
        f"test_{names.key}_contract.py": "the tests of its contract",
        f"test_{names.key}.py": "tests of `pointsman.yaml` at work",
        "pointsman.yaml": "an example of a configuration",
        "ci.yml": "the same tests for three versions of Python",
    }
    for path in sorted(paths):
        if text := about.get(path.rpartition("/")[2]):
            yield f"| `{path}` | {text} |"


def _paragraphs(word: str, values: Mapping[str, str]) -> dict[str, str]:
    """What the README says of this kind: its sections `about`, `try` and `replace`."""
    text = (files("pointsman_cli.scaffold") / _TEMPLATES / word / f"about.md{_SUFFIX}").read_text("utf-8")
    parts = re.split(r"^# (\w+)\n", text, flags=re.MULTILINE)[1:]
    found = dict(zip(parts[::2], parts[1::2], strict=True))
    return {f"__{name.upper()}__": _filled(part.strip("\n"), values) for name, part in found.items()}


def _filled(text: str, values: Mapping[str, str]) -> str:
    """`text` with the values in place of their names; what is put in is not looked at again."""
    return re.sub("|".join(map(re.escape, values)), lambda found: values[found[0]], text)
