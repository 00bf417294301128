"""Contract classes for what a distribution offers: its own, and those that can be made of its factories."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from pointsman.clock import Rng
from pointsman.errors import PluginError
from pointsman.router import Router
from pointsman.selector import Ask
from pointsman.testing.checking.offered import GROUP, NotMade, Offer, Offered
from pointsman.testing.contract.audit import AuditContract
from pointsman.testing.contract.auth import AuthContract
from pointsman.testing.contract.distribution import PluginContract
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.guard import GuardContract
from pointsman.testing.contract.retry import RetryContract
from pointsman.testing.contract.selector import SelectorContract
from pointsman.testing.contract.service import ServiceContract
from pointsman.testing.contract.strategy import StrategyContract
from pointsman.testing.contract.surface import SurfaceContract
from pointsman.testing.contract.transport import TransportContract
from pointsman.testing.surface_host import SurfaceHost
from pointsman.transports.options import TransportOptions

_HOW = f"name its contract in the entry points of {GROUP}, or where its tests are"


def contracts_of(
    distribution: str, *, tests: bool = False, note: Callable[[str], None] = lambda _: None
) -> dict[str, type[Contract]]:
    """The classes of tests with which `distribution` is tried, by names that pytest collects.

    Args:
        tests: there are tests of its own besides, and what it offers has its contracts there.
        note: is told what cannot be tried, and why.

    Raises: TypeError when an entry point of `pointsman.contracts` names something else than a contract.
    """
    offered = Offered(distribution)
    own = {} if tests else {each.name: _named(each) for each in offered.contracts}
    classes = {_test_name(name): each for name, each in own.items()}
    ours = [each for each in classes.values() if issubclass(each, PluginContract)]
    for each in ours:
        each.distribution = offered.name
    if not ours:
        classes["TestPlugin"] = type("TestPlugin", (PluginContract,), {"distribution": offered.name})
    settings = ours[0].settings if ours else {}
    if not tests:
        offered = Offered(distribution, settings)
        for offer in offered.offers:
            if str(offer) not in own and offer.name not in own:
                _derive(offered, offer, classes, note)
    return classes


def _derive(
    offered: Offered, offer: Offer, classes: dict[str, type[Contract]], note: Callable[[str], None]
) -> None:
    derive = _DERIVED.get(offer.kind)
    if derive is None:
        note(f"{offer}: its contract needs what only its author knows; {_HOW}")
        return
    try:
        offered.validated(offer)
    except PluginError:
        return  # PLUGIN-01 says so
    except NotMade as reason:
        note(f"{offer}: {reason}; {_HOW}")
        return
    name = _test_name(str(offer))
    members: dict[str, Any] = {"offered": offered, "offer": offer}
    if offer.kind == "transport":
        members["factory"] = offered.factory(offer)
    classes[name] = type(name, (derive,), members)


def _named(point: EntryPoint) -> type[Contract]:
    found = point.load()
    if not isinstance(found, type) or not issubclass(found, Contract):
        raise TypeError(f"{point.value}, which {GROUP} has as {point.name!r}, is no contract class")
    return found


def _test_name(name: str) -> str:
    return "Test" + "".join(part[:1].upper() + part[1:] for part in name.replace(".", "_").split("_"))


class _Derived(Contract):
    """What all of them know."""

    offered: ClassVar[Offered]
    offer: ClassVar[Offer]


class _DerivedStrategy(_Derived, StrategyContract):
    def make(self, rng: Rng | None) -> Any:
        return self.offered.make(self.offer, rng=rng)


class _DerivedRetry(_Derived, RetryContract):
    def make(self, rng: Rng) -> Any:
        return self.offered.make(self.offer, rng=rng)


class _DerivedAuth(_Derived, AuthContract):
    def make(self) -> Any:
        return self.offered.make(self.offer)


class _DerivedAudit(_Derived, AuditContract):
    def make(self, directory: Path) -> Any:
        return self.offered.make(self.offer, directory=directory)


class _DerivedGuard(_Derived, GuardContract):
    def make(self) -> Any:
        return self.offered.make(self.offer)


class _DerivedSelector(_Derived, SelectorContract):
    def make(self, models: Sequence[str], ask: Ask) -> Any:
        return self.offered.make(self.offer, models=models, ask=ask)


class _DerivedService(_Derived, ServiceContract):
    def make(self, router: Router, directory: Path) -> Any:
        return self.offered.make(self.offer, router=router, directory=directory)


class _DerivedSurface(_Derived, SurfaceContract):
    def make(self, host: SurfaceHost) -> Any:
        return self.offered.make(self.offer, host=host)


class _DerivedTransport(_Derived, TransportContract):
    def make(self, options: TransportOptions) -> Any:
        return self.offered.make(self.offer, options=options)


_DERIVED: Mapping[str, type[_Derived]] = {
    "strategy": _DerivedStrategy,
    "retry": _DerivedRetry,
    "auth": _DerivedAuth,
    "audit": _DerivedAudit,
    "guard": _DerivedGuard,
    "selector": _DerivedSelector,
    "service": _DerivedService,
    "surface": _DerivedSurface,
    "transport": _DerivedTransport,
}
"""Kinds of which anything that can be made can be tried."""
