"""Requests and responses that make their headers late."""

from __future__ import annotations

import httpx
import pytest

from pointsman.transports.messages import Response, Shared

FIELDS = {b"host": b"here", b"x": b"\xe9"}


class Nothing(httpx.AsyncByteStream):
    """An empty body."""


def test_a_request_is_like_that_of_httpx_with_the_same_fields() -> None:
    url = httpx.URL("http://here/a?b")
    made = Shared("POST", url, FIELDS).request([(b"y", b"1")], b"{}", {"timeout": {}})
    plain = httpx.Request(
        "POST",
        url,
        headers=[*FIELDS.items(), (b"y", b"1")],
        stream=httpx.ByteStream(b"{}"),
        extensions={"timeout": {}},
    )

    assert (made.method, made.url, made.extensions) == (plain.method, plain.url, plain.extensions)
    assert made.headers.raw == plain.headers.raw
    assert made.content == made.read() == plain.read() == b"{}"
    assert repr(made) == repr(plain)


@pytest.mark.parametrize("change", ["headers", "url", "method"])
def test_a_request_that_was_changed_shares_nothing_any_more(change: str) -> None:
    shared = Shared("POST", httpx.URL("http://here/a"), FIELDS)
    request, other = shared.request([], b"", {}), shared.request([], b"", {})
    assert request.shared is shared

    match change:
        case "headers":
            request.headers["x"] = "2"
        case "url":
            request.url = httpx.URL("http://there/")
        case "method":
            request.method = "GET"

    assert request.shared is None
    assert other.shared is shared
    assert other.headers.raw == list(FIELDS.items())


def test_the_extensions_of_a_request_are_its_own() -> None:
    shared = Shared("GET", httpx.URL("http://here/"), FIELDS)
    given: dict[str, object] = {"timeout": None}

    shared.request([], b"", given).extensions["trace"] = print

    assert given == {"timeout": None}


def test_a_response_is_like_that_of_httpx_with_the_same_fields() -> None:
    fields = [(b"A", b"1"), (b"b", b"\xe9"), (b"a", b"2")]
    made = Response(204, fields, Nothing(), {"reason_phrase": b"Gone"})
    plain = httpx.Response(204, headers=fields, stream=Nothing(), extensions={"reason_phrase": b"Gone"})

    assert made.fields == fields
    assert made.headers.raw == plain.headers.raw
    assert (made.status_code, made.reason_phrase) == (plain.status_code, plain.reason_phrase)
    assert repr(made) == repr(plain)

    made.headers["b"] = "3"
    assert made.fields == [(b"A", b"1"), (b"b", b"3"), (b"a", b"2")]
