"""A real HTTP client, and one question in the words of each wire."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from pointsman_simulator import Upstream

PATHS = {
    "claude": "/v1/messages",
    "localai": "/v1/chat/completions",
    "ollama": "/api/chat",
    "openai": "/chat/completions",
}


@dataclass(frozen=True, slots=True)
class Got:
    """One answer, read to its end."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def frames(self) -> list[Any]:
        """The JSON of each frame or line; the word `[DONE]` as it is."""
        lines = [line.removeprefix("data: ") for line in self.text.split("\n") if line[:1] in ("d", "{")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    def pieces(self) -> list[str]:
        """The pieces of text in a streamed body, whatever its wire."""
        return [piece for frame in self.frames() if frame != "[DONE]" for piece in _pieces(frame)]


def _pieces(frame: dict[str, Any]) -> list[str]:
    found = [choice["delta"].get("content") for choice in frame.get("choices", [])]
    found.append(frame.get("message", {}).get("content") if "done" in frame else None)
    found.append(frame["delta"].get("text") if isinstance(frame.get("delta"), dict) else None)
    return [piece for piece in found if piece]


class Client:
    """Asks an upstream in its own wire."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    def post(self, upstream: Upstream, *, stream: bool = False, question: str = "Why?", **fields: Any) -> Any:
        body: dict[str, Any] = {
            "model": next(iter(upstream.site.models)),
            "messages": [{"role": "user", "content": question}],
            "stream": stream,
        }
        headers = {}
        if upstream.wire == "claude":
            body["max_tokens"] = 100
            headers["anthropic-version"] = "2023-06-01"
        url = upstream.base_url + PATHS[upstream.wire]
        return self.session.post(url, json=body | fields, headers=headers, allow_redirects=False)

    async def ask(self, upstream: Upstream, **fields: Any) -> Got:
        async with self.post(upstream, **fields) as response:
            return await _read(response)

    async def call(self, upstream: Upstream, method: str, path: str, **options: Any) -> Got:
        async with self.session.request(method, upstream.base_url + path, **options) as response:
            return await _read(response)


async def _read(response: aiohttp.ClientResponse) -> Got:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Got(response.status, headers, await response.read())


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield Client(session)


@pytest.fixture(params=sorted(PATHS))
def wire(request: pytest.FixtureRequest) -> str:
    """Each wire in turn."""
    return str(request.param)
