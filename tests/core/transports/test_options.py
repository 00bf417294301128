"""Choosing a transport, its TLS, its proxy, and what is refused at set-up."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from transports_by_name import open_transport

import pointsman.builtin.transports as built_in
from pointsman._internal.scrubber import Scrubber
from pointsman.build.contexts import Contexts
from pointsman.build.transports import Transports
from pointsman.builtin.httpx.transport import HttpxTransport
from pointsman.clock import LoopClock, system_rng
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.plugins.registry import Plugins
from pointsman.transports import TlsContexts, TransportOptions, TransportUnavailable, name_of
from pointsman.transports.factory import TransportContext, TransportFactory
from pointsman.transports.lazy import DeferredTransport
from pointsman_aiohttp.transport import AiohttpTransport
from pointsman_h1 import H1Transport

Fixture = Any


async def test_auto_takes_the_fastest_that_can_do_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(built_in, "find_spec", lambda name: object())  # as if h2 and socksio were there

    assert isinstance(open_transport("auto"), H1Transport)
    assert isinstance(open_transport("auto", TransportOptions(proxy="http://p:1")), AiohttpTransport)
    assert isinstance(open_transport("auto", TransportOptions(http2=True)), HttpxTransport)
    assert isinstance(open_transport("auto", TransportOptions(proxy="socks5://p:1")), HttpxTransport)


async def test_auto_minds_a_proxy_of_a_trusted_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    trusting = TransportOptions(trust_env=True)
    assert isinstance(open_transport("auto", trusting), H1Transport)

    monkeypatch.setenv("https_proxy", "proxy.example:3128")

    assert isinstance(open_transport("auto", trusting), AiohttpTransport)
    assert isinstance(open_transport("auto"), H1Transport)


class Offered(PointsmanSpec):
    """Somebody else's transport, which counts what it is asked to make."""

    def __init__(self, rank: int, why: str | None = None, name: str = "theirs") -> None:
        self.name, self.rank, self.why = name, rank, why
        self.made: list[TransportOptions] = []

    def _make(self, context: TransportContext) -> httpx.AsyncBaseTransport:
        self.made.append(context.options)
        return httpx.MockTransport(lambda request: httpx.Response(200))

    @hookimpl
    def pointsman_transports(self) -> Sequence[TransportFactory]:
        refuses = lambda options: self.why  # noqa: E731
        return [TransportFactory(self.name, None, self._make, rank=self.rank, refuses=refuses)]


@pytest.mark.parametrize(
    ("rank", "why", "taken"),
    [(31, None, True), (29, None, False), (0, None, False), (31, "it is Sunday", False)],
)
def test_auto_takes_the_transport_of_the_highest_rank_that_refuses_nothing_whoever_offers_it(
    rank: int, why: str | None, taken: bool
) -> None:
    theirs = Offered(rank, why)

    made = open_transport("auto", TransportOptions(max_connections=7), [theirs])

    assert (type(made) is httpx.MockTransport) is taken
    assert theirs.made == [TransportOptions(max_connections=7)] * taken
    assert taken or isinstance(made, H1Transport)


@pytest.mark.parametrize("error", [KeyError("nothing here"), SystemExit("nothing here")])
def test_a_transport_that_fails_when_it_is_asked_is_passed_over(
    caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    class Failing(Offered):
        @property
        def why(self) -> str | None:
            raise error

        @why.setter
        def why(self, why: str | None) -> None:
            """Nothing."""

    assert isinstance(open_transport("auto", plugins=[Failing(31)]), H1Transport)
    assert "nothing here" in caplog.text


def test_what_a_transport_refuses_is_an_error_where_it_is_named_and_it_is_not_made() -> None:
    theirs = Offered(31, "it is Sunday")

    with pytest.raises(TransportUnavailable, match="it is Sunday"):
        open_transport("theirs", plugins=[theirs])

    assert theirs.made == []


def test_when_every_transport_refuses_the_one_that_can_do_most_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(built_in, "find_spec", lambda name: None)

    with pytest.raises(TransportUnavailable, match=r"pip install 'httpx\[http2\]'"):
        open_transport("auto", TransportOptions(http2=True))


def test_a_transport_can_stand_around_the_one_that_auto_comes_to() -> None:
    class Around(PointsmanSpec):
        @hookimpl
        def pointsman_transports(self) -> Sequence[TransportFactory]:
            return [TransportFactory("around", None, self._make)]

        def _make(self, context: TransportContext) -> Any:
            self.inner = context.inner("auto")
            return httpx.MockTransport(lambda request: httpx.Response(200))

    around, theirs = Around(), Offered(99)

    open_transport("around", plugins=[around, theirs])

    assert isinstance(around.inner, DeferredTransport)
    assert type(around.inner.made()) is httpx.MockTransport
    assert len(theirs.made) == 1


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Let only these of the distributions with transports be installed."""
    absent = {"pointsman-aiohttp", "pointsman-h1"} - set(names)
    here = [each for each in distributions() if each.metadata["Name"] not in absent]
    monkeypatch.setattr("pointsman.plugins.discovery.distributions", lambda: here)


def test_auto_makes_do_with_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "pointsman-aiohttp")

    assert isinstance(open_transport("auto"), AiohttpTransport)
    with pytest.raises(TransportUnavailable, match="pip install pointsman-h1"):
        open_transport("h1")

    installed(monkeypatch)

    assert isinstance(open_transport("auto"), HttpxTransport)
    with pytest.raises(TransportUnavailable, match="pip install pointsman-aiohttp"):
        open_transport("aiohttp")


def test_a_transport_that_is_installed_but_broken_is_an_error_where_it_is_named_and_passed_over_by_auto(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pointsman_h1", None)

    with pytest.raises(TransportUnavailable, match=r"'?pointsman_h1.*--force-reinstall pointsman-h1"):
        open_transport("h1")
    assert isinstance(open_transport("auto"), AiohttpTransport)
    assert "passes over one: transport 'h1' cannot be used" in caplog.text


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("carrier-pigeon", TransportOptions(), "carrier-pigeon"),
        ("h1", TransportOptions(http2=True), "HTTP/2"),
        ("h1", TransportOptions(proxy="http://user:secret@p:1"), "prox"),
        ("aiohttp", TransportOptions(http2=True), "HTTP/2"),
        ("aiohttp", TransportOptions(proxy="socks5://user:secret@p:1"), "SOCKS"),
        pytest.param(
            "httpx",
            TransportOptions(http2=True),
            "h2",
            marks=pytest.mark.skipif(find_spec("h2") is not None, reason="h2 is installed"),
        ),
        pytest.param(
            "httpx",
            TransportOptions(proxy="socks5://user:secret@p:1"),
            "socksio",
            marks=pytest.mark.skipif(find_spec("socksio") is not None, reason="socksio is installed"),
        ),
    ],
)
def test_what_cannot_be_done_is_refused_when_opened(
    name: str, options: TransportOptions, message: str
) -> None:
    with pytest.raises(TransportUnavailable, match=message) as caught:
        open_transport(name, options)

    assert "secret" not in str(caught.value)


def test_the_options_do_not_show_the_credentials_of_a_proxy() -> None:
    options = TransportOptions(proxy="http://me:hunter2@proxy.example:3128")

    assert "hunter2" not in repr(options)


@pytest.mark.parametrize("name", ["aiohttp", "auto", "h1", "httpx"])
def test_each_transport_says_what_it_is_called_in_a_configuration(name: str) -> None:
    made = open_transport(name)

    assert isinstance(made, httpx.AsyncBaseTransport)
    assert name_of(made) == ("h1" if name == "auto" else name)


def test_auto_says_what_it_comes_to_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_auto() -> str:
        transports = Transports(Plugins(), Contexts(LoopClock(), system_rng()), Scrubber())
        return name_of(transports.open("auto", TransportOptions(proxy="http://p:1")))

    assert of_auto() == "aiohttp"
    installed(monkeypatch)
    assert of_auto() == "httpx"
    assert name_of(httpx.MockTransport(lambda request: httpx.Response(200))) == "MockTransport"


def test_importing_the_package_loads_no_http_library() -> None:
    """Given only this package, without the rest of pointsman, which loads httpx for itself."""
    program = """
import sys
from importlib.util import module_from_spec, spec_from_file_location

for name, path in ("pointsman", sys.argv[1]), ("pointsman.transports", sys.argv[1] + "/transports"):
    spec = spec_from_file_location(name, path + "/__init__.py", submodule_search_locations=[path])
    sys.modules[name] = module_from_spec(spec)
    if name != "pointsman":
        spec.loader.exec_module(sys.modules[name])
print([name for name in ("httpx", "httpcore", "anyio", "aiohttp") if name in sys.modules])
"""
    package = Path(sys.modules["pointsman.transports"].__file__ or "").parent.parent

    ran = subprocess.run([sys.executable, "-c", program, str(package)], capture_output=True, text=True)

    assert (ran.stdout.strip(), ran.stderr) == ("[]", "")


def test_identical_options_share_one_tls_context() -> None:
    contexts = TlsContexts()

    first = contexts.context(TransportOptions(max_connections=1))
    second = contexts.context(TransportOptions(max_connections=2, proxy="http://p:1"))
    other = contexts.context(TransportOptions(http2=True))

    assert first is second
    assert first is not other


def test_tls_always_verifies_and_is_never_older_than_1_2() -> None:
    context = TransportOptions().ssl_context()

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "authorities.pem"

    with pytest.raises(TransportUnavailable, match=r"authorities\.pem"):
        TransportOptions(ca_file=missing).ssl_context()


async def test_a_plain_http_url_builds_no_tls_context(server: Fixture, name: str) -> None:
    class Unwanted(TlsContexts):
        def context(self, options: TransportOptions) -> ssl.SSLContext:
            raise AssertionError("a TLS context was built")

    makers: dict[str, Any] = {"aiohttp": AiohttpTransport, "h1": H1Transport, "httpx": HttpxTransport}
    transport = makers[name](TransportOptions(), contexts=Unwanted())

    response = await transport.handle_async_request(httpx.Request("GET", server.url("/x")))

    assert await response.aread() == b"/x"
    await transport.aclose()


def test_a_proxy_comes_from_the_environment_only_where_that_is_trusted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    trusting = TransportOptions(trust_env=True)

    assert TransportOptions().proxy_for("http", "a.example") is None
    assert trusting.proxy_for("http", "a.example") == "http://proxy.example:3128"
    assert trusting.proxy_for("http", "inside.example") is None
    assert trusting.proxy_for("https", "a.example") is None
    named = TransportOptions(trust_env=True, proxy="http://p:1")
    assert named.proxy_for("http", "inside.example") == "http://p:1"
    assert not trusting.wants_socks()
    monkeypatch.setenv("all_proxy", "socks5://p:1")
    assert trusting.wants_socks()


@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
async def test_a_proxy_gets_the_whole_url_and_its_credentials(server: Fixture, opened: Fixture) -> None:
    transport = opened(proxy=f"http://user:word@127.0.0.1:{server.port}")

    response = await transport.handle_async_request(httpx.Request("GET", "http://up.invalid/a?b=c"))
    await response.aread()
    await response.aclose()

    sent = server.wires[0].requests[0]
    assert sent.startswith(b"GET http://up.invalid/a?b=c HTTP/1.1\r\n")
    assert b"proxy-authorization: basic dxnlcjp3b3jk" in sent.lower()


async def test_tls_with_an_own_authority_and_a_client_certificate(
    authority: Path, server: Fixture, opened: Fixture
) -> None:
    listener = await server.secured(authority, client_cert=True)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    transport = opened(ca_file=authority, client_cert=(authority, authority.with_name("key.pem")))

    for _ in range(3):
        response = await transport.handle_async_request(httpx.Request("POST", url + "/x", content=b"hello"))
        assert await response.aread() == b"/x"

    assert len(server.wires) == 1
    listener.close()


async def test_a_certificate_of_an_unknown_authority_is_a_connect_error(
    authority: Path, server: Fixture, opened: Fixture
) -> None:
    listener = await server.secured(authority)
    transport = opened()

    request = httpx.Request("GET", f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x")
    with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
        await transport.handle_async_request(request)

    listener.close()


@pytest.mark.parametrize("path", ["/wait", "/hang"])
async def test_a_cancel_over_tls_does_not_wait_for_the_farewell_of_the_server(
    path: str, authority: Path, server: Fixture, opened: Fixture
) -> None:
    listener = await server.secured(authority)
    transport = opened(ca_file=authority)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}{path}"

    async def call() -> None:
        response = await transport.handle_async_request(httpx.Request("GET", url))
        await response.aread()

    calling = asyncio.create_task(call())
    wire = await server.next_request()
    wire.transport.pause_reading()  # from now on it answers nothing, a farewell included
    for _ in range(20):
        await asyncio.sleep(0)
    client_end = wire.transport.get_extra_info("peername")
    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling
    for _ in range(3):
        await asyncio.sleep(0)
    assert not _is_open(client_end)
    wire.transport.abort()
    listener.close()
    await server.until_empty()


async def test_a_cancelled_handshake_closes_its_socket(opened: Fixture, authority: Path) -> None:
    accepted: asyncio.Queue[asyncio.Transport] = asyncio.Queue()

    class Silent(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            accepted.put_nowait(transport)

    listener = await asyncio.get_running_loop().create_server(Silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}/"
    transport = opened(ca_file=authority)
    calling = asyncio.create_task(transport.handle_async_request(httpx.Request("GET", url)))
    silent = await asyncio.wait_for(accepted.get(), 5)
    for _ in range(20):
        await asyncio.sleep(0)
    client_end = silent.get_extra_info("peername")

    calling.cancel()

    with pytest.raises(asyncio.CancelledError):
        await calling
    for _ in range(3):
        await asyncio.sleep(0)
    assert not _is_open(client_end)
    silent.abort()
    listener.close()


def _is_open(address: tuple[str, int]) -> bool:
    """Whether this process still holds a socket bound to `address` (Linux)."""
    import os
    import socket

    folder = Path("/proc/self/fd")
    for entry in folder.iterdir() if folder.exists() else ():
        try:
            if not os.readlink(entry).startswith("socket:"):
                continue
            with socket.socket(fileno=os.dup(int(entry.name))) as twin:
                if twin.family == socket.AF_INET and twin.getsockname() == address:
                    return True
        except OSError:
            continue
    return False


async def test_a_deferred_transport_is_made_once_by_its_first_request_and_closed_with_it() -> None:
    made: list[httpx.MockTransport] = []

    class Closing(httpx.MockTransport):
        closed = 0

        async def aclose(self) -> None:
            Closing.closed += 1

    def make() -> httpx.MockTransport:
        made.append(Closing(lambda request: httpx.Response(204)))
        return made[-1]

    transport = DeferredTransport(make, lambda: "made")
    assert made == []
    for _ in range(2):
        answer = await transport.handle_async_request(httpx.Request("GET", "http://a.test/"))
        assert answer.status_code == 204
    await transport.aclose()

    assert made == [transport.made()]
    assert Closing.closed == 1


async def test_a_deferred_transport_that_was_closed_is_not_made_any_more() -> None:
    transport = DeferredTransport(lambda: pytest.fail("made after closing"), lambda: "none")

    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", "http://a.test/"))
