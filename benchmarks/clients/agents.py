"""Agents' programs complete a turn with a call of a tool, against a gateway before each kind of upstream.

    uv run python benchmarks/clients/agents.py [--folder DIR] [PROGRAM ...]

The programs come from npm into DIR (by default in the cache) and run in an empty home. Where Linux lets
us, all of it runs in a network of its own that has nothing but a loopback. The upstreams are simulated: the
first answer calls a tool, the second one is a sentence that the program must print. Exit code 1 when a turn
is not completed; a program that cannot be had is named and skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

from gateways import MODEL, configuration, gateway_for  # noqa: E402

from pointsman_simulator import Reply, Simulator  # noqa: E402

WIRES = ("openai", "claude", "ollama", "localai")
WORD = "pointsmen-were-here"
LAST = "All points lie as they should."
TIMEOUT = 90
CACHE = Path.home() / ".cache" / "pointsman" / "clients"
ALONE = "POINTSMAN_ALONE"


@dataclass(frozen=True)
class Program:
    """One program.

    Attributes:
        package: on npm.
        command: its name, and what tells its version.
        tool: the tool that it offers the model for commands, and the argument with the command.
        prepare: writes its settings into a home, for the address of a gateway; its options and environment.
    """

    package: str
    command: str
    tool: tuple[str, str]
    prepare: Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]


def codex(home: Path, url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    settings = f"""
model = "{MODEL}"
model_provider = "pointsman"

[model_providers.pointsman]
name = "pointsman"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "POINTSMAN_KEY"
supports_websockets = true
"""
    (home / ".codex").mkdir()
    (home / ".codex" / "config.toml").write_text(settings, "utf-8")
    return ("exec", "--skip-git-repo-check", "Where do the points lie?"), {"POINTSMAN_KEY": "none"}


def claude(_home: Path, url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    options = ("-p", "Where do the points lie?", "--model", MODEL, "--dangerously-skip-permissions")
    return options, {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": "none",
        "ANTHROPIC_SMALL_FAST_MODEL": MODEL,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
    }


def opencode(home: Path, url: str) -> tuple[Sequence[str], Mapping[str, str]]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
        "models": {MODEL: {}},
    }
    settings = {
        "provider": {"pointsman": provider},
        "model": f"pointsman/{MODEL}",
        "autoupdate": False,
        "permission": {"bash": "allow"},
    }
    folder = home / ".config" / "opencode"
    folder.mkdir(parents=True)
    (folder / "opencode.json").write_text(json.dumps(settings), "utf-8")
    return ("run", "Where do the points lie?"), {}


PROGRAMS = {
    "codex": Program("@openai/codex", "codex", ("exec_command", "cmd"), codex),
    "claude": Program("@anthropic-ai/claude-code", "claude", ("Bash", "command"), claude),
    "opencode": Program("opencode-ai", "opencode", ("bash", "command"), opencode),
}


def binary(folder: Path, program: Program) -> Path | None:
    """The program, fetched where it is not there yet; None where it cannot be had."""
    found = folder / "node_modules" / ".bin" / program.command
    if not found.exists() and shutil.which("npm") is not None:
        folder.mkdir(parents=True, exist_ok=True)
        command = ("npm", "install", "--silent", "--no-audit", "--no-fund", program.package)
        subprocess.run(command, cwd=folder, check=False, timeout=300)
    return found if found.exists() else None


def version(path: Path) -> str:
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            (path, "--version"),
            env=environment(Path(home)),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    lines = done.stdout.strip().splitlines()
    return lines[-1] if done.returncode == 0 and lines else ""


def environment(home: Path, **more: str) -> Mapping[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "CI": "1", **more}


async def turn(program: Program, path: Path, wire: str) -> str:
    """`ok`, or what went wrong in one turn before an upstream of that wire."""
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add(wire)
        name, argument = program.tool
        answers = (
            {"description": "say it", argument: f"echo {WORD}"}
            if argument == "command"
            else {argument: f"echo {WORD}"}
        )
        upstream.respond = lambda record, _rng: (
            Reply(text=LAST)
            if WORD in json.dumps(record.body) or name not in json.dumps(record.body)
            else Reply(text="", tool_calls=((name, answers),))
        )
        changes = configuration(upstream)
        if wire == "openai":
            changes["providers"][upstream.name]["responses"] = True
        async with gateway_for(upstream, **changes) as served:
            said = await ran(program, path, served.url)
        results = [each for each in upstream.requests if WORD in json.dumps(each.body)]
    if not results:
        return f"the tool was not called; it said {said[-300:]!r}"
    return "ok" if LAST in said else f"it did not say the answer but {said[-300:]!r}"


async def ran(program: Program, path: Path, url: str) -> str:
    """All that it printed."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        options, more = program.prepare(home, url)
        (home / "work").mkdir()
        process = await asyncio.create_subprocess_exec(
            path,
            *options,
            cwd=home / "work",
            env=environment(home, **more),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        except TimeoutError:
            process.kill()
            await process.wait()
            return f"nothing within {TIMEOUT} s"
    return said.decode("utf-8", "replace")


def alone(arguments: Sequence[str]) -> int | None:
    """The exit code of this very script in a network of its own; None where that cannot be."""
    if ALONE in os.environ or not (shutil.which("unshare") and shutil.which("ip")):
        return None
    if subprocess.run(("unshare", "-rn", "true"), check=False, capture_output=True).returncode:
        return None
    again = 'ip link set lo up && exec "$@"'
    command = ("unshare", "-rn", "sh", "-c", again, "sh", sys.executable, __file__, *arguments)
    return subprocess.run(command, env={**os.environ, ALONE: "1"}, check=False).returncode


def main() -> int:
    reader = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    reader.add_argument("programs", nargs="*", choices=[*PROGRAMS, []], default=list(PROGRAMS))
    reader.add_argument("--folder", type=Path, default=CACHE)
    chosen = reader.parse_args()
    found = {name: binary(chosen.folder, PROGRAMS[name]) for name in chosen.programs}
    code = alone(sys.argv[1:])
    if code is not None:
        return code
    print("network:", "a loopback and nothing else" if ALONE in os.environ else "not cut off")
    failed = 0
    for name, path in found.items():
        told = version(path) if path is not None else ""
        if path is None or not told:
            print(f"{name}: cannot be had here, skipped")
            continue
        for wire in WIRES:
            how = asyncio.run(turn(PROGRAMS[name], path, wire))
            failed += how != "ok"
            print(f"{name:10} {told:24} {wire:8} {how}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
