"""The file of a forecast: what is wrong in it is told with its place, all at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman import Config, ConfigError
from pointsman.dry_run.configs import load_config
from pointsman_forecast.scenario import load_scenario, scenario_of
from pointsman_forecast.settings import UpstreamSettings, settings_for

CONFIG = Config.from_mapping(
    {"providers": {"gpu": {"type": "ollama"}}, "models": {"m": {"deployments": ["gpu/llama3.2"]}}}
)


def problems(text: str) -> list[str]:
    """What is wrong with a scenario for the configuration above."""
    with pytest.raises(ConfigError) as error:
        scenario_of(text, file="traffic.yaml").check([CONFIG])
    return [str(each) for each in error.value.problems]


def test_what_is_wrong_is_told_with_its_place_all_at_once() -> None:
    found = problems(
        """traffic:
  rate: often
  durration: 1h
upstreams:
  gpu: {parallel: 0}
faults:
  - {upstream: gpu, fault: 5O3, at: 1m}
"""
    )

    assert [each.partition(": ")[0] for each in found] == [
        "traffic.yaml:2:9",
        "traffic.yaml:3:3",
        "traffic.yaml:5:19",
        "traffic.yaml:7:28",
    ]
    assert "did you mean 'duration'?" in found[1]


def test_what_the_configuration_has_not_is_told_with_what_it_has() -> None:
    found = problems(
        """traffic: {models: {mm: 1}}
upstreams:
  gpuu: {parallel: 1}
  gpu/llama3.2: {parallel: 1}
faults:
  - {upstream: gqu, fault: refused}
"""
    )

    assert found == [
        "traffic.yaml:1:20: traffic.models.mm: there is no model 'mm'; did you mean 'm'?",
        "traffic.yaml:3:3: upstreams.gpuu: is neither a provider nor the type of one; did you mean 'gpu'?",
        'traffic.yaml:4:18: upstreams["gpu/llama3.2"].parallel: is of the server, and not of the model '
        "'llama3.2': say it of 'gpu'",
        "traffic.yaml:6:16: faults[0].upstream: there is no provider 'gqu'; did you mean 'gpu'?",
    ]


@pytest.mark.parametrize(
    "fault", ["drip:5", "invalid_utf8", "giant_line:100", "503@0%", "nonsense", "refused@2", "down@50%"]
)
def test_a_fault_that_no_model_can_have_is_refused(fault: str) -> None:
    (found,) = problems(f"faults:\n  - {{upstream: gpu, fault: '{fault}'}}\n")

    assert found.startswith("traffic.yaml:2:28: faults[0].fault: ")
    assert found.endswith("; here also refused and down") == (fault in ("nonsense", "down@50%"))


def test_an_empty_file_says_nothing_and_a_list_is_no_scenario(tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")

    assert load_scenario(str(tmp_path / "empty.yaml")).scenario.faults == []
    assert problems("- traffic") == [
        "traffic.yaml:1:1: expected a mapping, not a list; begin with 'traffic:'"
    ]


def test_what_is_more_specific_holds() -> None:
    said = {
        name: UpstreamSettings.model_validate(each)
        for name, each in {
            "*": {"first_token": "1s", "max_queue": 7},
            "ollama": {"first_token": "2s", "tokens_per_second": 5},
            "gpu": {"first_token": "3s"},
            "gpu/big": {"first_token": "4s"},
        }.items()
    }

    server = settings_for(said, type="ollama", provider="gpu")
    big = settings_for(said, type="ollama", provider="gpu", model="big")
    other = settings_for(said, type="openai", provider="cloud", model="big")

    assert (server.first_token.middle, big.first_token.middle, other.first_token.middle) == (3, 4, 1)
    assert (server.max_queue, big.tokens_per_second.middle, server.parallel) == (7, 5, 1)


def test_a_configuration_is_read_without_the_secrets_that_it_refers_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers:\n  a: {type: openai, api_key: '${NO_SUCH_KEY}', base_url: '${NO_URL:-http://h:1/v1}'}\n"
        "  b: {type: openai, api_key: '${file:/no/such/file}'}\nmodels: {m: {deployments: [a/x, b/x]}}\n"
    )

    config = load_config(file)

    assert config.providers["a"].base_url == "http://h:1/v1"


def test_what_else_is_wrong_with_a_configuration_is_told_as_always(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers:\n  a: {type: openai, api_key: '${NO_SUCH_KEY}'}\nmodels: {m: {deployments: [b/x]}}\n"
    )

    with pytest.raises(ConfigError, match="NO_SUCH_KEY") as error:
        load_config(file)

    assert len(error.value.problems) == 2
