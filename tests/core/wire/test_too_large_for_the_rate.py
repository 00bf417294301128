"""A request that alone is more than its account's rate allows."""

from __future__ import annotations

import pytest
from routers import config, router

from pointsman.errors import RateLimited
from pointsman.testing import Scripted
from pointsman.wire.status_errors import in_vain


def refusal() -> RateLimited:
    error = in_vain(RateLimited("HTTP 429: Request too large for m on tokens per min (TPM)", status=429))
    assert isinstance(error, RateLimited)
    return error


async def test_it_goes_elsewhere_and_nothing_cools_down() -> None:
    upstream = Scripted()
    upstream.script("a", refusal(), "small")
    async with router(upstream, config("ab")) as given:
        large = await given.chat("m", "hi")
        second, third = await given.chat("m", "hi"), await given.chat("m", "hi")

    assert large.deployment == "b/x"
    assert {second.deployment, third.deployment} == {"a/x", "b/x"}


async def test_alone_it_is_refused_without_waiting() -> None:
    upstream = Scripted()
    upstream.script("a", refusal())
    async with router(upstream, config("a")) as given:
        with pytest.raises(RateLimited) as refused:
            await given.chat("m", "hi")
        assert (await given.chat("m", "hi")).text == "ok"

    assert (refused.value.attempts, upstream.count("a")) == (1, 2)
