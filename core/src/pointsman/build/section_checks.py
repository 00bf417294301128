"""What the checks of sections find: problems of the draft, each at its place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import codes
from pointsman.config.findings import unknown_key
from pointsman.config.names import provider_and_model
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
        message = f"the check of section {section.name!r} from {origin} {did}"
        draft.problem((section.name,), message, code=codes.PLUGIN_FAILED)


class _Check:
    """As `SectionCheck`."""

    def __init__(self, section: str, draft: Draft, factories: Factories) -> None:
        self._section = section
        self._draft = draft
        self._factories = factories
        self._names = draft.config.names()
        self.models: Collection[str] = self._names

    def problem(
        self, path: Sequence[str | int], message: str, hint: str | None = None, *, code: str | None = None
    ) -> None:
        place = (self._section, *path)
        self._draft.problem(place, message, hint=hint, code=code or codes.REFUSED_BY_SECTION)

    def model(self, name: str, path: Sequence[str | int], *, upstream: bool = False) -> None:
        names, (provider, _model) = self._names, provider_and_model(name)
        if names.may_have(name) or (upstream and provider in names.providers):
            return
        hint = (names.near_any if upstream else names.near)(name, what="there are")
        self.problem(path, f"there is no model {name!r}", hint, code=codes.NO_SUCH_MODEL)

    def plugin(self, kind: str, name: str, settings: Mapping[str, Any], path: Sequence[str | int]) -> None:
        place, known = (self._section, *path), self._draft.plugins.names(kind)
        if name not in known and self._draft.plugins.left_out(kind, name) is None:
            self._draft.found.append(unknown_key(place, known))
            return
        factory = self._factories.offered(kind, name, place)
        if factory is not None:
            self._factories.with_settings(factory, settings, place)
