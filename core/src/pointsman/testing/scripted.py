"""A provider that does what a script says: for tests of everything above the providers."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct, field
from pydantic import BaseModel, ConfigDict

from pointsman.errors import IdleTimeout, Truncated, Unavailable
from pointsman.hookspecs import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    Finished,
    FinishReason,
    GenerateRequest,
    ModelInfo,
    StreamEvent,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)


class ScriptedAnswer(Struct, frozen=True):
    """One scripted answer.

    Attributes:
        text: what is answered; a stream sends it in pieces of one word.
        after: seconds until it comes; a stream's first word.
        gap: seconds between the words of a stream.
        error: raised in its place; in a stream after `words` words.
        words: how many words a stream sends before `error`, or before it ends without its end marker.
        cut: the stream ends without its end marker.
        tool_calls: what the model asks for; the reason to end is `tool_calls` then.
    """

    text: str = "ok"
    after: float = 0.0
    gap: float = 0.0
    error: BaseException | type[BaseException] | None = None
    words: int = 0
    cut: bool = False
    usage: Usage = field(default_factory=lambda: Usage(prompt=1, completion=1))
    tool_calls: Sequence[ToolCall] = ()

    @property
    def finish_reason(self) -> FinishReason:
        """Why it ends."""
        return "tool_calls" if self.tool_calls else "stop"


Step = ScriptedAnswer | BaseException | type[BaseException] | str | Callable[[Any, Call], "Step"]


class Scripted(PointsmanSpec):
    """The provider type `scripted`, or whichever it stands in for. Hand the object to a router as a plugin.

        upstream = Scripted()
        upstream.script("a", Unavailable("down"), "fine")       # for provider `a`, in order
        upstream.default("b", Unavailable("down"))              # for `b`, whenever its script is over
        router = Router.from_config({...}, plugins=[upstream])

    `calls` lists (provider, request, call) as they came; `in_flight` and `most_in_flight` count by provider.
    Providers in `ill` fail their checks; `probes` counts those.

        Router.from_config("pointsman.yaml", plugins=[Scripted("openai", "ollama")])    # no network, no key

    Args:
        types: the provider types that it offers; those of the same name that are installed are not used, and
            what a configuration says of their settings is not looked at.
    """

    def __init__(self, *types: str) -> None:
        self._types = types or ("scripted",)
        self.calls: list[tuple[str, Any, Call]] = []
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.aborted: Counter[str] = Counter()
        self.ill: set[str] = set()
        self.probes: Counter[str] = Counter()
        self._scripts: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._defaults: dict[str, Step] = {}

    def script(self, provider: str, *steps: Step) -> None:
        """What `provider` does with its next calls, one step for each."""
        self._scripts[provider].extend(steps)

    def default(self, provider: str, step: Step) -> None:
        """What `provider` does when its script is over; before that it answers `ok`."""
        self._defaults[provider] = step

    def clear(self) -> None:
        """Forget scripts, defaults and calls, so that the next test begins anew; calls at work go on."""
        self._scripts.clear()
        self._defaults.clear()
        self.calls.clear()

    def count(self, provider: str) -> int:
        """How many calls `provider` has had."""
        return sum(1 for name, _, _ in self.calls if name == provider)

    @hookimpl
    def pointsman_providers(self) -> Sequence[ProviderFactory]:
        return [
            ProviderFactory(
                each,
                _ScriptedSettings if each == "scripted" else _AnySettings,
                lambda context: _ScriptedProvider(context, self),
            )
            for each in self._types
        ]

    def next_answer(self, provider: str, request: Any, call: Call) -> ScriptedAnswer:
        """The answer for a call that begins now."""
        self.calls.append((provider, request, call))
        steps = self._scripts[provider]
        step: Step = steps.popleft() if steps else self._defaults.get(provider, "ok")
        while not isinstance(step, ScriptedAnswer | BaseException | str | type):
            step = step(request, call)
        if isinstance(step, ScriptedAnswer):
            return step
        return ScriptedAnswer(text=step) if isinstance(step, str) else ScriptedAnswer(error=step)

    def entered(self, provider: str) -> None:
        """A call is at work."""
        self.in_flight[provider] += 1
        self.most_in_flight[provider] = max(self.most_in_flight[provider], self.in_flight[provider])

    def left(self, provider: str) -> None:
        """A call is over."""
        self.in_flight[provider] -= 1


class _ScriptedSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _AnySettings(BaseModel):
    """Those of a type that it stands in for."""

    model_config = ConfigDict(extra="ignore")


class _ScriptedProvider(Provider):
    def __init__(self, context: ProviderContext, script: Scripted) -> None:
        super().__init__(context)
        self._script = script

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return _whole(await self._answer(request, call), call)

    async def generate(self, request: GenerateRequest, call: Call) -> ChatResponse:
        return _whole(await self._answer(request, call), call)

    async def embed(self, request: EmbedRequest, call: Call) -> EmbedResponse:
        answer = await self._answer(request, call)
        return EmbedResponse([[float(len(text))] for text in request.texts], answer.usage)

    async def stream(self, request: ChatRequest, call: Call) -> _ScriptedEvents:
        answer = self._script.next_answer(self.name, request, call)
        return _ScriptedEvents(answer, self._script, self.name)

    async def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo("scripted-model")]

    async def probe(self) -> None:
        self._script.probes[self.name] += 1
        if self.name in self._script.ill:
            raise Unavailable("it is ill")

    async def _answer(self, request: Any, call: Call) -> ScriptedAnswer:
        answer = self._script.next_answer(self.name, request, call)
        self._script.entered(self.name)
        try:
            if answer.after:
                await asyncio.sleep(answer.after)
            if answer.error is not None:
                raise answer.error
        except asyncio.CancelledError:
            self._script.aborted[self.name] += 1
            raise
        finally:
            self._script.left(self.name)
        return answer


def _whole(answer: ScriptedAnswer, call: Call) -> ChatResponse:
    return ChatResponse(answer.text, answer.tool_calls, answer.finish_reason, answer.usage, call.model)


class _ScriptedEvents:
    """An `EventStream` out of a script."""

    upstream_request_id = "scripted"

    def __init__(self, answer: ScriptedAnswer, script: Scripted, provider: str) -> None:
        self._answer = answer
        self._script = script
        self._provider = provider
        self._open = True
        self._events = iter(_events(answer))
        self._sent = 0
        script.entered(provider)

    async def next(self, until: float) -> Sequence[StreamEvent] | None:
        answer = self._answer
        wait = answer.after if self._sent == 0 else answer.gap
        if wait:
            try:
                async with asyncio.timeout_at(until):
                    await asyncio.sleep(wait)
            except TimeoutError:
                raise IdleTimeout("the script is silent") from None
        event = next(self._events, None)
        if event is None:
            if answer.error is not None:
                raise answer.error
            if answer.cut:
                raise Truncated("the script ends early")
            self._close()
            return None
        self._sent += 1
        return [event]

    def abort(self) -> None:
        if self._open:
            self._script.aborted[self._provider] += 1
        self._close()

    async def aclose(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._script.left(self._provider)


def _events(answer: ScriptedAnswer) -> Iterable[StreamEvent]:
    words = answer.text.split(" ")
    pieces = [word if n == 0 else f" {word}" for n, word in enumerate(words)]
    if answer.error is not None or answer.cut:
        return [TextDelta(piece) for piece in pieces[: answer.words]]
    calls = [
        ToolCallDelta(n, each.id, each.name, each.arguments, each.extra)
        for n, each in enumerate(answer.tool_calls)
    ]
    return [*(TextDelta(piece) for piece in pieces if piece), *calls, Finished(answer.finish_reason)]
