"""Nobody gets past the access of a gateway: each attack of the table, over a real socket."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from gateways import MODEL, PLAIN, Served, configuration, gateway_for

from pointsman_gateway.exchange import app
from pointsman_gateway.listening import protocol
from pointsman_simulator import Reply, Simulator, Upstream

_spec = importlib.util.spec_from_file_location("attacks", Path(__file__).with_name("attacks.py"))
assert _spec is not None
assert _spec.loader is not None
table = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(table)

WITHIN = 20.0
"""Seconds for one attack; every one is answered, or cut, long before."""


def access(tmp_path: Path) -> dict[str, Any]:
    key = tmp_path / "issuer.pem"
    key.write_text(table.PEM)
    issuer = {"audience": "pointsman", "operator": {"claim": "roles", "has": "admin"}}
    return {
        "keys": [
            {"name": "ci", "key": table.CI, "models": [MODEL]},
            {"name": "other", "key": table.OTHER, "models": [MODEL]},
            {"name": "root", "key": table.ROOT, "operator": True},
        ],
        "jwt": [
            {**issuer, "issuer": table.ISSUER, "key_file": str(key), "algorithms": ["RS256"]},
            {**issuer, "issuer": table.PARTNER, "secret": table.SECRET, "algorithms": ["HS256"]},
        ],
        "loopback": False,
    }


@asynccontextmanager
async def fortresses(upstream: Upstream, tmp_path: Path) -> AsyncIterator[dict[str, Served]]:
    deployments = configuration(upstream)["models"][MODEL]
    locked = access(tmp_path)
    settings = {
        "locked": {"access": locked},
        "open": {},
        "behind": {"trusted_proxies": ["127.0.0.1"]},
        "small": {"access": locked, "body_limit": "64KiB"},
    }
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(
                gateway_for(
                    upstream,
                    surfaces=[PLAIN],
                    settings=each,
                    models={MODEL: deployments, "private": deployments},
                )
            )
            for name, each in settings.items()
        }


async def answer_to(served: Served, sent: bytes) -> bytes:
    """All that comes back until the connection ends, or an answer is complete that has a length."""
    url = httpx.URL(served.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        writer.write(sent)
        async with asyncio.timeout(WITHIN):
            return await _all(reader, bare=sent.startswith(b"HEAD "))
    except TimeoutError:
        return b"HTTP/1.1 200 not within the time"
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def _all(reader: asyncio.StreamReader, *, bare: bool) -> bytes:
    got = b""
    while not (_complete(got) or (bare and b"\r\n\r\n" in got)):
        more = await reader.read(65_536)
        if not more:
            break
        got += more
    return got


def _complete(got: bytes) -> bool:
    """Whether one answer is here; a second one, which a smuggled request would get, comes with it or is not one."""
    head, end, body = got.partition(b"\r\n\r\n")
    if not end:
        return False
    lengths = [
        line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    ]
    return bool(lengths) and b"connection: close" not in head.lower() and len(body) >= int(lengths[0])


def got_through(attack: Any, answer: bytes) -> bool:
    """Whether an attack has got what it wanted."""
    if attack.hidden:
        return attack.hidden.encode() in answer
    return any(line.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3")) for line in answer.split(b"\r\n"))


async def session_at(served: Served) -> tuple[str, str]:
    async with httpx.AsyncClient(base_url=served.url) as client:
        login = await client.post("/admin/v1/login", headers={"authorization": f"Bearer {table.ROOT}"})
        return f"pointsman_session={client.cookies['pointsman_session']}", login.json()["csrf"]


async def test_none_of_a_hundred_attacks_gets_through(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN", 0.3)
    monkeypatch.setattr(app, "BODY_IDLE", 0.3)
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    attacks = table.attacks()
    got: dict[str, bytes] = {}
    async with fortresses(upstream, tmp_path) as served:
        session = await session_at(served["locked"])
        for attack in attacks:
            sent = attack.bytes if isinstance(attack.bytes, bytes) else attack.bytes(*session)
            answer = await answer_to(served[attack.at], sent)
            asked = [each for each in upstream.requests if each.method == "POST"]  # and not for its models
            if got_through(attack, answer) or asked:
                got[f"{attack.at}: {attack.name}"] = answer
                upstream.requests.clear()

    assert got == {}
    assert len(attacks) >= 100
    assert len({(each.at, each.name) for each in attacks}) == len(attacks)
    assert not [each for each in caplog.records if each.exc_info], caplog.text
    print(f"{len(attacks)} attacks, {len(got)} got through")


async def test_the_same_bytes_with_what_they_lack_do_get_through(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    good = {
        "locked": [
            table.request(lines=table.bearer(table.CI)),
            table.request(lines=table.bearer(table.token())),
            table.request(lines=table.bearer(table.token(table.SECRET, "HS256", iss=table.PARTNER))),
            table.request(lines=(f"x-api-key: {table.CI}", "Authorization: Bearer sk-of-another-service")),
            table.request("GET", table.STATUS, lines=table.bearer(table.token(roles=["admin"]))),
        ],
        "open": [
            table.request(),
            table.request(host="localhost:4000"),
            table.request(lines=("Origin: http://127.0.0.1",)),
            table.request("GET", table.STATUS, lines=("x-pointsman-csrf: 1",)),
        ],
        "small": [
            table.request(lines=(f"x-api-key: {table.CI}",)),
            table.request(
                body=None,
                lines=(
                    f"x-api-key: {table.CI}",
                    "Content-Type: application/json",
                    "Transfer-Encoding: chunked",
                ),
            )
            + table.CHUNKED,
        ],
    }

    async with fortresses(upstream, tmp_path) as served:
        answers = [await answer_to(served[at], sent) for at, each in good.items() for sent in each]

    assert [each.split(b"\r\n")[0] for each in answers] == [b"HTTP/1.1 200 OK"] * len(answers)
