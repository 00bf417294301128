"""Changes of a configuration file in the midst of open streams, which nobody but the file says anything of.

    uv run python benchmarks/hot_reload.py [--streams 500] [--changes 100] [--only gateway|embedded] [--json]
    uv run python benchmarks/hot_reload.py --quick      20 streams, 8 changes

The upstreams are simulated, over sockets; the router is embedded here, or that of `pointsman serve` in a
process of its own. Each change is another strategy, other weights, and a deployment that comes or goes; every
tenth takes away one that has streams, and the next gives it back. The file is written in place, by a rename,
or changed by a link that leads elsewhere, as in a ConfigMap, by turns; before every fifth change it is wrong.

Asked: each stream is whole; what is broken is told and changes nothing; once the status tells of a change
every call goes by it; whenever one was told as many attempts are in flight as streams are open. In the end
nothing is left: no file descriptor, and here no task and no snapshot but the one in use.

Exit status 1 where something is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, Protocol, TypeVar

import httpx

from gateway_process import raise_descriptors
from pointsman import Router
from pointsman.routing.snapshot import Snapshot
from pointsman_simulator import Reply, Simulator, Upstream

T = TypeVar("T")

STRATEGIES = ("round_robin", "weighted", "least_connections")
CALLS = 3
"""At once, after each change."""
WITHIN = 60.0
WORDS, PACE = 250, 0.25
"""Of each stream, and how many a second, until the rest may come at once."""


class Finding(NamedTuple):
    """What was seen, and what of it is not as asked."""

    figures: dict[str, Any]
    findings: list[str]


class Subject(Protocol):
    """What reads the file."""

    async def status(self) -> dict[str, Any]: ...
    async def ask(self) -> str:
        """The id of the deployment that answered a call of `probe`."""

    async def stream(self, begun: Callable[[], None]) -> str:
        """The text of a stream of `talk`; `begun` is called with its first piece."""

    def descriptors(self) -> int: ...
    def left(self) -> dict[str, int]:
        """What there is of tasks and snapshots, as far as it can be seen."""


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────


class File:
    """The configuration file in `folder`."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.path = folder / "pointsman.json"
        self._urls = urls
        self._written = 0

    def configure(self, number: int, *, broken: bool = False) -> None:
        """Write the configuration of that number; `broken` in a way that is found late, or early."""
        text = json.dumps(self._config(number, "rund_robin" if broken and number % 2 else ""), indent=1)
        manners = (self._in_place, self._renamed, self._linked)
        manners[self._written % 3](text[:-40] if broken and not number % 2 else text)
        self._written += 1

    def _config(self, number: int, strategy: str) -> dict[str, Any]:
        a, b, extra = ({"provider": each, "model": "m", "weight": 1 + number % 5} for each in "aba")
        talking = [a] if number % 10 == 9 else [a, b]
        if number % 2:
            talking.append({**extra, "name": "extra"})
        headers = {"x-generation": "last"} if number < 0 else {}
        return {
            "providers": {
                "a": {"type": "openai", "base_url": self._urls["a"], "api_key": "k", "headers": headers},
                "b": {"type": "ollama", "base_url": self._urls["b"], "headers": headers},
            },
            "models": {
                "talk": {"strategy": strategy or STRATEGIES[number % 3], "deployments": talking},
                "probe": {"deployments": [{"provider": "a", "model": "m", "name": name(number)}]},
            },
            "reload": {"interval": "100ms"},
            "retry": "none",
            "timeouts": {"first_token": "1h", "idle": "1h", "attempt": "1h", "total": "1h"},
            "gateway": {"listen": "127.0.0.1:0", "headers": "full"},
        }

    def _in_place(self, text: str) -> None:
        self.path.write_text(text)

    def _renamed(self, text: str) -> None:
        other = self.path.with_suffix(".tmp")
        other.write_text(text)
        other.replace(self.path)

    def _linked(self, text: str) -> None:
        folder = self.path.parent
        version = folder / f"..{self._written}"
        version.mkdir()
        (version / self.path.name).write_text(text)
        self._lead("..data", version.name)
        if not self.path.is_symlink():
            self._lead(self.path.name, f"..data/{self.path.name}")

    def _lead(self, link: str, to: str) -> None:
        folder = self.path.parent
        (folder / "..new").symlink_to(to)
        (folder / "..new").replace(folder / link)


def name(number: int) -> str:
    """The id of the only deployment of `probe` in the configuration of that number."""
    return f"generation-{number}"


# ── the subjects ─────────────────────────────────────────────────────────────────────────────────────


class Embedded:
    """A router of this process."""

    def __init__(self, router: Router) -> None:
        self._router = router

    async def status(self) -> dict[str, Any]:
        return self._router.status().to_dict()

    async def ask(self) -> str:
        return (await self._router.chat("probe", "hi")).deployment

    async def stream(self, begun: Callable[[], None]) -> str:
        said = ""
        async with self._router.stream("talk", "hi") as stream:
            async for event in stream:
                if text := getattr(event, "text", ""):
                    if not said:
                        begun()
                    said += text
        return said

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    def left(self) -> dict[str, int]:
        gc.collect()
        snapshots = sum(type(each) is Snapshot for each in gc.get_objects())  # no question to proxies
        return {"tasks": len(asyncio.all_tasks()), "snapshots": snapshots}


class Served:
    """A gateway in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
        self._process = process
        self._client = client

    async def status(self) -> dict[str, Any]:
        answer = await self._client.get("/admin/v1/status", headers={"x-pointsman-csrf": "1"})
        return dict(answer.raise_for_status().json())

    async def ask(self) -> str:
        asked = {"model": "probe", "messages": [{"role": "user", "content": "hi"}]}
        answer = await self._client.post("/v1/chat/completions", json=asked)
        return answer.raise_for_status().headers["x-pointsman-deployment"]

    async def stream(self, begun: Callable[[], None]) -> str:
        asked = {"model": "talk", "messages": [{"role": "user", "content": "hi"}], "stream": True}
        said, ended = "", False
        async with self._client.stream("POST", "/v1/chat/completions", json=asked) as answer:
            async for line in answer.aiter_lines():
                ended |= line == "data: [DONE]"
                if not line.startswith("data: {"):
                    continue
                for choice in json.loads(line[6:]).get("choices", ()):
                    if text := choice["delta"].get("content"):
                        if not said:
                            begun()
                        said += text
        return said if ended else f"{said} … and no end"

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))

    def left(self) -> dict[str, int]:
        return {}


@asynccontextmanager
async def embedded(file: Path) -> AsyncIterator[Subject]:
    """A router for that file, here."""
    async with Router.from_config(file) as router:
        yield Embedded(router)


@asynccontextmanager
async def served(file: Path) -> AsyncIterator[Subject]:
    """`pointsman serve` with that file."""
    command = (sys.executable, "-m", "pointsman_cli", "-c", str(file), "serve", "--json", "--log", "off")
    with (file.parent / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN):
            line = await process.stdout.readline()
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        url = json.loads(line)["url"]
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=None) as client:
            yield Served(process, client)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


SUBJECTS = {"gateway": served, "embedded": embedded}


# ── what is done ─────────────────────────────────────────────────────────────────────────────────────


class Jumping(asyncio.SelectorEventLoop):
    """A loop whose time can leap ahead, so that all that is slow in it is over."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead

    def leap(self) -> None:
        """To be called from another thread."""
        self.call_soon_threadsafe(setattr, self, "ahead", WORDS / PACE)


@asynccontextmanager
async def simulated() -> AsyncIterator[tuple[Jumping, Upstream, Upstream]]:
    """Two upstreams, `a` and `b`, in a thread and on a loop of their own."""
    loop = Jumping()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def there(work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, loop))

    simulator = await there(Simulator().__aenter__())
    try:
        a = await there(simulator.add("openai", name="a", models=["m"]))
        yield loop, a, await there(simulator.add("ollama", name="b", models=["m"]))
    finally:
        await there(simulator.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def changed(subject: str, streams: int, changes: int) -> Finding:
    """Change the file so often while so many streams are open."""
    text = " ".join(["word"] * WORDS)
    reply = Reply(text=text, tokens_per_second=PACE)
    found: list[str] = []
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstreams, a, b = await stack.enter_async_context(simulated())
        file = File(folder, {"a": a.base_url, "b": b.base_url})
        file.configure(0)
        router = await stack.enter_async_context(SUBJECTS[subject](file.path))
        await router.ask()
        before, fds = router.left(), router.descriptors()
        for each in (a, b):
            each.default = reply
        open_streams = await _begun(router, streams)
        for each in (a, b):
            each.default = Reply(text="ok")
        began = monotonic()
        for number in range(1, changes + 1):
            found += await _change(router, file, number, streams)
            _progress(f"{subject}: change {number} of {changes}")
        took = monotonic() - began
        early = sum(each.done() for each in open_streams)
        upstreams.leap()
        answers = await asyncio.gather(*open_streams)
        file.configure(-1)  # with other connections, so that those of the streams are closed
        await _until(lambda: _told(router, -1))
        await _until(lambda: _as_before(router, before, fds))
        after, left = router.left(), router.descriptors() - fds
        rest = (await router.status())["in_flight"]
    _progress("")
    whole = sum(each == text for each in answers)
    found += [f"{early} streams ended before the last change"] if early else []
    found += [f"{streams - whole} of {streams} streams are not whole"] if whole < streams else []
    found += [f"{rest} attempts are counted that have ended"] if rest else []
    if not _no_more(after, before):
        found.append(f"before there were {before}, and in the end {after}")
    found += [f"{left} more file descriptors are open than before"] if left > SPARE else []
    figures = {
        "subject": subject,
        "streams": streams,
        "whole": whole,
        "changes": changes,
        "calls after changes": CALLS * changes,
        "seconds a change": round(took / changes, 2),
        "descriptors left": left,
        **after,
    }
    return Finding(figures, found)


SPARE = 8
"""Descriptors of connections that wait for the next call, and of the thread that reads files."""


async def _begun(router: Subject, streams: int) -> list[asyncio.Task[str]]:
    """So many streams, each with its first piece."""
    opening, left = asyncio.Semaphore(50), streams
    all_begun = asyncio.Event()

    async def one() -> str:
        await opening.acquire()
        return await router.stream(begun)

    def begun() -> None:
        nonlocal left
        opening.release()
        left -= 1
        if not left:
            all_begun.set()

    tasks = [asyncio.create_task(one()) for _ in range(streams)]
    async with asyncio.timeout(WITHIN):
        await all_begun.wait()
    return tasks


async def _change(router: Subject, file: File, number: int, streams: int) -> list[str]:
    """Have the file say what that number stands for; what is not as it has to be then."""
    found = []
    if number % 5 == 0:
        file.configure(number, broken=True)
        await _until(lambda: _refused(router))
        if await router.ask() != name(number - 1):
            found.append(f"what was broken before change {number} was used")
    file.configure(number)
    await _until(lambda: _told(router, number))
    in_flight = (await router.status())["in_flight"]
    if in_flight != streams:
        found.append(f"after change {number} {in_flight} are in flight, and {streams} streams are open")
    by = set(await asyncio.gather(*(router.ask() for _ in range(CALLS))))
    if by != {name(number)}:
        found.append(f"after change {number} calls went by {', '.join(sorted(by))}")
    return found


async def _told(router: Subject, number: int) -> bool:
    status = await router.status()
    deployments = status["models"]["probe"]["deployments"]
    strategy = status["models"]["talk"]["strategy"]
    return deployments[0]["id"] == name(number) and strategy == STRATEGIES[number % 3]


async def _refused(router: Subject) -> bool:
    return (await router.status())["configuration"]["refused"] is not None


async def _as_before(router: Subject, before: dict[str, int], fds: int) -> bool:
    return _no_more(router.left(), before) and router.descriptors() <= fds + SPARE


def _no_more(now: dict[str, int], before: dict[str, int]) -> bool:
    return all(now[each] <= before[each] for each in before)


async def _until(so: Callable[[], Awaitable[bool]]) -> None:
    """Return when that is so; soon after what is wrong shows otherwise."""
    end = monotonic() + WITHIN / 4
    while not await so() and monotonic() < end:  # noqa: ASYNC110 - partly another process
        await asyncio.sleep(0.02)


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--streams", type=int, default=500)
    parser.add_argument("--changes", type=int, default=100)
    parser.add_argument(
        "--seconds", type=float, help="that streams take at least; by default a second a change"
    )
    parser.add_argument("--only", choices=[*SUBJECTS])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    streams, changes = (20, 8) if options.quick else (options.streams, options.changes)
    raise_descriptors(6 * streams + 500)
    wrong = False
    for subject in [options.only] if options.only else SUBJECTS:
        found = asyncio.run(changed(subject, streams, changes))
        wrong |= bool(found.findings)
        if options.json:
            print(json.dumps({**found.figures, "findings": found.findings}))
            continue
        print(", ".join(f"{key}: {value}" for key, value in found.figures.items()))
        for each in found.findings:
            print(f"  {each}", file=sys.stderr)
    sys.exit(wrong)


if __name__ == "__main__":
    main()
