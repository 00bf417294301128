"""`--trace`: each attempt of a request on stderr, as it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pointsman_cli.output import say, say_json

if TYPE_CHECKING:
    from pointsman import Router


class Trace:
    """What there is to tell of attempts. While a line of an answer is open it is kept back."""

    def __init__(self) -> None:
        self._kept: list[str] | None = None

    def tell(self, line: str) -> None:
        """Say `line`, now or after the answer."""
        if self._kept is None:
            say(line)
        else:
            self._kept.append(line)

    def hold(self) -> None:
        """An answer begins."""
        self._kept = self._kept or []

    def release(self) -> None:
        """Its last line has ended."""
        kept, self._kept = self._kept or [], None
        for line in kept:
            say(line)


@contextmanager
def traced(router: Router, *, wanted: bool, as_json: bool) -> Iterator[Trace]:
    """Within it, tell every attempt, and at the end of each request where the answer came from."""
    trace = Trace()
    if not wanted:
        yield trace
        return
    from pointsman.events import AttemptEnded, RequestEnded

    def tell(event: object) -> None:
        if not isinstance(event, AttemptEnded | RequestEnded):
            return
        if as_json:
            kind = "attempt" if isinstance(event, AttemptEnded) else "request"
            say_json({"trace": kind, **event._asdict()})
        else:
            trace.tell(attempt_line(event) if isinstance(event, AttemptEnded) else request_line(event))

    silence = router.listen(tell)
    try:
        yield trace
    finally:
        silence()
        trace.release()


def attempt_line(event: Any) -> str:
    """`attempt 1  gpu1/llama3.2  upstream_fault  12 ms  unavailable 503: …`"""
    line = f"attempt {event.number}  {event.deployment}  {event.outcome}  {event.seconds * 1e3:.0f} ms"
    if event.first_token is not None:
        line += f"  (first token {event.first_token * 1e3:.0f} ms)"
    if event.error:
        status = "" if event.status is None else f" {event.status}"
        line += f"  {event.error}{status}: {event.detail}"
    return line


def request_line(event: Any) -> str:
    """Where the answer came from, or that none came."""
    attempts = f"{event.attempts} attempt{'' if event.attempts == 1 else 's'}"
    if event.result == "ok":
        return f"answer from {event.deployment} after {attempts}, {event.seconds * 1e3:.0f} ms"
    return f"no answer ({event.error or event.result}) after {attempts}, {event.seconds * 1e3:.0f} ms"
