"""LiteLLM's configurations: what becomes of what, and what is said of the rest."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

from pointsman import Config, ConfigError, Router, Unavailable
from pointsman.testing import Scripted
from pointsman_dialects.contracts import OfLiteLlm
from pointsman_dialects.litellm.hints import HINTS
from pointsman_dialects.litellm.upstreams import UPSTREAMS

FILES = Path(__file__).parent / "files"
FOUND = Path(__file__).parents[4] / "shared" / "dialects" / "litellm"
KEYS = {
    name: f"sk-{name.lower()}-of-some-length"
    for name in (
        "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "XAI_API_KEY", "OPENROUTER_API_KEY",
        "AZURE_API_KEY", "AZURE_API_KEY_2", "LITELLM_MASTER_KEY", "REDIS_PASSWORD", "OPENAI_ORG_ID",
    )
}  # fmt: skip
ENVIRONMENT = {
    **KEYS,
    "OPENAI_API_BASE": "https://api.openai.com/v1",
    "AZURE_API_BASE": "https://one.openai.azure.com",
    "AZURE_API_BASE_2": "https://two.openai.azure.com/",
    "REDIS_HOST": "127.0.0.1",
    "REDIS_PORT": "6379",
}


def read(text: str, **environ: str) -> Config:
    return Config.from_text(dedent(text), file="config.yaml", environ=environ or ENVIRONMENT)


def one(params: str, *, name: str = "m", more: str = "") -> Config:
    """The configuration of one entry."""
    return read(f"model_list: [{{model_name: '{name}', litellm_params: {{{params}}}}}]\n{dedent(more)}")


def said(config: Config) -> list[str]:
    return [str(each).removeprefix("config.yaml:") for each in config.warnings]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


# ── whole files ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.usefixtures("environment")
@pytest.mark.skipif(not FOUND.is_dir(), reason="the files that were met elsewhere are not here")
def test_every_file_that_was_met_elsewhere_loads_and_builds() -> None:
    files = sorted(FOUND.glob("*.yaml"))

    loaded = {file.name[:2]: Router.check(file) for file in files}

    assert len(files) >= 10
    deployments = {
        name: sum(len(model.deployments) for public, model in each.models.items() if "alone" not in public)
        for name, each in loaded.items()
    }
    assert deployments == {
        "01": 7, "02": 7, "03": 3, "04": 2, "05": 4, "06": 6, "07": 1, "08": 2, "09": 6, "10": 12,
    }  # fmt: skip
    for each in loaded.values():
        assert all(warning.line is not None for warning in each.warnings)


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("file", sorted(FILES.glob("*.litellm.yaml")), ids=lambda each: each.name)
def test_every_file_of_ours_loads_and_builds(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "sk-of-some-length")

    assert Router.check(file).models


class TestEverything(OfLiteLlm):
    """With something of every kind."""

    plugins = (Scripted("openai", "ollama", "claude"),)
    documents = (
        {
            "model_list": [
                {
                    "model_name": "a",
                    "litellm_params": {
                        "model": "anthropic/x",
                        "api_key": "sk-a",
                        "weight": "2",
                        "order": 1,
                        "timeout": "5",
                        "num_retries": 1,
                        "extra_headers": {"x-team": "a"},
                    },
                    "model_info": {"mode": "chat", "supports_vision": True, "max_input_tokens": 10},
                },
                {"model_name": "b/*", "litellm_params": {"model": "ollama/*", "num_ctx": 1, "rpm": "3"}},
                {"model_name": "gone", "litellm_params": {"model": "bedrock/x"}},
            ],
            "router_settings": {
                "num_retries": "1",
                "context_window_fallbacks": [{"a": ["b/x"]}],
                "redis_host": "redis",
                "redis_password": "p",
            },
            "litellm_settings": {"default_fallbacks": ["a"], "callbacks": ["prometheus", "other"]},
            "general_settings": {"master_key": "sk-1", "completion_model": "a"},
            "environment_variables": {"A": "b"},
        },
    )


# ── providers ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", UPSTREAMS)
def test_every_beginning_of_a_name_is_a_provider_that_can_be_built(kind: str) -> None:
    upstream = UPSTREAMS[kind]
    environ = {
        upstream.variable or "NONE": "sk-of-some-length",
        "AZURE_API_BASE": "https://a.openai.azure.com",
    }
    text = f"model_list: [{{model_name: m, litellm_params: {{model: {kind}/x}}}}]"

    given = read(text, **environ)

    (provider,) = given.providers.values()
    assert (provider.type, provider.preset) == (upstream.type, upstream.preset)
    assert (provider.api_key is not None) == (upstream.variable is not None)


def test_entries_of_one_address_and_key_share_a_provider() -> None:
    given = read("""
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, api_key: os.environ/OPENAI_API_KEY}}
          - {model_name: b, litellm_params: {model: gpt-4o}}
          - {model_name: c, litellm_params: {model: openai/y, api_base: "http://box.local:1/v1", api_key: NONE}}
          - {model_name: d, litellm_params: {model: openai/z, api_base: "http://box.local:1/v1", api_key: sk-x}}
          - {model_name: e, litellm_params: {model: y, custom_llm_provider: openai, api_key: EMPTY, api_base: "http://box.local:1/v1"}}
        """)

    assert {name: [each.id for each in model.deployments] for name, model in given.models.items()} == {
        "a": ["openai/x"], "b": ["openai/gpt-4o"], "c": ["openai-box/y"], "d": ["openai-2/z"], "e": ["openai-box/y"],
    }  # fmt: skip
    assert given.providers["openai-box"].auth is not None
    assert given.warnings == ()


def test_a_provider_is_never_called_as_models_begin() -> None:
    given = one("model: ollama/llama3", name="ollama/llama3")

    assert list(given.providers) == ["ollama-2"]


@pytest.mark.parametrize(
    ("params", "address"),
    [
        ("model: openai/x, api_key: k, api_base: 'http://h:1/v1/chat/completions'", "http://h:1/v1"),
        ("model: azure/x, api_base: 'https://n.openai.azure.com/'", "https://n.openai.azure.com/openai/v1"),
        ("model: azure/x, api_base: 'https://n.test/openai/v1'", "https://n.test/openai/v1"),
        ("model: anthropic/x, api_base: 'https://h/v1/messages'", "https://h"),
        ("model: ollama/x, api_base: 'http://h:11434/api/generate'", "http://h:11434"),
    ],
)
def test_addresses_end_where_ours_do(params: str, address: str) -> None:
    (provider,) = one(params).providers.values()

    assert provider.base_url == address


def test_references_stay_references_and_dollar_signs_stay_dollar_signs() -> None:
    given = read(
        "model_list: [{model_name: m, litellm_params: {model: openai/x, api_key: 'a$b${C}', api_base: os.environ/B}}]",
        B="https://b.test/v1",
        C="c",
    )

    (provider,) = given.providers.values()
    assert provider.base_url == "https://b.test/v1"
    assert provider.api_key is not None
    assert provider.api_key.reveal() == "a$bc"


def test_credentials_that_stand_by_themselves_are_those_of_who_names_them() -> None:
    given = read("""
        credential_list: [{credential_name: mine, credential_values: {api_key: os.environ/OPENAI_API_KEY}}]
        model_list:
          - {model_name: a, litellm_params: {model: openai/x, litellm_credential_name: mine}}
          - {model_name: b, litellm_params: {model: ollama/x, litellm_credential_name: other}}
        """)

    key = given.providers["openai"].api_key
    assert key is not None
    assert key.reveal() == KEYS["OPENAI_API_KEY"]
    assert [each.partition(": ")[2] for each in said(given)] == [
        "model_list[1].litellm_params.litellm_credential_name: names no entry of `credential_list`; it is left out"
    ]


def test_a_variable_that_is_not_set_is_an_error_at_its_line() -> None:
    with pytest.raises(
        ConfigError, match=r"config\.yaml:1:\d+: .*api_key: the environment variable NOWHERE is not set"
    ):
        one("model: openai/x, api_key: os.environ/NOWHERE")


# ── deployments ──────────────────────────────────────────────────────────────────────────────────────


def test_what_is_said_of_a_deployment_is_said_of_it_here() -> None:
    given = one(
        "model: ollama/x, rpm: '10', tpm: 2000, max_parallel_requests: 3, timeout: '5', stream_timeout: 2, "
        "temperature: 0.5, max_tokens: '7', extra_body: {a: 1}, num_ctx: 4, keep_alive: 5m, drop_params: true, "
        "max_retries: 2, input_cost_per_token: 0.0000001, output_cost_per_token: '4e-7'"
    )

    (deployment,), model = given.models["m"].deployments, given.models["m"]
    assert deployment.limits is not None
    assert (str(deployment.limits.requests), str(deployment.limits.tokens)) == ("10/min", "2000/min")
    assert deployment.max_in_flight == 3
    assert (deployment.timeouts.attempt, deployment.timeouts.idle) == (5, 2)
    assert deployment.defaults == {"temperature": 0.5, "max_tokens": 7, "extra": {"a": 1}}
    assert deployment.options == {"options": {"num_ctx": 4}, "keep_alive": "5m"}
    assert deployment.price is not None
    assert (deployment.price.input, deployment.price.output) == (0.1, 0.4)
    assert model.unsupported == "drop"
    assert model.retry is not None
    assert model.retry.settings == {"attempts": 3}
    assert given.warnings == ()


@pytest.mark.parametrize(
    ("params", "warning"),
    [
        ("model: bedrock/x", "LiteLLM's 'bedrock' cannot be asked here; 'm' is left out"),
        ("model: unheard-of", "what names no provider cannot be asked here; 'm' is left out"),
        ("model: openai/", "names no model; 'm' is left out"),
        ("model: openai/*", "such a pattern cannot be asked for here; 'm' is left out; one `*` in both"),
        ("model: ollama/x, mock_response: hi", "mock_response: has no counterpart here"),
        ("model: ollama/x, rpm: none at all", "rpm: is no number of 1 or more; it is left out"),
        ("model: ollama/x, input_cost_per_token: 1", "a price is that of the prompt and that of the answer"),
        ("model: openai/x, api_base: 'http://h:1/v1'", "no key is sent to an address of its own"),
        ("model: ollama/x, max_retries: 20", "a model says once how often it is asked, 20 times at most"),
    ],
)
def test_what_has_no_counterpart_is_a_warning_at_its_line(params: str, warning: str) -> None:
    other = "  - {model_name: other, litellm_params: {model: ollama/y}}\n"
    given = read(f"model_list:\n{other}  - {{model_name: m, litellm_params: {{{params}}}}}\n")

    (found,) = said(given)
    assert found.startswith("3:")
    assert warning in found


@pytest.mark.parametrize(
    ("more", "helps"),
    [
        ("litellm_settings: {max_budget: 100}", "under `budgets`: docs/budgets.md"),
        ("router_settings: {provider_budget_config: {openai: {budget_limit: 1}}}", "docs/budgets.md"),
        ("general_settings: {database_url: 'postgres://x'}", "kept in a database, `callers`: docs/keys.md"),
        ("guardrails: [{guardrail_name: pii}]", "`guards` stand around requests: docs/guards.md"),
        ("router_settings: {enable_tag_filtering: true}", "`labels` at the deployment, and `require`"),
        ("litellm_settings: {json_logs: true}", "`pointsman serve --log json`"),
    ],
)
def test_what_is_left_out_is_told_with_what_there_is_in_its_place(more: str, helps: str) -> None:
    (found,) = said(one("model: ollama/x", more=more))

    assert "has no counterpart here; " in found
    assert helps in found


def test_what_is_left_out_of_a_deployment_is_told_with_what_there_is_in_its_place() -> None:
    found = said(one("model: ollama/x, tags: [free], max_budget: 10, cooldown_time: 5"))

    assert [each.partition("docs/")[2] for each in found] == [
        "resilience.md",
        "budgets.md",
        "configuration.md",
    ]


DOCS = Path(__file__).parents[3] / "docs"


def test_hints_name_only_pages_settings_and_options_that_there_are() -> None:
    told = " ".join(HINTS.values())
    pages = set(re.findall(r"docs/([\w-]+\.md)", told))
    written = " ".join((DOCS / page).read_text("utf-8") for page in {*pages, "cli.md", "security.md"})
    named = [each for each in re.findall(r"`([^`]+)`", told) if not each.startswith("pointsman ")]
    commands = re.findall(r"`pointsman (\w+)(?: (--[\w-]+))?[^`]*`", told)

    assert {page for page in pages if not (DOCS / page).is_file()} == set()
    assert {each for each in named if each.rpartition(".")[2] not in written} == set()
    assert commands
    for command, option in commands:
        _before, heading, rest = written.partition(f"\n## `pointsman {command}`")
        assert heading, command
        assert not option or re.search(f"`{option}[ `]", rest.partition("\n## ")[0]), (command, option)


def test_an_alias_that_is_hidden_there_is_told_to_be_seen_here() -> None:
    hidden = "{away: {model: m, hidden: true}, seen: {model: m, hidden: false}}"
    given = one("model: ollama/x", more=f"router_settings: {{model_group_alias: {hidden}}}")

    assert given.aliases == {"away": "m", "seen": "m"}
    (found,) = said(given)
    assert "model_group_alias.away.hidden: lists of models have it here; who shall not see it" in found


def test_where_nothing_is_left_it_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1:13: model_list: none of these can be asked here"):
        one("model: bedrock/x")


@pytest.mark.parametrize("text", ["model_list: 3\n", "model_list: []\n"])
def test_a_list_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.yaml:1:13: model_list: expected a list of deployments"):
        read(text)


def test_an_entry_without_a_model_is_an_error_at_its_place() -> None:
    with pytest.raises(
        ConfigError, match=r"1:\d+: model_list\[0\]: expected `model_name`, and `litellm_params`"
    ):
        read("model_list: [{model_name: x}]\n")


def test_a_deployment_that_has_no_share_beside_others_comes_after_them() -> None:
    given = read("""
        model_list:
          - {model_name: m, litellm_params: {model: ollama/x, weight: 3}}
          - {model_name: m, litellm_params: {model: ollama/y}}
        """)

    assert [(each.weight, each.priority) for each in given.models["m"].deployments] == [(1, 0), (1, 1)]
    assert given.strategy.type == "weighted"
    assert "says no weight beside deployments that do" in said(given)[0]


# ── what holds for all ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("theirs", "ours", "differs"),
    [
        ("simple-shuffle", "round_robin", ""),
        ("least-busy", "least_connections", ""),
        ("latency-based-routing", "peak_ewma", "is 'peak_ewma' here: `peak_ewma` goes by"),
        ("cost-based-routing", "cheapest", "is 'cheapest' here: `cheapest` goes by"),
        ("usage-based-routing-v2", "weighted", "is 'weighted' here: here who has used up its limit"),
        ("of-my-own", "round_robin", "no strategy here is like that; calls go to one after the other"),
    ],
)
def test_strategies_are_those_that_are_nearest(theirs: str, ours: str, differs: str) -> None:
    given = one("model: ollama/x", more=f"router_settings: {{routing_strategy: {theirs}}}")

    assert given.strategy.type == ours
    assert differs in "".join(said(given))
    assert bool(differs) == bool(said(given))


def test_what_two_sections_say_holds_as_the_first_says_it_and_that_is_said() -> None:
    given = one(
        "model: ollama/x",
        more="""
        router_settings: {num_retries: 2, timeout: 90}
        litellm_settings: {num_retries: 5, request_timeout: 60}
        """,
    )

    assert given.retry.settings == {"attempts": 3}
    assert given.timeouts.attempt == 60
    assert [each.partition(": ")[2] for each in said(given)] == [
        "litellm_settings.request_timeout: bounds an attempt as a whole here, of a stream, too; "
        "there it bounds each wait for more of it",
        "router_settings.timeout: is left out: litellm_settings.request_timeout says it, too, and holds",
        "litellm_settings.num_retries: is left out: router_settings.num_retries says it, too, and holds",
    ]


def test_the_rest_of_the_settings_is_what_it_is_here() -> None:
    given = one(
        "model: openai/x",
        more="""
        router_settings: {redis_host: os.environ/REDIS_HOST, redis_port: '6380', redis_password: 'p@ss/word'}
        litellm_settings:
          cache: true
          cache_params: {type: local, ttl: '60'}
        general_settings: {master_key: os.environ/LITELLM_MASTER_KEY, completion_model: m, database_url: null}
        """,
    )

    assert given.state is not None
    assert given.state.url is not None
    assert given.state.url.reveal() == "redis://:p%40ss%2Fword@127.0.0.1:6380"
    (guard,) = given.guards
    assert (guard.type, guard.settings) == ("cache", {"shared": True, "ttl": 60})
    assert given.default_model == "m"
    key = {"name": "master", "key": KEYS["LITELLM_MASTER_KEY"], "operator": True}
    assert given.sections["gateway"] == {"access": {"keys": [key], "loopback": False}}
    assert given.warnings == ()


def test_a_master_key_that_is_too_short_is_left_out_and_that_is_said() -> None:
    given = one("model: ollama/x", more="general_settings: {master_key: sk-1234}")

    assert "gateway" not in given.sections
    assert "is left out: a key of the gateway has 16 characters at least" in said(given)[0]
    assert "sk-1234" not in said(given)[0]


def test_variables_that_the_file_sets_stand_in_place_of_references_to_them() -> None:
    given = one(
        "model: openai/x, api_key: os.environ/MINE",
        more="environment_variables: {MINE: sk-in-the-file, OTHER: x}",
    )

    (provider,) = given.providers.values()
    assert provider.api_key is not None
    assert provider.api_key.reveal() == "sk-in-the-file"
    assert [each.partition(": ")[2] for each in said(given)] == [
        "environment_variables.OTHER: is set for nobody here; set it where the program is started"
    ]


def test_fallbacks_that_lead_nowhere_are_left_out_and_that_is_said() -> None:
    given = one(
        "model: ollama/x",
        more="""
        router_settings:
          fallbacks: [{m: [gone, {model: x}]}, {gone: [m]}, 3]
          model_group_alias: {other: gone, m: m}
        """,
    )

    assert given.models["m"].fallback is None
    assert len(said(given)) == 6


@pytest.mark.parametrize(
    ("settings", "on"),
    [
        ("fallbacks: [{m: [b]}]", ["content_filtered", "context_window", "unavailable"]),
        ("fallbacks: [{m: [b]}], content_policy_fallbacks: [{b: [m]}]", ["context_window", "unavailable"]),
        ("fallbacks: [{m: [b]}], context_window_fallbacks: [{b: [m]}]", ["content_filtered", "unavailable"]),
        (
            "fallbacks: [{m: [b]}], context_window_fallbacks: [{m: [b]}]",
            ["content_filtered", "context_window", "unavailable"],
        ),
        ("context_window_fallbacks: [{m: [b]}]", ["context_window"]),
    ],
)
def test_fallbacks_follow_what_no_others_are_said_for(settings: str, on: list[str]) -> None:
    given = read(f"""
        model_list:
          - {{model_name: m, litellm_params: {{model: ollama/x}}}}
          - {{model_name: b, litellm_params: {{model: ollama/y}}}}
        router_settings: {{{settings}}}
        """)

    (following,) = given.models["m"].fallback or ()
    assert (following.to.removesuffix(" (alone)"), following.on) == ("b", on)


TWO_AND_TWO = """\
model_list:
  - {model_name: m, litellm_params: {model: openai/x, api_base: "http://one/v1", api_key: k}}
  - {model_name: m, litellm_params: {model: openai/x, api_base: "http://two/v1", api_key: k}}
  - {model_name: f, litellm_params: {model: ollama/f}}
  - {model_name: g, litellm_params: {model: ollama/g}}
"""


@pytest.mark.parametrize(
    ("settings", "attempts"),
    [
        ("num_retries: 2, fallbacks: [{m: [f, g]}]", 4),
        ("num_retries: 2, fallbacks: [{m: [f]}]", None),
        ("num_retries: 2, fallbacks: [{m: [f]}, {f: [g]}]", 4),
        ("num_retries: 2, fallbacks: [{m: [f]}], default_fallbacks: [g]", 4),
        ("num_retries: 2, context_window_fallbacks: [{m: [f, g]}]", None),
        ("num_retries: 0, fallbacks: [{m: [f, g]}]", None),
        ("fallbacks: [{m: [f, g]}]", None),
    ],
)
def test_a_chain_leaves_each_deployment_an_attempt_that_has_one_there(
    settings: str, attempts: int | None
) -> None:
    given = read(f"{TWO_AND_TWO}router_settings: {{{settings}}}\n")

    retry = given.models["m"].retry
    assert (None if retry is None else retry.settings["attempts"]) == attempts
    assert all(given.models[each].retry is None for each in "fg")


async def test_the_second_deployment_is_asked_before_what_follows() -> None:
    upstream = Scripted("openai", "ollama")
    upstream.default("openai", Unavailable("it is down"))
    given = read(f"{TWO_AND_TWO}router_settings: {{num_retries: 2, fallbacks: [{{m: [f, g]}}]}}\n")

    async with Router(given, plugins=[upstream]) as router:
        answers = [await router.chat("m", "hi") for _ in range(4)]

    assert [each.deployment for each in answers] == ["openai-two/x"] * 4


def test_traces_have_a_section_of_their_own() -> None:
    (found,) = said(one("model: ollama/x", more="litellm_settings: {callbacks: [otel]}"))

    assert "callbacks[0]: `opentelemetry: {endpoint: …}` is a section here: docs/observability.md" in found


def test_fallbacks_without_a_model_are_those_of_all_that_have_none() -> None:
    given = read("""
        model_list:
          - {model_name: m, litellm_params: {model: ollama/x}}
          - {model_name: b, litellm_params: {model: ollama/y}}
        router_settings: {fallbacks: [b]}
        """)

    assert [each.to for each in given.fallback] == ["b"]
    assert given.models["m"].fallback is None


def test_each_warning_of_all_settings_is_at_its_line() -> None:
    given = read("""\
        model_list: [{model_name: m, litellm_params: {model: ollama/x}}]
        router_settings:
          retry_policy: {TimeoutErrorRetries: 2}
          retry_after: 3
        guardrails: [{guardrail_name: x}]
        litellm_settings: {set_verbose: false, success_callback: [langfuse], json_logs: false}
        """)

    assert [(each.line, each.path) for each in given.warnings] == [
        (3, "router_settings.retry_policy"),
        (4, "router_settings.retry_after"),
        (6, "litellm_settings.success_callback[0]"),
        (5, "guardrails"),
    ]


def test_a_file_of_ours_beside_a_list_of_models_is_no_file_of_litellms() -> None:
    with pytest.raises(ConfigError, match="unknown key 'model_list'"):
        read("providers: {a: {type: ollama}}\nmodel_list: []\n")
