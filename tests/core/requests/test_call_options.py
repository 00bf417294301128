"""How a caller says a request is to be treated: time, and rules about where its data may go."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routers import config, router

from pointsman import ConfigError, DeadlineExceeded, InvalidRequest, NoDeploymentAvailable, Router, RuleNotMet
from pointsman.errors import MidStreamError, Unavailable
from pointsman.requests.call_options import CallOptions, split_options
from pointsman.requests.requirements import as_rule, merged, unmet
from pointsman.testing import Scripted, ScriptedAnswer, run

LOCAL_FIRST: dict[str, Any] = {
    "providers": {
        "box": {"type": "scripted", "labels": {"local": True, "region": "eu"}},
        "cloud": {"type": "scripted", "labels": {"local": False, "region": "us"}},
    },
    "models": {
        "m": {
            "deployments": [
                {"provider": "box", "model": "x", "max_in_flight": 2},
                {"provider": "cloud", "model": "x", "priority": 1},
            ],
        },
        "private": {"deployments": ["box/x2"], "require": {"local": True}, "fallback": ["m"]},
    },
}


def test_local_first_cloud_when_local_is_full_and_never_for_private_requests() -> None:
    upstream = Scripted()
    upstream.default("box", ScriptedAnswer(after=1.0))

    async def main() -> None:
        async with router(upstream, LOCAL_FIRST) as r:
            replies = await asyncio.gather(*(r.chat("m", "hi") for _ in range(5)))
            assert [reply.deployment for reply in replies] == ["box/x"] * 2 + ["cloud/x"] * 3

            replies = await asyncio.gather(*(r.chat("m", "hi", require={"local": True}) for _ in range(5)))
            assert [reply.deployment for reply in replies] == ["box/x"] * 5

            r.disable("box/x")
            with pytest.raises(NoDeploymentAvailable) as caught:
                await r.chat("m", "hi", require={"local": True})
            assert "the rule local=true is not met: it has local=false" in caught.value.reasons["cloud/x"]

    run(main())
    private = [name for name, _, call in upstream.calls if call.model == "x2"]
    assert "cloud" not in private


def test_the_rule_of_a_model_holds_for_its_fallbacks_too() -> None:
    upstream = Scripted()
    upstream.default("box", Unavailable("down"))

    async def main() -> None:
        async with router(upstream, LOCAL_FIRST) as r:
            with pytest.raises(Unavailable):
                await r.chat("private", "hi")

    run(main())
    assert upstream.count("cloud") == 0
    assert upstream.count("box") > 1


def test_a_rule_that_nobody_can_meet_is_refused_by_name_and_not_bent() -> None:
    async def main() -> None:
        async with router(Scripted(), LOCAL_FIRST) as r:
            with pytest.raises(RuleNotMet, match=r"requires region=asia\|africa") as caught:
                await r.chat("m", "hi", require={"region": ["asia", "africa"]})
            assert (caught.value.retry_after, caught.value.rule) == (None, "region=asia|africa")
            with pytest.raises(RuleNotMet, match="requires gdpr=true"):
                await r.chat("m", "hi", require={"gdpr": True})
            reply = await r.chat("m", "hi", require={"region": ["us", "ca"]})
            assert reply.deployment == "cloud/x"

    run(main())


def test_a_model_whose_rule_none_of_its_deployments_meets_is_refused_at_start() -> None:
    given = {**LOCAL_FIRST, "models": {"m": {"deployments": ["cloud/x"], "require": {"local": True}}}}
    with pytest.raises(ConfigError, match=r"models\.m\.require: no deployment of it meets local=true"):
        Router.from_config(given, plugins=[Scripted()])


LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
RULES = st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("xyz"), min_size=1), max_size=3)


@given(labels=LABELS, one=RULES, other=RULES)
def test_both_rules_are_met_by_exactly_what_meets_each(
    labels: dict[str, str], one: dict[str, list[str]], other: dict[str, list[str]]
) -> None:
    first, second = as_rule(one), as_rule(other)
    each = unmet(first, labels) is None and unmet(second, labels) is None
    assert (unmet(merged(first, second), labels) is None) == each


def test_a_call_has_its_own_deadline_and_its_own_patience() -> None:
    upstream = Scripted()
    upstream.default("a", ScriptedAnswer(text="one two", after=5.0, gap=5.0))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with router(upstream, config("a")) as r:
            began = loop.time()
            with pytest.raises(DeadlineExceeded):
                async with r.stream("m", "hi", timeout=3) as stream:
                    await anext(stream)
            assert loop.time() - began == pytest.approx(3, abs=0.01)

            with pytest.raises(MidStreamError):
                async with r.stream("m", "hi", idle_timeout=2) as stream:
                    async for _ in stream:
                        pass

        upstream.default("b", ScriptedAnswer(text="one"))
        async with router(upstream, config("ab")) as r:
            began = loop.time()
            for _ in range(2):  # by turns: one of them begins at the slow one
                async with r.stream("m", "hi", first_token_timeout=1) as stream:
                    assert (await anext(stream)).text == "one"
                    assert stream.deployment == "b/x"
            assert loop.time() - began == pytest.approx(1, abs=0.1)

    run(main())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"timeout": 0}, "timeout is 0; expected seconds above 0"),
        ({"timeout": "30"}, "timeout is '30'"),
        ({"priority": "urgent"}, "priority is 'urgent'; expected one of high, normal, low"),
        ({"caller": 7}, "caller is 7; expected text"),
        ({"require": "local"}, "require must be a mapping"),
        ({"require": {"region": []}}, "require.region allows no value at all"),
        ({"call_options": {"timeout": 3}}, "call_options is a dict; expected a CallOptions"),
        ({"call_options": CallOptions(), "timeout": 3}, "takes no further ones: timeout"),
    ],
)
def test_options_that_cannot_be_right_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        split_options(options)
    assert said in caught.value.message


def test_complete_options_are_taken_as_they_are() -> None:
    complete = CallOptions(timeout=3.0, caller="ann")

    options, rest = split_options({"call_options": complete, "temperature": 0.5})

    assert options is complete
    assert rest == {"temperature": 0.5}
