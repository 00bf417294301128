"""Which models are in memory and who may use them: a state machine that never reads a clock."""

import math
from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vram:
    """The memory of a simulated server.

    Attributes:
        max_loaded: models in memory at once, 1 or more.
        load_time: seconds until a model that was not in memory is ready.
        unload_after: seconds an idle model stays, unless the request says otherwise; negative: for ever.
        parallel: requests per loaded model at once, 1 or more; the rest queue.
        max_queue: requests that may wait; one more is refused.
    """

    max_loaded: int = 1
    load_time: float = 2.0
    unload_after: float = 300.0
    parallel: int = 1
    max_queue: int = 512

    def __post_init__(self) -> None:
        if self.max_loaded < 1 or self.parallel < 1:
            raise ValueError("max_loaded and parallel must be 1 or more")


@dataclass(frozen=True, slots=True)
class Grant:
    """The turn of one request.

    Attributes:
        ticket: the number that `submit` returned.
        load_time: seconds of loading that this request caused; 0 when the model was or came in memory
            because of somebody else.
    """

    ticket: int
    load_time: float


class Busy(Exception):
    """More requests wait than the server allows. `grants` are the turns that came to others meanwhile."""

    def __init__(self, grants: list[Grant]) -> None:
        super().__init__("too many requests are waiting")
        self.grants = grants


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in memory; `expires_at` is on the caller's clock and may be infinite."""

    model: str
    expires_at: float


@dataclass(slots=True)
class _Slot:
    ready_at: float
    caused_by: int | None
    active: int = 0
    last_used: float = 0.0
    keep_alive: float = 0.0
    expires_at: float = math.inf
    doomed: bool = False


class Memory:
    """Who is loaded, who runs, who waits.

    Requests are served in order. A request for a model in memory takes a free place there; one whose
    model has all its places taken waits for them, and others may pass. A request that needs memory evicts
    the least recently used idle model; if all are busy it waits, and nobody behind it passes, so it
    cannot starve. `now` is in seconds on any clock that only moves forward.
    """

    def __init__(self, vram: Vram) -> None:
        self.cold_loads = 0
        self._vram = vram
        self._slots: dict[str, _Slot] = {}
        self._waiting: deque[tuple[int, str]] = deque()
        self._running: dict[int, str] = {}
        self._next_ticket = 1

    @property
    def in_memory(self) -> int:
        """Models loaded or being loaded."""
        return len(self._slots)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def active(self, model: str) -> int:
        """Requests that run on `model` now."""
        slot = self._slots.get(model)
        return slot.active if slot else 0

    def submit(self, model: str, now: float) -> tuple[int, list[Grant]]:
        """The new request's ticket, and all turns that come now (perhaps its own).

        Raises: Busy when it would have to wait and `max_queue` requests wait already.
        """
        ticket = self._next_ticket
        self._next_ticket += 1
        self._waiting.append((ticket, model))
        grants = self.advance(now)
        if len(self._waiting) > self._vram.max_queue and self._waiting[-1][0] == ticket:
            self._waiting.pop()
            raise Busy(grants)
        return ticket, grants

    def release(self, ticket: int, now: float, *, keep_alive: float | None = None) -> list[Grant]:
        """Ends the turn of `ticket`, or its waiting; returns the turns that come now.

        Args:
            keep_alive: seconds the model stays when idle; 0 unloads it, negative keeps it for ever.
                None: as the server is configured.
        """
        model = self._running.pop(ticket, None)
        if model is None:
            self._waiting = deque(entry for entry in self._waiting if entry[0] != ticket)
            return self.advance(now)
        slot = self._slots[model]
        slot.active -= 1
        slot.keep_alive = self._vram.unload_after if keep_alive is None else keep_alive
        if slot.doomed:
            slot.keep_alive = 0.0
        self._rest(slot, now)
        return self.advance(now)

    def unload(self, model: str, now: float) -> list[Grant]:
        """Takes `model` out of memory when it is idle, otherwise as soon as it is."""
        slot = self._slots.get(model)
        if slot is not None:
            slot.doomed = True
            if not slot.active and slot.ready_at <= now:
                slot.expires_at = now
        return self.advance(now)

    def loaded(self, now: float) -> list[Loaded]:
        """The models that are ready, the longest-lived first."""
        self._expire(now)
        ready = [(model, slot) for model, slot in self._slots.items() if slot.ready_at <= now]
        stays = [
            Loaded(model, now + slot.keep_alive if slot.active and slot.keep_alive >= 0 else slot.expires_at)
            for model, slot in ready
        ]
        return sorted(stays, key=lambda entry: (-entry.expires_at, entry.model))

    def next_change(self, now: float) -> float | None:
        """When `advance` should be called again although nobody asked, or None."""
        loading = [slot.ready_at for slot in self._slots.values() if slot.ready_at > now]
        return min(loading) if loading and self._waiting else None

    def advance(self, now: float) -> list[Grant]:
        """The turns that come at `now`, in the order of their requests."""
        self._expire(now)
        grants: list[Grant] = []
        still: deque[tuple[int, str]] = deque()
        wanted: set[str] = set()
        while self._waiting:
            ticket, model = self._waiting.popleft()
            slot = self._slots.get(model)
            if slot is None and not self._load(ticket, model, wanted, now):
                still.append((ticket, model))
                break
            slot = self._slots[model]
            if slot.ready_at <= now and slot.active < self._vram.parallel:
                grants.append(self._start(ticket, model, slot, now))
            else:
                still.append((ticket, model))
                wanted.add(model)
        still.extend(self._waiting)
        self._waiting = still
        return grants

    def _start(self, ticket: int, model: str, slot: _Slot, now: float) -> Grant:
        caused = slot.caused_by == ticket
        slot.caused_by = None if caused else slot.caused_by
        slot.active += 1
        slot.doomed = False
        slot.last_used = now
        slot.expires_at = math.inf
        self._running[ticket] = model
        return Grant(ticket, self._vram.load_time if caused else 0.0)

    def _load(self, ticket: int, model: str, wanted: set[str], now: float) -> bool:
        if len(self._slots) >= self._vram.max_loaded:
            idle = [
                (slot.last_used, name)
                for name, slot in self._slots.items()
                if not slot.active and slot.ready_at <= now and name not in wanted
            ]
            if not idle:
                return False
            del self._slots[min(idle)[1]]
        slot = _Slot(now + self._vram.load_time, ticket, last_used=now, keep_alive=self._vram.unload_after)
        slot.expires_at = math.inf if slot.keep_alive < 0 else slot.ready_at + slot.keep_alive
        self._slots[model] = slot
        self.cold_loads += 1
        return True

    def _rest(self, slot: _Slot, now: float) -> None:
        slot.last_used = now
        if not slot.active:
            slot.expires_at = math.inf if slot.keep_alive < 0 else now + slot.keep_alive

    def _expire(self, now: float) -> None:
        queued = {model for _, model in self._waiting}
        gone = [
            model
            for model, slot in self._slots.items()
            if not slot.active and slot.ready_at <= now and slot.expires_at <= now and model not in queued
        ]
        for model in gone:
            del self._slots[model]
