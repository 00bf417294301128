"""The calls of one WebSocket: each has what one over HTTP has, an id, an account, a line in the log."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from msgspec.structs import replace

from pointsman.plugin import ProblemDetails, Route
from pointsman_gateway.access.admission import Access, Denied, Head
from pointsman_gateway.calls.accounts import Account
from pointsman_gateway.calls.observing import GONE, Observer


class SocketCalls:
    """Those of the WebSocket that `head` opened as the request `id`.

    Args:
        account: of the request that opened it: the calls are of its caller and its surface.
        route: as which each is admitted.
        fresh: makes an id.
    """

    def __init__(
        self,
        observer: Observer,
        access: Access,
        route: Route,
        head: Head,
        id: str,
        account: Account,
        fresh: Callable[[], str],
    ) -> None:
        self.observer = observer
        self.access = access
        self.route = route
        self.head = replace(head, method=route.method)
        self.account = account
        self._id = id
        self._fresh = fresh
        self._count = 0

    def begin(self) -> AccountedCall:
        """One more call."""
        self._count += 1
        id = f"{self._id}-{self._count}"
        # Callers choose ids, also such that another one's call has one like it.
        return AccountedCall(self, id if self.observer.of(id) is None else self._fresh())


class AccountedCall:
    """As `SocketCall`, for as long as the `async with` lasts."""

    def __init__(self, calls: SocketCalls, request_id: str) -> None:
        self._calls = calls
        self.request_id = request_id
        self.problem: ProblemDetails | None = None
        self._status = 0
        self._account = calls.observer.begin(request_id)
        self._account.surface, self._account.caller = calls.account.surface, calls.account.caller

    def ended(self, status: int, code: str = "") -> None:
        """As `SocketCall.ended`."""
        self._status = status
        self._account.refused = self._account.refused or code

    async def __aenter__(self) -> AccountedCall:
        calls = self._calls
        try:
            await calls.access.admit(calls.head, calls.route)
        except Denied as denied:
            self.problem = denied.problem
            self._account.refuse(denied.problem)
        except BaseException as error:
            self._over(error)
            raise
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._over(error)

    def _over(self, error: BaseException | None) -> None:
        ours = isinstance(error, Exception) and not isinstance(error, TimeoutError)  # it does not read
        status = self._status or (500 if ours else GONE)
        self._calls.observer.over(self._calls.head, self.request_id, self._account, status)
