"""Credentials: shown to nobody, read where they are, and read again when they change."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import os
import pickle
import traceback
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pointsman._internal import jsonio
from pointsman.auth import AuthContext, Fixed, Secret
from pointsman.build.contexts import Contexts
from pointsman.builtin.auth import BUILT_IN, FromFile, StaticSettings, checked, from_environment
from pointsman.clock import system_rng
from pointsman.errors import ConfigError

CANARY = "sk-canary-7f3a"


class Hands:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.time += seconds


@dataclasses.dataclass
class Holder:
    secret: Secret


# ── Secret ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret(CANARY)
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s %r", (secret, secret), None)

    shown = [
        repr(secret), str(secret), f"{secret} {secret!r} {secret!s} {secret:>40}", format(secret, "x"),
        "%s %r" % (secret, secret),
        f"{secret} {secret!r}", repr(Holder(secret)), str([secret]),
        repr({secret: secret}), json.dumps({"k": secret}, default=str), repr(ValueError(secret)),
        record.getMessage(), str(ConfigError(secret)),  # type: ignore[arg-type]  # a mistake that may happen
    ]  # fmt: skip

    assert [each for each in shown if "canary" in each] == []
    assert secret.reveal() == CANARY


def test_a_secret_in_a_traceback_is_masked() -> None:
    with pytest.raises(RuntimeError) as raised:
        raise RuntimeError(Secret(CANARY))

    assert "canary" not in "".join(traceback.format_exception(raised.value))


def test_a_secret_is_neither_pickled_nor_written_as_json() -> None:
    secret = Secret(CANARY)

    for attempt in (pickle.dumps, json.dumps, orjson.dumps, jsonio.dumps):
        with pytest.raises(TypeError) as raised:
            attempt(secret)  # type: ignore[operator]
        assert "canary" not in str(raised.value)


@settings(deadline=None)
@given(st.text(), st.text())
def test_secrets_are_equal_when_their_values_are(one: str, two: str) -> None:
    assert (Secret(one) == Secret(two)) == (one == two)
    assert (hash(Secret(one)) == hash(Secret(two))) == (one == two)


def test_secrets_of_characters_that_no_encoding_has_can_be_compared() -> None:
    assert Secret("\ud800") == Secret("\ud800")
    assert Secret("\ud800") != Secret("\ud801")


def test_a_secret_is_not_equal_to_its_value() -> None:
    assert Secret(CANARY) != CANARY
    assert Secret(CANARY) not in [CANARY, None]


# ── sources ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "value",
    ["", " ", "\n", f"{CANARY}\n", f"{CANARY}\r\nx: y", f"{CANARY}\0", f"{CANARY}\x7f", f"{CANARY}\t",
     f"{CANARY}☃", f" {CANARY}", f"{CANARY} ", "\udcff"],
)  # fmt: skip
def test_a_value_that_cannot_stand_in_a_header_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(ConfigError) as raised:
        checked(value, "the drawer")

    assert "the drawer" in raised.value.message
    assert "canary" not in raised.value.message


def test_an_environment_variable_is_named_when_it_is_unset_or_empty() -> None:
    for environ in ({}, {"MY_KEY": ""}, {"MY_KEY": "x\n"}, {"MY_KEY": "", "MY_KEY_FILE": ""}):
        with pytest.raises(ConfigError, match="MY_KEY"):
            from_environment("MY_KEY", Hands(), environ)
    assert from_environment("MY_KEY", Hands(), {"MY_KEY": CANARY}).current() == Secret(CANARY)


@pytest.mark.parametrize("beside", [{}, {"MY_KEY": ""}])
def test_a_variable_that_is_not_set_is_one_of_which_the_file_is_said(
    path: Path, beside: dict[str, str]
) -> None:
    clock = Hands()
    auth = from_environment("MY_KEY", clock, {"MY_KEY_FILE": str(path), **beside})
    assert auth.current() == Secret("old")

    replace(path, "new")
    clock.time += 1.1

    assert auth.current() == Secret("new")


def test_a_variable_and_the_file_of_it_are_one_too_many(path: Path) -> None:
    environ = {"MY_KEY": CANARY, "MY_KEY_FILE": str(path)}

    with pytest.raises(ConfigError, match="MY_KEY and MY_KEY_FILE are both set; leave one") as raised:
        from_environment("MY_KEY", Hands(), environ)

    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("text", [None, "", "two\nlines"])
def test_a_file_that_a_variable_says_and_that_holds_no_credential_is_an_error_that_names_both(
    path: Path, text: str | None
) -> None:
    path.unlink() if text is None else path.write_text(text)

    with pytest.raises(ConfigError, match=rf"^MY_KEY_FILE: .*{path.name}"):
        from_environment("MY_KEY", Hands(), {"MY_KEY_FILE": str(path)})


def test_the_built_in_sources_give_what_they_were_configured_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key"
    path.write_text("from a file\n")
    monkeypatch.setenv("MY_KEY", "from the environment")
    settings = {
        "none": {},
        "static": {"value": "from the configuration"},
        "env": {"name": "MY_KEY"},
        "file": {"path": path},
    }

    given_secrets = {
        each.name: each.make(
            context_of(each.name, each.settings.model_validate(settings[each.name]))
        ).current()
        for each in BUILT_IN
    }

    assert {name: secret and secret.reveal() for name, secret in given_secrets.items()} == {
        "none": None,
        "static": "from the configuration",
        "env": "from the environment",
        "file": "from a file",
    }


def test_settings_show_no_credential_neither_in_their_repr_nor_when_they_are_wrong() -> None:
    with pytest.raises(ValidationError) as raised:
        StaticSettings.model_validate({"value": [CANARY]})

    assert "canary" not in str(raised.value)
    assert "canary" not in repr(StaticSettings.model_validate({"value": CANARY}))


def context_of(name: str, settings: object) -> AuthContext:
    """That of a source of credentials which asks nobody."""
    return Contexts(Hands(), system_rng()).auth(name, settings, provider="a", http=NotImplemented)


def test_a_fixed_credential_stays_after_it_was_rejected() -> None:
    auth = Fixed(Secret("a"))

    assert not auth.rejected(Secret("a"))

    assert auth.current() == Secret("a")


# ── a file ───────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text("old\n")
    return path


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    os.replace(new, path)


def test_a_file_is_read_again_when_it_was_replaced_but_not_more_than_once_a_second(path: Path) -> None:
    clock = Hands()
    auth = FromFile(path, clock)
    assert auth.current() == Secret("old")

    replace(path, "new")
    clock.time += 0.9
    assert auth.current() == Secret("old")
    clock.time += 0.2

    assert auth.current() == Secret("new")


def test_a_file_written_in_place_within_one_tick_of_its_clock_is_noticed_by_its_size(path: Path) -> None:
    clock = Hands()
    auth = FromFile(path, clock)
    auth.current()
    before = path.stat()

    path.write_text("longer")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    clock.time += 2

    assert auth.current() == Secret("longer")


def test_a_rejected_credential_is_looked_up_at_once(path: Path) -> None:
    auth = FromFile(path, Hands())
    auth.current()
    replace(path, "new")

    assert auth.rejected(Secret("old"))

    assert auth.current() == Secret("new")


def test_a_rejected_credential_that_was_not_replaced_is_the_only_one_there_is(path: Path) -> None:
    auth = FromFile(path, Hands())

    assert not auth.rejected(Secret("old"))

    replace(path, "new")
    assert auth.current() == Secret("new")  # it is looked at again with the next call


def test_a_rejected_credential_that_is_no_longer_used_changes_nothing(path: Path) -> None:
    auth = FromFile(path, Hands())
    auth.current()
    replace(path, "new")

    assert auth.rejected(Secret("older"))

    assert auth.current() == Secret("old")


@pytest.mark.parametrize("between", ["gone", "empty", "binary", "two lines"])
def test_the_old_credential_serves_until_there_is_a_new_one(path: Path, between: str) -> None:
    clock = Hands()
    auth = FromFile(path, clock)
    auth.current()

    match between:
        case "gone":
            path.unlink()
        case "empty":
            path.write_text("")
        case "binary":
            path.write_bytes(b"\xff\xfe")
        case _:
            path.write_text("a\nb")
    clock.time += 2
    meanwhile = auth.current()
    replace(path, "new")
    clock.time += 2

    assert meanwhile == Secret("old")
    assert auth.current() == Secret("new")


def test_a_file_that_cannot_be_used_at_start_is_an_error_that_names_it(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")

    for path in (tmp_path / "absent", empty, tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            FromFile(path, Hands())


def test_a_file_in_another_encoding_is_refused_without_its_content_in_any_cause(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(CANARY.encode() + b"\xff")

    with pytest.raises(ConfigError, match="key") as raised:
        FromFile(path, Hands())

    error: BaseException | None = raised.value
    while error is not None:
        assert "canary" not in repr(error)
        error = error.__cause__ or error.__context__
