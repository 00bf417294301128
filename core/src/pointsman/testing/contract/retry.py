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
from pointsman.testing.contract.enforcement import Contract, check_made
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Quiet, blocks_kept_by, least_seconds

_LONGEST = 0.002
_LONGEST_DELAY = 86_400.0
_MOST_ATTEMPTS = 100
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

    @rule("RETRY-05", "The first failure would end with another in place of the start.")
    def test_it_has_the_interface_of_its_kind(self) -> None:
        check_made("retry", self.make(random.Random(1)))  # noqa: S311 - a test's chance

    @rule("RETRY-06", "One request keeps an upstream that is down busy, or its caller waiting, for ever.")
    def test_attempts_and_delays_have_bounds(self) -> None:
        for rng in (random.Random(4), _Extreme(1.0 - 2**-53)):  # noqa: S311 - a test's chance
            policy = self.make(rng)
            attempts = policy.attempts
            assert type(attempts) is int, f"attempts is the {type(attempts).__name__} {attempts!r}"
            assert attempts <= _MOST_ATTEMPTS, f"{attempts} attempts; more than {_MOST_ATTEMPTS} help nobody"
            for failure in _failures(seed=7):
                delay = policy.delay(failure)
                assert delay is None or type(delay) is not bool, f"a delay is {delay!r} after {failure}"
                assert delay is None or delay <= _LONGEST_DELAY, (
                    f"{delay:g} s after {failure}; bound it: what an upstream asks for, the router sees to"
                )
            assert policy.attempts == attempts, "attempts is another number after some failures"

    @rule("RETRY-07", "All other calls wait while it decides about one.")
    def test_deciding_takes_no_time(self) -> None:
        policy = self.make(random.Random(1))  # noqa: S311 - a test's chance
        for error in _ERRORS:
            failure = Failure(1, error, True, 1, 0.1)
            took = least_seconds(lambda f=failure: policy.delay(f), limit=_LONGEST)  # type: ignore[misc]
            assert took < _LONGEST, f"delay() takes {took * 1000:.1f} ms, and may take 2"

    @rule("RETRY-08", "The process grows with each failure, when there are most of them.")
    def test_decisions_leave_nothing_behind_in_memory(self) -> None:
        policy = self.make(random.Random(1))  # noqa: S311 - a test's chance

        def decide(turn: int) -> None:
            policy.delay(Failure(1 + turn % 3, Unavailable(f"down {turn}"), True, 1, float(turn)))

        kept = blocks_kept_by(decide)
        assert kept < 0.5, f"each failure leaves {kept:.1f} blocks of memory behind"

    @rule("RETRY-09", "What it does besides happens in the midst of an outage.")
    def test_deciding_starts_nothing_and_asks_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        capsys.readouterr()
        with Quiet() as quiet:
            self._delays()
            quiet.check()
        assert not (said := capsys.readouterr().out), f"it prints {said[:80]!r}"

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
