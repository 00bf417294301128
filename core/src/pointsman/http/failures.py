"""What goes wrong between us and one upstream, as our errors: once, at the border."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from pointsman._internal import httpx_lazy
from pointsman._internal.plugin_errors import during_attempt, fault, is_own
from pointsman._internal.scrubber import Scrubber
from pointsman.errors import (
    AttemptTimeout,
    BadResponse,
    CallError,
    ConnectionFailed,
    FirstTokenTimeout,
    IdleTimeout,
    NoConnectionFree,
    OutOfResources,
    PluginError,
    Truncated,
)
from pointsman.transports.options import TransportUnavailable
from pointsman.transports.shortage import shortage

if TYPE_CHECKING:
    from pointsman.wire.error_patterns import ErrorPattern


class Used(Struct, frozen=True):
    """The plugins that a client works with, by the names that the configuration has for them."""

    auth: str = ""
    transport: str = ""


class ExchangeErrors:
    """Makes the errors of all exchanges with one upstream; none of them holds a secret of ours.

    Attributes:
        scrubber: what upstreams say goes through it before it is in an error.
        shown: the base URL without what may be secret in it.
        auth_type: what the configuration calls the source of the credential.
        patterns: what the upstream's errors mean where they are not as usual.
    """

    __slots__ = ("_plugins", "_url", "auth_type", "patterns", "scrubber", "shown")

    def __init__(
        self, base_url: str, scrubber: Scrubber, plugins: Used, patterns: Sequence[ErrorPattern] = ()
    ) -> None:
        self.patterns = patterns
        self._url = base_url
        self._plugins = plugins
        self.auth_type = plugins.auth
        self.scrubber = scrubber
        self.shown = _without_userinfo(base_url)

    def timed_out(self) -> AttemptTimeout:
        """The error of an attempt that took too long."""
        return AttemptTimeout(f"{self.shown} did not answer in time")

    def no_first_token(self) -> FirstTokenTimeout:
        """The error of a stream whose first token did not come in time."""
        return FirstTokenTimeout(f"{self.shown} sent no first token in time")

    def silent(self) -> IdleTimeout:
        """The error of a stream that fell silent."""
        return IdleTimeout(f"{self.shown} fell silent in the middle of the answer")

    def redirected(self, status: int, location: str) -> BadResponse:
        """The error of an answer that leads elsewhere; of `location` no more is said than the host."""
        location = self.scrubber.text(location)
        host = _host(self._url if location[:1] == "/" != location[1:2] else location) or "somewhere"
        return BadResponse(
            f"{self.shown} redirects to {host}; redirects are not followed, correct base_url", status=status
        )

    def unanswered(self, failure: BaseException) -> BaseException:
        """What is to be raised when `failure` came in place of an answer's head, its cause set."""
        if isinstance(failure, CallError):  # a time limit, which may be an OSError, too
            return failure
        if isinstance(failure, (httpx_lazy.httpx.TransportError, OSError, TransportUnavailable)):
            return _without_cause(self.scrubber.error(self._unanswered(failure)))
        return self._or_fault(failure)

    def broken(self, failure: BaseException) -> BaseException:
        """What is to be raised when `failure` came in place of more of an answer's body, its cause set."""
        if isinstance(failure, CallError):
            return failure
        if isinstance(failure, (httpx_lazy.httpx.TransportError, OSError)):
            return _without_cause(self.scrubber.error(_broken(failure)))
        return self._or_fault(failure)

    def transport_fault(self, failure: BaseException) -> PluginError | None:
        """What `failure`, which came out of the transport, counts as when it is none that one may raise."""
        if isinstance(failure, CallError) or not is_own(failure):
            return None
        return self._fault("transport", self._plugins.transport, "exchange", failure)

    def auth_fault(self, method: str, did: BaseException | str) -> CallError:
        """What it counts as that the source of credentials raised `did`, or did that."""
        if isinstance(did, CallError):
            return did
        return self._fault("auth", self._plugins.auth, method, did)

    def _fault(self, kind: str, plugin: str, method: str, did: BaseException | str) -> PluginError:
        return during_attempt(fault(kind, plugin, method, did, scrub=self.scrubber.text))

    def _or_fault(self, failure: BaseException) -> BaseException:
        found = self.transport_fault(failure)
        if found is None:
            return failure
        found.__cause__ = failure
        return found

    def _unanswered(self, failure: Exception) -> ConnectionFailed:
        if isinstance(failure, httpx_lazy.httpx.PoolTimeout):
            return NoConnectionFree(
                f"no connection to {self.shown} came free in time: {_why(failure)}", sent=False
            )
        if (lack := shortage(failure, _host(self._url))) is not None:
            return OutOfResources(f"no connection to {self.shown}: {lack}", sent=False)
        if isinstance(failure, _never_sent()):
            return ConnectionFailed(f"no connection to {self.shown}: {_why(failure)}", sent=False)
        return ConnectionFailed(f"the connection to {self.shown} broke before an answer: {_why(failure)}")


def _without_cause(error: CallError) -> CallError:
    """`error` as `raise error from None` has it: what a transport says may hold what it was sent."""
    error.__cause__ = None
    return error


def _broken(failure: Exception) -> CallError:
    """What it means that a body broke off."""
    if isinstance(failure, httpx_lazy.httpx.RemoteProtocolError):
        return Truncated(f"the upstream's answer broke off: {failure}")
    return ConnectionFailed(f"the connection to the upstream broke: {_why(failure)}")


def _never_sent() -> tuple[type[Exception], ...]:
    httpx = httpx_lazy.httpx
    return httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, TransportUnavailable


def _why(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "")[:200]
    except ValueError:
        return ""


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}"
