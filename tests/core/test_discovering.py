"""Servers and models that come and go while a router runs, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

import pytest
from routers import Heard, in_flight, router
from told_discoveries import Told, servers

from pointsman import Router, UnknownModel, lifecycle
from pointsman.plugin import (
    ConnectionFailed,
    Found,
    FoundServer,
    Unavailable,
)
from pointsman.reports import DiscoveryStatus
from pointsman.testing import Scripted, ScriptedAnswer, run


def models(*names: str) -> Found:
    return Found(models=list(names))


def given(**changes: Any) -> dict[str, Any]:
    """A model `m` at a provider `a` that is told what there is, every 10 s."""
    return {
        "providers": {"a": {"type": "scripted", "discover": {"type": "told", "interval": "10s"}}},
        "models": {"m": {"deployments": ["a/x"]}},
        **changes,
    }


def made(told: Told, config: dict[str, Any] | None = None, *, upstream: Scripted | None = None) -> Router:
    return Router.from_config(config or given(), plugins=[upstream or Scripted(), told])


def ids(r: Router, model: str = "m") -> list[str]:
    return list(r.status().models[model].deployments)


def outcomes(r: Router, id: str) -> dict[str, int]:
    told = r.status().models["m"].deployments[id].outcomes
    return {name: count for name, count in told.items() if count}


def report(r: Router) -> DiscoveryStatus:
    (one,) = r.status().discoveries
    return one


# ── servers ──────────────────────────────────────────────────────────────────────────────────────────


def test_each_server_that_is_found_is_a_deployment_of_its_own() -> None:
    told = Told(a=servers("10.0.0.2", "10.0.0.1"))

    async def main() -> None:
        async with made(told) as r:
            assert ids(r) == ["a@10.0.0.1/x", "a@10.0.0.2/x"]
            replies = [await r.chat("m", "hi") for _ in range(4)]
            assert Counter(each.deployment for each in replies) == {"a@10.0.0.1/x": 2, "a@10.0.0.2/x": 2}
            assert r.config.said.providers.keys() == {"a"}

    run(main())


def test_servers_come_and_go_and_those_that_stay_keep_their_state() -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))

    async def main() -> None:
        async with made(told) as r:
            heard = Heard(r)
            await r.chat("a@10.0.0.2/x", "hi")
            told.found["a"] = servers("10.0.0.3", "10.0.0.2")
            await asyncio.sleep(12)
            assert ids(r) == ["a@10.0.0.2/x", "a@10.0.0.3/x"]
            assert outcomes(r, "a@10.0.0.2/x") == {"ok": 1}
            (event,) = [each for each in heard.events if type(each).__name__ == "Reloaded"]
            assert (event.kept, event.added, event.removed) == (1, 1, 1)  # type: ignore[union-attr]

    run(main())


def test_a_call_to_a_server_that_goes_is_finished_there() -> None:
    told, upstream = Told(a=servers("10.0.0.1")), Scripted()
    upstream.default("a@10.0.0.1", ScriptedAnswer(text="late", after=40))

    async def main() -> None:
        async with made(told, upstream=upstream) as r:
            asking = asyncio.create_task(r.chat("m", "hi"))
            await asyncio.sleep(1)
            told.found["a"] = servers("10.0.0.2")
            await asyncio.sleep(15)
            assert ids(r) == ["a@10.0.0.2/x"]
            assert (await asking).text == "late"
            assert in_flight(r) == 0

    run(main())


def test_what_fails_changes_nothing_and_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))

    async def main() -> None:
        async with made(told) as r:
            told.found["a"] = ConnectionFailed("no resolver")
            await asyncio.sleep(60)
            assert ids(r) == ["a@10.0.0.1/x", "a@10.0.0.2/x"]
            assert report(r).error == "no resolver"
            assert report(r).servers == ["10.0.0.1", "10.0.0.2"]
            told.found["a"] = servers("10.0.0.1")
            await asyncio.sleep(60)
            assert ids(r) == ["a@10.0.0.1/x"]
            assert report(r).error == ""

    with caplog.at_level(logging.WARNING, "pointsman"):
        run(main())
    warnings = [each.message for each in caplog.records if each.levelname == "WARNING"]
    assert warnings == ["a: told fails, what was found last stays: no resolver"]


def test_nothing_is_believed_when_it_is_found_twice() -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        async with made(told) as r:
            told.found["a"] = servers()
            await asyncio.sleep(12)
            assert ids(r) == ["a@10.0.0.1/x"]
            await asyncio.sleep(12)
            assert ids(r) == ["a/x"], "what is configured, by its name"

    run(main())


def test_nothing_found_once_among_others_is_never_believed() -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        async with made(told) as r:
            for _ in range(3):
                told.found["a"] = servers()
                await asyncio.sleep(10.9)
                told.found["a"] = servers("10.0.0.1")
                await asyncio.sleep(22)
                assert ids(r) == ["a@10.0.0.1/x"]

    run(main())


def test_a_router_waits_for_the_first_answer_and_no_longer_than_three_seconds() -> None:
    told = Told(a=servers("10.0.0.1"))
    told.after = 2.0

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with made(told) as r:
            assert (round(loop.time(), 2), ids(r)) == (2.0, ["a@10.0.0.1/x"])
        told.after = 5.0
        begun = loop.time()
        async with made(told) as r:
            assert round(loop.time() - begun, 2) == 3.0
            assert (await r.chat("m", "hi")).deployment == "a/x"
            await asyncio.sleep(3)
            assert ids(r) == ["a@10.0.0.1/x"]

    run(main())


def test_what_is_there_from_the_beginning_does_not_warm_up_and_what_comes_later_does() -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        async with made(told) as r:
            told.found["a"] = servers("10.0.0.1", "10.0.0.2")
            await asyncio.sleep(12)
            warm = {id: each.warm_up for id, each in r.status().models["m"].deployments.items()}
            assert warm["a@10.0.0.1/x"] is not None
            assert warm["a@10.0.0.2/x"] is not None
            assert not warm["a@10.0.0.1/x"].active
            assert warm["a@10.0.0.2/x"].active

    run(main())


def test_a_router_that_nobody_enters_begins_to_look_with_its_first_call() -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        r = made(told)
        assert (await r.chat("m", "hi")).deployment == "a/x"
        await asyncio.sleep(1)
        assert ids(r) == ["a@10.0.0.1/x"]
        await r.aclose()
        assert told.closed == {"a": 1}
        asked = told.asked["a"]
        await asyncio.sleep(100)
        assert told.asked["a"] == asked

    run(main())


def test_a_server_that_a_server_stands_for_is_asked_by_its_own_name_too() -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))

    async def main() -> None:
        async with made(told) as r:
            assert (await r.chat("a@10.0.0.2/x", "hi")).deployment == "a@10.0.0.2/x"
            replies = [await r.chat("a/x", "hi") for _ in range(4)]
            assert Counter(each.deployment for each in replies) == {"a@10.0.0.1/x": 2, "a@10.0.0.2/x": 2}
            replies = [await r.chat("a/else", "hi") for _ in range(2)]
            assert {each.deployment for each in replies} == {"a@10.0.0.1/else", "a@10.0.0.2/else"}
            assert r.provider("a").name == "a"

    run(main())


def test_the_servers_of_a_provider_count_together_against_its_limits() -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))
    config = given(queue=None)
    config["providers"]["a"]["limits"] = {"requests": "2/min"}

    async def main() -> None:
        async with made(told, config) as r:
            await r.chat("m", "hi")
            await r.chat("m", "hi")
            with pytest.raises(Exception, match="rate"):
                await r.chat("m", "hi", timeout=1)

    run(main())


def test_weights_and_labels_of_servers_hold() -> None:
    heavy = FoundServer(base_url="http://10.0.0.1:81", weight=3, labels={"zone": "b"})
    told = Told(a=Found(servers=[heavy, FoundServer(base_url="http://10.0.0.2:82")]))
    config = given(strategy="weighted")

    async def main() -> None:
        async with made(told, config) as r:
            replies = [await r.chat("m", "hi") for _ in range(8)]
            assert Counter(each.deployment for each in replies) == {
                "a@10.0.0.1:81/x": 6,
                "a@10.0.0.2:82/x": 2,
            }
            assert (await r.chat("m", "hi", require={"zone": "b"})).deployment == "a@10.0.0.1:81/x"

    run(main())


@pytest.mark.parametrize(
    ("found", "wrong"),
    [
        (None, "discovery plugin 'told' returned a NoneType from find(), expected a Found"),
        (Found(models="x"), "discovery plugin 'told' found models that are no list of names"),
        (Found(servers=[FoundServer()]), "discovery plugin 'told' found a server with neither or both"),
        (servers("gpu.example"), "discovery plugin 'told' found a server at what is neither"),
        (models(*map(str, range(1_001))), "discovery plugin 'told' found 1,001 models, more than 1,000: say"),
        (servers(*["10.0.0.1"] * 501), "discovery plugin 'told' found 501 servers, more than 500"),
        (KeyError("x"), "discovery plugin 'told' failed in find(): KeyError"),
    ],
    ids=["nothing", "no list", "nowhere", "no address", "many models", "many servers", "raises"],
)
def test_what_a_plugin_does_wrong_is_a_failure_like_any_other(found: Any, wrong: str) -> None:
    told = Told(a=found)

    async def main() -> None:
        async with made(told) as r:
            assert ids(r) == ["a/x"]
            assert report(r).error.startswith(wrong)

    run(main())


# ── models ───────────────────────────────────────────────────────────────────────────────────────────


def test_models_that_are_found_are_called_by_their_own_names_and_one_name_is_one_pool() -> None:
    told = Told(a=models("one", "both"), b=models("both", "two"))
    config = given(models={})
    config["providers"]["b"] = config["providers"]["a"]

    async def main() -> None:
        async with made(told, config) as r:
            assert set(r.status().models) == {"one", "both", "two"}
            assert ids(r, "both") == ["a/both", "b/both"]
            told.found["b"] = models("two")
            await asyncio.sleep(12)
            assert ids(r, "both") == ["a/both"]
            told.found["a"] = models("one")
            await asyncio.sleep(12)
            with pytest.raises(UnknownModel):
                await r.chat("both", "hi")

    run(main())


def test_what_is_said_goes_before_what_is_found() -> None:
    told = Told(a=models("m", "gpt-4", "alias", "b/x", " odd", "a*", "", "fine:latest", "fine"))
    config = given(
        models={"m": {"deployments": ["b/x"]}, "gpt-*": {"deployments": ["b/gpt-*"]}}, aliases={"alias": "m"}
    )
    config["providers"]["b"] = {"type": "scripted"}

    async def main() -> None:
        async with made(told, config) as r:
            assert set(r.status().models) == {"m", "fine"}
            assert (await r.chat("m", "hi")).deployment == "b/x"
            assert (await r.chat("gpt-4", "hi")).deployment == "b/gpt-4"
            assert (await r.chat("alias", "hi")).deployment == "b/x"

    run(main())


def test_what_is_said_of_a_deployment_holds_for_the_model_that_is_found() -> None:
    told, upstream = Told(a=models("x")), Scripted()
    upstream.default("a", ScriptedAnswer(after=2))
    config = given(models={"m": {"deployments": [{"provider": "a", "model": "x", "max_in_flight": 1}]}})

    async def main() -> None:
        async with made(told, config, upstream=upstream) as r:
            await asyncio.gather(r.chat("m", "hi"), r.chat("x", "hi"))

    run(main())
    assert upstream.most_in_flight["a"] == 1


def test_names_that_may_be_found_are_not_unknown_and_are_passed_over_until_they_are() -> None:
    told, upstream = Told(a=models()), Scripted()
    upstream.default("b", Unavailable("down"))
    config = given(
        models={"m": {"deployments": ["b/x"], "fallback": ["later"]}},
        aliases={"mine": "later"},
        default_model="later",
        retry={"type": "exponential", "attempts": 2, "base_delay": "1ms"},
    )
    config["providers"]["b"] = {"type": "scripted"}

    async def main() -> None:
        async with made(told, config, upstream=upstream) as r:
            with pytest.raises(Unavailable):
                await r.chat("m", "hi")
            told.found["a"] = models("later")
            await asyncio.sleep(12)
            assert (await r.chat("m", "hi")).deployment == "a/later"
            assert (await r.chat("mine", "hi")).deployment == "a/later"

    run(main())


def test_a_list_that_becomes_a_discovery_loses_no_model_before_the_first_answer() -> None:
    told = Told()
    lists = {"providers": {"a": {"type": "scripted", "models": ["old", "scripted-model"]}}}
    asks = {"providers": {"a": {"type": "scripted", "models": "discover"}}}

    async def main() -> None:
        async with made(told, lists) as r:
            reloading = asyncio.create_task(r.reload(asks))
            while not reloading.done():
                assert "scripted-model" in r.status().models
                await asyncio.sleep(0)
            await reloading
            assert set(r.status().models) == {"scripted-model"}

    run(main())


def test_a_reload_keeps_what_was_found_and_asks_nobody_anew() -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))

    async def main() -> None:
        async with made(told) as r:
            await r.chat("a@10.0.0.1/x", "hi")
            await r.reload(given(strategy="weighted"))
            assert told.asked["a"] == 1
            assert outcomes(r, "a@10.0.0.1/x") == {"ok": 1}
            assert r.status().models["m"].strategy == "weighted"
            await r.reload({**given(), "providers": {"a": {"type": "scripted"}}})
            assert ids(r) == ["a/x"]
            await asyncio.sleep(1)
            assert (r.status().discoveries, told.closed) == ((), {"a": 1})

    run(main())


def test_the_servers_of_a_provider_are_each_asked_for_their_models() -> None:
    told = Told(a=servers("10.0.0.1", "10.0.0.2"))
    config = given(models={})
    config["providers"]["a"]["models"] = {"discover": True, "exclude": ["*embed*"]}

    async def main() -> None:
        async with made(told, config) as r:
            assert ids(r, "scripted-model") == ["a@10.0.0.1/scripted-model", "a@10.0.0.2/scripted-model"]
            (own,) = [each for each in await r.models() if each.id == "a/scripted-model"]
            assert own.provider == "a"

    run(main())


def test_nothing_is_asked_by_a_check() -> None:
    told = Told(a=servers("10.0.0.1"))

    Router.check(given(), plugins=[Scripted(), told])

    assert not told.asked


def test_a_router_without_anything_to_discover_has_none_of_it() -> None:
    assert router(Scripted()).status().discoveries == ()


def test_what_cannot_be_used_now_is_tried_again_with_the_next_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told(a=servers("10.0.0.1"))
    built = lifecycle.plan

    def full_disk(*given: Any, **more: Any) -> Any:
        raise OSError(28, "No space left on device")

    async def main() -> None:
        async with made(told) as r:
            monkeypatch.setattr(lifecycle, "plan", full_disk)
            told.found["a"] = servers("10.0.0.2")
            await asyncio.sleep(12)
            assert (ids(r), "OSError" in report(r).error) == (["a@10.0.0.1/x"], True)
            monkeypatch.setattr(lifecycle, "plan", built)
            await asyncio.sleep(120)
            assert (ids(r), report(r).error) == (["a@10.0.0.2/x"], "")

    run(main())


@pytest.mark.parametrize(
    ("urls", "said"),
    [
        (["http://10.0.0.1:80/\x1b\r\nX: y"], "neither an IP address nor a URL"),
        (["http://10.0.0.1:80", "http://10.0.0.1:80/v2"], "two servers at 10.0.0.1:80"),
        (["http://10.0.0.1:80", "https://10.0.0.1:80"], "two servers at 10.0.0.1:80"),
    ],
)
def test_servers_that_nobody_could_call_or_tell_apart_are_not_believed(urls: list[str], said: str) -> None:
    told = Told(a=servers("10.0.0.1"))

    async def main() -> None:
        async with made(told) as r:
            told.found["a"] = Found(servers=[FoundServer(base_url=each) for each in urls])
            await asyncio.sleep(12)
            assert (ids(r), said in report(r).error) == (["a@10.0.0.1/x"], True)

    run(main())


def test_a_server_that_is_found_twice_is_one() -> None:
    same = [FoundServer(base_url=each) for each in ("http://10.0.0.1:80", "HTTP://10.0.0.1:80/")]

    async def main() -> None:
        async with made(Told(a=Found(servers=same))) as r:
            assert ids(r) == ["a@10.0.0.1:80/x"]

    run(main())


def test_names_that_an_upstream_lists_do_not_drive_the_log(caplog: pytest.LogCaptureFixture) -> None:
    told = Told(a=models("ok", "\x1b[2Jgone\nERROR forged"))

    async def main() -> None:
        async with made(told, {"providers": given()["providers"]}):
            await asyncio.sleep(1)

    with caplog.at_level(logging.INFO):
        run(main())
    found = [each.getMessage() for each in caplog.records if "found" in each.getMessage()]
    assert found
    assert all(each.isprintable() for each in found)
