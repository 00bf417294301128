"""Durations, rates, sizes and percentages: what is read, what is refused, and that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from pointsman.units import (
    Duration,
    Percent,
    Rate,
    format_duration,
    format_percent,
    format_rate,
    format_size,
    parse_duration,
    parse_percent,
    parse_rate,
)

SECONDS = st.floats(0, allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("500ms", 0.5),
        ("30s", 30.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("1m30s", 90.0),
        ("1d2h3m4s5ms", 93784.005),
        ("1.5h", 5400.0),
        (".5s", 0.5),
        ("1.1s", 1.1),
        (" 30s ", 30.0),
        ("30", 30.0),
        (30, 30.0),
        (0.25, 0.25),
        (0, 0.0),
    ],
)
def test_a_duration_is_read_as_seconds(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "wrong",
    ["", " ", "s", "30 s s", "1s1h", "1s2s", "-5s", "1e3", "5 minutes", "٣s", "1_0s", "0x1", "9" * 401],
)
def test_a_text_that_is_no_duration_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        parse_duration(wrong)

    expected = "expected seconds as a number, or a duration such as '500ms', '30s', '2m' or '1h30m'"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("wrong", "shown"),
    [
        (True, "True"),
        (-1, "-1"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (None, "nothing"),
        ([], "a list"),
        (-(10**100), "a number as large as this"),
    ],
)
def test_what_is_neither_number_nor_text_is_refused_with_its_kind(wrong: object, shown: str) -> None:
    with pytest.raises(ValueError, match=rf", not {shown}$"):
        parse_duration(wrong)


def test_a_duration_beyond_any_float_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        parse_duration("9" * 399 + "d")
    with pytest.raises(ValueError, match="too large"):
        parse_duration(10**400)


@given(SECONDS)
def test_a_duration_that_was_written_is_read_back_exactly(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.text(max_size=12) | st.from_regex(r"([0-9]{1,3}(\.[0-9]{1,3})?(d|h|ms|m|s)?){1,3}", fullmatch=True))
def test_any_text_is_a_duration_of_0_or_more_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except ValueError:
        return

    assert seconds >= 0


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0s"),
        (0.5, "500ms"),
        (1.5, "1.5s"),
        (90.0, "1m30s"),
        (600.0, "10m"),
        (86400.0, "1d"),
        (1e-9, "0.000000001s"),
    ],
)
def test_a_duration_is_written_the_usual_way(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written


@pytest.mark.parametrize(
    ("written", "rate"),
    [
        ("500/min", Rate(500, 60.0)),
        ("10/s", Rate(10, 1.0)),
        ("1000/h", Rate(1000, 3600.0)),
        ("20/10s", Rate(20, 10.0)),
        ("7 / day", Rate(7, 86400.0)),
        (Rate(1, 2.0), Rate(1, 2.0)),
    ],
)
def test_a_rate_is_read_as_count_and_period(written: object, rate: Rate) -> None:
    assert parse_rate(written) == rate


@pytest.mark.parametrize(
    "wrong", ["", "5", "5/", "/s", "0/s", "-1/s", "1.5/s", "5/0s", "5/year", 5, None, "5/min30"]
)
def test_what_is_no_rate_is_refused_with_an_example(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected a rate such as '500/min', '10/s', '1000/h' or '20/10s'"):
        parse_rate(wrong)


@given(st.builds(Rate, st.integers(1, 10**12), st.floats(1e-6, 1e9)))
def test_a_rate_that_was_written_is_read_back_exactly(rate: Rate) -> None:
    assert parse_rate(format_rate(rate)) == rate


@pytest.mark.parametrize(
    ("size_bytes", "written"),
    [
        (65536, "64KiB"),
        (10_000_000, "10MB"),
        (512, "512B"),
        (1536, "1536B"),
        (0, "0B"),
        (2**30, "1GiB"),
        (3 * 2**40, "3TiB"),
    ],
)
def test_a_size_is_written_in_the_largest_unit_that_fits_exactly(size_bytes: int, written: str) -> None:
    assert format_size(size_bytes) == written


@pytest.mark.parametrize(
    ("written", "fraction"), [("20%", 0.2), ("0.2", 0.2), (0.2, 0.2), ("1.1%", 0.011), (1, 1.0), ("0%", 0)]
)
def test_a_percentage_is_read_as_a_fraction(written: object, fraction: float) -> None:
    assert parse_percent(written) == fraction


@pytest.mark.parametrize("wrong", ["", "%", "120%", 20, "20", "-1%", True, None])
def test_what_is_no_percentage_is_refused_with_an_example(wrong: object) -> None:
    with pytest.raises(ValueError, match="expected a percentage such as '20%', or a fraction from 0 to 1"):
        parse_percent(wrong)


@given(st.floats(0, 1))
def test_a_percentage_that_was_written_is_read_back_exactly(fraction: float) -> None:
    assert parse_percent(format_percent(fraction)) == fraction


class _Settings(BaseModel):
    wait: Duration = Field(default=1.0, gt=0)
    rate: Rate = Rate(1, 1.0)
    share: Percent = 0.0


def test_a_model_takes_all_three_and_keeps_the_constraints_of_its_fields() -> None:
    settings = _Settings.model_validate({"wait": "2s", "rate": "5/min", "share": "5%"})

    assert (settings.wait, settings.rate, settings.share) == (2.0, Rate(5, 60.0), 0.05)
    assert settings.model_dump(mode="json") == {"wait": 2.0, "rate": "5/min", "share": 0.05}
    with pytest.raises(ValidationError, match="greater than 0"):
        _Settings.model_validate({"wait": "0s"})


def test_the_json_schema_names_the_units_and_takes_texts() -> None:
    properties = _Settings.model_json_schema()["properties"]

    assert properties["wait"]["unit"] == "seconds"
    assert {each["type"] for each in properties["share"]["anyOf"]} == {"number", "string"}
    assert properties["rate"]["type"] == "string"
