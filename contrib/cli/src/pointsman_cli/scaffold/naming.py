"""What a new plugin can be called, and what it is called where: in Python, in metadata, in configurations."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
_LONGEST = 40
_PREFIX = "pointsman"
_YAML = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))
"""What readers of YAML take for something else than a name."""


class Names(Struct, frozen=True):
    """One plugin, by all its names.

    Attributes:
        name: what configurations call it.
        classes: what its classes begin with.
    """

    name: str
    classes: str

    @property
    def distribution(self) -> str:
        """What is installed."""
        return f"{_PREFIX}-{self.name.replace('_', '-')}"

    @property
    def key(self) -> str:
        """The name as an identifier."""
        return self.name.replace("-", "_")

    @property
    def package(self) -> str:
        """What is imported."""
        return f"{_PREFIX}_{self.key}"

    @property
    def variable(self) -> str:
        """What its variables of the environment begin with."""
        return self.key.upper()


def names_of(name: str, texts: Iterable[str]) -> Names:
    """All names of `name`, with classes that are called like nothing else in `texts`."""
    words = {word for text in texts for word in re.findall(r"\w+", text)}
    classes = "".join(part.capitalize() for part in re.split("[-_]", name))
    ours = {word.removeprefix("__CLASS__") for word in words if word.startswith("__CLASS__")}
    if any(f"{classes}{end}" in words for end in ours):
        classes = f"My{classes}"  # `http` would make another HttpProvider
    return Names(name, classes)


def misnamed(name: str) -> str | None:
    """Why nothing can be called `name`, as a sentence that says what would help; None when it can."""
    if len(name) > _LONGEST:
        return f"a name has at most {_LONGEST} characters, and this one has {len(name)}"
    if name in _YAML:
        return f"a configuration would take {name} for something else than a name; choose another"
    plain = name.casefold().replace("_", "-")
    if plain.startswith(f"{_PREFIX}-"):
        return f"the distribution is called {_PREFIX}-NAME by itself{_suggested(name[len(_PREFIX) + 1 :])}"
    if _NAME.fullmatch(name):
        return None
    return (
        "a name begins with a letter and has lower-case letters, digits and single dashes or underscores "
        f"between them{_suggested(name)}"
    )


def _suggested(name: str) -> str:
    """What `name` could be, after a semicolon; "" when nothing is left of it."""
    words = re.findall("[a-z0-9]+", name.casefold())
    found = "-".join(words).lstrip("0123456789-")[:_LONGEST].rstrip("-")
    return f"; did you mean {found!r}?" if found and found not in _YAML else ""
