"""References in values: `${VAR}`, `${VAR:-default}`, `${file:/run/secrets/x}`, and `$$` for a dollar sign.

They are resolved in values that were parsed already, so what stands in a variable cannot add a key.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pointsman.config import codes
from pointsman.config.problems import KeyPath

ReadFile = Callable[[str], str]
"""The text of the file at a path. Raises OSError or ValueError."""

Unresolved = tuple[KeyPath, str, str | None, str]
"""Where a reference failed, what is wrong with it, what would help, and the code of that."""

# What is not closed is taken to its end: each of many would be looked for up to there once more.
_REFERENCE = r"\$(?:\$|\{(?P<inside>[^}]*)\}|(?P<loose>(?:\{[^}]*)?))"
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


def interpolate(
    data: Any, *, environ: Mapping[str, str], read_file: ReadFile
) -> tuple[Any, list[Unresolved]]:
    """`data` with every reference in its strings resolved, and what could not be.

    Args:
        data: mappings, lists and scalars; it is not changed. Keys stay as they are.
        environ: the variables.
        read_file: how `${file:…}` is read; one line break at the end is dropped.
    """
    faults: list[Unresolved] = []

    def walk(value: Any, path: KeyPath) -> Any:
        if isinstance(value, str):
            return _resolved(value, path) if "$" in value else value
        if isinstance(value, Mapping):
            return {key: walk(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [walk(each, (*path, n)) for n, each in enumerate(value)]
        return value

    def _resolved(text: str, path: KeyPath) -> str:
        def one(found: re.Match[str]) -> str:
            try:
                return _one(found, environ, read_file)
            except _Unresolved as error:
                faults.append((path, error.message, error.hint, error.code))
                return ""

        return re.sub(_REFERENCE, one, text)

    return walk(data, ()), faults


def references(text: object) -> list[str]:
    """What stands between the braces of each reference in `text`; nothing where it is no text."""
    if not isinstance(text, str) or "$" not in text:
        return []
    return [found["inside"] for found in re.finditer(_REFERENCE, text) if found["inside"] is not None]


class _Unresolved(Exception):
    def __init__(self, code: str, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint


def _one(found: re.Match[str], environ: Mapping[str, str], read_file: ReadFile) -> str:
    if found[0] == "$$":
        return "$"
    if found["loose"] is not None:
        what = "'${' without a closing '}'" if found["loose"] else "a '$' that begins nothing"
        raise _Unresolved(codes.REFERENCE_FORM, what, "write ${NAME} for a variable and $$ for a dollar sign")
    inside = found["inside"]
    if inside.startswith("file:"):
        return _from_file(inside.removeprefix("file:"), read_file)
    name, has_default, default = inside.partition(":-")
    if not re.fullmatch(_NAME, name):
        raise _Unresolved(
            codes.REFERENCE_FORM,
            "'${…}' holds neither a variable nor a file",
            "write ${NAME}, ${NAME:-default} or ${file:/path}",
        )
    value = environ.get(name)
    if has_default and not value:
        return default
    if value is None:
        hint = f"set it, or write ${{{name}:-default}}"
        if environ.get(f"{name}_FILE"):
            hint = f"{name}_FILE is set: `auth: {{type: env, name: {name}}}` reads the file"
        raise _Unresolved(codes.NO_SUCH_VARIABLE, f"the environment variable {name} is not set", hint)
    return value


def _from_file(path: str, read_file: ReadFile) -> str:
    try:
        text = read_file(path)
    except OSError as error:
        why = f"the file {path} cannot be read: {error.strerror or 'error'}"
        raise _Unresolved(codes.REFERENCED_FILE, why) from error
    except UnicodeDecodeError as error:
        raise _Unresolved(codes.REFERENCED_FILE, f"the file {path} is not text in UTF-8") from error
    except ValueError as error:
        raise _Unresolved(codes.REFERENCED_FILE, f"the file {path} cannot be used: {error}") from error
    return text.removesuffix("\n").removesuffix("\r")
