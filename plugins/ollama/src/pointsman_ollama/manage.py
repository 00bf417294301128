"""What only Ollama can do with models: pull with progress, what is loaded, what a model is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

from msgspec import Struct

from pointsman.plugin import (
    BadResponse,
    CallError,
    Client,
    JsonObject,
    ModelInfo,
    OpenAnswer,
    SseEvent,
    Truncated,
    is_complaint,
    jsonio,
)
from pointsman_ollama.decode import Lines
from pointsman_ollama.errors import NOT_OLLAMA, error_in_answer


class PullProgress(Struct, frozen=True):
    """One step of a pull. The numbers are those of one layer, `digest`; the last status is `success`."""

    status: str
    digest: str | None = None
    total_bytes: int | None = None
    completed_bytes: int | None = None


class RunningModel(Struct, frozen=True):
    """A model in memory; `vram_bytes` of its `size_bytes` lie on a GPU, and it leaves at `expires_at`."""

    name: str
    size_bytes: int | None = None
    vram_bytes: int | None = None
    expires_at: datetime | None = None
    context_window: int | None = None


class ModelDetails(Struct, frozen=True):
    """What a model is; all else that the server told stands in `raw`."""

    name: str
    family: str = ""
    parameter_size: str = ""
    quantization: str = ""
    context_window: int | None = None
    capabilities: Sequence[str] = ()
    raw: Any = None


class Pull:
    """A pull, or the making of a model, under way: iterate over its progress. It begins with the first step
    and can be had once.

    Leave it early with `async with` or `aclose`: the server then stops, and keeps what it has for later.

    Raises, while iterating: ModelNotFound, IdleTimeout when nothing comes for `idle` seconds, Truncated
    when the stream ends without `success`, and what any call can raise.
    """

    def __init__(self, open: Callable[[], Awaitable[OpenAnswer]], client: Client, *, idle: float) -> None:
        self._open = open
        self._client = client
        self._idle = idle
        self._answer: OpenAnswer | None = None
        self._framer = Lines()
        self._frames: list[SseEvent] = []
        self._done = False

    def __aiter__(self) -> Pull:
        return self

    async def __anext__(self) -> PullProgress:
        if self._done:
            raise StopAsyncIteration
        try:
            step = progress(await self._line())
        except BaseException as error:
            self._done = True
            if self._answer is not None:
                self._answer.abort()
            if isinstance(error, CallError):  # it does not go through the router, which would do this
                self._client.scrubber.error(error)
            raise
        if step.status == "success":
            await self.aclose()
        return step

    async def __aenter__(self) -> Pull:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop."""
        self._done = True
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.aclose()

    async def _line(self) -> bytes:
        if self._answer is None:
            self._answer = await self._open()
        while not self._frames:
            data = await self._answer.chunk(self._client.now() + self._idle, self._client.errors.silent)
            self._frames = self._framer.close() if data is None else self._framer.feed(data)
            if data is None and not self._frames:
                raise Truncated("it ended without success; try again, what has arrived is kept")
        return self._frames.pop(0).data


def progress(line: bytes) -> PullProgress:
    """One line of a pull. Raises BadResponse, and the error that the line holds."""
    try:
        value = jsonio.loads(line)
    except ValueError as error:
        raise BadResponse(f"a line of Ollama's answer is not JSON: {error}") from error
    if isinstance(value, Mapping) and is_complaint(value):
        raise error_in_answer(value)
    if not isinstance(value, Mapping) or not isinstance(value.get("status"), str):
        raise BadResponse("a line of Ollama's answer is no progress")
    return PullProgress(
        value["status"], _text(value, "digest") or None, _number(value, "total"), _number(value, "completed")
    )


def version(value: Any) -> str:
    """The version of /api/version. Raises BadResponse when another kind of server answered."""
    found = value.get("version") if isinstance(value, Mapping) else None
    if not isinstance(found, str):
        raise BadResponse(f"the answer has no version; {NOT_OLLAMA}")
    return found


def model_list(value: Any, provider: str) -> list[ModelInfo]:
    """The models of /api/tags."""
    return [
        ModelInfo(
            id=_text(each, "name") or _text(each, "model"),
            provider=provider,
            created=_seconds(each.get("modified_at")),
            context_window=_number(_details(each), "context_length"),
            capabilities=_texts(each, "capabilities"),
            size_bytes=_number(each, "size"),
            raw=each,
        )
        for each in _models(value)
    ]


def running(value: Any) -> list[RunningModel]:
    """The models of /api/ps, in its order: who stays longest comes first."""
    return [
        RunningModel(
            name=_text(each, "name") or _text(each, "model"),
            size_bytes=_number(each, "size"),
            vram_bytes=_number(each, "size_vram"),
            expires_at=_instant(each.get("expires_at")),
            context_window=_number(each, "context_length"),
        )
        for each in _models(value)
    ]


def details(value: Any, name: str) -> ModelDetails:
    """The answer of /api/show."""
    if not isinstance(value, Mapping):
        raise BadResponse("Ollama's answer is not a JSON object")
    about = _details(value)
    info = value.get("model_info")
    info = info if isinstance(info, Mapping) else {}
    architecture = _text(info, "general.architecture")
    return ModelDetails(
        name=name,
        family=_text(about, "family"),
        parameter_size=_text(about, "parameter_size"),
        quantization=_text(about, "quantization_level"),
        context_window=_number(info, f"{architecture}.context_length"),
        capabilities=_texts(value, "capabilities"),
        raw=value,
    )


def _models(value: Any) -> list[JsonObject]:
    models = value.get("models") if isinstance(value, Mapping) else None
    if not isinstance(models, list) or not all(isinstance(each, Mapping) for each in models):
        raise BadResponse("Ollama's answer has no list of models")
    return models


def _details(holder: JsonObject) -> JsonObject:
    found = holder.get("details")
    return found if isinstance(found, Mapping) else {}


def _text(holder: JsonObject, name: str) -> str:
    value = holder.get(name)
    return value if isinstance(value, str) else ""


def _texts(holder: JsonObject, name: str) -> tuple[str, ...]:
    value = holder.get(name)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()


def _number(holder: JsonObject, name: str) -> int | None:
    value = holder.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _instant(value: Any) -> datetime | None:
    """An RFC 3339 instant, of whose fraction six digits are kept; None for none and for Go's zero time."""
    try:
        instant = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return instant if instant.tzinfo is not None and instant.year > 1 else None


def _seconds(value: Any) -> int | None:
    instant = _instant(value)
    return None if instant is None else int(instant.timestamp())
