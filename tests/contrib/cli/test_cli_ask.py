from __future__ import annotations

import json
import os
from pathlib import Path

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman import File, Image
from pointsman_cli.prompts import model_and_prompt, part_of, tell_if_silent
from pointsman_simulator import Fault, Reply
from pointsman_simulator.script import Usage as Tokens


def test_the_answer_is_all_that_stands_on_stdout(cli, gpu) -> None:
    gpu.script(Reply(text="Rayleigh scattering."))

    ran = cli("ask", "Why is the sky blue?")

    assert (ran.code, ran.out, ran.err) == (0, "Rayleigh scattering.\n", "")
    assert gpu.requests[0].body["messages"] == [{"role": "user", "content": "Why is the sky blue?"}]


def test_options_reach_the_upstream(cli, gpu) -> None:
    ran = cli("ask", "-m", "gpu/llama3.2", "-s", "Be brief.", "-t", "0.2", "--max-tokens", "7", "Why?")

    assert ran.code == 0
    body = gpu.requests[0].body
    assert [each["role"] for each in body["messages"]] == ["system", "user"]
    assert body["options"] == {"temperature": 0.2, "num_predict": 7}


def test_json_holds_the_whole_response(cli, gpu) -> None:
    gpu.script(Reply(fault=Fault.status(503)), Reply(tool_calls=[("departures", {"station": "Bern"})]))

    reply = cli("ask", "--json", "assistant", "When?").json

    assert reply["tool_calls"][0]["name"] == "departures"
    assert reply["finish_reason"] == "tool_calls"
    assert reply["deployment"] == "gpu/llama3.2"
    assert reply["attempts"] == 2
    assert reply["request_id"].startswith("req_")
    assert set(reply["usage"]) >= {"prompt", "completion"}
    assert "raw" not in reply


@pytest.mark.parametrize("words", [(), ("-",), ("assistant",), ("assistant", "-"), ("-m", "assistant", "-")])
def test_a_piped_prompt_is_read(cli, gpu, words: tuple[str, ...]) -> None:
    ran = cli("ask", *words, input="  Why?\nReally.\n")

    assert ran.code == 0
    assert gpu.requests[0].body["messages"][-1]["content"] == "Why?\nReally."


def test_an_empty_pipe_is_usage(cli, gpu) -> None:
    ran = cli("ask", input="\n")

    assert ran.code == 2
    assert "no prompt" in ran.err
    assert gpu.requests == []


def test_an_image_goes_with_the_prompt(cli, gpu, workdir: Path) -> None:
    (workdir / "cat.png").write_bytes(b"\x89PNG")
    (workdir / "notes.txt").write_text("It is a cat.")

    assert cli("ask", "What is it?", "--file", "cat.png", "--file", "notes.txt").code == 0

    message = gpu.requests[0].body["messages"][0]
    assert message["images"] == ["iVBORw=="]
    assert "It is a cat." in message["content"]


def test_the_first_bytes_of_a_file_say_what_it_is_and_standard_input_may_be_one(
    cli, gpu, workdir: Path
) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(8)
    (workdir / "no-name").write_bytes(png)

    assert cli("ask", "What is it?", "--file", "no-name", "--file", "-", input=png).code == 0

    assert len(gpu.requests[0].body["messages"][0]["images"]) == 2


def test_pages_of_the_web_are_named_and_not_fetched_here() -> None:
    assert part_of("https://pages.test/cat.png?size=1") == Image(url="https://pages.test/cat.png?size=1")
    assert part_of("https://pages.test/a.PDF") == File(url="https://pages.test/a.PDF")


@pytest.mark.parametrize("file", ["nowhere.png", "."])
def test_a_file_that_is_not_there_is_usage(cli, gpu, file: str) -> None:
    ran = cli("ask", "What is it?", "--file", file)

    assert (ran.code, gpu.requests) == (2, [])
    assert f"there is no file {file}" in ran.err


def test_an_answer_follows_a_schema(cli, gpu, workdir: Path) -> None:
    schema = {"type": "object", "properties": {"blue": {"type": "boolean"}}}
    (workdir / "sky.json").write_text(json.dumps(schema))
    (workdir / "list.json").write_text("[]")
    gpu.script(Reply(text='{"blue": true}'))

    assert cli("ask", "Is it?", "--schema", "sky.json").out == '{"blue": true}\n'

    assert gpu.requests[0].body["format"]["properties"] == schema["properties"]
    for wrong in ("list.json", "nowhere.json"):
        refused = cli("ask", "Is it?", "--schema", wrong)
        assert (refused.code, "--schema: " + wrong in refused.err) == (2, True)


def test_a_file_of_no_known_kind_is_usage(cli, gpu, workdir: Path) -> None:
    (workdir / "blob").write_bytes(b"\xff\xfe\x00")

    ran = cli("ask", "What is it?", "--file", "blob")

    assert ran.code == 2
    assert "neither an image, a PDF nor text" in ran.err


def test_a_refusal_ends_with_4_and_what_was_said(cli, servers) -> None:
    cloud = servers.add("openai", default=Reply(text="I had be", finish_reason="content_filter"))
    servers.configure(cloud)

    ran = cli("ask", "Tell me.")

    assert ran.code == 4
    assert ran.out == "I had be\n"
    assert ran.err.startswith("refused: ")


def test_a_trace_tells_each_attempt_on_stderr(cli, gpu) -> None:
    gpu.script(Reply(fault=Fault.status(503)), Reply(text="Yes."))

    ran = cli("ask", "--trace", "Really?")

    assert ran.out == "Yes.\n"
    first, second, last = ran.err.splitlines()
    assert first.startswith("attempt 1  gpu/llama3.2  upstream_fault")
    assert second.startswith("attempt 2  gpu/llama3.2  ok")
    assert last.startswith("answer from gpu/llama3.2 after 2 attempts")


def test_without_a_prompt_at_a_terminal_it_is_usage() -> None:
    with pytest.raises(click.UsageError):
        model_and_prompt((), model=None, known=(), piped=False)


@settings(deadline=None)
@given(
    words=st.lists(st.text(min_size=1).filter(lambda word: word != "-"), min_size=2, max_size=4),
    model=st.none() | st.just("m"),
    piped=st.booleans(),
)
def test_words_are_never_lost(words: list[str], model: str | None, piped: bool) -> None:
    name, prompt = model_and_prompt(words, model=model, known=(), piped=piped)

    assert prompt is not None
    assert " ".join([*([] if model else [name]), prompt]) == " ".join(words)


@pytest.mark.parametrize("words", [("Explain",), ("assistant", "Explain"), ("-m", "assistant", "Explain")])
def test_what_is_piped_in_stands_below_the_prompt(cli, gpu, words: tuple[str, ...]) -> None:
    ran = cli("ask", *words, input="\nE: disk full\nE: again\n\n")

    assert ran.code == 0
    assert gpu.requests[0].body["messages"][-1]["content"] == "Explain\n\nE: disk full\nE: again"


def test_a_prompt_with_nothing_piped_in_stays_alone(cli, gpu) -> None:
    assert cli("ask", "Explain", input="").code == 0

    assert gpu.requests[0].body["messages"][-1]["content"] == "Explain"


def test_a_pipe_that_stays_open_and_silent_is_told(capfd) -> None:
    reading, writing = os.pipe()
    with open(reading) as pipe, open(writing, "w") as other:
        tell_if_silent(pipe, seconds=0)
        assert "</dev/null" in capfd.readouterr().err
        other.write("words")
        other.flush()
        tell_if_silent(pipe, seconds=0)
        assert capfd.readouterr().err == ""


def test_what_is_piped_in_and_no_text_is_usage(cli, gpu) -> None:
    ran = cli("ask", "What is it?", input=b"\x89PNG\r\n\x1a\n\xff\xfe")

    assert ran.code == 2
    assert "--file" in ran.err
    assert gpu.requests == []


def test_an_answer_is_printed_as_it_arrives(processes, servers, gpu) -> None:
    gpu.script(Reply(chunks=("one ", *["more "] * 500), tokens_per_second=20))
    process = processes.start("ask", "Count.")
    process.stdin.close()
    process.stdin = None

    assert process.stdout.read(4) == b"one "
    assert process.poll() is None


def test_an_answer_that_breaks_ends_its_line_and_the_run_with_3(cli, gpu) -> None:
    gpu.script(Reply(chunks=("Hel", "lo", "."), fault=Fault.reset_after(2)))

    ran = cli("ask", "Hi")

    assert (ran.code, ran.out) == (3, "Hello\n")
    assert "broke after" in ran.err


def test_what_it_cost_stands_in_the_json_and_at_the_end_of_a_trace(cli, servers) -> None:
    upstream = servers.add("ollama", name="gpu")
    upstream.default = Reply(text="Yes.", usage=Tokens(1000, 200))
    file = servers.configure(upstream)
    priced = "{provider: gpu, model: llama3.2, price: {input: 2, output: 10.05}}"
    file.write_text(file.read_text().replace("gpu/llama3.2", priced))

    reply = cli("ask", "--json", "Really?").json
    trace = cli("ask", "--trace", "Really?").err.splitlines()

    assert reply["cost_microcents"] == 401_000
    assert [each.rpartition("  ")[2] for each in trace[:1]] == ["0.00401 USD"]
    assert trace[-1].endswith(" ms, 0.00401 USD")
