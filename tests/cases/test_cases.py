"""Situations that users ran into: what an upstream answers, and what must come of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pointsman import Router
from pointsman.errors import MidStreamError

HERE = Path(__file__).parent
CASES = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(HERE.glob("*.json"))}
SCRIPTS = sorted((HERE / "scripts").glob("r*.py"))


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "cut"])
@pytest.mark.parametrize("transport", ["h1", "aiohttp", "httpx"])
@pytest.mark.parametrize("name", CASES)
async def test_what_must_come_comes(name: str, transport: str, cut: bool, cases_seed: int) -> None:
    case = CASES[name]
    chance = random.Random(f"{cases_seed} {name} {transport}") if cut else None
    async with Upstream(case["script"], chance) as first, Upstream(case.get("second"), chance) as second:
        got = await outcome(case, transport, first, second)

    for word, wanted in case["expect"].items():
        assert word in LOOK, f"{name} expects {word!r}, which no test knows"
        found = LOOK[word](got)
        assert MATCHES.get(word, matches)(wanted, found), (
            f"{word}: {found!r}, not {wanted!r}; CASES_SEED={cases_seed}"
        )


@pytest.mark.parametrize("name", [path.stem for path in SCRIPTS])
def test_the_script_ends_well(name: str) -> None:
    done = subprocess.run(
        [sys.executable, f"{name}.py"], cwd=HERE / "scripts", capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]


# ── what came ────────────────────────────────────────────────────────────────────────────────────────


class Got:
    """What a call came to: an answer or an error; and what its first request held."""

    def __init__(self, answer: Any, error: Exception | None, sent: list[bytes]) -> None:
        self.answer = answer
        self.error = error
        self.sent = sent

    def of(self, name: str) -> Any:
        """A field of the answer; of a broken stream its text. Its error is raised when that has none."""
        if self.error is None:
            return getattr(self.answer, name)
        if name == "text" and isinstance(self.error, MidStreamError):
            return self.error.text
        raise self.error


LOOK: Mapping[str, Callable[[Got], Any]] = {
    "error": lambda got: type(got.error).__name__ if got.error else f"success: {got.answer!r}",
    "message_has": lambda got: str(got.error),
    "retry_after": lambda got: got.error and getattr(got.error, "retry_after", None),
    "text": lambda got: got.of("text"),
    "reasoning": lambda got: got.of("reasoning"),
    "refusal": lambda got: got.of("refusal"),
    "finish": lambda got: got.of("finish_reason"),
    "native": lambda got: got.of("native_finish_reason"),
    "calls": lambda got: [[each.name, each.arguments] for each in got.of("tool_calls")],
    "usage": lambda got: got.of("usage"),
    "vectors": lambda got: got.of("vectors"),
    "model": lambda got: got.of("model"),
    "id": lambda got: got.of("id"),
    "deployment": lambda got: got.of("deployment"),
    "request_has": lambda got: got.sent[0].decode() if got.sent else "",
    "requests": lambda got: len(got.sent),
}


def matches(wanted: Any, found: Any) -> bool:
    return bool(wanted == found)


MATCHES: Mapping[str, Callable[[Any, Any], bool]] = {
    "error": lambda wanted, found: found in ([wanted] if isinstance(wanted, str) else wanted),
    "message_has": lambda wanted, found: wanted in found,
    "request_has": lambda wanted, found: wanted in found,
    "usage": lambda wanted, found: wanted.items() <= {each: getattr(found, each) for each in wanted}.items(),
}


async def outcome(case: Mapping[str, Any], transport: str, first: Upstream, second: Upstream) -> Got:
    upstreams = {"p0": (case["provider"], first)}
    if "second" in case:
        upstreams["p1"] = (case.get("second_provider", case["provider"]), second)
    call = dict(case.get("call") or {})
    given = call.pop("texts", None) or call.pop("messages", "hi")
    async with Router.from_config(config(upstreams, transport, bool(case.get("fallback")))) as router:
        try:
            match case["how"]:
                case "chat":
                    answer: Any = await router.chat("x", given, **call)
                case "embed":
                    answer = await router.embed("x", given, **call)
                case "stream":
                    async with router.stream("x", given, **call) as stream:
                        said = "".join([event.text async for event in stream])
                        answer = stream.response
                        assert said == answer.text
                case other:
                    raise AssertionError(f"no test knows how to {other!r}")
        except Exception as error:
            if isinstance(error, AssertionError):
                raise
            return Got(None, error, first.bodies)
    if answer is not None and hasattr(answer, "text"):
        answer.text.encode()  # whatever comes can be written
    return Got(answer, None, first.bodies)


def config(upstreams: Mapping[str, tuple[str, Upstream]], transport: str, fallback: bool) -> dict[str, Any]:
    providers: dict[str, Any] = {}
    for name, (kind, upstream) in upstreams.items():
        providers[name] = {"type": kind, "base_url": upstream.url}
        if kind != "ollama":
            providers[name]["api_key"] = f"sk-test-0123456789-{name}"
    deployments = [{"provider": name, "model": "m", "priority": n} for n, name in enumerate(providers)]
    models: dict[str, Any] = {"x": {"deployments": deployments}}
    if fallback:
        models = {
            "x": {"deployments": deployments[:1], "fallback": ["y"]},
            "y": {"deployments": [{"provider": "p1", "model": "m"}]},
        }
    # Alone, an upstream would be asked again, and its refusals be waited for.
    retry = {} if len(upstreams) > 1 else {"retry": "none"}
    return {
        "providers": providers,
        "models": models,
        "transport": transport,
        "timeouts": {"connect": "60s"},
        **retry,
    }


class Upstream:
    """A server that answers as its script says, in pieces of random size where `chance` is given."""

    def __init__(self, script: list[dict[str, Any]] | None, chance: random.Random | None) -> None:
        self._script = script or []
        self._chance = chance
        self.bodies: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 26)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for each in self._writers:
            each.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                self.bodies.append(await reader.readexactly(int(size[1])) if size else b"")
                answer = self._script[min(len(self.bodies), len(self._script)) - 1]
                for piece in self._pieces(answer):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # so that the other side reads them one by one

    def _pieces(self, answer: Mapping[str, Any]) -> Iterator[bytes]:
        body = re.sub(
            r"@@REPEAT:(.):(\d+)@@", lambda found: found[1] * int(found[2]), answer.get("body", "")
        ).encode("utf-8", "surrogatepass")
        head = [
            f"HTTP/1.1 {answer['status']} X",
            *(f"{name}: {value}" for name, value in answer["headers"].items()),
        ]
        if self._chance is None:
            yield "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body
            return
        yield "\r\n".join([*head, "transfer-encoding: chunked", "", ""]).encode()
        cuts = (
            sorted(self._chance.sample(range(1, len(body)), min(30, len(body) - 1))) if len(body) > 1 else []
        )
        for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True):
            if a < b:
                yield b"%x\r\n%s\r\n" % (b - a, body[a:b])
        yield b"0\r\n\r\n"
