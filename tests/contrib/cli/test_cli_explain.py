"""Where a call would go, and vectors."""

from __future__ import annotations

from pathlib import Path

import pytest

MORE = """
  cloud:
    deployments: [two/llama3.2]
    fallback: []
circuit_breaker: {enabled: true}
"""


@pytest.fixture
def two(servers):
    """`assistant` over two servers of which the second comes after the first, with the fallback `cloud`."""
    one, other = servers.add("ollama", name="one"), servers.add("ollama", name="two")
    file = servers.configure(one, other, more=MORE)
    text = file.read_text().replace(
        "      - two/llama3.2\n",
        "      - {provider: two, model: llama3.2, priority: 1}\n    fallback: [cloud]\n",
        1,
    )
    file.write_text(text)
    return one, other


def test_explain_says_where_a_call_goes_and_why_not_elsewhere_and_calls_nobody(cli, two) -> None:
    text, data = cli("explain", "assistant", "Why?"), cli("explain", "assistant", "--json").json

    assert text.code == 0
    assert text.err.splitlines() == [
        "a call for assistant goes to one/llama3.2",
        "should it fail: two/llama3.2, then one/llama3.2 again (2 times)",
        "about 5 tokens, and 1,024 kept for the answer, free of charge",
    ]
    assert text.out.splitlines() == [
        "model\tdeployment\tverdict",
        "assistant\tone/llama3.2\tthe pick",
        "assistant\ttwo/llama3.2\tpriority 1 comes after 0",
        "cloud\ttwo/llama3.2\tready, if all before fail",
    ]
    assert data["pick"] == "one/llama3.2"
    assert [each["model"] for each in data["chain"]] == ["assistant", "cloud"]
    assert [each.requests for each in two] == [[], []]


def test_at_a_terminal_it_is_grouped_by_model(processes, two) -> None:
    shown = processes.at_terminal("explain", "assistant").rest()

    assert "cloud (round_robin)" in shown
    assert "\t" not in shown


def test_at_a_terminal_it_says_what_is_left_of_limits(processes, two) -> None:
    file = Path("pointsman.yaml")
    file.write_text(
        file.read_text().replace("priority: 1}", "priority: 1, name: b, limits: {requests: 60/min}}")
    )

    shown = processes.at_terminal("explain", "assistant").rest()

    assert "60 of 60 requests left" in shown


def test_explain_takes_provider_and_model_and_refuses_the_unknown(cli, two) -> None:
    there, unknown = cli("explain", "one/qwen3"), cli("explain", "asistant")

    assert "goes to one/qwen3" in there.err
    assert unknown.code == 2
    assert "did you mean 'assistant'?" in unknown.err


def test_embed_prints_how_long_the_vectors_are_and_in_json_the_vectors(cli, gpu) -> None:
    text = cli("embed", "gpu/llama3.2", "one", "two\nlines")
    data = cli("embed", "gpu/llama3.2", "one", "two", "--json").json

    head, *rows = text.out.splitlines()
    assert head == "dimensions\ttext"
    assert [row.split("\t")[1] for row in rows] == ["one", "two lines"]
    assert [len(each) for each in data["vectors"]] == [data["dimensions"]] * 2
    assert {row.split("\t")[0] for row in rows} == {str(data["dimensions"])}
    assert data["deployment"] == "gpu/llama3.2"


@pytest.mark.parametrize("words", [(), ("-",)])
def test_embed_reads_a_text_from_each_line_that_is_piped_in(cli, gpu, words: tuple[str, ...]) -> None:
    ran = cli("embed", "gpu/llama3.2", *words, "--json", input="one\n\n two \nthree")

    assert len(ran.json["vectors"]) == 3
    assert gpu.requests[0].body["input"] == ["one", "two", "three"]


def test_embed_without_a_text_is_usage(cli, gpu) -> None:
    ran = cli("embed", "gpu/llama3.2", input="\n")

    assert ran.code == 2
    assert gpu.requests == []


# ── what a call can say ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wire", ["ollama", "openai", "claude", "localai"])
def test_what_would_be_sent_is_what_is_sent(cli, servers, wire: str) -> None:
    upstream = servers.add(wire)
    servers.configure(upstream)
    said = ("-s", "Be brief.", "-o", "temperature=0.3", "-o", "max_tokens=9", "--stream")
    planned = cli("explain", "assistant", "Why?", *said, "--json").json["wire"]

    cli("ask", "-m", "assistant", "-s", "Be brief.", "-t", "0.3", "--max-tokens", "9", "Why?")

    (sent,) = upstream.requests
    assert planned["body"] == sent.body
    assert planned["method"] == sent.method
    assert planned["url"] == f"http://{sent.headers['host']}{sent.path}"
    told = {name: value for name, value in planned["headers"].items() if value != "***"}
    varying = {"x-pointsman-request-id"}
    assert {n: v for n, v in told.items() if n not in varying} == {
        n: v for n, v in sent.headers.items() if n in told and n not in varying
    }


def test_wire_shows_the_request_and_who_is_asked_next(cli, two) -> None:
    ran = cli("explain", "assistant", "Why?", "--wire", "-o", "seed=7")

    assert "/api/chat\n" in ran.out
    assert '"seed": 7' in ran.out
    assert "should it fail: two/llama3.2" in ran.err
    assert [each.requests for each in two] == [[], []]


def test_a_label_that_nobody_has_ends_the_call_and_says_so(cli, two) -> None:
    ran = cli("explain", "assistant", "--require", "region=eu")

    assert ran.code == 1
    assert "it would end with rule_not_met" in ran.err
    assert "the rule region=eu is not met" in ran.out


def test_tools_come_as_json_or_from_a_file(cli, two, workdir) -> None:
    tool = '{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}'
    (workdir / "tool.json").write_text(tool)

    for given in (tool, "tool.json"):
        body = cli("explain", "assistant", "Why?", "--tool", given, "--json").json["wire"]["body"]
        assert body["tools"][0]["function"]["name"] == "f"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "which MODEL"),
        (("assistant", "--require", "eu"), "is no NAME=VALUE"),
        (("assistant", "--tool", "nowhere.json"), "cannot be read: No such file"),
        (("assistant", "-o", "temprature=1"), "did you mean 'temperature'?"),
        (("--than", "other.yaml"), "--than is for --replay"),
        (("assistant", "--test", "cases.yaml"), "a MODEL is for a single call"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(cli, two, arguments, says: str) -> None:
    ran = cli("explain", *arguments)

    assert ran.code in (1, 2)
    assert says in ran.err


# ── cases ────────────────────────────────────────────────────────────────────────────────────────────

CASES = """\
given: {down: [one/llama3.2]}
cases:
  - name: the second server takes over
    model: assistant
    expect: {pick: two/llama3.2, refused: {one/llama3.2: breaker}, order: [two/llama3.2]}
  - name: nothing leaves the EU
    model: assistant
    options: {require: {region: eu}}
    expect: {pick: null, error: rule_not_met}
  - model: assistant
    given: {disabled: [two/llama3.2]}
    expect: {pick: one/llama3.2}
"""


def test_cases_are_told_one_by_one_and_a_failed_one_says_what_it_got(cli, two, workdir) -> None:
    (workdir / "cases.yaml").write_text(CASES)

    ran = cli("explain", "--test", "cases.yaml")
    data = cli("explain", "--test", "cases.yaml", "--json")

    assert ran.code == data.code == 1
    assert ran.out.splitlines()[:4] == [
        "ok   cases.yaml:3 the second server takes over",
        "ok   cases.yaml:6 nothing leaves the EU",
        "FAIL cases.yaml:10 a call for assistant",
        "       pick: expected one/llama3.2, got nobody",
    ]
    assert ran.err == "2 of 3 cases are as expected\n"
    assert (data.json["failed"], len(data.json["cases"])) == (1, 3)
    assert [each.requests for each in two] == [[], []]


def test_all_cases_as_expected_is_success(cli, two, workdir) -> None:
    (workdir / "cases.yaml").write_text(CASES[: CASES.index("  - model: assistant\n    given")])

    assert cli("explain", "--test", "cases.yaml").code == 0


def test_a_case_file_with_mistakes_names_all_of_them_with_their_places(cli, two, workdir) -> None:
    text = CASES.replace("[one/", "[oen/").replace("require:", "requier:")
    (workdir / "cases.yaml").write_text(text)

    ran = cli("explain", "--test", "cases.yaml")

    assert ran.code == 2
    assert "cases.yaml:1:16: given.down[0]: no deployment is called 'oen/llama3.2'; did you mean" in ran.err
    assert "cases.yaml:8:15: cases[1].options.requier: unknown option 'requier'; did you mean" in ran.err


@pytest.mark.parametrize("key", ['api_key: "${NOT_SET}"', "auth: {type: env, name: NOT_SET}"])
def test_cases_need_no_credential(cli, workdir, key: str) -> None:
    (workdir / "pointsman.yaml").write_text(
        f"providers:\n  cloud: {{type: openai, {key}}}\nmodels:\n  m: {{deployments: [cloud/gpt-5-mini]}}\n"
    )
    (workdir / "cases.yaml").write_text(
        "cases:\n  - {model: m, expect: {pick: cloud/gpt-5-mini, sent: {model: gpt-5-mini}}}\n"
    )

    ran = cli("explain", "--test", "cases.yaml")

    assert (ran.code, ran.out) == (0, "ok   cases.yaml:2 a call for m\n")


def test_the_schema_of_cases_is_printed(cli, workdir) -> None:
    assert cli("explain", "--schema").json["properties"]["cases"]["type"] == "array"
