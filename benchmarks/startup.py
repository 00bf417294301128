"""What `import pointsman` costs: CPU seconds and resident memory of a fresh interpreter.

    uv run python benchmarks/startup.py [--rounds 7] [--json]

CPU time is user + system of the whole process minus that of an interpreter that does nothing; the median of
the rounds counts, which are interleaved with those of the libraries alone, so that a busy machine slows all
of them. Byte code is cached first, as it is after any installation.

No router can be built for less than the imports of `asyncio and pydantic, a model built`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys

PROGRAMS = {
    "nothing": "pass",
    "asyncio and pydantic, a model built": (
        "import asyncio, pydantic\nclass A(pydantic.BaseModel):\n    a: int = pydantic.Field(gt=0)\nA(a=1)"
    ),
    "the six required libraries": "import pydantic, httpx, pluggy, tenacity, aiolimiter, cachetools",
    "pointsman": "import pointsman",
    "pointsman and its Router": "from pointsman import Router",
    "pointsman and a router built": (
        "import pointsman; pointsman.Router.from_config({'providers': {'a': {'type': 'openai', "
        "'base_url': 'http://127.0.0.1:1'}}, 'models': {'m': {'deployments': ['a/x']}}})"
    ),
    "pointsman --help": "import pointsman_cli.app; pointsman_cli.app.run(['--help'])",
}
CPU_LIMIT = 0.20
MEMORY_LIMIT_MIB = 40


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for program in PROGRAMS.values():
        measured(program)  # fills the cache of byte code
    rounds = [{name: measured(program) for name, program in PROGRAMS.items()} for _ in range(options.rounds)]
    idle = statistics.median(each["nothing"][0] for each in rounds)
    figures = {
        name: {
            "cpu_s": round(statistics.median(each[name][0] for each in rounds) - idle, 3),
            "cpu_s_least": round(min(each[name][0] for each in rounds) - idle, 3),
            "memory_mib": round(statistics.median(each[name][1] for each in rounds), 1),
        }
        for name in PROGRAMS
        if name != "nothing"
    }
    if options.json:
        print(json.dumps({"rounds": options.rounds, "figures": figures}))
        return
    print(f"{options.rounds} rounds; goal for a router built: {CPU_LIMIT} s, {MEMORY_LIMIT_MIB} MiB")
    for name, figure in figures.items():
        print(
            f"  {name:35} {figure['cpu_s']:6.3f} s CPU (least {figure['cpu_s_least']:.3f}), "
            f"{figure['memory_mib']:5.1f} MiB"
        )


def measured(program: str) -> tuple[float, float]:
    """CPU seconds and peak resident MiB of a fresh interpreter that runs `program`."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    # A process of its own waits for it, so that the figures are of this one child.
    script = (
        "import os, resource, subprocess, sys\n"
        "subprocess.run([sys.executable, '-c', sys.argv[1]], stdout=subprocess.DEVNULL, check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, program], env=environ, capture_output=True, text=True, check=True
    )
    cpu, kib = done.stdout.split()
    return float(cpu), float(kib) / (1024 if sys.platform != "darwin" else 1024**2)


if __name__ == "__main__":
    main()
