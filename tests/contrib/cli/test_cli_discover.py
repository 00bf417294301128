from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

from pointsman import Config, ModelInfo
from pointsman.build.presets import with_preset
from pointsman.plugin import server_url
from pointsman.testing import installed_factory
from pointsman_cli.discover import (
    PRESETS,
    Candidate,
    Found,
    candidates,
    discovered_config,
    provider_section,
    usable_models,
)
from pointsman_cli.starter import starter

URLS = {
    "": "http://127.0.0.1:11434",
    "127.0.0.1": "http://127.0.0.1:11434",
    "0.0.0.0": "http://127.0.0.1:11434",
    "0.0.0.0:11500": "http://127.0.0.1:11500",
    ":11500": "http://127.0.0.1:11500",
    "gpu1": "http://gpu1:11434",
    "gpu1:80": "http://gpu1:80",
    " http://gpu1:11500/ ": "http://gpu1:11500",
    "https://gpu1": "https://gpu1",
    "https://gpu1/ollama": "https://gpu1/ollama",
    "[::]:11500": "http://127.0.0.1:11500",
    "::": "http://127.0.0.1:11434",
    "[fe80::1]": "http://[fe80::1]:11434",
    "fe80::1": "http://[fe80::1]:11434",
}


@pytest.mark.parametrize(("host", "url"), URLS.items())
def test_an_address_as_servers_have_it_becomes_a_url(host: str, url: str) -> None:
    assert server_url(host, default_port=11434) == url


def test_local_servers_come_first_and_clouds_only_with_a_key() -> None:
    without = [each.type for each in candidates({"OPENAI_API_KEY": " "})]
    both = [each.type for each in candidates({"OPENAI_API_KEY": "sk-1", "ANTHROPIC_API_KEY": "sk-2"})]

    assert without == ["ollama", "localai"]
    assert both == ["ollama", "localai", "openai", "claude"]


def test_a_cloud_whose_key_is_in_a_file_is_worth_asking() -> None:
    found = candidates(
        {"OPENAI_API_KEY_FILE": "/run/secrets/openai", "GROQ_API_KEY_FILE": "/run/secrets/groq"}
    )

    assert [each.name for each in found] == ["ollama", "localai", "openai", "groq"]
    assert provider_section(found[-1])["auth"] == {"type": "env", "name": "GROQ_API_KEY"}


def test_an_ollama_is_where_its_variables_say_and_its_base_url_goes_before_its_host() -> None:
    host = {"OLLAMA_HOST": ":11500"}

    assert candidates({})[0].base_url == "http://127.0.0.1:11434"
    assert candidates(host)[0].base_url == "http://127.0.0.1:11500"
    assert candidates({**host, "OLLAMA_BASE_URL": "https://gpu1/"})[0].base_url == "https://gpu1"


def test_the_key_of_a_preset_is_enough_to_find_it() -> None:
    openai = installed_factory("provider", "openai")

    for preset, key, _ in PRESETS:
        *_, found = candidates({key: "k"})
        made = with_preset(openai, preset)
        assert (found.name, found.type, found.preset) == (preset, "openai", preset)
        assert (made.key_variable, made.needs_key) == (key, True)
        assert made.default_base_url
        assert provider_section(found) == {
            "type": "openai",
            "preset": preset,
            "auth": {"type": "env", "name": key},
        }


def test_a_starter_has_the_preset_whose_key_is_there() -> None:
    groq = Candidate("openai", "GROQ_API_KEY", None, "GROQ_API_KEY", "x", "groq")

    config = Config.from_text(starter([Found(groq, ["openai/gpt-oss-120b"])]), environ={})

    assert config.providers["groq"].preset == "groq"
    assert [each.id for each in config.models["assistant"].deployments] == ["groq/openai/gpt-oss-120b"]


def test_a_discovered_configuration_names_keys_and_holds_none() -> None:
    found = [
        Found(Candidate("ollama", "", "http://127.0.0.1:11434"), ["llama3.2", "qwen3"]),
        Found(Candidate("openai", "OPENAI_API_KEY", None, "OPENAI_API_KEY"), ["gpt-5-mini"]),
    ]

    config = discovered_config(found)

    assert config == {
        "providers": {
            "ollama": {
                "type": "ollama",
                "base_url": "http://127.0.0.1:11434",
                "models": ["llama3.2", "qwen3"],
            },
            "openai": {
                "type": "openai",
                "auth": {"type": "env", "name": "OPENAI_API_KEY"},
                "models": ["gpt-5-mini"],
            },
        }
    }
    models = Config.from_mapping(config, environ={}).public_models()
    assert list(models) == ["llama3.2", "qwen3", "gpt-5-mini"]


@pytest.mark.parametrize("name", ["${SECRET}", "${file:/etc/hostname}", "$", "a$$b", "x\ny", " ", ""])
def test_the_name_of_a_model_never_reads_our_environment(name: str) -> None:
    local = Candidate("ollama", "", "http://127.0.0.1:1")
    names = usable_models(local, [ModelInfo("llama3.2"), ModelInfo(name)])

    config = Config.from_mapping(discovered_config([Found(local, names)]), environ={"SECRET": "sk-1"})

    assert config.providers["ollama"].models == names
    assert set(names) <= {"llama3.2", name}


def test_of_a_cloud_one_model_is_offered_and_of_ollama_all_that_can_talk() -> None:
    cloud = Candidate("openai", "K", None, "K", preferred="gpt-5-mini")
    local = Candidate("ollama", "", "http://x")
    listed = [ModelInfo("babbage"), ModelInfo("gpt-5-mini")]
    mixed = [
        ModelInfo("llama3.2:latest", "ollama", capabilities=("completion", "tools")),
        ModelInfo("any-*"),
        ModelInfo("sees-only", "ollama", capabilities=("embedding",)),
        ModelInfo("nomic-embed-text:latest", "ollama"),
        ModelInfo("qwen3:8b", "ollama"),
    ]

    assert usable_models(cloud, listed) == ["gpt-5-mini"]
    assert usable_models(cloud, listed[:1]) == ["babbage"]
    assert usable_models(cloud, []) == []
    assert usable_models(local, mixed) == ["llama3.2", "qwen3:8b"]


def test_without_a_configuration_local_servers_are_found_and_said(cli, servers, monkeypatch) -> None:
    gpu, box = servers.add("ollama"), servers.add("localai")
    monkeypatch.setenv("OLLAMA_HOST", gpu.base_url)
    monkeypatch.setenv("LOCALAI_ADDRESS", box.base_url)

    ran = cli("ask", "hi")

    assert ran.code == 0
    assert ran.err.splitlines() == [
        "no configuration; using what is here:",
        f"  ollama ({gpu.base_url}): llama3.2",
        f"  localai ({box.base_url}): qwen3-4b",
    ]
    assert gpu.requests[-1].path == "/api/chat"


def test_a_key_in_the_environment_is_used_and_never_shown(cli, servers, monkeypatch) -> None:
    cloud = servers.add("openai", api_key="sk-right")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-right")
    monkeypatch.setenv("OPENAI_BASE_URL", cloud.base_url)

    right = cli("ask", "hi")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong")
    wrong = cli("ask", "hi")

    assert right.code == 0
    assert "openai (OPENAI_API_KEY): gpt-4.1-mini" in right.err
    assert wrong.code == 2
    assert "openai (OPENAI_API_KEY): " in wrong.err
    assert "sk-" not in right.err + wrong.err


def test_a_key_that_cannot_be_used_does_not_spoil_what_else_there_is(cli, servers, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", servers.add("ollama").base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-\u2026")

    ran = cli("ask", "hi")

    assert ran.code == 0
    assert "not openai (OPENAI_API_KEY): " in ran.err


def test_nothing_found_says_what_was_looked_for_and_what_would_help(cli) -> None:
    text, data = cli("ask", "hi"), cli("ask", "hi", "--json")

    assert text.code == data.code == 2
    for part in (
        "pointsman.yaml",
        "ollama (http://127.0.0.1:9): nothing answers there",
        "OPENAI_API_KEY is not set",
        "ANTHROPIC_API_KEY is not set",
        "GROQ_API_KEY",
        "pointsman config init",
        "pointsman demo",
    ):
        assert part in text.err
    assert data.error["exit_code"] == 2


def test_another_server_on_the_usual_port_is_not_taken_for_ollama(cli, servers, monkeypatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", servers.add("claude").base_url)

    assert cli("ask", "hi").code == 2


ODD = {
    "html": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
        "ollama",
    ),
    "nothing": (b"", "ollama"),
    "another protocol": (b"SSH-2.0-OpenSSH_9.6\r\n", "ollama"),
    "null": (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull", "ollama"),
    "models that are none": (
        b'HTTP/1.1 200 OK\r\ncontent-length: 35\r\n\r\n{"models": [null, 5, {"name": {}}]} ',
        "ollama",
    ),
    "no models": (b'HTTP/1.1 200 OK\r\ncontent-length: 14\r\n\r\n{"models": []}', "ollama"),
    "away to elsewhere": (
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n",
        "ollama",
    ),
}


@pytest.mark.parametrize("odd", ODD)
def test_whatever_answers_on_the_usual_port_the_rest_is_used_and_no_traceback_seen(
    odd: str, cli, servers, monkeypatch
) -> None:
    answer, said = ODD[odd]
    with AnsweringOddly(answer) as port:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{port}")
        alone = cli("ask", "hi")
        monkeypatch.setenv("LOCALAI_ADDRESS", servers.add("localai").base_url)
        beside = cli("ask", "hi")

    assert alone.code == 2
    assert said in alone.err
    assert "Traceback" not in alone.err
    assert beside.code == 0


def test_the_default_model_of_an_ollama_is_the_one_that_is_asked(cli, servers, monkeypatch) -> None:
    gpu = servers.add("ollama", models=["llama3.2", "qwen3"])
    monkeypatch.setenv("OLLAMA_BASE_URL", gpu.base_url)
    monkeypatch.setenv("OLLAMA_DEFAULT_MODEL", "qwen3")

    assert cli("ask", "hi").code == 0
    assert gpu.requests[-1].body["model"] == "qwen3"

    monkeypatch.setenv("OLLAMA_DEFAULT_MODEL", "not-installed")
    assert cli("ask", "hi").code == 0
    assert gpu.requests[-1].body["model"] == "llama3.2"


def test_a_configuration_that_is_silent_goes_by_the_environment_and_follows_the_models(
    cli, servers, workdir, monkeypatch
) -> None:
    gpu = servers.add("ollama", models=["llama3.2"])
    monkeypatch.setenv("OLLAMA_BASE_URL", gpu.base_url)
    (workdir / "pointsman.yaml").write_text("providers:\n  here: {type: ollama, models: discover}\n")

    ran = cli("ask", "--model", "llama3.2", "hi")
    shown = cli("status")
    gpu.site.models.clear()
    missing = cli("ask", "--model", "llama3.2", "hi")

    assert ran.code == 0
    assert shown.code == 0
    assert "here: models found llama3.2 (0 s ago)" in shown.out
    assert missing.code == 2
    assert cli("config", "check").code == 0


class AnsweringOddly:
    """A server that gives every connection the same bytes and hangs up; entered, it gives its port."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> int:
        self._thread.start()
        port: int = self._socket.getsockname()[1]
        return port

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            with taken, suppress(OSError):
                taken.recv(65536)
                taken.sendall(self._answer)
