"""The configuration of another program as a commented file of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.output import shown_line
from pointsman_cli.written_config import written

if TYPE_CHECKING:
    from pointsman.config.document import Document
    from pointsman.config.translation import Translated

Keys = tuple[str | int, ...]

_DEEP = {"models": 4, "providers": 3}
"""How far down, by section, it is said which line a value comes from."""
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_PASSWORD = re.compile(r"(?<=:)[^:@/]+(?=@)")


class Converted(NamedTuple):
    """What a file of another program became.

    Attributes:
        native: in our words; in place of each credential that stood there, a variable.
        text: the same as YAML with comments.
        variables: those variables, each with the way to where it stands.
        warnings: what has no counterpart, or another meaning.
    """

    dialect: str
    native: dict[str, Any]
    text: str
    variables: dict[str, str]
    warnings: list[str]


def converted(file: Path) -> Converted:
    """The configuration in `file`. Raises Failed when it is not another program's, and ConfigError."""
    from pointsman.config.readers.files import read
    from pointsman.config.translation import translated

    document = read(file)
    if not isinstance(document.data, Mapping):
        raise Failed(f"{file} holds no configuration", code=USAGE)
    found = translated(document, ())
    if found.dialect is None:
        raise Failed(
            f"{file} is in no dialect that is known here; pointsman config check says more", code=USAGE
        )
    native, variables = _without_secrets(found.document.data)
    shown = {variable: _shown(path) for path, variable in variables.items()}
    warnings = [str(each) for each in found.warnings]
    return Converted(found.dialect, native, _text(file, found, native, variables), shown, warnings)


def _text(file: Path, found: Translated, native: Mapping[str, Any], variables: Mapping[Keys, str]) -> str:
    notes = dict(_lines(found.document, native))
    for path in variables:
        notes[path] = f"{_line(found.document, path)}: the credential that stands there is not copied"
    head = (
        f"# Made from {shown_line(file.name)}, a file of the dialect {found.dialect}; "
        "the lines are those of that file.\n"
    )
    if variables:
        head += f"# Set before it runs: {', '.join(variables.values())}\n"
    head += "# Check it:  pointsman config check\n\n"
    return head + written(native, notes=notes) + "".join(_left_out(found))


def _left_out(found: Translated) -> Iterator[str]:
    if not found.warnings:
        return
    yield "\n# Without counterpart here, or not quite the same:\n"
    for each in found.warnings:
        several = each.file is not None and len(found.document.files) > 1
        file = f"{Path(each.file or '').name} " if several else ""
        line = "" if each.line is None else f"{file}line {each.line}: "
        hint = "" if each.hint is None else f"; {each.hint}"
        yield f"# - {line}{each.path}: {each.message}{hint}\n"


def _lines(document: Document, native: Mapping[str, Any]) -> Iterator[tuple[Keys, str]]:
    """By the way to a value, the line that it comes from, where that is not the one above it."""
    for path in _parts(native):
        outermost = 2 if path[0] in _DEEP else 1
        line = _line(document, path)
        if line and (
            len(path) == outermost or (len(path) > outermost and line != _line(document, path[:-1]))
        ):
            yield path, line


def _line(document: Document, path: Keys) -> str:
    """Which line the value at `path` comes from, in words; "" where nobody knows."""
    at = document.spot(path)
    if at is None:
        return ""
    file, line = at
    return f"line {line}" if file is None or len(document.files) < 2 else f"{Path(file).name} line {line}"


def _parts(value: Any, path: Keys = ()) -> Iterator[Keys]:
    """The ways to all that gets a line of its own."""
    if path:
        yield path
    if len(path) >= (_DEEP.get(str(path[0]), 2) if path else 1):
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _parts(each, (*path, key))
    elif isinstance(value, list) and path[-1] in ("deployments", "fallback"):
        for n, each in enumerate(value):
            yield from _parts(each, (*path, n))


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────


def _without_secrets(data: Mapping[str, Any]) -> tuple[dict[str, Any], dict[Keys, str]]:
    """`data` with variables in place of credentials, and the variables by the ways to them."""
    variables: dict[Keys, str] = {}
    known: dict[str, str] = {}
    taken = set(_references(data))

    def walk(value: Any, path: Keys) -> Any:
        if isinstance(value, Mapping):
            return {key: walk(each, (*path, key)) for key, each in value.items()}
        if isinstance(value, list):
            return [walk(each, (*path, n)) for n, each in enumerate(value)]
        if not isinstance(value, str) or not (secret := _secret(path, value)):
            return value
        name = known.get(secret) or _variable(path, taken | set(known.values()))
        known[secret] = variables[path] = name
        return value.replace(secret, f"${{{name}}}")

    return walk(data, ()), variables


def _references(value: Any) -> Iterator[str]:
    """The variables that are referred to anywhere."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, str):
        yield from (each[2:-1].partition(":-")[0] for each in _REFERENCE.findall(value))


def _secret(path: Keys, value: str) -> str | None:
    """The credential that stands in `value`, at `path`; None for a reference, and for what is none."""
    from pointsman.config.secret_values import could_be_secret

    references = _REFERENCE.findall(value)
    if value == "none" or (references and not any(":-" in each for each in references)):
        return None
    match path:
        case ("providers", _, "base_url") if re.search(r"[@?#]", value):
            return value  # who has put a user name or a query into it has put a key there
        case ("providers", _, "api_key" | "proxy") | ("providers", _, "headers" | "auth", _):
            return None if path[-1] in ("type", "name", "path") else value
        case ("gateway", "access", "keys", int(), "key"):
            return value
        case ("state",) | ("state", "url"):
            found = _PASSWORD.search(value)
            return found[0] if found else None
    free = not {"defaults", "forced", "options"}.isdisjoint(path)
    return value if free and could_be_secret(value, path, ours=True) else None


def _variable(path: Keys, taken: set[str]) -> str:
    """A name for the credential at `path` that no other one has."""
    words: Sequence[object] = (
        ("gateway", "key") if path[0] == "gateway" else path[1:] or ("redis", "password")
    )
    name = re.sub(r"[^A-Z0-9]+", "_", "_".join(map(str, words)).upper()).strip("_")
    name = name if name[:1].isalpha() else f"KEY_{name}"
    n, found = 1, name
    while found in taken:
        n += 1
        found = f"{name}_{n}"
    return found


def _shown(path: Keys) -> str:
    from pointsman.config.problems import show_path

    return show_path(path)
