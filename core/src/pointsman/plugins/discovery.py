"""What installed distributions say in their metadata that they offer. Nothing is imported for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from pointsman.hookspecs import PROJECT
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.versions import canonical, unmet

if TYPE_CHECKING:
    from pointsman.plugins.control import Rules

CORE = "pointsman"
"""The distribution that the built-in plugin belongs to."""
LIMIT = "POINTSMAN_PLUGINS"
"""The environment variable that says which third-party plugins count: `none`, or names of distributions."""
_PREFIX = f"{PROJECT}."
"""What all groups of entry points begin with."""


OTHER_GROUPS = frozenset({"pointsman.belongings", "pointsman.contracts", "pointsman.databases"})
"""Groups of ours that no plugins are in: what the kit, commands and databases look for."""
_TAKEN_FOR_OURS = {PROJECT}.union(*((kind.group.replace(".", "_"), kind.hook) for kind in KINDS.values()))

StateOfOthers = Literal["left out", "denied", "not allowed"]


class LeftOut(Struct, frozen=True):
    """Why a claim does not count. `error`: a sentence; `because`: the end of one about its distribution."""

    state: StateOfOthers
    error: str
    because: str


class Claim(Struct, frozen=True):
    """A distribution says in its metadata that it offers a name."""

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint
    requires: tuple[str, ...]
    """What it requires of pointsman, each as `pointsman<0.3,>=0.1; python_version > "3"`."""

    @property
    def is_data(self) -> bool:
        """Whether it names a file, as in `acme:provider.yaml`, and no object."""
        return self.entry_point.value.endswith((".yaml", ".yml"))


class Installed:
    """The claims of all that is installed; read when first asked for, and then kept.

    Args:
        environ: where `POINTSMAN_PLUGINS` is looked up; None: that of the process.
        rules: which of them are let in, among those that the variable lets in.
    """

    def __init__(self, environ: Mapping[str, str] | None = None, rules: Rules | None = None) -> None:
        self._environ = environ
        self._rules = rules

    def look_up(self) -> None:
        """Read all of it now."""
        _ = self._metadata, self.version_of_core

    @property
    def claims(self) -> dict[tuple[str, str], list[Claim]]:
        """By kind and name, those that may be followed."""
        return self._metadata[0]

    @property
    def left_out(self) -> dict[Claim, LeftOut]:
        """Those that `POINTSMAN_PLUGINS` or the configuration leaves out, and why."""
        return self._metadata[1]

    @property
    def unreadable(self) -> dict[str, str]:
        """The distributions whose metadata cannot be read, and why."""
        return self._metadata[2]

    @property
    def astray(self) -> list[Claim]:
        """Those in groups that look like ours and are not; their `kind` is the group."""
        return self._metadata[3]

    @cached_property
    def version_of_core(self) -> str | None:
        """The version of pointsman; None where it is not installed but only on the path."""
        try:
            return _about(distribution(CORE)).version
        except PackageNotFoundError:
            return None

    def misfit(self, claim: Claim) -> str | None:
        """Why the distribution of `claim` does not go with this core, as the end of a sentence about it."""
        version = self.version_of_core
        if version is None:
            return None
        for each in claim.requires:
            if each == f"{CORE}=={version}":
                continue  # as all of ours require it
            try:
                wanted = unmet(each, version)
            except ValueError as error:
                return f"cannot be judged: {error}"
            if wanted is not None:
                return f"requires {CORE}{wanted}, and this is {version}"
        return None

    def _reason(self, claim: Claim, allowed: frozenset[str] | None) -> LeftOut | None:
        """Why a claim does not count; the variable is asked first, and what it leaves out nothing lets in."""
        if allowed is not None and canonical(claim.distribution) not in allowed:
            return LeftOut(
                "left out",
                f"{LIMIT} does not name {claim.distribution}",
                f"which {LIMIT} in the environment leaves out; name it there, or take the variable away",
            )
        refusal = None if self._rules is None else self._rules.refusal(claim.distribution)
        if refusal is None:
            return None
        said, help = refusal
        state: StateOfOthers = "denied" if said.startswith("is denied") else "not allowed"
        return LeftOut(state, f"{claim.distribution} {said}; {help}", f"which {said}; {help}")

    @cached_property
    def _metadata(
        self,
    ) -> tuple[dict[tuple[str, str], list[Claim]], dict[Claim, LeftOut], dict[str, str], list[Claim]]:
        claims: dict[tuple[str, str], list[Claim]] = {}
        left_out: dict[Claim, LeftOut] = {}
        unreadable: dict[str, str] = {}
        astray: list[Claim] = []
        allowed = _allowed(os.environ if self._environ is None else self._environ)
        for each in distributions():
            try:
                found = list(_claims_of(each))
            except Exception as error:  # somebody else's files: anything can happen
                unreadable[_directory(each)] = f"its metadata cannot be read: {short(error)}"
                continue
            for claim in found:
                if claim.kind not in KINDS:
                    astray.append(claim)
                    continue
                if (reason := self._reason(claim, allowed)) is not None:
                    left_out[claim] = reason
                    continue
                others = claims.setdefault((claim.kind, claim.name), [])
                # The same distribution twice on the path, as editable installs have it: the first one counts.
                if all(canonical(each.distribution) != canonical(claim.distribution) for each in others):
                    others.append(claim)
        return claims, left_out, unreadable, astray


def _allowed(environ: Mapping[str, str]) -> frozenset[str] | None:
    """The distributions whose claims count; None: all of them."""
    said = environ.get(LIMIT, "").strip()
    if not said:
        return None
    from pointsman.plugins.known_names import our_distributions  # hardly anybody sets it

    names = () if said.lower() == "none" else said.split(",")
    return our_distributions().union(canonical(name.strip()) for name in names)


def _claims_of(distribution: Distribution) -> Iterator[Claim]:
    # Parsing the entry points of all that is installed would take as long as the rest of a build.
    if PROJECT not in _read(distribution, "entry_points.txt"):
        return
    kinds = {kind.group: kind.name for kind in KINDS.values()}
    ours = [each for each in distribution.entry_points if _is_meant(each.group)]
    if ours := [each for each in ours if each.group not in OTHER_GROUPS]:
        about = _about(distribution)
        for entry_point in ours:
            yield Claim(
                kinds.get(entry_point.group, entry_point.group),
                entry_point.name,
                about.name,
                about.version,
                entry_point,
                about.requires,
            )


def _is_meant(group: str) -> bool:
    """Whether it is a group of ours, or what is taken for one: `pointsman-auth`, the name of a hook."""
    if group.startswith(_PREFIX):
        return True
    return group.startswith(PROJECT) and group.replace("-", "_") in _TAKEN_FOR_OURS


class _About(Struct, frozen=True):
    """What the metadata of a distribution say of it."""

    name: str
    version: str
    requires: tuple[str, ...]


def _about(distribution: Distribution) -> _About:
    """Found without the parser of mail, which takes its whole description apart."""
    head = _read(distribution, "METADATA").partition("\n\n")[0]
    fields = [line.partition(": ")[::2] for line in head.splitlines()]
    said = dict(fields)
    requires = tuple(
        value
        for key, value in fields
        if key == "Requires-Dist" and re.match(_OF_THE_CORE, value, re.IGNORECASE)
    )
    if "Name" in said and "Version" in said:
        return _About(said["Name"], said["Version"], requires)
    about = metadata_of(distribution)
    # An uninstall that was broken off leaves entry points without the rest.
    name = about.get("name") or _directory(distribution).partition("-")[0]
    return _About(name, about.get("version") or "unknown", requires)


def metadata_of(distribution: Distribution) -> Mapping[str, str]:
    """Those of a distribution by name in lower case, parsed anew each time; empty where it has none.

    With `importlib_metadata` in the process, which other packages bring, a distribution without any raises.
    """
    try:
        found = distribution.metadata
    except FileNotFoundError:
        return {}
    return {name.lower(): found[name] for name in found}


def _read(distribution: Distribution, name: str) -> str:
    """The text of one of its files, "" where it has none.

    What is in a directory is read from there: the way over its paths takes ten times as long, for each of all
    that is installed, each time that somebody looks.
    """
    path = getattr(distribution, "_path", None)
    if not isinstance(path, Path):
        return distribution.read_text(name) or ""
    try:
        with open(f"{path}{os.sep}{name}", "rb", buffering=0) as file:
            return file.read().decode().replace("\r\n", "\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        return ""  # as `read_text` has it


_OF_THE_CORE = rf"{CORE}\b *(?![-_.\w])."


def _directory(distribution: Distribution) -> str:
    """Some name for a distribution whose metadata cannot be read."""
    path = getattr(distribution, "_path", None)
    return getattr(path, "name", None) or "a distribution without a name"


def short(error: BaseException) -> str:
    """The kind of `error` and the first line of its text, where it has one."""
    try:
        lines = str(error).strip().splitlines()
    except Exception:  # somebody else's exception: it may not even say what it is
        lines = []
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
