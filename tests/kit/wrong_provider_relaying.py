"""Providers that lose or give away what was written for their own wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from toys import Toy, ToyTests, as_object

from cases import wrong
from pointsman import replace
from pointsman.plugin import (
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    EmbedResponse,
    EventStream,
    InvalidRequest,
    Relaying,
    Request,
    StreamEvent,
    original_of,
)
from pointsman.testing.contract import CannedError
from pointsman.testing.contract.subject import PROMPT


class RelayedToyTests(ToyTests):
    """What the author of a provider that relays writes."""

    relays: ClassVar = {"toy": {"messages": [{"role": "user", "content": PROMPT}], "seed": 3}}
    errors = (
        *ToyTests.errors,
        CannedError(status=400, body=b'{"error":"no such option"}', kind=InvalidRequest),
    )


class RelayedToy(Toy):
    """It speaks the wire `toy`."""

    tried_by: ClassVar[type] = RelayedToyTests
    wires: Sequence[str] = ("toy",)

    def relaying(self, request: Request, call: Call) -> Relaying:
        return Relaying(
            path="/chat",
            write=lambda asked: self.body(asked, call, stream=True),
            read=lambda answer, content: self.response(as_object(self.value(answer, content))),
            events=lambda _answer: (self.framer(), self.decoder()),
            lines=True,
        )


@wrong("PROVIDER-61", "It writes the body anew, from what it knows of the request.")
class WritesTheBodyAnew(RelayedToy):
    async def fetch(self, path: str, body: Any, call: Call, **more: Any) -> Any:
        if call.original is not None:
            body = {name: value for name, value in json.loads(body).items() if name != "x_novelty"}
        return await super().fetch(path, body, call, **more)


@wrong("PROVIDER-62", "It leaves its own name of the model in what it relays.")
class KeepsItsName(RelayedToy):
    async def relay(self, request: Request, call: Call) -> ChatResponse | EmbedResponse:
        response = await super().relay(request, call)
        return replace(
            response, relayed=json.dumps({**json.loads(response.relayed), "model": call.model}).encode()
        )


@wrong("PROVIDER-62", "It relays nothing, only reads.")
class OnlyReads(RelayedToy):
    async def relay(self, request: Request, call: Call) -> ChatResponse | EmbedResponse:
        return replace(await super().relay(request, call), relayed=b"")


@wrong("PROVIDER-63", "All headers of the caller go on.")
class PassesAllHeaders(RelayedToy):
    def relaying(self, request: Request, call: Call) -> Relaying:
        headers = {name: value for name, value in original_of(call).headers.items() if name != "host"}
        return replace(super().relaying(request, call), headers=headers)


@wrong("PROVIDER-63", "The query of the caller goes on, whatever is in it.")
class PassesTheQuery(RelayedToy):
    def relaying(self, request: Request, call: Call) -> Relaying:
        query = original_of(call).query
        return replace(super().relaying(request, call), path=f"/chat?{query}" if query else "/chat")


class _Quiet:
    """A stream that ends well wherever it breaks off."""

    def __init__(self, source: EventStream) -> None:
        self.source = source
        self.upstream_request_id = source.upstream_request_id
        self.over = False

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        if self.over:
            return None
        try:
            return await self.source.next(until)
        except CallError:
            self.over = True
            return None

    def abort(self) -> None:
        self.source.abort()

    async def aclose(self) -> None:
        await self.source.aclose()


@wrong("PROVIDER-64", "A stream that it relays ends well wherever it breaks off.")
class EndsWell(RelayedToy):
    async def relay_stream(self, request: ChatRequest, call: Call) -> EventStream:
        return _Quiet(await super().relay_stream(request, call))


@wrong("PROVIDER-65", "A refusal of what the caller wrote has its own words only.")
class InItsOwnWords(RelayedToy):
    async def relay(self, request: Request, call: Call) -> ChatResponse | EmbedResponse:
        try:
            return await super().relay(request, call)
        except InvalidRequest as error:
            raise InvalidRequest(error.message, status=error.status) from None
