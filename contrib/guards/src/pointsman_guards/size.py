"""`size`: requests and answers have bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ByteSize, ConfigDict, Field, model_validator

from pointsman.plugin import (
    Audio,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    File,
    GenerateRequest,
    Guard,
    GuardCall,
    GuardContext,
    GuardFactory,
    Image,
    Refused,
    StreamEvent,
    StreamFilter,
    TextDelta,
    ToolCallDelta,
)


class SizeSettings(BaseModel):
    """`{type: size, prompt_characters: 100000}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    messages: int | None = Field(default=None, ge=1, description="messages, or texts to embed, at most")
    prompt_characters: int | None = Field(
        default=None, ge=1, description="characters in all messages together, at most"
    )
    attachments: ByteSize | None = Field(
        default=None, ge=1, description="bytes of pictures, sound and files together, at most, such as `5MiB`"
    )
    answer_characters: int | None = Field(
        default=None, ge=1, description="characters of an answer and its tool calls, at most"
    )

    @model_validator(mode="after")
    def _bounds_something(self) -> SizeSettings:
        if not any(value is not None for _, value in self):
            raise ValueError("bounds nothing; say one of " + ", ".join(type(self).model_fields))
        return self


class Size(Guard):
    """Refuses what is too large, with the numbers."""

    def __init__(self, context: GuardContext) -> None:
        self._settings: SizeSettings = context.settings

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        """The request as it is. Raises Refused."""
        settings = self._settings
        messages, characters, attachments = _sizes(request)
        _within("messages", messages, settings.messages)
        _within("characters", characters, settings.prompt_characters)
        _within("bytes of attachments", attachments, settings.attachments)
        return request

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        """The answer as it is. Raises Refused."""
        if isinstance(response, ChatResponse):
            calls = sum(len(each.arguments) for each in response.tool_calls)
            _answer_within(len(response.text) + calls, self._settings.answer_characters)
        return response

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        """The same for an answer in pieces: it ends before the first one that is too much."""
        most = self._settings.answer_characters
        return None if most is None else _Counted(most)


class _Counted:
    def __init__(self, most: int) -> None:
        self._most, self._characters = most, 0

    def feed(self, event: StreamEvent, /) -> Sequence[StreamEvent]:
        if isinstance(event, TextDelta):
            self._characters += len(event.text)
        elif isinstance(event, ToolCallDelta):
            self._characters += len(event.arguments)
        _answer_within(self._characters, self._most)
        return (event,)

    def end(self) -> Sequence[StreamEvent]:
        return ()


def _sizes(request: object) -> tuple[int, int, int]:
    """How many messages `request` has, how many characters, and how many bytes beside them."""
    match request:
        case ChatRequest(messages=messages):
            parts = [part for message in messages for part in message.parts]
            calls = [call for message in messages for call in message.tool_calls]
            characters = sum(len(part.text) for part in parts if not isinstance(part, Image | File | Audio))
            characters += sum(len(call.arguments) for call in calls)
            characters += sum(len(message.reasoning or "") for message in messages)
            return len(messages), characters, sum(map(_bytes, parts))
        case GenerateRequest():
            characters = len(request.prompt) + len(request.suffix or "") + len(request.system or "")
            return 1, characters, sum(map(_bytes, request.images))
        case EmbedRequest(texts=texts):
            return len(texts), sum(map(len, texts)), 0
    return 0, 0, 0


def _bytes(part: object) -> int:
    """What an attachment weighs; a `data:` URL by its base64, three bytes for four characters."""
    if not isinstance(part, Image | File | Audio):
        return 0
    if part.data:
        return len(part.data)
    url = part.url or ""
    return len(url) * 3 // 4 if url[:5].lower() == "data:" else 0


def _within(what: str, size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise Refused(f"the request has {size:,} {what}; the guard `size` lets {most:,} through")


def _answer_within(size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise Refused(f"the answer has more than the {most:,} characters that the guard `size` lets through")


FACTORY = GuardFactory("size", SizeSettings, Size)
