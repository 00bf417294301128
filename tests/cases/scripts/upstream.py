"""A small upstream for the router cases: `answer(n, head, body)` gives what the n-th request gets.

An answer is a list of byte strings (sent), numbers (seconds of silence) and "close".
"""

import asyncio
import contextlib
import json
import re

OK = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
}


def reply(value, status=200, **headers):
    body = json.dumps(value).encode()
    lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    return [("\r\n".join(lines) + "\r\n\r\n").encode() + body]


def limited(**headers):
    return reply({"error": {"message": "too many", "code": "rate_limit_exceeded"}}, 429, **headers)


def config(kind, *urls, **general):
    providers = {f"p{n}": {"type": kind, "base_url": url} for n, url in enumerate(urls)}
    if kind != "ollama":
        for each in providers.values():
            each["api_key"] = "sk-test-0123456789"
    deployments = [{"provider": name, "model": "m"} for name in providers]
    return {"providers": providers, "models": {"x": {"deployments": deployments}}, **general}


class Upstream:
    def __init__(self, answer):
        self.answer, self.bodies, self.heads, self.closed = answer, [], [], 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def serve(self, reader, writer):
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"content-length: (\d+)", head, re.I)
                body = await reader.readexactly(int(size[1])) if size else b""
                self.heads.append(head)
                self.bodies.append(body)
                for each in self.answer(len(self.bodies), head, body):
                    if each == "close":
                        return writer.close()
                    if isinstance(each, bytes):
                        writer.write(each)
                        await writer.drain()
                    elif await self.leaves(reader, each):
                        return writer.close()

    async def leaves(self, reader, seconds):
        """Whether the other side closes the connection within `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), seconds)
            self.closed += 1
            return True
        return False
