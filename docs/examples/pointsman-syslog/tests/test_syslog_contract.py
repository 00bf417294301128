"""What pointsman-syslog owes the router: pointsman_syslog/contract.py, and that with one that listens."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from pointsman.plugin import AuditSink
from pointsman.testing.contract import AuditContract
from pointsman_syslog.contract import TestSyslog, sink_to

__all__ = ["TestSyslog", "TestSyslogThatIsHeard"]


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[None]:
    """One that listens, and never reads."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        TestSyslogThatIsHeard.port = listening.getsockname()[1]
        yield


class TestSyslogThatIsHeard(AuditContract):
    port: ClassVar[int]

    def make(self, directory: Path) -> AuditSink:
        return sink_to(f"udp://127.0.0.1:{self.port}", directory)
