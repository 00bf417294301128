from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman import Config
from pointsman.builtin.retry import ExponentialSettings
from pointsman_cli.discover import Candidate, Found
from pointsman_cli.starter import starter


def test_check_counts_what_it_built_and_connects_to_nothing(cli, gpu) -> None:
    text, data = cli("config", "check"), cli("config", "check", "--json")

    assert (text.code, text.out, text.err) == (0, "ok: 1 provider, 1 model\n", "")
    counts = {"providers": 1, "models": 1, "aliases": 0, "patterns": 0}
    assert data.json == {"ok": True, "file": "pointsman.yaml", **counts, "warnings": []}
    assert gpu.requests == []


@pytest.mark.parametrize("how", ["argument", "option", "group option", "variable"])
def test_the_file_can_be_named_in_every_way(cli, gpu, workdir: Path, monkeypatch, how: str) -> None:
    (workdir / "pointsman.yaml").rename(workdir / "other.yaml")
    words = {
        "argument": ["config", "check", "other.yaml"],
        "option": ["config", "check", "-c", "other.yaml"],
        "group option": ["-c", "other.yaml", "config", "check"],
        "variable": ["config", "check"],
    }[how]
    if how == "variable":
        monkeypatch.setenv("POINTSMAN_CONFIG", "other.yaml")

    assert cli(*words).code == 0


@pytest.mark.parametrize("words", [["-c", "."], ["-c", "1.yaml", "-c", "2.toml"]])
def test_a_folder_or_several_files_are_a_configuration(cli, workdir: Path, words: list[str]) -> None:
    (workdir / "1.yaml").write_text("providers: {gpu: {type: ollama}}\n")
    (workdir / "2.toml").write_text("[models.a]\ndeployments = ['gpu/a']\n")

    assert cli("config", "check", *words).out == "ok: 1 provider, 1 model\n"


@pytest.mark.parametrize("name", ["pointsman.yml", "pointsman.toml", "pointsman.json"])
def test_other_formats_are_found_by_their_names(cli, workdir: Path, name: str) -> None:
    toml, other = '[providers.gpu]\ntype = "ollama"\n', '{"providers": {"gpu": {"type": "ollama"}}}'
    text = toml if name.endswith("toml") else other
    (workdir / name).write_text(text)

    assert cli("config", "check", "--json").json["file"] == name


def test_what_is_probably_not_meant_is_a_warning_and_no_error(cli, workdir: Path) -> None:
    models = {
        "a": {"deployments": ["gpu/a"], "fallback": ["b"]},
        "b": {"deployments": ["gpu/b"], "fallback": ["c"]},
    }
    given = {"providers": {"gpu": {"type": "ollama"}}, "models": {**models, "c": {"deployments": ["gpu/c"]}}}
    (workdir / "pointsman.json").write_text(
        json.dumps({**given, "retry": {"type": "exponential", "attempts": 2}})
    )

    text, data = cli("config", "check"), cli("config", "check", "--json")

    assert (text.code, text.out) == (0, "ok: 1 provider, 3 models\n")
    assert "warning: pointsman.json:" in text.err
    assert "models.a.fallback: 3 models stand in this chain, and a request has 2 attempts" in text.err
    assert len(data.json["warnings"]) == 1


def test_of_very_many_warnings_the_first_are_shown_and_the_others_counted(cli, workdir: Path) -> None:
    keys = [{"name": f"k{n}", "key": f"sk-{n:06}-0123456789abcdef"} for n in range(60)]
    gpu = {"providers": {"gpu": {"type": "ollama"}}, "models": {"a": {"deployments": ["gpu/a"]}}}
    (workdir / "pointsman.json").write_text(json.dumps({**gpu, "gateway": {"access": {"keys": keys}}}))

    text, data = cli("config", "check"), cli("config", "check", "--json")

    assert text.err.count("warning: ") == 50
    assert text.err.endswith("… and 10 more warnings\n")
    assert len(data.json["warnings"]) == 60


def test_two_files_here_are_one_too_many(cli, gpu, workdir: Path) -> None:
    (workdir / "pointsman.toml").write_text("")

    ran = cli("config", "check")

    assert ran.code == 2
    assert "pointsman.yaml and pointsman.toml" in ran.err


def test_check_without_a_file_says_what_would_help(cli) -> None:
    ran = cli("config", "check")

    assert ran.code == 2
    assert "pointsman config init" in ran.err


def test_show_fills_in_defaults_and_masks_every_secret(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text(
        "providers:\n"
        "  cloud:\n"
        "    type: openai\n"
        "    api_key: sk-secret-1\n"
        "    headers: {x-token: sk-secret-2}\n"
        "    proxy: http://me:sk-secret-3@proxy:3128\n"
        "audit: [{type: logging, logger: sk-secret-4}, {type: of-others, path: ./sk-secret-5, size: 5}]\n"
    )

    text, data = cli("config", "show"), cli("config", "show", "--json")

    assert "sk-secret" not in text.out + text.err + data.out + data.err
    assert data.json["providers"]["cloud"]["api_key"] == "***"
    assert data.json["strategy"] == {"type": "round_robin"}
    assert "failure_threshold: 5" in text.out


def test_show_has_numbers_and_paths_of_our_own_plugins(cli, workdir: Path) -> None:
    (workdir / "pointsman.yaml").write_text(
        "providers:\n"
        "  cloud: {type: openai, auth: {type: file, path: ./key}}\n"
        "models:\n"
        "  m: {deployments: [cloud/x], retry: {type: exponential, attempts: 7, base_delay: 2s}}\n"
        "audit: [{type: jsonl, path: ./audit, buffer: 9}]\n"
    )

    shown = cli("config", "show", "--json").json

    assert shown["audit"] == [{"type": "jsonl", "path": "audit", "buffer": 9}]
    assert shown["providers"]["cloud"]["auth"] == {"type": "file", "path": "key"}
    assert shown["models"]["m"]["retry"] == {"type": "exponential", "attempts": 7, "base_delay": 2.0}


def test_the_schema_is_json_schema(cli) -> None:
    schema = cli("config", "schema").json

    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "providers" in schema["properties"]


def test_init_writes_what_check_accepts_and_refuses_to_overwrite(cli, workdir: Path) -> None:
    first, check, again = cli("config", "init"), cli("config", "check"), cli("config", "init")

    assert (first.code, first.out) == (0, "wrote pointsman.yaml, and pointsman.schema.json for editors\n")
    assert check.code == 0
    assert again.code == 2
    assert "--force" in again.err
    assert cli("config", "init", "--force", "--json").json == {
        "file": "pointsman.yaml",
        "schema": "pointsman.schema.json",
        "found": [],
    }


def test_init_names_the_folder_that_is_not_there(cli, workdir: Path) -> None:
    ran = cli("config", "init", "away/pointsman.yaml")

    assert (ran.code, ran.err) == (2, "error: there is no folder away to put it in; make that first\n")
    assert not list(workdir.iterdir())


def test_init_writes_the_schema_that_its_first_line_names(cli, workdir: Path) -> None:
    cli("config", "init")

    first = (workdir / "pointsman.yaml").read_text().splitlines()[0]
    name = first.removeprefix("# yaml-language-server: $schema=")
    assert json.loads((workdir / name).read_text()) == cli("config", "schema").json


def test_init_and_schema_write_over_no_file_that_is_none_of_theirs(cli, workdir: Path) -> None:
    (workdir / "pointsman.schema.json").write_text('{"title": "mine"}')

    assert cli("config", "init").code == 2
    assert cli("config", "schema", "-o", "pointsman.schema.json").code == 2
    assert [each.name for each in workdir.iterdir()] == ["pointsman.schema.json"]
    assert cli("config", "schema", "-o", "other.json").out == "wrote other.json\n"
    assert cli("config", "schema", "-o", "other.json").code == 0


def test_init_uses_what_it_finds(cli, servers, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = servers.add("ollama", models=["qwen3:8b", "llama3.2"])
    monkeypatch.setenv("OLLAMA_HOST", upstream.base_url)

    assert cli("config", "init", "new.yaml").code == 0

    text = (workdir / "new.yaml").read_text()
    assert upstream.base_url in text
    assert "qwen3:8b" in text
    assert cli("ask", "-c", "new.yaml", "hi").code == 0


def test_init_writes_yaml_only(cli, workdir: Path) -> None:
    assert cli("config", "init", "pointsman.toml").code == 2
    assert list(workdir.iterdir()) == []


def test_what_a_starter_says_of_defaults_are_those_of_the_code() -> None:
    text = starter([])
    shown = [
        line.removeprefix("# ")
        for line in text.splitlines()
        if re.match(r"# (retry|circuit_|timeouts)", line)
    ]
    plain = Config.from_text("providers: {ollama: {type: ollama}}\n", environ={})

    written = Config.from_text("providers: {ollama: {type: ollama}}\n" + "\n".join(shown), environ={})

    assert len(shown) == 3
    assert written.circuit_breaker == plain.circuit_breaker
    assert written.timeouts == plain.timeouts
    assert plain.retry.type == "exponential"
    said = ExponentialSettings.model_validate(written.retry.settings)
    assert said == ExponentialSettings()


def test_a_starter_names_the_strategies_that_are_built_in(cli) -> None:
    listed = cli("plugins", "--json").json
    built_in = {each["name"] for each in listed if (each["kind"], each["state"]) == ("strategy", "built in")}

    (line,) = (each for each in starter([]).splitlines() if "that name no strategy" in each)
    assert set(re.findall(r"\w+_\w+|weighted", line)) == built_in


@pytest.mark.parametrize("commented", [False, True])
def test_what_a_starter_leaves_in_comments_is_accepted_as_well(commented: bool) -> None:
    text = starter([])
    if commented:
        text = re.sub(r"^( *)# (\w+: |- )", r"\1\2", text, flags=re.MULTILINE).replace(
            "strategy: round_robin\n", ""
        )

    Config.from_text(
        text, environ=dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"), "k")
    )


# Without `*`: no name with one is offered by `usable_models`.
names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"], exclude_characters="*"),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(models=st.lists(names, min_size=1, max_size=8))
def test_a_starter_is_a_configuration_whatever_the_models_are_called(models: list[str]) -> None:
    found = [
        Found(Candidate("ollama", "", "http://127.0.0.1:11434"), models),
        Found(Candidate("openai", "OPENAI_API_KEY", None, "OPENAI_API_KEY"), ["gpt-5-mini"]),
    ]

    config = Config.from_text(starter(found), environ={})

    assert config.models["assistant"].deployments[0].model == models[0]
    assert "sk-" not in json.dumps(config.model_dump(mode="json"))
