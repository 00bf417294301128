"""Canned answers: whole, in pieces, cut short, silent; and what is known of them afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from pointsman.errors import AttemptTimeout, ConnectionFailed, Truncated
from pointsman.provider import Provider, ProviderFactory
from pointsman.testing import CannedReply, ReplayTransport, call_for, client_for, provider_for, run

URL = "http://upstream.test"


class Settings(BaseModel):
    number: int = 7


async def body_of(transport: ReplayTransport) -> bytes:
    client = client_for(URL, transport)
    answer = await client.send("GET", "/", timeouts=client.within(5))
    return await answer.read()


@given(st.binary(max_size=200), st.integers(0, 1000), st.lists(st.integers(-5, 300)))
def test_the_pieces_of_a_body_are_the_body_and_none_is_empty(body: bytes, seed: int, cuts: list[int]) -> None:
    for reply in (
        CannedReply(200, body),
        CannedReply(200, body).cut_by(seed),
        CannedReply(200, body).cut(*cuts),
    ):
        assert b"".join(reply.pieces()) == body
        assert all(reply.pieces())


def test_seed_1_cuts_everywhere_and_a_seed_always_in_the_same_places() -> None:
    reply = CannedReply(200, b"abc" * 50)

    assert {len(piece) for piece in reply.cut_by(1).pieces()} == {1}
    assert reply.cut_by(5) == reply.cut_by(5)


def test_steps_are_given_in_order_and_the_last_again() -> None:
    async def work() -> list[bytes]:
        transport = ReplayTransport(CannedReply(200, b"one"), CannedReply(200, b"two"))
        return [await body_of(transport) for _ in range(3)]

    assert run(work()) == [b"one", b"two", b"two"]


def test_a_function_answers_each_request() -> None:
    async def work() -> bytes:
        return await body_of(ReplayTransport(lambda request: CannedReply(200, request.method.encode())))

    assert run(work()) == b"GET"


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (CannedReply(200, b"abc").until(2, "break"), Truncated),
        (CannedReply(200, b"abc").until(2, "silence"), AttemptTimeout),
        (None, AttemptTimeout),
        (httpx.ConnectError("refused"), ConnectionFailed),
    ],
)
def test_faults_are_what_a_provider_would_see(
    step: CannedReply | Exception | None, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        run(body_of(ReplayTransport(step)))


def test_a_body_cut_short_that_ends_well_is_just_shorter() -> None:
    assert run(body_of(ReplayTransport(CannedReply(200, b"abc").until(2)))) == b"ab"


def test_it_is_known_what_came_and_what_became_of_the_answers() -> None:
    async def work() -> ReplayTransport:
        transport = ReplayTransport(CannedReply(200, b"abc").cut(1))
        client = client_for(URL, transport, key="k")
        read = await client.send("GET", "/read", timeouts=client.within(5))
        await read.read()
        aborted = await client.send("GET", "/aborted", timeouts=client.within(5))
        aborted.abort()
        await client.send("GET", "/left", timeouts=client.within(5))
        await client.aclose()
        return transport

    transport = run(work())

    assert [each.url.path for each in transport.requests] == ["/read", "/aborted", "/left"]
    assert [each.headers["authorization"] for each in transport.requests] == ["Bearer k"] * 3
    assert [(each.closed, each.aborted) for each in transport.bodies] == [
        (True, False),
        (False, True),
        (False, False),
    ]
    assert [each.delivered for each in transport.bodies] == [2, 0, 0]
    assert [each.released for each in transport.bodies] == [True, True, False]
    assert transport.closed


def test_a_request_that_is_given_up_before_its_answer_is_counted() -> None:
    async def work() -> int:
        transport = ReplayTransport(None)
        task = asyncio.ensure_future(body_of(transport))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        return transport.cancelled

    assert run(work()) == 1


def test_a_provider_is_made_of_validated_settings_and_the_default_address() -> None:
    contexts = []
    factory = ProviderFactory(
        "t", Settings, lambda context: contexts.append(context) or Provider(context), default_base_url=URL
    )

    provider = provider_for(factory, ReplayTransport(), settings={"number": "8"}, name="gpu1")

    (context,) = contexts
    assert (context.settings.number, context.base_url, provider.name) == (8, URL, "gpu1")


def test_a_call_without_an_endpoint_has_no_client() -> None:
    async def work() -> None:
        factory = ProviderFactory("t", Settings, Provider)
        call = call_for(provider_for(factory, ReplayTransport()), model="m", attempt=2)
        assert (call.http, call.model, call.attempt) == (None, "m", 2)

    run(work())


def test_the_kit_is_importable_without_pytest_and_hypothesis() -> None:
    script = (
        "import sys; sys.modules['pytest'] = sys.modules['hypothesis'] = None; import pointsman.testing as t; "
        "assert all(hasattr(t, name) for name in t.__all__)"
    )

    subprocess.run([sys.executable, "-c", script], check=True)
