"""What others say cannot steer the terminal: every command, at a real one, against a hostile upstream."""

from __future__ import annotations

import ast
import json
import re
import socket
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile import EVIL, SEEN, SEQUENCES, Hostile

import pointsman_cli

PLUGIN = """
import logging
import warnings

import click
from pointsman.plugin import PointsmanSpec, hookimpl

EVIL = %r

@click.command("boom")
@click.argument("how")
def boom(how):
    if how == "raise":
        raise RuntimeError(EVIL)
    if how == "warn":
        warnings.warn(EVIL, UserWarning, stacklevel=1)
    if how == "log":
        log = logging.getLogger("pointsman")
        log.debug("debug %%s", EVIL)
        log.info("info %%s", EVIL)
        logging.getLogger("other").warning("other %%s", EVIL)
        logging.getLogger("other").debug("never told")
        try:
            raise ValueError(EVIL)
        except ValueError:
            log.exception("failed")

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_commands(self):
        return [boom]

plugin = Plugin()
"""


@pytest.fixture
def hostile(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    """A hostile upstream, as the provider `p` of the model `assistant`, at a terminal without colours."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("PYTHONPATH", str(workdir))
    made = Hostile()
    (workdir / "pointsman.yaml").write_text(
        "providers:\n"
        f"  p: {{type: openai, base_url: '{made.base_url}', api_key: k}}\n"
        f"  o: {{type: ollama, base_url: '{made.root}'}}\n"
        "models: {assistant: {deployments: [p/m]}}\n"
        "retry: none\n"
    )
    yield made
    made.close()


def steering(sent: bytes) -> list[str]:
    """The characters in what a terminal got that steer it; line ends and tabs are what terminals are for."""
    text = sent.decode()
    return sorted(
        {each for each in text if unicodedata.category(each) in ("Cc", "Cf", "Zl", "Zp")} - set("\r\n\t")
    )


COMMANDS = {
    "ask": ("answer", ["ask", "hi"]),
    "ask -vv": ("answer", ["-vv", "ask", "hi", "--trace"]),
    "ask --json": ("answer", ["ask", "hi", "--json"]),
    "ask, a tool call": ("tool", ["ask", "hi"]),
    "ask, a refusal": ("refusal", ["ask", "hi"]),
    "ask, an error": ("error", ["ask", "hi"]),
    "ask --json, an error": ("error", ["ask", "hi", "--json"]),
    "ask -vv, an error": ("error", ["-vv", "ask", "hi", "--trace"]),
    "ask --json -vv, an error": ("error", ["ask", "hi", "--json", "--trace", "-vv"]),
    "ask, an error late": ("late error", ["ask", "hi"]),
    "ask, an error late, traced": ("late error", ["ask", "hi", "--trace", "-vv"]),
    "ask, no JSON": ("nonsense", ["ask", "hi"]),
    "ask, headers": ("headers", ["ask", "hi", "-vv"]),
    "ask, a model nobody knows": ("answer", ["ask", "-m", EVIL.replace("\0", ""), "hi"]),
    "ask, a file that is not there": ("answer", ["ask", "hi", "--file", EVIL.replace("\0", "")]),
    "models list": ("answer", ["models", "list"]),
    "models list --json": ("answer", ["models", "list", "--json"]),
    "models show": ("answer", ["models", "show", "p/" + EVIL.replace("\0", "")]),
    "models pull": ("answer", ["models", "pull", EVIL.replace("\0", "")]),
    "models show, of Ollama": ("answer", ["models", "show", "o/m"]),
    "models pull, with bars": ("answer", ["models", "pull", "o/m"]),
    "models pull, an error": ("error", ["models", "pull", "o/m"]),
    "models pull --json": ("answer", ["models", "pull", "o/m", "--json"]),
    "status": ("answer", ["status"]),
    "health, an error": ("error", ["health"]),
    "health --json, an error": ("error", ["health", "--json", "-vv"]),
    "explain": ("answer", ["explain", "p/" + EVIL.replace("\0", "")]),
    "explain --json": ("answer", ["explain", "p/" + EVIL.replace("\0", ""), "--json"]),
    "embed": ("answer", ["embed", "assistant", EVIL.replace("\0", ""), "-vv"]),
    "embed --json": ("answer", ["embed", "assistant", EVIL.replace("\0", ""), "--json"]),
    "embed, an error": ("error", ["embed", "assistant", "hi", "--trace"]),
    "a configuration that is not there": ("answer", ["-c", EVIL.replace("\0", "") + ".yaml", "status"]),
    "no such command": ("answer", [EVIL.replace("\0", "")]),
    "no such option": ("answer", ["ask", "--" + EVIL.replace("\0", "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_nothing_that_an_upstream_says_steers_the_terminal(processes, hostile, name: str) -> None:
    hostile.act, arguments = COMMANDS[name]

    run = processes.at_terminal(*arguments)
    run.rest()

    assert steering(run.sent) == []
    assert "Traceback" not in run.seen
    assert run.seen.strip()


def test_what_was_said_is_shown_as_it_would_be_written(processes, hostile) -> None:
    seen = processes.at_terminal("ask", "hi").rest()

    assert len(SEQUENCES) >= 40
    assert [each for each in SEEN if each not in seen] == []


def test_in_a_conversation_neither_answers_nor_what_is_typed_can(processes, hostile) -> None:
    chat = processes.at_terminal("chat", "--trace")
    chat.until("> ")
    for act in ("answer", "tool", "refusal", "error", "late error"):
        hostile.act = act
        chat.type("hi\n")
        chat.until("> ")
    for typed in ("/model \u202e\u009b2J\n", "/status\n", "/disable \u202e\n"):
        chat.type(typed)
        chat.until("\n> ")
    echoed = [chat.sent.index(b"/model"), chat.sent.index(b"/disable")]
    chat.type("\x04")
    chat.rest()

    said = b"\n".join(
        line for line in chat.sent.splitlines() if b"> /model" not in line and b"> /disable" not in line
    )
    assert len(echoed) == 2
    assert steering(said) == []
    assert [each for each in SEEN if each not in chat.seen] == []


def test_markup_stays_text_in_tables_with_colours(processes, hostile, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")

    listed = processes.at_terminal("models", "list")
    listed.rest()

    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", listed.sent).decode()
    assert "[red]danger[/red]" in plain
    assert "[link=https://evil.example]" in plain
    assert steering(plain.encode()) == []


def test_names_in_a_configuration_cannot(processes, hostile, workdir: Path) -> None:
    evil = json.dumps(EVIL)
    for document in (
        {"providers": {EVIL: {"type": "openai"}}, "models": {EVIL: {"deployments": [f"{EVIL}/m"]}}},
        {
            "providers": {"p": {"type": EVIL, EVIL: 1}},
            "models": {"m": {"strategy": EVIL, "deployments": [EVIL]}},
        },
        {EVIL: evil, "control": EVIL},
    ):
        (workdir / "evil.json").write_text(json.dumps(document))
        for command in (["config", "check"], ["config", "show"], ["status"], ["ask", "hi"], ["reload"]):
            run = processes.at_terminal("-c", "evil.json", *command)
            run.rest()
            assert steering(run.sent) == [], command
    (workdir / "evil.yaml").write_text(f"providers: {{p: {EVIL}}}")
    run = processes.at_terminal("config", "check", "evil.yaml")
    run.rest()
    assert steering(run.sent) == []


def test_neither_tracebacks_nor_logs_nor_lists_of_plugins_can(processes, hostile, workdir: Path) -> None:
    info = workdir / "boom-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: boom\nVersion: 1.0\x1b]52;c;ZXZpbA==\x07\n")
    (info / "entry_points.txt").write_text(
        "[pointsman.commands]\nboom = boom_plugin:plugin\n"
        "[pointsman.strategies]\nevil\x1b[2J\u202e = boom_plugin:nothing\n"
    )
    (workdir / "boom_plugin.py").write_text(PLUGIN % EVIL)

    runs = {
        words: processes.at_terminal(*words)
        for words in (("boom", "raise"), ("boom", "warn"), ("-vv", "boom", "log"), ("plugins",))
    }
    for run in runs.values():
        run.rest()
        assert steering(run.sent) == []

    assert "RuntimeError" in runs["boom", "raise"].seen
    assert "UserWarning" in runs["boom", "warn"].seen
    log = runs["-vv", "boom", "log"].seen
    assert all(word in log for word in ("debug", "info", "other", "failed", "ValueError"))
    assert "never told" not in log
    assert "boom" in runs["plugins",].seen


def test_a_control_socket_of_others_cannot(processes, hostile, workdir: Path) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(workdir / "evil.sock"))
    listener.listen()

    def refuse() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(json.dumps({"ok": False, "error": EVIL, "code": EVIL}).encode() + b"\n")

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()
    for command in (["status"], ["disable", "p/m"]):
        run = processes.at_terminal(*command, "--socket", "evil.sock")
        run.rest()
        assert steering(run.sent) == []
        assert "\\x1b]52" in run.seen
    thread.join(20)
    listener.close()


# ── pipes ────────────────────────────────────────────────────────────────────────────────────────────


def test_a_pipe_gets_the_answer_as_it_came_only_with_raw(cli, hostile, processes) -> None:
    shown = cli("ask", "hi", input="")
    process = processes.start("ask", "hi", "--raw")
    raw, _ = process.communicate(timeout=20)

    assert steering(shown.out.encode()) == []
    assert raw.decode() == EVIL + "\n"


@pytest.mark.parametrize("command", [["ask", "hi"], ["chat"]])
def test_raw_is_refused_at_a_terminal(processes, hostile, command: list[str]) -> None:
    run = processes.at_terminal(*command, "--raw")

    assert "--raw is for pipes" in run.rest()
    assert run.process.returncode == 2


def test_json_is_the_same_value_and_still_steers_nothing(cli, hostile) -> None:
    ran = cli("ask", "hi", "--json", input="")

    assert ran.json["text"] == EVIL
    assert steering(ran.out.encode()) == []


# ── the code ─────────────────────────────────────────────────────────────────────────────────────────


def test_only_one_module_writes() -> None:
    root = Path(pointsman_cli.__file__).parent
    found = [
        f"{file.relative_to(root)}:{node.lineno}"
        for file in root.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and writes(ast.unparse(node.func))
    ]

    assert {each.partition(":")[0] for each in found} == {"output.py"}


def writes(function: str) -> bool:
    """Whether a call of `function` puts text on a standard stream."""
    return (
        function in ("print", "click.echo", "click.secho")
        or re.search(r"sys\.(stdout|stderr)(\.buffer)?\.write", function) is not None
    )
