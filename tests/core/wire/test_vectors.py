"""Vectors that would spoil an index are never a success."""

from __future__ import annotations

import math
from typing import Any

import pytest

from pointsman.errors import BadResponse, Unsupported
from pointsman.wire.vectors import check_vectors


@pytest.mark.parametrize("odd", [None, "1", True, math.nan, math.inf, -math.inf, [1.0], {}])
def test_a_vector_of_anything_but_finite_numbers_is_refused(odd: Any) -> None:
    with pytest.raises(BadResponse, match="finite numbers"):
        check_vectors([[0.0, 1.0], [0.5, odd]], None)


def test_infinities_that_cancel_each_other_out_are_seen() -> None:
    with pytest.raises(BadResponse, match="finite numbers"):
        check_vectors([[math.inf, -math.inf]], None)


@pytest.mark.parametrize("vectors", [[[]], [[1.0], [1.0, 2.0]], [[1.0], []]])
def test_vectors_that_are_empty_or_of_different_lengths_are_refused(vectors: list[list[float]]) -> None:
    with pytest.raises(BadResponse, match="lengths"):
        check_vectors(vectors, None)


def test_large_numbers_are_numbers() -> None:
    check_vectors([[1.7e308, 1.7e308, 3]], 3)
    check_vectors([], 3)


def test_other_dimensions_than_asked_for_are_unsupported() -> None:
    with pytest.raises(Unsupported, match="2 dimensions, not the 3"):
        check_vectors([[1.0, 2.0]], 3)
