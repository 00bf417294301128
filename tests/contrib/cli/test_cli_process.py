"""The command as a process: signals, closed pipes, and what is seen at a terminal."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman_cli.running import one_turn
from pointsman_simulator import Fault, Reply

SLOW = Reply(chunks=("one ", *["more "] * 500), tokens_per_second=20)


def test_ctrl_c_in_a_stream_ends_with_130_and_the_upstream_sees_it(processes, servers, gpu) -> None:
    gpu.script(SLOW)
    process = processes.start("chat")
    process.stdin.write(b"Count.\n")
    process.stdin.flush()
    assert process.stdout.read(4) == b"one "

    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 130
    servers.do(gpu.idle())
    assert gpu.requests[0].outcome == "aborted by client"
    assert process.stderr.read().strip() == b"interrupted"


def test_a_reader_that_leaves_ends_it_without_a_traceback(processes, servers, gpu) -> None:
    gpu.script(SLOW)
    process = processes.start("chat")
    process.stdin.write(b"Count.\n")
    process.stdin.flush()
    assert process.stdout.read(4) == b"one "

    process.stdout.close()

    assert process.wait(20) == 1
    assert process.stderr.read() == b""
    servers.do(gpu.idle())
    assert gpu.requests[0].outcome == "aborted by client"


def test_simulated_upstreams_run_until_sigterm(processes, cli, workdir: Path) -> None:
    process = processes.start(
        "sim", "gpu1=ollama", "openai", "claude:0", "localai", "--json", "--config-out", "s.yaml"
    )
    upstreams = json.loads(process.stdout.readline())
    assert [each["models"] for each in upstreams][:2] == [["llama3.2"], ["gpt-4.1-mini"]]

    check = cli("config", "check", "s.yaml")
    reply = cli("-c", "s.yaml", "ask", "-m", "assistant", "--json", "hi").json
    process.send_signal(signal.SIGTERM)

    assert [each["name"] for each in upstreams] == ["gpu1", "openai", "claude", "localai"]
    assert check.out == "ok: 4 providers, 1 model\n"
    assert reply["text"]
    assert process.wait(20) == 143


def test_at_a_terminal_a_pull_shows_a_bar_and_status_a_table(processes, servers, gpu, monkeypatch) -> None:
    gpu.site.pull_s = 0.5

    pull = processes.at_terminal("models", "pull", "gpu/qwen3")
    status = processes.at_terminal("status")

    assert "━" in pull.rest()
    assert "100%" in pull.seen
    assert "pulled qwen3 at gpu" in pull.seen
    assert pull.process.returncode == 0
    assert "\x1b[32mok" in status.rest()
    assert "\t" not in status.seen


def test_no_color_is_heeded(processes, gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    status = processes.at_terminal("status")

    assert "gpu/llama3.2" in status.rest()
    assert "\x1b[32m" not in status.seen


def test_a_conversation_at_a_terminal(processes, servers, gpu) -> None:
    gpu.script(Reply(text="Hello."), SLOW, Reply(text="Again."))
    chat = processes.at_terminal("chat")

    chat.until("> ")
    chat.type("Hi\n")
    assert "Hello." in chat.until("\n> ")
    chat.type("Count.\n")
    chat.until("one more")
    chat.process.send_signal(signal.SIGINT)
    assert "stopped" in chat.until("> ")
    chat.type("/model nothing\n")
    assert "no model is called 'nothing'" in chat.until("> ")
    chat.type("/help\n")
    assert "/reset" in chat.until("\n> ")
    chat.type("Hi again\n")
    assert "Again." in chat.until("\n> ")
    chat.type("/reset\n")
    assert "forgotten" in chat.until("> ")
    chat.type("\x04")

    chat.rest()
    assert chat.process.returncode == 0
    assert gpu.requests[1].outcome == "aborted by client"
    assert [each["content"] for each in gpu.requests[2].body["messages"]] == ["Hi", "Hello.", "Hi again"]


@pytest.mark.parametrize("command", [("ask", "Hi"), ("chat",)])
def test_at_a_terminal_a_trace_never_stands_in_a_line_of_the_answer(processes, servers, gpu, command) -> None:
    gpu.script(Reply(fault=Fault.status(503)), Reply(chunks=("Hel", "lo.")))
    talk = processes.at_terminal("-vv", *command, "--trace")
    if command == ("chat",):
        talk.until("> ")
        talk.type("Hi\n")
        talk.until("\n> ")
        talk.type("\x04")

    lines = talk.rest().splitlines()

    failed = next(
        n for n, line in enumerate(lines) if line.startswith("attempt 1  gpu/llama3.2  upstream_fault")
    )
    answer = lines.index("Hello.")
    assert failed < answer
    after = [line for line in lines[answer + 1 :] if " debug " not in line]
    assert after[0].startswith("attempt 2  gpu/llama3.2  ok")
    assert after[1].startswith("answer from gpu/llama3.2 after 2 attempts")
    assert [line for line in lines if " debug " in line and not re.match(r"\d\d:", line)] == []
    assert sum(" debug " in line for line in lines[answer:]) >= 1


def test_ctrl_c_together_with_the_end_of_input_is_130_without_a_traceback(processes, servers, gpu) -> None:
    started = [processes.start("chat") for _ in range(4)]
    for n, process in enumerate(started):
        process.stdin.write(b"Hi\n")
        process.stdin.flush()
        process.stdout.readline()
        if n % 2:
            process.send_signal(signal.SIGINT)
            process.stdin.close()
        else:
            process.stdin.close()
            process.send_signal(signal.SIGINT)
        process.stdin = None

    for process in started:
        # One that saw the end first may have been done before the signal came.
        assert process.wait(20) in (0, 130, -signal.SIGINT)
        assert b"Traceback" not in process.stderr.read()


def test_a_loop_that_was_interrupted_just_behind_the_end_of_a_task_runs_the_next_one() -> None:
    async def ends() -> None:
        # As Ctrl-C does that comes when the task is done, and before the loop is told to stop for it.
        asyncio.get_running_loop().call_soon(interrupt)

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def goes_on() -> str:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return "done"

    with asyncio.Runner() as runner:
        with pytest.raises(KeyboardInterrupt):
            runner.run(ends())
        one_turn(runner)

        assert runner.run(goes_on()) == "done"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_stream_that_is_closed_is_no_reason_to_fail(gpu, closed: int) -> None:
    line = [sys.executable, "-m", "pointsman_cli", "ask", "Hi"]
    with open(os.devnull) as nothing:
        done = subprocess.run(
            line,
            stdin=nothing,
            capture_output=True,
            preexec_fn=lambda: os.close(closed),
        )

    assert (done.returncode, done.stderr) == (0, b"")
    assert len(gpu.requests) == 1


def test_what_the_encoding_of_a_terminal_lacks_is_written_as_an_escape(processes, gpu, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    gpu.script(Reply(text="caf\u00e9 \U0001f600"))

    ask = processes.at_terminal("ask", "Hi")

    ask.rest()
    assert ask.sent == b"caf\xe9 \\U0001f600\r\n"
    assert ask.process.returncode == 0
