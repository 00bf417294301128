"""Whether what an upstream gives as vectors are some, and of the dimensions that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from pointsman.errors import BadResponse, Unsupported

_NUMBERS = {int, float}


def check_vectors(vectors: Sequence[Sequence[float]], asked: int | None) -> None:
    """Raise for vectors that would spoil the caller's index.

    Raises: BadResponse for one that is empty or holds anything but finite numbers, and for vectors of
        different lengths; Unsupported for another length than `asked`, since some servers take no notice of
        `dimensions`.
    """
    lengths = set(map(len, vectors))
    if len(lengths) > 1 or 0 in lengths:
        raise BadResponse(f"the upstream gave vectors of these lengths: {sorted(lengths)}")
    for each in vectors:
        if not (set(map(type, each)) <= _NUMBERS and (isfinite(sum(each)) or all(map(isfinite, each)))):
            raise BadResponse("the upstream's embedding is not a list of finite numbers")
        if asked is not None and len(each) != asked:
            raise Unsupported(
                f"the upstream gave vectors of {len(each)} dimensions, not the {asked} that were asked for; "
                "it takes no notice of `dimensions` for this model",
                fields=("dimensions",),
            )
