"""Issuers that publish their keys, over a real socket: from the configuration to a request that is let in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from gateways import MODEL, PLAIN, gateway_for
from jwt.algorithms import ECAlgorithm

from pointsman.clock import LoopClock
from pointsman.plugin import CallError
from pointsman_gateway.access.fetching import SetClient
from pointsman_simulator import Reply, Simulator

KEY = ec.generate_private_key(ec.SECP256R1())
SET = json.dumps({"keys": [{**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "1"}]})


class Site:
    """An issuer's web site: answers each request with `answer`, and counts them."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        writer.write(self.answer.encode())
        writer.close()


@asynccontextmanager
async def site(status: str, body: str, *fields: str) -> AsyncIterator[Site]:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *fields]
    at = Site("\r\n".join([*lines, "", body]))
    server = await asyncio.start_server(at.serve, "127.0.0.1", 0)
    async with server:
        at.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys.json?v=2"
        yield at


def token(**other: Any) -> str:
    now = time.time()
    said = {
        "iss": "https://id.example.com",
        "aud": "pointsman",
        "sub": "alice",
        "exp": now + 60,
        "nbf": now - 1,
    }
    return jwt.encode({**said, **other}, KEY, "ES256", headers={"kid": "1"})


async def test_a_token_is_taken_whose_key_its_issuer_publishes(simulator: Simulator) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    async with site("200 OK", SET) as issuer:
        entry = {"issuer": "https://id.example.com", "audience": "pointsman", "algorithms": ["ES256"]}
        access = {"jwt": [{**entry, "jwks": issuer.url, "models": "claim:models"}], "loopback": False}
        async with (
            gateway_for(upstream, surfaces=[PLAIN], settings={"access": access}) as served,
            httpx.AsyncClient(base_url=served.url) as client,
        ):

            async def say(credential: str) -> httpx.Response:
                said = {"authorization": f"Bearer {credential}"}
                return await client.post("/v1/say", json={"model": MODEL, "text": "Why?"}, headers=said)

            answers = await asyncio.gather(*(say(token(models=[MODEL], n=n)) for n in range(5)))
            other = await say(token(models=["another"]))
            forged = await say(token(models=[MODEL])[:-4] + "AAAA")

    assert [each.status_code for each in answers] == [200] * 5
    assert (other.status_code, forged.status_code) == (403, 401)
    assert len(issuer.asked) == 1
    assert issuer.asked[0].startswith("GET /keys.json?v=2 HTTP/1.1\r\n")
    assert "authorization" not in issuer.asked[0].lower()


@pytest.mark.parametrize(
    ("status", "fields"), [("500 No", ()), ("302 Found", ("location: http://127.0.0.1:1/",)), ("204 No", ())]
)
async def test_whatever_else_an_issuer_answers_is_no_set(status: str, fields: tuple[str, ...]) -> None:
    async with site(status, "", *fields) as issuer:
        client = SetClient(issuer.url, LoopClock())
        with pytest.raises(CallError):
            await client.fetch()
        await client.aclose()


async def test_while_no_key_can_be_had_the_answer_says_when_to_ask_again(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")
    async with site("200 OK", '{"keys": []}') as issuer:
        entry = {"issuer": "https://id.example.com", "audience": "pointsman", "algorithms": ["ES256"]}
        access = {"jwt": [{**entry, "jwks": issuer.url}]}
        async with (
            gateway_for(upstream, surfaces=[PLAIN], settings={"access": access}) as served,
            httpx.AsyncClient(base_url=served.url, headers={"authorization": f"Bearer {token()}"}) as client,
        ):
            answer = await client.get("/v1/things/1")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["code"] == "key_set_unavailable"
