"""Requests that run, so that operators see them, and can end one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from pointsman.plugin import Caller, ProblemDetails
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.calls.accounts import Account

ENDED = problem_in("policy", "refused", "ended_by_operator", "an operator ended this request")
"""What its caller hears."""
REVOKED = problem_in("policy", "refused", "key_ended", "the key of this request was revoked while it ran")
"""What the caller hears whose key was revoked."""

_UNKNOWN = Account(0.0)


class RunningRequests:
    """Those that run now.

    Args:
        now: seconds on a clock that only moves forward.
        account: what is known of the request of an id; of several that chose one id, of the last.
    """

    def __init__(
        self, now: Callable[[], float], account: Callable[[str], Account | None] = lambda _id: None
    ) -> None:
        self._now = now
        self._account = account
        self._by_id: dict[str, list[Running]] = {}

    def begin(self, id: str, *, model: str, caller: Caller) -> Running:
        """From now on the present task is known as the one of that request, until `end`."""
        task = asyncio.current_task()
        assert task is not None, "requests run in tasks"
        running = Running(self, id, model, caller, self._now(), task)
        self._by_id.setdefault(id, []).append(running)
        return running

    def remove(self, running: Running) -> None:
        """It runs no more."""
        same = self._by_id.get(running.id, [])
        if running in same:
            same.remove(running)
            if not same:
                del self._by_id[running.id]

    def source(self, id: str, caller: str) -> str:
        """What the caller goes back to whose request has that id and that name; "" for none.

        Callers can choose ids, also those of each other.
        """
        for each in self._by_id.get(id, ()):
            if each.caller.name == caller:
                return each.caller.source
        return ""

    def cancel(self, id: str) -> bool:
        """End the requests of that id, which callers can choose alike; whether there was one."""
        found = self._by_id.get(id, ())
        for each in found:
            each.cancel()
        return bool(found)

    def end_of(self, key_id: str) -> None:
        """End the requests of the key of that id, which is worth nothing any more."""
        for each in [each for same in self._by_id.values() for each in same]:
            if each.caller.key_id == key_id:
                each.cancel(REVOKED)

    def listed(self) -> list[Mapping[str, Any]]:
        """What runs, the oldest first."""
        return [self._listed(each) for same in self._by_id.values() for each in same]

    def _listed(self, running: Running) -> Mapping[str, Any]:
        account = self._account(running.id) or _UNKNOWN
        return {
            "id": running.id,
            "model": running.model,
            "caller": running.caller.name,
            "seconds": round(self._now() - running.began, 3),
            "phase": account.phase,
            "deployment": account.deployment,
            "attempts": account.attempts,
        }


class Running:
    """One of them; `with` ends it."""

    __slots__ = ("_all", "_task", "_why", "began", "caller", "id", "model")

    def __init__(
        self, all: RunningRequests, id: str, model: str, caller: Caller, began: float, task: asyncio.Task[Any]
    ) -> None:
        self._all = all
        self._task = task
        self._why: ProblemDetails | None = None
        self.id, self.model, self.caller, self.began = id, model, caller, began

    def cancel(self, why: ProblemDetails = ENDED) -> None:
        """End it, once; its caller hears `why`."""
        if self._why is None:
            self._why = why
            self._task.cancel()

    def was_ended(self) -> ProblemDetails | None:
        """What its caller is to hear, where the cancellation that has just arrived is ours and nobody else's.

        Then it goes no further: the task has an answer to write.
        """
        return self._why if self._why is not None and self._task.uncancel() == 0 else None

    def end(self) -> None:
        """It runs no more."""
        self._all.remove(self)

    def __enter__(self) -> Running:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.end()
