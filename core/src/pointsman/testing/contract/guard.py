"""What every guard owes the router."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from math import inf
from typing import Any, ClassVar

from pointsman.errors import Refused
from pointsman.execution.guards_at_work import wrong_after, wrong_before
from pointsman.guard import Answered, Guard, GuardCall
from pointsman.testing.contract.enforcement import Contract, check_made, on_virtual_loop
from pointsman.testing.contract.rules import rule
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    Message,
    Request,
    Tool,
    ToolCall,
    Usage,
)

CANARY = "plum 7291"
"""Stands in whatever is asked."""
_TEXT = f"Say it in confidence: {CANARY}."
REQUESTS: tuple[Request, ...] = (
    ChatRequest("public", (Message.system("Be brief."), Message.user(_TEXT))),
    ChatRequest("public", [Message.user(_TEXT)], tools=[Tool("look_up", "looks it up")], extra={"x": [1]}),
    GenerateRequest("public", _TEXT, stop=["."]),
    EmbedRequest("public", [_TEXT, "and another"]),
)
"""What is asked of every guard, and of every selector."""


class GuardContract(Contract, terms=True):
    """What every guard owes the router. Write `make`.

    Attributes:
        refused: requests that it has to refuse.
    """

    refused: ClassVar[tuple[Request, ...]] = ()

    def make(self) -> Guard:
        """A fresh guard, always with the same settings."""
        raise NotImplementedError("write `make`, which returns a guard")

    @rule("GUARD-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("guard", self.make())

    @rule("GUARD-02", "What it makes of a request goes to an upstream, or to the caller as the answer.")
    @on_virtual_loop
    async def test_a_request_goes_on_as_one_of_its_class_or_is_answered_or_refused(self) -> None:
        for request in REQUESTS:
            given = await passed(self.make(), request)
            wrong = None if given is None else wrong_before(request, given)
            assert wrong is None, f"before() {wrong}"

    @rule("GUARD-03", "Books, records and bills go by what an answer says of where it came from.")
    @on_virtual_loop
    async def test_an_answer_goes_out_as_one_of_its_class_with_its_origin_and_usage(self) -> None:
        for request in REQUESTS:
            guard, call, response = self.make(), call_of(request), answer_to(request)
            if isinstance(await passed(guard, request, call), Answered | None):
                continue
            try:
                given = await guard.after(response, call)
            except Refused:
                continue
            wrong = wrong_after(response, given)
            assert wrong is None, f"after() {wrong}"

    @rule("GUARD-04", "A caller sends the same messages again, and would find others in them.")
    @on_virtual_loop
    async def test_what_it_is_given_stays_as_it_was(self) -> None:
        for request in REQUESTS:
            guard, call, response = self.make(), call_of(request), answer_to(request)
            asked, answered = deepcopy(request), deepcopy(response)
            if isinstance(await passed(guard, asked, call), Answered | None):
                assert asked == request, "before() changed the request that it was given; return another"
                continue
            with suppress(Refused):
                await guard.after(answered, call)
            assert asked == request, "the request that it was given was changed; return another"
            assert answered == response, "after() changed the answer that it was given; return another"

    @rule("GUARD-05", "What should not have been asked would go to an upstream.")
    @on_virtual_loop
    async def test_what_it_has_to_refuse_is_refused_without_a_word_of_what_was_asked(self) -> None:
        for request in self.refused:
            try:
                given: Any = await self.make().before(request, call_of(request))
            except Refused as error:
                said = str(error)
                assert CANARY not in said, f"the refusal says what was asked: {said}"
                continue
            raise AssertionError(f"{request!r:.200} was not refused, and became {given!r:.200}")


def call_of(request: Request, operation: str = "") -> GuardCall:
    """What a guard is told of `request`."""
    kinds = {ChatRequest: "chat", GenerateRequest: "generate", EmbedRequest: "embed"}
    return GuardCall("req-1", operation or kinds[type(request)], request.model, "somebody", {}, inf)


async def passed(guard: Guard, request: Request, call: GuardCall | None = None) -> Request | Answered | None:
    """What `before` makes of `request`; None where it is refused."""
    try:
        return await guard.before(request, call or call_of(request))
    except Refused:
        return None


def answer_to(request: Request) -> ChatResponse | EmbedResponse:
    """An answer of the kind that `request` gets."""
    usage = Usage(prompt=3, completion=4)
    if isinstance(request, EmbedRequest):
        vectors = [[0.5, 0.25] for _ in request.texts]
        return EmbedResponse(vectors, usage, "m", deployment="a/m", attempts=2, request_id="req-1")
    return ChatResponse(
        f"It is {CANARY}.",
        (ToolCall("c1", "look_up", "{}"),),
        usage=usage,
        model="m",
        id="x",
        raw={"text": f"It is {CANARY}."},
        deployment="a/m",
        attempts=2,
        request_id="req-1",
    )
