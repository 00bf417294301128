"""Errors of management calls do not go through the router, and hold no key of ours either."""

from __future__ import annotations

from typing import Any

import pytest
from canaries import KEY, found_in
from replay import Scripted, context_for

from pointsman.errors import CallError
from pointsman_localai.provider import LocalAIProvider
from pointsman_localai.settings import LocalAISettings
from pointsman_ollama.provider import OllamaProvider
from pointsman_ollama.settings import OllamaSettings


@pytest.mark.parametrize(
    "answer", [(200, {"error": f"no {KEY}"}), (500, {"error": f"no {KEY}"}), (404, f"<p>{KEY}".encode())]
)
async def test_a_pull_that_fails_shows_no_key(answer: Any) -> None:
    provider = OllamaProvider(context_for(Scripted([answer]), settings=OllamaSettings(), key=KEY))

    with pytest.raises(CallError) as raised:
        [step async for step in provider.pull("m")]

    assert found_in(f"{raised.value} {raised.value!r}") == []


async def test_a_job_that_fails_shows_no_key() -> None:
    upstream = Scripted([(200, {"processed": True, "error": f"no {KEY}"})])
    provider = LocalAIProvider(context_for(upstream, settings=LocalAISettings(), key=KEY))

    with pytest.raises(CallError, match=r"failed: no \*\*\*") as raised:
        [each async for each in provider.job("u")]

    assert found_in(repr(raised.value)) == []
