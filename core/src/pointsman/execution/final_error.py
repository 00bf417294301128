"""The error that a request ends with, as its caller sees it: what is ours, and nothing of what is below."""

from __future__ import annotations

from pointsman.errors import CallError, MidStreamError, PointsmanError


def cut(error: CallError, *, keep: bool) -> None:
    """Leave of what led to `error` the errors of ours, and no frames: they say all there is to say.

    What is below is another library's, in words that may hold a secret, and a hundred lines of it. Whoever
    wants to `keep` it finds it in `__context__`; it is not printed.
    """
    below: BaseException | None = error
    seen: set[int] = set()
    while isinstance(below, PointsmanError):
        seen.add(id(below))
        cause = below.__cause__
        ours = isinstance(cause, PointsmanError) and id(cause) not in seen  # `raise error from error`
        if not keep:
            below.__traceback__ = below.__context__ = None
        elif not ours:
            below.__context__ = cause or below.__context__
        below.__cause__ = cause if ours else None
        below.__suppress_context__ = keep  # else it is what the caller was handling
        below = below.__cause__
    if isinstance(error, MidStreamError):
        cut(error.cause, keep=keep)
