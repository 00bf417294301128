"""What callers write never makes the head of an answer."""

from __future__ import annotations

import httpx
from gateways import MODEL, gateway_for
from hypothesis import given
from hypothesis import strategies as st

from pointsman_gateway.calls.field_values import listed, shown
from pointsman_simulator import Simulator


@given(st.lists(st.text()))
def test_whatever_is_named_is_printable_ascii(names: list[str]) -> None:
    said = listed(names)

    assert said.isascii()
    assert said.isprintable()
    assert len(said) < 1400


def test_what_is_printable_stays_as_it_is() -> None:
    assert shown("openai/gpt-4.1-mini") == "openai/gpt-4.1-mini"
    assert listed(["store", "tools[0] of type custom"]) == "store,tools[0] of type custom"


async def test_members_that_nobody_knows_are_named_without_harm(simulator: Simulator) -> None:
    upstream = await simulator.add("claude")
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Hi"}],
        "unheard\r\nx-evil: 1": 1,
        "雨": 2,
        "z" * 9000: 3,
    }

    async with gateway_for(upstream) as served, httpx.AsyncClient() as client:
        answer = await client.post(f"{served.url}/v1/chat/completions", json=body)

    assert answer.status_code == 200
    assert "x-evil" not in answer.headers
    assert answer.headers["x-pointsman-ignored"] == f"unheard??x-evil: 1,?,{'z' * 64}"
