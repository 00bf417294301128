"""What an installed distribution offers, loaded, asked and made as a router would do it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, PackageNotFoundError, distribution, distributions
from pathlib import Path
from typing import Any

from msgspec import Struct
from pydantic import BaseModel, ValidationError

from pointsman._internal.scrubber import Scrubber
from pointsman._internal.suggest import did_you_mean
from pointsman.build.contexts import Contexts
from pointsman.build.loading import provider_of
from pointsman.build.transports import Transports
from pointsman.clock import Rng, system_rng
from pointsman.plugins.control import Rules
from pointsman.plugins.discovery import Claim, Installed, metadata_of
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.registry import Plugins
from pointsman.plugins.versions import canonical
from pointsman.testing.checking.making import Making
from pointsman.testing.clock import StillClock, SystemClock

GROUP = "pointsman.contracts"
"""Of entry points that name the contract classes of a distribution, by what they are about."""
_DATA = (".yaml", ".yml", ".toml", ".json")


class NotMade(Exception):
    """Nobody can tell how to make it, as the end of a sentence about it."""


class Offer(Struct, frozen=True):
    """One name that a distribution offers, and how it is called in the settings and contracts of a check."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"


class Offered:
    """What one distribution offers.

    Args:
        settings: by `kind.name` or `name`, the settings with which something is made; {} for the rest.

    Raises: LookupError when it is not installed.
    """

    def __init__(self, name: str, settings: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.distribution = _found(name)
        self.name: str = self.distribution.metadata["Name"]
        self._settings = settings or {}

    @cached_property
    def claims(self) -> Sequence[Claim]:
        """In the order of kinds and names, whatever the environment leaves out."""
        every = Installed({}).claims.values()
        mine = [
            each
            for claims in every
            for each in claims
            if canonical(each.distribution) == canonical(self.name)
        ]
        order = list(KINDS)
        return sorted(mine, key=lambda each: (order.index(each.kind), each.name))

    @property
    def offers(self) -> Sequence[Offer]:
        """What its entry points name."""
        return [Offer(each.kind, each.name) for each in self.claims]

    @property
    def modules(self) -> Sequence[str]:
        """What is imported when all that its entry points name is used; its contracts are not."""
        points = [each for each in self.distribution.entry_points if each.group != GROUP]
        return list(dict.fromkeys(each.module for each in points if _is_python(each)))

    @property
    def contracts(self) -> Sequence[EntryPoint]:
        """The entry points that name contract classes."""
        return [each for each in self.distribution.entry_points if each.group == GROUP]

    @cached_property
    def plugins(self) -> Plugins:
        """Where its names mean what it offers, whoever else claims them."""
        choose = {each.name: self.name for each in self.offers}
        return Plugins(rules=Rules(choose=choose), environ={}, read_data=provider_of)

    def prepare(self) -> None:
        """Do all that is not about this distribution: what is seen after it is its own doing."""
        _ = self.plugins.listing()
        _ = Transports(self.plugins, Contexts(SystemClock(), system_rng()), Scrubber())

    def load(self) -> None:
        """Import its modules."""
        for module in self.modules:
            import_module(module)

    def ask(self) -> None:
        """Ask for everything that it offers. Raises PluginError."""
        for each in self.offers:
            self.factory(each)

    def factory(self, offer: Offer) -> Any:
        """Raises PluginError."""
        return self.plugins.get(offer.kind, offer.name)

    def validated(self, offer: Offer) -> Any:
        """The settings with which it is made. Raises NotMade when they need what nobody gave."""
        model = self.factory(offer).settings
        if model is None:
            return None
        given = self._settings.get(str(offer), self._settings.get(offer.name, {}))
        try:
            return model.model_validate(dict(given))
        except ValidationError as error:
            needed = ", ".join(".".join(map(str, each["loc"])) or each["msg"] for each in error.errors())
            raise NotMade(f"its settings need {needed}") from None

    def make(self, offer: Offer, *, rng: Rng | None = None, directory: Path = Path(), **more: Any) -> Any:
        """What its factory makes; `more` is what `Making` has beside the rest.

        Raises: NotMade.
        """
        factory = self.factory(offer)
        if not hasattr(factory, "make"):
            raise NotMade(f"a {offer.kind} is not made")
        # What strategies are told happens at instants from 0 on: the machine's time would be of another day.
        clock = StillClock() if offer.kind == "strategy" else SystemClock()
        contexts = Contexts(clock, rng or system_rng(1), directory)
        making = Making(factory, self.validated(offer), contexts, self.plugins, **more)
        make = getattr(making, offer.kind, None)
        if make is None:
            raise NotMade(f"what a {offer.kind} is made from is not known here")
        return make()

    def make_all(self) -> None:
        """Make all that can be made, and close nothing: nothing may have been opened."""
        for each in self.offers:
            if each.kind != "service":  # made beside a router, which does a lot
                with suppress(NotMade):
                    self.make(each)


def _found(name: str) -> Distribution:
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):
        offering = {
            known
            for each in distributions()
            if "pointsman." in (each.read_text("entry_points.txt") or "")
            # An uninstall that was broken off leaves entry points and no name.
            and (known := metadata_of(each).get("name"))
        }
        hint = did_you_mean(name, offering, what="those with plugins")
        raise LookupError(
            f"no distribution {name!r} is installed here; {hint or 'none with plugins is'}"
        ) from None


def _is_python(point: EntryPoint) -> bool:
    """Whether it names a module; providers that are data name a file of a package."""
    return not point.value.endswith(_DATA)


def closed(made: Any) -> None:
    """Close what was made, as a router closes it."""
    if hasattr(made, "aclose"):
        asyncio.run(made.aclose())
    elif hasattr(made, "close"):
        made.close()


def all_settings(offered: Offered) -> Iterator[tuple[Offer, type[BaseModel]]]:
    """The models of the settings of all that it offers."""
    for each in offered.offers:
        factory = offered.factory(each)
        for name in ("settings", "options"):
            model = getattr(factory, name, None)
            if isinstance(model, type) and issubclass(model, BaseModel):
                yield each, model
