"""The configuration: which file, what is wrong in it, and who else may read what is secret."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman_cli.configured import NAMES, VARIABLE, config_file
from pointsman_cli.doctor.findings import Checked, fail, ok, warn
from pointsman_cli.options import Asked
from pointsman_cli.output import counted

if TYPE_CHECKING:
    from pointsman import Config
    from pointsman.config.problems import Problem

_SECRET_KEYS = ("api_key", "password", "secret", "token", "value")
_MOUNTED = ("/run/secrets/", "/var/run/secrets/")
"""Where runtimes of containers put secrets, for whoever is in the container."""
_REFERENCED_FILE = re.compile(r"\$\{file:([^}]+)\}")
_REFERENCED_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)")
_OTHERS_READ, _OTHERS_WRITE = stat.S_IROTH, stat.S_IWOTH


class Given(Struct, frozen=True, eq=False):
    """What there is of a configuration.

    Attributes:
        file: what is read, to be shown; None where there is none.
        files: all that it is made of.
        data: as the file says it, references and all; `{}` for what cannot be read.
        config: None where there is none, or a wrong one.
        problems: what is wrong with it.
    """

    file: str | None = None
    data: Mapping[str, Any] = {}
    config: Config | None = None
    problems: tuple[Problem, ...] = ()
    files: tuple[str, ...] = ()


def given(asked: Asked) -> Given:
    """What the command line, the environment or this folder names. Raises Failed (2) for two files here."""
    from pointsman import ConfigError, Router
    from pointsman.config.readers.files import read

    source = config_file(asked, os.environ, Path())
    if source is None:
        return Given()
    named = (source,) if isinstance(source, str) else source
    file, data = ", ".join(named), dict[str, Any]()
    try:
        document = read(source)
        data, named = document.data if isinstance(document.data, dict) else data, document.files
        return Given(file, data, Router.check(source), files=named)
    except ConfigError as error:
        problems: Any = tuple(error.problems)
        return Given(file, data, problems=problems, files=named)


def configuration(case: Given) -> Iterator[Checked]:
    """The file, its problems and warnings, and who may read and write it and the files with secrets."""
    if case.file is None:
        yield ok("configuration", f"none: no {NAMES[0]} here, and {VARIABLE} names none")
        return
    if case.config is None:
        yield from (fail(_place(each, case.file), each.message, each.hint or "") for each in case.problems)
    else:
        models = counted(len(case.config.public_models()), "model")
        yield ok(case.file, f"{counted(len(case.config.providers), 'provider')}, {models}")
        yield from (
            warn(_place(each, case.file), each.message, each.hint or "") for each in case.config.warnings
        )
    if os.name == "posix":
        yield from _permissions(case)


def _place(problem: Problem, file: str) -> str:
    """`pointsman.yaml:3:5: providers.gpu`"""
    place = ":".join(str(each) for each in (problem.file or file, problem.line, problem.column) if each)
    return f"{place}: {problem.path}" if problem.path else place


def _permissions(case: Given) -> Iterator[Checked]:
    own = [Path(each) for each in case.files]
    for path in (*own, *_files_with_secrets(case.data)):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # where that matters, the configuration has a problem that says so
        secret = path not in own or any(_literal_secrets(case.data))
        if mode & _OTHERS_WRITE:
            yield warn(str(path), "everybody on this machine can write it", f"chmod o-rwx {path}")
        elif mode & _OTHERS_READ and secret and not str(path).startswith(_MOUNTED):
            said = "everybody on this machine can read it, and it holds a secret"
            yield warn(str(path), said, f"chmod 600 {path}")


def _files_with_secrets(data: Mapping[str, Any]) -> list[Path]:
    found = []
    for path, value in _texts(data, ()):
        found += [Path(each) for each in _REFERENCED_FILE.findall(value)]
        if path[-1:] == ("client_key",) or path[-2:] in (("auth", "path"), ("tls", "key")):
            found.append(Path(value))
    return list(dict.fromkeys(found))


def _literal_secrets(data: Mapping[str, Any]) -> Iterator[tuple[str | int, ...]]:
    """Where a secret is written down, rather than referred to."""
    for path, value in _texts(data, ()):
        is_key = path[-1] in _SECRET_KEYS or (path[-1] == "key" and "keys" in path)
        if is_key and value and "${" not in value:
            yield path


def variables_of(data: Mapping[str, Any]) -> set[str]:
    """The environment variables that a configuration names."""
    found: set[str] = set()
    for path, value in _texts(data, ()):
        found.update(_REFERENCED_VARIABLE.findall(value))
        if path[-2:] == ("auth", "name"):
            found.update((value, f"{value}_FILE"))
    return found


def _texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for n, each in enumerate(value):
            yield from _texts(each, (*path, n))
