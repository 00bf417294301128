"""`status` tells of copies to another model what came of them."""

from __future__ import annotations

import asyncio

import pytest

from pointsman import Router, Unavailable, Usage
from pointsman.testing import Scripted, ScriptedAnswer, run
from pointsman_cli.overview import print_mirrors


# Times are told to a twentieth of them.
def test_both_sides_stand_below_the_model_and_what_was_left_out_with_why(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def main() -> None:
        upstream = Scripted()
        upstream.default("a", ScriptedAnswer(after=1, usage=Usage(prompt=10, completion=10)))
        upstream.script(
            "b", ScriptedAnswer(after=2, usage=Usage(prompt=10, completion=10)), Unavailable("down")
        )
        price = {"input": 1, "output": 1, "request": 0.5}
        given = {
            "providers": {name: {"type": "scripted"} for name in "ab"},
            "models": {
                "assistant": {
                    "deployments": [{"provider": "a", "model": "x", "labels": {"local": True}}],
                    "mirror": {"to": "candidate", "share": 1, "budget": "1.1 USD/day"},
                },
                "candidate": {"deployments": [{"provider": "b", "model": "x", "price": price}]},
            },
        }
        async with Router.from_config(given, plugins=[upstream]) as router:
            for require in ({}, {}, {"local": True}):
                await router.chat("assistant", "hello", require=require)
                await asyncio.sleep(5)
            print_mirrors(router.status().to_dict()["models"])

    run(main())
    assert capsys.readouterr().out.splitlines() == [
        "assistant: 100% of its answered requests go to candidate, too: 1 compared, "
        "1 failed (1 unavailable), 1 left out (1 rule), 0.59998 USD left of 1.1 USD/day",
        "  assistant: total p50 1048 ms p95 1048 ms, 0 USD and 1 call of unknown cost",
        "  candidate: total p50 1910 ms p95 1910 ms, 0.50002 USD",
        "  ended for the same reason: 1 of 1",
    ]


def test_nothing_is_said_where_nothing_is_copied(capsys: pytest.CaptureFixture[str]) -> None:
    print_mirrors({"assistant": {"mirror": None}, "older": {}})
    assert capsys.readouterr().out == ""
