"""An amount of money that reads as people write it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class Usd(Decimal):
    """A decimal that is printed without an exponent. What is calculated with it is a plain `Decimal`."""

    __slots__ = ()

    def __str__(self) -> str:
        return format(self, "f")

    def __format__(self, spec: str, /, *context: Any) -> str:
        return super().__format__(spec or "f", *context)


def usd(microcents: int) -> Usd:
    """That many millionths of a US cent in USD, exactly, without zeros at the end."""
    # Of text, for the result of a calculation is rounded as whoever runs in this thread likes it.
    return Usd(format(Decimal(f"{microcents}e-8"), "f").rstrip("0").rstrip("."))
