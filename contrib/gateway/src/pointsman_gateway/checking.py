"""What is wrong with the section `gateway` that only the rest of the file and other plugins can tell."""

from __future__ import annotations

from pointsman._internal.suggest import did_you_mean
from pointsman.plugin import SectionCheck
from pointsman_gateway.settings import GatewaySettings


def check_gateway(settings: GatewaySettings, check: SectionCheck) -> None:
    """Addresses that are named twice, models that there are not, and what surfaces say of their settings."""
    addresses = [str(each) for each in settings.addresses() if each.path is not None or each.port]
    for twice in sorted({each for each in addresses if addresses.count(each) > 1}):
        check.problem(("listen",), f"{twice} is to be listened at twice")
    for name, surface in (settings.surfaces or {}).items():
        check.plugin("surface", name, surface.own, ("surfaces", name))
        for number, model in enumerate(surface.models or ()):
            if model not in check.models:
                hint = did_you_mean(model, check.models, what="there are")
                check.problem(("surfaces", name, "models", number), f"there is no model {model!r}", hint)
