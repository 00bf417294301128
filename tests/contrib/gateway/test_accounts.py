"""What of a request's time is the gateway's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

from pointsman import Router
from pointsman.plugin import AttemptEnded, FirstToken, Queued
from pointsman_gateway.calls.accounts import Accounts


class Told:
    """Stands for a router that tells its listeners what a test says has happened, when it says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self._listeners: list[tuple[Callable[[Any], None], Iterable[type]]] = []

    def listen(self, listener: Callable[[Any], None], *, kinds: Iterable[type]) -> Callable[[], None]:
        self._listeners.append((listener, kinds))
        return lambda: None

    def at(self, now: float, event: object) -> None:
        self.now = now
        for listener, kinds in self._listeners:
            if type(event) in kinds:
                listener(event)


def flows(number: int, seconds: float) -> FirstToken:
    return FirstToken("r", "m", "gpu/m", number, seconds)


def ended(number: int, seconds: float) -> AttemptEnded:
    return AttemptEnded(
        "r", "m", "gpu/m", number, "upstream_fault", "x", "", 503, 0.0, seconds, None, None, ""
    )


def test_neither_attempts_nor_pauses_nor_lines_are_the_gateways_own_time() -> None:
    router = Told()
    account = Accounts(cast("Router", router), lambda: router.now).open("r", 0.0)

    router.at(3.0, ended(1, 2.0))
    router.at(9.0, ended(2, 1.0))  # after a pause
    router.at(10.0, Queued("r", "m"))  # after another one
    router.at(30.5, flows(3, 0.5))

    assert account.ours(31.0, 31.0) == 1.0
    assert (account.queued, account.deployment, account.attempts) == (20.0, "gpu/m", 3)
    router.at(33.0, ended(3, 3.0))
    assert account.ours(34.0, 34.0) == 2.0


def test_a_call_that_hardly_waited_in_line_waited_no_less_than_nothing() -> None:
    router = Told()
    account = Accounts(cast("Router", router), lambda: router.now).open("r", 0.0)

    router.at(1.0, Queued("r", "m"))
    router.at(1.5, flows(1, 0.6))  # the router's watch and ours are not read at the same instant

    assert account.queued == 0.0
