"""OpenAI's Responses API: answers that can be kept, looked at again and gone on from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from pointsman._internal.settings import Section, setting
from pointsman.plugin import (
    Duration,
    Route,
    StreamReply,
    SurfaceContext,
    SurfaceRequest,
    WholeReply,
    replace,
)
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.calls.token_counts import count_for
from pointsman_gateway.surfaces.response_store import KeptAnswer, ResponseStore
from pointsman_wires import openai_errors, openai_responses
from pointsman_wires.bodies import invalid
from pointsman_wires.openai_responses.history import (
    answers_referred_to,
    items_by_id,
    previous_answer,
    with_history,
    with_items,
)

_ENDS = ("response.completed", "response.incomplete")
_AFFINITY = "x-pointsman-affinity"


class ResponsesSettings(Section):
    """Where answers of the Responses API are kept.

    Attributes:
        path: a SQLite file, relative to the configuration; made when it is first needed.
        max_age: seconds after which an answer is forgotten.
        max_size: megabytes that all of them may have together; the oldest go first.
    """

    path: Path = setting()
    max_age: Duration = setting(default=30 * 86_400.0, ge=1)
    max_size: int = setting(default=1_000, ge=1, le=1_000_000, description="megabytes")


class _Asked(Struct):
    previous_response_id: str | None = None
    store: bool | None = None


class _Event(Struct):
    type: str = ""
    response: msgspec.Raw = msgspec.Raw(b"null")


_asked = msgspec.json.Decoder(_Asked).decode
_event = msgspec.json.Decoder(_Event).decode


class Responses:
    """The routes of the Responses API, as a part of a surface.

    Args:
        settings: None where nothing is kept.
    """

    def __init__(self, context: SurfaceContext, settings: ResponsesSettings | None) -> None:
        self._context = context
        self._calls = context.calls
        self._wall = context.clock.wall
        self._store: ResponseStore | None = None
        if settings is not None:
            self._store = ResponseStore(
                context.directory / settings.path,
                max_age=settings.max_age,
                max_bytes=settings.max_size * 10**6,
                wall=self._wall,
                log=context.log,
            )

    def routes(self) -> Sequence[Route]:
        """All that can be asked for."""
        return (
            Route("POST", "/v1/responses", self._create, aliases=("/responses",)),
            Route("POST", "/v1/responses/compact", self._compact, aliases=("/responses/compact",)),
            Route("POST", "/v1/responses/input_tokens", self._count, aliases=("/responses/input_tokens",)),
            Route("GET", "/v1/responses/{id}", self._show),
            Route("DELETE", "/v1/responses/{id}", self._delete, json=False),
        )

    async def aclose(self) -> None:
        """Write what is to be kept."""
        if self._store is not None:
            await self._store.aclose()

    async def _create(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        asked = await self._with_items(asked)
        said = _said(asked.body) if self._store is not None else _Asked()
        full, previous = await self._with_history(asked, said)
        understood = openai_responses.read(
            full.body,
            request_id=asked.request_id,
            wall=self._wall(),
            stored=self._store is not None,
            previous=previous,
        )
        reply = await self._calls.answer(full, understood)
        if self._store is None or said.store is False:
            return reply
        keeper = _Keeper(self._store, asked, previous)
        if isinstance(reply, StreamReply):
            return replace(reply, pieces=_Watched(reply.pieces, keeper))
        if reply.status == 200:
            keeper.keep(reply.body)
        return reply

    async def _compact(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        asked = await self._with_items(asked)
        said = _said(asked.body) if self._store is not None else _Asked()
        full, _ = await self._with_history(asked, said)
        understood = openai_responses.read_compact(full.body, request_id=asked.request_id, wall=self._wall())
        return await self._calls.answer(full, understood)

    async def _count(self, asked: SurfaceRequest) -> WholeReply:
        asked = await self._with_items(asked)
        full, previous = await self._with_history(asked, _said(asked.body))
        understood = openai_responses.read(
            full.body, request_id=asked.request_id, wall=self._wall(), previous=previous
        )
        count = await count_for(self._context, full, understood)
        body = {"object": "response.input_tokens", "input_tokens": count.tokens}
        return WholeReply(200, msgspec.json.encode(body), fields=count.fields())

    async def _show(self, asked: SurfaceRequest) -> WholeReply:
        if asked.query.get("stream", "").lower() == "true":
            raise invalid("stream: an answer that is kept is whole", "stream")
        body = None
        if self._store is not None:
            body = await self._store.body(asked.params["id"], asked.caller.name)
        return self._unknown(asked) if body is None else WholeReply(body=body)

    async def _delete(self, asked: SurfaceRequest) -> WholeReply:
        id = asked.params["id"]
        if self._store is None or not await self._store.forget(id, asked.caller.name):
            return self._unknown(asked)
        gone = {"id": id, "object": "response", "deleted": True}
        return WholeReply(body=msgspec.json.encode(gone))

    async def _with_items(self, asked: SurfaceRequest) -> SurfaceRequest:
        """The request with the items of kept answers that it only names.

        One that nobody here knows stays named: an upstream may know it.
        """
        if self._store is None or not (answers := answers_referred_to(asked.body)):
            return asked
        items: dict[str, Any] = {}
        for id in answers:
            if (body := await self._store.body(id, asked.caller.name)) is not None:
                items.update(items_by_id(body))
        return replace(asked, body=with_items(asked.body, items), document=None)

    async def _with_history(self, asked: SurfaceRequest, said: _Asked) -> tuple[SurfaceRequest, str]:
        """The request with all that was said before in it, and the id of the answer that it goes on from.

        One of an answer that nobody here knows stays as it is: an upstream may know it.
        """
        id = said.previous_response_id
        if self._store is None or not id:
            return asked, ""
        history = await self._store.history(id, asked.caller.name)
        if history is None:
            return asked, ""
        if history.turns is None:
            raise invalid(f"previous response with id {id[:100]!r} not found", "previous_response_id")
        headers = asked.headers
        if _AFFINITY not in headers:  # the conversation is called by its first answer
            headers = {**headers, _AFFINITY: history.root}
        body = with_history(asked.body, history.turns)
        return replace(asked, body=body, document=None, headers=headers), id

    def _unknown(self, asked: SurfaceRequest) -> WholeReply:
        message = f"there is no response {asked.params['id'][:100]!r}"
        if self._store is None:
            message += "; none are kept here"
        id = asked.request_id
        return openai_errors.problem(
            problem_in("caller", "no_route", "unknown_response", message, request_id=id)
        )


class _Keeper:
    """Keeps the answer to one request."""

    def __init__(self, store: ResponseStore, asked: SurfaceRequest, previous: str) -> None:
        self._store = store
        self._asked = asked
        self._previous = previous

    def keep(self, body: bytes) -> None:
        """Keep the response object `body`."""
        made = previous_answer(self._asked.body, body)
        if made is not None:
            caller = self._asked.caller.name
            self._store.keep(KeptAnswer(made.id, caller, self._previous, made.turn, body))

    def look(self, piece: bytes) -> None:
        """Keep the answer that ends in `piece`, where one does."""
        if b"response.completed" not in piece and b"response.incomplete" not in piece:
            return
        for line in piece.split(b"\n"):
            with suppress(msgspec.MsgspecError):  # what an upstream wrote there may be no event
                event = _event(line.removeprefix(b"data:")) if line.startswith(b"data:") else _Event()
                if event.type in _ENDS:
                    self.keep(bytes(event.response))


class _Watched(AsyncIterator[bytes]):
    """The pieces of a stream, the last of which brings an answer to keep."""

    def __init__(self, pieces: AsyncIterator[bytes], keeper: _Keeper) -> None:
        self._pieces = pieces
        self._keeper = keeper

    async def __anext__(self) -> bytes:
        piece = await self._pieces.__anext__()
        self._keeper.look(piece)  # before the caller can ask for it
        return piece

    async def aclose(self) -> None:
        """Close the pieces."""
        close = getattr(self._pieces, "aclose", None)
        if close is not None:
            await close()


def _said(body: bytes) -> _Asked:
    try:
        return _asked(body)
    except (msgspec.MsgspecError, RecursionError):
        return _Asked()  # whoever reads it says what is wrong
