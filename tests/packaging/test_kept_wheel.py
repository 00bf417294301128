"""A plugin wheel that was built against the interface of 0.1 goes on working.

`pointsman_museum-0.1.0-py3-none-any.whl` was built once and is kept as it is: a plugin that somebody installed
and never touched again. Where a test here fails, the interface broke; build no new wheel to mend that.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WHEEL = Path(__file__).with_name("pointsman_museum-0.1.0-py3-none-any.whl")
AS_BUILT = "c88cf8287b41d8591fbb13fee7a04372f363589b4a2725bf4b0d9554850c8186"

CALL = """
import asyncio, json, sys
from pathlib import Path

sys.path.insert(0, sys.argv[1])
from pointsman import Router

KEPT = {
    "providers": {
        "m": {
            "type": "museum",
            "shout": True,
            "auth": {"type": "museum", "keys": ["old", "new"]},
            "transport": "museum",
        }
    },
    "models": {
        "east": {"deployments": ["m/east"]},
        "both": {"deployments": ["m/east", "m/shut"], "strategy": "museum"},
    },
    "retry": {"type": "museum", "times": 3},
    "audit": [{"type": "museum"}],
}


async def main():
    path = Path(sys.argv[2])
    path.write_text(json.dumps(KEPT))
    async with Router.from_config(path) as router:
        first = await router.chat("east", "hello")
        second = await router.chat("both", "again")
        async with router.stream("east", "and then?") as stream:
            streamed = [event.text async for event in stream]
    visitors = (path.parent / "visitors.txt").read_text()
    print(json.dumps({
        "texts": [first.text, second.text, "".join(streamed)],
        "tokens": first.usage.completion,
        "answered": second.deployment,
        "visitors": visitors.splitlines(),
    }))


asyncio.run(main())
"""


def test_the_wheel_is_the_one_that_was_built() -> None:
    assert hashlib.sha256(WHEEL.read_bytes()).hexdigest() == AS_BUILT


@pytest.fixture(scope="module")
def called(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of calls through everything in the wheel, in an interpreter of their own."""
    config = tmp_path_factory.mktemp("museum") / "pointsman.yaml"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CALL, str(WHEEL), str(config)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_kept_provider_answers_in_whole_and_in_a_stream(called: dict[str, Any]) -> None:
    assert called["texts"] == ["HELLO", "AGAIN", "so it is"]
    assert called["tokens"] == 3


def test_a_kept_strategy_and_retry_policy_choose_and_go_on(called: dict[str, Any]) -> None:
    assert called["answered"] == "m/east"
    assert called["visitors"][1] == "ok 2"  # it picks the one that is shut first


def test_a_credential_that_a_kept_source_replaces_costs_no_attempt(called: dict[str, Any]) -> None:
    assert called["visitors"][0] == "ok 1"
