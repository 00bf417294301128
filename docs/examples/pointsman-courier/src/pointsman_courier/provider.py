"""The calls of one Courier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    BadResponse,
    Call,
    CallError,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    EventStream,
    HttpEventStream,
    HttpProvider,
    ModelInfo,
    check_vectors,
)
from pointsman_courier.parcels import CODES, LetterDecoder, ParcelFramer, vectors_of
from pointsman_courier.words import OPTIONS, letter_of


class CourierSettings(BaseModel):
    """The keys that only providers of type `courier` have."""

    # Neither a typing error nor a secret in the wrong place may pass, or be shown in the error.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    sender: str | None = Field(default=None, description="the name under which the Courier books all letters")


class CourierProvider(HttpProvider):
    """One Courier: letters (chats, whole and streamed), vectors, the list of its writers."""

    default_base_url = "http://127.0.0.1:7020"
    codes: ClassVar[Mapping[str, type[CallError]]] = CODES

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        # The Courier has one kind of answer. `timely=False`: as a whole it has the attempt's time.
        answer = await self.send("/v2/letters", self._letter(request, call), call, timely=False)
        return await HttpEventStream(answer, ParcelFramer(), LetterDecoder()).whole()

    async def stream(self, request: ChatRequest, call: Call) -> EventStream:
        answer = await self.send("/v2/letters", self._letter(request, call), call)
        return HttpEventStream(answer, ParcelFramer(), LetterDecoder())

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        body: dict[str, Any] = {"writer": call.model, "texts": list(request.texts), **request.extra}
        if request.dimensions is not None:
            body["width"] = request.dimensions
        answer, content = await self.fetch("/v2/vectors", body, call)
        vectors, usage = vectors_of(content)
        if len(vectors) != len(request.texts):
            raise BadResponse(f"the Courier brought {len(vectors)} vectors for {len(request.texts)} texts")
        check_vectors(vectors, request.dimensions)
        return EmbedResponse(vectors, usage, model=call.model, upstream_request_id=answer.request_id)

    async def models(self) -> Sequence[ModelInfo]:
        value = await self.manage("GET", "/v2/writers")
        writers = value.get("writers") if isinstance(value, dict) else None
        if not isinstance(writers, list) or not all(isinstance(each, str) for each in writers):
            raise BadResponse("the Courier's list of writers is none")
        return [ModelInfo(each, self.name) for each in writers]

    def _letter(self, request: ChatRequest, call: Call) -> dict[str, Any]:
        # What is left out in silence is missed by somebody; another deployment may have a place for it.
        self.takes_only(request, *OPTIONS, "tools", "tool_choice", "extra")
        letter = letter_of(request, call.model)
        if self.context.settings.sender is not None:
            letter["sender"] = self.context.settings.sender
        return letter
