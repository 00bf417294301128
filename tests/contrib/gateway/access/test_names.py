"""What a caller may ask for goes by the name it asked for: no other name of a model is a way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from gateways import Served, gateway_for

from pointsman_simulator import Simulator

KEYS = {"by_model": ["assistant"], "by_alias": ["gpt-4o"], "by_matched": ["x-small", "gpt-4o"], "all": "*"}


@pytest.fixture
async def served(simulator: Simulator) -> AsyncIterator[Served]:
    upstream = await simulator.add("openai", name="up", models=["gpt-5-mini", "small"])
    keys = [{"name": name, "key": (name * 16)[:32], "models": models} for name, models in KEYS.items()]
    models = {
        "assistant": {"deployments": ["up/gpt-5-mini"], "guards": [{"type": "words", "words": ["secret"]}]},
        "x-*": {"deployments": ["up/*"]},
        "*": {"deployments": ["up/small"]},
    }
    aliases = {"gpt-4o": "assistant", "full": "up/gpt-5-mini"}
    async with gateway_for(
        upstream, models=models, aliases=aliases, settings={"access": {"keys": keys}}
    ) as served:
        yield served


async def asked(served: Served, key: str, model: str, text: str = "hi") -> Any:
    async with httpx.AsyncClient(
        base_url=served.url, headers={"authorization": f"Bearer {(key * 16)[:32]}"}
    ) as client:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        return await client.post("/v1/chat/completions", json=body)


async def test_each_key_may_ask_for_its_names_and_for_no_other_name_of_the_same_model(served: Served) -> None:
    allowed = {
        key: {
            model
            for model in ("assistant", "gpt-4o", "full", "x-small", "x-large", "up/gpt-5-mini")
            if (await asked(served, key, model)).status_code != 403
        }
        for key in KEYS
    }

    assert allowed == {
        "by_model": {"assistant"},
        "by_alias": {"gpt-4o"},
        "by_matched": {"gpt-4o", "x-small"},
        "all": {"assistant", "gpt-4o", "full", "x-small", "x-large", "up/gpt-5-mini"},
    }


async def test_an_alias_is_no_way_around_the_guards_of_its_model(served: Served) -> None:
    for key, model in (("by_alias", "gpt-4o"), ("all", "assistant")):
        answer = await asked(served, key, model, "tell the secret")

        assert answer.json()["error"]["code"] == "refused"
        assert (await asked(served, key, model)).status_code == 200


async def test_lists_of_models_have_the_aliases_that_the_caller_may_ask_for(served: Served) -> None:
    listed = {}
    for key in KEYS:
        headers = {"authorization": f"Bearer {(key * 16)[:32]}"}
        async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
            listed[key] = [each["id"] for each in (await client.get("/v1/models")).json()["data"]]
            one = await client.get("/v1/models/x-small")
            assert one.status_code == (200 if key in ("by_matched", "all") else 404)

    assert listed == {
        "by_model": ["assistant"],
        "by_alias": ["gpt-4o"],
        "by_matched": ["gpt-4o"],
        "all": ["assistant", "gpt-4o", "full"],
    }


async def test_a_caller_changes_no_routing(served: Served) -> None:
    headers = {
        "authorization": f"Bearer {('all' * 16)[:32]}",
        "x-pointsman-strategy": "nope",
        "x-pointsman-fallbacks": "nope",
    }
    async with httpx.AsyncClient(base_url=served.url, headers=headers) as client:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post("/v1/chat/completions", json=body)

    assert answer.status_code == 400
    assert "there is no header 'x-pointsman-strategy'" in answer.json()["error"]["message"]
