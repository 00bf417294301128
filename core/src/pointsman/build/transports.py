"""The transports of one router, made by name; none opens anything."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.config.problems import KeyPath
from pointsman.errors import ConfigError, PluginError
from pointsman.events import log
from pointsman.plugins.interfaces import lack
from pointsman.plugins.registry import Plugins
from pointsman.transports.options import TransportOptions, TransportUnavailable

if TYPE_CHECKING:
    from pointsman.build.tracing import Trace

_DEEPEST = 16
"""Transports around each other; who stands around itself has no end."""


class Transports:
    """Makes transports of what plugins offer."""

    def __init__(
        self, plugins: Plugins, contexts: Contexts, scrubber: Scrubber, trace: Trace | None = None
    ) -> None:
        self._trace = trace
        self._plugins = plugins
        self._contexts = contexts
        self._scrubber = scrubber

    def open(
        self,
        name: str,
        options: TransportOptions,
        settings: Any = None,
        *,
        place: KeyPath = (),
        around: tuple[str, ...] = (),
    ) -> Any:
        """The transport of that name; one that is given no settings has the defaults of its model.

        Args:
            around: those that it is to stand within, the outermost first.

        Raises: TransportUnavailable.
        """
        did: str | None
        _refuse_endless(around)
        try:
            # What a configuration says was looked up where it says so.
            factory = self._plugins.get("transport", name, unsaid=True)
            if (refusal := factory.refuses(options)) is not None:
                raise TransportUnavailable(refusal)
            if settings is None and factory.settings is not None:
                settings = factory.settings()
            context = self._contexts.transport(
                name,
                settings,
                options=options,
                inner=partial(self.open, options=options, place=place, around=(*around, name)),
                candidates=partial(self.candidates, options),
            )
            make = partial(factory.make, context)
            made = make() if self._trace is None else self._trace.timed("transport", name, place, make)
        except PluginError as error:
            raise TransportUnavailable(error.message) from error
        except (ConfigError, ValueError, TransportUnavailable) as error:
            raise TransportUnavailable(self._scrubber.shown(error)) from error
        except (*OWN, SystemExit) as error:  # somebody else's code: anything can happen
            fault("transport", name, "make", error, scrub=self._scrubber.text)
            did = f"failed: {type(error).__name__}; the log says more"
        else:
            did = lack("transport", made)
            if did is None:
                return made
        origin = self._plugins.origin("transport", name)
        raise TransportUnavailable(f"the factory of transport {name!r} from {origin} {did}")

    def candidates(self, options: TransportOptions) -> list[str]:
        """Those that `auto` may take, the highest rank first and among equals by name.

        Raises: TransportUnavailable with what the last of them says, which is the one that can do most.
        """
        able: list[tuple[int, str]] = []
        why: list[tuple[int, str]] = []
        for name in self._plugins.names("transport"):
            try:
                factory = self._plugins.get("transport", name, unsaid=True)
                refusal = factory.refuses(options) if factory.rank > 0 else None
            except PluginError as error:
                # Somebody's broken plugin must not stop a router that can do without.
                log.warning("transport 'auto' passes over one: %s", self._scrubber.text(error.message))
                continue
            except (*OWN, SystemExit) as error:
                fault("transport", name, "refuses", error, scrub=self._scrubber.text)
                continue
            if factory.rank > 0:
                (able if refusal is None else why).append((-factory.rank, refusal or name))
        if not able:
            raise TransportUnavailable(max(why)[1] if why else "no transport is installed that can be chosen")
        return [name for _, name in sorted(able)]


def _refuse_endless(around: tuple[str, ...]) -> None:
    if len(around) > _DEEPEST:
        chain = " > ".join(around[:3])
        raise TransportUnavailable(f"transports stand around each other without end: {chain} > …")
