"""What this process itself has run out of, found in the errors of its sockets."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

RESOURCE_ERRORS = {
    errno.EMFILE: "this process has no file descriptors left: raise `ulimit -n`, or set max_in_flight",
    errno.ENFILE: "this machine has no file descriptors left",
    errno.ENOMEM: "this machine has no memory left for another connection",
    errno.ENOBUFS: "this machine has no memory left for another connection",
}
"""By error number, what is lacking wherever the connection should have led to."""
_NO_PORT = "this machine has no local port left for another connection there"


def shortage(error: BaseException, host: str) -> str | None:
    """What we lack, when that is why there is no connection to `host`; None when it is not.

    Each library wraps the errors of sockets in its own, so they are looked for among the causes.
    """
    causes = list(_causes(error))
    numbers = {each.errno for each in causes if each.errno}
    for number, lack in RESOURCE_ERRORS.items():
        if number in numbers:
            return lack
    if numbers == {errno.EADDRNOTAVAIL} and ":" not in host:  # of IPv6, that there is none on this machine
        return _NO_PORT
    if any(isinstance(each, socket.gaierror) for each in causes):
        return _of_resolver()
    return None


def _of_resolver() -> str | None:
    """What a resolver lacked. One that cannot open its files says only that it does not know the name."""
    try:
        socket.socket().close()
    except OSError as error:
        return RESOURCE_ERRORS.get(error.errno or 0)
    return None


def _causes(error: BaseException | None) -> Iterator[OSError]:
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, OSError):
            yield error
        if isinstance(error, BaseExceptionGroup):
            for each in error.exceptions:
                yield from _causes(each)
        error, seen = error.__cause__, seen + 1
