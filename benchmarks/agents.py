"""Agents' programs at a gateway: each completes a turn, with a tool call, before each kind of upstream.

    uv run python benchmarks/agents.py [--only codex claude] [--wires openai claude] [--folder DIR]

The programs are installed by npm and uv into `--folder`, which is kept; it takes more than a gigabyte. Each
runs in an empty home, with proxies that answer nothing for whatever is not on this machine, and is asked what
a file says. The simulated upstream has it read the file and then says so. A turn is complete when the
program ends well and shows that answer, and when the upstream has seen the words of the file. A program that
cannot be had is named. Prints versions and a table; ends with 1 when a turn was not completed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from pointsman import Router
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.settings import GatewaySettings
from pointsman_simulator import Reply, RequestRecord, Simulator, Upstream

WIRES = ("openai", "claude", "ollama", "localai")
MODEL = "assistant"
WORDS = "the points lie to the left"
ANSWER = "It has been read: they lie to the left."
QUESTION = "What does note.txt say?"
WITHIN = 90.0
"""Seconds for one turn."""
_NOWHERE = "http://127.0.0.1:9"


class Turn(Struct, frozen=True):
    """What a program is to do, and where."""

    url: str
    home: Path
    work: Path


class Program(Struct, frozen=True):
    """One agent's program.

    Attributes:
        package: with its version; from npm, or for Python where `python` is set.
        prepare: writes its settings; gives its arguments and variables.
        reads: the tool with which it reads a file, and the arguments of the call, made of its path.
    """

    name: str
    package: str
    prepare: Callable[[Turn], tuple[Sequence[str], Mapping[str, str]]]
    reads: Callable[[Path], tuple[str, Mapping[str, Any]]]
    python: bool = False

    def binary(self, folder: Path) -> Path:
        """What is run, once it is installed in `folder`."""
        return folder / ("venv/bin" if self.python else "node_modules/.bin") / self.name


def _claude(turn: Turn) -> tuple[Sequence[str], Mapping[str, str]]:
    variables = {
        "ANTHROPIC_BASE_URL": turn.url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_MODEL": MODEL,
        "ANTHROPIC_SMALL_FAST_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    }
    return ("-p", QUESTION, "--allowedTools", "Read"), variables


def _codex(turn: Turn) -> tuple[Sequence[str], Mapping[str, str]]:
    settings = turn.home / ".codex"
    settings.mkdir()
    (settings / "config.toml").write_text(
        f'model = "{MODEL}"\nmodel_provider = "gateway"\n[model_providers.gateway]\nname = "gateway"\n'
        f'base_url = "{turn.url}/v1"\nenv_key = "GATEWAY_KEY"\nwire_api = "responses"\n'
    )
    arguments = ("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", QUESTION)
    return arguments, {"GATEWAY_KEY": "none"}


def _opencode(turn: Turn) -> tuple[Sequence[str], Mapping[str, str]]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "gateway",
        "options": {"baseURL": f"{turn.url}/v1", "apiKey": "none"},
        "models": {MODEL: {"name": MODEL, "tool_call": True}},
    }
    settings = {
        "provider": {"gateway": provider},
        "model": f"gateway/{MODEL}",
        "small_model": f"gateway/{MODEL}",
        "autoupdate": False,
        "share": "disabled",
    }
    (turn.work / "opencode.json").write_text(json.dumps(settings))
    off = ("MODELS_FETCH", "AUTOUPDATE", "LSP_DOWNLOAD", "DEFAULT_PLUGINS")
    return ("run", QUESTION), {f"OPENCODE_DISABLE_{each}": "1" for each in off}


def _aider(turn: Turn) -> tuple[Sequence[str], Mapping[str, str]]:
    quiet = (
        "--no-git",
        "--yes-always",
        "--no-check-update",
        "--analytics-disable",
        "--no-show-model-warnings",
    )
    arguments = ("--model", f"openai/{MODEL}", *quiet, "--message", QUESTION, "note.txt")
    return arguments, {"OPENAI_API_BASE": f"{turn.url}/v1", "OPENAI_API_KEY": "none"}


PROGRAMS = (
    Program(
        "aider",
        "aider-chat==0.86.2",
        _aider,
        lambda _: ("", {}),  # it sends the files that it is told of, and calls no tools
        python=True,
    ),
    Program(
        "claude",
        "@anthropic-ai/claude-code@2.1.332",
        _claude,
        lambda note: ("Read", {"file_path": str(note)}),
    ),
    Program(
        "codex",
        "@openai/codex@0.171.0",
        _codex,
        lambda note: ("exec_command", {"cmd": f"cat {note}"}),
    ),
    Program(
        "opencode",
        "opencode-ai@1.18.33",
        _opencode,
        lambda note: ("read", {"filePath": str(note)}),
    ),
)


def main() -> None:
    options = _parser().parse_args()
    programs = [each for each in PROGRAMS if each.name in options.only]
    print(f"{'':10} {'':12}", *(f"{wire:10}" for wire in options.wires))
    failed = 0
    for program in programs:
        folder = options.folder / program.name
        version = installed(program, folder)
        if version is None:
            print(f"{program.name:10} cannot be had here: {program.package}")
            continue
        said = [asyncio.run(completed(program, folder, wire)) for wire in options.wires]
        print(f"{program.name:10} {version:12}", *(f"{'no' if each else 'ok':10}" for each in said))
        for wire, each in zip(options.wires, said, strict=True):
            if each:
                failed += 1
                print(f"  before {wire}: {each}")
    sys.exit(1 if failed else 0)


def installed(program: Program, folder: Path) -> str | None:
    """The version that is there, or was installed; None where it cannot be had."""
    if not program.binary(folder).exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            for command in _installing(program, folder):
                subprocess.run(command, cwd=folder, check=True, timeout=900)
        except (OSError, subprocess.SubprocessError):
            return None
    return program.package.rpartition("@")[2].rpartition("=")[2]


def _installing(program: Program, folder: Path) -> Sequence[Sequence[str]]:
    if not program.python:
        options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(folder))
        return [("npm", "install", *options, program.package)]
    python = str(program.binary(folder).with_name("python"))
    quiet = ("--quiet", "--no-config")
    return [
        ("uv", "venv", *quiet, "venv"),
        ("uv", "pip", "install", *quiet, "--python", python, program.package),
    ]


async def completed(program: Program, folder: Path, wire: str) -> str:
    """Why a turn was not completed; "" when it was."""
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add(wire, lenient=True)
        with tempfile.TemporaryDirectory(prefix="agent-") as home:
            async with gateway(upstream) as url:
                turn = Turn(url, Path(home), Path(home) / "work")
                note = turn.work / "note.txt"
                turn.work.mkdir()
                note.write_text(WORDS)
                upstream.respond = partial(_reply, program.reads(note))
                status, said = await ran(program, program.binary(folder), turn)
    if status or ANSWER not in said:
        return f"it ended with {status}: {said[-400:]}"
    seen = any(WORDS in json.dumps(each.body) for each in upstream.requests)
    return "" if seen else "the upstream never saw what the file says"


def _reply(call: tuple[str, Mapping[str, Any]], record: RequestRecord, _: Random) -> Reply:
    """The call of the tool, then the answer; a title to whoever asks without tools, as some do beside it."""
    if WORDS in json.dumps(record.body):
        return Reply(text=ANSWER)
    return Reply(tool_calls=(call,)) if record.body.get("tools") else Reply(text="A title")


@asynccontextmanager
async def gateway(upstream: Upstream) -> AsyncIterator[str]:
    """A gateway in front of one upstream; its address."""
    config = {
        "providers": {"up": {"type": upstream.wire, "base_url": upstream.base_url, **_key(upstream)}},
        "models": {MODEL: {"deployments": [f"up/{next(iter(upstream.site.models))}"]}},
    }
    settings = GatewaySettings.model_validate({"listen": "127.0.0.1:0"})
    async with Router.from_config(config) as router, Gateway(router, settings) as served:
        yield served.url


def _key(upstream: Upstream) -> Mapping[str, str]:
    return {} if upstream.site.api_key is None else {"api_key": upstream.site.api_key}


async def ran(program: Program, binary: Path, turn: Turn) -> tuple[int | None, str]:
    """How the program ended, None when it had to be ended, and all that it printed."""
    arguments, variables = program.prepare(turn)
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(turn.home),
        "TERM": "dumb",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        **proxies,
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        binary,
        *arguments,
        cwd=turn.work,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), WITHIN)
    except TimeoutError:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        return None, f"nothing for {WITHIN:g} s"
    return process.returncode, said.decode("utf-8", "replace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [each.name for each in PROGRAMS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--wires", nargs="+", choices=WIRES, default=list(WIRES))
    parser.add_argument("--folder", type=Path, default=Path.home() / ".cache" / "pointsman-agents")
    return parser


if __name__ == "__main__":
    main()
