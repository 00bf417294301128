"""Guards and selectors that are wrong in one thing."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from cases import wrong
from pointsman import replace
from pointsman.plugin import (
    Answered,
    ChatRequest,
    ChatResponse,
    Guard,
    Refused,
    Selection,
    SelectorCall,
    TextDelta,
    Usage,
)
from pointsman.testing.contract import GuardContract, SelectorContract

# ── guards ───────────────────────────────────────────────────────────────────────────────────────────


class GuardTests(GuardContract):
    plugin: Any

    def make(self) -> Any:
        return self.plugin()

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Open(Guard):
    """Lets everything through, rightly."""

    tried_by = GuardTests


@wrong("GUARD-02", "What it makes of a request is not awaited.", *(f"GUARD-{n:02d}" for n in range(3, 20)))
class Plain(Open):
    def before(self, request: Any, call: Any, /) -> Any:
        return request


@wrong("GUARD-01", "It has none of the methods of a guard.")
class Idle(Open):
    pass


@wrong("GUARD-01", "Its answers are a generator.", *(f"GUARD-{n:02d}" for n in range(2, 20)))
class Generating(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        yield response


@wrong("GUARD-02", "It lets requests go on as nothing.", *(f"GUARD-{n:02d}" for n in range(3, 20)))
class GivesNothing(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        return None


@wrong("GUARD-02", "It sends requests to another model.")
class OtherModel(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        return replace(request, model="another")


@wrong("GUARD-02", "It answers embeddings with words.", "GUARD-04")
class WordsForVectors(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        return Answered(ChatResponse("no")) if hasattr(request, "texts") else request


@wrong("GUARD-03", "Answers cost nothing behind it.")
class Free(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        return replace(response, usage=Usage())


@wrong("GUARD-03", "It hides who answered.")
class HidesTheOrigin(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        return replace(response, deployment="")


@wrong("GUARD-03", "It forgets to give the answer back.", "GUARD-04", "GUARD-07")
class ForgetsTheAnswer(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        return None


@wrong("GUARD-04", "It adds its own to what the caller gave as extra.")
class Adds(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        if "x" in request.extra:
            request.extra["x"].append(2)
        return request


@wrong("GUARD-04", "It takes tools out of the caller's list.")
class TakesTools(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        if isinstance(getattr(request, "tools", None), list):
            request.tools.clear()
        return request


PLUM = ChatRequest("public", ())


@wrong("GUARD-05", "It lets through what it has to refuse.", "GUARD-01", refused=(PLUM,))
class TooOpen(Open):
    pass


@wrong("GUARD-05", "Its refusal quotes what was asked.", refused=(replace(PLUM, user="plum 7291"),))
class QuotingGuard(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        if getattr(request, "user", None):
            raise Refused(f"{request.user} may not be asked")
        return request


class Hiding(Open):
    """Hides a town in answers, rightly."""

    async def after(self, response: Any, call: Any, /) -> Any:
        return replace(response, text=hidden(response.text)) if hasattr(response, "text") else response

    def stream(self, call: Any, /) -> Any:
        return HidingFilter()


def hidden(text: str) -> str:
    return text.replace("Paris", "*****")


class HidingFilter:
    """Holds back what may be the beginning of the town."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, event: Any, /) -> Any:
        if not isinstance(event, TextDelta):
            return [event]
        whole = hidden(self.held + event.text)
        keep = next((n for n in (4, 3, 2, 1) if whole.endswith("Paris"[:n])), 0)
        self.held = whole[len(whole) - keep :]
        out = whole[: len(whole) - keep]
        return [TextDelta(out)] if out else []

    def end(self) -> Any:
        return [TextDelta(self.held)] if self.held else []


@wrong("GUARD-06", "It looks at each piece of a stream alone.", "GUARD-10")
class PieceByPiece(Hiding):
    def stream(self, call: Any, /) -> Any:
        class Filter(HidingFilter):
            def feed(self, event: Any, /) -> Any:
                return [TextDelta(hidden(event.text))] if isinstance(event, TextDelta) else [event]

        return Filter()


@wrong("GUARD-07", "It looks at whole answers, and lets streams through.")
class WholeOnly(Hiding):
    def stream(self, call: Any, /) -> Any:
        return None


@wrong("GUARD-08", "It gives a stream when all of it is here.")
class HoldsAll(Hiding):
    def stream(self, call: Any, /) -> Any:
        class Filter(HidingFilter):
            def feed(self, event: Any, /) -> Any:
                if not isinstance(event, TextDelta):
                    return [event]
                self.held += event.text
                return []

            def end(self) -> Any:
                return [TextDelta(hidden(self.held))]

        return Filter()


@wrong("GUARD-09", "It knows text, and drops whatever else stands in a stream.")
class TextAlone(Hiding):
    def stream(self, call: Any, /) -> Any:
        class Filter(HidingFilter):
            def feed(self, event: Any, /) -> Any:
                return super().feed(event) if isinstance(event, TextDelta) else []

        return Filter()


@wrong("GUARD-10", "All streams go through one filter.")
class OneFilter(Hiding):
    def __init__(self) -> None:
        self.filter = HidingFilter()

    def stream(self, call: Any, /) -> Any:
        return self.filter


@wrong("GUARD-11", "It thinks about every answer for a while.", alone=True)
class Ponders(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        time.sleep(0.06)  # noqa: ASYNC251 - that is what is wrong
        return response


@wrong("GUARD-12", "It leaves a task at work for every request.")
class Leaves(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))
        return request


@wrong("GUARD-13", "Its repr shows the last request.")
class ShowsRequests(Open):
    last: Any = None

    async def before(self, request: Any, call: Any, /) -> Any:
        self.last = request
        return request

    def __repr__(self) -> str:
        return f"ShowsRequests({self.last!r})"


# ── selectors ────────────────────────────────────────────────────────────────────────────────────────


class SelectorTests(SelectorContract):
    plugin: Any

    def make(self, models: Any, ask: Any) -> Any:
        return self.plugin(models, ask)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Small:
    """Picks the first, rightly."""

    tried_by = SelectorTests

    def __init__(self, models: Any, ask: Any) -> None:
        self.models, self.ask = models, ask

    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return candidates[0].name


@wrong("SELECTOR-02", "Its choice is not awaited.", *(f"SELECTOR-{n:02d}" for n in range(3, 20)))
class PlainChoice(Small):
    def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return candidates[0].name


@wrong(
    "SELECTOR-01", "It does not take the call that it is for.", *(f"SELECTOR-{n:02d}" for n in range(2, 20))
)
class TakesNoCall(Small):
    async def choose(self, request: Any, candidates: Any, /) -> Any:  # type: ignore[override]
        return candidates[0].name


@wrong("SELECTOR-02", "It picks what nobody offered.", *(f"SELECTOR-{n:02d}" for n in range(3, 10)))
class PicksAnother(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return "huge"


@wrong("SELECTOR-02", "It fails where none is ready.")
class NeedsOneReady(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return next(each.name for each in candidates if each.ready) if candidates[0].ready else ""


@wrong("SELECTOR-02", "It knows chats alone.", *(f"SELECTOR-{n:02d}" for n in range(3, 10)))
class ChatsAlone(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return candidates[len(request.messages) % 2].name


@wrong("SELECTOR-03", "Its reason quotes what was asked.")
class QuotesItsReason(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return Selection(candidates[0].name, f"because of {request!r}")


@wrong("SELECTOR-03", "Its reason is what a model answered, which may quote the question.")
class QuotesItsJudge(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        answer = await self.ask(call, "small", [{"role": "user", "content": repr(request)}])
        return Selection(candidates[0].name, answer.text)


@wrong("SELECTOR-04", "It writes into what the caller gave.")
class WritesIntoIt(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        request.extra["chosen"] = True
        return candidates[0].name


@wrong("SELECTOR-05", "It takes whatever the judge says for a name.")
class Gullible(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        return (await self.ask(call, candidates[0].name, "which one?")).text


@wrong("SELECTOR-06", "It asks on behalf of a request that it made up.")
class OnBehalfOfNobody(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        made_up = SelectorCall("req-0", "chat", "auto", "", {}, call.deadline)
        await self.ask(made_up, candidates[0].name, "which one?")
        return candidates[0].name


@wrong("SELECTOR-06", "It asks the model whose selector it is.")
class AsksItself(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        await self.ask(call, call.model, "which one?")
        return candidates[0].name


@wrong("SELECTOR-07", "It thinks about every choice for a while.", alone=True)
class PondersChoices(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        time.sleep(0.06)  # noqa: ASYNC251 - that is what is wrong
        return candidates[0].name


@wrong("SELECTOR-08", "It leaves a task at work for every choice.")
class LeavesTasks(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))
        return candidates[0].name


@wrong("SELECTOR-09", "It keeps the request on itself while it asks.")
class SharesItsRequest(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        self.request = request
        await self.ask(call, candidates[0].name, "which one?")
        return candidates[1 if hasattr(self.request, "texts") else 0].name
