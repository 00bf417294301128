"""What the checks of sections find: problems of the draft, each at its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config.findings import unknown_key
from pointsman.section import SectionFactory


def check_section(section: SectionFactory, settings: object, draft: Draft, factories: Factories) -> None:
    """Have `section` look at `settings` once more; whatever is wrong is a problem of the draft."""
    if section.check is None:
        return
    try:
        section.check(settings, _Check(section.name, draft, factories))
    except OWN as error:  # somebody else's code: anything can happen
        fault("section", section.name, "check", error, scrub=draft.scrubber.text)
        origin = draft.plugins.origin("section", section.name)
        did = f"failed: {type(error).__name__}; the log says more"
        draft.problem((section.name,), f"the check of section {section.name!r} from {origin} {did}")


class _Check:
    """As `SectionCheck`."""

    def __init__(self, section: str, draft: Draft, factories: Factories) -> None:
        self._section = section
        self._draft = draft
        self._factories = factories
        self.models: Collection[str] = draft.config.names()

    def problem(self, path: Sequence[str | int], message: str, hint: str | None = None) -> None:
        self._draft.problem((self._section, *path), message, hint=hint)

    def plugin(self, kind: str, name: str, settings: Mapping[str, Any], path: Sequence[str | int]) -> None:
        place, known = (self._section, *path), self._draft.plugins.names(kind)
        if name not in known and self._draft.plugins.left_out(kind, name) is None:
            self._draft.found.append(unknown_key(place, known))
            return
        factory = self._factories.offered(kind, name, place)
        if factory is not None:
            self._factories.with_settings(factory, settings, place)
