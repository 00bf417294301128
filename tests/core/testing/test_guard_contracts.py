"""The contracts of guards and selectors: right ones keep them, and each rule finds who does not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pointsman.builtin.rules import ByRules, RulesSettings
from pointsman.clock import LoopClock, system_rng
from pointsman.plugin import (
    Answered,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    Finished,
    GenerateRequest,
    Guard,
    GuardCall,
    Message,
    Refused,
    Selection,
    Selector,
    SelectorCall,
    StreamEvent,
    TextDelta,
    Usage,
    UsageUpdate,
    replace,
)
from pointsman.testing import Contexts
from pointsman.testing.contract import GuardContract, SelectorContract, rules_of
from pointsman.testing.contract.guard import CANARY

SECRET = "Paris"


class Hiding:
    """Stars in place of the word, wherever it is cut."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        if not isinstance(event, TextDelta):
            return [event]
        text = (self.held + event.text).replace(SECRET, "***")
        kept = next((n for n in range(min(len(text), 4), 0, -1) if SECRET.startswith(text[-n:])), 0)
        self.held = text[len(text) - kept :]
        return [TextDelta(text[: len(text) - kept])]

    def end(self) -> Sequence[StreamEvent]:
        return [TextDelta(self.held)]


class Hides(Guard):
    """Hides a word, and refuses another one. Right, unless `wrong` says how it is not."""

    filtering: Callable[[], Any] | None = Hiding

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        if isinstance(request, ChatRequest) and any("forbidden" in each.text for each in request.messages):
            raise Refused("a word that is not wanted")
        return request

    async def after(self, response: Any, call: GuardCall, /) -> Any:
        if isinstance(response, ChatResponse):
            return replace(response, text=response.text.replace(SECRET, "***"))
        return response

    def stream(self, call: GuardCall, /) -> Any:
        return None if self.filtering is None else self.filtering()


FORBIDDEN = ChatRequest("public", (Message.user(f"a forbidden {CANARY}"),))


class TestHides(GuardContract):
    refused = (FORBIDDEN,)
    texts = ("It is raining in Paris.", "Paris Par isParis", "none", "a Par")

    def make(self) -> Guard:
        return Hides()


class TestRefusesAnswers(GuardContract):
    """One that refuses what it finds, whole or in a stream."""

    texts = ("It is raining in Paris.", "It is not.")

    def make(self) -> Guard:
        class Refusing(Hiding):
            def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
                self.held += event.text
                if SECRET in self.held:
                    raise Refused("a place")
                return [event]

            def end(self) -> Sequence[StreamEvent]:
                return ()

        class Refuses(Guard):
            async def after(self, response: Any, call: GuardCall, /) -> Any:
                if SECRET in getattr(response, "text", ""):
                    raise Refused("a place")
                return response

            def stream(self, call: GuardCall, /) -> Any:
                return Refusing()

        return Refuses()


class TestAnswersEverything(GuardContract):
    def make(self) -> Guard:
        class Knows(Guard):
            async def before(self, request: Any, call: GuardCall, /) -> Any:
                if isinstance(request, EmbedRequest):
                    return Answered(EmbedResponse([[0.0] for _ in request.texts]), "cached")
                return Answered(ChatResponse("known"), "cached")

        return Knows()


class TestRefusesEverything(GuardContract):
    def make(self) -> Guard:
        class Never(Guard):
            async def before(self, request: Any, call: GuardCall, /) -> Any:
                raise Refused("no")

        return Never()


def broken(**members: Any) -> Callable[[], Guard]:
    return type("Broken", (Hides,), members)


def filtering(**members: Any) -> Callable[[], Guard]:
    return broken(filtering=type("Wrong", (Hiding,), members))


async def returns_nothing(*_given: Any) -> Any:
    return None


async def changes_model(_self: Any, request: Any, _call: Any, /) -> Any:
    return replace(request, model="other")


async def changes_in_place(_self: Any, request: Any, _call: Any, /) -> Any:
    if isinstance(request, ChatRequest) and isinstance(request.messages, list):
        request.messages.append(Message.user("more"))
    return request


async def takes_usage(_self: Any, response: Any, _call: Any, /) -> Any:
    return replace(response, usage=Usage())


async def empties_raw(_self: Any, response: Any, _call: Any, /) -> Any:
    if isinstance(response, ChatResponse):
        response.raw.clear()
    return response


async def refuses_with_the_prompt(_self: Any, request: Any, _call: Any, /) -> Any:
    text = getattr(request, "messages", [Message.user("")])[-1].text
    if "forbidden" in text:
        raise Refused(f"not this: {text}")
    return request


async def lets_pass(_self: Any, request: Any, _call: Any, /) -> Any:
    return request


async def leaves_a_task(self: Any, request: Any, _call: Any, /) -> Any:
    self.left = asyncio.ensure_future(asyncio.sleep(0.01))
    return request


def keep_busy() -> None:
    time.sleep(0.06)


async def blocks(_self: Any, request: Any, _call: Any, /) -> Any:
    keep_busy()
    return request


def only_whole_chunks(_self: Any, event: StreamEvent, /) -> Sequence[StreamEvent]:
    return [TextDelta(event.text.replace(SECRET, "***"))] if isinstance(event, TextDelta) else [event]


def holds_all(self: Any, event: StreamEvent, /) -> Sequence[StreamEvent]:
    if not isinstance(event, TextDelta):
        return [event]
    self.held += event.text.replace(SECRET, "***")
    return ()


def drops(kind: type[StreamEvent]) -> Callable[..., Sequence[StreamEvent]]:
    def feed(self: Any, event: StreamEvent, /) -> Sequence[StreamEvent]:
        return () if isinstance(event, kind) else Hiding.feed(self, event)

    return feed


class Shared(Hides):
    """One filter for all streams that come by."""

    def __init__(self) -> None:
        self._one = Hiding()

    def stream(self, call: GuardCall, /) -> Any:
        return self._one


class Remembers(Hides):
    last: Any = None

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        self.last = request
        return await super().before(request, call)

    def __repr__(self) -> str:
        return f"Remembers({self.last!r})"


GUARDS: list[tuple[str, Callable[[], Any]]] = [
    ("GUARD-01", object),
    ("GUARD-01", type("Idle", (Guard,), {})),
    ("GUARD-01", broken(stream=returns_nothing)),
    ("GUARD-02", broken(before=returns_nothing)),
    ("GUARD-02", broken(before=changes_model)),
    ("GUARD-03", broken(after=returns_nothing)),
    ("GUARD-03", broken(after=takes_usage)),
    ("GUARD-04", broken(before=changes_in_place)),
    ("GUARD-04", broken(after=empties_raw)),
    ("GUARD-05", broken(before=lets_pass)),
    ("GUARD-05", broken(before=refuses_with_the_prompt)),
    ("GUARD-06", filtering(feed=only_whole_chunks)),
    ("GUARD-07", filtering(end=lambda _self: ())),
    ("GUARD-06", filtering(feed=lambda _self, event, /: event)),
    ("GUARD-07", broken(filtering=None)),
    ("GUARD-07", broken(after=lets_pass)),
    ("GUARD-08", filtering(feed=holds_all)),
    ("GUARD-09", filtering(feed=drops(UsageUpdate))),
    ("GUARD-09", filtering(feed=drops(Finished))),
    ("GUARD-10", Shared),
    ("GUARD-11", broken(before=blocks)),
    ("GUARD-12", broken(before=leaves_a_task)),
    ("GUARD-13", Remembers),
]


@pytest.mark.parametrize(("id", "make"), GUARDS)
def test_a_guard_that_breaks_a_rule_is_found_by_it(id: str, make: Callable[[], Any]) -> None:
    with pytest.raises(AssertionError):
        run_rule(TestHides, id, {"make": lambda _self: make()})


def test_each_rule_for_guards_finds_somebody() -> None:
    assert {each.id for each in rules_of(GuardContract)} == {id for id, _ in GUARDS}


def run_rule(contract: Any, id: str, members: dict[str, Any]) -> None:
    (rule,) = [each for each in rules_of(contract) if each.id == id]
    getattr(type("Tried", (contract,), members)(), rule.test)()


# ── selectors ────────────────────────────────────────────────────────────────────────────────────────


class TestRules(SelectorContract):
    def make(self, models: Sequence[str], ask: Any) -> Selector:
        rules = [{"tools": True, "use": "large"}, {"operation": "embed", "use": "other"}]
        settings = RulesSettings.model_validate({"rules": rules})
        contexts = Contexts(LoopClock(), system_rng())
        return ByRules(contexts.selector("rules", settings, models=models, ask=ask))


class Asks(Selector):
    """Asks a model, and takes what it says where that is a name."""

    def __init__(self, models: Sequence[str], ask: Any) -> None:
        self.models, self.ask = models, ask

    async def choose(self, request: Any, candidates: Any, call: SelectorCall, /) -> Any:
        said = (await self.ask(call, "small", "which?")).text.strip()
        return Selection(said if said in self.models else self.models[0], "it was said")


class TestAsks(SelectorContract):
    def make(self, models: Sequence[str], ask: Any) -> Selector:
        return Asks(models, ask)


def choosing(choose: Any, base: type = Asks) -> type:
    return type("Wrong", (base,), {"choose": choose})


async def believes(self: Any, _request: Any, _candidates: Any, call: SelectorCall, /) -> str:
    return str((await self.ask(call, "small", "which?")).text)


async def tells(_self: Any, request: Any, candidates: Any, _call: Any, /) -> Selection:
    return Selection(candidates[0].name, f"because of {request!r}")


async def spoils(_self: Any, request: Any, candidates: Any, _call: Any, /) -> str:
    if isinstance(request, ChatRequest | GenerateRequest):
        request.extra["picked"] = True  # type: ignore[index]
    return str(candidates[0].name)


async def asks_for_nobody(self: Any, request: Any, candidates: Any, call: SelectorCall, /) -> str:
    other = SelectorCall("", call.operation, call.model, "", {}, call.deadline)
    await self.ask(other, "small", "which?")
    return str(candidates[0].name)


async def asks_itself(self: Any, request: Any, candidates: Any, call: SelectorCall, /) -> str:
    await self.ask(call, call.model, "which?")
    return str(candidates[0].name)


async def computes(_self: Any, request: Any, candidates: Any, _call: Any, /) -> str:
    keep_busy()
    return str(candidates[0].name)


async def leaves(self: Any, request: Any, candidates: Any, _call: Any, /) -> str:
    self.left = asyncio.ensure_future(asyncio.sleep(0.01))
    return str(candidates[0].name)


class Mixes(Asks):
    async def choose(self, request: Any, candidates: Any, call: SelectorCall, /) -> str:
        self.request = request
        await self.ask(call, "small", "which?")
        return "large" if isinstance(self.request, EmbedRequest) else "small"


async def wants_ready(_self: Any, _request: Any, candidates: Any, _call: Any, /) -> Any:
    return next((each.name for each in candidates if each.ready), None)


SELECTORS: list[tuple[str, type]] = [
    ("SELECTOR-01", choosing(lambda self, request: "small")),
    ("SELECTOR-02", choosing(returns_nothing)),
    ("SELECTOR-02", choosing(wants_ready)),
    ("SELECTOR-03", choosing(tells)),
    ("SELECTOR-04", choosing(spoils)),
    ("SELECTOR-05", choosing(believes)),
    ("SELECTOR-06", choosing(asks_for_nobody)),
    ("SELECTOR-06", choosing(asks_itself)),
    ("SELECTOR-07", choosing(computes)),
    ("SELECTOR-08", choosing(leaves)),
    ("SELECTOR-09", Mixes),
]


@pytest.mark.parametrize(("id", "make"), SELECTORS)
def test_a_selector_that_breaks_a_rule_is_found_by_it(id: str, make: Any) -> None:
    with pytest.raises(AssertionError):
        run_rule(TestAsks, id, {"make": lambda _self, models, ask: make(models, ask)})


def test_each_rule_for_selectors_finds_somebody() -> None:
    assert {each.id for each in rules_of(SelectorContract)} == {id for id, _ in SELECTORS}
