"""Which installed plugins a configuration lets in, and as what they must come."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from pointsman.plugins.known_names import our_distributions
from pointsman.plugins.versions import canonical, same_release


class Rules(Struct, frozen=True):
    """What a configuration says under `plugins`; distributions are compared as package indexes do.

    Attributes:
        choose: name → distribution, where two offer one name.
        allow: the distributions beside ours that may be used; None: all of them.
        deny: those that may not, whatever `allow` says.
        pin: distribution → the version it must have, or `sha256:…` of what it must be.
    """

    choose: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    pin: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def chosen(self, name: str) -> str | None:
        """The distribution that `name` is to come from, spelt as indexes compare it."""
        chosen = self.choose.get(name)
        return None if chosen is None else canonical(chosen)

    def refusal(self, distribution: str) -> tuple[str, str] | None:
        """Why no plugin of `distribution` is let in, and what would help; None when they are.

        The reason is the end of a sentence about it.
        """
        name = canonical(distribution)
        if self.allow is None and not self.deny:
            return None
        if name in our_distributions():
            return None
        if name in map(canonical, self.deny):
            return "is denied by plugins.deny", "take it out there"
        if self.allow is not None and name not in map(canonical, self.allow):
            names = ", ".join(sorted({*self.allow, distribution}))
            return "is not named by plugins.allow", f"write plugins: {{allow: [{names}]}}"
        return None

    def broken_pin(self, distribution: Any, name: str, version: str) -> tuple[str, str] | None:
        """What keeps an installed distribution from being what it is pinned to, and what would help.

        Args:
            distribution: a `Distribution` of importlib.metadata.
            name, version: what its metadata say.
        """
        wanted = next((each for key, each in self.pin.items() if canonical(key) == canonical(name)), None)
        if wanted is None:
            return None
        if not wanted.startswith(HASH):
            if same_release(wanted, version):
                return None
            said = f"is pinned to {wanted} by plugins.pin, and {version} is installed"
            return said, f'pip install {name}=={wanted}, or plugins: {{pin: {{ {name}: "{version}" }}}}'
        return _broken_hash(distribution, name, wanted)


def _broken_hash(distribution: Any, name: str, wanted: str) -> tuple[str, str] | None:
    from pointsman.plugins.records import (
        Unverified,
        fingerprint,
    )  # reads files; hardly anybody pins by a hash

    try:
        found = f"{HASH}{fingerprint(distribution)}"
    except Unverified as error:
        return f"is pinned to {wanted} by plugins.pin, and {error}", error.help.format(name=name)
    if found == wanted:
        return None
    said = f"is pinned to {wanted} by plugins.pin, and what is installed is another build"
    return said, f'plugins: {{pin: {{ {name}: "{found}" }}}}, if you trust that one'


HASH = "sha256:"
"""What a pin begins with that is no version."""
