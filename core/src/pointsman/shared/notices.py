"""What services have told the other routers, and who listens to what these say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, Scrub, fault
from pointsman.clock import Clock
from pointsman.state import Notice

_Listener = Callable[[Notice], None]


class Noticeboard:
    """The notices of services: those that the store has not been told yet, and who hears what it tells.

    Args:
        stir: is called when there is something to tell.
    """

    def __init__(self, clock: Clock, scrub: Scrub, stir: Callable[[], None]) -> None:
        self._clock = clock
        self._scrub = scrub
        self._stir = stir
        self._waiting: dict[tuple[str, str], tuple[Notice, float]] = {}
        self._listeners: dict[str, list[_Listener]] = {}

    @property
    def waiting(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._waiting)

    def publish(self, notice: Notice) -> None:
        """Tell it when the store can be told; a later one about the same takes its place."""
        self._waiting[notice.topic, notice.about] = notice, self._clock.now() + notice.seconds
        self._stir()

    def due(self) -> Sequence[Notice]:
        """What is to be told, each for as long as it holds from now on."""
        now = self._clock.now()
        self._waiting = {key: each for key, each in self._waiting.items() if each[1] > now}
        return [replace(notice, seconds=until - now) for notice, until in self._waiting.values()]

    def published(self, notice: Notice) -> None:
        """The store has been told, unless something else is to be told by now."""
        waits, _ = self._waiting.get((notice.topic, notice.about), (None, 0.0))
        if waits is not None and waits.value == notice.value:
            del self._waiting[notice.topic, notice.about]

    def subscribe(self, topic: str, told: _Listener) -> Callable[[], None]:
        """Have `told` hear of notices of `topic`; returns what ends it."""
        listeners = self._listeners.setdefault(topic, [])
        listeners.append(told)

        def end() -> None:
            if told in listeners:
                listeners.remove(told)

        return end

    def told(self, notice: Notice) -> None:
        """The store tells of it; what a listener does wrong is logged."""
        for each in tuple(self._listeners.get(notice.topic, ())):
            try:
                each(notice)
            except OWN as error:
                fault("service", notice.topic, "told", error, scrub=self._scrub)
