"""Who asks, behind proxies and without."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from pointsman_gateway.access.listening import keyless_refusal, refusal
from pointsman_gateway.access.peers import is_on_this_machine, origin
from pointsman_gateway.access.settings import AccessSettings

PROXIES = (ip_network("10.0.0.0/8"), ip_network("::1"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.9", "203.0.113.7"),
        ("10.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:80", "2001:db8::1"),
        ("10.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "garbage, 10.0.0.9", "10.0.0.9"),
        ("10.0.0.1", "203.0.113.7, garbage", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("::1", "203.0.113.7", "203.0.113.7"),
        ("192.0.2.1", "203.0.113.7", "192.0.2.1"),
        ("", "203.0.113.7", "203.0.113.7"),
    ],
)
def test_the_last_one_that_no_trusted_proxy_is(peer: str, forwarded: str, address: str) -> None:
    assert origin(peer, {"x-forwarded-for": forwarded}, PROXIES, tls=False).address == address


@pytest.mark.parametrize(
    ("peer", "proto", "secure"),
    [("10.0.0.1", "https", True), ("10.0.0.1", "https, http", False), ("192.0.2.1", "https", False)],
)
def test_only_a_trusted_proxy_says_that_it_came_by_tls(peer: str, proto: str, secure: bool) -> None:
    assert origin(peer, {"x-forwarded-proto": proto}, PROXIES, tls=False).secure is secure


@pytest.mark.parametrize(
    ("peer", "local", "here"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("::1", "::1", True),
        ("", "", True),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("127.0.0.1", "10.0.0.2", False),
        ("localhost.evil.example", "127.0.0.1", False),
        ("1270.0.0.1", "127.0.0.1", False),
        ("127.0.0.1.nip.io", "127.0.0.1", False),
    ],
)
def test_who_is_on_this_machine(peer: str, local: str, here: bool) -> None:
    assert is_on_this_machine(peer, local, {}, behind_proxy=False) is here
    assert not is_on_this_machine(peer, local, {}, behind_proxy=True)


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "via", "x-real-ip", "x-forwarded-host"])
def test_a_proxy_that_nobody_told_us_of_gives_itself_away(name: str) -> None:
    assert not is_on_this_machine("127.0.0.1", "127.0.0.1", {name: "127.0.0.1"}, behind_proxy=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "gateway.example.com"])
def test_nobody_listens_beyond_this_machine_before_it_is_said_who_may_ask(host: str) -> None:
    said = refusal(host, None)

    assert said is not None
    assert "access:" in said
    assert "openssl rand" in said
    assert refusal(host, AccessSettings()) is not None
    assert refusal(host, AccessSettings.model_validate({"anonymous": {"models": ["a"]}})) is None
    assert keyless_refusal(host) is not None


@pytest.mark.parametrize("host", ["", "127.0.0.1", "::1", "localhost", "127.3.2.1"])
def test_on_this_machine_anybody_may_listen(host: str) -> None:
    assert refusal(host, None) is None
    assert keyless_refusal(host) is None
