"""Whether vectors have the dimensions that were asked for. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.errors import Unsupported


def check_dimensions(vectors: Sequence[Sequence[float]], asked: int | None) -> None:
    """Raise Unsupported when a vector has another length than was asked for.

    Some servers take no notice of `dimensions`; vectors of another length would spoil the caller's index.
    """
    if asked is None:
        return
    for each in vectors:
        if len(each) != asked:
            raise Unsupported(
                f"the upstream gave vectors of {len(each)} dimensions, not the {asked} that were asked for; "
                "it takes no notice of `dimensions` for this model"
            )
