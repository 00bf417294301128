"""Where the gateway listens: TLS, sockets in the file system, a surface's own listener, reloads."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

import httpx
import pytest
from certificates import certificate_in
from gateways import MODEL, PLAIN, configuration, gateway_for

from pointsman import Router
from pointsman.plugin import ConfigError
from pointsman_gateway.exchange.health import Health
from pointsman_gateway.listening.addresses import parse_address
from pointsman_gateway.listening.server import Bound, Listening
from pointsman_gateway.listening.tls import Certificate
from pointsman_gateway.settings import GatewaySettings, TlsSettings
from pointsman_simulator import Reply, Simulator

ASKED = {"model": MODEL, "text": "Why?"}


async def test_it_speaks_tls_and_nothing_else_where_it_has_a_certificate(
    simulator: Simulator, tmp_path: Path
) -> None:
    cert = await asyncio.to_thread(certificate_in, tmp_path)
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    tls = {"cert": str(cert), "key": str(tmp_path / "key.pem")}

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"tls": tls}) as served:
        trusted = ssl.create_default_context(cafile=str(cert))
        async with httpx.AsyncClient(verify=trusted) as client:
            answer = await client.post(f"{served.url}/v1/say", json=ASKED)
            with pytest.raises(httpx.HTTPError):
                await client.get(served.url.replace("https://", "http://"))

    assert served.url.startswith("https://")
    assert answer.text == "Because."


async def test_a_certificate_is_read_again_when_it_changes_and_one_without_its_key_is_not_taken(
    tmp_path: Path,
) -> None:
    await asyncio.to_thread(certificate_in, tmp_path)
    certificate = Certificate(TlsSettings(cert=Path("cert.pem"), key=Path("key.pem")), tmp_path)
    assert not certificate.reread()

    key = (tmp_path / "key.pem").read_bytes()
    await asyncio.to_thread(certificate_in, tmp_path)
    assert certificate.reread()
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(ConfigError, match="no such pair"):
        certificate.reread()


@pytest.mark.parametrize("pipe", ["cert", "key", "client_ca"])
async def test_a_pipe_in_the_place_of_a_certificate_is_refused_and_not_waited_for(
    tmp_path: Path, pipe: str
) -> None:
    cert = await asyncio.to_thread(certificate_in, tmp_path)
    os.mkfifo(tmp_path / "pipe")
    files = {"cert": cert, "key": tmp_path / "key.pem", "client_ca": cert, pipe: tmp_path / "pipe"}
    with pytest.raises(ConfigError, match="not a regular file"):
        Certificate(TlsSettings(**files), tmp_path)


async def test_the_socket_of_a_successor_stays_when_the_one_before_has_drained(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    at = parse_address(f"unix:{path}")
    first = Listening(Health(), Bound(at), drain=1.0, largest=1)
    await first.start()

    first.stop()
    second = Listening(Health(), Bound(at), drain=1.0, largest=1)
    await second.start()
    await first.ended()

    assert path.exists()
    second.stop()
    await second.ended()
    assert not path.exists()


async def test_a_socket_in_the_file_system_lets_those_in_whom_its_mode_names_from_a_reload_on(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    path = tmp_path / "gateway.sock"
    there = {"listen": f"unix:{path}", "surfaces": {"plain": {}}}

    async with gateway_for(upstream, surfaces=[PLAIN], settings={**there, "socket_mode": "0660"}) as served:
        first = path.stat().st_mode & 0o777
        await served.gateway.reload(GatewaySettings.model_validate(there), served.router.config)
        second = path.stat().st_mode & 0o777

    assert (first, second) == (0o660, 0o600)


async def test_a_socket_in_the_file_system_is_its_owners_alone_and_goes_with_the_gateway(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    path = tmp_path / "gateway.sock"
    there = {"listen": ["127.0.0.1:0", f"unix:{path}"]}

    async with gateway_for(upstream, surfaces=[PLAIN], settings=there):
        mode = path.stat().st_mode & 0o777
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport) as client:
            answer = await client.post("http://localhost/v1/say", json=ASKED)
        with pytest.raises(ConfigError, match="another process listens there"):
            async with gateway_for(upstream, surfaces=[PLAIN], settings=there):
                pass
        assert path.exists()

    assert (mode, answer.text) == (0o600, "Because.")
    assert not path.exists()


async def test_a_reload_opens_and_closes_addresses_and_leaves_the_others_as_they_are(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))
    only = {"plain": {}}

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        await client.post(f"{served.url}/v1/say", json=ASKED)
        both = {"listen": ["127.0.0.1:0"], "health": {"listen": "127.0.0.1:0"}, "surfaces": only}
        await served.gateway.reload(GatewaySettings.model_validate(both), served.router.config)
        first, health = served.gateway.listeners.values()
        live = await client.get(f"http://{health}/health/live")
        gone = await client.get(f"{served.url}/health/live")
        await served.gateway.reload(
            GatewaySettings.model_validate({**both, "health": None, "headers": "none"}), served.router.config
        )
        answer = await client.post(f"{served.url}/v1/say", json=ASKED)
        with pytest.raises(httpx.ConnectError):
            await httpx.AsyncClient().get(f"http://{health}/health/live")

    assert f"http://{first}" == served.url
    assert (live.status_code, gone.status_code) == (200, 404)
    assert "x-request-id" not in answer.headers


async def test_an_address_that_is_taken_leaves_everything_as_it_was(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="Because."))

    async with gateway_for(upstream, surfaces=[PLAIN]) as served, httpx.AsyncClient() as client:
        taken = f"127.0.0.1:{upstream.port}"
        free = f"unix:{tmp_path / 'gateway.sock'}"
        wanted = {"listen": ["127.0.0.1:0", free, taken], "surfaces": {"plain": {}}, "headers": "none"}
        changed = configuration(upstream)
        changed["models"]["another"] = changed["models"].pop(MODEL)
        with pytest.raises(ConfigError, match=f"cannot listen at {taken}"):
            await served.gateway.reload(GatewaySettings.model_validate(wanted), Router.check(changed))

        answer = await client.post(f"{served.url}/v1/say", json=ASKED)
        assert len(served.gateway.listeners) == 1
        assert set(served.router.config.public_models()) == {MODEL}
        assert (answer.status_code, "x-request-id" in answer.headers) == (200, True)
        assert not (tmp_path / "gateway.sock").exists()
