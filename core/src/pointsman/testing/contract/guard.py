"""What every guard owes the router."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from math import inf
from typing import Any, ClassVar

from pointsman.errors import Refused
from pointsman.execution.filtering import wrong_events
from pointsman.execution.guards_at_work import wrong_after, wrong_before
from pointsman.guard import Answered, Guard, GuardCall, StreamFilter
from pointsman.testing.contract.enforcement import Contract, check_made, on_virtual_loop
from pointsman.testing.contract.rules import rule
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    Finished,
    GenerateRequest,
    Message,
    RawDelta,
    ReasoningDelta,
    Request,
    Started,
    StreamEvent,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    Usage,
    UsageUpdate,
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
"""What is asked of every guard, and of every selector: as copies, for one may change them."""


class GuardContract(Contract, terms=True):
    """What every guard owes the router. Write `make`.

    Attributes:
        refused: requests that it has to refuse.
        texts: answers that it changes or refuses, and others; a stream of each must come to the same.
        look_behind: characters of a text that its stream filter holds back at most.
        patience: seconds that one call may keep the loop busy.
    """

    refused: ClassVar[Sequence[Request]] = ()
    texts: ClassVar[Sequence[str]] = ("It is raining in Paris.", "One two three, four five six. " * 20)
    look_behind: ClassVar[int] = 256
    patience: ClassVar[float] = 0.05

    def make(self) -> Guard:
        """A fresh guard, always with the same settings."""
        raise NotImplementedError("write `make`, which returns a guard")

    @rule("GUARD-01", "The first request would fail in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("guard", self.make())

    @rule("GUARD-02", "What it makes of a request goes to an upstream, or to the caller as the answer.")
    @on_virtual_loop
    async def test_a_request_goes_on_as_one_of_its_class_or_is_answered_or_refused(self) -> None:
        for request in requests():
            given = await passed(self.make(), request)
            wrong = None if isinstance(given, Refused) else wrong_before(request, given)
            assert wrong is None, f"before() {wrong}"

    @rule("GUARD-03", "Books, records and bills go by what an answer says of where it came from.")
    @on_virtual_loop
    async def test_an_answer_goes_out_as_one_of_its_class_with_its_origin_and_usage(self) -> None:
        for request in requests():
            guard, call, response = self.make(), call_of(request), answer_to(request)
            if isinstance(await passed(guard, request, call), Answered | Refused):
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
        for request in requests():
            guard, call, response = self.make(), call_of(request), answer_to(request)
            asked, answered = deepcopy(request), deepcopy(response)
            if isinstance(await passed(guard, asked, call), Answered | Refused):
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

    @rule(
        "GUARD-06",
        "Where chunks are cut is chance, and what is split over two of them must not slip through.",
    )
    @on_virtual_loop
    async def test_a_stream_comes_to_the_same_wherever_it_is_cut(self) -> None:
        for text in self.texts:
            whole = self._streamed([text])
            for pieces in _cuts(text):
                found = self._streamed(pieces)
                assert found == whole, f"{text!r:.200} in {len(pieces)} pieces came to {_shown(found)}"

    @rule("GUARD-07", "Whoever asks for a stream would see what a whole answer does not show.")
    @on_virtual_loop
    async def test_a_stream_comes_to_what_a_whole_answer_comes_to(self) -> None:
        for text in self.texts:
            request = requests()[0]
            guard, call, response = self.make(), call_of(request), ChatResponse(text)
            if isinstance(await passed(guard, request, call), Answered | Refused):
                continue
            found: str | None
            try:
                answer = await guard.after(response, call)
                found = answer.text if isinstance(answer, ChatResponse) else ""
            except Refused:
                found = None
            streamed = self._streamed([text])
            assert streamed == found, (
                f"{text!r:.200} came to {_shown(found)}, as a stream to {_shown(streamed)}"
            )

    @rule("GUARD-08", "The first word would come with the last, and a long answer would fill the memory.")
    @on_virtual_loop
    async def test_a_stream_filter_holds_back_no_more_than_it_must(self) -> None:
        text = "It is raining in Paris. " * (self.look_behind // 12 + 10)
        for whole in (text[: len(text) // 2], text):
            filtering = self.make().stream(call_of(requests()[0], "stream"))
            if filtering is None:
                return
            try:
                for n in range(0, len(whole), 7):
                    _fed(filtering, TextDelta(whole[n : n + 7]))
                held = len(_text_of(_ended(filtering)))
            except Refused:
                return
            assert held <= self.look_behind, (
                f"{held} characters were held back until the end of {len(whole)}; "
                f"`look_behind` is {self.look_behind}"
            )

    @rule("GUARD-09", "Callers go by calls of tools, by usage and by why an answer ends.")
    @on_virtual_loop
    async def test_what_is_no_text_passes_a_stream_filter_as_a_whole_answer_would(self) -> None:
        filtering = self.make().stream(call_of(requests()[0], "stream"))
        if filtering is None:
            return
        try:
            out = [event for each in _OTHERS for event in _fed(filtering, each)]
            out += _ended(filtering)
        except Refused:
            return
        usage = [event.usage for event in out if isinstance(event, UsageUpdate)]
        assert usage == [Usage(3, 4)], f"the usage of 3 and 4 tokens came to {usage}"
        ends = sum(isinstance(event, Finished) for event in out)
        assert ends == 1, f"{ends} events say why the answer ends, expected one"

    @rule("GUARD-10", "Requests run at the same time, and one caller would get what another asked for.")
    @on_virtual_loop
    async def test_two_streams_at_the_same_time_know_nothing_of_each_other(self) -> None:
        guard = self.make()
        for text, other in itertools.pairwise((*self.texts, *self.texts)):
            alone = self._streamed(list(text))
            filters = [guard.stream(call_of(requests()[0], "stream")) for _ in range(2)]
            if None in filters:
                return
            found: list[str | None] = ["", ""]
            for pieces in itertools.zip_longest(text, other, fillvalue=""):
                for n, piece in enumerate(pieces):
                    found[n] = _more(found[n], filters[n], piece)
            mixed = _more(found[0], filters[0], None)
            assert mixed == alone, f"{text!r:.200} beside another stream came to {_shown(mixed)}"

    @rule("GUARD-11", "While it computes, nobody's stream goes on.")
    @on_virtual_loop
    async def test_it_does_not_hold_up_the_loop(self) -> None:
        text = "It is raining in Paris, and a little in Rome. " * 100
        request = ChatRequest("public", (Message.user(text),))
        took: list[float] = []
        while len(took) < 5 and min(took, default=inf) > self.patience:  # a busy machine is not its fault
            took.append(max([each async for each in _times(self.make(), request, text)]))
        assert min(took) <= self.patience, f"one call kept the loop busy for {min(took):.3f} s"

    @rule("GUARD-12", "What is left at work fails when nobody looks, or keeps a program from ending.")
    @on_virtual_loop
    async def test_nothing_is_left_at_work(self) -> None:
        tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
        for request in requests():
            guard, call = self.make(), call_of(request)
            if not isinstance(await passed(guard, request, call), Answered | Refused):
                with suppress(Refused):
                    await guard.after(answer_to(request), call)
        left = [*(asyncio.all_tasks() - tasks), *(set(threading.enumerate()) - threads)]
        assert not left, f"still at work: {left!r:.300}"

    @rule("GUARD-13", "A representation stands in logs and in reports of errors, where no prompt belongs.")
    @on_virtual_loop
    async def test_its_representation_says_nothing_of_what_was_asked_or_answered(self) -> None:
        for request in requests():
            guard, call = self.make(), call_of(request)
            if not isinstance(await passed(guard, request, call), Answered | Refused):
                with suppress(Refused):
                    await guard.after(answer_to(request), call)
            assert CANARY not in repr(guard), "repr() of the guard says what was asked"

    def _streamed(self, pieces: Sequence[str]) -> str | None:
        """The text that a stream of `pieces` comes to; None where it is refused."""
        filtering = self.make().stream(call_of(requests()[0], "stream"))
        found: str | None = ""
        for piece in pieces:
            found = _more(found, filtering, piece)
        return _more(found, filtering, None)


_OTHERS: Sequence[StreamEvent] = (
    Started("x", "m"),
    ReasoningDelta("Let me see."),
    TextDelta("It is raining."),
    ToolCallDelta(0, "c1", "look_up", "{}"),
    RawDelta({"citations": ["a"]}),
    UsageUpdate(Usage(3, 4)),
    Finished("tool_calls"),
)


async def _times(guard: Guard, request: Request, text: str) -> AsyncIterator[float]:
    """Seconds that each of its methods takes, one after the other."""
    call, began = call_of(request), time.perf_counter()
    await passed(guard, request, call)
    yield time.perf_counter() - began
    began = time.perf_counter()
    with suppress(Refused):
        await guard.after(ChatResponse(text), call)
    yield time.perf_counter() - began
    began = time.perf_counter()
    if (filtering := guard.stream(call)) is not None:
        with suppress(Refused):
            _fed(filtering, TextDelta(text))
    yield time.perf_counter() - began


def _cuts(text: str) -> Iterator[list[str]]:
    yield list(text)
    for seed in range(20):
        rng = random.Random(seed)  # noqa: S311 - a test's chance
        at = sorted(rng.randrange(len(text) + 1) for _ in range(rng.randint(1, 12)))
        yield [text[start:end] for start, end in itertools.pairwise([0, *at, len(text)])]


def _more(found: str | None, filtering: StreamFilter | None, piece: str | None) -> str | None:
    """What has come out after `piece` more, or at the end for None; None once it is refused."""
    if found is None:
        return None
    if filtering is None:
        return found + (piece or "")
    try:
        return found + _text_of(_ended(filtering) if piece is None else _fed(filtering, TextDelta(piece)))
    except Refused:
        return None


def _fed(filtering: StreamFilter, event: StreamEvent) -> Sequence[StreamEvent]:
    out = filtering.feed(event)
    assert (wrong := wrong_events(out, (event,))) is None, f"feed() {wrong}"
    return out


def _ended(filtering: StreamFilter) -> Sequence[StreamEvent]:
    out = filtering.end()
    assert (wrong := wrong_events(out, ())) is None, f"end() {wrong}"
    return out


def _text_of(events: Sequence[StreamEvent]) -> str:
    return "".join(event.text for event in events)


def _shown(text: str | None) -> str:
    return "a refusal" if text is None else f"{text!r:.200}"


def call_of(request: Request, operation: str = "") -> GuardCall:
    """What a guard is told of `request`."""
    kinds = {ChatRequest: "chat", GenerateRequest: "generate", EmbedRequest: "embed"}
    return GuardCall("req-1", operation or kinds[type(request)], request.model, "somebody", {}, inf)


async def passed(
    guard: Guard, request: Request, call: GuardCall | None = None
) -> Request | Answered | Refused:
    """What `before` makes of `request`, be it a refusal."""
    try:
        return await guard.before(request, call or call_of(request))
    except Refused as error:
        return error


def requests() -> tuple[Request, ...]:
    """What is asked of every guard, and of every selector, as new each time: one may change them."""
    return deepcopy(REQUESTS)


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
