"""What a request costs the gateway beyond what the router does for it: counts that no clock can change.

    uv run python benchmarks/gateway_cost.py [--json]     compare with benchmarks/ratchet.json, as ratchet.py
    uv run python benchmarks/gateway_cost.py --update     write the new counts there
    uv run python benchmarks/gateway_cost.py --functions  what is called in one request, and how often

One chat, asked in the wire of its upstream, goes through the ASGI application of a gateway in this process:
access by key, answer fields, metrics and the ring of recent requests are on. Beneath it is the router and
the transport in memory of `ratchet.py`, whose figures these are. `relayed` is the same chat asked of the
router alone, and `beyond` is what comes on top of that.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import ratchet
from pointsman import Router
from pointsman.original import Original
from pointsman.requests.parsing import chat_request
from pointsman.testing import run
from pointsman_gateway.exchange.shortcut import SHORTCUT
from pointsman_gateway.gateway import Gateway
from pointsman_gateway.listening.addresses import Address
from pointsman_gateway.listening.places import Place
from pointsman_gateway.settings import GatewaySettings

REQUESTS = 200
_KEY = "a-key-of-a-caller"
_OPTIONS = {"temperature": 0.2, "max_tokens": 200}
_ASKED = {"model": "m", "messages": ratchet.MESSAGES, **_OPTIONS}
_BODY = json.dumps(_ASKED, separators=(",", ":")).encode()  # as SDKs write it
_FIELDS = [
    (b"host", b"127.0.0.1:4000"),
    (b"accept", b"application/json"),
    (b"accept-encoding", b"gzip, deflate"),
    (b"user-agent", b"OpenAI/Python 2.0.0"),
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BODY)),
    (b"authorization", f"Bearer {_KEY}".encode()),
]

App = Callable[[dict[str, Any], Callable[[], Any], Callable[[Any], Any]], Awaitable[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--update", action="store_true", help="write the counts into the baseline")
    parser.add_argument("--functions", action="store_true", help="list what is called in one request")
    options = parser.parse_args()
    if options.functions:
        for name, count in run(_with_gateway(_functions)).most_common():
            print(f"{count:>5} {name}")
        return
    found = measured()
    if options.update:
        ratchet.update(found)
    if options.json:
        print(json.dumps(found))
    else:
        beyond = {name: value - found["relayed"][name] for name, value in found["request"].items()}
        for kind, figures in {**found, "beyond": beyond}.items():
            print(f"{kind:8}" + "".join(f"{value:>12,.2f} {name}" for name, value in figures.items()))
    findings = ratchet.compared(found, ratchet.baseline())
    for each in findings:
        print(each, file=sys.stderr)
    sys.exit(bool(findings))


def measured(*, requests: int = REQUESTS) -> dict[str, ratchet.Figures]:
    """The figures of a whole `request`, and of the same one `relayed` by the router alone."""

    async def both(router: Router, app: App) -> dict[str, ratchet.Figures]:
        async def request() -> None:
            await answered(app)

        original = Original("openai.chat", _BODY, chat_request("m", ratchet.MESSAGES, _OPTIONS))

        async def relayed() -> None:
            assert (await router.chat(original.request, original=original)).relayed

        return {each.__name__: await ratchet.work_of(each, requests) for each in (request, relayed)}

    return run(_with_gateway(both))


async def answered(app: App) -> None:
    """Ask once."""
    server = _Server()
    await app(_scope(server), _never, _never)
    assert server.status == 200, server.answered
    assert server.answered


class _Server:
    """The short way of a server whose callers stay."""

    def __init__(self) -> None:
        self.status = 0
        self.answered = b""

    def body(self) -> bytes:
        return _BODY

    def answer(self, status: int, _fields: Any, body: bytes) -> bool:
        self.status, self.answered = status, body
        return True

    def begin(self, *_head: Any) -> bool:
        raise AssertionError("no answer is a stream")

    more = end = begin

    def on_gone(self, _tell: Callable[[], None]) -> Callable[[], None]:
        return _nothing

    def abort(self) -> None:
        raise AssertionError("a caller who reads is not left")


async def _never(*_message: Any) -> Any:
    raise AssertionError("all goes the short way")


def _scope(server: _Server) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": list(_FIELDS),
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 4000),
        "extensions": {SHORTCUT: server},
    }


def _nothing() -> None:
    """There is nothing to take back."""


async def _with_gateway(use: Callable[[Router, App], Awaitable[Any]]) -> Any:
    settings = GatewaySettings.model_validate({"access": {"keys": [{"name": "ci", "key": _KEY}]}})
    async with AsyncExitStack() as opened:
        router = await opened.enter_async_context(_router())
        gateway = Gateway(router, settings, rng=random.Random(1))
        opened.push_async_callback(gateway.stop)
        # Nothing listens: what a listener would be given is asked directly.
        return await use(router, gateway.app_at(Place(Address("127.0.0.1", 4000))))


def _router() -> Router:
    config = {
        "providers": {"p": {"type": "openai", "base_url": "http://upstream.test/v1", "api_key": "k"}},
        "models": {"m": {"deployments": [{"provider": "p", "model": "x"}]}},
        "transport": "memory",
    }
    return Router.from_config(config, plugins=[ratchet.InMemory()], rng=random.Random(1))


async def _functions(_router: Router, app: App) -> Counter[str]:
    for _ in range(ratchet.WARM_UP):
        await answered(app)
    seen: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            code = frame.f_code
            seen[f"{code.co_filename.rpartition('/src/')[2]}:{code.co_firstlineno} {code.co_qualname}"] += 1
        elif event == "c_call":
            seen[f"c {argument.__qualname__}"] += 1

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        await answered(app)
    finally:
        sys.setprofile(before)
    return seen


if __name__ == "__main__":
    main()
