"""What LiteLLM's Router routes with the configurations of docs/migrating-from-litellm.md, and what ours does.

    uv run python benchmarks/migrating.py [--only ours] [--json]

Each pair of the page is taken as it stands there, its upstreams replaced by simulated ones, and asked the
same things one after the other: by LiteLLM's Router in an environment of its own, and by ours. What the
upstreams saw is printed side by side. LiteLLM draws by chance: of 100 calls, its shares are near the weights.
Exit status 1: ours routes otherwise than the page says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ruamel.yaml import YAML

from pointsman import PointsmanError, Router
from pointsman_simulator import Fault, Reply, Simulator, Upstream

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "migrating-from-litellm.md"
REST = 2.0
"""Seconds for which a failing deployment rests here, in place of the 30 of the page."""
WITHIN = 60.0

_ASIDE = ("/api/show",)
"""What LiteLLM asks besides."""

Upstreams = Mapping[str, Upstream]


class Pair(NamedTuple):
    """One configuration of the page, in both shapes."""

    title: str
    theirs: str
    ours: str


def pairs() -> list[Pair]:
    """Those of the page, in its order."""
    found = []
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        blocks = dict(re.findall(r"^```yaml( litellm)?\n(.*?)^```$", section, re.MULTILINE | re.DOTALL))
        if len(blocks) == 2:
            found.append(Pair(section.partition("\n")[0], blocks[" litellm"], blocks[""]))
    return found


class Drive(Protocol):
    """Somebody who routes calls."""

    async def call(self, model: str, **options: Any) -> bool:
        """Whether it was answered."""


# ── what is asked ────────────────────────────────────────────────────────────────────────────────────


def _busy(upstreams: Upstreams, *names: str) -> None:
    for name in names:
        upstreams[name].default = Reply(fault=Fault.status(503, kind="server_error"))


def seen(upstreams: Upstreams) -> list[str]:
    """The inference requests that they saw, in order of time: `provider/model`."""
    all_of_them = [
        (record.when, f"{name}/{record.body['model']}")
        for name, each in upstreams.items()
        for record in each.requests
        if record.method == "POST" and record.path not in _ASIDE
    ]
    return [where for _, where in sorted(all_of_them)]


def counted(upstreams: Upstreams) -> dict[str, int]:
    return dict(sorted(Counter(seen(upstreams)).items()))


def runs(where: Sequence[str]) -> list[str]:
    """`where` with each only once, in the order in which it came first."""
    return list(dict.fromkeys(where))


async def spread(drive: Drive, upstreams: Upstreams) -> object:
    for each in upstreams.values():
        each.default = Reply(text="ok", latency=0.3)
    answered = await asyncio.gather(*(drive.call("assistant") for _ in range(12)))
    return {"answered": sum(answered), "seen": counted(upstreams)}


async def one_dead(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "gpu1")
    answered = [await drive.call("assistant") for _ in range(40)]
    before = counted(upstreams)["gpu1/llama3.2"]
    upstreams["gpu1"].default = Reply(text="ok")
    await asyncio.sleep(REST * 1.3)
    answered += [await drive.call("assistant") for _ in range(10)]
    back = counted(upstreams)["gpu1/llama3.2"] > before
    return {"answered": sum(answered), "asked before it rests": before, "asked again": back}


async def both_dead(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "gpu1", "gpu2")
    answered = await drive.call("assistant")
    where = runs(seen(upstreams))
    return {"answered": answered, "last": where[-1], "before": sorted(where[:-1])}


async def shares(drive: Drive, upstreams: Upstreams) -> object:
    answered = [await drive.call("assistant") for _ in range(100)]
    return {"answered": sum(answered), "seen": counted(upstreams)}


async def too_long(drive: Drive, upstreams: Upstreams) -> object:
    return await _refused(drive, upstreams, "context_length")


async def filtered(drive: Drive, upstreams: Upstreams) -> object:
    return await _refused(drive, upstreams, "content_filter")


async def _refused(drive: Drive, upstreams: Upstreams, kind: str) -> object:
    refusal = Reply(fault=Fault.status(400, kind=kind))
    for name, model in (("openai", "gpt-4.1-mini"), ("claude", "claude-haiku-4-5")):
        upstreams[name].respond = lambda record, _, model=model: (
            refusal if record.body["model"] == model else None
        )
    answered = await drive.call("assistant")
    where = seen(upstreams)
    return {"answered": answered, "by": where[-1], "asked of assistant": len(where) - 1}


async def all_busy(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "openai", "claude")
    answered = await drive.call("assistant")
    return {"answered": answered, "by": seen(upstreams)[-1]}


async def levels(drive: Drive, upstreams: Upstreams) -> object:
    answered = [await drive.call(model) for model in ("assistant", "gpt-4o") for _ in range(10)]
    return {"answered": sum(answered), "seen": counted(upstreams)}


async def next_level(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "gpu")
    answered = await drive.call("assistant")
    return {"answered": answered, "seen": runs(seen(upstreams))}


async def pattern(drive: Drive, upstreams: Upstreams) -> object:
    answered = await drive.call("openai/gpt-4o-mini")
    return {"answered": answered, "seen": seen(upstreams)}


async def pattern_dead(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "openai")
    answered = await drive.call("openai/gpt-4o-mini")
    return {"answered": answered, "seen": runs(seen(upstreams))}


async def dropped(drive: Drive, upstreams: Upstreams) -> object:
    _busy(upstreams, "openai")
    for _ in range(8):
        await drive.call("openai/gpt-4.1-mini")
    before = len(seen(upstreams))
    answered = await drive.call("assistant", logit_bias={"50256": -100})
    asked = seen(upstreams)[before:]
    body = next(each.body for each in reversed(upstreams["gpu"].requests) if each.method == "POST")
    return {"answered": answered, "by": asked[-1], "without it": "logit_bias" not in json.dumps(body)}


Asks = Callable[[Drive, Upstreams], Awaitable[object]]
ASKED: Sequence[Mapping[str, tuple[Asks, object]]] = (
    {
        "12 calls at once": (
            spread, {"answered": 12, "seen": {"gpu1/llama3.2": 6, "gpu2/llama3.2": 6}},
        ),
        "one server answers 503": (
            one_dead, {"answered": 50, "asked before it rests": 4, "asked again": True},
        ),
        "both do": (
            both_dead,
            {"answered": True, "last": "openai/gpt-4.1-mini", "before": ["gpu1/llama3.2", "gpu2/llama3.2"]},
        ),
    },
    {
        "100 calls": (
            shares, {"answered": 100, "seen": {"claude/claude-haiku-4-5": 20, "openai/gpt-4.1-mini": 80}},
        ),
        "the prompt is too long": (
            too_long, {"answered": True, "by": "openai/gpt-4.1", "asked of assistant": 1},
        ),
        "the policy refuses": (
            filtered, {"answered": True, "by": "gpu/llama3.2", "asked of assistant": 1},
        ),
        "both answer 503": (all_busy, {"answered": True, "by": "gpu/llama3.2"}),
    },
    {
        "10 calls by each name": (levels, {"answered": 20, "seen": {"gpu/llama3.2": 20}}),
        "gpu answers 503": (
            next_level, {"answered": True, "seen": ["gpu/llama3.2", "openai/gpt-4.1-mini"]},
        ),
        "a name of the pattern": (pattern, {"answered": True, "seen": ["openai/gpt-4o-mini"]}),
        "the same, answered 503": (
            pattern_dead, {"answered": True, "seen": ["openai/gpt-4o-mini", "gpu/llama3.2"]},
        ),
        "an option that it cannot": (
            dropped, {"answered": True, "by": "gpu/llama3.2", "without it": True},
        ),
    },
)  # fmt: skip
"""For each pair what is asked, and what the page says that ours routes."""

# ── who is asked ─────────────────────────────────────────────────────────────────────────────────────

_SERVERS = {"gpu": "ollama", "gpu1": "ollama", "gpu2": "ollama", "openai": "openai", "claude": "claude"}
_MODELS = {
    "ollama": ["llama3.2"],
    "openai": ["gpt-4.1-mini", "gpt-4.1", "gpt-4o-mini"],
    "claude": ["claude-haiku-4-5"],
}
_PORTS = {"http://127.0.0.1:11434": ("gpu", "gpu1"), "http://127.0.0.1:11435": ("gpu2",)}


class Ours:
    """Our router."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def call(self, model: str, **options: Any) -> bool:
        try:
            await self._router.chat(model, "Why is the sky blue?", **options)
        except PointsmanError as error:
            print(f"  {error}", file=sys.stderr)
            return False
        return True


@asynccontextmanager
async def ours(pair: Pair, upstreams: Upstreams) -> Any:
    config = YAML(typ="safe").load(pair.ours)
    for name, provider in config["providers"].items():
        provider.update(base_url=upstreams[name].base_url)
        if "api_key" in provider:
            provider.update(api_key="k")
    if "circuit_breaker" in config:
        config["circuit_breaker"]["reset_timeout"] = REST
    async with Router.from_config(config) as router:
        yield Ours(router)


WORKER = r"""
import asyncio, json, logging, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm
logging.disable(logging.CRITICAL)
litellm.telemetry = False
litellm.suppress_debug_info = True
async def main():
    loop = asyncio.get_running_loop()
    told = json.loads(sys.stdin.readline())
    litellm.drop_params = told["drop_params"]
    router = litellm.Router(model_list=told["model_list"], **told["settings"])
    async def one(asked):
        try:
            messages = [{"role": "user", "content": "Why is the sky blue?"}]
            await router.acompletion(asked["model"], messages, **asked["options"])
            done = {"id": asked["id"], "ok": True}
        except Exception as error:
            done = {"id": asked["id"], "ok": False, "error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(done), flush=True)
    tasks = set()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        tasks.add(asyncio.create_task(one(json.loads(line))))
asyncio.run(main())
"""


class Theirs:
    """LiteLLM's Router, in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reading = asyncio.create_task(self._read())

    async def call(self, model: str, **options: Any) -> bool:
        assert self._process.stdin is not None
        number = len(self._waiting)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "model": model, "options": options}) + "\n"
        self._process.stdin.write(line.encode())
        answer = await asyncio.wait_for(self._waiting[number], WITHIN)
        if not answer["ok"]:
            print(f"  {answer['error']}", file=sys.stderr)
        return bool(answer["ok"])

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                told = json.loads(line)
                self._waiting[told["id"]].set_result(told)

    async def aclose(self) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reading


@asynccontextmanager
async def theirs(pair: Pair, upstreams: Upstreams, python: str) -> Any:
    config = YAML(typ="safe").load(pair.theirs)
    for each in config["model_list"]:
        given = each["litellm_params"]
        if "api_base" in given:
            name = next(name for name in _PORTS[given["api_base"]] if name in upstreams)
        else:
            name = "claude" if given["model"].startswith("anthropic/") else "openai"
        given.update(api_base=upstreams[name].base_url, api_key="k")
    settings = dict(config["router_settings"])
    if "cooldown_time" in settings:
        settings["cooldown_time"] = REST
    drop = config.get("litellm_settings", {}).get("drop_params", False)
    process = await asyncio.create_subprocess_exec(
        *(python, "-c", WORKER),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    told = {"model_list": config["model_list"], "settings": settings, "drop_params": drop}
    process.stdin.write(json.dumps(told).encode() + b"\n")
    while (line := await process.stdout.readline()) != b"ready\n":
        if not line:
            raise SystemExit("LiteLLM's Router did not start")
    drive = Theirs(process)
    try:
        yield drive
    finally:
        await drive.aclose()


async def routed(pair: Pair, asks: Asks, by: Callable[[Pair, Upstreams], Any]) -> object:
    """What upstreams of `pair` see when `asks` is asked of whoever `by` gives."""
    names = YAML(typ="safe").load(pair.ours)["providers"]
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(seed=1))
        upstreams = {}
        for name in names:
            wire = _SERVERS[name]
            upstreams[name] = await simulator.add(wire, name=name, models=_MODELS[wire])
        drive = await stack.enter_async_context(by(pair, upstreams))
        return await asks(drive, upstreams)


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=["ours"], help="LiteLLM is not tried")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    python = None
    if given.only is None:
        sys.path.append(str(ROOT / "benchmarks" / "peers"))
        import environments

        python = environments.python("migrating", environments.default_directory(), ("litellm==1.108.7",))
    found, wrong = [], 0
    for pair, asked in zip(pairs(), ASKED, strict=True):
        for what, (asks, said) in asked.items():
            row: dict[str, object] = {"configuration": pair.title, "asked": what, "said": said}
            row["ours"] = await routed(pair, asks, ours)
            if python is not None:
                row["litellm"] = await routed(pair, asks, lambda p, u: theirs(p, u, python))
            wrong += row["ours"] != said
            found.append(row)
            if not given.json:
                print(f"{pair.title}: {what}")
                for who in ("said", "ours", "litellm"):
                    if who in row:
                        print(f"    {who:8} {json.dumps(row[who])}")
    if given.json:
        print(json.dumps(found, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
