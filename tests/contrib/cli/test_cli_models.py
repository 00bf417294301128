from __future__ import annotations

import pytest


def test_models_lists_public_names_and_what_providers_have(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), servers.add("claude", name="cloud"))

    table, data = cli("models", "list"), cli("models", "list", "--json")

    names = [line.split("\t")[0] for line in table.out.splitlines()]
    assert names == ["model", "assistant", "gpu/llama3.2:latest", "cloud/claude-sonnet-5-5"]
    assert [each["id"] for each in data.json] == names[1:]
    assert data.json[0]["deployments"] == ["gpu/llama3.2", "cloud/claude-sonnet-5-5"]


NAMES = """
  gpu-*: {deployments: ["gpu/*"], fallback: [assistant]}
aliases: {gpt-4o: assistant, fast: gpu-llama3.2}
"""


def test_every_command_that_shows_models_shows_their_other_names(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more=NAMES)

    listed, status = cli("models", "list"), cli("status")
    told = {name: cli("explain", name).err.splitlines() for name in ("gpt-4o", "fast")}
    shown = cli("models", "show", "fast", "--json").json

    assert cli("config", "check").out == "ok: 1 provider, 1 model, 1 pattern, 2 aliases\n"
    rows = [line.split("\t") for line in listed.out.splitlines()]
    assert [[row[0], row[-1]] for row in rows[1:4]] == [
        ["assistant", "gpu/llama3.2"],
        ["gpt-4o", "as assistant"],
        ["fast", "as gpu-llama3.2"],
    ]
    assert status.out.splitlines()[-3:] == [
        "gpt-4o: another name of assistant",
        "fast: another name of gpu-llama3.2",
        "gpu-*: every name of that form, at gpu/*",
    ]
    assert told["gpt-4o"][:2] == ["a call for gpt-4o goes to gpu/llama3.2", "it is another name of assistant"]
    assert told["fast"][1:3] == ["it is another name of gpu-llama3.2", "what holds for it is said of gpu-*"]
    assert [each["id"] for each in shown["deployments"]] == ["gpu/llama3.2"]
    assert shown["fallback"] == ["assistant"]
    assert cli("ask", "gpt-4o", "hi").code == 0


def test_a_provider_that_does_not_answer_is_told_on_stderr(cli, servers) -> None:
    gpu, box = servers.add("ollama", name="gpu"), servers.add("localai", name="box")
    servers.configure(gpu, box)
    servers.do(box.stop())

    ran = cli("models", "list")

    assert ran.code == 0
    assert "gpu/llama3.2:latest" in ran.out
    assert "box does not answer: " in ran.err


def test_show_tells_what_ollama_knows(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), servers.add("localai", name="box"))

    text, data = cli("models", "show", "assistant"), cli("models", "show", "assistant", "--json").json

    assert "gpu/llama3.2" in text.out
    assert "Q4_K_M" in text.out
    assert data["strategy"] == "round_robin"
    gpu, box = data["deployments"]
    assert gpu["details"]["parameter_size"] == "3.2B"
    assert box["details"] is None


def test_show_takes_a_name_that_is_not_configured_at_a_provider(cli, gpu) -> None:
    there = cli("models", "show", "gpu/llama3.2", "--json").json
    missing = cli("models", "show", "gpu/nothing", "--json").json

    assert there["deployments"][0]["details"]["family"]
    assert "nothing" in missing["deployments"][0]["details"]["error"]


def test_show_of_an_unknown_name_is_usage(cli, gpu) -> None:
    assert cli("models", "show", "asistant").code == 2


@pytest.mark.parametrize("words", [("gpu/qwen3",), ("-p", "gpu", "qwen3"), ("qwen3",)])
def test_pull_at_ollama(cli, servers, gpu, words: tuple[str, ...]) -> None:
    ran = cli("models", "pull", *words)

    assert ran.code == 0
    assert ran.out == "pulled qwen3 at gpu\n"
    assert ran.err.splitlines()[0] == "pulling manifest"
    assert ran.err.splitlines()[-1] == "success"
    servers.do(gpu.idle())
    assert any(name.startswith("qwen3") for name in gpu.site.models)


def test_pull_in_json_is_a_line_for_each_step(cli, gpu) -> None:
    steps = cli("models", "pull", "gpu/qwen3", "--json").json_lines

    assert steps[-1]["status"] == "success"
    layers = [each for each in steps if each["total"]]
    assert layers
    assert all(each["unit"] == "bytes" for each in layers)


def test_pull_at_localai_follows_the_job(cli, servers, monkeypatch: pytest.MonkeyPatch) -> None:
    box = servers.add("localai", name="box")
    servers.configure(box)

    steps = cli("models", "pull", "box/phi-4", "--json").json_lines

    assert steps[-1]["completed"] == 100
    assert "phi-4" in box.site.models


def test_a_name_with_slashes_of_its_own_goes_to_the_only_server_that_can_pull(cli, gpu) -> None:
    assert cli("models", "pull", "library/qwen3").out == "pulled library/qwen3 at gpu\n"


def test_pull_of_what_does_not_exist_is_the_upstreams_fault(cli, gpu) -> None:
    ran = cli("models", "pull", "gpu/missing")

    assert ran.code == 3
    assert ran.err.splitlines()[-1].startswith("error: ")


def test_pull_says_who_can(cli, servers) -> None:
    two = [servers.add("ollama", name=name) for name in "ab"]
    servers.configure(servers.add("openai", name="cloud"), *two)

    unsaid, unable = cli("models", "pull", "qwen3"), cli("models", "pull", "cloud/qwen3")
    unknown = cli("models", "pull", "-p", "gpu9", "qwen3")

    assert (unsaid.code, unable.code, unknown.code) == (2, 2, 2)
    assert "those that can: a, b" in unsaid.err
    assert "'cloud' cannot pull" in unable.err
    assert "there are: a, b, cloud" in unknown.err


def test_status_shows_who_is_down(cli, servers) -> None:
    gpu, box = servers.add("ollama", name="gpu"), servers.add("localai", name="box")
    servers.configure(gpu, box, strategy="least_connections")
    servers.do(box.stop())

    text, data = cli("status"), cli("status", "--json").json

    assert text.code == 0
    assert "gpu\tok\t" in text.out
    assert "box\tdown\t" in text.out
    assert "assistant\tleast_connections\tgpu/llama3.2\t" in text.out
    assert data["providers"]["box"]["ok"] is False
    assert data["models"]["assistant"]["deployments"][0]["last_error"] is None
    assert data["models"]["assistant"]["deployments"][0]["id"] == "gpu/llama3.2"
    assert data["in_flight"] == 0


def test_status_ends_with_1_when_a_model_can_take_no_call(cli, servers) -> None:
    gpu, box = servers.add("ollama", name="gpu"), servers.add("localai", name="box")
    servers.configure(gpu, box)
    assert cli("status").code == 0

    servers.do(box.stop())
    servers.do(gpu.stop())
    text, data = cli("status"), cli("status", "--json")

    assert (text.code, data.code) == (1, 1)
    assert "no call can be taken for assistant" in text.err
    assert data.json["providers"]["gpu"]["ok"] is False
    assert data.err == ""


AUTO = """
  cloud: {deployments: [gpu/llama3.2]}
  auto:
    selector: {type: rules, rules: [{tools: true, use: cloud}]}
    of: [assistant, cloud]
"""


def test_a_model_with_a_selector_is_listed_and_shown_with_what_that_can_pick(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more=AUTO)

    table, listed = cli("models", "list").out, cli("models", "list", "--json").json
    text, shown = cli("models", "show", "auto"), cli("models", "show", "auto", "--json").json

    assert "auto\tpublic\t\t\tone of assistant, cloud" in table
    assert [each["of"] for each in listed if each["id"] == "auto"] == [["assistant", "cloud"]]
    assert text.err == "auto: the selector rules picks one of assistant, cloud; assistant by default\n"
    assert (shown["selector"], shown["of"], shown["pick"]) == (
        "rules",
        ["assistant", "cloud"],
        "gpu/llama3.2",
    )


def test_the_status_says_what_a_selector_picks(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more=AUTO)

    told = cli("status").out.splitlines()

    assert told[-1] == "auto: the selector rules picks one of assistant, cloud; assistant by default"


def test_explain_says_what_a_selector_could_pick_and_where_its_default_goes(cli, servers) -> None:
    servers.configure(servers.add("ollama", name="gpu"), more=AUTO)

    assert cli("explain", "auto").err.splitlines()[:2] == [
        "a call for auto goes to gpu/llama3.2",
        "the selector rules, which was not asked, picks one of assistant, cloud; this is for its default, assistant",
    ]
    assert cli("ask", "-m", "auto", "hello").code == 0
