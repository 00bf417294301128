"""What every selector owes the router."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from math import inf
from typing import Any

from pointsman.selector import Ask, Candidate, Selection, Selector, SelectorCall
from pointsman.testing.contract.enforcement import Contract, check_made, on_virtual_loop
from pointsman.testing.contract.guard import CANARY, REQUESTS, call_of
from pointsman.testing.contract.rules import rule
from pointsman.types import ChatResponse, Request

MODELS = ("small", "large", "other")


class SelectorContract(Contract, terms=True):
    """What every selector owes the router. Write `make`."""

    def make(self, models: Sequence[str], ask: Ask) -> Selector:
        """A fresh selector that can pick `models`, with `ask` in its context."""
        raise NotImplementedError("write `make`, which returns a selector")

    @rule("SELECTOR-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("selector", self.make(MODELS, answers("small")))

    @rule("SELECTOR-02", "Any other name counts as a failure, and each request goes to the default.")
    @on_virtual_loop
    async def test_it_picks_one_of_the_candidates_for_every_kind_of_request(self) -> None:
        for request in REQUESTS:
            for ready in (True, False):
                await self._pick(request, ready=ready)

    @rule("SELECTOR-03", "Reasons stand in events and records, where no prompt belongs.")
    @on_virtual_loop
    async def test_its_reason_says_nothing_of_what_was_asked(self) -> None:
        for request in REQUESTS:
            reason = (await self._pick(request)).reason
            assert isinstance(reason, str), f"the reason is a {type(reason).__name__}, expected text"
            assert CANARY not in reason, f"the reason says what was asked: {reason}"

    @rule("SELECTOR-04", "What it changed would go to the model that it picks.")
    @on_virtual_loop
    async def test_what_it_is_given_stays_as_it_was(self) -> None:
        for request in REQUESTS:
            asked = deepcopy(request)
            await self._pick(asked)
            assert asked == request, "the request that it was given was changed"

    async def _pick(self, request: Request, *, ready: bool = True) -> Selection:
        selector = self.make(MODELS, answers("small"))
        return picked(await selector.choose(request, candidates(ready=ready), selector_call(request)))


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


def answers(text: str) -> Ask:
    """An `ask` that is always answered with `text`."""

    async def ask(_call: SelectorCall, _model: str, _messages: Any, /, **_options: Any) -> ChatResponse:
        return ChatResponse(text)

    return ask
