"""`Secret` as the type of a field: read as text, kept to itself, and the types of pydantic beside it."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
import traceback
from typing import Annotated

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretBytes, SecretStr, TypeAdapter, ValidationError
from pydantic import Secret as SecretOf
from rich.pretty import pretty_repr

from pointsman._internal.settings import Section, setting
from pointsman.auth import Secret
from pointsman.config import Config
from pointsman.config.secret_values import secrets_in

KEY = "sk-canary-7f3a-of-a-field"


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    key: Secret
    more: list[Secret] = []
    spare: Annotated[Secret, Field(min_length=4)] = Secret("none at all")


class OurSection(Section):
    key: Secret = setting(description="a key")


@pytest.mark.parametrize("model", [Settings, OurSection])
def test_a_text_becomes_a_secret_that_only_python_can_reveal(model: type[Settings | OurSection]) -> None:
    made = model.model_validate({"key": KEY})

    assert made.key.reveal() == KEY
    assert made.model_dump()["key"] is made.key
    assert made.model_dump(mode="json")["key"] == "***"
    assert json.loads(made.model_dump_json())["key"] == "***"
    assert KEY not in f"{made!r} {made} {pretty_repr(made)}"


@pytest.mark.parametrize("model", [Settings, OurSection])
def test_its_schema_says_that_it_is_written_and_never_read(model: type[Settings | OurSection]) -> None:
    schema = model.model_json_schema()["properties"]["key"]

    assert {key: schema[key] for key in ("type", "format", "writeOnly")} == {
        "type": "string", "format": "password", "writeOnly": True,
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [12345678, [KEY], {KEY: KEY}, True, KEY.encode(), None])
def test_what_is_no_text_is_refused_and_not_repeated(wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({"key": wrong})

    assert [each["type"] for each in caught.value.errors()] == ["string_type"]
    said = f"{caught.value} {caught.value!r} {''.join(traceback.format_exception(caught.value))}"
    assert KEY not in said
    assert "12345678" not in said


def test_a_secret_that_is_too_short_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError, match="at least 4") as caught:
        Settings.model_validate({"key": KEY, "spare": "abc"})

    assert "abc" not in str(caught.value)


@pytest.mark.parametrize("given", [Secret(KEY), SecretStr(KEY)])
def test_a_program_hands_in_a_secret_or_one_of_pydantics(given: object) -> None:
    assert Settings(key=given).key == Secret(KEY)  # type: ignore[arg-type]  # what programs did before


def test_a_secret_that_is_handed_in_stays_the_same_object() -> None:
    secret = Secret(KEY, ends=7.0)

    assert Settings(key=secret).key is secret
    assert TypeAdapter(Secret).validate_python(secret) is secret


def test_copies_hold_the_same_secret_and_pickles_hold_none() -> None:
    made = Settings(key=Secret(KEY))

    assert copy.deepcopy(made).key is made.key is copy.copy(made.key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(made)


def test_defaults_are_shared_and_not_copied() -> None:
    assert Settings(key=Secret(KEY)).spare.reveal() == "none at all"


def test_the_secrets_of_anybodys_settings_are_found() -> None:
    class Theirs(BaseModel):
        text: SecretStr = SecretStr("one of theirs")
        raw: SecretBytes = SecretBytes(b"in bytes \xff")
        of: SecretOf[str] = SecretOf[str]("of a kind")
        ours: dict[str, list[Secret]] = {"deep": [Secret("one of ours")]}
        plain: str = "plain"

    assert list(secrets_in(Theirs())) == ["one of theirs", "in bytes \udcff", "of a kind", "one of ours"]


def test_a_configuration_keeps_its_secrets_to_itself() -> None:
    config = Config.from_mapping(
        {
            "providers": {
                "a": {
                    "type": "openai", "api_key": KEY, "headers": {"x-team": KEY},
                    "proxy": f"http://me:{KEY}@proxy:3128", "base_url": "http://127.0.0.1:1",
                }
            },
            "models": {"m": {"deployments": ["a/x"]}},
            "state": f"redis://:{KEY}@127.0.0.1:6379",
        }
    )  # fmt: skip

    assert isinstance(config.providers["a"].api_key, Secret)
    assert KEY not in f"{config!r} {config} {config.model_dump()!r} {config.model_dump_json()}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(config)
    assert set(secrets_in(config)) == {KEY, f"http://me:{KEY}@proxy:3128", f"redis://:{KEY}@127.0.0.1:6379"}


@pytest.mark.parametrize(
    "options", [{"api_key": KEY}, {"deep": {"token": [KEY]}}, {"user": KEY}, {"list": [{"x": KEY}]}]
)
def test_options_that_may_hold_a_secret_are_not_shown_and_reach_those_who_are_asked(
    options: dict[str, object],
) -> None:
    config = Config.from_mapping(
        {
            "providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:1", "auth": "none"}},
            "models": {
                "m": {
                    "deployments": [{"provider": "a", "model": "x", "options": options, "forced": options}],
                    "defaults": options,
                }
            },
        }
    )
    model = config.models["m"]
    deployment = model.deployments[0]

    assert KEY not in f"{config!r} {pretty_repr(config)} {config.model_dump_json()}"
    assert model.defaults == deployment.forced == deployment.options == options
    assert config.model_dump()["models"]["m"]["defaults"] == options


def test_what_describes_secrets_to_pydantic_is_not_imported_for_those_who_have_no_field() -> None:
    code = "import sys, pointsman.auth; print('pydantic.types' in sys.modules)"
    before = "import sys, pydantic; pydantic.BaseModel; print('pydantic.types' in sys.modules)"

    ours, theirs = (
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True).stdout
        for each in (code, before)
    )

    assert ours == theirs
