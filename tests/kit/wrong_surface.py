"""Surfaces that are wrong in one thing, and what all of them are wrong variants of."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from cases import wrong
from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    GenerateRequest,
    InvalidRequest,
    Message,
    ProblemDetails,
    Route,
    StreamEvent,
    Surface,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
    Writer,
    replace,
)
from pointsman.testing import SurfaceHost
from pointsman.testing.contract import CannedAsk, SurfaceContract

WHOLE = {"model": "small-7f", "question": "Is it raining?"}
NEEDS_NONE = tuple(f"SURFACE-{n:02d}" for n in range(3, 15))
"""What nobody can try of one that cannot be made."""
_FAULTS = {"overloaded": 503, "upstream": 502, "timeout": 504, "internal": 500}


class SurfaceTests(SurfaceContract):
    plugin: Any
    asks = (
        CannedAsk(path="/ask", body=json.dumps(WHOLE).encode(), model="small-7f", text="raining?"),
        CannedAsk(
            path="/ask",
            body=json.dumps({**WHOLE, "stream": True}).encode(),
            model="small-7f",
            text="raining?",
            stream=True,
        ),
    )

    def make(self, host: SurfaceHost) -> Any:
        return host.make(SurfaceFactory("toy", None, self.plugin))

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Lines(Writer):
    """An answer as lines of JSON."""

    content_type = "application/json"
    stream_type = "application/x-ndjson"

    def whole(self, answer: Any) -> bytes:
        return json.dumps({"answer": answer.text}).encode()

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        return b"".join(json.dumps({"piece": each.text}).encode() + b"\n" for each in events if each.text)

    def failure(self, problem: ProblemDetails) -> bytes:
        return json.dumps({"error": problem.message}).encode() + b"\n"

    def heartbeat(self) -> bytes:
        return b"\n"


class Asks(Surface):
    """Takes questions and lists models, rightly."""

    tried_by = SurfaceTests
    writer: type[Writer] = Lines

    def __init__(self, context: SurfaceContext) -> None:
        self.context = context

    def routes(self) -> Sequence[Any]:
        return [Route("POST", "/ask", self.ask), Route("GET", "/models", self.models)]

    async def ask(self, asked: SurfaceRequest) -> Any:
        return await self.context.calls.answer(asked, self.understood(json.loads(asked.body)))

    def understood(self, body: dict[str, Any]) -> Understood:
        model, question = body.get("model"), body.get("question")
        if not isinstance(model, str) or not isinstance(question, str):
            raise InvalidRequest("a question and the model that is asked are texts")
        request = ChatRequest(model, (Message.user(question),))
        return Understood(request, self.writer(), stream=body.get("stream") is True)

    async def models(self, asked: SurfaceRequest) -> WholeReply:
        names = [each.name for each in self.context.catalogue.listed(asked.caller)]
        return WholeReply(200, json.dumps(names).encode())

    def problem(self, problem: ProblemDetails) -> WholeReply:
        said = json.dumps({"error": problem.message}).encode()
        return WholeReply(_FAULTS.get(problem.kind, 400), said)


@wrong("SURFACE-01", "Its routes are awaited.", "SURFACE-02", *NEEDS_NONE)
class AwaitedRoutes(Asks):
    async def routes(self) -> Any:  # type: ignore[override]
        return []


@wrong(
    "SURFACE-01",
    "What it says of problems is nobody's.",
    "SURFACE-03",
    "SURFACE-04",
    "SURFACE-09",
    "SURFACE-10",
)
class NoProblems(Asks):
    problem = Surface.problem


@wrong("SURFACE-02", "It has two routes for one thing.")
class Twice(Asks):
    def routes(self) -> Sequence[Any]:
        return [*super().routes(), Route("GET", "/models", self.models)]


@wrong("SURFACE-02", "Its path has no slash.", *NEEDS_NONE)
class NoSlash(Asks):
    def routes(self) -> Sequence[Any]:
        return [Route("POST", "ask", self.ask)]


@wrong("SURFACE-03", "It says 200 whatever is wrong.")
class AlwaysWell(Asks):
    def problem(self, problem: ProblemDetails) -> WholeReply:
        return replace(super().problem(problem), status=200)


@wrong("SURFACE-03", "It says that it is broken when the caller has no key.")
class Blames(Asks):
    def problem(self, problem: ProblemDetails) -> WholeReply:
        status = 500 if problem.kind == "authentication" else super().problem(problem).status
        return replace(super().problem(problem), status=status)


@wrong("SURFACE-04", "It keeps the reason to itself.")
class Silent(Asks):
    def problem(self, problem: ProblemDetails) -> WholeReply:
        return replace(super().problem(problem), body=b'{"error": "no"}')


@wrong("SURFACE-04", "It puts reasons between quotes by hand.")
class ByHand(Asks):
    def problem(self, problem: ProblemDetails) -> WholeReply:
        said = f'{{"error": "{problem.message}"}}'.encode("utf-8", "replace")
        return replace(super().problem(problem), body=said)


@wrong("SURFACE-05", "It asks another model.")
class OtherModel(Asks):
    def understood(self, body: dict[str, Any]) -> Understood:
        made = super().understood(body)
        return replace(made, request=replace(made.request, model="large-9c"))


@wrong("SURFACE-05", "It asks something else.")
class Deaf(Asks):
    def understood(self, body: dict[str, Any]) -> Understood:
        made = super().understood(body)
        return replace(made, request=GenerateRequest(made.request.model, "Hello"))


@wrong("SURFACE-05", "It never streams.", "SURFACE-06")
class NeverStreams(Asks):
    def understood(self, body: dict[str, Any]) -> Understood:
        return replace(super().understood(body), stream=False)


@wrong("SURFACE-06", "It answers with nothing.", "SURFACE-07")
class Mute(Asks):
    class writer(Lines):
        def whole(self, answer: Any) -> bytes:
            return b'{"answer": ""}'

        def events(self, events: Sequence[StreamEvent]) -> bytes:
            return b""


@wrong("SURFACE-07", "It writes the last of what came together.", "SURFACE-06")
class LastOnly(Asks):
    class writer(Lines):
        def events(self, events: Sequence[StreamEvent]) -> bytes:
            return super().events([each for each in events if each.text][-1:])


@wrong("SURFACE-08", "It says nothing of a failure.")
class EndsQuietly(Asks):
    class writer(Lines):
        def failure(self, problem: ProblemDetails) -> bytes:
            return b'{"done": true}\n'


@wrong("SURFACE-09", "It believes what it is sent.")
class Believes(Asks):
    def understood(self, body: dict[str, Any]) -> Understood:
        request = ChatRequest(body["model"], (Message.user(body["question"].strip()),))
        return Understood(request, self.writer(), stream=body.get("stream") is True)


@wrong("SURFACE-10", "It says 200 when a model cannot answer.")
class Optimist(Asks):
    async def ask(self, asked: SurfaceRequest) -> Any:
        reply = await super().ask(asked)
        return replace(reply, status=200)


@wrong("SURFACE-11", "It tells callers their keys.")
class Echoes(Asks):
    async def models(self, asked: SurfaceRequest) -> WholeReply:
        return WholeReply(200, json.dumps(dict(asked.headers)).encode())


@wrong("SURFACE-12", "It lists all models for everybody.")
class ListsAll(Asks):
    async def models(self, asked: SurfaceRequest) -> WholeReply:
        everybody = replace(asked.caller, models=None)
        return await super().models(replace(asked, caller=everybody))


@wrong("SURFACE-13", "It leaves a task behind.")
class Leaves(Asks):
    async def models(self, asked: SurfaceRequest) -> WholeReply:
        self.task = asyncio.get_running_loop().create_task(asyncio.sleep(3600))
        return await super().models(asked)


@wrong("SURFACE-14", "It waits on the loop.")
class Blocks(Asks):
    def understood(self, body: dict[str, Any]) -> Understood:
        time.sleep(0.15)
        return super().understood(body)


class Prompts(Asks):
    """What is asked is a plain prompt."""

    def understood(self, body: dict[str, Any]) -> Understood:
        made = super().understood(body)
        return replace(made, request=GenerateRequest(body["model"], body["question"]))


class Joins(Lines):
    """Whatever one read brought goes out as one line, and the whole answer at the end."""

    def events(self, events: Sequence[StreamEvent]) -> bytes:
        text = "".join(each.text for each in events)
        last = [
            each.response.text for each in events if isinstance(getattr(each, "response", 0), ChatResponse)
        ]
        lines = [{"piece": text}] if text else []
        return b"".join(json.dumps(each).encode() + b"\n" for each in [*lines, *({"all": t} for t in last)])
