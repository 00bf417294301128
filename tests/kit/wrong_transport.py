"""Transports that are wrong in one thing. Each is tried over a real server, with the rule alone: that takes time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx
from msgspec.structs import replace

from cases import wrong
from pointsman.builtin.transports import built_in
from pointsman.plugin import (
    RawTransport,
    Reply,
    RequestTemplate,
    TransportContext,
    TransportFactory,
    TransportOptions,
)
from pointsman.testing.contract import TransportContract

_, HTTPX = built_in()


class TransportTests(TransportContract):
    patience = 0.5

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"factory": TransportFactory("faulty", None, plugin)}


class Around(httpx.AsyncBaseTransport):
    """Hands everything on, rightly."""

    tried_by: ClassVar[type] = TransportTests

    def __init__(self, context: TransportContext) -> None:
        self.inner = context.inner("httpx")
        self.options = context.options

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class Body(httpx.AsyncByteStream):
    """Hands a body on, rightly."""

    def __init__(self, response: httpx.Response) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.stream = response.stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self.stream:
            yield piece

    async def aclose(self) -> None:
        await self.stream.aclose()


class Another(Around):
    """Gives each answer a body of another kind."""

    body: ClassVar[type[Body]]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, stream=self.body(response))


@wrong("TRANSPORT-02", "It loses the last byte of each piece.", alone=True)
class Clipping(Another):
    class body(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in self.stream:
                yield piece[:-1]


@wrong("TRANSPORT-03", "It names itself in every request.", alone=True)
class Talkative(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["user-agent"] = "somebody"
        return await super().handle_async_request(request)


@wrong("TRANSPORT-04", "It asks once more where a connection breaks.", alone=True)
class Insistent(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.RemoteProtocolError:
            return await super().handle_async_request(request)


@wrong("TRANSPORT-05", "It hands an answer on when all of it is here.", alone=True)
class Collecting(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        whole = b"".join([piece async for piece in stream])
        return httpx.Response(response.status_code, headers=response.headers, stream=httpx.ByteStream(whole))


@wrong("TRANSPORT-06", "It gives a body to answers that have none.", alone=True)
class Padding(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        return httpx.Response(204, content=b"none") if response.status_code == 204 else response


@wrong("TRANSPORT-07", "It takes what broke off for an answer.", alone=True)
class Lenient(Another):
    class body(Body):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            try:
                async for piece in self.stream:
                    yield piece
            except httpx.RemoteProtocolError:
                pass


@wrong("TRANSPORT-08", "It does not say that nothing was sent.", alone=True)
class Vague(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectError as error:
            raise httpx.ReadError("something went wrong") from error


@wrong("TRANSPORT-09", "It goes on with a call that was given up.", alone=True)
class Stubborn(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.shield(asyncio.ensure_future(super().handle_async_request(request)))


@wrong("TRANSPORT-10", "It keeps the connection of an answer that was closed.", alone=True)
class Lasting(Another):
    class body(Body):
        async def aclose(self) -> None:
            pass


@wrong("TRANSPORT-11", "It has as many connections as it likes.", alone=True)
class Boundless(Around):
    def __init__(self, context: TransportContext) -> None:
        self.inner = HTTPX.make(replace(context, options=TransportOptions()))


@wrong("TRANSPORT-12", "It counts those that fail as under way.", alone=True)
class Forgetful(Around):
    """Counts those that fail as under way."""

    def __init__(self, context: TransportContext) -> None:
        super().__init__(context)
        self.places = asyncio.Semaphore(context.options.max_connections or 1000)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self.places.acquire()
        response = await super().handle_async_request(request)
        self.places.release()
        return response


@wrong("TRANSPORT-13", "It needs a loop to be made.", alone=True)
class Hasty(Around):
    def __init__(self, context: TransportContext) -> None:
        super().__init__(context)
        self.loop = asyncio.get_running_loop()


@wrong("TRANSPORT-14", "It cannot be closed.", alone=True)
class Immortal(Around):
    async def aclose(self) -> None:
        pass


@wrong("TRANSPORT-15", "It mixes up two event loops.", alone=True)
class Attached(Around):
    home: object = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        self.home = self.home or loop
        if self.home is not loop:
            raise httpx.ReadError("got mixed up")
        return await super().handle_async_request(request)


@wrong("TRANSPORT-17", "Its repr shows the password of its proxy.", alone=True)
class Open(Around):
    def __repr__(self) -> str:
        return f"Open({self.options.proxy})"


@wrong("TRANSPORT-17", "Its errors quote the whole address.", alone=True)
class Quoting(Around):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except httpx.ConnectError as error:
            raise httpx.ConnectError(f"no connection to {request.url}") from error


@wrong(
    "TRANSPORT-02", "It is right for those who ask in the words of httpx, and for nobody else.", alone=True
)
class Astray(Around, RawTransport):
    """Right for those who ask in the words of httpx, and for nobody else."""

    async def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Reply:
        raise ConnectionResetError


@wrong("TRANSPORT-01", "Its end is a generator.", alone=True)
class Parting(Around):
    def aclose(self) -> Any:
        yield


@wrong("TRANSPORT-07", "What breaks off ends with an error of the system's.", alone=True)
class Raw(Astray):
    """As `Astray`."""


@wrong(
    "TRANSPORT-16",
    "It refuses what it cannot without a word.",
    alone=True,
    factory=TransportFactory("curt", None, Around, refuses=lambda options: "no" if options.proxy else None),
)
class Curt(Around):
    pass
