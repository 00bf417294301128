"""What NO_PROXY says, in all the ways in which people write it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.transports import TransportOptions
from pointsman.transports.no_proxy import bypasses

Fixture = Any


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("*", "anything.example", 443),
        ("a.example", "a.example", 443),
        ("A.Example", "a.eXample", 443),
        ("a.example", "a.example.", 443),
        ("a.example", "deep.below.a.example", 443),
        (".a.example", "a.example", 443),
        (".a.example", "b.a.example", 443),
        ("*.a.example", "b.a.example", 443),
        ("x, a.example ,y", "a.example", 443),
        ("x a.example\ty", "a.example", 443),
        ("localhost", "localhost", 11434),
        ("a.example:8080", "a.example", 8080),
        (".a.example:8080", "b.a.example", 8080),
        ("127.0.0.1", "127.0.0.1", 80),
        ("127.0.0.1:11434", "127.0.0.1", 11434),
        ("10.0.0.0/8", "10.255.0.1", 80),
        ("10.1.2.3/8", "10.255.0.1", 80),
        ("10.0.0.0/8:8080", "10.0.0.1", 8080),
        ("::1", "::1", 80),
        ("[::1]", "::1", 80),
        ("[::1]:8080", "::1", 8080),
        ("0:0:0:0:0:0:0:1", "::1", 80),
        ("fd00::/8", "fd12:3456::1", 80),
        ("[fd00::]/8", "fd12::1", 80),
        ("fe80::/10", "fe80::1%eth0", 80),
    ],
)
def test_a_host_that_is_named_is_reached_without_a_proxy(no_proxy: str, host: str, port: int) -> None:
    assert bypasses(no_proxy, host, port)
    assert bypasses(f"elsewhere.example,{no_proxy}", host, port)


@pytest.mark.parametrize(
    ("no_proxy", "host", "port"),
    [
        ("", "a.example", 443),
        (" , ,", "a.example", 443),
        ("a.example", "ba.example", 443),
        ("a.example", "a.example.org", 443),
        ("b.a.example", "a.example", 443),
        ("*.", "a.example", 443),
        (".", "a.example", 443),
        ("a.example:8080", "a.example", 443),
        ("a.example:80", "a.example", 8080),
        ("127.0.0.1:11434", "127.0.0.1", 8080),
        ("0.0.1", "127.0.0.1", 80),
        ("1", "127.0.0.1", 80),
        ("10.0.0.0/8", "11.0.0.1", 80),
        ("10.0.0.0/8", "10.example", 80),
        ("10.0.0.0/99", "10.0.0.1", 80),
        ("10.0.0.0/8:8080", "10.0.0.1", 80),
        ("::1", "::2", 80),
        ("[::1]:8080", "::1", 80),
        ("fd00::/8", "10.0.0.1", 80),
        ("0.0.0.0/0", "a.example", 80),
        ("[", "a.example", 80),
    ],
)
def test_a_host_that_is_not_named_is_reached_through_it(no_proxy: str, host: str, port: int) -> None:
    assert not bypasses(no_proxy, host, port)


@given(
    st.text(max_size=30),
    st.sampled_from(["a.example", "127.0.0.1", "::1", "localhost"]),
    st.integers(1, 65535),
)
def test_whatever_it_says_there_is_an_answer(no_proxy: str, host: str, port: int) -> None:
    assert bypasses(no_proxy, host, port) in (True, False)


@pytest.mark.parametrize("name", ["httpx", "aiohttp"])
@pytest.mark.parametrize("named", ["127.0.0.1:{port}", "127.0.0.0/8"])
async def test_both_that_know_proxies_heed_it_with_the_port_only_where_the_environment_is_trusted(
    named: str, server: Fixture, opened: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("HTTP_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("no_proxy", named.format(port=server.port))

    response = await opened(trust_env=True).handle_async_request(httpx.Request("GET", server.url("/x")))
    assert await response.aread() == b"/x"
    monkeypatch.setenv("no_proxy", "127.0.0.1:1")
    await (await opened(trust_env=True).handle_async_request(httpx.Request("GET", server.url("/x")))).aread()
    await (await opened().handle_async_request(httpx.Request("GET", server.url("/x")))).aread()

    asked = [request.split(b" ")[1] for wire in server.wires for request in wire.requests]
    assert asked == [b"/x", server.url("/x").encode(), b"/x"]


def test_the_port_of_a_scheme_is_the_one_that_is_meant() -> None:
    options = TransportOptions(trust_env=True)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("HTTPS_PROXY", "ALL_PROXY", "all_proxy", "NO_PROXY"):
            patch.delenv(variable, raising=False)
        patch.setenv("https_proxy", "http://p:1")
        patch.setenv("no_proxy", "a.example:443")

        assert options.proxy_for("https", "a.example") is None
        assert options.proxy_for("https", "a.example", 443) is None
        assert options.proxy_for("https", "a.example", 8443) == "http://p:1"
