"""`pointsman serve` as a process: upstreams that are killed, signals, reloads."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from raw_callers import WITHIN, RawCaller

from pointsman_simulator import Reply, Simulator, Upstream

STREAMS = 40
ASKED = {"model": "assistant", "stream": True, "messages": [{"role": "user", "content": "Count."}]}
PACE = 100.0


class Serving:
    """A gateway in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, announced: dict[str, Any], file: Path) -> None:
        self.process = process
        self.file = file
        self.url: str = announced["url"]
        self.health = next(
            (f"http://{each['address']}" for each in announced["listeners"] if each["for"] == "health"), ""
        )

    def tell(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code."""
        async with asyncio.timeout(WITHIN):
            return await self.process.wait()

    async def said(self, word: bytes) -> bytes:
        """The next line on stderr that has `word`."""
        assert self.process.stderr is not None
        async with asyncio.timeout(WITHIN):
            while word not in (line := await self.process.stderr.readline()):
                assert line, "it has ended"
            return line


def configured(
    file: Path, upstreams: Sequence[Upstream], drain: str = "5s", weight: int = 1, watch: str = "off"
) -> Path:
    file.write_text(
        json.dumps(
            {
                "providers": {
                    each.name: {"type": each.wire, "base_url": each.base_url} for each in upstreams
                },
                "models": {
                    "assistant": {
                        "deployments": [
                            {
                                "provider": each.name,
                                "model": next(iter(each.site.models)),
                                "weight": weight,
                            }
                            for each in upstreams
                        ]
                    }
                },
                "timeouts": {"drain": drain},
                "reload": {"watch": watch, "interval": "100ms"},
                "gateway": {"listen": "127.0.0.1:0", "health": {"listen": "127.0.0.1:0"}},
            }
        )
    )
    return file


@asynccontextmanager
async def serving(file: Path, *more: str, **environ: str) -> AsyncIterator[Serving]:
    """`pointsman serve` with that configuration; killed in the end if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pointsman_cli", "-v", "-c", str(file), "serve", "--json", *more),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environ},
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        assert line, (await process.stderr.read()).decode() if process.stderr else ""
        yield Serving(process, json.loads(line), file)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # or its pipes stay open


async def streamed(url: str, path: str = "/v1/chat/completions") -> bytes:
    """All of one streamed answer, as it came, with what is left of its head."""
    caller = await RawCaller.connect(url)
    caller.post(path, ASKED, connection="close")
    try:
        return await caller.rest()
    finally:
        caller.leave()


def is_whole(answer: bytes) -> bool:
    """Whether a stream came to the end of its wire, and of its transfer."""
    return b"data: [DONE]" in answer and answer.endswith(b"0\r\n\r\n")


def is_failed(answer: bytes) -> bool:
    """Whether it says that it failed, in its wire, or has a status that does."""
    if not answer.startswith(b"HTTP/1.1 200 "):
        return answer.startswith(b"HTTP/1.1 50")
    return b'data: {"error":' in answer and answer.endswith(b"0\r\n\r\n")


@asynccontextmanager
async def victim() -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A simulated upstream in a process of its own, to be killed, and its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pointsman_simulator", "--wire", "openai", "--json"),
        *("--models", "m", "--tokens-per-second", str(PACE), "--reply", json.dumps({"text": "word " * 60})),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            said = json.loads(await process.stdout.readline())
        yield process, said["base_url"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()  # or its pipes stay open


async def test_streams_of_an_upstream_that_is_killed_end_whole_or_with_an_error_of_their_wire(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pointsman.json"
    async with victim() as (killed, base_url):
        provider = {"type": "openai", "base_url": base_url}
        file.write_text(
            json.dumps(
                {
                    "providers": {"a": provider},
                    "models": {"assistant": {"deployments": ["a/m"]}},
                    "retry": "none",
                    "gateway": {"listen": "127.0.0.1:0"},
                }
            )
        )
        async with serving(file) as gateway:
            first = await RawCaller.connect(gateway.url)
            first.post("/v1/chat/completions", ASKED, connection="close")
            others = [asyncio.create_task(streamed(gateway.url)) for _ in range(STREAMS)]
            for _ in range(6):
                await first.read_until(b"word")
            killed.kill()
            answers = [await first.rest(), *await asyncio.gather(*others)]
            first.leave()

            gateway.tell(signal.SIGTERM)
            assert await gateway.ended() == 0

    # What is left of the first one is without its head.
    ended = [b"HTTP/1.1 200 " + answers[0], *answers[1:]]
    assert [each[-300:] for each in ended if not is_whole(each) and not is_failed(each)] == []
    assert is_failed(ended[0])
    assert not any(base_url.encode() in each for each in answers)


@pytest.mark.parametrize("drain", ["8s", "300ms"])
async def test_sigterm_lets_streams_finish_or_ends_them_with_an_error_of_their_wire(
    simulator: Simulator, tmp_path: Path, drain: str
) -> None:
    reply = Reply(text="word " * 60, tokens_per_second=PACE)
    upstreams = [await simulator.add(wire, default=reply) for wire in ("openai", "ollama")]
    async with serving(configured(tmp_path / "pointsman.json", upstreams, drain)) as gateway:
        async with httpx.AsyncClient() as client:
            ready = [(await client.get(f"{gateway.health}/health/ready")).status_code]
        streams = [asyncio.create_task(streamed(gateway.url)) for _ in range(STREAMS)]
        for each in upstreams:
            await each.arrived(STREAMS // 2)

        gateway.tell(signal.SIGTERM)
        await gateway.said(b"draining")
        if drain == "8s":  # else a busy machine may ask when it has ended already
            async with httpx.AsyncClient() as client:
                ready.append((await client.get(f"{gateway.health}/health/ready")).status_code)
                ready.append((await client.get(f"{gateway.health}/health/live")).status_code)
                with pytest.raises(httpx.ConnectError):
                    await client.get(f"{gateway.url}/v1/models")
        answers = await asyncio.gather(*streams)
        assert await gateway.ended() == 0

    if drain == "8s":
        assert ready == [200, 503, 200]
        assert all(map(is_whole, answers))
    else:
        assert [each[-300:] for each in answers if not is_whole(each) and not is_failed(each)] == []
        failed = [each for each in answers if is_failed(each)]
        assert failed
        assert all(b"gateway: " in each and b"shutting down" in each for each in failed)
    assert all(each.in_flight == 0 for each in upstreams)


async def test_a_second_signal_ends_at_once(simulator: Simulator, tmp_path: Path) -> None:
    upstream = await simulator.add("openai", default=Reply(text="word " * 60, tokens_per_second=1.0))
    async with serving(configured(tmp_path / "pointsman.json", [upstream], "60s")) as gateway:
        stream = asyncio.create_task(streamed(gateway.url))
        await upstream.arrived()

        gateway.tell(signal.SIGINT)
        await gateway.said(b"draining")
        gateway.tell(signal.SIGINT)

        assert await gateway.ended() == 0
        assert not is_whole(await stream)


async def test_a_reload_that_comes_while_it_drains_opens_nothing(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai", default=Reply(text="word " * 60, tokens_per_second=PACE))
    file = configured(tmp_path / "pointsman.json", [upstream])
    async with serving(file) as gateway:
        stream = asyncio.create_task(streamed(gateway.url))
        await upstream.arrived()
        gateway.tell(signal.SIGTERM)
        await gateway.said(b"draining")
        file.write_text(file.read_text().replace('"listen": "127.0.0.1:0", ', '"listen": "[::1]:0", '))
        gateway.tell(signal.SIGHUP)

        assert await gateway.ended() == 0
        assert is_whole(await stream)


async def test_no_stream_is_cut_by_reloads_and_a_mistake_changes_nothing(
    simulator: Simulator, tmp_path: Path
) -> None:
    reply = Reply(text="word " * 100, tokens_per_second=PACE)
    upstreams = [await simulator.add(wire, default=reply) for wire in ("openai", "ollama")]
    file = tmp_path / "pointsman.json"
    async with serving(configured(file, upstreams)) as gateway:
        streams = [asyncio.create_task(streamed(gateway.url)) for _ in range(STREAMS)]
        for each in upstreams:
            await each.arrived(STREAMS // 2)
        for number in range(10):
            configured(file, upstreams, weight=1 + number % 3)
            gateway.tell(signal.SIGHUP)
            await gateway.said(b"runs on a new configuration")
        right = file.read_text()
        file.write_text(right.replace('"gateway": {', '"gateway": {"lisen": 1, '))
        gateway.tell(signal.SIGHUP)
        mistake = await gateway.said(b"a new configuration is refused")
        answers = await asyncio.gather(*streams)

        gateway.tell(signal.SIGTERM)
        assert await gateway.ended() == 0

    assert all(map(is_whole, answers))
    assert b"did you mean 'listen'" in mistake


async def test_what_changes_in_the_file_is_taken_up_without_a_signal_and_a_mistake_is_told(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstreams = [await simulator.add(wire) for wire in ("openai", "ollama")]
    file = configured(tmp_path / "pointsman.json", upstreams, watch="poll")
    right = json.loads(file.read_text())
    right["gateway"]["health"]["metrics"] = True
    file.write_text(json.dumps(right))
    status = {"headers": {"x-pointsman-csrf": "1"}}
    async with serving(file) as gateway, httpx.AsyncClient() as client:
        right["models"]["assistant"]["strategy"] = "least_connections"
        file.write_text(json.dumps(right))
        taken = await gateway.said(b"runs on a new configuration")
        changed = (await client.get(f"{gateway.url}/admin/v1/status", **status)).json()

        wrong = {**right, "gateway": {**right["gateway"], "lisen": 1}}
        file.write_text(json.dumps(wrong))
        refused = await gateway.said(b"is refused")
        told = (await client.get(f"{gateway.url}/admin/v1/status", **status)).json()["configuration"]
        metrics = [(await client.get(f"{gateway.health}/metrics")).text]
        ready = await client.get(f"{gateway.health}/health/ready")

        file.write_text(json.dumps(right))
        await gateway.said(b"runs on a new configuration")
        metrics.append((await client.get(f"{gateway.health}/metrics")).text)

    assert "assistant: strategy round_robin → least_connections" in json.loads(taken)["message"]
    assert changed["models"]["assistant"]["strategy"] == "least_connections"
    assert changed["configuration"]["changes"] == ["assistant: strategy round_robin → least_connections"]
    assert b"did you mean 'listen'" in refused
    assert [each["path"] for each in told["refused"]["problems"]] == ["gateway.lisen"]
    assert ready.status_code == 200
    assert [f"pointsman_config_refused {n}.0" in each for n, each in zip((1, 0), metrics, strict=True)] == [
        True,
        True,
    ]
    assert 'pointsman_reloads_total{result="failed"} 1.0' in metrics[1]


async def ordered(path: Path, command: str) -> dict[str, Any]:
    """What the control socket at `path` answers."""
    async with asyncio.timeout(WITHIN):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(json.dumps({"command": command}).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
    return answer


async def test_a_reload_by_the_control_socket_changes_who_may_ask_or_says_why_nothing_changed(
    simulator: Simulator, tmp_path: Path
) -> None:
    file = configured(tmp_path / "pointsman.json", [await simulator.add("openai")])
    written = json.loads(file.read_text())
    written["control"] = "./control.sock"
    written["gateway"]["health"]["metrics"] = True
    file.write_text(json.dumps(written))
    async with serving(file) as gateway, httpx.AsyncClient() as client:
        before = await client.get(f"{gateway.url}/v1/models")
        written["gateway"]["access"] = {"keys": [{"name": "ci", "key": "k" * 32}], "loopback": False}
        file.write_text(json.dumps(written))
        taken = await ordered(tmp_path / "control.sock", "reload")
        after = await client.get(f"{gateway.url}/v1/models")
        file.write_text(json.dumps({**written, "gateway": {"lisen": 1}}))
        mistaken = await ordered(tmp_path / "control.sock", "reload")
        metrics = await client.get(f"{gateway.health}/metrics")

    assert (before.status_code, after.status_code) == (200, 401)
    assert (taken["ok"], mistaken["ok"]) == (True, False)
    assert [each["path"] for each in mistaken["problems"]] == ["gateway.lisen"]
    assert 'pointsman_reloads_total{result="failed"} 1.0' in metrics.text


async def test_whoever_started_it_as_a_service_hears_of_its_states(
    simulator: Simulator, tmp_path: Path
) -> None:
    upstream = await simulator.add("openai")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        heard.setblocking(False)
        loop = asyncio.get_running_loop()
        file = configured(tmp_path / "pointsman.json", [upstream])
        async with serving(file, NOTIFY_SOCKET=str(tmp_path / "notify")) as gateway:
            states = [await loop.sock_recv(heard, 100)]
            gateway.tell(signal.SIGHUP)
            states += [await loop.sock_recv(heard, 100), await loop.sock_recv(heard, 100)]
            gateway.tell(signal.SIGTERM)
            states.append(await loop.sock_recv(heard, 100))
            assert await gateway.ended() == 0

    assert [each.partition(b"\n")[0] for each in states] == [
        b"READY=1", b"RELOADING=1", b"READY=1", b"STOPPING=1",
    ]  # fmt: skip
