"""What installed distributions say in their metadata that they offer. Nothing is imported for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions

from msgspec import Struct

from pointsman.hookspecs import PROJECT
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.versions import unmet

CORE = "pointsman"
"""The distribution that the built-in plugin belongs to."""
LIMIT = "POINTSMAN_PLUGINS"
"""The environment variable that says which third-party plugins count: `none`, or names of distributions."""
_PREFIX = f"{PROJECT}."
"""What all groups of entry points begin with."""


class Claim(Struct, frozen=True):
    """A distribution says in its metadata that it offers a name."""

    kind: str
    name: str
    distribution: str
    version: str
    entry_point: EntryPoint
    requires: tuple[str, ...]
    """What it requires of pointsman, each as `pointsman<0.3,>=0.1; python_version > "3"`."""


class Installed:
    """The claims of all that is installed; read when first asked for, and then kept.

    Args:
        environ: where `POINTSMAN_PLUGINS` is looked up; None: that of the process.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = environ

    @property
    def claims(self) -> dict[tuple[str, str], list[Claim]]:
        """By kind and name, those that may be followed."""
        return self._metadata[0]

    @property
    def left_out(self) -> list[Claim]:
        """Those that `POINTSMAN_PLUGINS` leaves out."""
        return self._metadata[1]

    @property
    def unreadable(self) -> dict[str, str]:
        """The distributions whose metadata cannot be read, and why."""
        return self._metadata[2]

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

    @cached_property
    def _metadata(self) -> tuple[dict[tuple[str, str], list[Claim]], list[Claim], dict[str, str]]:
        claims: dict[tuple[str, str], list[Claim]] = {}
        left_out: list[Claim] = []
        unreadable: dict[str, str] = {}
        allowed = _allowed(os.environ if self._environ is None else self._environ)
        for each in distributions():
            try:
                found = list(_claims_of(each))
            except Exception as error:  # somebody else's files: anything can happen
                unreadable[_directory(each)] = f"its metadata cannot be read: {short(error)}"
                continue
            for claim in found:
                if allowed is not None and canonical(claim.distribution) not in allowed:
                    left_out.append(claim)
                    continue
                others = claims.setdefault((claim.kind, claim.name), [])
                # The same distribution twice on the path, as editable installs have it: the first one counts.
                if all(canonical(each.distribution) != canonical(claim.distribution) for each in others):
                    others.append(claim)
        return claims, left_out, unreadable


def _allowed(environ: Mapping[str, str]) -> frozenset[str] | None:
    """The distributions whose claims count; None: all of them."""
    said = environ.get(LIMIT, "").strip()
    if not said:
        return None
    from pointsman.plugins.known_names import PACKAGES  # hardly anybody sets it

    ours = {package for packages in PACKAGES.values() for package in packages.values()}
    names = () if said.lower() == "none" else said.split(",")
    return frozenset({*ours, *(canonical(name.strip()) for name in names)})


def _claims_of(distribution: Distribution) -> Iterator[Claim]:
    # Parsing the entry points of all that is installed would take as long as the rest of a build.
    if _PREFIX not in (distribution.read_text("entry_points.txt") or ""):
        return
    kinds = {kind.group: kind.name for kind in KINDS.values()}
    if ours := [each for each in distribution.entry_points if each.group in kinds]:
        about = _about(distribution)
        for entry_point in ours:
            yield Claim(
                kinds[entry_point.group],
                entry_point.name,
                about.name,
                about.version,
                entry_point,
                about.requires,
            )


class _About(Struct, frozen=True):
    """What the metadata of a distribution say of it."""

    name: str
    version: str
    requires: tuple[str, ...]


def _about(distribution: Distribution) -> _About:
    """Found without the parser of mail, which takes its whole description apart."""
    head = (distribution.read_text("METADATA") or "").partition("\n\n")[0]
    fields = [line.partition(": ")[::2] for line in head.splitlines()]
    said = dict(fields)
    requires = tuple(
        value
        for key, value in fields
        if key == "Requires-Dist" and re.match(_OF_THE_CORE, value, re.IGNORECASE)
    )
    if "Name" in said and "Version" in said:
        return _About(said["Name"], said["Version"], requires)
    about = distribution.metadata  # parsed anew each time that it is asked for
    return _About(about["Name"], about["Version"], requires)


_OF_THE_CORE = rf"{CORE}\b *(?![-_.\w])."


def _directory(distribution: Distribution) -> str:
    """Some name for a distribution whose metadata cannot be read."""
    path = getattr(distribution, "_path", None)
    return getattr(path, "name", None) or "a distribution without a name"


def canonical(distribution: str) -> str:
    """The name of a distribution as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def short(error: BaseException) -> str:
    """The kind of `error` and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
