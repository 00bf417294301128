"""docs/operations.md: its application runs, its server dies, and its commands say what the page shows."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pointsman.control.commands import COMMANDS

PAGE = (Path(__file__).parents[3] / "docs" / "operations.md").read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def steps(console: str) -> list[tuple[list[str], str]]:
    """Each command of a block, and what it prints; `…` stands for anything."""
    found = re.findall(r"^\$ pointsman (.*)\n((?:[^$].*\n)*)", console, re.MULTILINE)
    return [(shlex.split(command), output) for command, output in found]


def breaker(cli: Any) -> str:
    deployments = cli("status", "--live", "--json").json["models"]["assistant"]["deployments"]
    return next(each["breaker"]["state"] for each in deployments if each["id"] == "gpu1/llama3.2")


def test_the_example_does_what_the_page_shows(cli, servers, workdir: Path) -> None:
    gpu1, gpu2 = servers.add("ollama", name="gpu1"), servers.add("ollama", name="gpu2")
    (config, *_of_gateways), (program,) = blocks("yaml"), blocks("python")
    config = config.replace("http://127.0.0.1:11434", gpu1.base_url)
    (workdir / "pointsman.yaml").write_text(config.replace("http://127.0.0.1:11435", gpu2.base_url))
    (workdir / "app.py").write_text(program)
    tried = 0
    with subprocess.Popen([sys.executable, "app.py"], stdout=subprocess.PIPE) as application:
        try:
            assert application.stdout is not None
            assert application.stdout.readline() == b"serving\n"
            servers.do(gpu1.stop())
            while breaker(cli) != "open":
                pass
            for console in blocks("console"):
                for arguments, expected in steps(console):
                    ran = cli(*arguments)
                    assert ran.code == 0, (arguments, ran.err)
                    assert fnmatchcase(ran.err + ran.out, expected.replace("…", "*").rstrip("\n") + "*")
                    tried += 1
                servers.do(gpu1.start())  # "You restart it"
            application.send_signal(signal.SIGTERM)
            assert application.wait(20) == 0
        finally:
            application.kill()
    assert tried == 7
    assert not (workdir / "pointsman.sock").exists()


def test_the_page_lists_every_command_with_what_it_takes() -> None:
    table = PAGE[PAGE.index("| `command` | takes |") :].split("\n\n")[0]
    rows = [line.split("|")[1:3] for line in table.splitlines()[2:]]
    listed = {
        name: set(re.findall(r"`(\w+)`", takes))
        for names, takes in rows
        for name in re.findall(r"`(\w+)`", names)
    }

    assert listed == {name: set(command.takes) for name, command in COMMANDS.items()}


def test_the_bounds_of_the_socket_are_those_of_the_code() -> None:
    from pointsman.control.socket import CONNECTIONS, IDLE, LONGEST_LINE

    (bounds,) = re.findall(r"^\| bounds \| (.*) \|$", PAGE, re.MULTILINE)

    assert (
        bounds
        == f"{LONGEST_LINE // 1024} KiB for a line, {CONNECTIONS} connections, {IDLE:.0f} s without a word"
    )


def test_the_page_names_every_command_that_speaks_with_a_running_router(cli: Any) -> None:
    table = PAGE[PAGE.index("| command | what the router does |") :].split("\n\n")[0]
    from pointsman_cli.app import COMMANDS as ours

    speak = {name for name in ours if "--socket" in cli(name, "--help").out}

    assert set(re.findall(r"^\| `(\w+)", table, re.MULTILINE)) == speak
