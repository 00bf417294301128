"""A small agent to try the provider against: `python -m pointsman_aiagent.server [--port N] [--name NAME]`.

It says back what it was told. A model called like a status code of gRPC (`unavailable`, `not_found`) fails
with it, `pushes_back` says when to come again, `torn` stops half way, `stalls` falls silent there, `slow`
never answers, and `long` says each word a million times. No part of the provider needs this module.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration

from pointsman_aiagent import aiagent_pb2 as pb

SERVICE = "aiagent.v1.AIAgentService"
Context = grpc.aio.ServicerContext[Any, Any]


class Agent:
    """One agent on a port of this machine; 0: any that is free.

    Attributes:
        port: the port.
        metadata: those of each call, in order; `left`: seconds that each had.
        cancelled: set when a caller has let go of a call that ran.
        key: the credential that it wants; "" for none.
    """

    def __init__(self, name: str = "agent", *, key: str = "") -> None:
        self.name = name
        self.key = key
        self.port = 0
        self.metadata: list[dict[str, Any]] = []
        self.left: list[float | None] = []
        self.asked: list[Any] = []
        self.cancelled = asyncio.Event()
        self._server: grpc.aio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server()
        whole, pieces = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        chat, generate = pb.ChatRequest.FromString, pb.GenerateTextRequest.FromString
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "Chat": whole(self._whole, chat, _bytes),
            "ChatStream": pieces(self._pieces, chat, _bytes),
            "GenerateText": whole(self._whole, generate, _bytes),
            "GenerateTextStream": pieces(self._pieces, generate, _bytes),
            "HealthCheck": whole(self._healthy, pb.HealthCheckRequest.FromString, _bytes),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)

    async def wait(self) -> None:
        """Until it is stopped."""
        if self._server is not None:
            await self._server.wait_for_termination()

    async def _whole(self, request: Any, context: Context) -> pb.Reply:
        with self._watched():
            words = [word async for word in self._words(request, context)]
        usage = pb.Usage(prompt_tokens=len(words), completion_tokens=len(words))
        return pb.Reply(model=self.name, text="".join(words), finish_reason="stop", usage=usage)

    async def _pieces(self, request: Any, context: Context) -> None:
        # Written, and not yielded: between two pieces no generator would hear that the caller has gone.
        count = 0
        with self._watched():
            async for word in self._words(request, context):
                count += 1
                await context.write(pb.Piece(text=word))
                if request.model == "torn":
                    return
                if request.model == "stalls":
                    await self._hang()
            usage = pb.Usage(prompt_tokens=count, completion_tokens=count)
            await context.write(pb.Piece(finish_reason="stop", usage=usage))

    async def _words(self, request: Any, context: Context) -> AsyncIterator[str]:
        self.asked.append(request)
        self.left.append(context.time_remaining())
        metadata = dict(context.invocation_metadata() or ())
        self.metadata.append(metadata)
        await context.send_initial_metadata((("x-request-id", f"{self.name}-{len(self.asked)}"),))
        if self.key and metadata.get("authorization") != f"Bearer {self.key}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the key is not ours")
        await self._play(request.model, context)
        said: str = request.turns[-1].text if isinstance(request, pb.ChatRequest) else request.prompt
        for n, word in enumerate(said.split(" ")):
            yield " " * (n > 0) + word * (1_000_000 if request.model == "long" else 1)

    async def _play(self, model: str, context: Context) -> None:
        if model == "slow":
            await self._hang()
        if model == "pushes_back":
            info = pb.RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000))
            detail = AnyMessage(
                type_url="type.googleapis.com/google.rpc.RetryInfo", value=info.SerializeToString()
            )
            status = pb.RpcStatus(code=8, details=[detail]).SerializeToString()
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, "too many", (("grpc-status-details-bin", status),)
            )
        if model.upper() in grpc.StatusCode.__members__:
            await context.abort(grpc.StatusCode[model.upper()], f"as asked: {model}")

    async def _hang(self) -> None:
        await asyncio.get_running_loop().create_future()

    @contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    async def _healthy(self, _request: pb.HealthCheckRequest, _context: Context) -> pb.HealthCheckReply:
        return pb.HealthCheckReply(serving=True, models=["echo", "slow"])


async def _serve(name: str, port: int, say: Callable[[str], object]) -> None:
    agent = Agent(name)
    await agent.start(port)
    say(f"{agent.port}\n")
    await agent.wait()


def _bytes(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content


if __name__ == "__main__":
    import sys

    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=50051)
    parser.add_argument("--name", default="agent")
    given = parser.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    asyncio.run(_serve(given.name, given.port, say))
