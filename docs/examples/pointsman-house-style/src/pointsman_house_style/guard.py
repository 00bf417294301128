"""The guard: what every conversation begins with, how long it may be, and which words answers have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    Answered,
    ChatRequest,
    ChatResponse,
    EmbedResponse,
    Guard,
    GuardCall,
    GuardContext,
    Message,
    Refused,
    Request,
    StreamEvent,
    StreamFilter,
    TextDelta,
    replace,
)
from pointsman_house_style.words import Words


class HouseStyleSettings(BaseModel):
    """`guards: [{type: house_style, …}]`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    say_first: str | None = Field(
        default=None, min_length=1, description="a system message before all others of a conversation"
    )
    longest: int | None = Field(
        default=None, ge=1, description="characters of a conversation; longer ones are refused"
    )
    instead: dict[Annotated[str, Field(min_length=1, max_length=64)], str] = Field(
        default_factory=dict,
        max_length=200,
        description="the words of the house, by those that it does not use",
    )


class HouseStyle(Guard):
    """Keeps the style of the house."""

    def __init__(self, context: GuardContext) -> None:
        settings: HouseStyleSettings = context.settings
        self._first = None if settings.say_first is None else Message.system(settings.say_first)
        self._longest = settings.longest
        self._words = Words(settings.instead) if settings.instead else None

    async def before(self, request: Request, call: GuardCall, /) -> Request | Answered:
        if not isinstance(request, ChatRequest):
            return request
        size = sum(len(message.text) for message in request.messages)
        if self._longest is not None and size > self._longest:
            # The sizes and no more: the text of a refusal goes into records.
            raise Refused(f"the conversation has {size} characters, and may have {self._longest}")
        # A conversation that another guard or the caller has begun so is not begun twice.
        if self._first is None or (request.messages and request.messages[0] == self._first):
            return request
        return replace(request, messages=(self._first, *request.messages))

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        if self._words is None or not isinstance(response, ChatResponse):
            return response
        text = self._words.in_whole(response.text)
        return response if text == response.text else replace(response, text=text)

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        return None if self._words is None else Filter(self._words)


class Filter(StreamFilter):
    """One streamed answer in the words of the house; what is no text passes as it is."""

    def __init__(self, words: Words) -> None:
        self._text = words.in_pieces()

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        if not isinstance(event, TextDelta):
            return [event]
        return _told(self._text.feed(event.text))

    def end(self) -> Sequence[StreamEvent]:
        return _told(self._text.end())


def _told(text: str) -> Sequence[StreamEvent]:
    return [TextDelta(text)] if text else []
