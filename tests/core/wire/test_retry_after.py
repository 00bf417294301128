"""How long to wait: every form that an upstream may write it in, and nothing that hurts."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pointsman.wire.retry_after import parse_reset, reset_after, retry_after

NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
WALL = NOW.timestamp()

HTTP_DATES = {
    "the usual one": "%a, %d %b %Y %H:%M:%S GMT",
    "RFC 850": "%A, %d-%b-%y %H:%M:%S GMT",
    "asctime": "%a %b %d %H:%M:%S %Y",
}


# ── Retry-After ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        (" 3 ", 3.0),
        ("+2", 2.0),
        ("1e1", 10.0),
        ("5, 7", 7.0),
        ("7,,5", 7.0),
    ],
)
def test_decimal_seconds_are_read(value: str, seconds: float) -> None:
    assert retry_after({"retry-after": value}, wall=WALL) == seconds


@pytest.mark.parametrize(
    "value",
    ["", " ", ",", "nan", "NaN", "inf", "-inf", "Infinity", "-1", "1_0", "1e999", "soon", "0x10", "--"],
)
def test_what_is_no_number_of_seconds_is_no_hint(value: str) -> None:
    assert retry_after({"retry-after": value}, wall=WALL) is None
    assert retry_after({"retry-after-ms": value}, wall=WALL) is None


def test_milliseconds_win_over_seconds_unless_they_are_unusable() -> None:
    assert retry_after({"retry-after-ms": "1500.5", "retry-after": "9"}, wall=WALL) == pytest.approx(1.5005)
    assert retry_after({"retry-after-ms": "nan", "retry-after": "9"}, wall=WALL) == 9
    assert retry_after({"retry-after-ms": "-1", "retry-after": "9"}, wall=WALL) == 9


@pytest.mark.parametrize(
    ("millis", "seconds", "wait"),
    [("0", "1", 1), ("0.0", "2", 2), ("0", "0", 0), ("0", "", 0), ("0", "soon", 0), ("1400", "2", 1.4), ("500", "0", 0.5)],
)  # fmt: skip
def test_no_milliseconds_do_not_hide_the_seconds_beside_them(millis: str, seconds: str, wait: float) -> None:
    assert retry_after({"retry-after-ms": millis, "retry-after": seconds}, wall=WALL) == pytest.approx(wait)


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("ahead", [0, 30, 3600])
def test_an_instant_since_1970_is_read_in_any_unit(unit: int, ahead: int) -> None:
    said = str((int(WALL) + ahead) * unit)
    assert parse_reset(said, wall=int(WALL)) == pytest.approx(ahead, abs=1e-3)
    assert retry_after({"retry-after": said}, wall=int(WALL)) == pytest.approx(ahead, abs=1e-3)


@pytest.mark.parametrize(("said", "wait"), [("6m0s", 360), ("120ms", 0.12), ("39s", 39), ("1h0m0s", 3600)])
def test_retry_after_may_be_a_duration(said: str, wait: float) -> None:
    assert retry_after({"retry-after": said}, wall=WALL) == pytest.approx(wait)


@pytest.mark.parametrize("form", HTTP_DATES.values(), ids=HTTP_DATES)
def test_each_form_of_date_counts_from_the_answers_own_date(form: str) -> None:
    then = (NOW + timedelta(seconds=90)).strftime(form)
    upstream_clock = (NOW + timedelta(seconds=60)).strftime(form)

    assert retry_after({"retry-after": then}, wall=WALL) == 90
    assert retry_after({"retry-after": then, "date": upstream_clock}, wall=WALL) == 30
    assert retry_after({"retry-after": then, "date": "yesterday"}, wall=WALL) == 90


@pytest.mark.parametrize("form", HTTP_DATES.values(), ids=HTTP_DATES)
def test_a_date_in_the_past_is_no_wait(form: str) -> None:
    assert retry_after({"retry-after": (NOW - timedelta(hours=1)).strftime(form)}, wall=WALL) == 0


@settings(deadline=None)
@given(st.lists(st.sampled_from([*HTTP_DATES, "number", "garbage"]), min_size=1, max_size=4), st.data())
def test_of_several_values_the_largest_usable_one_counts(kinds: list[str], data: st.DataObject) -> None:
    values, waits = [], []
    for kind in kinds:
        wait = data.draw(st.integers(0, 100_000))
        if kind == "garbage":
            values.append("soon")
            continue
        waits.append(wait)
        form = HTTP_DATES.get(kind)
        values.append(str(wait) if form is None else (NOW + timedelta(seconds=wait)).strftime(form))

    hint = retry_after({"retry-after": ", ".join(values)}, wall=WALL)

    assert hint == max(waits, default=None)


def test_a_header_of_the_largest_size_is_read_in_no_time() -> None:
    assert retry_after({"retry-after": "Sun, " * 10_000 + "x, 3"}, wall=WALL) == 3
    assert parse_reset("1h" * 30_000 + "x", wall=WALL) is None


# ── resets ───────────────────────────────────────────────────────────────────────────────────────────

GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("6m0s", 360), ("120ms", 0.12), ("1h2m3.5s", 3723.5), ("1m500ms", 60.5), ("0s", 0), ("1.5h", 5400),
        (".5s", 0.5), ("1.s", 1), ("17us", 17e-6), ("17µs", 17e-6), ("8ns", 8e-9), ("12", 12), ("12.5", 12.5),
    ],
)  # fmt: skip
def test_durations_are_read(value: str, seconds: float) -> None:
    assert parse_reset(value, wall=WALL) == pytest.approx(seconds)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.integers(0, 10**6).map(str),
                st.builds("{}.{}".format, st.integers(0, 999), st.integers(0, 999)),
                st.integers(0, 999).map(".{}".format),
                st.integers(0, 999).map("{}.".format),
            ),
            st.sampled_from(sorted(GO_UNITS)),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_every_go_duration_is_the_sum_of_its_terms(terms: list[tuple[str, str]]) -> None:
    text = "".join(amount + unit for amount, unit in terms)

    assert parse_reset(text, wall=WALL) == pytest.approx(sum(float(a) * GO_UNITS[u] for a, u in terms))


def test_a_large_number_is_an_instant_in_epoch_seconds() -> None:
    assert parse_reset(f"{WALL + 42:.0f}", wall=WALL) == 42
    assert parse_reset(f"{WALL - 42:.0f}", wall=WALL) == 0


@pytest.mark.parametrize("fraction", ["", ".5", ".500", ".500000", ".500000000"])
@pytest.mark.parametrize("zone", ["Z", "+00:00", "+02:00", "-07:30", ""])
def test_instants_are_read_with_any_number_of_digits(fraction: str, zone: str) -> None:
    hours = {"+02:00": 2, "-07:30": -7.5}.get(zone, 0)
    local = NOW + timedelta(seconds=10, hours=hours)

    wait = parse_reset(f"{local:%Y-%m-%dT%H:%M:%S}{fraction}{zone}", wall=WALL)

    assert wait == pytest.approx(10.5 if fraction else 10)


def test_an_instant_in_the_past_is_no_wait() -> None:
    assert parse_reset("2001-01-01T00:00:00Z", wall=WALL) == 0


def test_the_latest_of_several_resets_counts() -> None:
    headers = {"a": "1s", "b": "2m", "c": "soon", "d": ""}

    assert reset_after(headers, ["a", "b", "c", "d", "absent"], wall=WALL) == 120
    assert reset_after(headers, ["c", "absent"], wall=WALL) is None


@pytest.mark.parametrize(
    "value",
    [
        "nan",
        "inf",
        "-5",
        "-5s",
        "1_0",
        "5x",
        "s",
        "m",
        "5 s",
        "1e999",
        "9" * 5000 + "h",
        "٣s",
        "２０2４-01-01",
    ],
)
def test_what_is_no_reset_is_no_hint(value: str) -> None:
    assert parse_reset(value, wall=WALL) is None


# ── anything at all ──────────────────────────────────────────────────────────────────────────────────

almost_dates = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Sunday", "x"]),
    st.integers(-1, 40),
    st.sampled_from(["Jan", "Feb", "x"]),
    st.integers(-1, 10**25),
    st.integers(0, 10**25),
    st.integers(0, 99),
    st.integers(0, 99),
    st.one_of(st.just("GMT"), st.integers(-(10**25), 10**25).map("{:+d}".format)),
)
anything = st.one_of(
    st.text(max_size=40),
    st.text("0123456789.eE+-_:, TZWhmsunµaif", max_size=30),
    almost_dates,
    st.datetimes().map(str),
)


@settings(deadline=None)
@given(anything, anything, anything)
@example("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "", "")
@example("Mon, 01 Jan 2024 00:00:00 +99999999999999999999999", "", "")
@example("9" * 64_000 + "h", "9" * 64_000, "9" * 64_000 + "s")
def test_nothing_that_an_upstream_writes_raises_or_makes_a_wait_that_is_none(
    one: str, two: str, date: str
) -> None:
    hints = [
        retry_after({"retry-after": one, "retry-after-ms": two, "date": date}, wall=WALL),
        retry_after({"retry-after": one, "date": date}, wall=WALL),
        parse_reset(one, wall=WALL),
        reset_after({"x": one, "y": two}, ["x", "y"], wall=WALL),
    ]

    assert all(hint is None or (math.isfinite(hint) and hint >= 0) for hint in hints)
