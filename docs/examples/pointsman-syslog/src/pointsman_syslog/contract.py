"""The kit: what every audit sink owes the router, here with a server that is down."""

from pathlib import Path

from pointsman.plugin import AuditSink, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import AuditContract
from pointsman_syslog.sink import SyslogSettings, SyslogSink


def sink_to(address: str, directory: Path) -> AuditSink:
    """A sink as a router makes it."""
    contexts = Contexts(SystemClock(), system_rng(), directory=directory)
    return SyslogSink(contexts.audit("syslog", SyslogSettings(address=address)))


class TestSyslog(AuditContract):
    def make(self, directory: Path) -> AuditSink:
        return sink_to(f"unix://{directory}/nobody", directory)
