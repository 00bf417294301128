"""Hosts that are ours, and pages that are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman_gateway.access.admission import Denied
from pointsman_gateway.access.origins import check_host, check_unsent_by_pages, host_name, is_foreign

ALLOWED = frozenset(("gateway.example.com",))


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:4000", "LOCALHOST:4000", "127.0.0.1:4000", "127.9.9.9", "[::1]:4000",
        "a.localhost", "gateway.example.com", "Gateway.Example.Com:443", "gateway.example.com.", "10.0.0.5:4000",
    ],
)  # fmt: skip
def test_hosts_that_we_are(host: str) -> None:
    check_host({"host": host}, ALLOWED, "10.0.0.5")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "gateway.example.com.evil.example", "localhost.evil.example", "10.0.0.6", "0.0.0.0",
        "evil.example:4000", "xgateway.example.com", "127.0.0.1.nip.io",
    ],
)  # fmt: skip
def test_hosts_that_we_are_not(host: str) -> None:
    with pytest.raises(Denied) as refused:
        check_host({"host": host}, ALLOWED, "10.0.0.5")

    assert refused.value.problem.code == "host_not_allowed"
    assert host not in refused.value.problem.message


@pytest.mark.parametrize(
    "host",
    [
        "", "localhost:99999", "localhost:", "localhost:4000:1", "user@localhost", "localhost/x", " localhost",
        "localhost, evil.example", "localhost\tx", "[::1", "http://localhost", "local host", "localhost#", "[]",
    ],
)  # fmt: skip
def test_what_is_no_host(host: str) -> None:
    with pytest.raises(Denied) as refused:
        check_host({"host": host}, ALLOWED, "")

    assert refused.value.problem.code in ("invalid_host", "host_not_allowed")


@given(st.text(max_size=80))
def test_a_host_is_read_or_refused_and_never_more_than_it_says(text: str) -> None:
    name = host_name(text)

    assert name is None or name in text.lower()


@pytest.mark.parametrize(
    ("fields", "foreign"),
    [
        ({"host": "localhost:4000"}, False),
        ({"host": "localhost:4000", "origin": "http://localhost:4000"}, False),
        ({"host": "localhost", "origin": "http://localhost:80"}, False),
        ({"host": "localhost:4000", "origin": "http://localhost:3000"}, True),
        ({"host": "localhost:4000", "origin": "https://localhost:4000"}, True),
        ({"host": "localhost:4000", "origin": "http://evil.example"}, True),
        ({"host": "localhost:4000", "origin": "null"}, True),
        ({"host": "localhost:4000", "origin": "http://localhost:4000.evil.example"}, True),
        ({"host": "localhost:4000", "origin": ""}, True),
        ({"host": "localhost:4000", "origin": "https://app.example.com"}, False),
        ({"host": "localhost:4000", "sec-fetch-site": "cross-site"}, True),
        ({"host": "localhost:4000", "sec-fetch-site": "same-site"}, True),
        ({"host": "localhost:4000", "sec-fetch-site": "same-origin"}, False),
    ],
)
def test_pages_of_others(fields: dict[str, str], foreign: bool) -> None:
    assert is_foreign(fields, secure=False, origins=("https://app.example.com",)) is foreign


@pytest.mark.parametrize(
    "media", ["application/json", "Application/JSON; charset=utf-8", "application/x+json"]
)
def test_json_that_is_declared_goes_on(media: str) -> None:
    fields = {"host": "localhost", "content-length": "2", "content-type": media}

    check_unsent_by_pages(fields, secure=False, origins=())


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/json+json"]
)
def test_a_body_that_a_page_could_send_does_not(media: str) -> None:
    for length in {"content-length": "2"}, {"transfer-encoding": "chunked"}:
        with pytest.raises(Denied, match="content-type: application/json"):
            check_unsent_by_pages(
                {"host": "localhost", "content-type": media, **length}, secure=False, origins=()
            )
