"""The kit: what every audit sink owes the router, with a server that listens and with one that is down."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pointsman.plugin import AuditSink, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman.testing.contract import AuditContract
from pointsman_syslog import plugin


def sink_to(address: str, directory: Path) -> AuditSink:
    (factory,) = plugin.pointsman_audit_sinks()
    settings = factory.settings.model_validate({"address": address})
    contexts = Contexts(SystemClock(), system_rng(), directory=directory)
    return factory.make(contexts.audit("syslog", settings))


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One that listens, and never reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        TestSyslog.port = listening.getsockname()[1]
        yield


class TestSyslog(AuditContract):
    port: ClassVar[int]

    def make(self, directory: Path) -> AuditSink:
        return sink_to(f"udp://127.0.0.1:{self.port}", directory)


class TestSyslogThatIsDown(AuditContract):
    def make(self, directory: Path) -> AuditSink:
        return sink_to(f"unix://{directory}/nobody", directory)
