"""What the package offers: two sinks, and a command."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pointsman.plugin import AuditContext, AuditFactory, AuditSink, PointsmanSpec, hookimpl
from pointsman_audit.settings import PostgresSettings, SqliteSettings


class AuditPlugin(PointsmanSpec):
    """Offers the sinks `sqlite` and `postgres`, and the command `audit`."""

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        """Tables of records, in a file or at a server."""
        return [
            AuditFactory("sqlite", SqliteSettings, _sink),
            AuditFactory("postgres", PostgresSettings, _sink),
        ]

    @hookimpl
    def pointsman_commands(self) -> Sequence[Any]:
        """`pointsman audit`."""
        from pointsman_audit.command import command  # only the command line has click

        return [command]


def _sink(context: AuditContext) -> AuditSink:
    from pointsman_audit.sink import sink_for

    return sink_for(context)
