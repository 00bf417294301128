"""What every retry policy owes the router."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator

import pytest

from pointsman.clock import Rng
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConnectionFailed,
    ContextWindowExceeded,
    InvalidRequest,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Unavailable,
)
from pointsman.retry import Failure, RetryPolicy
from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.rules import rule

_ERRORS: tuple[CallError, ...] = (
    Unavailable("down", status=500),
    RateLimited("slow down", status=429, retry_after=7.0),
    RateLimited("slow down", status=429, retry_after=1e9),
    Overloaded("full", status=529, retry_after=0.0),
    QuotaExhausted("out of money", status=429),
    ConnectionFailed("refused", sent=False),
    AttemptTimeout("too slow"),
    InvalidRequest("no", status=400),
    ContextWindowExceeded("too long", status=400),
)


class RetryContract(Contract, terms=True):
    """What every retry policy owes the router. Write `make`."""

    def make(self, rng: Rng) -> RetryPolicy:
        """A fresh policy, always with the same settings, that takes all its chance from `rng`."""
        raise NotImplementedError("write `make`, which returns a policy")

    @rule("RETRY-01", "No request would be sent at all.")
    def test_a_request_may_make_at_least_one_attempt(self) -> None:
        attempts = self.make(random.Random(1)).attempts  # noqa: S311 - a test's chance
        assert isinstance(attempts, int), f"attempts is {attempts!r}, not a whole number"
        assert attempts >= 1, f"attempts is {attempts}"

    @rule("RETRY-02", "A request would go on for as long as its upstream fails, and its load with it.")
    def test_there_is_no_attempt_beyond_the_last(self) -> None:
        policy = self.make(random.Random(2))  # noqa: S311 - a test's chance
        for failure in _failures(seed=1):
            if failure.number >= policy.attempts:
                delay = policy.delay(failure)
                assert delay is None, f"{delay} s after the last attempt: {failure}"

    @rule(
        "RETRY-03",
        "A delay that is no time to wait breaks off the request in the midst of a failure that "
        "was survivable.",
    )
    def test_a_delay_is_a_number_of_seconds_or_none(self) -> None:
        for rng in (random.Random(4), _Extreme(0.0), _Extreme(1.0 - 2**-53)):  # noqa: S311
            policy = self.make(rng)
            for failure in _failures(seed=3):
                delay = policy.delay(failure)
                if delay is not None:
                    assert isinstance(delay, int | float), f"{delay!r} after {failure}"
                    assert math.isfinite(delay), f"{delay} s after {failure}"
                    assert delay >= 0, f"{delay} s after {failure}"

    @rule(
        "RETRY-04",
        "Retries that hang on a hidden clock or dice can be neither tested nor explained after the fact.",
    )
    def test_only_the_time_and_chance_that_are_handed_in_decide(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = random.getstate()
        try:
            random.seed(1)
            first = self._delays()
            random.seed(2)
            with monkeypatch.context() as patch:
                for name in ("time", "monotonic", "perf_counter"):
                    patch.setattr(time, name, lambda: 4e9)
                second = self._delays()
        finally:
            random.setstate(before)
        assert first == second, "the same failures and the same chance gave other delays"

    def _delays(self) -> list[float | None]:
        policy = self.make(random.Random(5))  # noqa: S311 - a test's chance
        return [policy.delay(failure) for failure in _failures(seed=6)]


class _Extreme:
    """Chance that always falls the same way."""

    def __init__(self, value: float) -> None:
        self._value = value

    def random(self) -> float:
        return self._value

    def getrandbits(self, k: int, /) -> int:
        return int(self._value * 2**k)


def _failures(seed: int) -> Iterator[Failure]:
    """Failures of all kinds: ordinary ones, and counts and times that nobody expects."""
    rng = random.Random(seed)  # noqa: S311 - a test's chance
    for error in _ERRORS:
        for number in (1, 2, 3, 5, 20, 21, 1_000_000):
            failures = rng.choice((0, 1, min(number, 3), number))
            yield Failure(number, error, rng.random() < 0.5, failures, rng.choice((0.0, 0.1, 30.0, 1e6)))
