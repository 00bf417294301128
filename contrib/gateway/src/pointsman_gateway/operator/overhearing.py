"""Stands in for a router where what is asked of it, and answered, is kept for operators."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman.plugin import ChatRequest, ChatResponse, EmbedRequest, EmbedResponse, GenerateRequest, Request
from pointsman.requests.call_options import CallOptions
from pointsman_gateway.operator.contents import Contents, answered, asked, delivered

if TYPE_CHECKING:
    from pointsman import ChatStream, Router

A = TypeVar("A", ChatResponse, EmbedResponse)


class Overheard:
    """What surfaces ask of a router, the same way; each request is kept in `contents` as it ends."""

    def __init__(self, router: Router, contents: Contents) -> None:
        self._router = router
        self._contents = contents

    async def chat(self, request: ChatRequest, *, call_options: CallOptions) -> ChatResponse:
        """As `Router.chat`."""
        return await self._whole(request, call_options, self._router.chat(request, call_options=call_options))

    async def generate(self, request: GenerateRequest, *, call_options: CallOptions) -> ChatResponse:
        """As `Router.generate`."""
        answer = self._router.generate(request, call_options=call_options)
        return await self._whole(request, call_options, answer)

    async def embed(self, request: EmbedRequest, *, call_options: CallOptions) -> EmbedResponse:
        """As `Router.embed`."""
        return await self._whole(
            request, call_options, self._router.embed(request, call_options=call_options)
        )

    def stream(self, request: ChatRequest, *, call_options: CallOptions) -> OverheardStream:
        """As `Router.stream`."""
        self._contents.forget(call_options.request_id)
        stream = self._router.stream(request, call_options=call_options)
        return OverheardStream(stream, request, call_options, self._contents)

    async def _whole(self, request: Request, options: CallOptions, answer: Awaitable[A]) -> A:
        self._contents.forget(options.request_id)  # of one before it: a caller may use one id again
        said = None
        try:
            given = await answer
            said = answered(given)
            return given
        finally:
            self._contents.keep(options.request_id, options.caller, asked(request), said)


class OverheardStream:
    """The part of a stream that `calls.routed` uses; it is kept once that closes it, as it always does.

    Attributes:
        batch: that of the stream itself, so that no read takes one more step.
    """

    def __init__(
        self, stream: ChatStream, request: ChatRequest, options: CallOptions, contents: Contents
    ) -> None:
        self._stream = stream
        self._request = request
        self._options = options
        self._contents: Contents | None = contents
        self.batch = stream.batch

    @property
    def relayed(self) -> bool:
        """As `ChatStream.relayed`."""
        return self._stream.relayed

    @property
    def dropped(self) -> Sequence[str]:
        """As `ChatStream.dropped`."""
        return self._stream.dropped

    async def __aenter__(self) -> OverheardStream:
        await self._stream.__aenter__()
        return self

    async def aclose(self) -> None:
        """As `ChatStream.aclose`."""
        try:
            await self._stream.aclose()
        finally:
            contents, self._contents = self._contents, None
            if contents is not None:
                contents.keep(
                    self._options.request_id, self._options.caller, asked(self._request), self._answered()
                )

    def _answered(self) -> Mapping[str, Any] | None:
        try:
            return answered(self._stream.response)
        except RuntimeError:  # it is not at its end
            return delivered(self._stream.text)
