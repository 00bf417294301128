"""Providers that answer well, and do something beside it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
import urllib.request
from collections.abc import Sequence
from typing import Any, ClassVar

import httpx
from hand import Hand
from pydantic import BaseModel, ConfigDict
from toys import Toy, ToyDecoder, ToyFramer, ToySettings

from cases import leave_a_thread, wrong
from pointsman.plugin import (
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    Endpoint,
    EventStream,
    ModelInfo,
    ProviderContext,
    ProviderFactory,
    RateLimited,
    StreamEvent,
    Unavailable,
    bearer,
    error_for_status,
)

# ── retries, waits, cancellation ─────────────────────────────────────────────────────────────────────


@wrong("PROVIDER-22", "It asks once more when an upstream fails.")
class Retries(Toy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        try:
            return await super().fetch(path, body, call, **more)
        except Unavailable:
            return await super().fetch(path, body, call, **more)


@wrong("PROVIDER-50", "It waits as long as an upstream that counts requests says.")
class WaitsAsTold(Toy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        try:
            return await super().fetch(path, body, call, **more)
        except RateLimited as error:
            await asyncio.sleep(error.retry_after or 0)
            raise


@wrong("PROVIDER-50", "It keeps a distance between its calls.", "PROVIDER-26")
class Spaced(Toy):
    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        await asyncio.sleep(0.2)
        return await super().stream(request, call)


@wrong("PROVIDER-26", "What ends a call becomes a failure of the upstream.", "PROVIDER-27", "PROVIDER-52")
class Swallows(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except asyncio.CancelledError:
            raise Unavailable("something went wrong") from None


@wrong(
    "PROVIDER-26", "It puts its own cancellation in the place of the caller's.", "PROVIDER-27", "PROVIDER-52"
)
class Replaces(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except asyncio.CancelledError:
            raise asyncio.CancelledError("of my own") from None


@wrong("PROVIDER-26", "It goes on behind a shield when nobody waits any more.", "PROVIDER-27", "PROVIDER-52")
class Shields(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return await asyncio.shield(asyncio.ensure_future(super().chat(request, call)))


class Wrapped:
    """A stream that hands everything on."""

    upstream_request_id = ""

    def __init__(self, source: Any) -> None:
        self.source = source

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        return await self.source.next(until)

    def abort(self) -> None:
        self.source.abort()

    async def aclose(self) -> None:
        await self.source.aclose()


class Wrapping(Toy):
    wrapped: ClassVar[type[Wrapped]] = Wrapped

    async def stream(self, request: ChatRequest, call: Call) -> Any:
        return self.wrapped(await super().stream(request, call))


@wrong("PROVIDER-28", "It takes a cancelled stream for one that has ended.", "PROVIDER-52")
class DeafStreams(Wrapping):
    class wrapped(Wrapped):
        async def next(self, until: float) -> Sequence[StreamEvent] | None:
            try:
                return await super().next(until)
            except asyncio.CancelledError:
                return None


@wrong("PROVIDER-29", "It keeps the connection of a stream that is aborted.", "PROVIDER-28", "PROVIDER-56")
class KeepsConnections(Wrapping):
    class wrapped(Wrapped):
        def abort(self) -> None: ...


@wrong("PROVIDER-56", "Its streams are closed once, and fail the second time.")
class ClosedOnce(Wrapping):
    class wrapped(Wrapped):
        closed = False

        async def aclose(self) -> None:
            if self.closed:
                raise RuntimeError("closed before")
            self.closed = True
            await super().aclose()


@wrong("PROVIDER-56", "Its streams have no id of the upstream's.")
class NoId(Wrapping):
    class wrapped(Wrapped):
        upstream_request_id = None


@wrong("PROVIDER-56", "A stream is aborted by what nobody awaits.", "PROVIDER-28", "PROVIDER-29")
class AsyncAbort(Wrapping):
    class wrapped(Wrapped):
        async def abort(self) -> None:  # type: ignore[override]
            self.source.abort()


@wrong("PROVIDER-18", "It gives a stream an hour between two signs of life.")
class PatientStreams(Wrapping):
    class wrapped(Wrapped):
        async def next(self, until: float) -> Sequence[StreamEvent] | None:
            return await super().next(until + 3600)


# ── what is kept, changed, opened, delayed ───────────────────────────────────────────────────────────


@wrong("PROVIDER-48", "It takes its own out of what the caller gave as extra.")
class TakesOut(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        request.extra.pop("a", None)
        return body


@wrong("PROVIDER-48", "It closes the schemas of tools for good.")
class ClosesSchemas(Toy):
    def tool(self, tool: Any) -> dict[str, Any]:
        tool.parameters["additionalProperties"] = False
        return super().tool(tool)


@wrong("PROVIDER-48", "It takes the system's words out of the list that the caller goes on with.")
class ShortensTheList(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if isinstance(request.messages, list) and request.messages[0].role == "system":
            del request.messages[0]
        return body


@wrong("PROVIDER-48", "It writes into the options of the deployment.")
class WritesOptions(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        call.options["seen"] = True  # type: ignore[index]
        return super().body(request, call, stream=stream)


@wrong("PROVIDER-49", "It stops the loop for 60 ms with every call.", alone=True)
class Blocks(Toy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        if path == "/chat":
            time.sleep(0.06)  # noqa: ASYNC251 - that is what is wrong
        return await super().fetch(path, body, call, **more)


@wrong("PROVIDER-49", "It stops the loop for 60 ms with every failure.", alone=True)
class BlocksOnFailures(Toy):
    def error_of(self, *given: Any, **more: Any) -> CallError:
        if given[0].status == 429:
            time.sleep(0.06)
        return super().error_of(*given, **more)


@wrong("PROVIDER-51", "It counts its calls at a server of its own.", "PROVIDER-59")
class PhonesHome(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        with contextlib.suppress(OSError), socket.socket() as home:
            home.connect(("127.0.0.1", 9))
        return await super().chat(request, call)


@wrong(
    "PROVIDER-51",
    "It asks for the list of models with a client of its own.",
    alone=True,
)
class OwnClient(Toy):
    async def models(self) -> Sequence[ModelInfo]:
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                await client.get(f"{self.endpoint.base_url}/models", timeout=0.1)
            except httpx.HTTPError as error:
                raise Unavailable("no models") from error
        return await super().models()


@wrong(
    "PROVIDER-51",
    "It sends chats in a thread, with what Python brings along.",
    alone=True,
)
class OwnThread(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.body(request, call, stream=False)

        def ask() -> bytes:
            with urllib.request.urlopen(f"{self.endpoint.base_url}/chat", timeout=0.1) as answer:
                return answer.read()

        try:
            return ChatResponse(text=ask().decode())
        except OSError as error:
            raise Unavailable("not there") from error


@wrong("PROVIDER-52", "It starts a task with its first call, and never ends it.")
class LeavesATask(Toy):
    task: Any = None

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.task = self.task or asyncio.create_task(asyncio.sleep(86_400))
        return await super().chat(request, call)


@wrong("PROVIDER-52", "It starts a thread with its first call, and never ends it.", alone=True)
class LeavesAThread(Toy):
    pooled = False

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        if not self.pooled:
            leave_a_thread()
            self.pooled = True
        return await super().chat(request, call)

    async def aclose(self) -> None:
        await super().aclose()


@wrong("PROVIDER-53", "It keeps all that was asked, for somebody who looks into it.")
class KeepsRequests(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.asked: list[ChatRequest] = []

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.asked.append(request)
        return await super().chat(request, call)


@wrong("PROVIDER-53", "It keeps what is under way by its id, and forgets to forget what fails.")
class KeepsFailures(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.under_way: dict[str, Any] = {}

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.under_way[call.request_id] = request
        return await super().chat(request, call)


@wrong("PROVIDER-54", "It fails when it is closed twice.")
class ClosedTwice(Toy):
    async def aclose(self) -> None:
        await super().aclose()
        del self.closed

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.closed = False


@wrong("PROVIDER-54", "Whoever asks it when it has closed gets an error of Python's.")
class GoneWhenClosed(Toy):
    async def aclose(self) -> None:
        await super().aclose()
        self.name_of = None

    name_of: Any = staticmethod(str)

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.name_of(call.model)
        return await super().chat(request, call)


@wrong("PROVIDER-55", "It keeps the request on itself while it writes the body.")
class SharesTheRequest(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.request = request
        await asyncio.sleep(0)
        return await super().chat(self.request, call)


@wrong("PROVIDER-30", "All its streams go through one framer.", *(f"PROVIDER-{n}" for n in (15, 16, 18, 43)))
class OneFramer(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        framer = ToyFramer()
        self.framer = lambda: framer


@wrong("PROVIDER-30", "It keeps the answer on itself while it reads it.", "PROVIDER-25")
class SharesTheAnswer(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        self.said = await super().chat(request, call)
        await asyncio.sleep(0)
        return self.said


@wrong("PROVIDER-57", "It adds the models to those of the last time.")
class AddsModels(Toy):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.known: list[ModelInfo] = []

    async def models(self) -> Sequence[ModelInfo]:
        self.known += await super().models()
        return list(self.known)


@wrong("PROVIDER-57", "Its list of models is one that callers share.")
class OneList(Toy):
    known: Any = None

    async def models(self) -> Sequence[ModelInfo]:
        found = list(await super().models())
        if self.known is None:
            self.known = found
            return found
        self.known.reverse()
        return self.known


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────


class Knowing(Toy):
    """Has its credential at hand."""

    def key(self) -> str:
        secret = self.context.auth.current()
        return secret.reveal() if secret is not None else ""


@wrong("PROVIDER-06", "Its repr shows the credential.")
class Shows(Knowing):
    def __repr__(self) -> str:
        return f"Shows({self.key()})"


@wrong("PROVIDER-06", "The error of a refused credential quotes it.", "PROVIDER-58")
class Quotes(Knowing):
    def error_of(self, *given: Any, **more: Any) -> CallError:
        error = super().error_of(*given, **more)
        return replace_message(error, f"{error.message} with {self.key()}") if error.status == 401 else error


@wrong("PROVIDER-06", "It notes the credential on errors.")
class Notes(Knowing):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except CallError as error:
            error.add_note(f"asked with {self.key()}")
            raise


@wrong("PROVIDER-06", "What stands behind its errors holds the credential.")
class Chains(Knowing):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except CallError as error:
            raise error from ValueError(self.key())


@wrong("PROVIDER-06", "It logs what it sends.", "PROVIDER-59", "PROVIDER-53")
class Logs(Toy):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().body(request, call, stream=stream)
        if stream:
            self.context.log.debug("sending %s", body)
        return body


@wrong("PROVIDER-06", "An error quotes the prompt.")
class QuotesThePrompt(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        try:
            return await super().chat(request, call)
        except CallError as error:
            raise replace_message(error, f"cannot answer {request.messages[-1].text}") from error


@wrong("PROVIDER-05", "It sends the credential in the body, too.")
class KeyInTheBody(Knowing):
    def body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**super().body(request, call, stream=stream), "key": self.key()}


@wrong("PROVIDER-05", "It sends the credential in a second header.", "PROVIDER-58")
class KeyInTwoHeaders(Knowing):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        return await super().fetch(path, body, call, headers={"x-key": self.key()})


@wrong("PROVIDER-05", "It sends the credential in the address.", "PROVIDER-58")
class KeyInTheAddress(Knowing):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        return await super().fetch(f"{path}?key={self.key()}", body, call, **more)


@wrong("PROVIDER-58", "It asks for models with the credential in the address.")
class KeyInTheListing(Knowing):
    async def models(self) -> Sequence[ModelInfo]:
        value = await self.manage("GET", f"/models?key={self.key()}")
        return [ModelInfo(each, self.name) for each in self.ids(value)]


@wrong("PROVIDER-58", "An error of its list of models quotes the credential.")
class QuotesWithModels(Knowing):
    async def models(self) -> Sequence[ModelInfo]:
        try:
            return await super().models()
        except CallError as error:
            raise replace_message(error, f"no models with {self.key()}") from error


@wrong("PROVIDER-58", "An error of a completion quotes the prompt.")
class QuotesWithCompletions(Toy):
    async def generate(self, request: Any, call: Call) -> ChatResponse:
        try:
            return await super().generate(request, call)
        except CallError as error:
            raise replace_message(error, f"cannot go on from {request.prompt}") from error


@wrong("PROVIDER-59", "It prints what it is asked.")
class Prints(Toy):
    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        print(len(request.messages))
        return await super().chat(request, call)


class KeyedSettings(ToySettings):
    api_key: str = ""


@wrong(
    "PROVIDER-60",
    "The credential of its settings is a text like any other.",
    factory=ProviderFactory("toy", KeyedSettings, Toy),
)
class PlainKey(Toy):
    pass


class LooseSettings(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class ShowingSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")


@wrong(
    "PROVIDER-02",
    "It takes settings that it does not know.",
    "PROVIDER-03",
    factory=ProviderFactory("toy", LooseSettings, Toy),
)
class Loose(Toy):
    pass


@wrong(
    "PROVIDER-03",
    "It shows what it refuses of settings.",
    factory=ProviderFactory("toy", ShowingSettings, Toy),
)
class Showing(Toy):
    pass


def replace_message(error: CallError, message: str) -> CallError:
    error.args = (message,)
    return error


# ── by hand ──────────────────────────────────────────────────────────────────────────────────────────


@wrong("PROVIDER-04", "It leaves out the ids of the request.", "PROVIDER-55", "PROVIDER-30")
class Anonymous(Hand):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Any:
        body = self.body(request, call, stream=stream)
        answer = await call.client.send("POST", "/chat", body, timeouts=call.timeouts, stream=stream)
        await self.check(answer)
        return answer


@wrong("PROVIDER-24", "It gives each call an hour, whatever the caller says.", "PROVIDER-47")
class OwnTime(Hand):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Any:
        body = self.body(request, call, stream=stream)
        client = call.client
        answer = await client.send("POST", "/chat", body, timeouts=client.within(3600), headers=call.headers)
        await self.check(answer)
        return answer


@wrong("PROVIDER-20", "It leaves the answers of refusals open.", "PROVIDER-44", "PROVIDER-25")
class LeavesOpen(Hand):
    async def check(self, answer: Any) -> None:
        if answer.status >= 400:
            raise error_for_status(answer.status, answer.headers, "", wall=0)


@wrong("PROVIDER-10", "It does not close the client that it opened.", "PROVIDER-52")
class LeavesItsClient(Hand):
    async def aclose(self) -> None: ...


@wrong("PROVIDER-09", "It is always well.")
class AlwaysWell(Hand):
    async def probe(self) -> None: ...


@wrong("PROVIDER-01", "It needs a loop to be made.", *(f"PROVIDER-{n}" for n in ("06",)))
class NeedsALoop(Hand):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.made_at = context.clock.now()


@wrong("PROVIDER-01", "It looks for its upstream when it is made.", *(f"PROVIDER-{n}" for n in ("51",)))
class LooksWhenMade(Hand):
    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        with contextlib.suppress(OSError), socket.socket() as upstream:
            upstream.connect(("127.0.0.1", 9))


@wrong("PROVIDER-23", "A connection that was refused is an upstream that failed.")
class AllTheSame(Hand):
    async def post(self, request: ChatRequest, call: Call, *, stream: bool) -> Any:
        from pointsman.plugin import ConnectionFailed

        try:
            return await super().post(request, call, stream=stream)
        except ConnectionFailed as error:
            raise Unavailable("it failed") from error


@wrong("PROVIDER-04", "It sends to the address that it has by heart.")
class ByHeart(Toy):
    def make_endpoint(self) -> Endpoint:
        return Endpoint("http://toys.test", authorize=bearer)


@wrong(
    "PROVIDER-25",
    "It finds an error of Python's in a stream.",
    *(f"PROVIDER-{n:02d}" for n in (6, 14, 15, 19, 43, 45)),
    # Each is found by one of 16: of 60 every fortieth run found none.
    examples=300,
)
class TrustsStreams(Toy):
    class decoder(ToyDecoder):
        def decode(self, frame: Any, /) -> Sequence[StreamEvent]:
            import json

            json.loads(frame.data)[
                "text" if b"text" in frame.data else "why"
            ] if b"call" not in frame.data else 0
            return super().decode(frame)
