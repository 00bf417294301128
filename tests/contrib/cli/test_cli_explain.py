"""Where a call would go, and vectors."""

from __future__ import annotations

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

    assert (text.code, text.err) == (0, "a call for assistant goes to one/llama3.2\n")
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
