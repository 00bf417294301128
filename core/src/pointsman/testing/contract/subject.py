"""The provider that a contract is about, with the canned answers that its upstream gives."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from pointsman.provider import Call, ProviderFactory
from pointsman.testing.contract.canned import CannedBreak, CannedChat, CannedError, CannedModels, CannedStream
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.harness import Bench
from pointsman.testing.replay import CannedReply
from pointsman.types import ChatRequest, Message, Request

PROMPT = "said in confidence: plum 7291"


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
        models_ok: the list of models; None: the provider cannot list them.
        probe_ok: what a healthy upstream answers to `probe`, where it is not the list of models.
        errors: refusals and what they mean.
        unsupported: requests that the upstream cannot do; chats are tried in whole and as a stream.
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
    models_ok: CannedModels | None = None
    probe_ok: CannedReply | None = None
    errors: Sequence[CannedError] = ()
    unsupported: Sequence[Request] = ()

    def _chat(self) -> CannedChat:
        return self.chat_ok or pytest.skip("the provider has no whole answers")

    def _stream(self) -> CannedStream:
        return self.stream_ok or pytest.skip("the provider has no streams")

    def _streams(self) -> list[CannedStream]:
        return [self._stream(), *([self.stream_tools] if self.stream_tools is not None else [])]

    def _ways(self) -> list[tuple[Callable[[Bench, Call], Coroutine[Any, Any, Any]], CannedReply]]:
        """How the provider is called, in whole and as a stream to its end, with an answer for each."""

        async def chat(bench: Bench, call: Call) -> None:
            await bench.provider.chat(self.request, call)

        async def stream(bench: Bench, call: Call) -> None:
            told = await bench.read(await bench.provider.stream(self.request, call))
            if told.error is not None:
                raise told.error

        ways: list[tuple[Callable[[Bench, Call], Coroutine[Any, Any, Any]], CannedReply]] = []
        if self.chat_ok is not None:
            ways.append((chat, self.chat_ok.reply))
        if self.stream_ok is not None:
            ways.append((stream, self.stream_ok.reply))
        return ways or pytest.skip("neither chat_ok nor stream_ok is given")
