"""An average of samples that forgets the old ones."""

from __future__ import annotations

from math import exp, isclose

from hypothesis import given
from hypothesis import strategies as st

from pointsman.resilience.moving_average import MovingAverage


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.sampled_from([-1.0, 0.0, 0.5, 3.0, 3.2, 40.0, 1e6])), max_size=9)
)
def test_an_average_forgets_with_time_and_a_tenth_with_each_sample_at_least(
    samples: list[tuple[float, float]],
) -> None:
    average, now = MovingAverage(), 1000.0
    expected: float | None = None

    for sample, seconds in samples:
        now += seconds
        average.add(sample, now)
        old = min(0.9, exp(-max(0.0, seconds) / 30))
        expected = sample if expected is None else expected * old + sample * (1 - old)

        assert average.value is not None
        assert isclose(average.value, expected, rel_tol=1e-9, abs_tol=1e-9)
