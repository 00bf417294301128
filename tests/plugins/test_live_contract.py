"""The live rules, with simulated upstreams over real sockets: recorded once, and replayed with nobody there."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import pointsman_claude
import pointsman_localai
import pointsman_ollama
import pointsman_openai
from pointsman.testing.contract import Live, LiveContract, ProviderContract, rules_of
from pointsman_simulator import Reply, Simulator, Upstream, Usage

pytest_plugins = ["pytester"]

KEY = "sk-live-canary-5c0ffee5"
CAN = {
    "ollama": {"chat", "stream", "usage", "tools", "generate", "embed", "models", "unknown_model"},
    "openai": {"chat", "stream", "usage", "tools", "embed", "models", "unknown_model", "keys"},
    "claude": {"chat", "stream", "usage", "tools", "models", "unknown_model", "keys"},
    "localai": {"chat", "stream", "usage", "tools", "generate", "embed", "models", "keys"},
}
PLUGINS = (pointsman_claude, pointsman_localai, pointsman_ollama, pointsman_openai)
TEST = """
import pointsman_{wire}
from pointsman.testing.contract import Live, LiveContract

class TestLive(LiveContract):
    factory = pointsman_{wire}.plugin.pointsman_providers()[0]
    live = Live(
        base_url={base_url!r},
        model={model!r},
        embed_model={embed_model!r},
        key={key!r},
        recording="recorded.json",
        can={can!r},
        patience=10.0,
    )
"""


class Servers:
    """Simulated upstreams on a loop of their own, in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._simulator = Simulator(seed=3)

    def do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def add(self, wire: str, *, answer: Reply | None = None) -> Upstream:
        upstream: Upstream = self.do(
            self._simulator.add(
                wire, api_key=KEY if "keys" in CAN[wire] else None, default=answer or _answer()
            )
        )
        upstream.respond = lambda record, _: (
            Reply(call_first_tool=True)
            if isinstance(record.body, dict) and record.body.get("tools")
            else None
        )
        return upstream

    def close(self) -> None:
        self.do(self._simulator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _answer(**more: Any) -> Reply:
    return Reply(text="Red, green and blue.", usage=Usage(prompt=12, completion=7), **more)


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    made = Servers()
    yield made
    made.close()


def try_live(pytester: pytest.Pytester, upstream: Upstream, *options: str) -> pytest.RunResult:
    wire = upstream.wire
    text = TEST.format(
        wire=wire,
        base_url=upstream.base_url,
        model=next(iter(upstream.site.models)),
        embed_model=None,
        key="ACME_KEY" if "keys" in CAN[wire] else None,
        can=CAN[wire],
    )
    pytester.makepyfile(test_live=text)
    return pytester.runpytest_inprocess("-p", "no:asyncio", "-p", "no:cacheprovider", *options)


@pytest.mark.parametrize("wire", sorted(CAN))
def test_what_was_recorded_of_an_upstream_is_replayed_without_it(
    wire: str, pytester: pytest.Pytester, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)
    upstream = servers.add(wire)
    tried = len(CAN[wire] - {"usage"}) + 1  # a stream is tried twice
    skipped = 9 - tried

    live = try_live(pytester, upstream, "--pointsman-live")

    live.assert_outcomes(passed=tried, skipped=skipped)
    text = pytester.path.joinpath("recorded.json").read_text("utf-8")
    assert KEY not in text
    assert "authorization" not in text.lower()
    exchanges = json.loads(text)["exchanges"]
    assert exchanges["TestLive LIVE-01"][0]["pieces"][0][0] > 0
    asked = len(upstream.requests)
    servers.do(upstream.stop())
    monkeypatch.delenv("ACME_KEY")

    replayed = try_live(pytester, upstream)

    replayed.assert_outcomes(passed=tried, skipped=skipped)
    assert len(upstream.requests) == asked
    assert pytester.path.joinpath("recorded.json").read_text("utf-8") == text


@pytest.mark.parametrize(
    ("answer", "rule", "found"),
    [
        (_answer(finish_reason="content_filter"), "LIVE-01", "it ends with 'content_filter'"),
        (Reply(text="", usage=Usage(prompt=12, completion=7)), "LIVE-01", "the answer has no text"),
        (Reply(text="Red.", usage=Usage(prompt=12, completion=10_000_000)), "LIVE-02", "10000000 tokens"),
    ],
)
def test_an_upstream_that_answers_nonsense_is_found_out(
    answer: Reply,
    rule: str,
    found: str,
    pytester: pytest.Pytester,
    servers: Servers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)

    result = try_live(
        pytester, servers.add("openai", answer=answer), "--pointsman-live", f"--pointsman-rule={rule}"
    )

    result.assert_outcomes(failed=1, deselected=8)
    result.stdout.fnmatch_lines([f"{rule}  *", f"   found  *{found}*"])
    assert not pytester.path.joinpath("recorded.json").exists(), "what is wrong is not kept"


def test_without_a_recording_nothing_is_tried_and_nobody_asked(
    pytester: pytest.Pytester, servers: Servers
) -> None:
    upstream = servers.add("openai")

    result = try_live(pytester, upstream, "--pointsman-rule=LIVE-01", "-rs")

    result.assert_outcomes(skipped=1, deselected=8)
    result.stdout.fnmatch_lines(["*recorded.json has no recording of it: pytest --pointsman-live makes one*"])
    assert upstream.requests == []


def test_a_missing_key_is_said_before_anybody_is_asked(
    pytester: pytest.Pytester, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POINTSMAN_LIVE", "1")
    upstream = servers.add("openai")

    result = try_live(pytester, upstream, "--pointsman-rule=LIVE-01")

    result.assert_outcomes(failed=1, deselected=8)
    result.stdout.fnmatch_lines(["   found  the environment variable ACME_KEY holds no key"])
    assert upstream.requests == []


def test_a_request_that_has_changed_is_no_longer_what_was_recorded(
    pytester: pytest.Pytester, servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", KEY)
    upstream = servers.add("openai")
    try_live(pytester, upstream, "--pointsman-live", "--pointsman-rule=LIVE-01").assert_outcomes(
        passed=1, deselected=8
    )
    file = pytester.path / "recorded.json"
    file.write_text(file.read_text().replace("three colours", "seven colours"))

    result = try_live(pytester, upstream, "--pointsman-rule=LIVE-01")

    result.assert_outcomes(failed=1, deselected=8)
    result.stdout.fnmatch_lines(
        ["   found  POST /v1/chat/completions is recorded with another body; record it again: *"]
    )


# ── in a contract of a provider ──────────────────────────────────────────────────────────────────────


def test_the_live_rules_come_with_an_upstream_and_cannot_be_replaced() -> None:
    live = Live(base_url="http://127.0.0.1:9", model="m", recording="r.json")

    class Real(ProviderContract):
        factory = pointsman_openai.plugin.pointsman_providers()[0]

    with_live = type("WithLive", (Real,), {"live": live, "xfail": {"LIVE-03": "no tools yet"}})

    assert not hasattr(Real, "test_a_real_model_calls_a_tool")
    ids = {each.id for each in rules_of(with_live)}
    assert ids == {each.id for each in (*rules_of(ProviderContract), *rules_of(LiveContract))}
    marks = [mark.name for mark in with_live.test_a_real_model_calls_a_tool.pytestmark]  # type: ignore[attr-defined]
    assert marks == ["xfail"]
    with pytest.raises(TypeError, match="replaces test_a_real_model_calls_a_tool"):
        type("Cheat", (Real,), {"live": live, "test_a_real_model_calls_a_tool": lambda self: None})
