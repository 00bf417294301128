"""Quantities as people write them in a configuration: durations, rates and percentages.

Each has a pure `parse_…` and a `format_…` with `parse(format(x)) == x`, and a pydantic type made of them.
Sizes are only written, in messages.
Arithmetic is exact until the last step, so `1.1s` is the float that Python calls 1.1.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any

from msgspec import Struct
from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

_NUMBER = r"(?:\d+(?:\.\d+)?|\.\d+)"
_LONGEST = 400
"""Characters; enough for any float written out, and too few to be slow."""

_DURATIONS = {
    "d": Fraction(86_400),
    "h": Fraction(3_600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1_000),
}
_DURATION = rf"\s*(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?\s*"
_DURATION_EXAMPLE = "seconds as a number, or a duration such as '500ms', '30s', '2m' or '1h30m'"

_PERIODS = {
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3_600.0, "hour": 3_600.0,
    "d": 86_400.0, "day": 86_400.0,
}  # fmt: skip
_PERIOD_NAMES = {1.0: "s", 60.0: "min", 3_600.0: "h", 86_400.0: "day"}
_RATE_EXAMPLE = "a rate such as '500/min', '10/s', '1000/h' or '20/10s'"

_ALLOWANCE = rf"^\s*({_NUMBER})\s*USD\s*/\s*(hour|day|month)\s*$"
_ALLOWANCE_EXAMPLE = "an amount per hour, day or month, such as '2 USD/day'"
_USD = 10**8
"""Millionths of a cent."""

_SIZES = {
    "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10,
    "TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3,
}  # fmt: skip
_PERCENT_EXAMPLE = "a percentage such as '20%', or a fraction from 0 to 1 such as 0.2"


def parse_duration(value: object) -> float:
    """Seconds, 0 or more, from a number of seconds or a string such as `500ms`, `30s`, `2m`, `1h30m`.

    The units are `d h m s ms`, each at most once and the largest first.

    Raises: ValueError saying what was expected.
    """
    number = _number(value, _DURATION_EXAMPLE)
    if number is not None:
        return number
    found = _match(_DURATION, value)
    if found is None or not found[0].strip():
        raise _expected(_DURATION_EXAMPLE, value)
    parts = re.findall(rf"({_NUMBER})(ms|[dhms])", found[0])
    return _finite(sum((Fraction(count) * _DURATIONS[unit] for count, unit in parts), Fraction(0)))


def format_duration(seconds: float) -> str:
    """The shortest usual way to write `seconds` (0 or more): `500ms`, `1.5s`, `1m30s`, `10m`."""
    rest = _exact(seconds)
    if 0 < rest < 1 and (rest * 1_000).denominator == 1:
        return f"{rest * 1_000}ms"
    written = ""
    for unit in ("d", "h", "m"):
        whole = rest // _DURATIONS[unit]
        if whole and seconds < 2**53:
            written += f"{whole}{unit}"
            rest -= whole * _DURATIONS[unit]
    return written + (f"{_plain(rest)}s" if rest or not written else "")


class Rate(Struct, frozen=True):
    """So many per so long: `count`, 1 or more, in every `period` seconds, above 0."""

    count: int
    period: float

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 < self.period < math.inf:
            raise ValueError("a rate needs a count of 1 or more and a period above 0")

    def __str__(self) -> str:
        return format_rate(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            parse_rate, serialization=core_schema.plain_serializer_function_ser_schema(format_rate)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^\s*\d+\s*/\s*[0-9a-z.]+\s*$", "examples": ["500/min", "10/s"]}


def parse_rate(value: object) -> Rate:
    """A `Rate` from a string such as `500/min`, `10/s`, `1000/h` or `20/10s`; a `Rate` stays as it is.

    Raises: ValueError saying what was expected.
    """
    if isinstance(value, Rate):
        return value
    found = _match(rf"\s*(\d+)\s*/\s*({_NUMBER}?[a-z0-9.]*)\s*", value)
    if found is None:
        raise _expected(_RATE_EXAMPLE, value)
    count, per = found.groups()
    period = _PERIODS.get(per)
    try:
        return Rate(int(count), parse_duration(per) if period is None else period)
    except ValueError:
        raise _expected(_RATE_EXAMPLE, value) from None


def format_rate(rate: Rate) -> str:
    """`500/min` for a usual period, `20/10s` for any other."""
    return f"{rate.count}/{_PERIOD_NAMES.get(rate.period) or format_duration(rate.period)}"


class Allowance(Struct, frozen=True):
    """Money per `hour`, `day` or `month` of the calendar in UTC, in millionths of a US cent."""

    microcents: int
    per: str

    def __str__(self) -> str:
        return format_allowance(self)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            parse_allowance,
            serialization=core_schema.plain_serializer_function_ser_schema(format_allowance),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _schema: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": _ALLOWANCE, "examples": ["2 USD/day", "50 USD/month"]}


def parse_allowance(value: object) -> Allowance:
    """An `Allowance` from a string such as `2 USD/day`; an `Allowance` stays as it is.

    Raises: ValueError saying what was expected.
    """
    if isinstance(value, Allowance):
        return value
    found = _match(_ALLOWANCE, value)
    if found is None:
        raise _expected(_ALLOWANCE_EXAMPLE, value)
    amount = Fraction(found[1]) * _USD
    if amount.denominator != 1:
        raise ValueError("the amount has more than 8 digits after the point")
    return Allowance(int(amount), found[2])


def format_allowance(allowance: Allowance) -> str:
    """`2 USD/day`."""
    return f"{_plain(Fraction(allowance.microcents, _USD))} USD/{allowance.per}"


def format_size(size_bytes: int) -> str:
    """`size_bytes` in the largest unit that it is a whole number of: `64KiB`, `10MB`, `513B`."""
    for unit, unit_bytes in _SIZES.items():
        if size_bytes and size_bytes % unit_bytes == 0:
            return f"{size_bytes // unit_bytes}{unit}"
    return f"{size_bytes}B"


def parse_percent(value: object) -> float:
    """A fraction, 0 <= fraction <= 1, from a string such as `20%` or from the fraction itself.

    Raises: ValueError saying what was expected.
    """
    fraction = _number(value, _PERCENT_EXAMPLE)
    if fraction is None:
        found = _match(rf"\s*({_NUMBER})\s*%\s*", value)
        if found is None:
            raise _expected(_PERCENT_EXAMPLE, value)
        fraction = _finite(Fraction(found[1]) / 100)
    if fraction > 1:
        raise _expected(_PERCENT_EXAMPLE, value)
    return fraction


def format_percent(fraction: float) -> str:
    """`20%` for 0.2."""
    return f"{_plain(_exact(fraction) * 100)}%"


def _schema(kind: str, unit: str, pattern: str, examples: list[object], **number: float) -> WithJsonSchema:
    """The JSON Schema of a quantity; `unit` is a keyword of ours, for tables of settings."""
    return WithJsonSchema(
        {
            "unit": unit,
            "anyOf": [{"type": kind, "minimum": 0, **number}, {"type": "string", "pattern": pattern}],
            "examples": examples,
        }
    )


_SHORTEST = 0.001
_CENTURY = 36_500 * 86_400.0


def _sane_duration(value: object) -> float:
    seconds = parse_duration(value)
    if 0 < seconds < _SHORTEST:
        raise ValueError("is too short; it must be 0 or 1ms or more")
    if seconds > _CENTURY:
        raise ValueError("is too long; it must be 36500d (a century) or less")
    return seconds


Duration = Annotated[
    float,
    BeforeValidator(_sane_duration),
    _schema("number", "seconds", r"^\s*([0-9.]+|([0-9.]+(d|h|m|s|ms))+)\s*$", ["500ms", "30s", "1h30m", 2.5]),
]
"""Seconds as a float, 0 or 1 ms to a century; written as a number or as `500ms`, `30s`, `2m`, `1m30s`."""

Percent = Annotated[
    float,
    BeforeValidator(parse_percent),
    _schema("number", "fraction", r"^\s*[0-9.]+\s*%?\s*$", ["20%", 0.2], maximum=1),
]
"""A fraction from 0 to 1 as a float; written as `20%` or as 0.2."""


def _number(value: object, example: str) -> float | None:
    """`value` as a float when it is a number or a string of nothing else, which `${VAR}` makes; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise _expected(example, value)
    if isinstance(value, str):
        return _finite(Fraction(value.strip())) if _match(rf"\s*{_NUMBER}\s*", value) else None
    if not 0 <= value < math.inf:
        raise _expected(example, value)
    return _finite(Fraction(value))


def _match(pattern: str, value: object) -> re.Match[str] | None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    return re.fullmatch(pattern, value, flags=re.ASCII)


def _finite(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        raise ValueError("the number is too large") from None


def _exact(number: float) -> Fraction:
    """The decimal that Python writes for `number`, without rounding."""
    return Fraction(repr(number))


def _plain(number: Fraction) -> str:
    """A decimal fraction written out without an exponent. `number` has only 2 and 5 in its denominator."""
    digits = 0
    while (number * 10**digits).denominator != 1:
        digits += 1
    whole = str(int(number * 10**digits)).rjust(digits + 1, "0")
    return f"{whole[:-digits]}.{whole[-digits:]}" if digits else whole


class NoQuantity(ValueError):
    """What cannot be read as a quantity.

    Attributes:
        code: as of `Problem`.
        hint: which quantity was probably meant; None when nobody knows.
    """

    code = "PM1106"

    def __init__(self, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.hint = hint


def _expected(example: str, value: object) -> NoQuantity:
    """What was expected. The text that stood there is not repeated: by mistake it may be a secret."""
    meant = _meant(example, value)
    hint = None if meant is None else f"did you mean '{meant}'?"
    if isinstance(value, str):
        return NoQuantity(f"expected {example}", hint)
    shown = str(value) if isinstance(value, bool | float) else _kind(value)
    return NoQuantity(f"expected {example}, not {shown}", hint)


_SAID = {
    "d": "d day days", "h": "h hr hrs hour hours", "m": "m min mins minute minutes",
    "s": "s sec secs second seconds", "ms": "ms msec msecs milli millis millisecond milliseconds",
}  # fmt: skip
"""What people write in place of each unit of time."""


def _meant(example: str, value: object) -> str | None:
    """The quantity that `value` reads like, as it is written here."""
    if example is _PERCENT_EXAMPLE and isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value}%" if 1 < value <= 100 else None
    if example is _RATE_EXAMPLE and isinstance(value, int) and not isinstance(value, bool):
        return f"{value}/min" if 0 < value < 10**9 else None
    found = _match(rf"\s*({_NUMBER})\s*((?:/|per)?)\s*([A-Za-z]+)\s*", value)
    if found is None:
        return None
    number, per, word = found[1], found[2], found[3].lower()
    if example is _PERCENT_EXAMPLE:
        return f"{number}%" if word in ("percent", "pct", "p") else None
    if example is _RATE_EXAMPLE and word in ("rpm", "rps", "tpm"):
        per, word = "/", "s" if word == "rps" else "min"
    unit = next((unit for unit, said in _SAID.items() if word in said.split()), None)
    if unit is None or bool(per) != (example is _RATE_EXAMPLE):
        return None
    return f"{number}/{'min' if unit == 'm' else unit}" if per else f"{number}{unit}"


def _kind(value: object) -> str:
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a number as large as this"
    return "nothing" if value is None else f"a {type(value).__name__}"
