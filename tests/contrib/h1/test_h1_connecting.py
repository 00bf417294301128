"""How a connection comes about: in what order, at which address, and what is left when it does not."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_h1 import connecting
from pointsman_h1.connecting import Resolver, connected
from pointsman_h1.pace import Pace
from pointsman_h1.transport import OPENED_PER_TURN

Fixture = Any
CROWD = 20 * OPENED_PER_TURN


# ── the pace ─────────────────────────────────────────────────────────────────────────────────────────


@given(
    per_turn=st.integers(1, 4),
    steps=st.lists(st.tuples(st.integers(0, 9), st.sets(st.integers(0, 30), max_size=5)), max_size=8),
)
def test_each_turn_the_first_so_many_of_those_who_wait_begin(
    per_turn: int, steps: list[tuple[int, set[int]]]
) -> None:
    """Each step is one turn of the loop: some leave who waited, and a crowd comes."""

    async def go() -> None:
        pace = Pace(per_turn)
        turns: list[asyncio.Future[None]] = []
        waiting: list[int] = []
        began: set[int] = set()

        def begin_as_many_as_may(room: int) -> int:
            begin = waiting[:room]
            del waiting[:room]
            began.update(begin)
            return room - len(begin)

        for crowd, leaving in [*steps, *[(0, set())] * 80]:
            room = begin_as_many_as_may(per_turn)
            for number in sorted(leaving & set(waiting)):
                turns[number].cancel()
                waiting.remove(number)
            for _ in range(crowd):
                waiting.append(len(turns))
                turns.append(pace.turn())
            begin_as_many_as_may(room)
            assert {n for n, turn in enumerate(turns) if turn.done() and not turn.cancelled()} == began
            await asyncio.sleep(0)
        assert not waiting

    asyncio.run(go())


async def _idle_loop() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_pace_that_nobody_needs_leaves_the_loop_alone() -> None:
    pace, loop = Pace(2), asyncio.get_running_loop()
    await asyncio.gather(*(pace.turn() for _ in range(7)))
    await _idle_loop()

    assert not loop._ready  # type: ignore[attr-defined] # else it would never sleep


# ── a crowd ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_of_a_crowd_are_sent_before_the_last_begin_to_connect(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = connecting._connects_at_once

    def connects(*given: Any) -> bool:
        seen.append("connect")
        return real(*given)

    async def script(talk: Any) -> None:
        await talk.head()
        seen.append("asked")
        await everybody.wait()
        talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await talk.until_closed()

    monkeypatch.setattr(connecting, "_connects_at_once", connects)
    everybody = asyncio.Event()
    server.script = script
    calls = [asyncio.create_task(fetch(transport, server.url())) for _ in range(CROWD)]
    async with asyncio.timeout(10):
        while seen.count("asked") < CROWD:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
    everybody.set()

    assert [body for _, body in await asyncio.gather(*calls)] == [b"ok"] * CROWD
    assert seen.index("asked") < len(seen) - 1 - seen[::-1].index("connect")
    assert seen.count("connect") == CROWD


async def test_who_waits_for_a_turn_takes_a_connection_that_came_free(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    answers = await asyncio.gather(*(fetch(transport, server.url()) for _ in range(CROWD)))

    assert {body for _, body in answers} == {b"ok"}
    assert len(server.talks) < CROWD
    assert len(transport._idle) == len(server.talks)


async def test_who_leaves_while_waiting_for_a_turn_holds_nothing(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    calls = [asyncio.create_task(fetch(transport, server.url())) for _ in range(CROWD)]
    await asyncio.sleep(0)
    for call in calls[OPENED_PER_TURN:]:
        call.cancel()

    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert [type(each) for each in ended[OPENED_PER_TURN:]] == [asyncio.CancelledError] * (
        CROWD - OPENED_PER_TURN
    )
    assert transport._slots.in_use == 0
    assert len(server.talks) == OPENED_PER_TURN
    assert (await fetch(transport, server.url()))[1] == b"ok"


async def test_who_waits_for_a_turn_when_the_transport_closes_is_told_so(
    server: Fixture, transport: Fixture, fetch: Fixture
) -> None:
    calls = [asyncio.create_task(fetch(transport, server.url())) for _ in range(CROWD)]
    await asyncio.sleep(0)

    await transport.aclose()

    ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [str(each) for each in ended[OPENED_PER_TURN:]] == ["this transport is closed"] * (
        CROWD - OPENED_PER_TURN
    )
    assert (transport._slots.in_use, transport._connections) == (0, set())


# ── one connection ───────────────────────────────────────────────────────────────────────────────────


def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a server that is far away: no connection is there at once."""
    real = connecting._connects_at_once
    monkeypatch.setattr(connecting, "_connects_at_once", lambda *given: real(*given) and False)


async def test_a_server_that_is_far_away_is_waited_for(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)

    assert (await fetch(transport, server.url()))[1] == b"ok"


async def test_a_refusal_that_comes_later_says_the_same(
    transport: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(monkeypatch)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"

        with pytest.raises(httpx.ConnectError, match="Connection refused") as caught:
            await transport.handle_async_request(httpx.Request("GET", url))

    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


async def test_no_timer_is_set_for_a_server_that_is_there_at_once(
    server: Fixture, transport: Fixture, fetch: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    timers: list[float] = []
    loop = asyncio.get_running_loop()
    real = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *rest, **kw: timers.append(when) or real(when, *rest, **kw)
    )

    await transport.handle_async_request(httpx.Request("GET", server.url()))

    monkeypatch.undo()
    assert len(timers) == 1, "one, which closes idle connections"


@pytest.fixture
def deaf() -> Any:
    """The address of a listener whose backlog is full, so that a further SYN goes unanswered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()
        for filler in fillers:
            filler.close()


async def test_a_cancel_while_connecting_leaves_no_socket_and_nothing_in_the_loop(
    deaf: Any, transport: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets: list[socket.socket] = []
    real = connecting._connects_at_once

    def connects(sock: socket.socket, address: object) -> bool:
        sockets.append(sock)
        return real(sock, address)

    monkeypatch.setattr(connecting, "_connects_at_once", connects)
    watched = len(asyncio.get_running_loop()._selector.get_map())  # type: ignore[attr-defined]
    url = f"http://127.0.0.1:{deaf[1]}/"
    call = asyncio.create_task(transport.handle_async_request(httpx.Request("GET", url)))
    await _idle_loop()
    assert [each.fileno() >= 0 for each in sockets] == [True]

    call.cancel()

    with pytest.raises(asyncio.CancelledError):
        await call
    assert sockets[0].fileno() == -1
    assert len(asyncio.get_running_loop()._selector.get_map()) == watched  # type: ignore[attr-defined]
    assert (transport._slots.in_use, transport._connections) == (0, set())


async def test_an_address_that_swallows_packets_leaves_time_for_the_next(deaf: Any, server: Fixture) -> None:
    loop = asyncio.get_running_loop()
    addresses = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in (deaf, ("127.0.0.1", server.port))
    ]
    began = loop.time()

    sock = await connected(addresses, deadline=began + 0.2, loop=loop)

    with sock:
        assert sock.getpeername() == ("127.0.0.1", server.port)
        assert loop.time() - began >= 0.1


async def test_the_last_address_has_until_the_deadline_and_no_longer(deaf: Any) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()

    with pytest.raises(TimeoutError):
        await connected([(socket.AF_INET, socket.SOCK_STREAM, 6, "", deaf)], deadline=began + 0.05, loop=loop)

    assert loop.time() - began >= 0.05


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_understood_once_and_without_a_resolver(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", None)
    resolver = Resolver()

    (first,) = await resolver.addresses(host, 80, deadline=loop.time())
    monkeypatch.setattr(socket, "getaddrinfo", None)
    (again,) = await resolver.addresses(host, 80, deadline=loop.time())

    assert first[4][:2] == (host, 80)
    assert again is first


async def test_a_name_is_looked_up_for_each_connection_since_its_addresses_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([["one"], ["another"]])

    async def resolved(*_: Any, **__: Any) -> list[str]:
        return next(answers)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", resolved)
    resolver = Resolver()

    found = [await resolver.addresses("some.example", 80, deadline=loop.time() + 5) for _ in range(2)]

    assert found == [["one"], ["another"]]


class Names:
    """A resolver that answers when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: list[str] | Exception) -> None:
        self.asked: list[tuple[str, int]] = []
        self.may_answer = asyncio.Event()

        async def resolved(host: str, port: int, **_: Any) -> list[str]:
            self.asked.append((host, port))
            await self.may_answer.wait()
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved)


async def test_a_crowd_asks_once_for_a_name_and_who_leaves_takes_nobody_s_answer_along(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, resolver = Names(monkeypatch, ["one"]), Resolver()
    deadline = asyncio.get_running_loop().time() + 10
    asking = [
        asyncio.create_task(resolver.addresses(host, 80, deadline=deadline))
        for host in [*["some.example"] * 5, "other.example"]
    ]
    await _idle_loop()

    asking.pop(0).cancel()
    names.may_answer.set()

    assert await asyncio.gather(*asking) == [["one"]] * 5
    assert names.asked == [("some.example", 80), ("other.example", 80)]
    assert not resolver._asked


async def test_a_name_that_nobody_knows_is_an_error_for_each_of_a_crowd(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, resolver = Names(monkeypatch, socket.gaierror(-2, "not known")), Resolver()
    deadline = asyncio.get_running_loop().time() + 10
    asking = [asyncio.create_task(resolver.addresses("no.example", 80, deadline=deadline)) for _ in range(3)]
    names.may_answer.set()

    answers = await asyncio.gather(*asking, return_exceptions=True)

    assert [type(each) for each in answers] == [socket.gaierror] * 3
    assert not resolver._asked


async def test_a_resolver_that_is_silent_is_asked_once_and_waited_for_until_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names, resolver = Names(monkeypatch, socket.gaierror(-2, "not known")), Resolver()
    loop = asyncio.get_running_loop()

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await resolver.addresses("slow.example", 80, deadline=loop.time())

    assert names.asked == [("slow.example", 80)]
    names.may_answer.set()
    await _idle_loop()
    assert not resolver._asked
