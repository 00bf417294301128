"""What the start costs, from the import to the first call: CPU, instructions, memory of a fresh interpreter.

    uv run python benchmarks/startup.py [--rounds 7] [--instructions] [--python plain/bin/python] [--json]

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
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FLOOR = "asyncio and pydantic, a model built"
BUILT = "pointsman and a router built"
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
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with upstream() as port:
        programs = {name: program.replace("PORT", str(port)) for name, program in PROGRAMS.items()}
        figures, ratio = measured(programs, options.python, options.rounds, counting=options.instructions)
    if options.json:
        print(json.dumps({"rounds": options.rounds, "figures": figures, "ratio": ratio}))
        return
    print(f"{options.rounds} rounds; goal for a router built: {CPU_LIMIT} s, {MEMORY_LIMIT_MIB} MiB")
    for name, figure in figures.items():
        counted = f", {figure['instructions'] / 1e6:7.1f} M instructions" if options.instructions else ""
        print(
            f"  {name:35} {figure['cpu_s']:6.3f} s CPU (least {figure['cpu_s_least']:.3f}), "
            f"{figure['memory_mib']:5.1f} MiB{counted}"
        )
    print(f"{BUILT} / {FLOOR}: " + ", ".join(f"{value:.2f} in {what}" for what, value in ratio.items()))


Figures = dict[str, dict[str, float]]


def measured(
    programs: dict[str, str], python: str, rounds: int, *, counting: bool = False
) -> tuple[Figures, dict[str, float]]:
    """(the figures of each program that `python` can run, which is more than nothing; the ratio of two)."""
    # The first run fills the cache of byte code. A plain install has no command.
    programs = {name: program for name, program in programs.items() if runs(python, program)}
    timed = [{name: used(python, program) for name, program in programs.items()} for _ in range(rounds)]
    idle = statistics.median(each["nothing"][0] for each in timed)
    figures = {
        name: {
            "cpu_s": round(statistics.median(each[name][0] for each in timed) - idle, 3),
            "cpu_s_least": round(min(each[name][0] for each in timed) - idle, 3),
            "memory_mib": round(statistics.median(each[name][1] for each in timed), 1),
        }
        for name in programs
        if name != "nothing"
    }
    built, floor = figures[BUILT], figures[FLOOR]
    ratio = {
        "CPU": statistics.median((each[BUILT][0] - idle) / (each[FLOOR][0] - idle) for each in timed),
        "memory": built["memory_mib"] / floor["memory_mib"],
    }
    if counting:
        nothing = instructions(python, programs["nothing"])
        for name, figure in figures.items():
            figure["instructions"] = instructions(python, programs[name]) - nothing
        ratio["instructions"] = built["instructions"] / floor["instructions"]
    return figures, {what: round(value, 3) for what, value in ratio.items()}


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


def used(python: str, program: str) -> tuple[float, float]:
    """CPU seconds and peak resident MiB of a fresh interpreter that runs `program`."""
    # A process of its own waits for it, so that the figures are of this one child.
    script = (
        "import os, resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    command = [sys.executable, "-c", script, python, "-c", program]
    done = subprocess.run(command, env=ENVIRON, capture_output=True, text=True, check=True)
    cpu, kib = done.stdout.split()
    return float(cpu), float(kib) / (1024 if sys.platform != "darwin" else 1024**2)


def instructions(python: str, program: str) -> int:
    """What the processor executes for `program` in user mode, its libraries included."""
    count = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    done = subprocess.run(
        [*count, python, "-c", program], env=ENVIRON, capture_output=True, text=True, check=True
    )
    (found,) = re.findall(r"I\s+refs:\s+([\d,]+)", done.stderr)
    return int(found.replace(",", ""))


if __name__ == "__main__":
    main()
