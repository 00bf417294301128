"""What the sections and what the plugins find wrong in a configuration is told in one round."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from pointsman import ConfigError, Router, SyncRouter
from pointsman.testing import Scripted

SECTIONS: dict[str, tuple[str, str]] = {
    "an unknown key": ("strategey: x\n", "strategey: unknown key 'strategey'"),
    "a wrong value": ("timeouts: {total: 0}\n", "timeouts.total: must be above 0"),
    "a variable that is not set": (
        "transport: ${NOT_SET_ANYWHERE}\n",
        "the environment variable NOT_SET_ANYWHERE",
    ),
}
PLUGINS: dict[str, tuple[str, str]] = {
    "a strategy's settings": (
        "strategy: {type: weighted, decay: 3}\n",
        "strategy.decay: weighted takes no settings",
    ),
    "a retry policy's settings": (
        "retry: {type: exponential, attempts: 0}\n",
        "retry.attempts: must be 1 or more",
    ),
    "an unknown sink": ("audit: [{type: nowhere}]\n", "audit[0].type: no plugin offers audit 'nowhere'"),
}
SOUND = "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [a/x]}}\n"


def told(text: str, folder: Path) -> list[str]:
    """The problems of the configuration `text`, each as path and message."""
    file = folder / "pointsman.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        Router.check(file, plugins=[Scripted()])
    return [f"{each.line}: {each.path}: {each.message}" for each in caught.value.problems]


@pytest.mark.parametrize(("one", "other"), [*itertools.product(SECTIONS, PLUGINS)])
def test_both_are_told(one: str, other: str, tmp_path: Path) -> None:
    (wrong, said), (worse, also) = SECTIONS[one], PLUGINS[other]

    first, second = told(SOUND + wrong + worse, tmp_path)

    assert [first[:3], second[:3]] == ["3: ", "4: "]
    assert said in first
    assert also in second


def test_a_place_in_a_list_is_the_one_in_the_file_whatever_was_wrong_before_it(tmp_path: Path) -> None:
    text = SOUND + "audit:\n- 3\n- {type: jsonl}\n- {type: nowhere}\n"

    assert [each.partition(": ")[2].partition(": ")[0] for each in told(text, tmp_path)] == [
        "audit[0]",
        "audit[1].path",
        "audit[2].type",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "providers: {a: {typ: scripted}}\nmodels: {m: {deployments: [a/x], fallback: [n]}, n: {deployments: [a/y]}}\n",
        "providers: {a: {type: scripted, base_url: nowhere}}\nmodels: {m: {deployments: [a/x]}}\n",
        "providers: {a: {type: scripted, api_key: '${NOT_SET_ANYWHERE}'}}\nmodels: {m: {deployments: [a/x]}}\n",
        "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [b/x]}}\n",
        "models: {m: {deployments: [b/x]}}\n",
        SOUND + "audit: [{type: jsonl, path: '${NOT_SET_ANYWHERE}'}]\n",
    ],
)
def test_a_mere_consequence_is_not_told(text: str, tmp_path: Path) -> None:
    assert len(told(text, tmp_path)) == 1


def test_a_blocking_router_and_a_mapping_tell_both() -> None:
    given: dict[str, Any] = {
        "providers": {"a": {"type": "scripted"}},
        "timeouts": {"total": 0},
        "retry": {"type": "exponential", "attempts": 0},
    }
    with pytest.raises(ConfigError) as caught:
        SyncRouter.from_config(given, plugins=[Scripted()])
    assert {each.path for each in caught.value.problems} == {"timeouts.total", "retry.attempts"}


async def test_a_reload_tells_both() -> None:
    given: dict[str, Any] = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
    }
    async with Router.from_config(given, plugins=[Scripted()]) as router:
        with pytest.raises(ConfigError) as caught:
            await router.reload(
                {**given, "timeouts": {"total": 0}, "strategy": {"type": "weighted", "decay": 3}}
            )
    assert {each.path for each in caught.value.problems} == {"timeouts.total", "strategy.decay"}
