"""What a reload changes, and what it leaves alone."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import certificate_in
from gateways import PLAIN, Served, configuration, gateway_for

from pointsman import Router
from pointsman.plugin import ConfigError
from pointsman_gateway import gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Simulator, Upstream

WITHIN = 10.0


async def reload(served: Served, upstream: Upstream, settings: dict[str, Any], **changes: Any) -> None:
    """Have `served` go by other `settings` at the same address, and by `changes` of the configuration."""
    asked = {"listen": "127.0.0.1:0", **settings}
    await served.gateway.reload(
        GatewaySettings.model_validate(asked), Router.check(configuration(upstream, **changes))
    )


async def shown_by(served: Served) -> str:
    """The certificate that new connections get."""
    address = next(iter(served.gateway.listeners.values()))
    return await asyncio.to_thread(ssl.get_server_certificate, (address.host, address.port))


def pair_in(folder: Path) -> dict[str, str]:
    folder.mkdir(exist_ok=True)
    cert = certificate_in(folder)
    return {"cert": str(cert), "key": str(cert.with_name("key.pem"))}


def held(tls: dict[str, str]) -> str:
    return Path(tls["cert"]).read_text()


async def test_a_certificate_is_looked_at_after_a_reload_as_before(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "_LOOK_EVERY", 0.01)
    upstream = await simulator.add("openai")
    tls = pair_in(tmp_path / "one")

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"tls": tls}) as served:
        await reload(served, upstream, {"tls": tls})
        pair_in(tmp_path / "one")
        shown = ""
        async with asyncio.timeout(WITHIN):
            while shown != held(tls):
                with suppress(ssl.SSLError):  # between the writing of the one file and of the other
                    shown = await shown_by(served)


async def test_other_files_of_a_certificate_hold_for_new_connections(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    one, other = pair_in(tmp_path / "one"), pair_in(tmp_path / "other")

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"tls": one}) as served:
        await reload(served, upstream, {"tls": other})

        assert await shown_by(served) == held(other)


async def test_what_cannot_be_taken_changes_nothing_of_the_router_either(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    tls = pair_in(tmp_path)
    changed = {"models": {"other": {"deployments": [f"{upstream.name}/{next(iter(upstream.site.models))}"]}}}

    async with gateway_for(upstream, surfaces=[PLAIN], settings={"tls": tls}) as served:
        for wrong, said in ({"tls": {**tls, "key": tls["cert"]}}, "cannot use"), ({}, "with a restart"):
            with pytest.raises(ConfigError, match=said):
                await reload(served, upstream, wrong, **changed)

            assert set(served.router.config.public_models()) == {"assistant"}


async def test_health_is_told_at_the_main_address_once_it_has_none_of_its_own(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    async with (
        gateway_for(upstream, surfaces=[PLAIN], settings={"health": {"listen": "127.0.0.1:0"}}) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        before = await client.get("/health/ready")
        await reload(served, upstream, {})
        after = await client.get("/health/ready")

    assert before.status_code == 404
    assert after.status_code == 200


async def test_once_it_shuts_down_nothing_is_taken_any_more(simulator: Simulator) -> None:
    upstream = await simulator.add("openai")

    async with gateway_for(upstream, surfaces=[PLAIN]) as served:
        await served.gateway.stop()
        with pytest.raises(ConfigError, match="shutting down"):
            await reload(served, upstream, {"listen": "127.0.0.1:0"})


async def test_a_reload_ends_what_lasts_of_callers_who_may_do_something_else_and_of_no_others(
    simulator: Simulator,
) -> None:
    upstream = await simulator.add("openai")
    narrowed = {"name": "narrowed", "key": "key-of-narrowed-0123456789", "operator": True}
    kept = {"name": "kept", "key": "key-of-kept-0123456789", "operator": True}
    async with gateway_for(upstream, settings={"access": {"keys": [narrowed, kept]}}) as served:
        streams = []
        async with (
            httpx.AsyncClient(base_url=served.url, timeout=WITHIN) as client,
            AsyncExitStack() as stack,
        ):
            for each in narrowed, kept:
                carried = {"authorization": f"Bearer {each['key']}"}
                opened = client.stream("GET", "/admin/v1/events", headers=carried)
                streams.append((await stack.enter_async_context(opened)).aiter_raw())
            await reload(served, upstream, {"access": {"keys": [{**narrowed, "operator": False}, kept]}})
            async with asyncio.timeout(WITHIN):
                async for _ in streams[0]:
                    pass
                assert await anext(streams[1])
