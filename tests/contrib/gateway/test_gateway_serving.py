"""A gateway over real sockets: routes, bodies, answers, streams, and callers that go away."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from gateways import MODEL, PLAIN, gateway_for
from msgspec import json

from pointsman.plugin import ProblemDetails, Route, SurfaceFactory, SurfaceRequest, WholeReply
from pointsman_simulator import Fault, Reply, Simulator


async def test_a_question_is_answered_by_an_upstream_of_another_wire(simulator: Simulator) -> None:
    upstream = await simulator.add("ollama", default=Reply(text="Because."))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/say", json={"model": MODEL, "text": "Why?"})

    assert (answer.status_code, answer.text) == (200, "Because.")
    assert answer.headers["x-request-id"]
    assert answer.headers["x-pointsman-deployment"].startswith("ollama1/")


async def test_a_stream_comes_in_pieces_and_ends_with_its_mark(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="one two three", chunks=3))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{served.url}/v1/say", json={"model": MODEL, "text": "Count.", "stream": True}
        )

    assert answer.text == "one two three\n."


async def test_a_stream_that_breaks_ends_with_an_error_in_its_wire(simulator: Simulator) -> None:
    upstream = await simulator.add(
        "openai", default=Reply(text="one two three", fault=Fault.truncate_after(1))
    )

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        answer = await client.post(
            f"{served.url}/v1/say", json={"model": MODEL, "text": "Count.", "stream": True}
        )

    assert answer.status_code == 200
    assert answer.text.endswith("\n!stream_broken")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no valid JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"model": NaN}', "no valid JSON"),
        (b'{"model": "a", "text": "b", "model": "c"}', "'model' twice"),
        (b'{"model":"a","mod\\u0065l":"a"}', "'model' twice"),
        (b'{"a":' + b"[" * 70 + b"]" * 70 + b"}", "levels deep"),
        (b'{"a":' + b"[" * 9000 + b"]" * 9000 + b"}", "levels deep"),
        (b'{"a":[' + b"1," * 10_000 + b"1]}", "more than 10000 values"),
        (b"{" + b",".join(b'"%d":1' % n for n in range(10_001)) + b"}", "more than 10000 members"),
        (b'{"a":{' + b",".join(b'"%d":1' % n for n in range(10_001)) + b"}}", "more than 10000 members"),
        (
            b'{"a":[' + b",".join([b"[%s]" % (b"[]," * 9_999 + b"[]")] * 11) + b"]}",
            "100000 arrays and objects",
        ),
        (b'{"a":"' + b"[" * 1_000_001 + b'"}', "1000000 brackets"),
        (b'{"a":"\\ud800"}', "no valid JSON"),
    ],
)
async def test_a_body_that_is_read_in_two_ways_or_not_at_all_is_refused(
    simulator: Simulator, body: bytes, says: str
) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        said = {"content-type": "application/json"}
        answer = await client.post(f"{served.url}/v1/say", content=body, headers=said)

    assert answer.status_code == 400
    assert says in json.decode(answer.content)["message"]
    assert not upstream.requests


class Broken:
    """A surface with a mistake in it, that says a secret."""

    def __init__(self, _context: object) -> None: ...

    def routes(self) -> Sequence[Route]:
        return [Route("GET", "/v1/broken", self.fail, public=True)]

    def problem(self, problem: ProblemDetails) -> WholeReply:
        return WholeReply(500, problem.message.encode())

    async def fail(self, _asked: SurfaceRequest) -> WholeReply:
        raise KeyError("sk-of-mine-0123456789")


async def test_the_log_has_what_an_answer_calls_a_mistake_of_ours_and_no_secret_of_it(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    upstream = await simulator.add("openai", api_key="sk-of-mine-0123456789")

    async with gateway_for(upstream, surfaces=[SurfaceFactory("plain", None, Broken)]) as served:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"{served.url}/v1/broken")

    (told,) = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert told.startswith(f"request {answer.headers['x-request-id']} failed in its surface\n")
    assert "in fail\n" in told
    assert told.rstrip().endswith("KeyError: '***'")
