"""What a request cost is the same in its reply, in the events and in the records, whatever happened on its way."""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict, deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from pydantic import BaseModel
from routers import Heard

from pointsman import ChatResponse, EmbedResponse, MidStreamError, Router, Usage
from pointsman.audit_log.records import line
from pointsman.errors import CallError, DeadlineExceeded, InvalidRequest, Unavailable
from pointsman.guard import Answered, Guard, GuardFactory
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.prices import Price
from pointsman.provider import Call, Provider, ProviderFactory
from pointsman.selector import Selector, SelectorCall, SelectorContext, SelectorFactory
from pointsman.testing import run
from pointsman.types import EmbedRequest, Finished, StreamEvent, TextDelta, UsageUpdate

PRICE = {"input": 3, "output": 15, "cached": 0.3, "cache_write": 3.75}
HI = "hi"


class Turn(Struct, frozen=True):
    """What an upstream does with one call.

    Attributes:
        fate: it answers; fails before content, its tokens uncounted or already told; breaks after content.
        after: seconds until its first content.
    """

    fate: Literal["answers", "fails", "counts", "breaks"] = "answers"
    usage: Usage | None = Usage(100, 10)
    after: float = 0.0


class Till(PointsmanSpec):
    """The provider type `till`: it says how many tokens each call took, when and as it is told to."""

    def __init__(self) -> None:
        self.turns: defaultdict[str, deque[Turn]] = defaultdict(deque)

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [ProviderFactory("till", BaseModel, lambda context: _TillProvider(context, self.turns))]

    @hookimpl
    def pointsman_guards(self) -> Sequence[GuardFactory]:
        return [GuardFactory("keeper", BaseModel, lambda _context: Keeper())]


class _TillProvider(Provider):
    def __init__(self, context: Any, turns: defaultdict[str, deque[Turn]]) -> None:
        super().__init__(context)
        self._turns = turns

    def _turn(self) -> Turn:
        turns = self._turns[self.name]
        return turns.popleft() if turns else Turn()

    async def chat(self, _request: Any, _call: Call) -> ChatResponse:
        turn = self._turn()
        await asyncio.sleep(turn.after)
        if turn.fate != "answers":
            raise Unavailable("down")
        return ChatResponse("well", usage=turn.usage or Usage())

    generate = chat

    async def embed(self, request: EmbedRequest, _call: Call) -> EmbedResponse:
        vectors = [[1.0]] * (len(request.texts) - (self._turn().fate != "answers"))
        return EmbedResponse(vectors, Usage(prompt=100))

    async def stream(self, _request: Any, _call: Call) -> _Told:
        return _Told(self._turn())


class _Told:
    """An `EventStream`."""

    upstream_request_id = ""

    def __init__(self, turn: Turn) -> None:
        counted: list[StreamEvent] = [] if turn.usage is None else [UsageUpdate(turn.usage)]
        self._pieces: list[StreamEvent | float | Exception] = {
            "answers": [*counted, turn.after, TextDelta("we"), TextDelta("ll"), Finished()],
            "fails": [Unavailable("down")],
            "counts": [*counted, turn.after, Unavailable("down")],
            "breaks": [TextDelta("we"), *counted, Unavailable("down")],
        }[turn.fate]

    async def next(self, _until: float) -> Sequence[StreamEvent] | None:
        if not self._pieces:
            return None
        match self._pieces.pop(0):
            case StreamEvent() as event:
                return [event]
            case Exception() as error:
                raise error
            case float(seconds):
                await asyncio.sleep(seconds)
        return []

    def abort(self) -> None: ...

    async def aclose(self) -> None: ...


class Keeper(Guard):
    """Gives every answer again that went by it, cost and all."""

    def __init__(self) -> None:
        self._kept: dict[str, ChatResponse] = {}

    async def before(self, request: Any, call: Any, /) -> Any:
        call.notes["asked"] = str(request)
        kept = self._kept.get(str(request))
        return request if kept is None else Answered(kept, "cached")

    async def after(self, response: Any, call: Any, /) -> Any:
        self._kept[call.notes["asked"]] = response
        return response


def configured(*prices: dict[str, Any] | None, **changes: Any) -> dict[str, Any]:
    """Deployments `a/x`, `b/x`, … with these prices, of which each is asked when those before it have failed."""
    names = "abc"[: len(prices)]
    deployments = [
        {"provider": name, "model": "x", "priority": place, **({} if price is None else {"price": price})}
        for place, (name, price) in enumerate(zip(names, prices, strict=True))
    ]
    return {
        "providers": {name: {"type": "till"} for name in names},
        "models": {"m": {"deployments": deployments}},
        "retry": {"type": "exponential", "attempts": len(prices), "budget": "100%"},
        "circuit_breaker": {"enabled": False},
        **changes,
    }


def routed(till: Till, given: dict[str, Any]) -> Router:
    return Router.from_config(given, plugins=[till], rng=random.Random(1))


async def ask(r: Router, way: str) -> ChatResponse | EmbedResponse:
    """The reply to one request, whichever way it was asked."""
    match way:
        case "chat":
            return await r.chat("m", HI)
        case "generate":
            return await r.generate("m", HI)
        case "embed":
            return await r.embed("m", [HI, HI])
        case _:
            async with r.stream("m", HI) as stream:
                done = [each async for each in stream][-1]
            assert done.response is stream.response
            return stream.response


def recorded(event: Any) -> Any:
    """What the record of that event says it cost."""
    return json.loads(line(event, seq=1, wall=0.0)).get("cost_microcents")


def expected(fates: Sequence[Turn], prices: Sequence[dict[str, Any] | None], way: str) -> list[int | None]:
    """What each attempt costs, in order, up to the one that is the last."""
    costs = list[int | None]()
    for turn, price in zip(fates, prices, strict=True):
        usage = Usage(100, 0) if way == "embed" else turn.usage
        if turn.fate == "answers":
            usage = usage or Usage()
        elif way != "embed" and (way != "stream" or turn.fate == "fails"):
            usage = None
        known = price is not None and usage is not None
        costs.append(Price(**price).microcents(usage) if known else None)  # type: ignore[arg-type]
        if turn.fate == "answers" or (way == "stream" and turn.fate == "breaks"):
            break
    return costs


counts = st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**5), st.none() | st.integers(0, 10**6))
turns = st.builds(
    Turn,
    st.sampled_from(["answers", "fails", "counts", "breaks"]),
    st.none() | counts | st.just(Usage(prompt=5)),
)
usd = st.decimals(0, 100, places=4).map(float)
priced = st.none() | st.fixed_dictionaries({"input": usd, "output": usd}, optional={"cached": usd})


@settings(deadline=None, max_examples=60)
@given(
    way=st.sampled_from(["chat", "generate", "embed", "stream"]),
    fates=st.lists(turns, min_size=3, max_size=3),
    prices=st.lists(priced, min_size=3, max_size=3),
    guarded=st.booleans(),
)
def test_reply_event_and_record_say_the_same_however_a_request_went(
    way: str, fates: list[Turn], prices: list[dict[str, Any] | None], guarded: bool
) -> None:
    till = Till()
    for name, turn in zip("abc", fates, strict=True):
        till.turns[name].append(turn)
    changes = {"guards": [{"type": "keeper"}]} if guarded else {}

    async def main() -> None:
        async with routed(till, configured(*prices, **changes)) as r:
            heard, reply = Heard(r), None
            try:
                reply = await ask(r, way)
            except CallError as error:
                assert isinstance(error, MidStreamError) == (
                    way == "stream" and any(each.fate == "breaks" for each in fates)
                )
            (ended,) = heard.requests
            each = expected(fates, prices, way)
            known = [cost for cost in each if cost is not None]
            total = sum(known) if known and (reply is None or each[-1] is not None) else None
            assert [attempt.cost_microcents for attempt in heard.attempts] == each
            assert ended.cost_microcents == total
            assert list(map(recorded, heard.attempts)) == each
            assert recorded(ended) == total
            if reply is not None:
                assert reply.cost_microcents == total

    run(main())


@pytest.mark.parametrize("way", ["chat", "generate", "embed", "stream"])
def test_what_a_guard_kept_costs_nothing_though_it_did_once(way: str) -> None:
    async def main() -> None:
        async with routed(Till(), configured(PRICE, guards=[{"type": "keeper"}])) as r:
            heard = Heard(r)
            first = await ask(r, "chat" if way == "stream" else way)

            again = await ask(r, way)

            paid, free = heard.requests
            assert (paid.result, free.result) == ("ok", "cached")
            assert first.cost_microcents == paid.cost_microcents == 100 * 300 + (way != "embed") * 10 * 1500
            assert again.cost_microcents == free.cost_microcents == recorded(free) == 0

    run(main())


@pytest.mark.parametrize("way", ["chat", "generate", "embed", "stream"])
def test_what_is_free_is_known_to_cost_nothing_though_nobody_counts(way: str) -> None:
    till = Till()
    till.turns["a"].append(Turn(usage=None))

    async def main() -> None:
        async with routed(till, configured({"input": 0, "output": 0})) as r:
            heard = Heard(r)
            reply = await ask(r, way)
            assert reply.cost_microcents == heard.requests[0].cost_microcents == 0
            assert reply.cost_usd == 0

    run(main())


def test_the_sum_of_many_replies_is_the_sum_of_what_the_attempts_said() -> None:
    till = Till()
    till.turns["a"].extend(Turn("answers" if n % 3 else "counts", Usage(n, 7 * n)) for n in range(200))

    async def main() -> None:
        price = {"input": 0.003, "output": 0.0007}  # far below a microcent for a token
        async with routed(till, configured(price, PRICE)) as r:
            heard = Heard(r)
            replies = [await ask(r, "stream") for _ in range(200)]
            attempts = [each.cost_microcents for each in heard.attempts]
            assert len(attempts) == 267
            assert sum(each.cost_microcents or 0 for each in replies) == sum(each or 0 for each in attempts)
            assert sum(each.cost_usd or 0 for each in replies) * 10**8 == sum(each or 0 for each in attempts)

    run(main())


def test_an_attempt_that_lost_against_its_hedge_is_paid_for_as_well() -> None:
    till = Till()
    for name in "ab":
        till.turns[name].extend([Turn(after=0.1)] * 5)
    till.turns["a"].append(Turn(usage=Usage(1000, 1), after=30.0))
    till.turns["b"].append(Turn(usage=Usage(1000, 50), after=0.1))
    changes = {"hedging": {"minimum_samples": 5, "budget": "100%"}, "timeouts": {"total": "60s"}}
    given = configured(PRICE, PRICE, **changes)
    for each in given["models"]["m"]["deployments"]:
        del each["priority"]
    given["retry"]["attempts"] = 3

    async def main() -> None:
        async with routed(till, given) as r:
            for _ in range(10):
                await ask(r, "stream")
            heard = Heard(r)

            reply = await ask(r, "stream")

            lost, won = heard.attempts
            assert (lost.deployment, won.deployment, won.hedge) == ("a/x", "b/x", True)
            assert lost.cost_microcents == 1000 * 300 + 1500
            assert won.cost_microcents == 1000 * 300 + 50 * 1500
            together = lost.cost_microcents + won.cost_microcents
            assert reply.cost_microcents == heard.requests[0].cost_microcents == together

    run(main())


@pytest.mark.parametrize("way", ["leaves", "cancels"])
def test_a_stream_that_its_caller_leaves_costs_what_was_counted_until_then(way: str) -> None:
    till = Till()
    till.turns["a"].append(Turn(after=100.0 if way == "cancels" else 0.0))

    async def main() -> None:
        async with routed(till, configured(PRICE)) as r:
            heard = Heard(r)
            task = asyncio.ensure_future(begin(r))
            await asyncio.sleep(1)
            task.cancel()
            await asyncio.wait([task])
            assert [each.cost_microcents for each in heard.attempts] == [100 * 300 + 10 * 1500]
            assert [each.cost_microcents for each in heard.requests] == [100 * 300 + 10 * 1500]

    async def begin(r: Router) -> None:
        async with r.stream("m", HI) as stream:
            async for _ in stream:
                return

    run(main())


def test_the_count_of_a_failed_attempt_is_not_taken_for_that_of_the_next() -> None:
    till = Till()
    till.turns["a"].append(Turn("counts", Usage(7, 1)))
    till.turns["b"].append(Turn("fails"))

    async def main() -> None:
        async with routed(till, configured(PRICE, PRICE)) as r:
            heard = Heard(r)
            with pytest.raises(Unavailable):
                await ask(r, "stream")
            assert [each.usage for each in heard.attempts] == [Usage(7, 1), None]
            assert heard.requests[0].usage is None
            assert heard.requests[0].cost_microcents == 7 * 300 + 1500, "and it was paid for"

    run(main())


def test_an_answer_that_comes_after_its_time_is_paid_for_and_not_given() -> None:
    class Heedless(Provider):
        async def chat(self, _request: Any, _call: Call) -> ChatResponse:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(100)
            return ChatResponse("late", usage=Usage(100, 10))

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_providers(self) -> Sequence[ProviderFactory]:
            return [ProviderFactory("till", BaseModel, Heedless)]

    async def main() -> None:
        async with Router.from_config(configured(PRICE, retry="none"), plugins=[Plugin()]) as r:
            heard = Heard(r)
            with pytest.raises(DeadlineExceeded):
                await r.chat("m", HI, timeout=1)
            assert [each.cost_microcents for each in heard.attempts] == [100 * 300 + 10 * 1500]
            assert heard.requests[0].cost_microcents == 100 * 300 + 10 * 1500

    run(main())


def test_what_a_selector_asks_is_a_request_with_a_cost_of_its_own() -> None:
    class Asks(Selector):
        def __init__(self, context: SelectorContext) -> None:
            self._ask = context.ask

        async def choose(self, _request: Any, _candidates: Any, call: SelectorCall, /) -> str:
            await self._ask(call, "m", "Which?")
            return "m"

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_selectors(self) -> list[SelectorFactory]:
            return [SelectorFactory("asks", None, Asks)]

    till = Till()
    till.turns["a"].extend([Turn(usage=Usage(7, 1)), Turn(usage=Usage(100, 10))])

    async def main() -> None:
        given = configured(PRICE)
        given["models"]["auto"] = {"selector": "asks", "of": ["m"]}
        async with Router.from_config(given, plugins=[till, Plugin()]) as r:
            heard = Heard(r)
            reply = await r.chat("auto", HI)
            assert [each.cost_microcents for each in heard.requests] == [7 * 300 + 1500, 100 * 300 + 15_000]
            assert reply.cost_microcents == 100 * 300 + 15_000

    run(main())


@pytest.mark.parametrize("count", [10**15, -(10**15)])
def test_a_count_that_no_model_reaches_is_not_believed(count: int) -> None:
    till = Till()
    till.turns["a"].append(Turn(usage=Usage(count, 10)))
    till.turns["a"].append(Turn(usage=Usage(10, count)))

    async def main() -> None:
        async with routed(till, configured(PRICE)) as r:
            prompt, answer = await ask(r, "chat"), await ask(r, "stream")
            assert prompt.cost_microcents is not None
            assert answer.cost_microcents is not None
            assert 0 <= prompt.cost_microcents < 1 * 10**8
            assert 0 <= answer.cost_microcents < 10 * 10**8
            assert prompt.usage.prompt == count, "what the upstream said is told as it said it"

    run(main())


def test_more_tokens_than_the_request_shows_are_believed_for_the_upstreams_tools_read_some() -> None:
    till = Till()
    till.turns["a"].append(Turn(usage=Usage(900_000, 10)))

    async def main() -> None:
        async with routed(till, configured(PRICE)) as r:
            assert (await ask(r, "chat")).cost_microcents == 900_000 * 300 + 10 * 1500

    run(main())


def test_without_a_price_nothing_says_what_it_cost() -> None:
    async def main() -> None:
        async with routed(Till(), configured(None)) as r:
            heard = Heard(r)
            reply = await ask(r, "chat")
            assert reply.cost_microcents is None
            assert reply.cost_usd is None
            assert [each.cost_microcents for each in heard.events] == [None, None]  # type: ignore[union-attr]
            assert b"cost" not in b"".join(line(each, seq=1, wall=0.0) for each in heard.events)

    run(main())


def test_a_request_that_came_to_no_attempt_has_no_cost() -> None:
    async def main() -> None:
        async with routed(Till(), configured(PRICE)) as r:
            heard = Heard(r)
            with pytest.raises(InvalidRequest):
                await r.chat("m", [])
            assert heard.requests[0].cost_microcents is None

    run(main())


def test_a_guard_cannot_change_what_a_reply_cost() -> None:
    class Cheat(Guard):
        async def after(self, response: Any, _call: Any, /) -> Any:
            from pointsman.types import replace

            return replace(response, cost_microcents=1)

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_guards(self) -> Sequence[GuardFactory]:
            return [GuardFactory("cheat", BaseModel, lambda _context: Cheat())]

    async def main() -> None:
        given = configured(PRICE, guards=[{"type": "cheat"}])
        async with Router.from_config(given, plugins=[Till(), Plugin()]) as r:
            with pytest.raises(CallError, match="another `cost_microcents`"):
                await r.chat("m", HI)

    run(main())


def test_an_answer_that_its_provider_kept_does_not_say_what_it_cost_another_deployment() -> None:
    kept = ChatResponse("well", usage=Usage(100, 10))

    class Same(Provider):
        async def chat(self, _request: Any, _call: Call) -> ChatResponse:
            return kept

    class Plugin(PointsmanSpec):
        @hookimpl
        def pointsman_providers(self) -> Sequence[ProviderFactory]:
            return [ProviderFactory("same", BaseModel, Same)]

    async def main() -> None:
        given = {
            "providers": {"a": {"type": "same"}},
            "models": {
                "dear": {"deployments": [{"provider": "a", "model": "x", "price": PRICE}]},
                "m": {"deployments": ["a/y"]},
            },
        }
        async with Router.from_config(given, plugins=[Plugin()]) as r:
            assert (await r.chat("dear", HI)).cost_microcents == 100 * 300 + 10 * 1500
            assert (await r.chat("m", HI)).cost_microcents is None

    run(main())
