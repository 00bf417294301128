"""What the start costs, from the import to the first call: CPU, instructions, memory of a fresh interpreter.

    uv run python benchmarks/startup.py [--only router|serve] [--rounds 7] [--instructions] [--json]
                                        [--python plain/bin/python]

`--only serve` measures `pointsman serve` alone: a process of its own from its beginning until it listens,
with one provider, one model and one key, beside the imports of the libraries that it is made of. The exit
status is 1 when it takes more than 1.5 times as much CPU, the interpreter counted on both sides.

`--python` measures what is installed beside another interpreter: a development environment has libraries that
a plain install has not. `--instructions` counts what the processor executes, with valgrind, which takes a few
seconds for each program; unlike times, these hardly differ from run to run.

CPU time is user + system of the whole process minus that of an interpreter that does nothing; the median of
the rounds counts, which are interleaved with those of the libraries alone, so that a busy machine slows all
of them. Byte code is cached first, as it is after any installation.

No router can be built for less than the imports of `asyncio and pydantic, a model built`. How many times as
much it takes is printed last, since ratios travel from machine to machine better than seconds: in CPU the
median of the ratios inside each round; in memory, of which the interpreter is part of both.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

FLOOR = "asyncio and pydantic, a model built"
BUILT = "pointsman and a router built"
LIBRARIES = "asyncio, pydantic, starlette, uvicorn"
SERVE = "pointsman serve, until it is ready"
PROGRAMS = {
    "nothing": "pass",
    FLOOR: (
        "import asyncio, pydantic\nclass A(pydantic.BaseModel):\n    a: int = pydantic.Field(gt=0)\nA(a=1)"
    ),
    "the seven required libraries": (
        "import pydantic, httpx, pluggy, tenacity, aiolimiter, cachetools, msgspec"
    ),
    "pointsman": "import pointsman",
    "pointsman and its Router": "from pointsman import Router",
    BUILT: (
        "import pointsman; pointsman.Router.from_config({'providers': {'a': {'type': 'openai', "
        "'base_url': 'http://127.0.0.1:1'}}, 'models': {'m': {'deployments': ['a/x']}}})"
    ),
    "pointsman and one call made": (
        "import asyncio, pointsman\nasync def main():\n"
        "    async with pointsman.Router.from_config({'providers': {'a': {'type': 'openai', "
        "'base_url': 'http://127.0.0.1:PORT/v1'}}, 'models': {'m': {'deployments': ['a/x']}}}) as router:\n"
        "        assert (await router.chat('m', 'hello')).text == 'ok'\n"
        "asyncio.run(main())"
    ),
    "pointsman --help": "import pointsman_cli.app; pointsman_cli.app.run(['--help'])",
}
CPU_LIMIT = 0.20
MEMORY_LIMIT_MIB = 40
SERVE_LIMIT = 1.5
SERVED = """\
providers:
  a: {type: openai, base_url: "http://127.0.0.1:1/v1", api_key: k}
models:
  m: {deployments: [a/x]}
gateway:
  listen: 127.0.0.1:0
  access: {keys: [{name: ci, key: a-key-that-nobody-guesses}]}
"""
# A process of its own waits for the one that is measured, so that the figures are of this one child. That one
# ends by itself, or by a signal that nobody handles once it says that it is ready, as it says to systemd.
CHILD = """
import os, resource, signal, socket, subprocess, sys, tempfile, time
with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
    told.bind(folder + "/told")
    told.settimeout(120)
    environ = {**os.environ, "NOTIFY_SOCKET": folder + "/told"}
    began = time.perf_counter()
    child = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, env=environ)
    if sys.argv[1] == "ready":
        said = told.recv(64)
        seconds = time.perf_counter() - began
        child.send_signal(signal.SIGUSR1)
        assert (said, child.wait()) == (b"READY=1", -signal.SIGUSR1)
    else:
        assert child.wait() == 0
        seconds = time.perf_counter() - began
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, seconds, used.ru_maxrss)
"""
# Hash seeds change what is executed a little.
ENVIRON = {**os.environ, "PYTHONHASHSEED": "0"}
ENVIRON.pop("PYTHONDONTWRITEBYTECODE", None)
BODY = (
    b'{"id":"1","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"ok"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}'
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=["router", "serve"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {"rounds": options.rounds}
    if options.only != "serve":
        with upstream() as port:
            programs = {name: program.replace("PORT", str(port)) for name, program in PROGRAMS.items()}
            found["figures"], found["ratio"] = measured(
                programs, options.python, options.rounds, counting=options.instructions
            )
    # A plain install has no gateway.
    if options.only != "router" and runs(options.python, "import pointsman_gateway.gateway"):
        found["serve"] = serve_measured(options.python, options.rounds, counting=options.instructions)
    if options.json:
        print(json.dumps(found))
    else:
        tell(found)
    sys.exit("serve" in found and found["serve"]["ratio"]["CPU"] > SERVE_LIMIT)


def tell(found: dict[str, Any]) -> None:
    """Print it for people."""
    if "figures" in found:
        print(f"{found['rounds']} rounds; goal for a router built: {CPU_LIMIT} s, {MEMORY_LIMIT_MIB} MiB")
        for name, figure in found["figures"].items():
            least = f" (least {figure['cpu_s_least']:.3f})"
            print(line(name, figure, least))
        print(f"{BUILT} / {FLOOR}: {ratios(found['ratio'])}")
    if "serve" in found:
        print(f"{found['rounds']} rounds; with the interpreter; goal: {SERVE_LIMIT} in CPU")
        for name, figure in found["serve"]["figures"].items():
            print(line(name, figure, f", {figure['wall_s']:.3f} s in all"))
        print(f"{SERVE} / {LIBRARIES}: {ratios(found['serve']['ratio'])}")


def line(name: str, figure: dict[str, float], more: str) -> str:
    """One program with its figures."""
    counted = f", {figure['instructions'] / 1e6:7.1f} M instructions" if "instructions" in figure else ""
    return f"  {name:40} {figure['cpu_s']:6.3f} s CPU{more}, {figure['memory_mib']:5.1f} MiB{counted}"


def ratios(found: dict[str, float]) -> str:
    return ", ".join(f"{value:.2f} in {what}" for what, value in found.items())


Figures = dict[str, dict[str, float]]


class Used(NamedTuple):
    """What one process took: seconds of CPU and in all, and at its peak resident memory."""

    cpu_s: float
    wall_s: float
    memory_mib: float


def measured(
    programs: dict[str, str], python: str, rounds: int, *, counting: bool = False
) -> tuple[Figures, dict[str, float]]:
    """(the figures of each program that `python` can run, which is more than nothing; the ratio of two)."""
    # The first run fills the cache of byte code. A plain install has no command.
    programs = {name: program for name, program in programs.items() if runs(python, program)}
    timed = [{name: used(python, "-c", program) for name, program in programs.items()} for _ in range(rounds)]
    idle = statistics.median(each["nothing"].cpu_s for each in timed)
    figures = {
        name: {
            "cpu_s": round(statistics.median(each[name].cpu_s for each in timed) - idle, 3),
            "cpu_s_least": round(min(each[name].cpu_s for each in timed) - idle, 3),
            "memory_mib": round(statistics.median(each[name].memory_mib for each in timed), 1),
        }
        for name in programs
        if name != "nothing"
    }
    built, floor = figures[BUILT], figures[FLOOR]
    ratio = {
        "CPU": statistics.median((each[BUILT].cpu_s - idle) / (each[FLOOR].cpu_s - idle) for each in timed),
        "memory": built["memory_mib"] / floor["memory_mib"],
    }
    if counting:
        nothing = instructions(python, "-c", programs["nothing"])
        for name, figure in figures.items():
            figure["instructions"] = instructions(python, "-c", programs[name]) - nothing
        ratio["instructions"] = built["instructions"] / floor["instructions"]
    return figures, {what: round(value, 3) for what, value in ratio.items()}


def serve_measured(python: str, rounds: int, *, counting: bool = False) -> dict[str, Any]:
    """The figures of `pointsman serve` until it is ready and of its libraries alone, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pointsman.yaml"
        file.write_text(SERVED, "utf-8")
        serve = ("-m", "pointsman_cli", "serve", "--log", "json", "--config", str(file))
        libraries = ("-c", f"import {LIBRARIES}")
        used(python, *serve, until_ready=True)  # fills the cache of byte code
        timed = [
            {LIBRARIES: used(python, *libraries), SERVE: used(python, *serve, until_ready=True)}
            for _ in range(rounds)
        ]
        figures = {
            name: {
                what: round(statistics.median(getattr(each[name], what) for each in timed), 3)
                for what in Used._fields
            }
            for name in (LIBRARIES, SERVE)
        }
        if counting:
            figures[LIBRARIES]["instructions"] = instructions(python, *libraries)
            figures[SERVE]["instructions"] = instructions(python, *serve, until_ready=True)
    served, libraries_alone = figures[SERVE], figures[LIBRARIES]
    ratio = {
        "CPU": statistics.median(each[SERVE].cpu_s / each[LIBRARIES].cpu_s for each in timed),
        "time": served["wall_s"] / libraries_alone["wall_s"],
        "memory": served["memory_mib"] / libraries_alone["memory_mib"],
    }
    if counting:
        ratio["instructions"] = served["instructions"] / libraries_alone["instructions"]
    return {"figures": figures, "ratio": {what: round(value, 3) for what, value in ratio.items()}}


@contextmanager
def upstream() -> Iterator[int]:
    """The port of a server that has one answer for everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def runs(python: str, program: str) -> bool:
    """Whether it does; fails where it is not for the lack of a package that a plain install may lack."""
    done = subprocess.run([python, "-c", program], env=ENVIRON, capture_output=True, text=True, check=False)
    if done.returncode and "ModuleNotFoundError" not in done.stderr:
        sys.exit(done.stderr)
    return not done.returncode


def used(python: str, *arguments: str, until_ready: bool = False) -> Used:
    """What a fresh interpreter with those `arguments` takes, to its end or until it says that it is ready."""
    until = "ready" if until_ready else "end"
    command = [sys.executable, "-c", CHILD, until, python, *arguments]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    cpu, wall, kib = map(float, done.stdout.split())
    return Used(cpu, wall, kib / (1024 if sys.platform != "darwin" else 1024**2))


def instructions(python: str, *arguments: str, until_ready: bool = False) -> int:
    """What the processor executes for the same in user mode, its libraries included."""
    count = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    until = "ready" if until_ready else "end"
    command = [sys.executable, "-c", CHILD, until, *count, python, *arguments]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=False)
    found = re.findall(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or len(found) != 1:
        sys.exit(done.stderr)
    return int(found[0].replace(",", ""))


if __name__ == "__main__":
    main()
