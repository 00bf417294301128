"""The latest requests, as operators look at them: without their contents, unless those are kept, too."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pointsman.plugin import AttemptEnded, RequestEnded
from pointsman_gateway.operator.contents import Contents

_MOST_UNENDED = 10_000
"""Requests whose attempts are known while they still run."""
SEARCHED_BY = ("caller", "model", "deployment", "result")


Scrub = Callable[[str], str]


class Recent:
    """A ring of requests that have ended, each with its attempts.

    Attributes:
        contents: what was asked and answered; None where that is not kept.
    """

    def __init__(self, listen: Callable[..., Callable[[], None]], kept: int) -> None:
        self._kept = kept
        self.contents: Contents | None = None
        # Events as they came: they are written when somebody reads them.
        self._ended: OrderedDict[str, tuple[RequestEnded, Sequence[AttemptEnded]]] = OrderedDict()
        self._attempts: OrderedDict[str, list[AttemptEnded]] = OrderedDict()
        self._stop = listen(self._hear, kinds=(AttemptEnded, RequestEnded)) if kept else _nothing

    def find(self, id: str, scrub: Scrub) -> Mapping[str, Any] | None:
        """The request of that id, texts of its `contents` as `scrub` has them; None when it is not kept."""
        found = self._ended.get(id)
        if found is None:
            return None
        contents = self.contents and self.contents.find(id, found[0].caller, scrub)
        return {**_request(*found), "contents": contents}

    def search(self, wanted: Mapping[str, str], most: int) -> list[Mapping[str, Any]]:
        """The latest that are so, at most so many, the last one first."""
        found = []
        for ended, attempts in reversed(self._ended.values()):
            if all(getattr(ended, name) == value for name, value in wanted.items()):
                found.append(_request(ended, attempts))
                if len(found) >= most:
                    break
        return found

    def close(self) -> None:
        """Hear of nothing any more."""
        self._stop()

    def _hear(self, event: AttemptEnded | RequestEnded) -> None:
        if isinstance(event, AttemptEnded):
            self._attempts.setdefault(event.request_id, []).append(event)
            if len(self._attempts) > _MOST_UNENDED:
                self._attempts.popitem(last=False)
            return
        self._ended.pop(event.request_id, None)  # a caller may use one id again
        self._ended[event.request_id] = (event, self._attempts.pop(event.request_id, ()))
        if len(self._ended) > self._kept:
            self._ended.popitem(last=False)


def _nothing() -> None:
    """There is nothing to stop."""


def _attempt(event: AttemptEnded) -> Mapping[str, Any]:
    return {
        "deployment": event.deployment,
        "model": event.model,
        "outcome": str(event.outcome),
        "error": event.error,
        "detail": event.detail,
        "status": event.status,
        "seconds": round(event.seconds, 6),
        "first_token": event.first_token,
        "hedge": event.hedge,
        "cost_microcents": event.cost_microcents,
    }


def _request(event: RequestEnded, attempts: Iterable[AttemptEnded]) -> Mapping[str, Any]:
    return {
        "id": event.request_id,
        "at": datetime.fromtimestamp(event.wall, UTC).isoformat(timespec="milliseconds"),
        "operation": event.operation,
        "caller": event.caller,
        "model": event.model,
        "pool": event.pool,
        "deployment": event.deployment,
        "result": event.result,
        "error": event.error,
        "detail": event.detail,
        "seconds": round(event.seconds, 6),
        "usage": event.usage,
        "cost_microcents": event.cost_microcents,
        "tags": dict(event.tags),
        "attempts": [_attempt(each) for each in attempts],
    }
