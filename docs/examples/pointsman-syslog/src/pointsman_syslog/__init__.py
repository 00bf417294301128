"""The audit sink `syslog`."""

from collections.abc import Sequence

from pointsman.plugin import AuditFactory, PointsmanSpec, hookimpl
from pointsman_syslog.sink import SyslogSettings, SyslogSink


class SyslogPlugin(PointsmanSpec):
    """What this package offers."""

    @hookimpl
    def pointsman_audit_sinks(self) -> Sequence[AuditFactory]:
        return [AuditFactory("syslog", SyslogSettings, SyslogSink)]


plugin = SyslogPlugin()
