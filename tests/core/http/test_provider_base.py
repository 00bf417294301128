"""What `HttpProvider` does for whoever derives from it."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from pointsman import (
    AuthenticationFailed,
    BadResponse,
    ConfigError,
    ContextWindowExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.http.provider_base import HttpProvider
from pointsman.testing import CannedReply, ReplayTransport, call_for, context_for


class Bare(HttpProvider):
    """Has said nothing but where it is."""

    default_base_url = "http://bare.test/"
    codes: ClassVar = {"no_more_money": QuotaExhausted, "busy_bee": Overloaded}
    address_hint = "base_url ends before /say"


def bare(*replies: CannedReply, **more: Any) -> tuple[Bare, ReplayTransport]:
    transport = ReplayTransport(*replies)
    return Bare(context_for(transport, key="k-1", **more)), transport


async def test_it_is_where_the_configuration_says_else_where_the_class_does() -> None:
    assert bare()[0].endpoint.base_url == "http://bare.test"
    assert bare(base_url="http://other.test/v1")[0].endpoint.base_url == "http://other.test/v1"


def test_without_any_address_it_is_refused() -> None:
    with pytest.raises(ConfigError, match="provider 'upstream' has no base_url"):
        HttpProvider(context_for(ReplayTransport(CannedReply(200))))


async def test_a_call_goes_out_with_the_ids_of_the_request_and_the_headers_given() -> None:
    provider, transport = bare(CannedReply(200, b'{"a": 1}'))

    answer, content = await provider.fetch(
        "/say", {"text": "hi"}, call_for(provider, transport), headers={"x-own": "1"}
    )

    (sent,) = transport.requests
    assert (sent.method, str(sent.url), sent.content) == ("POST", "http://bare.test/say", b'{"text":"hi"}')
    assert (sent.headers["x-pointsman-request-id"], sent.headers["x-own"]) == ("req-1", "1")
    assert provider.value(answer, content) == {"a": 1}


@pytest.mark.parametrize("send", [HttpProvider.fetch, HttpProvider.send])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (500, b"", Unavailable),
        (401, b"", AuthenticationFailed),
        (429, b'{"error": {"message": "slow down"}}', RateLimited),
        (400, b'{"error": {"code": "no_more_money", "message": "pay"}}', QuotaExhausted),
        (400, b'{"error": {"type": "busy_bee", "message": "later"}}', Overloaded),
        (
            400,
            b'{"error": {"code": "context_length_exceeded", "message": "too long"}}',
            ContextWindowExceeded,
        ),
    ],
)
async def test_a_refusal_is_the_error_of_its_code_else_of_its_words_else_of_its_status(
    status: int, body: bytes, kind: type[Exception], send: Any
) -> None:
    provider, transport = bare(CannedReply(status, body))

    with pytest.raises(kind) as raised:
        await send(provider, "/say", {}, call_for(provider, transport))

    assert raised.value.status == status


async def test_management_goes_over_one_client_of_its_own_which_is_closed_with_it() -> None:
    provider, transport = bare(CannedReply(200, b"[1]"), CannedReply(200, b"[2]"))

    values = [await provider.manage("GET", "/list"), await provider.manage("GET", "/list")]
    await provider.aclose()

    assert values == [[1], [2]]
    assert transport.closed
    assert transport.requests[0].headers["authorization"] == "Bearer k-1"


async def test_what_was_never_opened_is_not_closed() -> None:
    provider, transport = bare()

    await provider.aclose()

    assert not transport.closed


async def test_another_server_than_meant_is_answered_with_what_the_address_should_be() -> None:
    provider, _ = bare(CannedReply(200, b"<html>"))

    with pytest.raises(BadResponse, match="base_url ends before /say"):
        await provider.manage("GET", "/list")
