"""What is known of upstream models before they are called: what they cost, how long a prompt they take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, fault
from pointsman.build.draft import Draft
from pointsman.build.factories import Factories
from pointsman.config import DeploymentConfig, codes
from pointsman.prices import KnownModel, Price, PriceSource
from pointsman.routing.snapshot import Upstream


class KnownModels:
    """The sources of a configuration, in the order in which they are asked.

    Each fact is that of the first who knows it: the configuration of the deployment, what the provider type
    itself lists, the sources. What is wrong with a source is a problem of the draft.
    """

    def __init__(self, draft: Draft, factories: Factories) -> None:
        self._draft = draft
        self._sources: list[tuple[int, str, PriceSource]] = []
        for n, each in enumerate(draft.config.prices):
            source = factories.made("prices", each, ("prices", n), draft.contexts.prices)
            if source is not None:
                self._sources.append((n, each.type, source))

    def of(self, config: DeploymentConfig, upstream: Upstream) -> KnownModel:
        """What is known of the model of a deployment."""
        known = _listed(upstream, config.model)
        known = replace(
            known, price=config.price, context_window=config.context_window or known.context_window
        )
        for n, name, source in self._sources:
            if None not in (known.price, known.context_window, known.capabilities):
                break
            found = self._looked(n, name, source, config.model, upstream)
            if found is not None:
                known = _first(known, found)
        return known

    def _looked(
        self, n: int, name: str, source: PriceSource, model: str, upstream: Upstream
    ) -> KnownModel | None:
        """What one source says; None with a problem."""
        scrub = self._draft.scrubber.text
        try:
            found = source.look(upstream.config.type, model, _address(upstream))
        except OWN as error:
            fault("prices", name, "look", error, scrub=scrub)
            did = f"failed in look() for {model!r}: {type(error).__name__}; the log says more"
        else:
            wrong = None if found is None else _misfit(found)
            if wrong is None:
                return found
            did = f"said of {model!r} {wrong}"
            fault("prices", name, "look", did, scrub=scrub)
        # What is asked for later than at the start goes on without: nobody looks at this any more.
        message = f"the source of prices {name!r} {did}"
        self._draft.problem(("prices", n), message, code=codes.PLUGIN_FAILED)
        return None


def _address(upstream: Upstream) -> str | None:
    """Where its calls go."""
    endpoint = upstream.provider.endpoint
    if endpoint is not None:
        return endpoint.base_url
    return upstream.config.base_url or upstream.factory.default_base_url


def _listed(upstream: Upstream, model: str) -> KnownModel:
    """What the provider type itself says of a model."""
    for each in upstream.factory.models:
        if each.id == model:
            return KnownModel(None, each.context_window, each.capabilities or None)
    return KnownModel()


def _first(known: KnownModel, found: KnownModel) -> KnownModel:
    return KnownModel(
        found.price if known.price is None else known.price,
        known.context_window or found.context_window,
        found.capabilities if known.capabilities is None else known.capabilities,
    )


def _misfit(found: Any) -> str | None:
    """What is wrong with what a source said; None when nothing is."""
    if not isinstance(found, KnownModel):
        return f"a {type(found).__name__}; expected a KnownModel or None"
    price: object = found.price
    if price is not None and not isinstance(price, Price):
        return f"a price that is a {type(price).__name__}; expected a Price"
    window: object = found.context_window
    if window is not None and (isinstance(window, bool) or not isinstance(window, int) or window < 1):
        return f"a context_window of {window!r:.50}; expected a whole number of 1 or more"
    can: object = found.capabilities
    if can is not None and (
        isinstance(can, str)
        or not isinstance(can, Sequence)
        or not all(isinstance(each, str) for each in can)
    ):
        return "capabilities that are no sequence of names"
    return None
