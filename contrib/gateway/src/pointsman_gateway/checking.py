"""What is wrong with the section `gateway` that only the rest of the file and other plugins can tell."""

from __future__ import annotations

from pointsman.plugin import SectionCheck
from pointsman_gateway.access.settings import AccessSettings
from pointsman_gateway.settings import GatewaySettings


def check_gateway(settings: GatewaySettings, check: SectionCheck) -> None:
    """Addresses that are named twice, models that there are not, and what surfaces say of their settings."""
    addresses = [str(each) for each in settings.addresses() if each.path is not None or each.port]
    for twice in sorted({each for each in addresses if addresses.count(each) > 1}):
        check.problem(("listen",), f"{twice} is to be listened at twice", code="PM1204")
    for name, surface in (settings.surfaces or {}).items():
        check.plugin("surface", name, surface.own, ("surfaces", name))
        for number, model in enumerate(surface.models or ()):
            check.model(model, ("surfaces", name, "models", number))
    if settings.access is not None:
        _check_models(settings.access, check)
    _check_surfaces_of_callers(settings, check)


def _check_surfaces_of_callers(settings: GatewaySettings, check: SectionCheck) -> None:
    """An API that there is not lets nobody in, and a slip of the pen there looks like a bad key."""
    own = settings.surfaces or {}
    for group in ("keys", "signatures", "certificates"):
        for number, caller in enumerate(getattr(settings.access, group, ())):
            for surface in caller.surfaces or ():
                if surface not in own and surface != "operator":
                    check.plugin("surface", surface, {}, ("access", group, number, "surfaces", surface))


def _check_models(access: AccessSettings, check: SectionCheck) -> None:
    """Whoever may ask for a model that there is not may ask for less than was meant."""
    for kind in ("keys", "jwt", "signatures", "certificates"):
        for number, each in enumerate(getattr(access, kind)):
            _check_each(each.models, ("access", kind, number, "models"), check)
    if access.anonymous is not None:
        _check_each(access.anonymous.models, ("access", "anonymous", "models"), check)


def _check_each(models: object, path: tuple[str | int, ...], check: SectionCheck) -> None:
    # What is no list is all of them, or a claim that a token names them by.
    for number, model in enumerate(models if isinstance(models, tuple) else ()):
        check.model(model, (*path, number), upstream=True)
