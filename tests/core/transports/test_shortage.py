"""What this process itself has run out of is told apart from what an upstream does, whichever library says it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pointsman.auth import Fixed, Secret
from pointsman.clock import LoopClock
from pointsman.errors import CallError, ConnectionFailed, Outcome, OutOfResources
from pointsman.http.client import CallTimeouts, Client, Endpoint
from pointsman.resilience.health_check import CheckSettings, HealthChecker
from pointsman.testing import run
from pointsman.transports.shortage import RESOURCE_ERRORS, shortage

# conftest.py describes `server`, `opened`, `transport` and `name`.
Fixture = Any


def caused(error: BaseException, *causes: BaseException) -> BaseException:
    first = error
    for cause in causes:
        error.__cause__ = cause
        error = cause
    return first


@pytest.mark.parametrize("number", RESOURCE_ERRORS)
def test_a_shortage_is_found_however_it_is_wrapped(number: int) -> None:
    bare = OSError(number, os.strerror(number))
    refused = ConnectionRefusedError(errno.ECONNREFUSED, "refused")
    for error in (
        bare,
        caused(httpx.ConnectError("no"), bare),
        caused(httpx.ConnectError("no"), OSError("all failed"), bare),
        caused(httpx.ConnectError("no"), OSError("all failed"), ExceptionGroup("both", [refused, bare])),
    ):
        assert shortage(error, "host.example") == RESOURCE_ERRORS[number]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ECONNREFUSED, "refused"),
        OSError(errno.ECONNRESET, "reset"),
        TimeoutError(),
        OSError("no number"),
        caused(httpx.ConnectError("no"), socket.gaierror(socket.EAI_NONAME, "not known")),
        # Two addresses, and of one family there is nothing on this machine.
        ExceptionGroup("both", [OSError(errno.EADDRNOTAVAIL, "none"), OSError(errno.ECONNREFUSED, "no")]),
    ],
)
def test_what_an_upstream_or_the_way_there_does_is_no_shortage(error: BaseException) -> None:
    assert shortage(caused(httpx.ConnectError("no"), error), "host.example") is None


def test_ports_are_short_where_ipv4_has_no_address_left_and_not_where_ipv6_has_none() -> None:
    error = OSError(errno.EADDRNOTAVAIL, "cannot assign")

    assert "port" in (shortage(error, "127.0.0.1") or "")
    assert shortage(error, "::1") is None


def test_a_chain_of_causes_that_never_ends_is_followed_for_a_while_only() -> None:
    one, other = OSError("one"), OSError("other")
    one.__cause__, other.__cause__ = other, one

    assert shortage(one, "host.example") is None


async def _error_of(url: str, transport: Fixture) -> CallError:
    client = Client(Endpoint(url), transport, auth=Fixed(Secret("k")), clock=LoopClock())
    with pytest.raises(CallError) as caught:
        await client.send("GET", "/x", timeouts=CallTimeouts(deadline=asyncio.get_running_loop().time() + 5))
    return caught.value


@pytest.mark.parametrize("number", [*RESOURCE_ERRORS, errno.EADDRNOTAVAIL])
async def test_a_socket_that_cannot_be_had_is_a_lack_of_ours_over_every_transport(
    number: int, server: Fixture, transport: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    url = server.url("")
    if number == errno.EADDRNOTAVAIL:
        monkeypatch.setattr(socket.socket, "connect", lacking)
        monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: number)
    else:
        monkeypatch.setattr(socket, "socket", lacking)

    error = await _error_of(url, transport)

    monkeypatch.undo()
    assert isinstance(error, OutOfResources)
    assert (error.outcome, error.sent) == (Outcome.NEUTRAL, False)
    assert (RESOURCE_ERRORS.get(number) or "local port") in error.message


async def test_a_refused_connection_stays_the_fault_of_the_upstream(transport: Fixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        error = await _error_of(f"http://127.0.0.1:{unused.getsockname()[1]}", transport)

    assert type(error) is ConnectionFailed
    assert error.outcome is Outcome.UPSTREAM_FAULT


def test_a_check_that_could_not_be_made_for_a_lack_of_ours_says_nothing_about_the_upstream() -> None:
    told: list[Exception | None] = []

    async def main() -> None:
        results: list[Callable[[], Exception]] = [
            lambda: OutOfResources("no descriptors"),
            lambda: ConnectionFailed("refused"),
        ]

        async def probe() -> None:
            raise results.pop(0)() if results else ConnectionFailed("refused")

        prober = HealthChecker(
            "a",
            probe,
            lambda error, now: told.append(error),
            settings=CheckSettings(interval=1.0, timeout=1.0),
            clock=LoopClock(),
            rng=random.Random(1),
            scrub=str,
        )
        prober.start()
        await asyncio.sleep(3)
        assert not results
        await prober.aclose()

    run(main())

    assert told
    assert {type(each) for each in told} == {ConnectionFailed}


PROGRAM = """
import asyncio, json, os, resource, sys
from pointsman import OutOfResources, Router

async def main(url, transport):
    config = {
        "transport": transport,
        "providers": {"a": {"type": "openai", "base_url": url}},
        "models": {"m": {"deployments": ["a/x"]}},
        "circuit_breaker": {"failure_threshold": 1},
        "retry": "none",
    }
    async with Router.from_config(config) as router:
        taken = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        try:
            await router.chat("m", "hi")
            said = "answered"
        except OutOfResources as error:
            said = error.message
        for each in taken:
            os.close(each)
        of = router.status().to_dict()["models"]["m"]["deployments"][0]
        reply = await router.chat("m", "hi")
    print(json.dumps([said, of["breaker"]["state"], of["outcomes"], reply.text]))

asyncio.run(main(*sys.argv[1:]))
"""
CHAT = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "model": "x",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
    }
).encode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_process_without_descriptors_blames_nobody_and_goes_on_when_it_has_some(
    host: str, server: Fixture, name: str
) -> None:
    """Given a name, too: a resolver that can open nothing says that it does not know the name."""
    server.scripts["/v1/chat/completions"] = lambda wire: wire.send(
        headers=b"Content-Type: application/json\r\n", body=CHAT
    )

    ran = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, f"http://{host}:{server.port}/v1", name),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await ran.communicate()

    assert ran.returncode == 0, err.decode()
    said, breaker, outcomes, text = json.loads(out)
    assert "ulimit -n" in said
    assert (breaker, text) == ("closed", "ok")
    assert outcomes.get("upstream_fault", 0) == 0


async def test_authorities_that_cannot_be_read_for_want_of_descriptors_are_a_lack_of_ours(
    opened: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = opened(ca_file=tmp_path / "authorities.pem", max_connections=1)

    def lacking(*_: object, **__: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", lacking)

    for _ in range(2):  # the first gives its slot back
        error = await _error_of("https://127.0.0.1:1", transport)
        assert isinstance(error, OutOfResources)
