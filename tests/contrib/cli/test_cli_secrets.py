"""No command prints a secret that an upstream repeats, nor one of the configuration."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from canaries import EVERY, HEADER, KEY, PASSWORD, WAYS, WIRES, found_in, upstream

SetWay = Callable[[str, str], None]


@pytest.fixture(params=WIRES)
def set_way(request: pytest.FixtureRequest, workdir: Path) -> Iterator[SetWay]:
    """Sets how the one configured upstream repeats which secret."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    context = upstream(WIRES[request.param])
    url, set_it = asyncio.run_coroutine_threadsafe(context.__aenter__(), loop).result(20)
    (workdir / "pointsman.yaml").write_text(
        "providers:\n"
        f"  a: {{type: {request.param}, base_url: '{url}', api_key: '${{K}}', headers: {{x-more: '{HEADER}', x: '{PASSWORD}'}}}}\n"
        "models: {m: {deployments: [a/x]}}\n"
        "retry: none\n"
    )
    yield lambda way, secret: set_it(WAYS[way], secret)
    asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), loop).result(20)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


COMMANDS = (
    ("ask", "hi"),
    ("ask", "--json", "hi"),
    ("ask", "--trace", "hi"),
    ("health",),
    ("health", "-vv", "--json"),
    ("status",),
    ("status", "--json"),
    ("config", "show"),
    ("config", "show", "--json"),
    ("models",),
    ("chat",),
    ("chat", "-vv"),
    ("ask", "-vv", "hi"),
    ("status", "-vv"),
    ("status", "-vv", "--json"),
)
CALLS = ("ask", "chat")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_prints_a_secret(
    words: tuple[str, ...], set_way: SetWay, cli: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("K", KEY)
    ways = WAYS if words[0] in CALLS else ["in a message"]
    shown = {}
    for way in ways:
        for secret in EVERY if words[0] not in CALLS else EVERY[:1]:
            set_way(way, secret)
            ran = cli(*words, input="hi\n" if words[0] == "chat" else None)
            shown[way, secret] = f"{ran.out}{ran.err}"  # type: ignore[attr-defined]

    assert {place: found for place, text in shown.items() if (found := found_in(text))} == {}
    assert any("error" in text for text in shown.values()) or words[0] not in CALLS
    if "-vv" in words and words[0] in CALLS:
        assert any("debug" in text for text in shown.values())
