"""How an upstream is reached, told apart by bytes: over real sockets on 127.0.0.1, and what a server saw there."""

from __future__ import annotations

import asyncio
import json
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import certificate_in
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from proving import Given, Setting, ask, proves

from pointsman import ConfigError, Router
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.testing import CannedReply, ReplayTransport, run
from pointsman.transports.factory import TransportFactory
from pointsman.transports.options import TransportOptions

KEY = "sk-long-enough-to-be-a-key"
MESSAGE = {"role": "assistant", "content": "ok"}
ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "model": "x",
        "choices": [{"index": 0, "message": MESSAGE, "finish_reason": "stop"}],
    }
).encode()


class Upstream:
    """A server that gives every request the same answer.

    Attributes:
        heads: of the requests that came, as text.
        connections: how many were opened, and their TLS handshake done.
        spoken: the protocol that each of them agreed on.
    """

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.connections = 0
        self.spoken: list[str | None] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        secured: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        self.spoken.append(secured and secured.selected_alpn_protocol())
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                (length,) = (
                    line.partition(":")[2]
                    for line in head.splitlines()
                    if line.lower().startswith("content-length:")
                )
                await reader.readexactly(int(length))
                kind = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
                writer.write(b"HTTP/1.1 200 OK\r\n" + kind + ANSWER)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def upstream(tls: ssl.SSLContext | None = None) -> AsyncIterator[Upstream]:
    it = Upstream()
    server = await asyncio.start_server(it.serve, "127.0.0.1", 0, ssl=tls)
    it.port = server.sockets[0].getsockname()[1]
    try:
        yield it
    finally:
        server.close()
        await server.wait_closed()


def at(port: int, *, scheme: str = "http", **provider: Any) -> Given:
    """A configuration whose provider is that server, and where an attempt is made once."""
    url = f"{scheme}://127.0.0.1:{port}/v1"
    return {
        "providers": {"a": {"type": "openai", "base_url": url, **provider}},
        "models": {"m": {"deployments": ["a/x"]}},
        "retry": "none",
    }


async def asked(given: Given, times: int = 1, *plugins: object) -> str:
    """How the last of so many calls ended."""
    async with Router.from_config(given, plugins=plugins) as r:
        for _ in range(times):
            end = await ask(r)
        return end


def header(head: str, name: str) -> str | None:
    for line in head.splitlines():
        if line.lower().startswith(f"{name}:"):
            return line.partition(":")[2].strip()
    return None


# ── where, and as whom ───────────────────────────────────────────────────────────────────────────────


@proves("providers.<name>.base_url")
def the_api_is_there(setting: Setting) -> None:
    async def main() -> None:
        async with upstream() as one, upstream() as two:
            for each in (one, two):
                assert await asked(setting.to(f"http://127.0.0.1:{each.port}/v1", at(one.port))) == "ok"
            assert len(one.heads) == len(two.heads) == 1

    asyncio.run(main())


async def sent(setting: Setting, value: object, name: str, **provider: Any) -> str | None:
    """The header of that name which goes out."""
    async with upstream() as it:
        assert await asked(setting.to(value, at(it.port, **provider))) == "ok"
        return header(it.heads[0], name)


@proves("providers.<name>.api_key", "auth:static.value")
def the_credential_goes_along(setting: Setting) -> None:
    assert asyncio.run(sent(setting, KEY, "authorization")) == f"Bearer {KEY}"
    assert asyncio.run(sent(setting, "another-long-key", "authorization")) == "Bearer another-long-key"


@proves("providers.<name>.auth.not_before", "providers.<name>.auth.not_after")
def a_credential_is_used_from_its_begin_to_its_end(setting: Setting) -> None:
    async def gets(value: str) -> object:
        async with upstream() as it:
            return await asked(setting.to(value, at(it.port, auth={"type": "static", "value": KEY})))

    early, late = "2020-01-01", "2090-01-01T00:00:00+01:00"
    used, unused = (early, late) if setting.key.endswith("not_before") else (late, early)
    assert asyncio.run(gets(used)) == "ok"
    assert asyncio.run(gets(unused)) != "ok"


@proves("providers.<name>.auth.type")
def the_credential_comes_from_what_is_called_so(setting: Setting) -> None:
    source = {"auth": {"name": "ONE_KEY", "type": "env"}}
    setting.environment.setenv("ONE_KEY", KEY)
    assert asyncio.run(sent(setting, "env", "authorization", **source)) == f"Bearer {KEY}"
    assert asyncio.run(sent(setting, "none", "authorization", auth={})) is None


@proves("providers.<name>.auth", "auth:env.name")
def the_credential_comes_from_there(setting: Setting) -> None:
    for name in ("ONE_KEY", "OTHER_KEY"):
        setting.environment.setenv(name, f"{KEY}-{name}")
        value = name if setting.key.startswith("auth:") else {"type": "env", "name": name}
        assert asyncio.run(sent(setting, value, "authorization")) == f"Bearer {KEY}-{name}"
    if not setting.key.startswith("auth:"):
        assert asyncio.run(sent(setting, None, "authorization")) is None


@proves("auth:file.path")
def the_credential_is_what_the_file_holds(setting: Setting) -> None:
    for name in ("one", "other"):
        (setting.folder / name).write_text(f"{KEY}-{name}\n")
        path = str(setting.folder / name)
        assert asyncio.run(sent(setting, path, "authorization")) == f"Bearer {KEY}-{name}"


@proves("providers.<name>.headers")
def more_headers_go_along(setting: Setting) -> None:
    assert asyncio.run(sent(setting, {}, "x-team")) is None
    assert asyncio.run(sent(setting, {"X-Team": "blue"}, "x-team")) == "blue"


# ── by which way ─────────────────────────────────────────────────────────────────────────────────────


@proves("providers.<name>.proxy")
def calls_go_through_the_proxy_with_its_credentials(setting: Setting) -> None:
    async def main() -> None:
        async with upstream() as api, upstream() as proxy:
            assert await asked(setting.to(None, at(api.port))) == "ok"
            assert (len(api.heads), len(proxy.heads)) == (1, 0)
            url = f"http://user:long-password@127.0.0.1:{proxy.port}"
            assert await asked(setting.to(url, at(api.port))) == "ok"
            assert (len(api.heads), len(proxy.heads)) == (1, 1)
            assert proxy.heads[0].startswith(f"POST http://127.0.0.1:{api.port}/v1/chat/completions ")
            credentials = b64encode(b"user:long-password").decode()
            assert header(proxy.heads[0], "proxy-authorization") == f"Basic {credentials}"

    asyncio.run(main())


@proves("providers.<name>.trust_env")
def the_proxy_of_the_environment_is_heeded(setting: Setting) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        setting.environment.delenv(name, raising=False)
        setting.environment.delenv(name.upper(), raising=False)

    async def main() -> None:
        async with upstream() as api, upstream() as proxy:
            setting.environment.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
            assert await asked(setting.to(False, at(api.port))) == "ok"
            assert (len(api.heads), len(proxy.heads)) == (1, 0)
            assert await asked(setting.to(True, at(api.port))) == "ok"
            assert (len(api.heads), len(proxy.heads)) == (1, 1)
            setting.environment.setenv("NO_PROXY", "127.0.0.1")
            assert await asked(setting.to(True, at(api.port))) == "ok"
            assert (len(api.heads), len(proxy.heads)) == (2, 1)

    asyncio.run(main())


@proves("providers.<name>.keepalive")
def an_idle_connection_is_not_used_again_after_that_long(setting: Setting) -> None:
    async def main() -> None:
        for value, connections in (("1h", 1), ("0s", 3)):
            async with upstream() as it:
                assert await asked(setting.to(value, at(it.port)), 3) == "ok"
                assert it.connections == connections

    asyncio.run(main())


def server_context(certificate: Path, *, wants_certificate: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    context.set_alpn_protocols(["h2", "http/1.1"])
    if wants_certificate:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(certificate)
    return context


@proves("providers.<name>.ca_file")
def those_authorities_are_trusted_instead_of_the_usual(setting: Setting) -> None:
    certificate = certificate_in(setting.folder)

    async def main() -> None:
        async with upstream(server_context(certificate)) as it:
            assert await asked(setting.to(None, at(it.port, scheme="https"))) == "ConnectionFailed"
            assert await asked(setting.to(str(certificate), at(it.port, scheme="https"))) == "ok"

    asyncio.run(main())


@proves("providers.<name>.client_cert", "providers.<name>.client_key")
def our_certificate_is_shown_to_upstreams_that_ask(setting: Setting) -> None:
    certificate = certificate_in(setting.folder)
    key = certificate.with_name("key.pem")
    both = setting.folder / "both.pem"
    both.write_bytes(certificate.read_bytes() + key.read_bytes())

    async def main() -> None:
        async with upstream(server_context(certificate, wants_certificate=True)) as it:
            base = at(it.port, scheme="https", ca_file=str(certificate))
            if setting.key.endswith("client_cert"):
                assert await asked(setting.to(None, base)) != "ok"
                assert await asked(setting.to(str(both), base)) == "ok"
            else:
                base["providers"]["a"]["client_cert"] = str(certificate)
                with pytest.raises(ConfigError, match="cannot set up TLS"):
                    await asked(setting.to(None, base))
                assert await asked(setting.to(str(key), base)) == "ok"

    asyncio.run(main())


@proves("providers.<name>.client_key_password")
def the_key_of_our_certificate_is_read_with_its_password(setting: Setting) -> None:
    certificate = certificate_in(setting.folder)
    key = load_pem_private_key(certificate.with_name("key.pem").read_bytes(), None)
    locked = setting.folder / "locked.pem"
    locked.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"of the key"))
    )

    async def main() -> None:
        async with upstream(server_context(certificate, wants_certificate=True)) as it:
            base = at(it.port, scheme="https", ca_file=str(certificate))
            base["providers"]["a"] |= {"client_cert": str(certificate), "client_key": str(locked)}
            with pytest.raises(ConfigError, match="the key has a password, and none was given"):
                await asked(setting.to(None, base))
            with pytest.raises(ConfigError, match="cannot set up TLS"):
                await asked(setting.to("another one", base))
            assert await asked(setting.to("of the key", base)) == "ok"

    asyncio.run(main())


@proves("providers.<name>.min_tls")
def older_versions_of_tls_are_not_spoken(setting: Setting) -> None:
    certificate = certificate_in(setting.folder)
    old = server_context(certificate)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def main() -> None:
        async with upstream(old) as it:
            base = at(it.port, scheme="https", ca_file=str(certificate))
            assert await asked(setting.to("1.2", base)) == "ok"
            assert await asked(setting.to("1.3", base)) == "ConnectionFailed"

    asyncio.run(main())


class Handshake(httpx.AsyncBaseTransport):
    """Does the TLS handshake that is asked for, and goes no further."""

    def __init__(self, options: TransportOptions) -> None:
        self._context = options.ssl_context()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        _reader, writer = await asyncio.open_connection(url.host, url.port, ssl=self._context)
        writer.close()
        await writer.wait_closed()
        raise httpx.ConnectError("no further", request=request)


class Ways(PointsmanSpec):
    """Transports by name."""

    def __init__(self, **made: Any) -> None:
        self._made = made

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        return [
            TransportFactory(name, None, lambda context, make=make: make(context.options))
            for name, make in self._made.items()
        ]


@proves("providers.<name>.http2")
def http_2_is_offered(setting: Setting) -> None:
    certificate = certificate_in(setting.folder)

    async def main() -> None:
        async with upstream(server_context(certificate)) as it:
            for value in (False, True):
                given = at(it.port, scheme="https", ca_file=str(certificate), transport="handshake")
                await asked(setting.to(value, given), 1, Ways(handshake=Handshake))
            assert it.spoken == ["http/1.1", "h2"]

    asyncio.run(main())


@proves("transport", "providers.<name>.transport")
def the_transport_of_that_name_carries_the_calls(setting: Setting) -> None:
    other = {"transport": "one"} if setting.key.startswith("providers") else {}
    for value in ("one", "two"):
        carried = {each: ReplayTransport(CannedReply(200, ANSWER)) for each in ("one", "two")}
        ways = Ways(**{name: lambda _options, each=each: each for name, each in carried.items()})
        assert run(asked(setting.to(value, at(1) | other), 1, ways)) == "ok"
        assert [name for name, each in carried.items() if each.requests] == [value]


class Hanging(httpx.AsyncBaseTransport):
    """Connects for 5 s, unless a request allows it less."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        allowed = request.extensions["timeout"]["connect"]
        await asyncio.sleep(min(allowed, 5))
        if allowed < 5:
            raise httpx.ConnectTimeout("too late", request=request)
        return httpx.Response(200, content=ANSWER, request=request)


CONNECT = ("timeouts", "providers.<name>.timeouts", "models.<name>.deployments[].timeouts")


@proves(*(f"{each}.connect" for each in CONNECT))
def the_connection_must_stand_by_then(setting: Setting) -> None:
    level = setting.key.rpartition(".")[0]
    for value, other, end, after in ((2, 8, "ConnectionFailed", 2), (8, 2, "ok", 5)):
        given = at(1) | {"transport": "hanging"}
        for each in CONNECT[: CONNECT.index(level)]:
            given = Setting(each, setting.folder, setting.environment).to({"connect": other}, given)

        async def main(before: Given, after: Given) -> tuple[str, float]:
            async with Router.from_config(before, plugins=[Ways(hanging=lambda _options: Hanging())]) as r:
                await r.reload(after)
                began = asyncio.get_running_loop().time()
                return await ask(r), asyncio.get_running_loop().time() - began

        with_value = setting.to(value, given)
        for before in (with_value, setting.to(other, given)):
            assert run(main(before, with_value)) == (end, pytest.approx(after, abs=0.01))
