"""Ids of answers and of what is in them, made out of what makes a request unique. Pure."""

from __future__ import annotations

from hashlib import blake2b

_DIGITS = 16
"""Bytes of an id; two hex digits each."""


def hex_of(request_id: str, wall: float, part: str = "") -> str:
    """32 hex digits, the same whenever the request and the part of its answer are the same.

    The time is in it because callers may give ids of their own, and give one twice.

    Args: wall: seconds since 1970 at which the request came.
    """
    # In microseconds, for to write a float takes longer than the rest.
    seed = f"{request_id}\0{int(wall * 1e6)}\0{part}".encode("utf-8", "surrogatepass")
    return blake2b(seed, digest_size=_DIGITS).hexdigest()
