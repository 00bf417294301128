"""Whatever is logged at DEBUG by the libraries under a transport, it holds no credential."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest
from transports_by_name import open_transport

from pointsman.transports import TransportOptions

# conftest.py describes `server`, `transport` and `name`.
Fixture = Any
KEY = "sk-canary-0123456789"


async def test_no_credential_is_logged_neither_when_it_is_sent_nor_when_it_is_sent_back(
    server: Fixture, transport: Fixture, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for each in [*logging.root.manager.loggerDict]:
        caplog.set_level(logging.DEBUG, each)
    server.scripts["/x"] = lambda wire: wire.send(headers=b"X-Echo: " + KEY.encode() + b"\r\n")

    request = httpx.Request(
        "POST", server.url("/x"), content=b"hi", headers={"authorization": f"Bearer {KEY}"}
    )
    response = await transport.handle_async_request(request)
    await response.aread()

    assert response.headers["x-echo"] == KEY
    assert KEY not in caplog.text
    if name == "httpx":
        assert "receive_response_headers.complete" in caplog.text, "the rest is logged as before"


@pytest.mark.canary_in("raised", reason="what the library said is its context, which a router cuts off")
async def test_neither_errors_nor_logs_quote_a_head_that_is_none(
    server: Fixture, transport: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heads = (
        b"HTTP/1.1 200 OK\r\nno colon %b\r\n\r\n",
        b"%b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLength %b: 1\r\n\r\n",
    )
    for head in heads:
        server.scripts["/x"] = lambda wire, head=head: wire.transport.write(head % KEY.encode())

        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await transport.handle_async_request(httpx.Request("GET", server.url("/x")))

        assert KEY not in str(caught.value)
        assert caught.value.__suppress_context__
    assert KEY not in caplog.text


def test_what_hpack_logs_of_header_fields_is_dropped(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    import pointsman.builtin.transports as built_in

    monkeypatch.setattr(built_in, "find_spec", lambda name: object())  # as if h2 were there
    caplog.set_level(logging.DEBUG)
    for _ in range(2):
        open_transport("httpx", TransportOptions(http2=True))

    for logger in ("hpack.hpack", "hpack.table"):
        caplog.set_level(logging.DEBUG, logger)
        logging.getLogger(logger).debug("Adding %s to the header table", (b"authorization", KEY.encode()))
    logging.getLogger("hpack").debug("something else")

    assert KEY not in caplog.text
    assert "something else" in caplog.text
