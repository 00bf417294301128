"""What operators work with, made once for the life of a gateway."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pointsman.plugin import Catalogue, Clock, RequestEnded
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.calls.accounts import Account
from pointsman_gateway.calls.running import RunningRequests
from pointsman_gateway.exchange.table import Mounted
from pointsman_gateway.operator.contents import Contents
from pointsman_gateway.operator.history import History
from pointsman_gateway.operator.journal import SETTLED_EVERY, Journal
from pointsman_gateway.operator.model_routes import ModelRoutes
from pointsman_gateway.operator.overhearing import Overheard
from pointsman_gateway.operator.recent import Recent
from pointsman_gateway.operator.surface import Operated, OperatorSurface
from pointsman_gateway.operator.written import written_settings
from pointsman_gateway.settings import GatewaySettings

if TYPE_CHECKING:
    from pointsman import Router


class Operating:
    """Listens to the router from its making until it is closed.

    Args:
        account: what is known of a request that runs, by its id.
        catalogue: what is known of each model.

    Attributes:
        running: the requests that run, for whoever runs them to say so.
    """

    def __init__(
        self,
        router: Router,
        gate: Gate,
        reload: Callable[[], Awaitable[None]],
        account: Callable[[str], Account | None],
        catalogue: Catalogue,
        clock: Clock,
        *,
        kept: int,
    ) -> None:
        self._router = router
        self._catalogue = catalogue
        self._kept = kept
        self._gate = gate
        self._reload = reload
        self._history = History(clock.wall())
        self._wall, self._sleep = clock.wall, clock.sleep
        self._journal = Journal(router.listen, clock.wall, secrets.token_hex(4), self._history.take)
        self._recent = Recent(router.listen, kept)
        self._overheard: Overheard | None = None
        self.running = RunningRequests(clock.now, account)
        self._now = clock.now
        self._stop = router.listen(self._count_tokens, kinds=[RequestEnded])
        self._deaf = router.offered.on_end(self._key_ended)

    def asked(self, *, contents: bool) -> Router:
        """What surfaces are to ask: the router itself, but where the contents of requests are kept.

        Those that are there stay until that is no longer wanted.
        """
        if not (contents and self._kept):
            self._overheard = self._recent.contents = None
            return self._router
        if self._overheard is None:
            self._recent.contents = Contents(self._kept)
            self._overheard = Overheard(self._router, self._recent.contents)
        return cast("Router", self._overheard)  # for the part of it that they use

    def mounted(self, settings: GatewaySettings) -> Mounted:
        """The operators' routes, for a gateway with `settings`."""
        operated = Operated(
            self._router,
            self._journal,
            self._recent,
            self.running,
            self._gate,
            partial(written_settings, settings),
            self._reload,
            self._told_history,
        )
        surface, models = OperatorSurface(operated), ModelRoutes(self._router, self._catalogue)
        routes = [*surface.routes(), *models.routes(), *self._router.offered.routes]
        return Mounted("operator", surface, routes)

    async def keep_history(self) -> None:
        """Sum up what happens, for as long as this runs."""
        while True:
            await self._sleep(SETTLED_EVERY)
            self._journal.settle()

    def _told_history(self) -> Mapping[str, Any]:
        self._journal.settle()
        return self._history.told(self._wall())

    def _count_tokens(self, event: RequestEnded) -> None:
        """What a request has used counts against the limit of its caller."""
        prompt, completion = 0, event.delivered
        if event.usage is not None:
            prompt, completion = event.usage.prompt or 0, max(completion, event.usage.completion or 0)
        if prompt + completion and (source := self.running.source(event.request_id, event.caller)):
            self._gate.limits.used(source, prompt + completion, self._now())

    def _key_ended(self, key_id: str) -> None:
        """Requests of a key that was revoked go no further, and nobody works with its sessions."""
        self.running.end_of(key_id)
        self._gate.sessions.end_of(key_id)

    def close(self) -> None:
        """Listen no more."""
        self._stop()
        self._deaf()
        self._journal.close()
        self._recent.close()
