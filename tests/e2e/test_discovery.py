"""Servers and models that come and go, over real sockets on several addresses of this machine."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from certificates import certificate_in

from pointsman import Router, SyncRouter, UnknownModel
from pointsman.builtin.discoveries import Dns
from pointsman.plugin import DiscoveryFactory, PointsmanSpec, Reloaded, hookimpl
from pointsman_simulator import Reply, Simulator

ANSWER = b'{"model":"x","message":{"role":"assistant","content":"ok"},"done":true,"done_reason":"stop"}'


class Names(PointsmanSpec):
    """The discovery `dns`, with a resolver of our own."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] | Exception = addresses
        self.asked: list[tuple[str, int]] = []
        self.failed = 0
        self.failed_twice = asyncio.Event()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        if isinstance(self.addresses, Exception):
            self.failed += 1
            if self.failed == 2:  # by then the router has heard of the first
                self.failed_twice.set()
            raise self.addresses
        return self.addresses

    @hookimpl
    def pointsman_discovery(self) -> list[DiscoveryFactory]:
        return [DiscoveryFactory("dns", None, partial(Dns, resolve=self.resolve))]


async def fleet(simulator: Simulator, *lasts: int, models: Sequence[str] = ("x",)) -> dict[str, Any]:
    """Servers at 127.0.0.<last>, all at one port."""
    made: dict[str, Any] = {}
    port = 0
    for last in lasts:
        host = f"127.0.0.{last}"
        made[host] = await simulator.add("ollama", name=host, host=host, port=port, models=list(models))
        port = made[host].port
    return made


def config(port: int, **provider: Any) -> dict[str, Any]:
    gpu = {
        "type": "ollama",
        "base_url": f"http://gpu.internal:{port}",
        "discover": {"type": "dns", "interval": "100ms"},
        **provider,
    }
    return {"providers": {"gpu": gpu}, "models": {"m": {"deployments": ["gpu/x"]}}}


async def changed(router: Router) -> None:
    """Return when the router next runs on something else."""
    event = asyncio.Event()
    end = router.listen(lambda _event: event.set(), kinds=[Reloaded])
    try:
        async with asyncio.timeout(10):
            await event.wait()
    finally:
        end()


async def test_each_address_of_a_name_is_a_deployment_and_is_called_by_that_name() -> None:
    async with Simulator(seed=1) as simulator:
        servers = await fleet(simulator, 1, 2, 3)
        port = servers["127.0.0.1"].port
        names = Names("127.0.0.3", "127.0.0.1", "127.0.0.2", "127.0.0.1")
        async with Router.from_config(config(port), plugins=[names]) as router:
            replies = [await router.chat("m", "hi") for _ in range(9)]

        assert names.asked[0] == ("gpu.internal", port)
        assert Counter(each.deployment for each in replies) == {f"gpu@{host}/x": 3 for host in servers}
        for each in servers.values():
            asked = [record for record in each.requests if record.path == "/api/chat"]
            assert {record.headers["host"] for record in asked} == {f"gpu.internal:{port}"}


async def test_an_address_that_goes_ends_no_stream_and_one_that_comes_gets_calls() -> None:
    async with Simulator(seed=1) as simulator:
        servers = await fleet(simulator, 1, 2, 3)
        servers["127.0.0.1"].default = Reply("one two three four", tokens_per_second=10)
        names = Names("127.0.0.1", "127.0.0.2")
        async with Router.from_config(config(servers["127.0.0.1"].port), plugins=[names]) as router:
            async with router.stream("gpu@127.0.0.1/x", "hi") as stream:
                first = await anext(aiter(stream))
                names.addresses = ("127.0.0.2", "127.0.0.3")
                await changed(router)
                assert list(router.status().models["m"].deployments) == [
                    "gpu@127.0.0.2/x",
                    "gpu@127.0.0.3/x",
                ]
                replies = [await router.chat("m", "hi") for _ in range(4)]
                rest = [event async for event in stream]
            assert first
            assert rest
            assert stream.response.text == "one two three four"
            assert {each.deployment for each in replies} == {"gpu@127.0.0.2/x", "gpu@127.0.0.3/x"}
            assert router.status().in_flight == 0


async def test_an_address_that_dies_costs_no_call_and_a_resolver_that_fails_takes_none_away() -> None:
    async with Simulator(seed=1) as simulator:
        servers = await fleet(simulator, 1, 2)
        names = Names(*servers)
        given = config(servers["127.0.0.1"].port)
        async with Router.from_config(given, plugins=[names]) as router:
            await servers["127.0.0.2"].stop()
            names.addresses = OSError(-2, "Name or service not known")
            replies = [await router.chat("m", "hi") for _ in range(6)]
            await names.failed_twice.wait()

            assert {each.deployment for each in replies} == {"gpu@127.0.0.1/x"}
            (told,) = router.status().discoveries
            assert told.servers == ["127.0.0.1", "127.0.0.2"]
            assert told.error == "'gpu.internal' cannot be looked up: Name or service not known"


async def test_the_servers_of_a_name_may_have_other_models_each() -> None:
    async with Simulator(seed=1) as simulator:
        servers = await fleet(simulator, 1, 2, models=["both"])
        servers["127.0.0.2"].site.models["second"] = None
        models = {"discover": True, "interval": "100ms"}
        given = config(servers["127.0.0.1"].port, models=models) | {"models": {}}
        async with Router.from_config(given, plugins=[Names(*servers)]) as router:
            known = {name: list(each.deployments) for name, each in router.status().models.items()}
            assert known == {
                "both": ["gpu@127.0.0.1/both", "gpu@127.0.0.2/both"],
                "second": ["gpu@127.0.0.2/second"],
            }
            assert (await router.chat("gpu/second", "hi")).deployment == "gpu@127.0.0.2/second"

            servers["127.0.0.1"].site.models["second"] = None
            await changed(router)
            assert {(await router.chat("second", "hi")).deployment for _ in range(2)} == {
                "gpu@127.0.0.1/second",
                "gpu@127.0.0.2/second",
            }


async def test_the_models_of_a_server_are_followed_as_they_are_installed_and_removed() -> None:
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("ollama", models=["llama3.2", "nomic-embed-text"])
        models = {"discover": True, "interval": "100ms", "exclude": ["*embed*"]}
        given = {"providers": {"here": {"type": "ollama", "base_url": upstream.base_url, "models": models}}}
        async with Router.from_config(given) as router:
            assert set(router.status().models) == {"llama3.2"}
            assert (await router.chat("llama3.2", "hi")).deployment == "here/llama3.2"

            upstream.site.models["qwen3"] = None
            await changed(router)
            assert (await router.chat("qwen3", "hi")).deployment == "here/qwen3"

            del upstream.site.models["llama3.2"]
            await changed(router)
            with pytest.raises(UnknownModel, match="llama3"):
                await router.chat("llama3.2", "hi")
            assert set(router.status().models) == {"qwen3"}


async def test_one_name_at_two_servers_is_one_pool() -> None:
    async with Simulator(seed=1) as simulator:
        one = await simulator.add("ollama", models=["both", "one"])
        two = await simulator.add("ollama", models=["both"])
        given = {
            "providers": {
                "a": {"type": "ollama", "base_url": one.base_url, "models": "discover"},
                "b": {"type": "ollama", "base_url": two.base_url, "models": "discover"},
            }
        }
        async with Router.from_config(given) as router:
            replies = [await router.chat("both", "hi") for _ in range(4)]

    assert Counter(each.deployment for each in replies) == {"a/both": 2, "b/both": 2}


async def test_a_server_that_is_started_later_is_found() -> None:
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("ollama", models=["late"])
        await upstream.stop()
        models = {"discover": True, "interval": "100ms"}
        given = {"providers": {"a": {"type": "ollama", "base_url": upstream.base_url, "models": models}}}
        async with Router.from_config(given) as router:
            assert not router.status().models
            await upstream.start()
            await changed(router)
            assert (await router.chat("late", "hi")).deployment == "a/late"


async def test_a_blocking_router_knows_them_once_it_is_entered() -> None:
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("ollama", models=["llama3.2"])
        given = {"providers": {"a": {"type": "ollama", "base_url": upstream.base_url, "models": "discover"}}}

        def ask() -> str:
            with SyncRouter.from_config(given) as router:
                return router.chat("llama3.2", "hi").deployment

        assert await asyncio.to_thread(ask) == "a/llama3.2"


@pytest.mark.parametrize("transport", ["h1", "httpx", "aiohttp"])
async def test_tls_proves_the_name_wherever_the_address_leads(transport: str, tmp_path: Path) -> None:
    cert = certificate_in(tmp_path, names="DNS:gpu.internal")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, tmp_path / "key.pem")
    asked: list[str] = []
    context.sni_callback = lambda _socket, name, _context: asked.append(name)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(line for line in head.splitlines() if line.lower().startswith("content-length"))
        await reader.readexactly(int(length.partition(":")[2]))
        kind = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\n" + kind % len(ANSWER) + ANSWER)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.2", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        gpu = {
            "type": "ollama",
            "base_url": f"https://gpu.internal:{port}",
            "address": "127.0.0.2",
            "ca_file": str(cert),
            "transport": transport,
        }
        async with Router.from_config({"providers": {"gpu": gpu}}) as router:
            assert (await router.chat("gpu/x", "hi")).text == "ok"
    assert asked == ["gpu.internal"]
