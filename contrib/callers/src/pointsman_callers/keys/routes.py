"""`/admin/v1/callers`: keys of callers over HTTP, for operators, none of whom grants more than they have."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import msgspec

from pointsman.plugin import Caller, InvalidRequest, Route, SurfaceRequest, WholeReply
from pointsman.units import parse_duration
from pointsman_callers.keys.live import effective
from pointsman_callers.keys.managing import (
    KeyManager,
    Made,
    Maker,
    NoSuchKey,
    NotYours,
    announced_as,
    shown,
)
from pointsman_callers.keys.scope import Scope
from pointsman_callers.keys.store import NameTaken
from pointsman_callers.keys.wanted import Wanted

T = TypeVar("T")
PATH = "/admin/v1/callers"
OVERLAP = 86400.0
"""Seconds for which a key is good beside the one that takes its place, when nobody says."""

Handler = Callable[[SurfaceRequest], Awaitable[WholeReply]]


class _Overlap(msgspec.Struct, forbid_unknown_fields=True):
    overlap: str | None = None


class KeyRoutes:
    """What operators ask.

    Args:
        tell: has all routers look at the change of that number, this one before it returns.
    """

    def __init__(self, manager: KeyManager, tell: Callable[[int], Awaitable[None]]) -> None:
        self._manager = manager
        self._tell = tell

    def routes(self) -> Sequence[Route]:
        """All of them."""
        one = f"{PATH}/{{id}}"
        return [
            Route("GET", PATH, _answering(self.list), operator=True),
            Route("POST", PATH, _answering(self.add), operator=True),
            Route("GET", one, _answering(self.show), operator=True),
            Route("PATCH", one, _answering(self.change), operator=True),
            Route("DELETE", one, _answering(self.erase), operator=True, json=False),
            Route("POST", f"{one}/rotate", _answering(self.rotate), operator=True, json=False),
            Route("POST", f"{one}/revoke", _answering(self.revoke), operator=True, json=False),
        ]

    async def list(self, _asked: SurfaceRequest) -> WholeReply:
        found = await asyncio.to_thread(self._manager.store.everything)
        now = self._manager.wall()
        return _json({"callers": [shown(each, found.keys, now) for each in found.keys.values()]})

    async def show(self, asked: SurfaceRequest) -> WholeReply:
        return _json(await self._shown(asked.params["id"]))

    async def add(self, asked: SurfaceRequest) -> WholeReply:
        wanted, by = _read(asked.body, Wanted), await self._maker(asked.caller)
        return await self._made(await asyncio.to_thread(self._manager.add, wanted, by), 201)

    async def change(self, asked: SurfaceRequest) -> WholeReply:
        wanted, by, id = _read(asked.body, Wanted), await self._maker(asked.caller), asked.params["id"]
        change = await asyncio.to_thread(self._manager.rescope, id, wanted, by)
        return _json({**await self._announced(change), "caller": await self._shown(id)})

    async def rotate(self, asked: SurfaceRequest) -> WholeReply:
        said = _read(asked.body or b"{}", _Overlap).overlap
        try:
            overlap = OVERLAP if said is None else parse_duration(said)
        except ValueError as error:
            raise InvalidRequest(f"overlap: {error}") from None
        by = await self._maker(asked.caller)
        return await self._made(
            await asyncio.to_thread(self._manager.rotate, asked.params["id"], overlap, by), 200
        )

    async def revoke(self, asked: SurfaceRequest) -> WholeReply:
        by, id = await self._maker(asked.caller), asked.params["id"]
        change = await asyncio.to_thread(self._manager.revoke, id, by)
        return _json({**await self._announced(change), "caller": await self._shown(id)})

    async def erase(self, asked: SurfaceRequest) -> WholeReply:
        by, id = await self._maker(asked.caller), asked.params["id"]
        change = await asyncio.to_thread(self._manager.erase, id, by)
        # The key alone: of what is kept elsewhere of its caller, `pointsman callers erase` knows.
        return _json({**await self._announced(change), "id": id, "erased": ["key"]})

    async def _made(self, made: Made, status: int) -> WholeReply:
        announced = await self._announced(made.change)
        return _json({**announced, "key": made.text, "caller": await self._shown(made.key.id)}, status=status)

    async def _announced(self, change: int) -> Mapping[str, Any]:
        await self._tell(change)
        return announced_as(await asyncio.to_thread(self._manager.announced, change))

    async def _shown(self, id: str) -> Mapping[str, Any]:
        key, found = await asyncio.to_thread(self._manager.one, id)
        return shown(key, found.keys, self._manager.wall())

    async def _maker(self, caller: Caller) -> Maker:
        """Who asks, with all that their key says of them."""
        found = await asyncio.to_thread(self._manager.store.everything)
        key = found.keys.get(caller.key_id)
        if key is not None and key.name == caller.name:
            return Maker(caller.name, key.id, effective(key, found.keys))
        scope = Scope(
            models=caller.models,
            surfaces=caller.surfaces,
            operator=caller.operator,
            labels=caller.labels,
            require=caller.require,
        )
        return Maker(caller.name or "an operator on this machine", "", scope)


def _answering(handler: Handler) -> Handler:
    return partial(_answer, handler)


async def _answer(handler: Handler, asked: SurfaceRequest) -> WholeReply:
    """What `handler` answers, or why not."""
    try:
        return await handler(asked)
    except NoSuchKey:
        return _problem(asked, 404, "unknown_key", "no key has that id")
    except NameTaken:
        return _problem(asked, 409, "name_taken", "another key that is good has that name")
    except NotYours as refused:
        return _problem(asked, 403, "beyond_your_key", str(refused))


def _read(body: bytes, type: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise InvalidRequest(f"the body: {error}") from None


def _json(value: Mapping[str, Any], *, status: int = 200) -> WholeReply:
    return WholeReply(status, msgspec.json.encode(value), fields={"cache-control": "no-store"})


def _problem(asked: SurfaceRequest, status: int, code: str, message: str) -> WholeReply:
    domain = "policy" if status == 403 else "caller"
    error = {"code": code, "message": f"{domain}: {message}", "domain": domain, "param": None}
    return _json({"error": {**error, "request_id": asked.request_id}}, status=status)
