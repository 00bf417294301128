"""What the environment says of an Ollama where the configuration is silent."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman import Config, ConfigError, Router
from pointsman.build.environment import FromEnvironment, from_environment, with_environment
from pointsman.plugins.registry import Plugins
from pointsman_ollama import plugin
from pointsman_ollama.environment import environment
from pointsman_simulator import Reply, Simulator

ALL = {
    "OLLAMA_BASE_URL": "http://gpu1:80",
    "OLLAMA_HOST": "gpu2",
    "OLLAMA_TIMEOUT": "90",
    "OLLAMA_MAX_CONNECTIONS": "4",
    "OLLAMA_DEFAULT_MODEL": "qwen3:latest",
}


def config(provider: dict[str, Any] | None = None, **changes: Any) -> Config:
    given = {"providers": {"here": {"type": "ollama", **(provider or {})}}, **changes}
    return Config.from_mapping(given, environ={})


def said(given: Config, environ: dict[str, str]) -> list[FromEnvironment]:
    return from_environment(given, Plugins([plugin]), environ)


def test_each_variable_stands_for_a_setting_and_is_named() -> None:
    assert said(config({"models": ["llama3.2", "qwen3"]}), ALL) == [
        FromEnvironment(("providers", "here", "base_url"), "http://gpu1:80", "OLLAMA_BASE_URL"),
        FromEnvironment(("providers", "here", "timeouts", "attempt"), 90.0, "OLLAMA_TIMEOUT"),
        FromEnvironment(("providers", "here", "max_in_flight"), 4, "OLLAMA_MAX_CONNECTIONS"),
        FromEnvironment(("default_model",), "qwen3", "OLLAMA_DEFAULT_MODEL"),
    ]


def test_what_the_configuration_says_holds() -> None:
    given = config(
        {"base_url": "http://here:1", "max_in_flight": 2, "models": ["llama3.2", "qwen3"]},
        timeouts={"attempt": "5s"},
        default_model="llama3.2",
    )

    assert said(given, ALL) == []
    assert with_environment(given, Plugins([plugin]), ALL) is given


def test_what_is_filled_in_is_not_what_was_said() -> None:
    given = config({"models": ["qwen3"]})

    made = with_environment(given, Plugins([plugin]), ALL)

    assert made.said is given
    (deployment,) = made.public_models()["qwen3"].deployments
    assert deployment.max_in_flight == 4
    assert made.timeouts_for("qwen3", deployment).attempt == 90
    assert made.model_by_default == "qwen3"


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434"),
        (":11435", "http://127.0.0.1:11435"),
        ("gpu1", "http://gpu1:11434"),
        ("https://gpu1", "https://gpu1"),
        ("http://gpu1:1/", "http://gpu1:1"),
    ],
)
def test_the_host_is_read_as_ollama_reads_it(host: str, url: str) -> None:
    (found,) = environment({"OLLAMA_HOST": host})
    assert (found.setting, found.value, found.variable) == ("base_url", url, "OLLAMA_HOST")


@pytest.mark.parametrize(
    "environ",
    [{}, {"OLLAMA_HOST": " "}, {"OLLAMA_TIMEOUT": "0"}, {"OLLAMA_MAX_CONNECTIONS": "0"}, {"OLLAMA": "x"}],
)
def test_what_is_empty_or_no_limit_says_nothing(environ: dict[str, str]) -> None:
    assert environment(environ) == []


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OLLAMA_TIMEOUT", "soon"),
        ("OLLAMA_TIMEOUT", "-1"),
        ("OLLAMA_MAX_CONNECTIONS", "many"),
        ("OLLAMA_MAX_CONNECTIONS", "1.5"),
        ("OLLAMA_HOST", "http://me:secret@gpu1"),
        ("OLLAMA_BASE_URL", "http://gpu1:port"),
    ],
)
def test_what_makes_no_sense_refuses_the_configuration_by_the_name_of_the_variable(
    variable: str, value: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        said(config({"models": ["qwen3"]}), {variable: value})

    (problem,) = caught.value.problems
    assert str(problem).startswith(f"providers.here: {variable} in the environment: ")
    assert "secret" not in str(problem)


def test_a_default_model_is_one_that_can_be_called() -> None:
    default = {"OLLAMA_DEFAULT_MODEL": "qwen3"}

    def found(given: Config) -> list[Any]:
        return [each.value for each in said(given, default)]

    assert found(config()) == ["here/qwen3"]
    assert found(config({"models": ["qwen3"]})) == ["qwen3"]
    assert found(config({"models": "discover"})) == ["here/qwen3"]
    assert found(config({"models": ["llama3.2"]})) == []
    assert found(config(models={"qwen3": {"deployments": ["here/x"]}})) == ["qwen3"]


async def test_a_router_goes_by_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("ollama", models=["llama3.2"], default=Reply("hello"))
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{upstream.port}")
        monkeypatch.setenv("OLLAMA_MAX_CONNECTIONS", "3")
        monkeypatch.setenv("OLLAMA_DEFAULT_MODEL", "llama3.2")
        async with Router.from_config({"providers": {"here": {"type": "ollama"}}}) as router:
            model = router.config.model_by_default
            assert model == "here/llama3.2"
            assert (await router.chat(model, "hi")).text == "hello"
            async with Router.from_config(
                {"providers": {"here": {"type": "ollama", "models": "discover"}}}
            ) as other:
                assert other.status().models["llama3.2"].deployments["here/llama3.2"].max_in_flight == 3


def test_a_check_finds_what_is_wrong_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_TIMEOUT", "soon")

    with pytest.raises(ConfigError, match="OLLAMA_TIMEOUT in the environment"):
        Router.check({"providers": {"here": {"type": "ollama"}}})
