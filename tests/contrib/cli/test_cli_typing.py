"""What is typed into `pointsman chat`: several lines, files, the commands with a slash, and the history."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman_cli.typing_lines import entry, history_file
from pointsman_simulator import Fault, Reply


def typed(*lines: str) -> Callable[[str], str]:
    """Stands for `input`."""
    left = list(lines)

    def read(_prompt: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return read


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["  Hi  "], "Hi"),
        (["one\\", "two\\", "three"], "one\ntwo\nthree"),
        (["one\\"], "one"),
        (['"""one', "  two \\", 'three"""', "unread"], "one\n  two \\\nthree"),
        (['"""', "one", '"""'], "one"),
        (['"""one"""'], "one"),
        (['"""one', "two"], "one\ntwo"),
        (['say """ no'], 'say """ no'),
    ],
)
def test_an_entry_is_one_line_or_as_many_as_it_says(lines: list[str], said: str) -> None:
    assert entry(typed(*lines), prompt="> ", more=". ") == said


def test_the_end_of_input_before_an_entry_is_the_end() -> None:
    with pytest.raises(EOFError):
        entry(typed(), prompt="> ", more=". ")


def test_the_history_is_in_the_folder_for_the_state_of_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")

    assert history_file({"XDG_STATE_HOME": "/state"}) == Path("/state/pointsman/chat_history")
    assert history_file({"XDG_STATE_HOME": "relative"}) == Path("/home/x/.local/state/pointsman/chat_history")


def contents(request: Any) -> list[str]:
    return [each["content"] for each in request.body["messages"]]


def test_at_a_terminal_a_conversation_is_retried_instructed_and_saved(processes, gpu, workdir: Path) -> None:
    gpu.script(
        Reply(text="Hello."), Reply(text="Again."), Reply(fault=Fault.status(400)), Reply(text="There.")
    )
    (workdir / "notes.txt").write_text("It is a cat.")
    chat = processes.at_terminal("chat")

    def say(text: str) -> str:
        chat.type(f"{text}\n")
        return str(chat.until("\n> "))

    chat.until("> ")
    assert "Hello." in say('"""Hi\nyou"""')
    assert "instructions: Be brief." in say("/system Be brief.")
    assert "Again." in say("/retry")
    assert "error" in say("Fail.")
    assert "notes.txt goes with the next turn" in say("/file notes.txt")
    assert "there is no file nothing.txt" in say("/file nothing.txt")
    assert "there is no /nosuch; what there is:" in say("/nosuch x")
    assert "there is no" not in say("/help")
    assert "There." in say("/retry")
    assert "assistant: Again." in say("/history")
    assert "wrote talk.md" in say("/save talk.md")
    assert "wrote talk.json" in say("/save talk.json")
    assert "File exists" in say("/save talk.md")
    chat.type("/exit\n")
    chat.rest()

    assert chat.process.returncode == 0
    assert contents(gpu.requests[0]) == ["Hi\nyou"]
    assert contents(gpu.requests[1]) == ["Be brief.", "Hi\nyou"]
    assert contents(gpu.requests[-1]) == ["Be brief.", "Hi\nyou", "Again.", "Fail."]
    told = json.loads((workdir / "talk.json").read_text())
    assert [each["role"] for each in told] == ["system", "user", "assistant", "user", "assistant"]
    text = (workdir / "talk.md").read_text()
    assert text.startswith("## system\n\nBe brief.\n\n## user\n\nHi\nyou\n")
    assert stat.S_IMODE((workdir / "talk.md").stat().st_mode) == 0o600


def test_what_was_typed_is_there_again_the_next_time_and_for_nobody_else(
    processes, gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    kept = tmp_path / "state" / "pointsman" / "chat_history"
    for question, options in (("First?", []), ("Hidden?", ["--no-history"]), ("Second?", [])):
        chat = processes.at_terminal("chat", *options)
        chat.until("> ")
        chat.type(f"{question}\n")
        chat.until("\n> ")
        chat.type("\x04")
        chat.rest()
    again = processes.at_terminal("chat")
    again.until("> ")
    again.type("\x1b[A\x1b[A\n")
    again.until("\n> ")
    again.type("\x04")
    again.rest()

    assert contents(gpu.requests[-1]) == ["First?"]
    assert kept.read_text().splitlines() == ["First?", "Second?", "First?"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_a_history_that_cannot_be_written_is_told_and_hinders_nothing(
    processes, gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").write_text("a file in the way")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    chat = processes.at_terminal("chat")
    chat.until("> ")
    chat.type("Hi\n")
    chat.until("\n> ")
    chat.type("\x04")

    assert "what was typed is not kept in" in chat.rest()
    assert chat.process.returncode == 0
    assert contents(gpu.requests[0]) == ["Hi"]
