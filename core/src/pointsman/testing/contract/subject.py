"""The provider that a contract is about, with the canned answers that its upstream gives."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Literal

import pytest
from msgspec import Struct

from pointsman.errors import CallError
from pointsman.provider import Call, ProviderFactory
from pointsman.testing.contract.canned import (
    CannedBreak,
    CannedChat,
    CannedEmbeddings,
    CannedError,
    CannedModels,
    CannedStream,
)
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.harness import Bench
from pointsman.testing.replay import CannedReply
from pointsman.types import ChatRequest, EmbedRequest, FinishReason, GenerateRequest, Message, Request

PROMPT = "said in confidence: plum 7291"
Asked = Literal["chat", "stream", "generate", "embed"]


class Way(Struct, frozen=True):
    """One way to ask a provider: the operation, what is asked, and an answer to it."""

    name: Asked
    request: Request
    reply: CannedReply

    async def ask(self, bench: Bench, call: Call | None = None, request: Any = None) -> Any:
        """What comes of it; a stream is read to its end. Raises what the provider raises."""
        asked = self.request if request is None else request
        operation = getattr(bench.provider, self.name)
        made = await operation(asked, bench.call() if call is None else call)
        if self.name != "stream":
            return made
        told = await bench.read(made)
        if told.error is not None:
            raise told.error
        return told


class ProviderSubject(Contract):
    """A provider that calls through `call.client`.

    Attributes:
        factory: what the plugin offers.
        settings: of the provider, as a configuration has them.
        options: of the deployment.
        base_url: what the configuration says; nothing is ever sent there.
        model: the upstream's name of the model.
        request: what is asked, in whole and as a stream.
        chat_ok, stream_ok: a whole and a streamed answer. None says that the provider has none, and then it
            must say so too.
        stream_tools: a stream that calls tools.
        mid_stream_error: a stream in which the upstream reports a failure.
        more_ok: further answers, in whole and as streams: of tools, of several parts, of other endings.
        finish_words: the upstream's words for the end of an answer, as they stand in the body, and what they
            mean; one of them stands in `chat_ok` or `stream_ok`, and all others are tried in its place.
        generate_ok: the answer to a plain completion.
        embed_ok: the answer to some texts, as vectors.
        models_ok: the list of models; None: the provider cannot list them.
        probe_ok: what a healthy upstream answers to `probe`, where it is not the list of models.
        errors: refusals and what they mean.
        statuses: what statuses mean whatever the body says, where that is not what the default table says.
        unsupported: requests that the upstream cannot do; chats are tried in whole and as a stream.
        relays: bodies that ask for `request` in a wire of the provider's, without the model, by the name of
            the wire; `chat_ok` and `stream_ok` are the answers to them, too.
        examples: how many bodies that make no sense are tried.
    """

    factory: ProviderFactory
    settings: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[Mapping[str, Any]] = {}
    base_url: str = "http://upstream.test:8000"
    model: str = "model-1"
    request = ChatRequest("public", (Message.user(PROMPT),))
    chat_ok: CannedChat | None = None
    stream_ok: CannedStream | None = None
    stream_tools: CannedStream | None = None
    mid_stream_error: CannedBreak | None = None
    more_ok: Sequence[CannedChat | CannedStream] = ()
    finish_words: ClassVar[Mapping[bytes, FinishReason]] = {}
    generate_ok: CannedChat | None = None
    embed_ok: CannedEmbeddings | None = None
    models_ok: CannedModels | None = None
    probe_ok: CannedReply | None = None
    errors: Sequence[CannedError] = ()
    statuses: ClassVar[Mapping[int, type[CallError]]] = {}
    unsupported: Sequence[Request] = ()
    relays: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    examples: int = 100

    def _chat(self) -> CannedChat:
        return self.chat_ok or pytest.skip("the provider has no whole answers")

    def _stream(self) -> CannedStream:
        return self.stream_ok or pytest.skip("the provider has no streams")

    def _streams(self) -> list[CannedStream]:
        return [self._stream(), *([self.stream_tools] if self.stream_tools is not None else [])]

    def _ways(self) -> list[tuple[Callable[[Bench, Call], Coroutine[Any, Any, Any]], CannedReply]]:
        """How the provider is called, in whole and as a stream to its end, with an answer for each."""
        chats = [each for each in self._operations() if isinstance(each.request, ChatRequest)]
        return [(each.ask, each.reply) for each in chats] or pytest.skip(
            "neither chat_ok nor stream_ok is given"
        )

    def _operations(self) -> list[Way]:
        """All ways to ask the provider that there is an answer for."""
        ways: list[Way] = []
        if self.chat_ok is not None:
            ways.append(Way("chat", self.request, self.chat_ok.reply))
        if self.stream_ok is not None:
            ways.append(Way("stream", self.request, self.stream_ok.reply))
        if self.generate_ok is not None:
            ways.append(Way("generate", GenerateRequest("public", PROMPT), self.generate_ok.reply))
        if self.embed_ok is not None:
            texts = EmbedRequest("public", tuple(self.embed_ok.texts))
            ways.append(Way("embed", texts, self.embed_ok.reply))
        return ways or pytest.skip("there is no canned answer to any kind of request")
