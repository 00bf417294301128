"""Cases put deployments into a state, and say what is otherwise than expected."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pointsman import Config
from pointsman.dry_run.cases import read_cases
from pointsman.dry_run.trying import deployments_of, tried
from pointsman.errors import ConfigError
from pointsman.testing import Scripted

CONFIG: dict[str, Any] = {
    "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
    "models": {
        "m": {
            "deployments": [
                {"provider": "a", "model": "x", "limits": {"requests": "5/min"}, "max_in_flight": 2},
                {"provider": "b", "model": "x", "priority": 1, "circuit_breaker": {"enabled": False}},
            ]
        }
    },
}


def results(tmp_path: Path, *cases: str) -> list[list[str]]:
    file = tmp_path / "cases.yaml"
    file.write_text("cases:\n" + "".join(f"  - {each}\n" for each in cases))
    config = Config.from_mapping(CONFIG)
    plugins = [Scripted()]
    placed = read_cases(file, deployments_of(config, plugins))
    return [each.wrong for each in tried(placed, config, plugins)]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("down: [a/x]", "breaker"),
        ("disabled: [a/x]", "disabled"),
        ("draining: [a/x]", "draining"),
        ("limited: [a/x]", "limit"),
        ("in_flight: {a/x: 2}", "full"),
    ],
)
def test_each_state_keeps_calls_away_for_its_reason(tmp_path: Path, given: str, kind: str) -> None:
    case = f"{{model: m, given: {{{given}}}, expect: {{pick: b/x, refused: {{a/x: {kind}}}}}}}"

    assert results(tmp_path, case) == [[]]


def test_a_state_is_that_of_its_case_alone(tmp_path: Path) -> None:
    down = "{model: m, given: {down: [a/x]}, expect: {pick: b/x}}"

    assert results(tmp_path, down, "{model: m, expect: {pick: a/x, order: [a/x, b/x]}}") == [[], []]


def test_a_state_that_cannot_be_is_told(tmp_path: Path) -> None:
    case = "{model: m, given: {limited: [b/x]}, expect: {pick: a/x}}"

    assert results(tmp_path, case) == [["given.limited: b/x has no rate limits"]]


def test_also_one_without_a_breaker_can_be_down(tmp_path: Path) -> None:
    case = "{model: m, given: {down: [a/x, b/x]}, expect: {pick: null, error: no_deployment_available}}"

    assert results(tmp_path, case) == [[]]


@pytest.mark.parametrize(
    ("expect", "wrong"),
    [
        ("pick: b/x", "pick: expected b/x, got a/x"),
        ("pick: [b/x]", "pick: expected b/x, got a/x"),
        ("pick: null", "pick: expected nobody, got a/x"),
        ("order: [b/x]", "order: expected b/x, got a/x"),
        ("error: rule_not_met", "error: expected rule_not_met, and it goes to a/x"),
        ("refused: {a/x: breaker}", "refused: expected a/x to be refused for breaker, and it is ready"),
        ("refused: {b/x: breaker}", "refused: expected b/x to be refused for breaker, got later: priority"),
        ("left_out: [seed]", "left_out: expected seed, got nothing"),
        ("sent: {model: x}", "sent: what would be sent is not known"),
    ],
)
def test_what_is_otherwise_says_what_it_got(tmp_path: Path, expect: str, wrong: str) -> None:
    (found,) = results(tmp_path, f"{{model: m, expect: {{{expect}}}}}")

    assert len(found) == 1
    assert found[0].startswith(wrong)


def test_an_error_that_nobody_expects_is_told_with_its_words(tmp_path: Path) -> None:
    (found,) = results(tmp_path, "{model: nobody, expect: {pick: a/x}}")

    assert found[0].startswith("expected no error, got unknown_model: ")


def test_a_file_without_cases_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("cases: []\n")

    with pytest.raises(ConfigError, match=r"c\.yaml:1:8: cases: "):
        read_cases(tmp_path / "c.yaml", [])
