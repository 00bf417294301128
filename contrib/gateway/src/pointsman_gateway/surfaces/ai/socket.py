"""Many calls at a time over one WebSocket, each under an id of its caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pointsman.plugin import (
    CallError,
    ProblemDetails,
    Socket,
    SocketCall,
    StreamReply,
    WholeReply,
    jsonio,
)
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.calls.problems import problem_of
from pointsman_gateway.surfaces.ai.envelope import error_of, status_of

AT_A_TIME = 32
"""Calls of one connection."""
_LONGEST_ID = 128
Ask = Callable[[str, str, Mapping[str, Any], str], Awaitable[WholeReply | StreamReply]]
"""Asks a model: the caller's id, `generate` or `chat`, the body, the id of the request. Raises CallError."""


class Conversation:
    """What one caller asks over one WebSocket. Calls end with their `cancel`, and all with the connection."""

    def __init__(self, socket: Socket, ask: Ask) -> None:
        self._socket = socket
        self._ask = ask
        self._running: dict[str, asyncio.Task[None]] = {}
        self._cancelled: set[str] = set()

    async def run(self) -> None:
        """Answer until the caller has gone, or does not read what it asked for."""
        try:
            async with asyncio.TaskGroup() as calls:
                try:
                    while (text := await self._socket.receive()) is not None:
                        await self._take(text, calls)
                finally:
                    for task in self._running.values():
                        task.cancel()
        except ExceptionGroup as several:
            raise several.exceptions[0] from None

    async def _take(self, text: str, calls: asyncio.TaskGroup) -> None:
        try:
            said = jsonio.loads(text.encode("utf-8", "replace"))
        except ValueError:
            said = None
        if not isinstance(said, dict) or not _is_id(said.get("id")):
            await self._fail(None, "invalid_request", 'expected {"id": "…", "type": "generate", …}')
            return
        id, kind = said.pop("id"), said.pop("type", None)
        if kind == "cancel":
            self._cancel(id)
        elif kind not in ("generate", "chat"):
            await self._fail(id, "invalid_request", "type is one of generate, chat, cancel")
        elif id in self._running:
            await self._fail(id, "id_in_use", "a call of that id still runs")
        elif len(self._running) >= AT_A_TIME:
            await self._fail(id, "too_many_calls", f"{AT_A_TIME} calls run on this connection")
        else:
            self._begin(id, kind, said, calls)

    def _begin(self, id: str, kind: str, body: Mapping[str, Any], calls: asyncio.TaskGroup) -> None:
        task = self._running[id] = calls.create_task(self._answer(id, kind, body))
        task.add_done_callback(lambda _task: self._over(id))

    def _over(self, id: str) -> None:
        self._running.pop(id, None)
        self._cancelled.discard(id)

    def _cancel(self, id: str) -> None:
        if id in self._running and id not in self._cancelled:
            self._cancelled.add(id)
            self._running[id].cancel()

    async def _answer(self, id: str, kind: str, body: Mapping[str, Any]) -> None:
        try:
            async with self._socket.call() as call:
                if call.problem is not None:
                    await self._refuse(id, call, call.problem)
                    return
                try:
                    reply = await self._ask(id, kind, body, call.request_id)
                except CallError as error:
                    await self._refuse(id, call, problem_of(error, call.request_id))
                else:
                    await self._answered(id, call, reply)
        except asyncio.CancelledError:
            if id in self._cancelled:  # else the connection is over, too
                await self._say(id, "done", {"finishReason": "cancelled"})
            raise

    async def _answered(self, id: str, call: SocketCall, reply: WholeReply | StreamReply) -> None:
        if isinstance(reply, StreamReply):
            await self._stream(reply)
            call.ended(200)
        elif reply.status == 200:
            await self._socket.send(reply.body.decode().strip())
            call.ended(200)
        else:
            said = jsonio.loads(reply.body)
            await self._say(id, "error", said)
            call.ended(reply.status, said["code"])

    async def _refuse(self, id: str, call: SocketCall, problem: ProblemDetails) -> None:
        await self._say(id, "error", {**error_of(problem), "requestId": call.request_id})
        call.ended(status_of(problem), problem.code)

    async def _stream(self, reply: StreamReply) -> None:
        try:
            async for piece in reply.pieces:
                for line in piece.split(b"\n"):
                    if line:
                        await self._socket.send(line.decode())
        finally:
            await reply.pieces.aclose()  # type: ignore[attr-defined]  # those of `Calls` have it

    async def _fail(self, id: str | None, code: str, message: str) -> None:
        problem = problem_in("caller", "invalid", code, message)
        await self._say(id, "error", error_of(problem))

    async def _say(self, id: str | None, type: str, rest: Mapping[str, Any]) -> None:
        await self._socket.send(jsonio.dumps({"id": id, "type": type, **rest}).decode())


def _is_id(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_ID
