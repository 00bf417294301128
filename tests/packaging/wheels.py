"""Builds every distribution, installs the wheels into a fresh environment, and makes one call there.

Run as a script: `python tests/packaging/wheels.py`. It exits with 0 when the installed packages find each
other by their entry points, the core with one provider stays within its number of distributions and has the
fast transport, its first call costs what docs/performance.md says, and a request goes through real HTTP.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOREIGN_AT_MOST = 19
"""Distributions that are not ours and come with the core and one provider; one is msgspec, for all values."""
PAGE_PYTHON = (3, 11)
FIRST_CALL = "pointsman and one call made"
PROVIDERS = ("ollama", "openai", "claude", "localai")

CALL = """
import asyncio, json
from pointsman import Router
from pointsman_simulator import Simulator

async def main():
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("openai", name="one", models=["m"])
        config = {
            "providers": {"one": {"type": "openai", "base_url": upstream.base_url, "api_key": "k"}},
            "models": {"a": {"deployments": ["one/m"]}},
        }
        async with Router.from_config(config) as router:
            reply = await router.chat("a", "hello")
    print(json.dumps({"text": reply.text, "deployment": reply.deployment}))

asyncio.run(main())
"""

TRANSPORTS = """
import json
from pointsman import Router

config = {
    "providers": {"one": {"type": "%s", "base_url": "http://127.0.0.1:1", "api_key": "k"}},
    "models": {"a": {"deployments": ["one/m"]}},
}

def taken(**more):
    config["providers"]["one"] |= more
    return Router.from_config(config).status().to_dict()["models"]["a"]["deployments"][0]["transport"]

print(json.dumps([taken(), taken(proxy="http://127.0.0.1:1")]))
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pointsman-wheels-") as folder:
        wheels = Path(folder) / "wheels"
        run("uv", "build", "--quiet", "--all-packages", "--wheel", "--out-dir", str(wheels), cwd=ROOT)
        print(*sorted(path.name for path in wheels.glob("*.whl")), sep="\n")
        small = environment(Path(folder) / "small", wheels, "pointsman-openai")
        names = {each["name"] for each in installed(small)}
        print(f"core and one provider: {len(names)} distributions: {', '.join(sorted(names))}")
        foreign = {each for each in names if not each.startswith("pointsman")}
        if len(foreign) > FOREIGN_AT_MOST:
            sys.exit(f"more than {FOREIGN_AT_MOST} distributions that are not ours: {len(foreign)}")
        check_first_call(small)
        for kind in PROVIDERS:
            plain = environment(Path(folder) / kind, wheels, f"pointsman-{kind}")
            taken = json.loads(run(str(plain), "-c", TRANSPORTS % kind, cwd=Path(folder)))
            print(f"a plain pointsman-{kind} takes the transport {taken[0]}, and {taken[1]} through a proxy")
            if taken != ["h1", "httpx"]:
                sys.exit("that is not what a plain install should take")
        full = environment(Path(folder) / "full", wheels, "pointsman-cli", "[demo]")
        answer = json.loads(run(str(full), "-c", CALL, cwd=Path(folder)))
        print(f"one call: {answer}")
        if answer["deployment"] != "one/m" or not answer["text"]:
            sys.exit("the call gave no answer")
        command = full.parent / "pointsman"
        plugins = json.loads(run(str(command), "plugins", "--json", cwd=Path(folder)))
        providers = {each["name"]: each["distribution"] for each in plugins if each["kind"] == "provider"}
        print(f"the installed command finds {providers}")
        if set(providers) != set(PROVIDERS):
            sys.exit("not all four providers were found by their entry points")


def check_first_call(python: Path) -> None:
    """End with an error when the first call of a plain install takes more than the page says."""
    if not shutil.which("valgrind") or sys.version_info[:2] != PAGE_PYTHON:
        print("first call: not counted, for the lack of valgrind or of the page's Python")
        return
    startup = ROOT / "benchmarks" / "startup.py"
    options = ("--rounds", "1", "--instructions", "--json", "--python", str(python))
    figures = json.loads(run(sys.executable, str(startup), *options, cwd=ROOT))["figures"]
    found = figures[FIRST_CALL]["instructions"] / 1e6
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    (said,) = re.findall(rf"\| {FIRST_CALL} \|.*\| ([\d,]+) \|\n", page)
    print(f"first call: {found:,.0f} M instructions; docs/performance.md says {said} M")
    if found > 1.05 * float(said.replace(",", "")):
        sys.exit("the first call of a plain install costs more than docs/performance.md says")


def environment(folder: Path, wheels: Path, distribution: str, extra: str = "") -> Path:
    """The interpreter of a fresh environment with `distribution`, ours from `wheels`."""
    run("uv", "venv", "--quiet", "--python", sys.executable, str(folder), cwd=ROOT)
    python = folder / "bin" / "python"
    ours = {name(path): f"{name(path)} @ {path.as_uri()}" for path in wheels.glob("*.whl")}
    overrides = folder / "ours.txt"
    # The wheels that were just built, and never something of the same name from elsewhere.
    overrides.write_text("\n".join(each for key, each in ours.items() if key != distribution))
    wanted = ours[distribution].replace(" @", f"{extra} @")
    run(
        *("uv", "pip", "install", "--quiet", "--python", str(python)),
        *("--overrides", str(overrides), wanted),
        cwd=folder,
    )
    return python


def name(wheel: Path) -> str:
    """The distribution's name in a wheel's file name."""
    return wheel.name.partition("-")[0].replace("_", "-")


def installed(python: Path) -> list[dict[str, str]]:
    """What is installed beside `python`."""
    return json.loads(run("uv", "pip", "list", "--format", "json", "--python", str(python), cwd=ROOT))  # type: ignore[no-any-return]


def run(*command: str, cwd: Path) -> str:
    """The output of `command`; ends the script with its errors when it fails."""
    environ = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    done = subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
