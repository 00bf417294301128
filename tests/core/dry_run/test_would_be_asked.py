"""Who would be asked about a request, found without a dry run of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pointsman import Router
from pointsman.dry_run.would_be_asked import would_be_asked
from pointsman.plugin import UnknownModel
from pointsman.requests.parsing import chat_request
from pointsman.testing import Scripted, run


def asked(r: Router, model: str = "m", able: Callable[[Any], bool] = lambda _: True) -> list[str]:
    return [each.id for each in would_be_asked(r, chat_request(model, "hi", {}), able=able)]


def given(**changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x", "b/x"]}, **changes.pop("models", {})},
        "strategy": "round_robin",
        **changes,
    }


def test_the_one_that_would_be_picked_is_the_first_and_no_step_is_taken() -> None:
    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted()]) as r:
            for _ in range(4):
                expected = r.explain("m").pick
                assert asked(r)[0] == asked(r)[0] == expected
                assert sorted(asked(r)) == ["a/x", "b/x"]
                assert (await r.chat("m", "hi")).deployment == expected

    run(main())


def test_only_who_is_ready_and_able_is_named() -> None:
    async def main() -> None:
        async with Router.from_config(given(), plugins=[Scripted()]) as r:
            r.disable("a/x")
            assert asked(r) == ["b/x"]
            assert asked(r, able=lambda each: each.id == "a/x") == []

    run(main())


def test_nobody_is_asked_about_a_request_that_guards_see_first_and_of_a_selector_who_answers_by_default() -> (
    None
):
    rules = [{"tools": True, "use": "m"}]
    guarded = given(
        models={
            "strict": {"deployments": ["b/x"], "guards": [{"type": "size", "messages": 9}]},
            "auto": {"selector": {"type": "rules", "rules": rules}, "of": ["m", "other"], "default": "other"},
            "other": {"deployments": ["b/y"]},
        }
    )

    async def main() -> None:
        async with Router.from_config(guarded, plugins=[Scripted()]) as r:
            assert asked(r, "strict") == []
            assert asked(r, "auto") == ["b/y"]
            with pytest.raises(UnknownModel):
                asked(r, "nobody")

    run(main())
