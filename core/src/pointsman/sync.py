"""The blocking facade: the same router on an event loop in a thread of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from functools import partial, wraps
from inspect import isawaitable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, Unpack, overload
from weakref import finalize

from pointsman.batch import BatchResult
from pointsman.build.loading import expect_config, to_run_on
from pointsman.config import Config
from pointsman.config.document import ConfigSource
from pointsman.errors import CallError
from pointsman.events import EVENTS, Event, Listener, NamesAttempts, Progress, log
from pointsman.execution.stream import ChatStream
from pointsman.loop_thread import Engine, Handover
from pointsman.requests.messages import Messages
from pointsman.router import Router
from pointsman.types import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    ModelInfo,
    StreamEvent,
)

if TYPE_CHECKING:
    from pointsman.budget import Budgets
    from pointsman.explanations import Explanation
    from pointsman.reports import Health, Status
    from pointsman.requests.option_types import ChatOptions, EmbedOptions, GenerateOptions

T = TypeVar("T")
K = TypeVar("K", bound=Event | Progress)


class SyncRouter:
    """A router for code without an event loop. Thread-safe: any number of threads may call it.

        with SyncRouter.from_config("pointsman.yaml") as router:
            print(router.chat("assistant", "hello").text)

    An interrupt (Ctrl-C) while a call runs cancels the call at the upstream. What it calls back (listeners,
    the iterable of a batch) runs in its own thread and must not call it.

    In a forked process it begins anew with the first call, with connections, limits, breakers and audit files
    of its own. One that nobody closed is closed at exit.
    """

    def __init__(self, config: Config, *, plugins: Iterable[object] = ()) -> None:
        """Build everything that `config` names. Raises ConfigError with all problems at once."""
        expect_config(config, type(self).__name__)
        self._plugins = tuple(plugins)
        self._closed = False
        self._listeners: dict[object, _Listening] = {}
        self._engine = Engine(Router(config, plugins=self._plugins))
        finalize(self, Engine.end_soon, self._engine).atexit = False  # at exit all engines are ended

    @property
    def _router(self) -> Router:
        return self._current().router

    def _current(self) -> Engine:
        """The engine of this process: after a fork a new one, for the thread of the old one is not here."""
        engine = self._engine
        if engine.abandoned:
            with engine.lock:
                if self._engine is engine and not self._closed:  # else another thread was first
                    router = Router(self._engine.router.config.said, plugins=self._plugins)
                    for each in self._listeners.values():
                        each.at(router)
                    self._engine = Engine(router)
                    finalize(self, Engine.end_soon, self._engine).atexit = False
        return self._engine

    @classmethod
    def from_config(
        cls, source: ConfigSource | Mapping[str, Any] | Config, *, plugins: Iterable[object] = ()
    ) -> SyncRouter:
        """A router for a file, a mapping or a `Config`."""
        given = tuple(plugins)
        return cls(to_run_on(source, given), plugins=given)

    @staticmethod
    def check(source: ConfigSource | Mapping[str, Any] | Config, *, plugins: Iterable[object] = ()) -> Config:
        """As `Router.check`."""
        return Router.check(source, plugins=plugins)

    def __enter__(self) -> SyncRouter:
        if any(each.discovers for each in self._router.config.providers.values()):
            self._run(self._router.__aenter__())  # else the first call would not know what is found
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections and end the thread. Calls that still run in other threads are cancelled
        at the upstream and raise RuntimeError.
        """
        self._engine.refuse_own_thread()
        with self._engine.lock:
            if self._closed:
                return
            self._closed = True
        self._engine.end()

    def shutdown(self, *, grace: float | None = None) -> bool:
        """As `Router.shutdown`, and ends the thread."""
        finished = self._run(self._router.shutdown(grace=grace))
        self.close()
        return finished

    def chat(
        self, model: str | ChatRequest, messages: Messages = (), **options: Unpack[ChatOptions]
    ) -> ChatResponse:
        """As `Router.chat`."""
        return self._run(self._router.chat(model, messages, **options))

    def stream(
        self, model: str | ChatRequest, messages: Messages = (), **options: Unpack[ChatOptions]
    ) -> SyncStream:
        """As `Router.stream`, to be used with `with` and iterated over with `for`."""
        return SyncStream(self, self._router.stream(model, messages, **options))

    def generate(
        self, model: str | GenerateRequest, prompt: str = "", **options: Unpack[GenerateOptions]
    ) -> ChatResponse:
        """As `Router.generate`."""
        return self._run(self._router.generate(model, prompt, **options))

    def embed(
        self, model: str | EmbedRequest, texts: str | Sequence[str] = (), **options: Unpack[EmbedOptions]
    ) -> EmbedResponse:
        """As `Router.embed`."""
        return self._run(self._router.embed(model, texts, **options))

    def batch(
        self,
        requests: Iterable[ChatRequest],
        *,
        concurrency: int = 8,
        ordered: bool = False,
        per_minute: float | None = None,
    ) -> Iterator[BatchResult]:
        """As `Router.batch`."""
        batch = self._router.batch(requests, concurrency=concurrency, ordered=ordered, per_minute=per_minute)
        try:
            while True:
                try:
                    yield self._run(_step(batch))
                except _End:
                    return
        finally:
            if not self._closed:
                self._run(batch.aclose())

    @property
    def config(self) -> Config:
        """As `Router.config`."""
        return self._router.config

    def models(self) -> list[ModelInfo]:
        """As `Router.models`."""
        return self._run(self._router.models())

    def health(self) -> Health:
        """As `Router.health`."""
        return self._run(self._router.health())

    def status(self) -> Status:
        """As `Router.status`."""
        found: Status = self._run(_later(self._router.status))
        return found

    def explain(
        self,
        model: str | ChatRequest,
        messages: Messages = "",
        *,
        stream: bool = False,
        **options: Unpack[ChatOptions],
    ) -> Explanation:
        """As `Router.explain`."""
        explain = partial(self._router.explain, model, messages, stream=stream)
        found: Explanation = self._run(_later(explain, **options))
        return found

    def provider(self, name: str) -> SyncProvider:
        """As `Router.provider`, with methods that block; see `SyncProvider`."""
        return SyncProvider(self, self._router.provider(name))

    @overload
    def listen(self, listener: Listener) -> Callable[[], None]: ...
    @overload
    def listen(self, listener: Callable[[K], None], *, kinds: Iterable[type[K]]) -> Callable[[], None]: ...
    def listen(
        self, listener: Callable[[Any], None], *, kinds: Iterable[type[Any]] | None = None
    ) -> Callable[[], None]:
        """As `Router.listen`; it is told in the router's own thread."""
        engine, token = self._current(), object()
        listening = _Listening(listener, EVENTS if kinds is None else tuple(kinds))
        end = self._run(_later(listening.at, engine.router))
        self._listeners[token] = listening

        def end_here() -> None:
            self._listeners.pop(token, None)
            if not self._closed and self._engine is engine:  # else nothing is told any more
                self._run(_later(end))

        return end_here

    def report(self, event: Event) -> None:
        """As `Router.report`."""
        engine = self._current()
        self._run(_later(lambda: engine.router.report(event)))

    def use_budgets(self, budgets: Budgets) -> Callable[[], None]:
        """As `Router.use_budgets`, in the thread of the router. A forked process has to say it anew."""
        engine = self._current()
        end = self._run(_later(lambda: engine.router.use_budgets(budgets)))

        def end_here() -> None:
            if not self._closed and self._engine is engine:
                self._run(_later(end))

        return end_here

    @property
    def budgets(self) -> Budgets | None:
        """As `Router.budgets`."""
        return self._current().router.budgets

    def trace(self, names: NamesAttempts) -> Callable[[], None]:
        """As `Router.trace`; it is asked in the router's own thread. A forked process has to say it anew."""
        engine = self._current()
        end = self._run(_later(lambda: engine.router.trace(names)))

        def end_here() -> None:
            if not self._closed and self._engine is engine:
                self._run(_later(end))

        return end_here

    def scrub(self, text: str) -> str:
        """As `Router.scrub`."""
        return self._router.scrub(text)

    def disable(self, deployment: str) -> None:
        """As `Router.disable`."""
        self._run(_later(lambda: self._router.disable(deployment)))

    def enable(self, deployment: str) -> None:
        """As `Router.enable`."""
        self._run(_later(lambda: self._router.enable(deployment)))

    def reset(self, deployment: str) -> None:
        """As `Router.reset`."""
        self._run(_later(lambda: self._router.reset(deployment)))

    def force_open(self, deployment: str) -> None:
        """As `Router.force_open`."""
        self._run(_later(lambda: self._router.force_open(deployment)))

    def drain(self, deployment: str, *, timeout: float | None = None) -> bool:
        """As `Router.drain`."""
        return self._run(self._router.drain(deployment, timeout=timeout))

    def reload(self, source: str | Path | Mapping[str, Any] | Config | None = None) -> None:
        """As `Router.reload`."""
        self._run(self._router.reload(source))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        call, engine = None, self._engine
        try:
            engine = self._current()
            engine.refuse_own_thread()
            call = Handover(work)
            with engine.lock:  # nothing may be handed to a loop that stops
                if self._closed:
                    raise RuntimeError("this router is closed")
                engine.loop.call_soon_threadsafe(engine.begin, call)
            return call.result.result()
        except CancelledError:
            if self._closed:
                raise RuntimeError("this router was closed while the call ran") from None
            raise
        except CallError as error:
            if not log.isEnabledFor(logging.DEBUG):
                error.__traceback__ = None  # it comes out of a future: ten lines about threads, and no more
            raise
        except BaseException:
            # Refused, or interrupted wherever it was: the call must not go on without its caller.
            (call or Handover(work)).give_up(engine.loop)
            raise


class _Listening(NamedTuple):
    """Who listens to what, also to the router of a forked process."""

    listener: Callable[[Any], None]
    kinds: Sequence[type[Any]]

    def at(self, router: Router) -> Callable[[], None]:
        return router.listen(self.listener, kinds=self.kinds)


class SyncStream:
    """A streamed answer for a `for` loop; see `ChatStream`."""

    def __init__(self, router: SyncRouter, stream: ChatStream) -> None:
        self._router = router
        self._stream = stream

    def __enter__(self) -> SyncStream:
        self._router._run(self._stream.__aenter__())
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __iter__(self) -> SyncStream:
        return self

    def __next__(self) -> StreamEvent:
        try:
            event: StreamEvent = self._router._run(_step(self._stream))
        except _End:
            raise StopIteration from None
        return event

    @property
    def response(self) -> ChatResponse:
        """The whole answer. Raises RuntimeError before the stream is at its end."""
        return self._stream.response

    @property
    def text(self) -> str:
        """The text so far."""
        return self._stream.text

    def close(self) -> None:
        """End the call if it still runs."""
        if not self._router._closed:  # else nothing runs any more
            self._router._run(self._stream.aclose())


class SyncProvider:
    """A provider object for code without an event loop.

    Its methods run in the router's own thread and give back what they return. What can be iterated over only
    asynchronously comes as `SyncItems`. Attributes that cannot be called are read as they are.
    """

    def __init__(self, router: SyncRouter, provider: Any) -> None:
        self._router = router
        self._provider = provider

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._provider, name)
        if not callable(found):
            return found

        @wraps(found)
        def blocking(*args: Any, **options: Any) -> Any:
            result = self._router._run(_later(found, *args, **options))
            return SyncItems(self._router, result) if isinstance(result, AsyncIterable) else result

        return blocking


class SyncItems:
    """What a provider's method gives one after the other, for a `for` loop.

    Who leaves it early closes it, with `with` or `close`.
    """

    def __init__(self, router: SyncRouter, items: AsyncIterable[Any]) -> None:
        self._router = router
        self._items = aiter(items)

    def __enter__(self) -> SyncItems:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __iter__(self) -> SyncItems:
        return self

    def __next__(self) -> Any:
        try:
            return self._router._run(_step(self._items))
        except _End:
            raise StopIteration from None

    def close(self) -> None:
        """End it, where it can be ended early."""
        aclose = getattr(self._items, "aclose", None)
        if aclose is not None and not self._router._closed:
            self._router._run(_later(aclose))


class _End(Exception):
    """The end of an asynchronous iteration; a future cannot carry StopAsyncIteration."""


async def _step(source: Any) -> Any:
    try:
        return await source.__anext__()
    except StopAsyncIteration:
        raise _End from None


async def _later(work: Callable[..., Any], *args: Any, **options: Any) -> Any:
    found = work(*args, **options)
    return await found if isawaitable(found) else found
