"""`--trace`: each attempt of a request on stderr, as it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pointsman_cli.options import Asked
from pointsman_cli.output import counted, say_json

if TYPE_CHECKING:
    from pointsman import Router


@contextmanager
def traced(router: Router, asked: Asked, *, wanted: bool) -> Iterator[None]:
    """Within it, tell every attempt, and at the end of each request where the answer came from."""
    if not wanted:
        yield
        return
    from pointsman.events import AttemptEnded, RequestEnded

    def tell(event: object) -> None:
        if not isinstance(event, AttemptEnded | RequestEnded):
            return
        attempt = isinstance(event, AttemptEnded)
        if asked.json:
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            say_json({"trace": "attempt" if attempt else "request", **fields})
        else:
            asked.asides.tell(attempt_line(event) if attempt else request_line(event))

    silence = router.listen(tell)
    try:
        yield
    finally:
        silence()


def attempt_line(event: Any) -> str:
    """`attempt 1  gpu1/llama3.2  upstream_fault  12 ms  unavailable 503: …`"""
    line = f"attempt {event.number}  {event.deployment}  {event.outcome}  {event.seconds * 1e3:.0f} ms"
    if event.first_token is not None:
        line += f"  (first token {event.first_token * 1e3:.0f} ms)"
    line += _cost(event, "  ")
    if event.error:
        status = "" if event.status is None else f" {event.status}"
        line += f"  {event.error}{status}: {event.detail}"
    return line


def request_line(event: Any) -> str:
    """Where the answer came from, or that none came."""
    attempts = counted(event.attempts, "attempt")
    took = f"after {attempts}, {event.seconds * 1e3:.0f} ms{_cost(event, ', ')}"
    if event.result == "ok":
        return f"answer from {event.deployment} {took}"
    return f"no answer ({event.error or event.result}) {took}"


def _cost(event: Any, before: str) -> str:
    """`0.0042 USD` after `before`; "" where nobody knows."""
    cost = event.cost_microcents
    if cost is None:
        return ""
    from pointsman.values.usd import usd

    return f"{before}{usd(cost)} USD"
