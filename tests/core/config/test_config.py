"""What a configuration says, and what it is told when it is wrong, word by word."""

from __future__ import annotations

import re
import string
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from pointsman.auth import Secret
from pointsman.config import Config, CredentialConfig, DeploymentConfig, Named
from pointsman.config.findings import Finding
from pointsman.config.interpolate import interpolate
from pointsman.errors import ConfigError
from pointsman.units import Duration

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "configuration.md"

EXAMPLE = """\
providers:
  gpu1:   {type: ollama,  base_url: http://127.0.0.1:11434}
  gpu2:   {type: ollama,  base_url: http://127.0.0.1:11435}
  box:    {type: localai, base_url: http://127.0.0.1:8080}
  openai: {type: openai,  auth: {type: env, name: OPENAI_API_KEY}}
  other:  {type: openai,  api_key: "${OPENAI_API_KEY}"}
  claude: {type: claude,  auth: {type: keystore, entry: anthropic}}

models:
  assistant:
    strategy: least_connections
    deployments:
      - {provider: gpu1, model: llama3.2, weight: 3, max_in_flight: 4}
      - gpu2/llama3.2                            # short form
      - {provider: box, model: llama-3.2-3b-instruct, priority: 1}
    fallback: [cloud]
  cloud:
    strategy: weighted
    deployments:
      - {provider: openai, model: gpt-5-mini, weight: 8}
      - {provider: claude, model: claude-sonnet-4-5, weight: 2, defaults: {max_tokens: 4096}}

strategy: round_robin
retry: {type: exponential, attempts: 3, base_delay: 500ms, max_delay: 8s, budget: 20%}
circuit_breaker: {failure_threshold: 5, reset_timeout: 15s, half_open_max_calls: 2}
timeouts: {connect: 5s, first_token: 60s, idle: 60s, total: 10m}
audit: [{type: jsonl, path: ./audit}]
"""


def load(text: str, suffix: str = ".yaml", **environ: str) -> Config:
    return Config.from_text(dedent(text), suffix=suffix, file=f"pointsman{suffix}", environ=environ)


def complaints(text: str, suffix: str = ".yaml", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, suffix, **environ)
    lines = [str(each) for each in caught.value.problems]
    count = f"{len(lines)} problem{'s' if len(lines) > 1 else ''} in pointsman{suffix}:"
    coded = [each.coded for each in caught.value.problems]
    assert str(caught.value).splitlines() == [count, *(f"  {line}" for line in coded)]
    return lines


def test_the_example_of_the_design_is_read_as_it_is_meant() -> None:
    config = load(EXAMPLE, OPENAI_API_KEY="sk-1234567890")

    assistant = config.models["assistant"]
    assert assistant.strategy == Named(type="least_connections")
    assert [each.id for each in assistant.deployments] == [
        "gpu1/llama3.2",
        "gpu2/llama3.2",
        "box/llama-3.2-3b-instruct",
    ]
    assert assistant.deployments[0].max_in_flight == 4
    assert config.retry.settings == {"attempts": 3, "base_delay": "500ms", "max_delay": "8s", "budget": "20%"}
    assert config.timeouts.total == 600.0
    key = config.providers["other"].api_key
    assert key is not None
    assert key.reveal() == "sk-1234567890"
    assert config.providers["claude"].credentials[0] == CredentialConfig.model_validate(
        {"type": "keystore", "entry": "anthropic"}
    )


def test_everything_but_the_providers_has_a_default() -> None:
    config = load("providers: {gpu1: {type: ollama}}")

    assert config.strategy.type == "round_robin"
    assert config.retry.type == "exponential"
    assert config.transport.type == "auto"
    assert config.timeouts.model_dump() == {
        "connect": 5.0, "first_token": 60.0, "idle": 60.0, "total": 600.0, "attempt": None,
        "drain": 30.0,
    }  # fmt: skip
    assert config.circuit_breaker.model_dump() == {
        "enabled": True, "failure_threshold": 5, "window": 30.0, "minimum_calls": 20, "failure_rate": 0.5,
        "slow_rate": 0.8, "slow_after": 30.0, "slow_call_duration": None, "reset_timeout": 15.0, "max_reset_timeout": 300.0,
        "half_open_max_calls": 2, "success_threshold": 2, "count_overload": False,
    }  # fmt: skip


def test_defaults_of_the_breaker_follow_the_settings_they_depend_on() -> None:
    config = load("""\
        providers: {gpu1: {type: ollama}}
        circuit_breaker: {half_open_max_calls: 1, reset_timeout: 10m}
        """)

    assert config.circuit_breaker.success_threshold == 1
    assert config.circuit_breaker.max_reset_timeout == 600.0


def test_a_short_form_is_split_at_its_first_slash() -> None:
    deployment = DeploymentConfig.model_validate("box/org/model:q4")

    assert (deployment.provider, deployment.model, deployment.id) == (
        "box",
        "org/model:q4",
        "box/org/model:q4",
    )


def test_a_model_that_several_providers_list_is_one_pool() -> None:
    config = load("""\
        providers:
          gpu1: {type: ollama, models: [llama3.2, phi4]}
          gpu2: {type: ollama, models: [llama3.2]}
        models:
          best: {deployments: [gpu1/phi4], fallback: [llama3.2]}
        """)

    models = config.public_models()

    assert list(models) == ["best", "llama3.2", "phi4"]
    assert [each.id for each in models["llama3.2"].deployments] == ["gpu1/llama3.2", "gpu2/llama3.2"]


def test_the_most_specific_timeout_wins() -> None:
    config = load("""\
        providers:
          gpu1: {type: ollama, timeouts: {connect: 1s, idle: 2s, first_token: 3s}}
        models:
          m:
            deployments: [{provider: gpu1, model: x, timeouts: {first_token: 5s}}]
            timeouts: {idle: 4s, total: 6s}
        timeouts: {attempt: 7s}
        """)

    timeouts = config.timeouts_for("m", config.models["m"].deployments[0])

    assert timeouts.model_dump() == {
        "connect": 1.0,
        "first_token": 5.0,
        "idle": 4.0,
        "total": 6.0,
        "attempt": 7.0,
        "drain": 30.0,
    }


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
def test_yaml_and_json_of_one_configuration_are_equal(suffix: str) -> None:
    text = '{"providers": {"gpu1": {"type": "ollama", "models": ["a"]}}, "timeouts": {"idle": "1m"}}'

    assert load(text, suffix) == load(
        'timeouts.idle = 60\n[providers.gpu1]\ntype="ollama"\nmodels=["a"]', ".toml"
    )


def test_a_configuration_can_be_made_in_python() -> None:
    mapping = {"providers": {"gpu1": {"type": "ollama"}}, "models": {"m": {"deployments": ["gpu1/x"]}}}

    made = Config.model_validate(mapping)

    assert made == Config.from_mapping(mapping)
    assert made.file is None
    assert str(made.problem(("models", "m"), "is wrong")) == "models.m: is wrong"


def test_a_reference_in_python_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="no provider is named 'gpu2'; did you mean 'gpu1'"):
        Config.model_validate(
            {"providers": {"gpu1": {"type": "x"}}, "models": {"m": {"deployments": ["gpu2/x"]}}}
        )


# ── references to variables and files ────────────────────────────────────────────────────────────────


def test_references_are_resolved_in_values_only_and_after_parsing(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-file\n")
    text = f"""\
        providers:
          ${{A}}:
            type: "x${{A}}-$${{A}}"
            api_key: ${{file:{secret}}}
            keepalive: ${{NOTHING:-2m}}
            http2: ${{ON}}
        models:
          m: {{deployments: [{{provider: "${{P}}", model: "${{EMPTY:-m}}", weight: "${{W:-3}}"}}]}}
        """

    config = load(text, A="a: [", ON="true", P="${A}", EMPTY="")

    provider = config.providers["${A}"]
    assert provider.type == "xa: [-${A}"
    assert provider.api_key == Secret("from-file")
    assert (provider.keepalive, provider.http2) == (120.0, True)
    assert config.models["m"].deployments[0].model_dump(include={"model", "weight"}) == {
        "model": "m",
        "weight": 3,
    }


def test_a_reference_that_leads_nowhere_is_the_only_complaint_about_its_value(tmp_path: Path) -> None:
    text = f"""\
        providers:
          gpu1: {{type: ollama, api_key: "${{NOPE}}", keepalive: "${{ALSO_NOT}}"}}
        models:
          m:
            deployments:
              - ${{WHO}}/x
              - {{provider: gpu1, model: "$x", name: "${{a b}}"}}
              - {{provider: gpu1, model: "${{x", name: "${{file:{tmp_path}/no}}"}}
        """

    assert complaints(text) == [
        "pointsman.yaml:2:33: providers.gpu1.api_key: the environment variable NOPE is not set; "
        "set it, or write ${NOPE:-default}",
        "pointsman.yaml:2:55: providers.gpu1.keepalive: the environment variable ALSO_NOT is not set; "
        "set it, or write ${ALSO_NOT:-default}",
        "pointsman.yaml:6:9: models.m.deployments[0]: the environment variable WHO is not set; "
        "set it, or write ${WHO:-default}",
        "pointsman.yaml:7:33: models.m.deployments[1].model: a '$' that begins nothing; "
        "write ${NAME} for a variable and $$ for a dollar sign",
        "pointsman.yaml:7:45: models.m.deployments[1].name: '${…}' holds neither a variable nor a file; "
        "write ${NAME}, ${NAME:-default} or ${file:/path}",
        "pointsman.yaml:8:33: models.m.deployments[2].model: '${' without a closing '}'; "
        "write ${NAME} for a variable and $$ for a dollar sign",
        f"pointsman.yaml:8:46: models.m.deployments[2].name: the file {tmp_path}/no cannot be read: "
        "No such file or directory",
    ]


@given(st.text(), st.text(min_size=1))
def test_a_value_of_a_variable_arrives_untouched(before: str, value: str) -> None:
    text = before.replace("$", "$$") + "${V}"
    config = Config.from_mapping({"providers": {"p": {"type": "t", "own": text}}}, environ={"V": value})

    assert config.providers["p"].settings == {"own": before + value}


def test_of_a_reference_that_is_never_closed_all_that_follows_is_a_part() -> None:
    # Each of them looked for its end through all the rest: a second for 10,000, an hour for a megabyte.
    _, faults = interpolate({"a": "x" + "${" * 10_000}, environ={}, read_file=lambda path: path)

    assert [path for path, *_ in faults] == [("a",)]


# ── what is wrong ────────────────────────────────────────────────────────────────────────────────────


def test_values_and_references_are_found_wrong_in_one_run() -> None:
    text = """\
        providers:
          gpu1: {type: ollama, base_url: "http://u:hunter22@h", api_key: " "}
          gpu2: {type: openai, api_key: sk-0123456789, auth: {type: env}}
          a/b: {type: x}
          none: {}
        models:
          assistant:
            stratgey: least_connections
            deployments:
              - {provider: gpu1, model: llama3.2, weight: 0}
              - gpu3/llama3.2
              - llama3.2
              - {provider: gpu2, model: 4, max_in_flight: 0, weigth: 3}
              - gpu4/x
              - gpu2/q
              - gpu2/q
            fallback: [cloud, clud, cloud]
          cloud:
            deployments: [{provider: gpu2, model: q, max_in_flight: 2}]
            fallback: [assistant]
          "gpt-4.1": {}
          gpu1/own: {deployments: [gpu1/own], defaults: {model: x}, fallback: local}
        timeouts: {connect: 5 sec, idle: -1, total: 0s}
        retries: 3
        circuit_breaker: {half_open_max_calls: 1, success_threshold: 2, window: true, enabled: 7d,
          slow_rate: 20}
        audit: jsonl
        plugins:
        """

    assert complaints(text) == [
        "pointsman.yaml:2:34: providers.gpu1.base_url: holds a user name or password; "
        "put the credential under api_key or auth",
        "pointsman.yaml:2:66: providers.gpu1.api_key: is empty; set the variable it comes from, or "
        "leave the key out",
        "pointsman.yaml:3:54: providers.gpu2.auth: stands beside api_key; keep one of them",
        "pointsman.yaml:4:3: providers[\"a/b\"]: the name of a provider must not contain '/': "
        "'provider/model' is split there",
        "pointsman.yaml:5:3: providers.none.type: is missing; such as `type: ollama`",
        "pointsman.yaml:8:5: models.assistant.stratgey: unknown key 'stratgey'; did you mean 'strategy'?",
        "pointsman.yaml:10:51: models.assistant.deployments[0].weight: must be 1 or more",
        "pointsman.yaml:11:9: models.assistant.deployments[1].provider: no provider is named 'gpu3'; "
        "did you mean 'gpu1'?",
        "pointsman.yaml:12:9: models.assistant.deployments[2]: expected 'provider/upstream-model', "
        "such as 'gpu1/llama3.2', or a mapping",
        "pointsman.yaml:13:33: models.assistant.deployments[3].model: expected text, not a number; "
        "write it in quotes",
        "pointsman.yaml:13:51: models.assistant.deployments[3].max_in_flight: must be 1 or more",
        "pointsman.yaml:13:54: models.assistant.deployments[3].weigth: unknown key 'weigth'; did you "
        "mean 'weight'?",
        "pointsman.yaml:14:9: models.assistant.deployments[4].provider: no provider is named 'gpu4'; "
        "did you mean 'gpu1'?",
        "pointsman.yaml:16:9: models.assistant.deployments[6]: deployment 'gpu2/q' is in this model twice; "
        "give it more weight, or give one of them a name",
        "pointsman.yaml:17:23: models.assistant.fallback[1]: no model is named 'clud'; did you mean 'cloud'?",
        "pointsman.yaml:17:29: models.assistant.fallback[2]: 'cloud' is listed twice",
        "pointsman.yaml:19:19: models.cloud.deployments[0]: deployment 'gpu2/q' is described differently in "
        "models.assistant: max_in_flight; make them agree (weight and priority may differ), "
        "or give one of them a name",
        "pointsman.yaml:20:16: models.cloud.fallback[0]: the fallbacks form a loop: "
        "assistant → cloud → assistant; take one of these steps away",
        'pointsman.yaml:21:3: models["gpt-4.1"].deployments: a model needs at least one deployment; '
        "such as gpu1/llama3.2",
        "pointsman.yaml:22:3: models[\"gpu1/own\"]: the name 'gpu1/own' already means a model of the "
        "provider 'gpu1'; "
        "choose a name that does not begin with a provider and '/'",
        "pointsman.yaml:22:49: models[\"gpu1/own\"].defaults: 'model' cannot have a default: every "
        "call says it itself",
        'pointsman.yaml:22:71: models["gpu1/own"].fallback: expected a list, not text; '
        "write `fallback: [other]`",
        "pointsman.yaml:23:21: timeouts.connect: expected seconds as a number, or a duration such as "
        "'500ms', '30s', '2m' or '1h30m'; did you mean '5s'?",
        "pointsman.yaml:23:34: timeouts.idle: expected seconds as a number, or a duration such as "
        "'500ms', '30s', '2m' or '1h30m', not -1",
        "pointsman.yaml:23:45: timeouts.total: must be above 0",
        "pointsman.yaml:24:1: retries: unknown key 'retries'; did you mean 'retry'?",
        "pointsman.yaml:25:62: circuit_breaker.success_threshold: is 2, more than half_open_max_calls (1): "
        "it could never close again",
        "pointsman.yaml:25:73: circuit_breaker.window: expected seconds as a number, or a duration such as "
        "'500ms', '30s', '2m' or '1h30m', not True",
        "pointsman.yaml:25:88: circuit_breaker.enabled: expected true or false, not text",
        "pointsman.yaml:26:14: circuit_breaker.slow_rate: expected a percentage such as '20%', "
        "or a fraction from 0 to 1 such as 0.2, not 20; did you mean '20%'?",
        "pointsman.yaml:27:8: audit: expected a list, not text; "
        "write `audit: [{type: jsonl, path: ./audit}]`",
        "pointsman.yaml:28:1: plugins: expected a mapping, not nothing",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": is empty; begin with 'providers:'"),
        ("- a\n", ":1:1: expected a mapping, not a list; begin with 'providers:'"),
        ("models: {}\n", ":1:1: providers: is missing; such as `providers: {gpu1: {type: ollama}}`"),
        ("providers: {}\n", ":1:12: providers: is empty; name at least one, such as gpu1: {type: ollama}"),
        (
            "providers: {a: {type: x, client_key: k}}\n",
            ":1:38: providers.a.client_key: needs client_cert beside it",
        ),
        (
            "providers: {a: {type: x, base_url: localhost:80}}\n",
            ":1:36: providers.a.base_url: lacks http:// or https:// in front, as in http://127.0.0.1:11434",
        ),
        (
            'providers: {a: {type: x, headers: {X-Y: "a\\nb"}}}\n',
            ":1:35: providers.a.headers: the header X-Y has a line break or another control "
            "character in its value",
        ),
        (
            "providers: {a: {type: x, headers: {Transfer-Encoding: chunked}}}\n",
            ":1:35: providers.a.headers: the header Transfer-Encoding says where a request ends, and each "
            "has its own",
        ),
        (
            'providers: {a: {type: x, base_url: "http://a.test/\\nb"}}\n',
            ":1:36: providers.a.base_url: has a line break or another control character in it",
        ),
        (
            "providers: {a: {type: x, models: [m, m]}}\n",
            ":1:38: providers.a.models[1]: model 'm' is listed twice",
        ),
        (
            "providers: {a: {type: x, models: [m]}}\nmodels: {m: {deployments: [a/n]}}\n",
            ":1:35: providers.a.models[0]: model 'm' is also configured under models; "
            "add 'a/m' to its deployments, or take one of the two away",
        ),
        (
            "providers: {a: {type: x}}\nmodels: {m: {deployments: [a/n], fallback: [m]}}\n",
            ":2:45: models.m.fallback[0]: the fallbacks form a loop: m → m; take one of these steps away",
        ),
        (
            "providers: {a: {type: x}}\nmodels: {m: {deployments: [a/n], limits: {}}}\n",
            ":2:34: models.m.limits: unknown key 'limits'; "
            "known: capabilities, circuit_breaker, default, defaults, deployments, fallback, forced, guards, mirror, of, overload, refusal, require, retry, select_within, selector, strategy, system, timeouts, unsupported",
        ),
        (
            "providers: {a: {type: x}}\nstrategy: {}\n",
            ":2:1: strategy.type: is missing; such as `type: least_connections`",
        ),
        ("providers: {a: {type: x}}\nstrategy: ''\n", ":2:11: strategy.type: must not be empty"),
        (
            "providers: {a: {type: x}}\ncircuit_breaker: {reset_timeout: 1m, max_reset_timeout: 30s}\n",
            ":2:34: circuit_breaker.reset_timeout: is 1m, more than max_reset_timeout (30s)",
        ),
        (
            "providers: {a: {type: x}}\nmodels: {' ': {deployments: [a/b]}}\n",
            ':2:10: models[" "]: a name must not be empty, begin or end with a space, or hold '
            "control characters",
        ),
    ],
)
def test_each_mistake_has_its_message_and_place(text: str, expected: str) -> None:
    assert complaints(text) == [f"pointsman.yaml{expected}"]


def test_toml_and_json_are_told_their_own_lines() -> None:
    toml = """\
        [providers.gpu1]
        type = "ollama"

        [[models.m.deployments]]
        provider = "gpu2"
        model = "x"
        weigth = 1
        """
    json = (
        '{"providers": {"gpu1": {"type": "ollama"}},\n'
        '"models": {"m": {"deployments": [{"provider": "gpu2"}]}}}'
    )

    assert complaints(toml, ".toml") == [
        "pointsman.toml:5:12: models.m.deployments[0].provider: no provider is named 'gpu2'; did you "
        "mean 'gpu1'?",
        "pointsman.toml:7:1: models.m.deployments[0].weigth: unknown key 'weigth'; did you mean 'weight'?",
    ]
    assert complaints(json, ".json") == [
        "pointsman.json:2:34: models.m.deployments[0].model: is missing; such as `model: llama3.2`",
    ]


def test_one_loop_of_several_models_is_named_once() -> None:
    text = """\
        providers: {p: {type: x}}
        models:
          a: {deployments: [p/1], fallback: [b]}
          b: {deployments: [p/2], fallback: [c, d]}
          c: {deployments: [p/3], fallback: [a]}
          d: {deployments: [p/4]}
        """

    assert complaints(text) == [
        "pointsman.yaml:5:38: models.c.fallback[0]: the fallbacks form a loop: a → b → c → a; "
        "take one of these steps away"
    ]


def test_weight_and_priority_of_one_deployment_may_differ_between_models() -> None:
    config = load("""\
        providers: {p: {type: x}}
        models:
          a: {deployments: [{provider: p, model: m, weight: 2, timeouts: {idle: 1m}}]}
          b: {deployments: [{provider: p, model: m, priority: 1, timeouts: {idle: 60}}]}
          c: {deployments: [{provider: p, model: m, name: other, max_in_flight: 1}]}
        """)

    assert [config.models[name].deployments[0].id for name in "abc"] == ["p/m", "p/m", "other"]


@given(
    st.dictionaries(
        st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3, unique=True), min_size=1
    )
)
def test_a_loop_is_found_exactly_when_there_is_one(fallbacks: dict[str, list[str]]) -> None:
    models = {
        name: {"deployments": ["p/m"], "fallback": [each for each in following if each in fallbacks]}
        for name, following in fallbacks.items()
    }

    def reaches(start: str, goal: str) -> bool:
        seen, waiting = set(), list(models[start]["fallback"])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += models[name]["fallback"]
        return goal in seen

    try:
        Config.from_mapping({"providers": {"p": {"type": "t"}}, "models": models})
        found = False
    except ConfigError:
        found = True

    assert found == any(reaches(name, name) for name in models)


# ── settings of plugins ──────────────────────────────────────────────────────────────────────────────


class OllamaSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keep_alive: Duration = 300.0


def test_settings_of_a_plugin_are_checked_with_their_places() -> None:
    config = load("""\
        providers:
          gpu1: {type: ollama, keep_alive: 5 days}
          gpu2: {type: ollama, keepalife: 1s, base_ulr: x}
          gpu3: {type: ollama, keep_alive: 1m}
        retry: {type: none, attempts: 3}
        """)
    found: list[Finding] = []

    made = [
        config.validate_settings(OllamaSettings, provider.settings, ("providers", name), found)
        for name, provider in config.providers.items()
    ]
    config.validate_settings(None, config.retry.settings, ("retry",), found)

    assert made == [None, None, OllamaSettings(keep_alive=60.0)]
    assert [str(each) for each in config.error(found).problems] == [
        "pointsman.yaml:2:36: providers.gpu1.keep_alive: expected seconds as a number, or a duration such as "
        "'500ms', '30s', '2m' or '1h30m'; did you mean '5d'?",
        "pointsman.yaml:3:24: providers.gpu2.keepalife: unknown key 'keepalife'; did you mean 'keepalive'?",
        "pointsman.yaml:3:39: providers.gpu2.base_ulr: unknown key 'base_ulr'; did you mean 'base_url'?",
        "pointsman.yaml:5:21: retry.attempts: unknown key 'attempts'; known: type",
    ]


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────

SECRETS = st.text(string.ascii_letters + string.digits + "-_/+=: '\"{}", min_size=12, max_size=40).map(
    lambda text: f"§{text}§"
)
BROKEN: list[dict[str, Any]] = [
    {},
    {"nonsense": 1},
    {"models": {"m": {"deployments": ["p/x", "q/x", 3], "fallback": ["z"]}}},
    {"timeouts": {"idle": "x"}, "strategy": []},
    {"providers": {}},
]


@given(
    SECRETS,
    st.sampled_from(BROKEN),
    st.sampled_from(["api_key", "auth", "own", "headers", "proxy", "base_url"]),
)
@settings(max_examples=200)
def test_a_secret_is_shown_by_no_error_repr_or_dump(secret: str, broken: dict[str, Any], place: str) -> None:
    settings: Any = {"auth": {"type": "static", "value": "${S}"}, "headers": {"X-Key": "${S}"}}.get(
        place, "${S}"
    )
    mapping = {
        "providers": {"p": {"type": "t", place: settings, "http2": "${S}", "auth_": [{"a": "${S}"}]}},
        **broken,
    }
    sound = {"providers": {"p": {"type": "t", place: settings}}}
    shown = []

    for each in (mapping, sound):
        try:
            config = Config.from_mapping(each, environ={"S": secret})
        except ConfigError as error:
            shown += [
                str(error),
                repr(error),
                repr(error.problems),
                repr(error.__cause__),
                repr(error.__context__),
            ]
        else:
            shown += [repr(config), str(config), config.model_dump_json(), repr(config.model_dump())]
            shown += [repr(config.providers["p"].credentials)]

    assert not [each for each in shown if secret in each or repr(secret)[1:-1] in each]


class Careless(BaseModel):
    token: str

    def model_post_init(self, _context: Any) -> None:
        raise ValueError(f"cannot use {self.token}")


def test_a_validator_of_a_plugin_that_repeats_a_secret_is_cut_short() -> None:
    config = load("providers: {p: {type: t, token: very-secret-token}}")
    found: list[Finding] = []

    config.validate_settings(Careless, config.providers["p"].settings, ("providers", "p"), found)

    assert [str(each) for each in config.error(found).problems] == [
        "pointsman.yaml:1:16: providers.p: cannot use ***"
    ]


# ── the page ──────────────────────────────────────────────────────────────────────────────────


def test_the_examples_of_the_page_are_what_they_say() -> None:
    page = PAGE.read_text("utf-8")
    example, wrong = (
        re.findall(r"```yaml\n(.*?)```", part, re.DOTALL)[0] for part in page.split("## What goes wrong")
    )
    answer = re.findall(r"```text\n(.*?)```", page.split("## What goes wrong")[1], re.DOTALL)[0]

    config = load(example, OPENAI_API_KEY="sk-1234567890")
    with pytest.raises(ConfigError) as caught:
        load(wrong)

    assert list(config.public_models()) == ["assistant", "cloud"]
    assert str(caught.value) == answer.strip()


def test_the_names_of_the_page_mean_what_it_says() -> None:
    section = PAGE.read_text("utf-8").partition("### Names that mean others")[2]
    (example,) = re.findall(r"```yaml\n(.*?)```", section.partition("###")[0], re.DOTALL)
    config = load(example, OPENAI_API_KEY="sk-1234567890")
    meant = {
        "gpt-4o": ["gpu1/llama3.2"],
        "fast": ["any/gpt-5-mini"],
        "openai/gpt-5": ["any/gpt-5"],
        "local-phi4": ["gpu1/phi4"],
        "gpu1/phi4": ["gpu1/phi4"],
    }

    for name, deployments in meant.items():
        described = config.described(name)
        assert described is not None
        assert [each.id for each in described.deployments] == deployments
    fallback = {
        name: [each.to for each in config.fallback_of(model)] for name, model in config.models.items()
    }
    assert fallback == {"assistant": ["cloud"], "cloud": [], "openai/*": ["cloud"], "local-*": ["cloud"]}
