"""`pointsman serve` as a process, with its upstream as another one, and callers that speak byte by byte.

What `caller_gone.py`, `gateway_drain.py` and `gateway_memory.py` share. All of it stays on loopback.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

WITHIN = 30.0
"""Seconds that anything here may take; what takes longer has never come."""


class Surface(NamedTuple):
    """An API that callers speak.

    Attributes:
        models: public names whose upstreams speak the same wire, and another one.
        body: of a request, without its model.
        end, error: what a stream has that came to its end, or says that it failed.
    """

    path: str
    models: Sequence[str]
    body: Callable[[str, bool], dict[str, Any]]
    end: bytes = b""
    error: bytes = b""


def _chat(prompt: str, stream: bool) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": prompt}], "stream": stream}


SURFACES = {
    "openai chat": Surface(
        "/v1/chat/completions", ("openai", "claude"), _chat, b"data: [DONE]", b'data: {"error"'
    ),
    "openai completions": Surface(
        "/v1/completions",
        ("openai", "ollama"),
        lambda prompt, stream: {"prompt": prompt, "stream": stream},
        b"data: [DONE]",
        b'data: {"error"',
    ),
    "openai responses": Surface(
        "/v1/responses",
        ("openai", "claude"),
        lambda prompt, stream: {"input": prompt, "stream": stream},
        b"event: response.completed",
        b"event: response.failed",
    ),
    "anthropic": Surface(
        "/v1/messages",
        ("claude", "openai"),
        lambda prompt, stream: {**_chat(prompt, stream), "max_tokens": 100},
        b"event: message_stop",
        b"event: error",
    ),
    "ollama": Surface("/api/chat", ("ollama", "openai"), _chat, b'"done":true', b'{"error"'),
    "ai": Surface("/api/v1/ai/chat", ("openai", "ollama"), _chat, b'"isFinal":true', b"event: error"),
}
SOCKET = "/api/v1/ai/ws"


def configured(upstream: str, **more: Any) -> dict[str, Any]:
    """A configuration whose upstreams of all wires are one process; `narrow` has room for one call."""
    providers = {
        "openai": {
            "type": "openai",
            "base_url": f"{upstream}/v1",
            "api_key": "k-for-tests",
            "responses": True,
        },
        "claude": {"type": "claude", "base_url": upstream, "api_key": "k-for-tests"},
        "ollama": {"type": "ollama", "base_url": upstream},
    }
    models: dict[str, Any] = {name: {"deployments": [f"{name}/x"]} for name in providers}
    models["narrow"] = {"deployments": [{"provider": "openai", "model": "narrow", "max_in_flight": 1}]}
    gateway = {"listen": "127.0.0.1:0", "health": {"listen": "127.0.0.1:0"}, "heartbeat": "1h"}
    return {
        "providers": providers,
        "models": models,
        "retry": "none",
        "timeouts": {"first_token": "1h", "idle": "1h", "attempt": "1h", "total": "1h"},
        "queue": {"wait": "1h", "length": 10_000},
        "gateway": gateway,
        **more,
    }


# ── the upstream ─────────────────────────────────────────────────────────────────────────────────────


class Upstream:
    """`silent_upstream.py`, and what it says of each caller by number."""

    def __init__(self, process: Process, url: str) -> None:
        self.url = url
        self._process = process
        self.begun: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self.closed: dict[int, asyncio.Future[float]] = defaultdict(asyncio.get_running_loop().create_future)

    @property
    def open(self) -> set[int]:
        """Callers whose requests have come and whose connections have not ended."""
        began = {number for number, event in self.begun.items() if event.is_set()}
        return began - {number for number, closed in self.closed.items() if closed.done()}

    async def read(self) -> None:
        """Hear what it says until it ends."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            word, number, *rest = json.loads(line)
            if word == "begun":
                self.begun[number].set()
            elif not self.closed[number].done():
                self.closed[number].set_result(rest[0])

    def finish(self) -> None:
        """Have it end the streams that go on."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"finish\n")


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """One that runs."""
    file = Path(__file__).with_name("silent_upstream.py")
    process = await asyncio.create_subprocess_exec(sys.executable, str(file), stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WITHIN):
            _, url = json.loads(await process.stdout.readline())
        made = Upstream(process, url)
        reading = asyncio.create_task(made.read())
        yield made
    finally:
        process.stdin.close()
        await process.wait()
    await reading


# ── the gateway ──────────────────────────────────────────────────────────────────────────────────────


class Gateway:
    """`pointsman serve`, at `url`, with its health at another address; `file` is its configuration."""

    def __init__(self, process: Process, announced: Mapping[str, Any], file: Path) -> None:
        self.process = process
        self.file = file
        self.url: str = announced["url"]
        self.health = next(
            f"http://{each['address']}" for each in announced["listeners"] if each["for"] == "health"
        )

    def configure(self, config: Mapping[str, Any]) -> None:
        """What it reads with the next reload."""
        self.file.write_text(json.dumps(config))

    def tell(self, number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    async def status(self) -> Any:
        """What operators see."""
        _, body = await asked("GET", f"{self.url}/admin/v1/status")
        return json.loads(body)

    async def at_rest(self, in_flight: int = 0) -> None:
        """Return when only so many requests are in flight. Raises TimeoutError."""
        async with asyncio.timeout(WITHIN):
            while (await self.status())["in_flight"] != in_flight:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)

    @property
    def resident(self) -> int:
        """Bytes of memory that the process has."""
        with suppress(OSError):
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            return pages * resource.getpagesize()
        raise RuntimeError("needs /proc, as Linux has it")


@asynccontextmanager
async def gateway(config: Mapping[str, Any]) -> AsyncIterator[Gateway]:
    """One that runs with that configuration, and is killed in the end if it still does."""
    with tempfile.TemporaryDirectory() as folder:
        file, log = _written(Path(folder), config)
        command = ("-m", "pointsman_cli", "-c", str(file), "serve", "--json", "--log", "off")
        with log:
            process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE, stderr=log)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(WITHIN):
                line = await process.stdout.readline()
            if not line:
                raise RuntimeError(_text_of(log.name))
            yield Gateway(process, json.loads(line), file)
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def _written(folder: Path, config: Mapping[str, Any]) -> tuple[Path, IO[bytes]]:
    """The file with that configuration, and one for what the gateway says."""
    file = folder / "pointsman.json"
    file.write_text(json.dumps(config))
    return file, (folder / "log").open("wb")


def _text_of(name: str) -> str:
    return Path(name).read_text()


# ── callers ──────────────────────────────────────────────────────────────────────────────────────────


class Caller:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, url: str) -> Caller:
        parts = urlsplit(url)
        assert parts.hostname is not None
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    def ask(self, method: str, path: str, body: Any = None, **fields: str) -> None:
        """A whole request, which may be an operator's."""
        sent = b"" if body is None else json.dumps(body).encode()
        head = {
            "host": "127.0.0.1",
            "x-pointsman-csrf": "1",
            **{name.replace("_", "-"): each for name, each in fields.items()},
        }
        if body is not None:
            head |= {"content-type": "application/json", "content-length": str(len(sent))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self._writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + sent)

    async def upgrade(self, path: str, **fields: str) -> None:
        """Go on as a WebSocket."""
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        offer = {"connection": "Upgrade", "upgrade": "websocket", "sec_websocket_version": "13"}
        self.ask("GET", path, **offer, sec_websocket_key=key, **fields)
        if b" 101 " not in (head := await self.until(b"\r\n\r\n")):
            raise RuntimeError(head.decode())

    def say(self, message: Mapping[str, Any]) -> None:
        """One message of a WebSocket, whose mask is zero."""
        text = json.dumps(message).encode()
        size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
        self._writer.write(b"\x81" + size + bytes(4) + text)

    async def until(self, mark: bytes) -> bytes:
        """What comes up to `mark`. Raises RuntimeError with what came instead."""
        try:
            async with asyncio.timeout(WITHIN):
                return await self._reader.readuntil(mark)
        except (TimeoutError, EOFError) as error:
            came = getattr(error, "partial", None) or bytes(self._reader._buffer)  # type: ignore[attr-defined]
            raise RuntimeError(f"expected {mark!r}, got {came[-500:]!r}") from error

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        return await self._reader.read()

    def leave(self, *, politely: bool = False) -> None:
        """Go away, without a word or with the end that a closed socket sends."""
        if politely:
            self._writer.close()
        else:
            self._writer.transport.abort()


async def asked(method: str, url: str, body: Any = None, **fields: str) -> tuple[int, bytes]:
    """The status and the body of one answer."""
    parts = urlsplit(url)
    caller = await Caller.connect(url)
    try:
        caller.ask(method, parts.path, body, connection="close", **fields)
        async with asyncio.timeout(WITHIN):
            head, _, rest = (await caller.rest()).partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]), rest
    finally:
        caller.leave()


class Events:
    """What `/admin/v1/events` tells, by the id of the request; each is heard of once."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._heard: dict[tuple[str, str], asyncio.Future[float]] = defaultdict(
            asyncio.get_running_loop().create_future
        )

    async def read(self) -> None:
        """Hear them until the gateway ends."""
        with suppress(EOFError):
            while True:
                line = await self._caller._reader.readuntil(b"\n")
                if line.startswith(b"data: {"):
                    said = json.loads(line[6:])
                    heard = self._heard[said["type"], said.get("request_id", "")]
                    if not heard.done():
                        heard.set_result(monotonic())

    async def heard(self, kind: str, id: str = "") -> float:
        """When that event came, in seconds of `time.monotonic`; it need not have yet. Raises TimeoutError."""
        async with asyncio.timeout(WITHIN):
            return await asyncio.shield(self._heard[kind, id])

    def forget(self, kind: str, id: str = "") -> None:
        """Wait for the next one of that kind."""
        self._heard.pop((kind, id), None)


@asynccontextmanager
async def events(url: str) -> AsyncIterator[Events]:
    """Those of the gateway there."""
    caller = await Caller.connect(url)
    caller.ask("GET", "/admin/v1/events")
    await caller.until(b": events")
    told = Events(caller)
    reading = asyncio.create_task(told.read())
    try:
        yield told
    finally:
        reading.cancel()
        caller.leave()


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────


def quantile(sorted_: Sequence[float], percent: int) -> float:
    """The nearest rank."""
    return sorted_[max(0, -(-len(sorted_) * percent // 100) - 1)]


def milliseconds(found: Sequence[float]) -> dict[str, float]:
    """p50, p99 and the most of seconds."""
    ordered = sorted(found)
    p50, p99, most = quantile(ordered, 50), quantile(ordered, 99), ordered[-1]
    return {"p50_ms": round(p50 * 1e3, 1), "p99_ms": round(p99 * 1e3, 1), "max_ms": round(most * 1e3, 1)}


def progress(said: str) -> None:
    """Show it on a terminal in place of what was shown before."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{said:60}" if said else f"\r{'':60}\r")
        sys.stderr.flush()


def raise_descriptors(wanted: int) -> None:
    """Let this process and those that it begins have so many files open. Raises SystemExit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except ValueError:
            raise SystemExit(f"needs {wanted} open files: raise `ulimit -n`") from None
