"""Providers that take answers for something else than they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, ClassVar

from toys import Toy, ToyDecoder, ToyFramer, as_object

from cases import wrong
from pointsman import replace
from pointsman.plugin import (
    Answer,
    BadResponse,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    Finished,
    GenerateRequest,
    InvalidRequest,
    Message,
    ModelInfo,
    RateLimited,
    SseEvent,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    Unavailable,
    Usage,
    UsageUpdate,
    json_or_none,
)
from pointsman.testing.contract import CannedChat

# ── what an answer says ──────────────────────────────────────────────────────────────────────────────


@wrong("PROVIDER-11", "It strips the text of a whole answer of what it costs.", "PROVIDER-43")
class LosesUsage(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return replace(await super().chat(request, call), usage=Usage())


@wrong("PROVIDER-11", "It swaps the tokens of the prompt and of the answer in whole answers.", "PROVIDER-43")
class SwapsUsage(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        said = await super().chat(request, call)
        return replace(said, usage=Usage(said.usage.completion, said.usage.prompt))


@wrong("PROVIDER-13", "A stream does not say why it ends.", "PROVIDER-39", "PROVIDER-43")
class LosesTheEnd(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [each for each in super().decode(frame) if not isinstance(each, Finished)]


@wrong("PROVIDER-13", "A stream does not say what it costs.", "PROVIDER-43")
class CountsNoStreams(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [each for each in super().decode(frame) if not isinstance(each, UsageUpdate)]


@wrong("PROVIDER-13", "Each piece of a stream holds all of the text before it.", "PROVIDER-43", "PROVIDER-30")
class Repeats(Toy):
    class decoder(ToyDecoder):
        text = ""

        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            events = []
            for each in super().decode(frame):
                if isinstance(each, TextDelta):
                    self.text += each.text
                    each = TextDelta(self.text)
                events.append(each)
            return events


@wrong("PROVIDER-13", "It counts the calls of tools from 1.", "PROVIDER-43")
class CountsFromOne(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [
                replace(each, index=each.index + 1) if isinstance(each, ToolCallDelta) else each
                for each in super().decode(frame)
            ]


@wrong("PROVIDER-13", "All calls of tools have one id.", "PROVIDER-43")
class OneId(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [
                replace(each, id="c1") if isinstance(each, ToolCallDelta) else each
                for each in super().decode(frame)
            ]


@wrong("PROVIDER-13", "It gives pieces of text that have none.", "PROVIDER-43", "PROVIDER-16")
class EmptyPieces(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            return [TextDelta(""), *super().decode(frame)]


@wrong("PROVIDER-39", "An answer that was filtered has ended well.")
class NeverFiltered(Toy):
    def reason(self, value: dict[str, Any]) -> Any:
        found = super().reason(value)
        return "stop" if found == "content_filter" else found


@wrong("PROVIDER-39", "Every end that it does not know is a good one.")
class AllIsWell(Toy):
    def reason(self, value: dict[str, Any]) -> Any:
        found = super().reason(value)
        return "stop" if found == "other" else found


@wrong("PROVIDER-39", "Every end of a stream that it does not know is a good one.")
class AllStreamsAreWell(Toy):
    class decoder(ToyDecoder):
        def finished(self, line: dict[str, Any]) -> Finished:
            end = super().finished(line)
            return Finished("stop") if end.finish_reason == "other" else end


@wrong(
    "PROVIDER-39",
    "It hands the upstream's word on as if it were one of ours.",
    "PROVIDER-38",
    "PROVIDER-11",
    "PROVIDER-43",
    "PROVIDER-40",
)
class TheirWords(Toy):
    def reason(self, value: dict[str, Any]) -> Any:
        return value["why"]


@wrong("PROVIDER-43", "What a call cost is remembered for the next one that does not say.")
class RemembersUsage(Toy):
    last = Usage()

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        said = await super().chat(request, call)
        self.last = said.usage if said.usage.total else self.last
        return replace(said, usage=self.last)


# ── completions and vectors ──────────────────────────────────────────────────────────────────────────


@wrong("PROVIDER-40", "Plain completions always end well.")
class CompletesWell(Toy):
    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        return replace(await super().generate(request, call), finish_reason="stop")


@wrong("PROVIDER-40", "It repeats the prompt before what goes on from it.")
class Echoing(Toy):
    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        said = await super().generate(request, call)
        return replace(said, text=request.prompt + said.text)


class OtherVectors(Toy):
    def changed(self, vectors: list[Any]) -> list[Any]:
        return vectors

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        said = await super().embed(request, call)
        return replace(said, vectors=self.changed(list(said.vectors)))


@wrong("PROVIDER-41", "It gives the vectors from the last to the first.")
class VectorsBackwards(OtherVectors):
    def changed(self, vectors: list[Any]) -> list[Any]:
        return vectors[::-1]


@wrong("PROVIDER-41", "It makes whole numbers of them.")
class WholeNumbers(OtherVectors):
    def changed(self, vectors: list[Any]) -> list[Any]:
        return [[int(each) for each in vector] for vector in vectors]


@wrong("PROVIDER-41", "It gives the first vector alone.")
class OneVector(OtherVectors):
    def changed(self, vectors: list[Any]) -> list[Any]:
        return vectors[:1]


@wrong("PROVIDER-41", "Vectors cost nothing.")
class FreeVectors(Toy):
    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        return replace(await super().embed(request, call), usage=Usage())


@wrong("PROVIDER-42", "It does not look how many vectors there are.")
class TrustsTheCount(Toy):
    def vectors(self, value: dict[str, Any], request: EmbedRequest) -> EmbedResponse:
        vectors = value.get("vectors")
        count = len(vectors) if isinstance(vectors, list) else 1
        return super().vectors(value, replace(request, texts=("",) * count))


@wrong("PROVIDER-42", "It pads vectors that are too few.")
class Pads(Toy):
    def vectors(self, value: dict[str, Any], request: EmbedRequest) -> EmbedResponse:
        vectors = value.get("vectors")
        if isinstance(vectors, list) and vectors and isinstance(vectors[0], list):
            missing = len(request.texts) - len(vectors)
            value = {**value, "vectors": [*vectors, *[vectors[0]] * max(0, missing)]}
        return super().vectors(value, request)


@wrong("PROVIDER-42", "It does not look whether vectors are as long as was asked for.")
class AnyLength(Toy):
    def vectors(self, value: dict[str, Any], request: EmbedRequest) -> EmbedResponse:
        return super().vectors(value, replace(request, dimensions=None))


# ── what is no answer ────────────────────────────────────────────────────────────────────────────────


class OtherErrors(Toy):
    other: ClassVar[dict[int, type[CallError]]] = {}

    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        kind = self.other.get(answer.status)
        found = super().error_of(answer, content, model=model)
        return found if kind is None else kind(found.message, status=answer.status)


@wrong("PROVIDER-44", "A refused credential is an invalid request.")
class BlamesTheCaller(OtherErrors):
    other: ClassVar = {401: InvalidRequest}


@wrong("PROVIDER-44", "An upstream that waited too long is one that counts too many requests.")
class SlowIsMuch(OtherErrors):
    other: ClassVar = {408: RateLimited}


@wrong("PROVIDER-44", "A request that is too large may be sent again.")
class LargeIsDown(OtherErrors):
    other: ClassVar = {413: Unavailable}


@wrong("PROVIDER-44", "A list of models that may not be seen is one that is not there.")
class ModelsAreDown(Toy):
    async def models(self) -> Sequence[ModelInfo]:
        try:
            return await super().models()
        except CallError as error:
            raise Unavailable(error.message, status=error.status) from error


@wrong("PROVIDER-45", "An answer without text is one that says nothing.")
class EmptyIsFine(Toy):
    def response(self, value: dict[str, Any]) -> ChatResponse:
        return super().response({"text": "", "why": "end", **value})


@wrong("PROVIDER-45", "A list of models that is none is an empty one.")
class NoModels(Toy):
    def ids(self, value: Any) -> list[str]:
        return super().ids(value) if isinstance(value, dict) and "models" in value else []


@wrong(
    "PROVIDER-45",
    "It asks an answer for its text that may be anything.",
    *(f"PROVIDER-{n}" for n in ("06", "12", "22", "25", "59")),
)
class TrustsTheShape(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        _, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        return self.response(json_or_none(content))

    def response(self, value: Any) -> ChatResponse:
        value.get("text")
        return super().response(value)


@wrong("PROVIDER-45", "It reads deep answers with what gives up at a depth of a thousand.")
class NotDeep(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        _, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        try:
            value = json.loads(content)
        except ValueError:
            value = None
        return self.response(as_object(value))


@wrong("PROVIDER-45", "Vectors that are none are as many as were asked for.", "PROVIDER-25")
class NoVectors(Toy):
    def vectors(self, value: dict[str, Any], request: EmbedRequest) -> EmbedResponse:
        if "vectors" not in value:
            return EmbedResponse([[0.0]] * len(request.texts))
        return super().vectors(value, request)


@wrong("PROVIDER-45", "A list of models that cannot be read ends with an error of Python's.", "PROVIDER-25")
class ModelsOfAnything(Toy):
    def ids(self, value: Any) -> list[str]:
        return [str(each) for each in value["models"]]


@wrong("PROVIDER-46", "It follows where an upstream sends it.")
class Follows(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except CallError as error:
            if error.status is None or not 300 <= error.status < 400:
                raise
            return await super().chat(request, call)


@wrong("PROVIDER-47", "It gives a whole answer an hour.", "PROVIDER-24")
class Patient(Toy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        given = replace(call.timeouts, deadline=call.timeouts.deadline + 3600)
        return await super().fetch(path, body, replace(call, timeouts=given), **more)


@wrong("PROVIDER-47", "It waits for the list of models until it comes.")
class PatientModels(Toy):
    management_seconds = 86_400.0


# ── how a stream ends ────────────────────────────────────────────────────────────────────────────────


@wrong("PROVIDER-15", "A stream that ends early has ended.", *(f"PROVIDER-{n}" for n in (16, 22, 45)))
class EndsAnyhow(Toy):
    class decoder(ToyDecoder):
        def close(self) -> Sequence[StreamEvent]:
            self.done = True
            return [Finished("stop")]


@wrong(
    "PROVIDER-12",
    "An answer that breaks off is as much as came.",
    "PROVIDER-43",
    "PROVIDER-45",
    "PROVIDER-25",
)
class Mends(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        _, content = await self.fetch("/chat", self.body(request, call, stream=False), call)
        value = json_or_none(content)
        if value is None and content.startswith(b'{"text":"') and len(content) > 12:
            value = {"text": content[9:].decode("utf-8", "replace"), "why": "cut"}
        return self.response(as_object(value))


@wrong(
    "PROVIDER-14",
    "It takes each read for a whole number of lines.",
    *(f"PROVIDER-{n}" for n in (15, 17, 29, 30)),
)
class CutsLines(Toy):
    class framer(ToyFramer):
        def feed(self, data: bytes, /) -> list[SseEvent]:
            return [SseEvent("", line) for line in data.split(b"\n") if line.endswith(b"}")]


@wrong("PROVIDER-17", "It reads on after the end.", "PROVIDER-13")
class ReadsOn(Toy):
    class decoder(ToyDecoder):
        seen = False

        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            events = super().decode(frame)
            self.seen, self.done = self.seen or self.done, False
            return events

        def close(self) -> Sequence[StreamEvent]:
            return () if self.seen else super().close()


@wrong("PROVIDER-19", "A failure that the upstream reports in a stream is the end of it.", "PROVIDER-15")
class EndsWithFailures(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: SseEvent, /) -> Sequence[StreamEvent]:
            try:
                return super().decode(frame)
            except Unavailable:
                self.done = True
                return [Finished("error")]


@wrong(
    "PROVIDER-07",
    "It refuses too late: when the upstream has been paid.",
    "PROVIDER-31",
    unsupported=(ChatRequest("public", (Message.user("hello"),), top_k=3),),
)
class RefusesTooLate(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return super().body(replace(request, top_k=None), call, stream=stream)

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        said = await super().chat(request, call)
        self.takes_only(
            request, "temperature", "top_p", "max_tokens", "seed", "stop", "tools", "images", "extra"
        )
        return said


@wrong(
    "PROVIDER-08",
    "It lists the models in alphabetical order, and not in that of the upstream.",
    "PROVIDER-57",
)
class SortsModels(Toy):
    def ids(self, value: Any) -> list[str]:
        return sorted(super().ids(value))


@wrong("PROVIDER-16", "It asks for a line end after the end, and loses what came before.", "PROVIDER-15")
class NeedsTheLineEnd(Toy):
    class decoder(ToyDecoder):
        def close(self) -> Sequence[StreamEvent]:
            raise BadResponse("the answer ended early")


@wrong("PROVIDER-21", "A page of a proxy is no failure of the upstream.", "PROVIDER-44")
class BlamesPages(Toy):
    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        if content.startswith(b"<html"):
            return InvalidRequest("what is this", status=answer.status)
        return super().error_of(answer, content, model=model)


LONG = CannedChat(body=b'{"text":"%s","why":"end"}' % (b"long " * 20), text="long " * 20)


@wrong("PROVIDER-38", "It cuts long answers.", "PROVIDER-43", more_ok=(LONG,))
class CutsAnswers(Toy):
    def response(self, value: dict[str, Any]) -> ChatResponse:
        said = super().response(value)
        return replace(said, text=said.text[:60])


@wrong(
    "PROVIDER-27",
    "It reads an answer on behind the back of whoever gave it up.",
    "PROVIDER-26",
    "PROVIDER-52",
)
class ReadsBehind(Toy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        answer = await self.send(path, body, call, timely=False)
        if path != "/chat":
            return answer, await answer.read()
        return answer, await asyncio.shield(asyncio.ensure_future(answer.read()))
