"""Which lines of a request's head may stand there once only."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pointsman_gateway.access.denials import denied

CARRIERS = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
"""The fields that bring credentials; a cookie brings a session."""
_ONCE = frozenset(
    (
        *CARRIERS, "host", "origin", "content-length", "content-type", "transfer-encoding",
        "sec-fetch-site", "x-pointsman-csrf",
    )
)  # fmt: skip


def check_fields(fields: Mapping[str, str], repeated: Collection[str]) -> None:
    """Nothing that two readers could read in two ways goes further.

    Args:
        fields: by name in lower case.
        repeated: the names of those that came in more than one line.

    Raises: Denied.
    """
    for name in repeated:
        if name in _ONCE:
            raise denied("invalid", "repeated_header", f"the header {name} stands there more than once")
    if "transfer-encoding" in fields and "content-length" in fields:
        raise denied("invalid", "two_lengths", "the request says twice how long its body is")
