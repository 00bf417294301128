"""What the sections of the configuration have live with a router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.build.section_checks import check_section
from pointsman.config import codes
from pointsman.config.findings import Finding, unknown_key
from pointsman.config.problems import KeyPath
from pointsman.plugins.known_names import PACKAGES
from pointsman.section import SectionFactory
from pointsman.service import Service, ServiceContext, ServiceFactory
from pointsman.state import SharedNotices


class ConfiguredService(Struct, frozen=True, eq=False):
    """One service, made and not started.

    Attributes:
        context: what it was made from.
        origin: the distribution that it comes from, or the place of an object that was passed in.
        path: where the configuration says that it is to be.
        before_calls: no call is made before it has started.
    """

    service: Service
    context: ServiceContext
    origin: str
    path: KeyPath
    before_calls: bool = False

    def replaces(self, other: ConfiguredService) -> bool:
        """Whether it must be started in place of `other`, which runs; else that goes on as it is."""
        mine, others = self.context, other.context
        if (mine.name, type(self.service)) != (others.name, type(other.service)):
            return True
        same = (mine.settings, mine.directory) == (others.settings, others.directory)
        same = same and mine.state is others.state
        return not same and self.service != other.service


class Services:
    """Makes the services of one router, which is not asked anything before they start."""

    def __init__(self, draft: Draft, factories: Factories, router: Any, state: SharedNotices | None) -> None:
        self._draft = draft
        self._factories = factories
        self._router = router
        self._state = state

    def made(self) -> Sequence[ConfiguredService]:
        """All of them, in the order of the configuration; whatever is wrong is a problem of the draft."""
        made = [self._of_section(key, value) for key, value in self._draft.config.sections.items()]
        return [each for each in made if each is not None]

    def _of_section(self, key: str, value: object) -> ConfiguredService | None:
        draft, path = self._draft, (key,)
        sections = draft.plugins.names("section")
        if key not in sections:
            package = PACKAGES["section"].get(key)
            if (left_out := draft.plugins.left_out("section", key)) is not None:
                draft.found.append(Finding(path, left_out, at_key=True, code=codes.NO_SUCH_PLUGIN))
            elif package is None:
                draft.found.append(unknown_key(path, [*type(draft.config).model_fields, *sections]))
            else:
                message = "nothing that is installed reads this section, so it does nothing"
                hint, code = f"pip install {package}", codes.SECTION_UNREAD
                draft.warnings.append(draft.config.problem(path, message, hint, key=True, code=code))
            return None
        section: SectionFactory | None = self._factories.offered("section", key, path)
        settings = None if section is None else self._factories.validated(section.settings, value, path)
        if section is None or settings is None:
            return None
        check_section(section, settings, draft, self._factories)
        if section.service is None:
            return None
        factory: ServiceFactory | None = self._factories.offered("service", section.service, path)
        if factory is None:
            return None
        context = self._context(section.service, settings)
        made = self._factories.make("service", section.service, path, lambda: factory.make(context))
        return None if made is None else self._configured(made, context, path, factory)

    def _context(self, type: str, settings: Any) -> ServiceContext:
        scrub = self._draft.scrubber.text
        return self._draft.contexts.service(
            type, settings, router=self._router, scrub=scrub, state=self._state
        )

    def _configured(
        self, made: Service, context: ServiceContext, path: KeyPath, factory: ServiceFactory
    ) -> ConfiguredService:
        origin = self._draft.plugins.origin("service", context.name)
        return ConfiguredService(made, context, origin, path, factory.before_calls)
