"""A dry run tells what a call would do, and does nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from routers import Heard, config, router

from pointsman import ChatResponse, EmbedRequest, EmbedResponse, Explanation, Message, Router
from pointsman.errors import PointsmanError, Unavailable, UnknownModel, Unsupported
from pointsman.plugin import (
    Auth,
    AuthFactory,
    Endpoint,
    HttpProvider,
    NotReady,
    PointsmanSpec,
    ProviderFactory,
    RefreshingAuth,
    Secret,
    hookimpl,
)
from pointsman.provider import Call
from pointsman.testing import Scripted, run
from pointsman.types import ChatRequest

SECRET = "sk-0123456789abcdef"


class Posting(HttpProvider):
    """Sends a conversation as it is, and cannot do `top_k`, nor what has the label `plain` anything else."""

    default_base_url = "http://user:sk-0123456789abcdef@127.0.0.1:9/v1"

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if request.top_k is not None and call.model != "able":
            raise Unsupported("top_k cannot be said", fields=("top_k",))
        said = [{"role": each.role, "text": each.text} for each in request.messages]
        body = {"model": call.model, "said": said, "heat": request.temperature, "top_k": request.top_k}
        await self.fetch("/talk?key=abc", body, call, headers={"x-own": "maybe secret"})
        raise AssertionError("it was sent")

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        raise AssertionError("nobody asked")

    def make_endpoint(self) -> Endpoint:
        return Endpoint(self.context.base_url or self.default_base_url)


class PostingPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("posting", BaseModel, Posting)]


def posting(*deployments: Any, **changes: Any) -> Router:
    return Router.from_config(
        {
            "providers": {name: {"type": "posting", "api_key": SECRET} for name in "pq"},
            "models": {
                "m": {"deployments": [*deployments], **changes.pop("m", {})},
                "other": {"deployments": ["q/other"]},
            },
            **changes,
        },
        plugins=[PostingPlugin()],
    )


def of(explanation: Explanation, id: str) -> Any:
    return next(each for pool in explanation.chain for each in pool.candidates if each.id == id)


# ── what would be sent ───────────────────────────────────────────────────────────────────────────────


def test_it_shows_what_the_pick_would_be_sent_with_defaults_forced_values_and_system_text() -> None:
    r = posting(
        {
            "provider": "p",
            "model": "x",
            "defaults": {"temperature": 0.5},
            "system": {"prefix": "Be brief."},
        }
    )

    wire = r.explain("m", "Why?").wire

    assert wire is not None
    assert (wire.method, wire.url) == ("POST", "http://127.0.0.1:9/v1/talk?key=***")
    assert wire.body == {
        "model": "x",
        "said": [{"role": "system", "text": "Be brief."}, {"role": "user", "text": "Why?"}],
        "heat": 0.5,
        "top_k": None,
    }


def test_what_would_be_sent_is_written_for_the_pick_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def reading(body: bytes) -> Any:
        read.append(body)
        return json.loads(body)

    monkeypatch.setattr("pointsman.dry_run.rehearsal.json_or_none", reading)

    posting("p/x", "p/y", "q/z").explain("m", "Why?")

    assert len(read) == 1


def test_nothing_that_may_be_a_credential_is_shown() -> None:
    r = posting("p/x")

    explained = r.explain("m", f"what is {SECRET}?")

    assert explained.wire is not None
    assert explained.wire.headers["authorization"] == "***"
    assert explained.wire.headers["x-own"] == "***"
    assert SECRET not in json.dumps(explained.to_dict())


def test_options_that_may_hold_a_credential_are_masked_in_the_body_and_what_is_asked_is_not() -> None:
    literal, schema = "sk-of-somebody-0123456789", {"type": "object", "properties": {"token": {"const": "t"}}}
    r = Router.from_config(
        {
            "providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:9", "api_key": SECRET}},
            "models": {
                "m": {
                    "deployments": ["a/x"],
                    "defaults": {"extra": {"search_key": "in words", "n": 3, "list": [literal]}},
                }
            },
        }
    )
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}

    wire = r.explain("m", "what is a key?", tools=[tool]).wire

    assert wire is not None
    assert wire.body["messages"][0]["content"] == "what is a key?"
    assert wire.body["tools"][0]["function"]["parameters"] == schema
    others = {key: each for key, each in wire.body.items() if key not in ("messages", "tools")}
    assert literal not in str(others)
    assert "in words" not in str(others)
    assert others["n"] == 3


def test_what_opens_the_servers_of_tools_and_passwords_in_urls_are_masked_in_the_body() -> None:
    server = {
        "type": "mcp",
        "server_url": "https://me:open-sesame@mcp/",
        "headers": {"Authorization": "of words"},
    }
    extra = {"tools": [{**server, "authorization": "open"}], "via": "http://me:open-sesame@proxy"}
    r = Router.from_config(
        {
            "providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:9", "api_key": SECRET}},
            "models": {"m": {"deployments": ["a/x"], "defaults": {"extra": extra}}},
        }
    )

    wire = r.explain("m", "Why?").wire

    assert wire is not None
    masked = {"type": "mcp", "server_url": "***", "headers": {"Authorization": "***"}, "authorization": "***"}
    assert (wire.body["tools"], wire.body["via"]) == ([masked], "***")


def test_a_provider_with_ways_of_its_own_is_not_asked() -> None:
    upstream = Scripted()
    r = router(upstream)

    explained = r.explain("m", "hi")

    assert explained.wire is None
    assert "ways of its own" in explained.unsent
    assert upstream.calls == []


class Tokens(RefreshingAuth):
    """Has no credential before it has fetched one, which takes a call."""

    def __init__(self) -> None:
        self.asked = 0

    def current(self) -> Secret:
        raise NotReady("no token yet")

    async def refresh(self) -> None:
        self.asked += 1


class TokensPlugin(PostingPlugin):
    def __init__(self, auth: Auth) -> None:
        self._auth = auth

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        return [AuthFactory("tokens", BaseModel, lambda _context: self._auth)]


def test_a_credential_that_takes_a_call_is_not_fetched() -> None:
    tokens = Tokens()
    given = {
        "providers": {"p": {"type": "posting", "auth": {"type": "tokens"}}},
        "models": {"m": {"deployments": ["p/x"]}},
    }
    r = Router.from_config(given, plugins=[TokensPlugin(tokens)])

    wire = r.explain("m", "hi").wire

    assert wire is not None
    assert wire.headers["authorization"] == "***"
    assert tokens.asked == 0


def test_a_call_that_lacks_nothing_but_room_waits_in_line() -> None:
    upstream = Scripted()
    given = {**config("a"), "queue": {}}
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "max_in_flight": 1}]

    async def main() -> Explanation:
        async with router(upstream, given) as r, r.stream("m", "hi"):
            return r.explain("m", "hi")

    explained = run(main())

    assert (explained.pick, explained.waits, explained.error) == (None, True, None)
    assert of(explained, "a/x").reasons[0].kind == "full"


class Curious(Posting):
    """Looks something up by its own client before it asks."""

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        await self.manage("GET", "/known")
        return await super().chat(request, call)


class CuriousPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("curious", BaseModel, Curious)]


def test_nothing_leaves_by_a_client_of_the_provider_itself_which_is_as_before_afterwards() -> None:
    given = {
        "providers": {"p": {"type": "curious", "base_url": "http://127.0.0.1:9"}},
        "models": {"m": {"deployments": ["p/x"]}},
    }

    async def main() -> None:
        async with Router.from_config(given, plugins=[CuriousPlugin()]) as r:
            client = r.provider("p").client
            before = client.transport

            explained = r.explain("m", "hi")

            assert (explained.wire, explained.unsent) == (None, "a dry run sends nothing")
            assert client.transport is before

    run(main())


# ── who is left out ──────────────────────────────────────────────────────────────────────────────────


def test_who_cannot_do_an_option_is_passed_over_and_says_which() -> None:
    explained = posting("p/x", "q/able").explain("m", "hi", top_k=3)

    assert explained.pick == explained.chain[0].pick == "q/able"
    assert of(explained, "p/x").reasons[0].kind == "unsupported"
    assert "top_k" in explained.chain[0].refused["p/x"]


def test_where_nobody_can_do_it_the_call_is_refused_or_goes_without() -> None:
    refused = posting("p/x").explain("m", "hi", top_k=3)
    dropped = posting("p/x", m={"unsupported": "drop"}).explain("m", "hi", top_k=3)

    assert (refused.pick, refused.error and refused.error.code) == (None, "unsupported")
    assert dropped.attempts[0].left_out == ("top_k",)
    assert of(dropped, "p/x").left_out == ("top_k",)
    assert dropped.wire is not None
    assert dropped.wire.body["top_k"] is None


def test_what_is_too_long_for_a_window_goes_to_the_fallback() -> None:
    r = posting({"provider": "p", "model": "x", "context_window": 8}, m={"fallback": ["other"]})

    explained = r.explain("m", "word " * 100)

    assert explained.pick == "q/other"
    assert of(explained, "p/x").reasons[0].kind == "context_window"


def test_a_rule_about_data_that_nobody_meets_is_what_the_call_ends_with() -> None:
    explained = posting("p/x").explain("m", "hi", require={"region": "eu"})

    assert (explained.pick, explained.error and explained.error.code) == (None, "rule_not_met")
    assert of(explained, "p/x").reasons[0].kind == "rule"


def test_a_limit_that_is_used_up_says_how_long_and_what_is_left() -> None:
    upstream = Scripted()
    given = config("a")
    given["models"]["m"]["deployments"] = [{"provider": "a", "model": "x", "limits": {"requests": "1/min"}}]

    async def main() -> Explanation:
        async with router(upstream, given) as r:
            await r.chat("m", "hi")
            return r.explain("m", "hi")

    explained = run(main())

    (reason,) = of(explained, "a/x").reasons
    assert (reason.kind, reason.seconds_left) == ("limit", pytest.approx(60, abs=1))
    assert of(explained, "a/x").limits[0].requests.remaining == 0
    assert explained.error is not None


def test_it_says_what_the_call_would_take_and_cost() -> None:
    price = {"input": 2, "output": 8}
    explained = posting({"provider": "p", "model": "x", "price": price}).explain("m", "hi", max_tokens=100)

    assert explained.answer_tokens == 100
    assert explained.cost_usd == pytest.approx((explained.prompt_tokens * 2 + 100 * 8) / 1e6)


def test_an_unknown_model_is_refused_as_a_call_would_be() -> None:
    with pytest.raises(UnknownModel, match="did you mean"):
        posting("p/x").explain("othr")


def test_a_complete_request_and_an_option_of_a_call_are_taken() -> None:
    r = posting("p/x")

    assert r.explain(ChatRequest("m", (Message.user("hi"),), temperature=1.0)).wire is not None
    assert r.explain("m", "hi", fallbacks=["other"], caller="me", tags={"a": "b"}).chain[1].model == "other"


# ── the order, and that nothing changes ──────────────────────────────────────────────────────────────

STRATEGIES = ("round_robin", "weighted", "least_connections")


@given(
    weights=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    priorities=st.lists(st.integers(0, 1), min_size=4, max_size=4),
    strategy=st.sampled_from(STRATEGIES),
    attempts=st.integers(1, 6),
    calls=st.integers(0, 3),
)
@settings(max_examples=40, deadline=None)
def test_the_order_is_that_of_a_call_whose_attempts_all_fail(
    weights: list[int], priorities: list[int], strategy: str, attempts: int, calls: int
) -> None:
    names = "abcd"[: len(weights)]
    deployments = [
        {"provider": name, "model": "x", "weight": weight, "priority": priority}
        for name, weight, priority in zip(names, weights, priorities, strict=False)
    ]
    setup = {
        "providers": {name: {"type": "scripted"} for name in "abcdz"},
        "models": {
            "m": {"deployments": deployments, "strategy": strategy, "fallback": ["n"]},
            "n": {"deployments": ["z/x"]},
        },
        "retry": {"type": "exponential", "attempts": attempts, "budget": None},
        "circuit_breaker": {"enabled": False},
    }
    upstream = Scripted()

    async def main() -> tuple[Explanation, Explanation, bool, list[str]]:
        async with router(upstream, setup) as r:
            for _ in range(calls):
                await r.chat("m", "hi")
            before = r.status().to_dict()
            planned = r.explain("m", "hi")
            again = r.explain("m", "hi")
            same = before == r.status().to_dict()
            for name in "abcdz":
                upstream.script(name, *[Unavailable("down", status=503)] * 9)
            heard = Heard(r)
            try:
                await r.chat("m", "hi")
            except PointsmanError:
                pass
            return planned, again, same, [each.deployment for each in heard.attempts]

    planned, again, same, made = run(main())

    assert same
    assert planned == again
    assert [each.deployment for each in planned.attempts] == made


def test_the_scores_are_what_the_strategy_goes_by() -> None:
    given = config("abc")
    given["models"]["m"]["strategy"] = "weighted"

    async def main() -> None:
        async with router(Scripted(), given) as r:
            for _ in range(5):
                pool = r.explain("m").chain[0]
                best = max(pool.candidates, key=lambda each: each.score or 0.0)

                assert pool.scored_by
                assert pool.pick == best.id == (await r.chat("m", "hi")).deployment

    run(main())
