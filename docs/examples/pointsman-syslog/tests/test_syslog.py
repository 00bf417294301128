"""The sink against real servers."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman import Router
from pointsman.plugin import AttemptEnded, AuditSink, BreakerChanged, Outcome, Reloaded, Usage, system_rng
from pointsman.testing import Contexts, SystemClock
from pointsman_simulator import Simulator
from pointsman_syslog import plugin
from pointsman_syslog.messages import Messages

CONFIGURATION = Path(__file__).parents[1] / "pointsman.yaml"
RFC5424 = re.compile(
    r"<(?P<pri>\d{1,3})>1 (?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) (?P<host>[!-~]{1,255}) "
    r"(?P<app>[!-~]{1,48}) (?P<pid>\d+) (?P<id>[!-~]{1,32}) "
    r'\[pointsman@32473(?P<data>(?: [!-<>-\\^-~]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\] \ufeff(?P<text>.*)',
    re.DOTALL,
)
PARAMETER = re.compile(r' (?P<name>[^=]+)="(?P<value>(?:[^"\\\]]|\\["\\\]])*)"')
MESSAGES = Messages(facility="local3", host="gw 1", app="pointsman", pid=7)


def parsed(message: bytes) -> tuple[re.Match[str], dict[str, str]]:
    """The parts of a message, and its data."""
    found = RFC5424.fullmatch(message.decode())
    assert found is not None, message
    data = {
        each["name"]: re.sub(r'\\(["\\\]])', r"\1", each["value"])
        for each in PARAMETER.finditer(found["data"])
    }
    return found, data


def sink(address: str, **settings: object) -> AuditSink:
    (factory,) = plugin.pointsman_audit_sinks()
    model = factory.settings.model_validate({"address": address, **settings})
    return factory.make(Contexts(SystemClock(), system_rng()).audit("syslog", model))


class Server:
    """A syslog server on TCP. It takes messages when it is told to, and can be away for a while."""

    def __init__(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.rest = b""
        self.connection: socket.socket | None = None

    def next(self) -> bytes:
        """The next message."""
        while (found := re.match(rb"(\d+) ", self.rest)) is None or len(self.rest) < found.end() + int(
            found[1]
        ):
            if self.connection is None:
                self.listening.settimeout(10)
                self.connection, _ = self.listening.accept()
                self.connection.settimeout(10)
            data = self.connection.recv(65536)
            assert data, "the sink has hung up"
            self.rest += data
        end = found.end() + int(found[1])
        message, self.rest = self.rest[found.end() : end], self.rest[end:]
        return message

    def goes(self) -> None:
        self.listening.close()
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def comes_back(self) -> None:
        self.listening = socket.create_server(("127.0.0.1", self.port))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.goes()


def test_an_attempt_becomes_a_message_of_rfc_5424() -> None:
    usage = Usage(prompt=3, completion=5)
    event = AttemptEnded(
        "req-1", "chat", "one/m", 1, Outcome.UPSTREAM_FAULT, "unavailable", 'said "no]"', 503, 0.0, 1.5, None,
        usage, "up-1", tags={"team": "a"},
    )  # fmt: skip

    found, data = parsed(MESSAGES.of(event, wall=86_400.25))

    assert int(found["pri"]) == 19 * 8 + 3
    assert found["when"] == "1970-01-02T00:00:00.250000Z"
    assert (found["host"], found["app"], found["id"]) == ("gw1", "pointsman", "AttemptEnded")
    assert found["text"] == "attempt at one/m: unavailable"
    assert data["detail"] == 'said "no]"'
    assert (data["tokens_completion"], data["tags"], data["status"]) == ("5", "team=a", "503")
    assert "first_token" not in data


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=300))
def test_whatever_a_text_holds_one_message_is_one_message(text: str) -> None:
    _, data = parsed(MESSAGES.of(BreakerChanged("d", "closed", "open", text), wall=0.0))

    assert data.get("reason", "") == "".join(each if each.isprintable() else "?" for each in text[:255])


def test_half_a_surrogate_pair_is_shown_and_not_raised() -> None:
    message = MESSAGES.of(BreakerChanged("d", "closed", "open", "\ud800"), wall=0.0)

    assert b'reason="?"' in message


@pytest.mark.parametrize("scheme", ["udp", "unix"])
def test_datagrams_arrive(scheme: str, tmp_path: Path) -> None:
    family = socket.AF_INET if scheme == "udp" else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        listening.bind(("127.0.0.1", 0) if scheme == "udp" else str(tmp_path / "log"))
        port = listening.getsockname()[1] if scheme == "udp" else 0
        address = f"udp://127.0.0.1:{port}" if scheme == "udp" else f"unix://{tmp_path}/log"
        writing = sink(address)

        writing(Reloaded(1, 2, 3))

        _, data = parsed(listening.recv(65536))
        assert data == {"kept": "1", "added": "2", "removed": "3"}
        writing.close()


def test_records_wait_while_the_server_is_down_and_come_in_order(server: Server) -> None:
    server.goes()
    writing = sink(f"tcp://127.0.0.1:{server.port}")
    for n in range(20):
        writing(Reloaded(n, 0, 0))

    server.comes_back()

    assert [parsed(server.next())[1]["kept"] for _ in range(20)] == [str(n) for n in range(20)]
    writing.close()


def test_what_has_no_room_is_counted_in_a_message_of_its_own(server: Server) -> None:
    server.goes()
    writing = sink(f"tcp://127.0.0.1:{server.port}", buffer=5)
    for n in range(100):
        writing(Reloaded(n, 0, 0))

    server.comes_back()
    first, gap = parsed(server.next()), parsed(server.next())

    kept = 1 + 5  # one is in the thread's hands, if it was quick
    assert first[1]["kept"] == "0"
    assert gap[0]["id"] == "Gap"
    assert 100 - kept <= int(gap[1]["count"]) <= 95
    writing.close()


def test_a_server_that_does_not_read_holds_nobody_up(server: Server) -> None:
    writing = sink(f"tcp://127.0.0.1:{server.port}", buffer=100)
    event = BreakerChanged("d", "closed", "open", "x" * 255)

    def tell(count: int) -> float:
        began = time.perf_counter()
        for _ in range(count):
            writing(event)
        return time.perf_counter() - began

    assert tell(50_000) < 5, "100 us each"
    server.goes()
    writing.close()


def test_closing_gives_up_a_server_that_is_down_and_says_how_many_are_lost(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.goes()
    writing = sink(f"tcp://127.0.0.1:{server.port}")
    for n in range(20):
        writing(Reloaded(n, 0, 0))

    closing = threading.Thread(target=writing.close)
    closing.start()
    closing.join(10)

    assert not closing.is_alive()
    assert "20 audit records are lost: Connection refused" in caplog.text


@pytest.mark.parametrize("address", ["http://logs:514", "udp://", "unix://log", "tcp://logs:601/x", "logs"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="expected udp://"):
        sink(address)


def test_a_router_tells_the_server_of_its_calls(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play() -> None:
        async with Simulator(seed=1) as simulator:
            upstream = await simulator.add("openai", name="one", models=["m"])
            monkeypatch.setenv("UPSTREAM", upstream.base_url)
            monkeypatch.setenv("SYSLOG", f"tcp://127.0.0.1:{server.port}")
            async with Router.from_config(CONFIGURATION) as router:
                await router.chat("chat", "said in confidence", caller="ann")

    asyncio.run(play())

    (attempt, _), (request, data) = parsed(server.next()), parsed(server.next())
    assert (attempt["text"], request["text"]) == ("attempt at one/m: ok", "chat of chat: ok")
    assert data["caller"] == "ann"
    assert "confidence" not in request[0]
