"""Requests and responses that make their headers late."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from pointsman.transports.httpx_messages import HttpxRequest, HttpxResponse
from pointsman.transports.raw import RequestTemplate

FIELDS = {b"host": b"here", b"x": b"\xe9"}


class Nothing(httpx.AsyncByteStream):
    """An empty body."""


@pytest.mark.parametrize("counted", [True, False])
def test_a_request_is_like_that_of_httpx_with_the_same_fields(counted: bool) -> None:
    url = httpx.URL("http://here/a?b")
    extensions: dict[str, Any] = {"timeout": {}}
    shared = RequestTemplate("POST", url, FIELDS, (b"y",), counted=counted, extensions=extensions)
    made = HttpxRequest(shared, ("\xe9",), b"{}")
    plain = httpx.Request(
        "POST",
        url,
        headers=[*FIELDS.items(), (b"y", b"\xe9"), *([(b"content-length", b"2")] if counted else [])],
        stream=httpx.ByteStream(b"{}"),
        extensions={"timeout": {}},
    )

    assert (made.method, made.url, made.extensions) == (plain.method, plain.url, plain.extensions)
    assert made.headers.raw == plain.headers.raw
    assert made.content == made.read() == plain.read() == b"{}"
    assert repr(made) == repr(plain).replace("<", "<Httpx")


def test_a_request_that_is_changed_changes_no_other() -> None:
    extensions: dict[str, Any] = {"timeout": None}
    shared = RequestTemplate("POST", httpx.URL("http://here/a"), FIELDS, extensions=extensions)
    request, other = HttpxRequest(shared, (), b""), HttpxRequest(shared, (), b"")

    request.headers["x"] = "2"
    request.extensions["trace"] = print

    assert other.headers.raw == list(FIELDS.items())
    assert other.extensions == extensions == {"timeout": None}


def test_a_response_is_like_that_of_httpx_with_the_same_fields() -> None:
    fields = [(b"A", b"1"), (b"b", b"\xe9"), (b"a", b"2")]
    made = HttpxResponse(204, fields, Nothing(), {"reason_phrase": b"Gone"})
    plain = httpx.Response(204, headers=fields, stream=Nothing(), extensions={"reason_phrase": b"Gone"})

    assert made.headers.raw == plain.headers.raw
    assert (made.status_code, made.reason_phrase) == (plain.status_code, plain.reason_phrase)
    assert repr(made) == repr(plain)
