"""What an upstream's errors mean, where its status, its code or words in its message tell it. Pure.

Nothing here takes longer than the message is long: codes are compared, words are looked for as they stand.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from pointsman.errors import CallError, Truncated


class ErrorPattern(Struct, frozen=True):
    """One kind of error, told by `status`, `code` or `message`: all that is said here must fit.

    Attributes:
        kind: what it is to us.
        status: of the HTTP answer.
        code: the upstream's code or type of the error, exactly.
        message: words in what it says, whether in capitals or not.
    """

    kind: type[CallError]
    status: int | None = None
    code: str = ""
    message: str = ""

    def fits(self, status: int | None, codes: Iterable[str], message: str) -> bool:
        """Whether an error is one of this kind."""
        if self.status is not None and self.status != status:
            return False
        if self.code and self.code not in codes:
            return False
        return self.message.casefold() in message[:_LONGEST].casefold()


_LONGEST = 4000
"""Characters of a message that are looked at."""


def kind_by_pattern(
    patterns: Iterable[ErrorPattern], status: int | None, codes: Iterable[str], message: str
) -> type[CallError] | None:
    """What the first pattern that fits says; None when none fits."""
    return next((each.kind for each in patterns if each.fits(status, codes, message)), None)


def by_pattern(patterns: Iterable[ErrorPattern], error: CallError) -> CallError:
    """`error`, which came with a status of success, as the first pattern that fits has it."""
    if isinstance(error, Truncated):  # not said by the upstream
        return error
    kind = kind_by_pattern(patterns, error.status, (error.upstream_code,), error.message)
    if kind is None or kind is type(error):
        return error
    return kind(
        error.message,
        status=error.status,
        retry_after=error.retry_after,
        upstream_request_id=error.upstream_request_id,
        upstream_code=error.upstream_code,
    )
