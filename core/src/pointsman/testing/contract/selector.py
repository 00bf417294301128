"""What every selector owes the router."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from copy import deepcopy
from math import inf
from typing import Any, ClassVar

from pointsman.errors import Unavailable
from pointsman.selector import Ask, Candidate, Selection, Selector, SelectorCall
from pointsman.testing.contract.enforcement import Contract, check_made, on_virtual_loop
from pointsman.testing.contract.guard import CANARY, call_of, requests
from pointsman.testing.contract.rules import rule
from pointsman.types import ChatRequest, ChatResponse, Message, Request

MODELS = ("small", "large", "other")


class SelectorContract(Contract, terms=True):
    """What every selector owes the router. Write `make`.

    Attributes:
        patience: seconds that one choice may keep the loop busy.
    """

    patience: ClassVar[float] = 0.05

    def make(self, models: Sequence[str], ask: Ask) -> Selector:
        """A fresh selector that can pick `models`, with `ask` in its context."""
        raise NotImplementedError("write `make`, which returns a selector")

    @rule("SELECTOR-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("selector", self.make(MODELS, answers("small")))

    @rule("SELECTOR-02", "Any other name counts as a failure, and each request goes to the default.")
    @on_virtual_loop
    async def test_it_picks_one_of_the_candidates_for_every_kind_of_request(self) -> None:
        for request in requests():
            for ready in (True, False):
                await self._pick(request, ready=ready)

    @rule("SELECTOR-03", "Reasons stand in events and records, where no prompt belongs.")
    @on_virtual_loop
    async def test_its_reason_says_nothing_of_what_was_asked(self) -> None:
        for request in requests():
            selector = self.make(MODELS, quotes)
            try:  # where a model that was asked says again what it was told
                quoted = picked(await selector.choose(request, candidates(), selector_call(request))).reason
            except Exception:  # then the default is taken
                quoted = ""
            assert CANARY not in quoted, f"the reason says what a model made of the question: {quoted:.200}"
            reason = (await self._pick(request)).reason
            assert isinstance(reason, str), f"the reason is a {type(reason).__name__}, expected text"
            assert CANARY not in reason, f"the reason says what was asked: {reason}"

    @rule("SELECTOR-04", "What it changed would go to the model that it picks.")
    @on_virtual_loop
    async def test_what_it_is_given_stays_as_it_was(self) -> None:
        for request in requests():
            asked = deepcopy(request)
            await self._pick(asked)
            assert asked == request, "the request that it was given was changed"

    @rule("SELECTOR-05", "A model that is asked for an opinion says whatever it likes, or cannot be asked.")
    @on_virtual_loop
    async def test_whatever_it_is_told_it_picks_one_of_the_candidates_or_raises(self) -> None:
        for ask in (*map(answers, _NO_NAMES), fails):
            selector = self.make(MODELS, ask)
            request = requests()[0]
            try:
                given = await selector.choose(request, candidates(), selector_call(request))
            except Exception:  # noqa: S112 - then the default is taken, and the log says why
                continue
            picked(given)

    @rule("SELECTOR-06", "What it asks would be booked to nobody, and could take for ever.")
    @on_virtual_loop
    async def test_what_it_asks_it_asks_for_the_request_that_it_chooses_for(self) -> None:
        asked: list[tuple[SelectorCall, str]] = []

        async def ask(call: SelectorCall, model: str, _messages: Any, /, **_options: Any) -> ChatResponse:
            asked.append((call, model))
            return ChatResponse("small")

        selector, calls = self.make(MODELS, ask), []
        for request in requests():
            calls.append(selector_call(request))
            picked(await selector.choose(request, candidates(), calls[-1]))
        for call, model in asked:
            assert any(call is each for each in calls), "it asks for another request than it was given"
            assert model != "public", "it asks the model whose selector it is"

    @rule("SELECTOR-07", "While it computes, nobody's stream goes on.")
    @on_virtual_loop
    async def test_it_does_not_hold_up_the_loop(self) -> None:
        request = ChatRequest("public", (Message.user("It is raining in Paris. " * 200),))
        took: list[float] = []
        while len(took) < 5 and min(took, default=inf) > self.patience:  # a busy machine is not its fault
            selector, call = self.make(MODELS, answers("small")), selector_call(request)
            began = time.perf_counter()
            await selector.choose(request, candidates(), call)
            took.append(time.perf_counter() - began)
        assert min(took) <= self.patience, f"it kept the loop busy for {min(took):.3f} s"

    @rule("SELECTOR-08", "What is left at work fails when nobody looks, or keeps a program from ending.")
    @on_virtual_loop
    async def test_nothing_is_left_at_work(self) -> None:
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        for request in requests():
            await self._pick(request)
        left = [*(asyncio.all_tasks() - tasks), *(set(threading.enumerate()) - threads)]
        assert not left, f"still at work: {left!r:.300}"

    @rule("SELECTOR-09", "Requests run at the same time, and one would go where another should.")
    @on_virtual_loop
    async def test_two_choices_at_the_same_time_know_nothing_of_each_other(self) -> None:
        alone = [(await self._pick(request)).name for request in requests()]
        gate = asyncio.Event()

        async def ask(_call: SelectorCall, _model: str, _messages: Any, /, **_options: Any) -> ChatResponse:
            await gate.wait()
            return ChatResponse("small")

        selector = self.make(MODELS, ask)
        choices = [
            asyncio.ensure_future(selector.choose(request, candidates(), selector_call(request)))
            for request in requests()
        ]
        await asyncio.sleep(0)
        gate.set()
        found = [picked(each).name for each in await asyncio.gather(*choices)]
        assert found == alone, f"one after the other they came to {alone}, beside each other to {found}"

    async def _pick(self, request: Request, *, ready: bool = True) -> Selection:
        selector = self.make(MODELS, answers("small"))
        return picked(await selector.choose(request, candidates(ready=ready), selector_call(request)))


_NO_NAMES = ("", "huge", "I would say: small.", "small " * 1_000, "\u00e9\n\0")


async def fails(_call: SelectorCall, _model: str, _messages: Any, /, **_options: Any) -> ChatResponse:
    """An `ask` that nobody answers."""
    raise Unavailable("down")


def candidates(*, ready: bool = True) -> list[Candidate]:
    """One for each of `MODELS`."""
    return [Candidate(name, ready, (f"gpu/{name}",)) for name in MODELS]


def selector_call(request: Request) -> SelectorCall:
    """What a selector is told of `request`."""
    return SelectorCall("req-1", call_of(request).operation, request.model, "somebody", {}, inf)


def picked(given: object) -> Selection:
    """What a selector picked. Asserts that it is one of the candidates."""
    made: Any = given if isinstance(given, Selection) else Selection(given)  # type: ignore[arg-type]
    assert made.name in MODELS, f"picked {made.name!r:.100}, which is none of {', '.join(MODELS)}"
    assert isinstance(made, Selection)
    return made


async def quotes(_call: SelectorCall, _model: str, messages: Any, /, **_options: Any) -> ChatResponse:
    """An `ask` that is answered with what it was asked."""
    return ChatResponse(f"small, for it says: {messages}")


def answers(text: str) -> Ask:
    """An `ask` that is always answered with `text`."""

    async def ask(_call: SelectorCall, _model: str, _messages: Any, /, **_options: Any) -> ChatResponse:
        return ChatResponse(text)

    return ask
