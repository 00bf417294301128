"""What the factories of plugins make of their settings; whatever goes wrong is a problem of the draft."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.settings import Section
from pointsman.build.contexts import as_configured
from pointsman.build.draft import Draft
from pointsman.config import Config, DeploymentConfig, Named, codes
from pointsman.config.findings import Finding
from pointsman.config.problems import KeyPath
from pointsman.context import Context
from pointsman.errors import ConfigError, InvalidRequest, PluginError
from pointsman.plugins.interfaces import lack
from pointsman.plugins.registry import PassedInBroken
from pointsman.retry import RetryPolicy
from pointsman.strategy import Strategy
from pointsman.transports.options import TransportUnavailable

M = TypeVar("M", bound=BaseModel | Section)


class Factories:
    """The factories that a configuration names, by kind and name."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft

    def retry(self, named: Named, path: KeyPath) -> RetryPolicy | None:
        """The retry policy of that name; None with problems."""
        policy: RetryPolicy | None = self.made("retry", named, path, self._draft.contexts.retry)
        return policy

    def strategy(
        self, named: Named, path: KeyPath, model: str = "", deployments: Sequence[DeploymentConfig] = ()
    ) -> Strategy | None:
        """The strategy of that name for `model`, or for nobody; None with problems."""
        members = [as_configured(each) for each in deployments]
        context = partial(self._draft.contexts.strategy, model=model, members=members)
        strategy: Strategy | None = self.made("strategy", named, path, context)
        return strategy

    def transport(self, named: Named, path: KeyPath) -> tuple[Any, BaseModel | None] | None:
        """The factory of a transport, and its settings if it has any; None with problems."""
        # Mostly its name is all that is written.
        place = (*path, "type") if named.settings else path
        if self.offered("transport", named.type, place) is None:
            return None
        return self.configured("transport", named, path)

    def offered(self, kind: str, name: str, path: KeyPath) -> Any:
        """The factory of that kind and name; None with a problem."""
        unsaid = path[0] in Config.model_fields and path[0] not in self._draft.config.model_fields_set
        try:
            return self._draft.plugins.get(kind, name, unsaid=unsaid)
        except PluginError as error:
            # What a program passed in is no matter of the place that asked first, nor of all that ask.
            place = () if isinstance(error, PassedInBroken) else path
            self._draft.problem(place, error.message, code=codes.NO_SUCH_PLUGIN)
            return None

    def validated(self, model: type[M] | None, settings: object, path: KeyPath) -> M | None:
        """The settings of a plugin, whose secrets are hidden from now on; None with problems."""
        kind: object = model
        if not (isinstance(kind, type) and issubclass(kind, BaseModel | Section)):
            wanted = "a class that inherits BaseModel of pydantic"
            message = f"the `settings` of its factory are {kind!r:.50}; expected {wanted}"
            self._draft.problem(path, message, code=codes.PLUGIN_FAILED)
            return None
        made = self._draft.config.validate_settings(model, settings, path, self._draft.found)
        self._draft.hide(made, path)
        return made

    def made(self, kind: str, named: Named, path: KeyPath, context: Callable[[str, Any], Context]) -> Any:
        """What the factory `named.type` of that kind makes of its settings; None with problems.

        `context`: makes what the factory is given, of its name and its settings.
        """
        configured = self.configured(kind, named, path)
        if configured is None:
            return None
        factory, settings = configured
        return self.make(kind, named.type, path, lambda: factory.make(context(named.type, settings)))

    def configured(self, kind: str, named: Named, path: KeyPath) -> tuple[Any, BaseModel | None] | None:
        """The factory `named.type` of that kind and its settings, if it has any; None with problems."""
        factory = self.offered(kind, named.type, (*path, "type"))
        return None if factory is None else self.with_settings(factory, named.settings, path)

    def with_settings(
        self, factory: Any, given: Mapping[str, Any], path: KeyPath
    ) -> tuple[Any, BaseModel | None] | None:
        """`factory` and what it is to be given, if it has any settings; None with problems."""
        if factory.settings is not None:
            settings = self.validated(factory.settings, given, path)
            return None if settings is None else (factory, settings)
        if given:
            place = (*path, next(iter(given)))
            message = f"{factory.name} takes no settings"
            self._draft.found.append(Finding(place, message, at_key=True, code=codes.NO_SETTINGS))
            return None
        return factory, None

    def make(self, kind: str, name: str, path: KeyPath, make: Callable[[], Any]) -> Any:
        """What the factory `name` of that kind makes; None with problems."""
        trace = self._draft.trace
        try:
            made = make() if trace is None else trace.timed(kind, name, path, make)
        except (ConfigError, InvalidRequest, ValueError, TransportUnavailable) as error:
            shown = self._draft.scrubber.shown(error)
            self._draft.problem(path, shown, code=codes.REFUSED_BY_PLUGIN)
            return None
        except (*OWN, SystemExit) as error:  # somebody else's code: anything can happen
            fault(kind, name, "make", error, scrub=self._draft.scrubber.text)
            did: str | None = f"failed: {type(error).__name__}; the log says more"
        else:
            did = lack(kind, made)
            if did is None:
                return made
        origin = self._draft.plugins.origin(kind, name)
        message = f"the factory of {kind} {name!r} from {origin} {did}"
        self._draft.problem(path, message, code=codes.PLUGIN_FAILED)
        return None
