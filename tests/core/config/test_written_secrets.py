"""A secret that stands in the file itself is warned of, where it stands; what is none is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman import Router
from pointsman.config import Config

KEY = "sk-canary-7f3a-0123456789"


def warned(text: str, tmp_path: Path) -> list[str]:
    file = tmp_path / "p.yaml"
    file.write_text(f"providers:\n{text}")
    return [f"{each.line}:{each.path}" for each in Router.check(file).warnings if each.code == "PM1906"]


def a(more: str, *, type: str = "openai") -> str:
    return f"  a: {{type: {type}, models: [m], {more}}}\n"


@pytest.mark.parametrize(
    ("more", "place"),
    [
        (f"api_key: {KEY}", "api_key"),
        ("api_key: correct-horse-battery", "api_key"),
        (f"auth: {{type: static, value: {KEY}}}", "auth.value"),
        (f"base_url: 'http://127.0.0.1:1', api_key: {KEY}", "api_key"),
        (f"auth: none, headers: {{x-api-key: {KEY}}}", "headers.x-api-key"),
        ("auth: none, headers: {Authorization: Bearer of-many-words}", "headers.Authorization"),
        ("auth: none, proxy: 'http://me:open-sesame@proxy:3128'", "proxy"),
        ("api_key: pa$$word-of-many-words", "api_key"),
    ],
)
def test_a_secret_that_is_written_down_is_warned_of_at_its_line(
    more: str, place: str, tmp_path: Path
) -> None:
    assert warned(a(more), tmp_path) == [f"2:providers.a.{place}"]


@pytest.mark.parametrize(
    "more",
    [
        'api_key: "${A_KEY}"',
        'api_key: "${NOT_SET:-sk-canary-7f3a-0123456789}"',
        'api_key: "${file:key}"',
        "auth: {type: env, name: A_KEY}",
        'auth: {type: static, value: "${A_KEY}"}',
        "api_key: not-needed",
        "api_key: none",
        "base_url: 'http://127.0.0.1:8080/v1', api_key: local-server",
        "base_url: 'http://localhost:8080/v1', api_key: my-own-ollama",
        "base_url: 'http://[::1]:8080/v1', api_key: my-own-ollama",
        "auth: none, headers: {x-team: platform engineering}",
        "auth: none, proxy: 'http://proxy.example:3128'",
    ],
)
def test_what_is_referred_to_or_no_secret_is_not_warned_of(
    more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "key").write_text(KEY)

    assert warned(a(more), tmp_path) == []


def test_keys_of_callers_and_secrets_of_other_plugins_are_looked_at_too(tmp_path: Path) -> None:
    text = a("auth: none") + (
        "gateway:\n  access:\n    keys:\n"
        '      - {name: one, key: a-key-of-a-caller}\n      - {name: two, key: "${PATH}-and-something"}\n'
    )

    assert warned(text, tmp_path) == ["6:gateway.access.keys[0].key"]


def test_a_password_in_the_address_of_a_database_is_looked_at_too(tmp_path: Path) -> None:
    more = "auth: none}\ncallers: {database: 'postgresql://me:open-sesame@db/x'"

    assert warned(a(more), tmp_path) == ["3:callers.database"]


def test_it_is_said_by_which_place_and_never_by_its_value(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(f"providers:\n{a(f'api_key: {KEY}')}")

    (problem,) = Router.check(file).warnings

    assert "canary" not in f"{problem!r} {problem} {problem.coded} {problem.hint}"
    assert str(problem.hint) == 'refer to it: "${NAME}" for a variable, "${file:/path}" for a file'


def test_a_program_has_its_values_from_wherever_it_likes() -> None:
    given = {"providers": {"a": {"type": "openai", "api_key": KEY, "models": ["m"]}}}

    assert Router.check(Config.from_mapping(given)).warnings == ()
