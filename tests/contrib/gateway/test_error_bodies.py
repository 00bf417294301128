"""What an error of an upstream looks like to a caller, whatever the upstream wrote: as in the API that was asked."""

from __future__ import annotations

from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest
from gateways import MODEL, gateway_for

from pointsman_simulator import Fault, Reply, Simulator

MESSAGES: Any = [{"role": "user", "content": "Why?"}]
ASKED = {"model": MODEL, "max_tokens": 9, "messages": MESSAGES, "stream": False}
ODD = {
    "a list": '[{"error": "x"}]',
    "a list within": '{"error": ["x"]}',
    "a number for a code": '{"error": {"message": "x", "type": "t", "code": 400}}',
    "a text": '"x"',
    "nothing": "{}",
    "a page": "<html>x</html>",
    "no error": '{"message": "x"}',
    "null": '{"error": null}',
}
"""What servers write in place of an error of their API."""
odd = pytest.mark.parametrize("body", ODD.values(), ids=ODD)
STATUS = 400


async def asked(simulator: Simulator, wire: str, body: str, path: str) -> Any:
    """The body of the answer of a gateway before an upstream that says of a request that it is wrong."""
    upstream = await simulator.add(wire, default=Reply(fault=Fault.status(STATUS, body=body)))
    async with gateway_for(upstream, retry="none") as served, httpx.AsyncClient() as client:
        answer = await client.post(served.url + path, json=ASKED)
    assert answer.status_code == STATUS
    assert answer.headers["content-type"].startswith("application/json")
    return answer.json()


@odd
async def test_openais_errors_are_objects_with_four_members(simulator: Simulator, body: str) -> None:
    error = (await asked(simulator, "openai", body, "/v1/chat/completions"))["error"]

    assert {"message", "type", "code"} <= error.keys()
    assert isinstance(error["message"], str)
    assert isinstance(error["code"], str | None)


@odd
async def test_anthropics_errors_have_a_type_and_a_message(simulator: Simulator, body: str) -> None:
    error = (await asked(simulator, "claude", body, "/v1/messages"))["error"]

    assert isinstance(error["type"], str)
    assert isinstance(error["message"], str)


@odd
async def test_ollamas_errors_are_texts(simulator: Simulator, body: str) -> None:
    said = await asked(simulator, "ollama", body, "/api/chat")

    assert isinstance(said["error"], str)


@odd
async def test_the_sdks_raise_their_error_of_that_status(simulator: Simulator, body: str) -> None:
    fault = Reply(fault=Fault.status(STATUS, body=body))
    upstreams = {wire: await simulator.add(wire, default=fault) for wire in ("openai", "claude", "ollama")}

    async with gateway_for(upstreams["openai"], retry="none") as served:
        async with openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="none") as client:
            with pytest.raises(openai.BadRequestError):
                await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    async with gateway_for(upstreams["claude"], retry="none") as served:
        async with anthropic.AsyncAnthropic(base_url=served.url, api_key="none") as speaks:
            with pytest.raises(anthropic.BadRequestError):
                await speaks.messages.create(model=MODEL, max_tokens=9, messages=MESSAGES)
    async with gateway_for(upstreams["ollama"], retry="none") as served:
        async with ollama.AsyncClient(host=served.url) as local:
            with pytest.raises(ollama.ResponseError) as raised:
                await local.chat(model=MODEL, messages=MESSAGES)
    assert raised.value.status_code == STATUS
    assert raised.value.error
