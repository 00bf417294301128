"""Keys and budgets of the callers of a pointsman router."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import PointsmanSpec, SectionFactory, ServiceFactory, hookimpl

__all__ = ["CallersPlugin", "plugin"]


class CallersPlugin(PointsmanSpec):
    """Offers the sections `budgets` and `callers`, their services, and the commands for them."""

    @hookimpl
    def pointsman_sections(self) -> tuple[SectionFactory, ...]:
        """What they are configured by."""
        from pointsman_callers.budgets.service import SECTION
        from pointsman_callers.keys.service import SECTION as KEYS

        return (SECTION, KEYS)

    @hookimpl
    def pointsman_services(self) -> tuple[ServiceFactory, ...]:
        """One for each section."""
        from pointsman_callers.budgets.service import SERVICE
        from pointsman_callers.keys.service import SERVICE as KEYS

        return (SERVICE, KEYS)

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman callers` and `pointsman spend`."""
        from pointsman_callers.keys.command import command as keys  # only the command line has click
        from pointsman_callers.ledger.command import command as spend

        return [keys, spend]


plugin = CallersPlugin()
