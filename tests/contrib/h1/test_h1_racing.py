"""Which of several addresses gets the connection, when each is tried, and what is left of the others."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.testing import run
from pointsman_h1 import connecting
from pointsman_h1.connecting import ATTEMPT_DELAY, NAMED_AT_MOST, connected, interleaved

Fixture = Any
V4, V6 = socket.AF_INET, socket.AF_INET6
NEVER = 1e9
AT_ONCE = 0.0
REFUSED = errno.ECONNREFUSED


def address(host: str, family: int = V4) -> Any:
    return family, socket.SOCK_STREAM, 6, "", (host, 80)


class Net:
    """Addresses that answer after so many seconds, with a connection (0) or with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: tuple[float, int]) -> None:
        self.answers = answers
        self.began: dict[str, float] = {}
        self.sockets: dict[str, socket.socket] = {}
        monkeypatch.setattr(connecting, "_begun", self._begun)

    def _begun(self, at: Any, loop: asyncio.AbstractEventLoop) -> Any:
        host = at[4][0]
        after, number = self.answers[host]
        self.began[host] = loop.time()
        error = OSError(number, os.strerror(number)) if number else None
        if after == AT_ONCE and error is not None:
            raise error
        self.sockets[host] = socket.socket()
        if after == AT_ONCE:
            return self.sockets[host], None
        decided = loop.create_future()
        loop.call_later(after, lambda: decided.done() or decided.set_result(error))
        return self.sockets[host], decided

    def connect(self, *, within: float = 5.0, cancelled_after: float | None = None) -> str:
        """Who got the connection. Closes its socket."""

        async def go() -> socket.socket:
            loop = asyncio.get_running_loop()
            addresses = [address(host) for host in self.answers]
            connecting = asyncio.ensure_future(connected(addresses, deadline=loop.time() + within, loop=loop))
            if cancelled_after is not None:
                loop.call_later(cancelled_after, connecting.cancel)
            return await connecting

        won = run(go())
        (name,) = [host for host, sock in self.sockets.items() if sock is won]
        won.close()
        return name

    def open(self) -> list[str]:
        return [host for host, sock in self.sockets.items() if sock.fileno() >= 0]


def test_families_take_turns_and_each_keeps_its_order() -> None:
    given = [address(host, V6 if ":" in host else V4) for host in ["a:", "b:", "c:", "1", "d:", "2"]]

    assert [each[4][0] for each in interleaved(given)] == ["a:", "1", "b:", "2", "c:", "d:"]
    assert [each[4][0] for each in interleaved(given[3:])] == ["1", "d:", "2"]
    assert interleaved([]) == []


def test_an_address_that_answers_keeps_the_others_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, first=(0.2, 0), second=(AT_ONCE, 0))

    assert net.connect() == "first"
    assert list(net.began) == ["first"]


def test_the_next_is_tried_after_a_quarter_of_a_second_and_the_first_that_answers_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = Net(monkeypatch, silent=(NEVER, 0), slow=(0.4, 0), quick=(0.3, 0), late=(0.1, 0))

    assert net.connect() == "slow"
    assert net.began == pytest.approx({"silent": 0, "slow": 0.25, "quick": 0.5}, abs=1e-3)
    assert net.open() == []


def test_a_slow_first_address_still_wins_when_the_others_are_slower(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, first=(0.6, 0), second=(2, 0), third=(2, 0))

    assert net.connect() == "first"
    assert list(net.began) == ["first", "second", "third"]
    assert net.open() == []


@pytest.mark.parametrize("after", [AT_ONCE, 0.1])
def test_after_a_refusal_the_next_is_tried_without_waiting(
    after: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = Net(monkeypatch, silent=(NEVER, 0), refusing=(after, REFUSED), next=(0.1, 0))

    assert net.connect() == "next"
    assert net.began["next"] == pytest.approx(0.25 + after, abs=1e-3)
    assert net.open() == []


def test_where_time_is_short_each_address_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, a=(NEVER, 0), b=(NEVER, 0), c=(NEVER, 0), d=(0.05, 0))

    assert net.connect(within=0.4) == "d"
    assert net.began == pytest.approx({"a": 0, "b": 0.1, "c": 0.2, "d": 0.3}, abs=1e-3)


def test_a_failure_names_what_came_of_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, a=(AT_ONCE, errno.ENETUNREACH), b=(0.1, REFUSED), c=(0.1, errno.EHOSTUNREACH))

    with pytest.raises(OSError) as caught:
        net.connect()

    assert str(caught.value) == "a: Network is unreachable; b: Connection refused; c: No route to host"
    assert not isinstance(caught.value, TimeoutError)
    assert net.open() == []


def test_a_timeout_names_who_did_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, a=(NEVER, 0), b=(0.1, REFUSED))

    with pytest.raises(TimeoutError) as caught:
        net.connect(within=1)

    assert str(caught.value) == "b: Connection refused; a: no answer"
    assert net.open() == []


def test_a_failure_of_many_addresses_names_a_few_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Net(monkeypatch, **{f"h{n}": (AT_ONCE, REFUSED) for n in range(NAMED_AT_MOST + 7)})

    with pytest.raises(OSError) as caught:
        net.connect()

    assert str(caught.value).count("refused") == NAMED_AT_MOST
    assert str(caught.value).endswith("; and 7 more")


def test_a_name_without_addresses_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="no address"):
        Net(monkeypatch).connect()


@given(st.data())
def test_the_first_connection_wins_and_nothing_stays_open_whatever_the_others_do(data: st.DataObject) -> None:
    times = st.sampled_from([AT_ONCE, 0.03, 0.1, 0.3, 0.7, 2.0, NEVER])
    answers = data.draw(st.lists(st.tuples(times, st.sampled_from([0, 0, REFUSED])), min_size=1, max_size=6))
    within = data.draw(st.sampled_from([0.05, 0.5, 5.0]))
    cancelled_after = data.draw(st.none() | st.sampled_from([0.001, 0.26, 0.6]))
    with pytest.MonkeyPatch.context() as patch:
        net = Net(patch, **{str(n): answer for n, answer in enumerate(answers)})
        won: str | None = None
        try:
            won = net.connect(within=within, cancelled_after=cancelled_after)
        except (OSError, asyncio.CancelledError):
            pass

        assert net.open() == []
        assert list(net.began) == [str(n) for n in range(len(net.began))]
        connects = {
            host: began + net.answers[host][0]
            for host, began in net.began.items()
            if not net.answers[host][1]
        }
        in_time = min([within, cancelled_after or NEVER])
        if won is not None:
            assert connects[won] <= min(connects.values()) + 1e-3
        elif cancelled_after is None:
            assert len(net.began) == len(answers), "everybody had a turn"
            assert all(at >= in_time - 1e-3 for at in connects.values())
        begun = list(net.began.values())
        assert all(b - a <= ATTEMPT_DELAY + 1e-3 for a, b in zip(begun, begun[1:], strict=False))


async def test_a_name_whose_first_address_swallows_packets_is_reached_at_its_second(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a listener whose backlog is full, so that a further SYN goes unanswered."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(deaf.getsockname())
        both = [
            (V4, socket.SOCK_STREAM, 6, "", at) for at in (deaf.getsockname(), ("127.0.0.1", server.port))
        ]

        async def resolved(*_: Any, **__: Any) -> Any:
            return both

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", resolved)
        monkeypatch.setattr(connecting, "ATTEMPT_DELAY", 0.05)
        watched = len(loop._selector.get_map())  # type: ignore[attr-defined]
        tasks = len(asyncio.all_tasks())

        for _ in range(3):
            assert (await fetch(transport, f"http://two.example:{server.port}/"))[1] == b"ok"

        assert len(server.talks) == 1, "the connection is used again"
        # The server's end and ours; nothing watches the socket that was given up, and no task looks after it.
        assert len(loop._selector.get_map()) == watched + 2  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == tasks + len(server.talks)
        for filler in fillers:
            filler.close()


async def test_a_name_that_nobody_answers_at_says_what_came_of_each_address(
    transport: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolved(*_: Any, **__: Any) -> Any:
        return [(V4, socket.SOCK_STREAM, 6, "", (f"127.0.0.{n}", port)) for n in (1, 2)]

    with socket.socket() as unused:
        unused.bind(("0.0.0.0", 0))
        port = unused.getsockname()[1]
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)

        with pytest.raises(httpx.ConnectError) as caught:
            await transport.handle_async_request(httpx.Request("GET", f"http://two.example:{port}/"))

    assert str(caught.value) == "127.0.0.1: Connection refused; 127.0.0.2: Connection refused"
