"""How a command runs: one event loop, one router that is closed whatever happens; Ctrl-C is 130, SIGTERM 143.

Ctrl-C ends at once what runs. SIGTERM lets it finish: the router takes no further requests, those that run
have `timeouts.drain` of the configuration, and what is left then ends with an error of ours. A second
SIGTERM does not wait.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman_cli.errors import USAGE, Failed, Terminated
from pointsman_cli.options import Asked

if TYPE_CHECKING:
    from pointsman import Config, Router

T = TypeVar("T")

_LAST_WORDS = 1.0
"""Seconds that a command has to say what became of its last request."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Ctrl-C cancels it, lets it clean up, and raises KeyboardInterrupt."""
    return asyncio.run(work)


@asynccontextmanager
async def router_for(asked: Asked, *, looks: bool = False) -> AsyncIterator[Router]:
    """A router for the configuration that was asked for, found or discovered; closed at the end.

    It starts no service, such as a control socket or metrics: those are of the application with the same
    configuration, which holds their addresses.

    Args:
        looks: no model is asked anything, so that there is nothing to audit and no file is begun for that.

    Raises: ConfigError, and Failed (2) when there is no configuration and nothing is found.
    """
    from pointsman import Router
    from pointsman_cli.configured import configuration

    config = await configuration(asked)
    router = Router.from_config(_of_one_command(config, looks=looks))
    async with router, drained_by_sigterm(asked, router):
        yield router


def _of_one_command(config: Config, *, looks: bool) -> Config:
    """`config` without what outlives a command. Raises ConfigError for what is wrong in that, too."""
    from pointsman import Router
    from pointsman.config.uses import sections_of_credentials

    needed = sections_of_credentials(config)
    left_out: dict[str, Any] = {name: None for name in config.sections if name not in needed}
    if looks and config.audit:
        left_out["audit"] = []
    if not left_out:
        return config
    Router.check(config)  # the router that is made sees nothing of them
    return config.model_copy(update=left_out)


@asynccontextmanager
async def drained_by_sigterm(asked: Asked, router: Router) -> AsyncIterator[None]:
    """Until its end SIGTERM drains `router`.

    Whoever entered is cancelled if it has not ended a moment after its last request; that is Terminated.
    """
    loop, owner = asyncio.get_running_loop(), asyncio.current_task()
    ending: list[asyncio.Task[None]] = []

    async def end() -> None:
        await router.shutdown()
        await asyncio.sleep(_LAST_WORDS)
        assert owner is not None
        owner.cancel()

    def terminate() -> None:
        if asked.terminated:
            ending.append(loop.create_task(router.aclose()))
            return
        asked.terminated = True
        ending.append(loop.create_task(end()))

    try:
        with _sigterm(asked, lambda: loop.call_soon_threadsafe(terminate)):
            yield
    except asyncio.CancelledError:
        if asked.terminated:
            raise Terminated from None
        raise
    finally:
        for each in ending:
            each.cancel()


@contextmanager
def ended_by_sigterm(asked: Asked) -> Iterator[None]:
    """Within it SIGTERM raises Terminated: for what waits for a person and would not notice."""

    def terminate() -> None:
        if not asked.terminated:
            asked.terminated = True
            raise Terminated

    with _sigterm(asked, terminate):
        yield


@contextmanager
def _sigterm(asked: Asked, act: Callable[[], object]) -> Iterator[None]:
    """Within it SIGTERM means `act`; once the command ends because of one, it means nothing any more.

    `_nothing` stands for SIG_IGN, which Python would answer with a traceback for a SIGTERM that comes just
    while it is set.
    """
    try:
        before = signal.signal(signal.SIGTERM, lambda _number, _frame: act())
    except ValueError:  # not the main thread: there SIGTERM ends the process
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _nothing if asked.terminated else before)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it Ctrl-C waits: for what has to be closed anyway. It is a KeyboardInterrupt at the end."""
    came = False

    def note(_number: int, _frame: object) -> None:
        nonlocal came
        came = True

    try:
        before = signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread: there Ctrl-C never arrives
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def one_turn(runner: asyncio.Runner) -> None:
    """Give the loop of `runner` one turn.

    Where Ctrl-C fell just behind the end of a task, what stops the loop for that task is still to be called,
    and would stop it for the next one.
    """
    loop = runner.get_loop()
    loop.call_soon(loop.stop)
    loop.run_forever()


def _nothing(_number: int, _frame: object) -> None:
    """A signal handler."""


def default_model(router: Router) -> str:
    """The model for who names none. Raises Failed (2) when there is none."""
    if (name := router.config.model_by_default) is not None:
        return name
    raise Failed("the configuration has no model; add one under `models`", code=USAGE)
