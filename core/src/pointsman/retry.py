"""Retry policies: the interface of the plugin kind, and what a policy is told.

A policy only decides: whether to go on after a failed attempt, and how long to wait first. Which deployment
is tried next, what a deadline allows and what an upstream's own hint demands is the router's business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman._internal.settings import Section
from pointsman.context import Context
from pointsman.errors import CallError
from pointsman.resilience.retry_budget import BudgetSettings


class Failure(Struct, frozen=True):
    """One failed attempt, as a policy sees it.

    Attributes:
        number: how many attempts the request has made, 1 or more.
        error: what the last one ended with.
        elsewhere: the next attempt can go to a deployment that this request has not tried.
        failures: how often the deployment that is next in line has failed in this request.
        elapsed: seconds since the request began.
    """

    number: int
    error: CallError
    elsewhere: bool
    failures: int
    elapsed: float


class RetryPolicy(Protocol):
    """Decides after a failed attempt."""

    attempts: int
    """How many attempts one request may make in all, 1 or more; whatever `delay` says. Only a fallback that
    had none yet gets one beyond.
    """
    budget: BudgetSettings | None
    """How many retries all requests of a model together may make; None for no limit."""

    def delay(self, failure: Failure) -> float | None:
        """Seconds to wait before the next attempt, 0 or more; None to give up."""


class RetryContext(Context, frozen=True, kw_only=True, eq=False):
    """What a retry policy is made from."""


class RetryFactory(Struct, frozen=True):
    """What a retry plugin offers: `make` returns a `RetryPolicy`."""

    name: str
    settings: type[BaseModel] | type[Section]
    make: Callable[[RetryContext], RetryPolicy]
