"""A configuration does not give its secrets away where it is pickled, or where it is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from pointsman.config import Config
from pointsman.config.problems import readable, show_path
from pointsman.errors import ConfigError

CANARY = "canary-0123456789"


def variables(error: BaseException) -> str:
    """What the frames of `error` hold outside of this file, as tools that report errors show it."""
    shown, trace = [], error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename != __file__:
            shown += [repr(each) for each in trace.tb_frame.f_locals.values()]
        trace = trace.tb_next
    return "\n".join(shown)


@pytest.mark.parametrize("mistake", ["models: {m: {deployments: [p/x], weird: 1}}", "models: [", "nope: 1"])
def test_the_frames_of_an_error_hold_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    monkeypatch.setenv("K", CANARY)
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        f"providers: {{p: {{type: openai, api_key: {CANARY}, more: {{a: '${{K}}'}}}}}}\n{mistake}\n"
    )

    with pytest.raises(ConfigError) as raised:
        Config.load(file)

    shown = variables(raised.value)
    assert str(file) in shown
    assert CANARY not in shown


@pytest.mark.parametrize("sign", ["*", "&"])
@pytest.mark.parametrize("end", ["", ":"])
@pytest.mark.parametrize(
    "place",
    ["{api_key: %s }", "{auth: {type: static, value: %s }}", "{headers: {X: %s }}", "{apikey: [%s ]}"],
)
def test_a_password_that_begins_as_an_anchor_or_an_alias_does_is_not_repeated(
    sign: str, end: str, place: str
) -> None:
    text = f"providers: {{p: {place % (sign + 'tiger-1' + end)}}}\n"

    with pytest.raises(ConfigError) as raised:
        Config.from_text(text)

    assert "tiger-1" not in repr(raised.value.problems)


@pytest.mark.parametrize("key", ["api_key:tiger-1", "api_key=tiger-1", "X-Auth:tiger-1", "value:tiger-1"])
def test_a_credential_is_not_repeated_where_the_blank_before_it_was_forgotten(key: str) -> None:
    shown = show_path(("providers", "p", key)) + readable(f"unknown key {key!r}")

    assert "tiger" not in shown
    assert shown.count("***") == 2


def test_names_with_a_colon_are_shown() -> None:
    assert readable("llama3:8b ${API_KEY:-default}") == "llama3:8b ${API_KEY:-default}"


def test_neither_a_configuration_nor_a_part_of_it_is_pickled() -> None:
    given = {
        "providers": {"p": {"type": "openai", "api_key": CANARY}},
        "models": {"m": {"deployments": ["p/x"]}},
    }
    config = Config.from_mapping(given)

    for each in (config, config.providers["p"], config.providers["p"].credentials, config.models["m"]):
        with pytest.raises(TypeError, match="holds secrets and is not pickled"):
            pickle.dumps(each)
