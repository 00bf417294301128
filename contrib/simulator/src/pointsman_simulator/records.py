"""What an upstream remembers of each request."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["completed", "aborted by client", "faulted", "killed"]


@dataclass(slots=True, eq=False)
class RequestRecord:
    """One request that arrived.

    Attributes:
        headers: names in lower case; of a repeated one the last value.
        body: parsed JSON, None when there was none or it was no JSON.
        when: seconds on the event loop's clock (`time.monotonic` with the standard loop).
        number: 1 for the first request of its upstream.
        status: of the answer, None while there is none.
        outcome: None while it runs. "killed": the upstream was stopped meanwhile.
        aborted_at: when the server saw that the client had gone, on the loop's clock.
        events_sent: content events written so far.
        ended: set when `outcome` is.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any
    when: float
    number: int
    status: int | None = None
    outcome: Outcome | None = None
    aborted_at: float | None = None
    events_sent: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
