"""What cannot be right is refused at start: each problem in one line, all of them together."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from routers import config, in_flight, router

from pointsman import ConfigError, Router, SyncRouter
from pointsman.builtin.strategies import Weighted
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.strategy import StrategyFactory
from pointsman.testing import Scripted, ScriptedAnswer, run

GOLDEN: list[tuple[str, str, str]] = [
    (
        "broken YAML",
        "providers:\n  a: {type: scripted\nmodels: {}\n",
        "p.yaml:3:7: is not YAML: expected ',' or '}', but got ':'",
    ),
    (
        "an unknown key",
        "providers: {a: {type: scripted}}\nmodels: {m: {deploymnts: [a/x]}}\n",
        "p.yaml:2:14: models.m.deploymnts: unknown key 'deploymnts'; did you mean 'deployments'?",
    ),
    (
        "a wrong type",
        "providers: {a: {type: scripted}}\nmodels:\n  m: {deployments: [{provider: a, model: x, weight: heavy}]}\n",
        "p.yaml:3:53: models.m.deployments[0].weight: expected a whole number, not text",
    ),
    (
        "an unknown provider type",
        "providers: {a: {type: scriptd}}\n",
        "p.yaml:1:23: providers.a.type: no plugin offers provider 'scriptd'; "
        "installed: claude, localai, ollama, openai, scripted. Did you mean 'scripted'?",
    ),
    (
        "a plugin that is not installed",
        "providers: {a: {type: mistral}}\n",
        "It speaks the API of OpenAI: write {type: openai, preset: mistral}",
    ),
    (
        "an unknown strategy",
        "providers: {a: {type: scripted}}\nmodels: {m: {strategy: wieghted, deployments: [a/x]}}\n",
        "p.yaml:2:24: models.m.strategy.type: no plugin offers strategy 'wieghted'; installed: ",
    ),
    (
        "an empty key",
        "providers: {a: {type: scripted, api_key: ''}}\n",
        "p.yaml:1:42: providers.a.api_key: is empty",
    ),
    (
        "a key that is not set",
        "providers: {a: {type: scripted, api_key: '${NO_SUCH_KEY_HERE}'}}\n",
        "p.yaml:1:42: providers.a.api_key: the environment variable NO_SUCH_KEY_HERE is not set",
    ),
    (
        "a missing key",
        "providers: {a: {type: openai}}\n",
        "p.yaml:1:16: providers.a: a provider of type openai needs a credential; add `auth: {type: env, "
        'name: OPENAI_API_KEY}` or `api_key: "${OPENAI_API_KEY}"`',
    ),
    (
        "an option of a call that is forced",
        "providers: {a: {type: scripted}}\nmodels: {m: {forced: {seed: 1, timeout: 5}, deployments: [a/x]}}\n",
        "p.yaml:2:32: models.m.forced.timeout: 'timeout' belongs to a call, not here; see `timeouts`",
    ),
    (
        "a forced option of the wrong kind",
        "providers: {a: {type: scripted}}\nmodels: {m: {forced: {seed: 1, top_p: high}, deployments: [a/x]}}\n",
        "p.yaml:2:39: models.m.forced.top_p: ",
    ),
    (
        "duplicate ids",
        "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [a/x, a/x]}}\n",
        "p.yaml:2:33: models.m.deployments[1]: ",
    ),
    (
        "an unknown fallback",
        "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [a/x], fallback: [clod]}, cloud: {deployments: [a/y]}}\n",
        "p.yaml:2:45: models.m.fallback[0]: ",
    ),
    (
        "a loop of fallbacks",
        "providers: {a: {type: scripted}}\nmodels:\n  m: {deployments: [a/x], fallback: [n]}\n  n: {deployments: [a/y], fallback: [m]}\n",
        "m → n → m",
    ),
    (
        "a wrong default",
        "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [{provider: a, model: x, defaults: {temprature: 1}}]}}\n",
        "p.yaml:2:63: models.m.deployments[0].defaults.temprature: unknown option 'temprature'; did you mean 'temperature'?",
    ),
    (
        "a setting that the provider type does not have",
        "providers: {a: {type: scripted, colour: red}}\n",
        "p.yaml:1:33: providers.a.colour: unknown key 'colour'",
    ),
    (
        "a retry policy with a wrong number",
        "providers: {a: {type: scripted}}\nretry: {type: exponential, attempts: 0}\n",
        "p.yaml:2:38: retry.attempts: must be 1 or more",
    ),
    (
        "an audit folder that cannot be made",
        "providers: {a: {type: scripted}}\naudit: [{type: jsonl, path: /dev/null/audit}]\n",
        "p.yaml:2:9: audit[0]: audit files cannot be written in /dev/null/audit: ",
    ),
    (
        "a certificate that is not there",
        "providers: {a: {type: openai, base_url: 'https://localhost:1', ca_file: /no/such.pem}}\nmodels: {m: {deployments: [a/x]}}\n",
        "p.yaml:1:73: providers.a.ca_file: cannot set up TLS from /no/such.pem: [Errno 2] No such file",
    ),
]


@pytest.mark.parametrize(
    ("text", "expected"), [each[1:] for each in GOLDEN], ids=[each[0] for each in GOLDEN]
)
def test_a_mistake_is_named_with_its_place_and_nothing_is_started(
    text: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("p.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        Router.from_config("p.yaml", plugins=[Scripted()])
    assert expected in str(caught.value)
    assert caught.value.problems
    assert list(tmp_path.iterdir()) == [tmp_path / "p.yaml"]


def test_all_problems_come_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        Router.from_config(
            {
                "providers": {"a": {"type": "nope"}, "b": {"type": "openai"}},
                "models": {"m": {"strategy": "nothing", "deployments": ["a/x", "b/x"]}},
                "retry": {"type": "exponential", "attempts": "many"},
                "audit": [{"type": "jsonl", "path": str(tmp_path / "audit")}],
            }
        )
    message = str(caught.value)
    for path in ("providers.a.type", "providers.b", "models.m.strategy.type", "retry.attempts"):
        assert path in message
    assert len(caught.value.problems) == 4
    assert not (tmp_path / "audit").exists()


def test_a_check_finds_the_same_and_opens_no_file(tmp_path: Path) -> None:
    audit = [{"type": "jsonl", "path": str(tmp_path / "audit")}]
    assert Router.check(config("a", audit=audit), plugins=[Scripted()]).audit
    assert not (tmp_path / "audit").exists()
    with pytest.raises(ConfigError, match="no plugin offers strategy"):
        Router.check(config("a", strategy="nothing"), plugins=[Scripted()])


# ── reload ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_reload_keeps_the_state_of_what_did_not_change_and_never_touches_a_running_call() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text="slow answer", gap=5.0, after=5.0))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            r.disable("b/x")
            async with r.stream("m", "hi") as stream:
                first = await anext(stream)
                new = config("ab", strategy="weighted")
                new["models"]["m"]["deployments"] = ["b/x", {"provider": "b", "model": "y"}]
                await r.reload(new)
                assert in_flight(r) == 1, "the deployment is taken away, and still at work"
                rest = "".join([event.text async for event in stream])
            assert first.text + rest == "slow answer"
            state = {each["id"]: each["state"] for each in r.status().to_dict()["models"]["m"]["deployments"]}
            assert state == {"b/x": "down", "b/y": "up"}
            assert (await r.chat("m", "hi")).deployment == "b/y"

    run(main())


def test_a_reload_with_problems_changes_nothing() -> None:
    async def main() -> None:
        async with router(Scripted(), config("a")) as r:
            with pytest.raises(ConfigError):
                await r.reload({"providers": {"a": {"type": "nothing"}}})
            with pytest.raises(ConfigError, match="not made from a file"):
                await r.reload()
            assert (await r.chat("m", "hi")).text == "ok"

    run(main())


def test_a_reload_with_problems_leaves_the_limits_of_what_stays_as_they_were() -> None:
    upstream = Scripted()

    async def main() -> None:
        given = config("a", queue=None, retry="none")
        async with router(upstream, given) as r:
            await r.chat("m", "hi")
            wrong = config("a", queue=None, retry="none", strategy="none_such")
            wrong["providers"]["a"]["limits"] = {"requests": "1/h"}
            with pytest.raises(ConfigError, match="none_such"):
                await r.reload(wrong)
            for _ in range(3):
                await r.chat("m", "hi")

    run(main())


def test_a_reload_reads_the_same_file_again(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text("providers: {a: {type: scripted}}\nmodels: {m: {deployments: [a/x]}}\n")

    async def main() -> None:
        async with Router.from_config(file, plugins=[Scripted()]) as r:
            file.write_text("providers: {a: {type: scripted}}\nmodels: {n: {deployments: [a/x]}}\n")
            await r.reload()
            assert (await r.chat("n", "hi")).text == "ok"

    run(main())


def test_draining_waits_for_the_last_call_and_takes_no_new_one() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(after=10.0))

    async def main() -> None:
        async with router(upstream, config("ab")) as r:
            loop = asyncio.get_running_loop()
            r.disable("b/x")
            call = asyncio.ensure_future(r.chat("m", "hi"))
            await asyncio.sleep(1)
            r.enable("b/x")
            assert await r.drain("a/x", timeout=5) is False
            assert await r.drain("a/x") is True
            assert loop.time() == pytest.approx(10, abs=0.1)
            assert (await call).deployment == "a/x"
            for _ in range(4):
                assert (await r.chat("m", "hi")).deployment == "b/x"

    run(main())


# ── explain, plugins, blocking ───────────────────────────────────────────────────────────────────────


def test_explain_names_every_reason_and_takes_no_step() -> None:
    async def main() -> None:
        given = config("abc", strategy="weighted")
        given["models"]["m"]["fallback"] = ["n"]
        given["models"]["n"] = {"deployments": ["a/y"]}
        async with router(Scripted(), given) as r:
            r.disable("b/x")
            picks = {r.explain("m").pick for _ in range(5)}
            assert len(picks) == 1
            explained = r.explain("m").to_dict()
            assert explained["chain"][0]["refused"] == {"b/x": "disabled by an operator"}
            assert [pool["model"] for pool in explained["chain"]] == ["m", "n"]
            assert (await r.chat("m", "hi")).deployment == picks.pop()

    run(main())


class OwnStrategy(PointsmanSpec):
    """A plugin handed in as an object."""

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("always_last", None, lambda _context: _Last())]


class _Last(Weighted):
    def pick(self, ready: Any, _request: object, /) -> Any:
        return ready[-1]


def test_a_strategy_of_ones_own_is_switched_on_in_one_line() -> None:
    async def main() -> None:
        upstream = Scripted()
        given = config("abc", strategy="always_last")
        async with Router.from_config(given, plugins=[upstream, OwnStrategy()], rng=random.Random(1)) as r:
            assert {(await r.chat("m", "hi")).deployment for _ in range(5)} == {"c/x"}

    run(main())


def test_the_blocking_router_does_the_same_from_any_thread() -> None:
    from concurrent.futures import ThreadPoolExecutor

    upstream = Scripted()
    with SyncRouter.from_config(config("ab"), plugins=[upstream]) as r:
        assert r.chat("m", "hi").text == "ok"
        with r.stream("m", "hi") as stream:
            assert "".join(event.text for event in stream) == "ok"
        assert stream.response.text == "ok"
        assert r.embed("m", ["a", "bb"]).vectors == [[1.0], [2.0]]
        with ThreadPoolExecutor(8) as threads:
            texts = list(threads.map(lambda n: r.chat("m", f"hi {n}").text, range(100)))
        assert texts == ["ok"] * 100
        assert r.status().in_flight == 0
        assert r.health().providers["a"].ok is True
        assert "m" in [model.id for model in r.models()]
    with pytest.raises(RuntimeError, match="closed"):
        r.chat("m", "hi")


@pytest.mark.parametrize("kind", [Router, SyncRouter])
@pytest.mark.parametrize("source", ["pointsman.yaml", {"providers": {}}, None])
def test_a_router_is_made_of_a_config_and_says_where_others_go(kind: Any, source: Any) -> None:
    what = type(source).__name__
    with pytest.raises(
        TypeError,
        match=f"{kind.__name__} is made of a Config, not of a {what}; .*{kind.__name__}.from_config",
    ):
        kind(source)
