"""Heads and bodies that are too large, too slow, ambiguous, or ask for what there is not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from gateways import MODEL, PLAIN, gateway_for
from msgspec import json
from raw_callers import RawCaller

from pointsman_gateway.exchange import app
from pointsman_gateway.listening import protocol
from pointsman_simulator import Reply, Simulator

ASKED = {"model": MODEL, "text": "Why?"}
HEAD = b"POST /v1/say HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
BODY = json.encode(ASKED)
WHOLE = b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (HEAD + b"x: " + b"a" * 33_000 + b"\r\n" + WHOLE, 431),
        (HEAD + b"x: " + b"a" * 34_000, 431),
        (HEAD + b"".join(b"x-%d: 1\r\n" % n for n in range(120)) + WHOLE, 431),
        (HEAD + b"host: evil\r\n" + WHOLE, 400),
        (HEAD + b"content-length: 3\r\n" + WHOLE, 400),
        (HEAD + b"transfer-encoding: chunked\r\n" + WHOLE, 400),
        (HEAD + b"transfer-encoding: identity, chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (HEAD + b"content-length : 3\r\n\r\nabc", 400),
        (HEAD + b"x\x00y: 1\r\n" + WHOLE, 400),
        (HEAD + b" folded: 1\r\n" + WHOLE, 400),
        (b"GET http://other/v1/things/a HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /v1/things/a HTTP/1.1\r\n\r\n", 400),
        (b"CONNECT / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n", 400),
        (b"SAY HELLO\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_what_servers_read_in_two_ways_or_not_at_all_ends_the_connection(
    simulator: Simulator, request_bytes: bytes, status: int
) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(request_bytes)
        answer = await caller.rest()
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert not upstream.requests


@pytest.mark.parametrize("sent_at_once", [True, False])
async def test_who_offers_to_go_on_in_another_protocol_is_answered_in_this_one(
    simulator: Simulator, *, sent_at_once: bool
) -> None:
    upstream = await simulator.add("openai")
    upstream.script(Reply("Because."), Reply("Therefore."))
    offer = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQ\r\n"
    body = WHOLE.partition(b"\r\n\r\n")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        if sent_at_once:
            caller.send(HEAD + offer + WHOLE)
        else:
            caller.send(HEAD + offer + b"expect: 100-continue\r\n" + body[0] + body[1])
            await caller.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
            caller.send(body[2])
        first = await caller.read_until(b"Because.")
        caller.send(HEAD + WHOLE)
        second = await caller.read_until(b"Therefore.")
        caller.leave()

    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_wrong_behind_a_request_never_stands_in_its_answer(
    simulator: Simulator, *, stream: bool
) -> None:
    upstream = await simulator.add("openai")
    upstream.script(Reply("One two three four five six.", tokens_per_second=20.0))
    body = json.encode({**ASKED, "stream": stream})

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        before = await caller.read_until(b"One") if stream else b""
        caller.send(b"SAY HELLO\r\n\r\n")
        after = await caller.rest()
        caller.leave()

    assert (before + after).count(b"HTTP/1.1 ") == stream
    assert not (before + after).endswith(b"0\r\n\r\n")


async def test_a_head_behind_a_request_that_runs_is_no_larger_than_others(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    upstream.script(Reply("One two three four five six.", tokens_per_second=20.0))
    body = json.encode({**ASKED, "stream": True})

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        await caller.read_until(b"One")
        caller.send(HEAD + b"x: ")
        await caller.read_until(b"two")
        caller.send(b"a" * 34_000)
        rest = await caller.rest()
        caller.leave()

    assert not rest.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "behind", [b"0\r\nx: ", b"0\r\n", b"4c;"], ids=["one value", "fields", "an extension"]
)
@pytest.mark.parametrize("path", [b"/v1/say", b"/nowhere"], ids=["asked for", "answered before"])
async def test_what_follows_a_body_is_no_larger_than_a_head(
    simulator: Simulator, behind: bytes, path: bytes
) -> None:
    upstream = await simulator.add("openai")
    head = HEAD.replace(b"/v1/say", path) + b"transfer-encoding: chunked\r\n\r\n"
    more = b"a: b\r\n" * 500 if behind == b"0\r\n" else b"a" * 3000

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(head + b"%x\r\n%b\r\n" % (len(BODY), BODY) + behind)
        sent = 0
        with suppress(OSError):
            while sent < 2_000_000 and await caller.is_heard():
                caller.send(more)
                sent += len(more)
        caller.leave()

    assert sent < 1_500_000
    assert not upstream.requests


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length", "in chunks"])
async def test_a_body_may_be_larger_than_what_follows_it(simulator: Simulator, chunked: bool) -> None:
    upstream = await simulator.add("openai")
    body = BODY + b" " * 1_000_000  # more than is read at once
    sent = b"content-length: %d\r\n\r\n%b" % (len(body), body)
    if chunked:
        sent = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + sent)
        said = await caller.read_until(b"\r\n\r\n")
        caller.leave()

    assert b"HTTP/1.1 200 " in said


async def test_a_head_that_takes_too_long_ends_the_connection(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.1)
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        slow, silent, used = [await RawCaller.connect(served.url) for _ in range(3)]
        slow.send(b"POST /v1/say HTT")
        used.send(HEAD + WHOLE)
        await used.read_until(b"\r\n\r\n")
        used.send(b"POST /v1/say HTT")
        answers = await asyncio.gather(slow.rest(), silent.rest(), used.rest())
        for each in (slow, silent, used):
            each.leave()

    assert answers[0].startswith(b"HTTP/1.1 408 ")
    assert answers[1] == b""
    assert b"HTTP/1.1 408 " in answers[2]


async def test_half_a_head_behind_a_request_that_runs_takes_nothing_from_its_answer(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.05)
    upstream = await simulator.add("openai")
    upstream.script(Reply("First."), Reply("Because.", latency=0.2))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + WHOLE)
        await caller.read_until(b"First.")
        caller.send(HEAD + WHOLE + b"POST /v1/say HTT")
        answer = await caller.read_until(b"Because.")
        rest = await caller.rest()  # its time begins when nothing runs before it
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert rest == b""


@pytest.mark.parametrize("path", ["/health/live", "/favicon.ico", "/metrics"])
async def test_a_body_that_nobody_reads_is_not_taken_for_the_next_head(
    simulator: Simulator, path: str
) -> None:
    async with gateway_for(await simulator.add("openai"), surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 9\r\n\r\n".encode())
        answer = await caller.rest()
        caller.leave()

    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


async def test_a_connection_that_rests_between_requests_is_no_slow_head(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.05)
    upstream = await simulator.add("openai", default=Reply(text="Because."))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        for _ in range(2):
            caller.send(HEAD + WHOLE)
            assert (await caller.read_until(b"Because.")).startswith(b"HTTP/1.1 200 ")
            with pytest.raises(TimeoutError):  # nothing comes, not even the end
                async with asyncio.timeout(0.1):
                    await caller.read_until(b"!")
        caller.leave()


async def test_a_body_that_does_not_come_ends_the_request(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "BODY_IDLE", 0.05)
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + b"content-length: 100\r\n\r\n{")
        answer = await caller.rest()
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 504 ")
    assert b"body_timeout" in answer


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_large_is_refused_before_all_of_it_came(
    simulator: Simulator, declared: bool
) -> None:
    upstream = await simulator.add("openai")
    length = b"content-length: 1000000\r\n\r\n" if declared else b"transfer-encoding: chunked\r\n\r\n"

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"body_limit": "1KiB"}) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + length + (b"" if declared else b"%x\r\n%s\r\n" % (2000, b"a" * 2000)))
        answer = await caller.rest()
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_is_too_large_and_has_come_whole_is_refused(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (2000, b"a" * 2000)

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"body_limit": "1KiB"}) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(HEAD + b"transfer-encoding: chunked\r\n\r\n" + body)
        answer = await caller.rest()
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_request_in_pieces_is_one_request(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        for at in range(0, len(HEAD + WHOLE), 7):
            caller.send((HEAD + WHOLE)[at : at + 7])
            await asyncio.sleep(0)
        answer = await caller.read_until(b"Because.")
        caller.leave()

    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/things/a/b?c=d", 200),
        ("GET", "/v1/things/a%2Fb", 200),
        ("HEAD", "/v1/things/a", 200),
        ("GET", "/v1/v1/things/a", 200),
        ("GET", "/plain/v1/things/a", 200),
        ("GET", "/open/", 200),
        ("PUT", "/v1/things/a", 405),
        ("GET", "/v1/say", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/say/../things/a", 404),
        ("GET", "/", 404),
    ],
)
async def test_paths_are_those_of_the_surface_however_clients_write_them(
    simulator: Simulator, method: str, path: str, status: int
) -> None:
    async with gateway_for(await simulator.add("openai"), surfaces=[PLAIN]) as served:
        caller = await RawCaller.connect(served.url)
        caller.send(f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        head, _, body = (await caller.rest()).partition(b"\r\n\r\n")
        caller.leave()

    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert bool(body) == (method != "HEAD")
    if status == 405:
        assert b"allow: " in head
    if b"/b" in body:
        assert json.decode(body)["params"] == {"id": "a/b"}


async def test_the_id_of_a_request_is_its_callers_where_that_is_fit(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        ids = []
        for given in ("mine-1", "a b", "x" * 129):
            answer = await client.post(f"{served.url}/v1/say", json=ASKED, headers={"x-request-id": given})
            ids.append(answer.headers["x-request-id"])
        problem = await client.get(f"{served.url}/v1/nothing", headers={"x-request-id": "mine-2"})

    assert ids[0] == "mine-1"
    assert ids[1] != "a b"
    assert len(ids[2]) < 129
    assert problem.json()["request_id"] == "mine-2"
    assert upstream.requests[0].headers["x-pointsman-request-id"] == "mine-1"


async def test_a_request_that_runs_shares_its_id_with_nobody(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    upstream.script(Reply("Because.", latency=0.3), Reply("Therefore."))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        given = {"url": f"{served.url}/v1/say", "json": ASKED, "headers": {"x-request-id": "mine"}}
        running = asyncio.create_task(client.post(**given))
        await upstream.arrived()
        second = await client.post(**given)
        first = await running

    assert first.headers["x-request-id"] == "mine"
    assert first.headers["x-pointsman-attempts"] == "1"
    assert second.headers["x-request-id"] != "mine"


async def test_a_header_of_ours_that_there_is_not_is_refused_with_the_one_that_was_meant(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        wrong = await client.post(
            f"{served.url}/v1/say", json=ASKED, headers={"x-pointsman-timout": "3s", "x-other": "1"}
        )
        right = await client.post(
            f"{served.url}/v1/say",
            json=ASKED,
            headers={"x-pointsman-timeout": "30s", "x-pointsman-priority": "low", "x-pointsman-tags": "a,b"},
        )

    assert (wrong.status_code, right.status_code) == (400, 200)
    assert "did you mean 'x-pointsman-timeout'" in wrong.json()["message"]


@pytest.mark.parametrize(("choice", "names"), [("full", 2), ("id", 1), ("none", 0)])
async def test_answers_carry_as_many_headers_of_ours_as_are_wanted(
    simulator: Simulator, choice: str, names: int
) -> None:
    upstream = await simulator.add("openai")

    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings={"headers": choice}) as served,
        httpx.AsyncClient() as client,
    ):
        answer = await client.post(f"{served.url}/v1/say", json=ASKED)

    assert ("x-request-id" in answer.headers) + ("x-pointsman-deployment" in answer.headers) == names


async def test_a_page_of_an_origin_that_may_ask_can_read_its_answers(simulator: Simulator) -> None:
    origin = "https://app.example.com"
    upstream = await simulator.add("openai")

    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings={"cors": [origin]}) as served,
        httpx.AsyncClient(headers={"origin": origin}) as client,
    ):
        asking = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        before = await client.options(f"{served.url}/v1/say", headers=asking)
        answer = await client.post(f"{served.url}/v1/say", json=ASKED)
        foreign = await client.options(f"{served.url}/v1/say", headers={**asking, "origin": "https://evil"})

    assert before.status_code == 204
    assert "content-length" not in before.headers
    assert before.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in foreign.headers
