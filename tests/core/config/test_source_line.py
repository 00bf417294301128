"""The line of a file under a problem: where the mark stands, and that no secret is ever in it."""

from __future__ import annotations

import json
import unicodedata
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import ConfigError, Router
from pointsman.config.source_line import WIDEST, shown_line


def marked(line: str, at: str, path: tuple[str | int, ...] = ()) -> tuple[str, str]:
    """What is shown of `line`, and what of it begins at the mark, which is to be where `at` begins."""
    shown, caret = shown_line(line, line.index(at), path)
    before = 0
    for n, each in enumerate(shown):
        if before >= caret:
            return shown, shown[n:]
        before += 2 if unicodedata.east_asian_width(each) in "WF" else 1
    return shown, ""


SHOWN: list[tuple[str, str, tuple[str | int, ...], str, str]] = [
    ("    strategy: wieghted", "wieghted", ("strategy",), "strategy: wieghted", "wieghted"),
    ("  - gpu3/llama3.2:3b", "gpu3", ("models", "m", "deployments", 1), "- gpu3/llama3.2:3b", "gpu3/llama3.2:3b"),
    ("timeouts: {connect: 5 mins}", "5 mins", ("timeouts", "connect"), "timeouts: {connect: 5 mins}", "5 mins}"),
    ('  "weight": 0,', "0", ("x", "weight"), '"weight": 0,', "0,"),
    ("weight = 0 # why", "0", ("weight",), "weight = 0 # …", "0 # …"),
    ("[models.m.deployments]", "models", (), "[models.m.deployments]", "models.m.deployments]"),
    ("漢字: {weight: 0}", "0", ("models", "漢字", "weight"), "漢字: {weight: 0}", "0}"),
    ("a: {api_key: geheim, weight: 0}", "0", ("a", "weight"), "a: {api_key: ***, weight: 0}", "0}"),
    ("api_key: geheim", "geheim", ("api_key",), "api_key: ***", "***"),
    ('api_key: "${A_KEY}"', '"', ("api_key",), 'api_key: "${A_KEY}"', '"${A_KEY}"'),
    ("api_key: ${A_KEY:-geheim}", "$", ("api_key",), "api_key: ${A_KEY:-***}", "${A_KEY:-***}"),
    ("base_url: http://me:gehe/im@h.test:8/v1?k=geheim", "http", (), "base_url: http://***@h.test:8/v1?***",
     "http://***@h.test:8/v1?***"),
    ("\t\tweight: 0", "weight", ("weight",), "weight: 0", "weight: 0"),
    ("\tweight: 0", "\t", (), "\\tweight: 0", "\\tweight: 0"),
    ("model: a\u202eb\x1b[2Jc", "a", ("model",), "model: a\\u202eb\\x1b[2Jc", "a\\u202eb\\x1b[2Jc"),
    ("auth: {type: env, name: MY_KEY}", "MY_KEY", ("auth", "name"), "auth: {type: env, name: MY_KEY}", "MY_KEY}"),
    ("base_url: geheim-ohne-ziffern", "geheim", ("base_url",), "base_url: ***", "***"),
    ("base_url: localhost:11434", "localhost", ("base_url",), "base_url: localhost:11434", "localhost:11434"),
    ("type: sk-geheimnis-x", "sk", ("type",), "type: ***", "***"),
    ("failure_rate: 50 percent", "50", ("failure_rate",), "failure_rate: 50 percent", "50 percent"),
    ("budget: 2 EUR/day", "2", ("mirror", "budget"), "budget: 2 EUR/day", "2 EUR/day"),
    ("requests: 5 per minute", "5", ("limits", "a", "requests"), "requests: 5 per minute", "5 per minute"),
    ("reload: {watch: inotify}", "inotify", ("reload", "watch"), "reload: {watch: inotify}", "inotify}"),
    ("discover: dnss", "dnss", ("discover",), "discover: dnss", "dnss"),
    ('include: ["parts/*.yaml", other.yaml]', "other", ("include", 1), 'include: ["parts/*.yaml", other.yaml]',
     "other.yaml]"),
    ("", "", (), "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("line", "at", "path", "shown", "rest"), SHOWN, ids=[each[0] for each in SHOWN])
def test_a_line_is_shown_with_its_mark_at_the_place(
    line: str, at: str, path: tuple[str | int, ...], shown: str, rest: str
) -> None:
    assert marked(line, at, path) == (shown, rest)


@pytest.mark.parametrize("before", [0, 30, 300, 600])
def test_a_long_line_is_cut_around_its_place(before: int) -> None:
    line = "{" + "weight: 1, " * before + "wieght: 2, " + "weight: 3, " * 300

    shown, rest = marked(line, "wieght")

    assert rest.startswith("wieght: 2")
    assert len(shown) <= WIDEST
    assert shown.startswith("…") == (before > 5)
    assert shown.endswith("…")


@given(st.text(max_size=120), st.integers(0, 130))
def test_whatever_a_line_holds_it_is_one_printable_line(line: str, column: int) -> None:
    shown, caret = shown_line(line, column)

    assert shown.isprintable() or all(
        each in "\u200c\u200d" or each.isspace() for each in shown if not each.isprintable()
    )
    assert "\n" not in shown
    assert 0 <= caret <= WIDEST


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────

SECRETS = (
    "hunter2-geheim",
    "sk-proj-1a2B3c4D5e6F7g8H",
    "Geheimes Wort 7",
    "geheim/mit+zeichen==",
    "000000000042",
)
WRITTEN = (
    "{}",
    '"{}"',
    "'{}'",
    '"{}',
    "'{}",
    "{}}}",
    "[{}]",
    "[a, {}]",
    "{{x: {}}}",
    "{}: {}",
    "!x {}",
    "&a {}",
    "*{}",
    "|{}",
)
KEYS = ("api_key", "apikey", "tokn", "value", "Authorization", "prefix", "pin", "whatever")
AROUND = (
    "{key}: {value}",
    "  - {key}: {value}",
    "a: {{type: openai, {key}: {value}, weight: 0}}",
    "headers: {{{key}: {value}}}",
    '{{"a": {{"{key}": {value}, "weight": 0}}}}',
    "{key} = {value}",
    "a = {{ {key} = {value}, weight = 0 }}",
    "{key}: {value} # {value}",
    "weight: 1 # {key} was {value}",
    "{key}:\t{value}",
    "- {value}",
    "  {value}",
    "{key}:{value}",
    "{value}: {key}: x",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_no_way_to_write_a_secret_brings_it_onto_the_screen(secret: str) -> None:
    for key, written, around in product(KEYS, WRITTEN, AROUND):
        value = written.replace("{}", secret).replace("}}", "}").replace("{{", "{")
        line = around.format(key=key, value=value)
        if f"{secret}: " in line.replace("'", "").replace('"', ""):
            continue  # there it is a key, and keys are shown
        for column in (0, line.index(secret)):
            for path in ((), ("providers", "a", key)):
                shown, _ = shown_line(line, column, path)
                assert secret not in shown, (line, path)


CONFIGS: list[dict[str, Any]] = [
    {"providers": {"a": {"type": "openai", "apikey": "S"}}},
    {"providers": {"a": {"type": "openai", "auth": {"type": "static", "value": "S", "x": 1}}}},
    {"providers": {"a": {"type": "openai", "base_url": "http://me:S@h.test"}}},
    {"providers": {"a": {"type": "openai", "base_url": "ftp://h.test/?key=S"}}},
    {"providers": {"a": {"type": "openai", "proxy": "http://S@:x"}}},
    {"providers": {"a": {"type": "openai", "headers": {"Authorization": "Bearer S", "X Y": "S"}}}},
    {"providers": {"a": {"type": "openai", "api_key": ["S"]}}},
    {"providers": {"a": {"type": "openai", "weight": "S", "client_key": {"a": "S"}}}},
    {"providers": ["S"]},
    {"token": "S"},
    {"state": "nothing://:S@"},
    {"providers": {"a": {"type": "openai", "models": {"x": "S"}}}},
    {"models": {"m": {"deployments": [{"provider": "a", "model": "b", "forced": {"model": "S"}}]}}},
]


@pytest.mark.parametrize("data", CONFIGS, ids=[str(n) for n in range(len(CONFIGS))])
@pytest.mark.parametrize("indent", [None, 1])
def test_no_literal_secret_of_a_configuration_is_in_what_is_told(
    data: dict[str, Any], indent: int | None, tmp_path: Path
) -> None:
    secret = "hunter2geheim"
    text = json.dumps(data, indent=indent).replace('"S', f'"{secret}').replace("S@", f"{secret}@")
    text = text.replace(" S", f" {secret}").replace(":S", f":{secret}").replace("=S", f"={secret}")

    for file in (tmp_path / "c.json", tmp_path / "c.yaml"):
        file.write_text(text, "utf-8")
        with pytest.raises(ConfigError) as caught:
            Router.check(file)

        for each in caught.value.problems:
            assert secret not in f"{each!r}"
        assert any(each.source for each in caught.value.problems)  # type: ignore[attr-defined]
        assert secret not in repr(caught.value)
