"""What proves who asks, attached to requests that take more for it than a header: a refresh, a signature."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from inspect import iscoroutine
from types import MappingProxyType
from typing import Any

from pointsman._internal.plugin_errors import OWN
from pointsman._internal.scrubber import Scrubber
from pointsman.auth import Auth, Outgoing, Secret
from pointsman.clock import Clock, system_rng
from pointsman.errors import CallError, InvalidRequest
from pointsman.http.failures import ExchangeErrors
from pointsman.http.headers import raw_fields
from pointsman.http.renewal import Renewal
from pointsman.transports.raw import Reply, RequestTemplate

Send = Callable[[RequestTemplate, tuple[str, ...], bytes], Awaitable[Reply]]
_KEPT_AT_MOST = 64
"""Templates with the present credential, beyond which they are made anew."""
_BODILESS = ("GET", "HEAD", "OPTIONS", "TRACE")
FRAMING = frozenset((b"connection", b"content-length", b"host", b"transfer-encoding"))
"""Fields by which a message is sent: they are signed as they stand."""


class Attaching:
    """Sends the requests of one client, which come without a credential, with one, or with a signature.

    A 401 has a request sent once more, where the source of the credential says that there is another.

    Args:
        auth: a `Renewal` that others use, too, or a source for this client alone.
        authorize: as of `Endpoint`.
    """

    def __init__(
        self,
        auth: Auth,
        authorize: Callable[[str], Mapping[str, str]],
        *,
        clock: Clock,
        scrubber: Scrubber,
        errors: ExchangeErrors,
    ) -> None:
        self._shared = isinstance(auth, Renewal)
        self._renewal = (
            auth
            if isinstance(auth, Renewal)
            else Renewal(auth, clock=clock, rng=system_rng(), scrubber=scrubber, plugin=errors.auth_type)
        )
        self._authorize = authorize
        self._errors = errors
        self._secret: Secret | None = None
        self._fields: dict[bytes, bytes] = {}
        self._made: dict[RequestTemplate, RequestTemplate] = {}

    async def exchange(
        self, send: Send, template: RequestTemplate, values: tuple[str, ...], content: bytes
    ) -> Reply:
        """As of `RawTransport.exchange`, which `send` is. Raises CallError, too."""
        secret = await self._renewal.secret()
        reply = await send(*self._complete(template, values, content, secret), content)
        if reply.status != 401 or secret is None or not self._renewal.is_replaced(secret):
            return reply
        with suppress(Exception):  # what it says is of no use any more
            await reply.aclose()
        secret = await self._renewal.secret()
        return await send(*self._complete(template, values, content, secret), content)

    async def aclose(self) -> None:
        """End what this began by itself."""
        if not self._shared:
            await self._renewal.aclose()

    def _complete(
        self, template: RequestTemplate, values: tuple[str, ...], content: bytes, secret: Secret | None
    ) -> tuple[RequestTemplate, tuple[str, ...]]:
        """The request with what proves who asks."""
        if self._renewal.sign is not None:
            return self._signed(self._renewal.sign, template, values, content), ()
        if secret is not self._secret:
            self._fields = {} if secret is None else self._attached(secret)
            self._secret = secret
            self._made.clear()
        if not self._fields.keys().isdisjoint(template.own):
            return self._with(template, self._fields, values), ()
        made = self._made.get(template)
        if made is None:
            if len(self._made) >= _KEPT_AT_MOST:
                self._made.clear()
            made = self._made[template] = self._with(template, self._fields)
        return made, values

    def _attached(self, secret: Secret) -> dict[bytes, bytes]:
        """The fields that carry `secret`. Raises PluginError: nobody who asked is to blame for it."""
        try:
            return raw_fields(self._authorize(secret.reveal()))
        except InvalidRequest as error:
            did = f"gave what no header can hold: {error.message}"
        raise self._errors.auth_fault("current", did)

    def _signed(
        self,
        sign: Callable[[Outgoing], Any],
        template: RequestTemplate,
        values: tuple[str, ...],
        content: bytes,
    ) -> RequestTemplate:
        # Where a length may be left out, not every transport does; so it is said, for it is signed.
        counted = template.counted or template.method not in _BODILESS
        bare = self._with(template, {}, values, without=b"authorization", counted=counted)
        fields = (*bare.fields, *bare.own_fields((), content))
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in fields}
        outgoing = Outgoing(template.method, _written(template), MappingProxyType(headers), content)
        try:
            returned = sign(outgoing)
        except OWN as failure:
            if isinstance(failure, CallError):
                raise
            raise self._errors.auth_fault("sign", failure) from failure
        return self._with(bare, self._sendable(returned))

    def _sendable(self, returned: Any) -> dict[bytes, bytes]:
        """What `sign` returned, as it goes out. Raises PluginError."""
        did = f"returned a {type(returned).__name__} from sign(), expected a mapping of text to text"
        if iscoroutine(returned):
            returned.close()  # else Python complains that nobody awaited it
        if isinstance(returned, Mapping):
            if all(isinstance(each, str) for pair in returned.items() for each in pair):
                try:
                    fields = raw_fields(returned)
                except InvalidRequest as error:
                    did = f"returned from sign() what cannot be sent: {error.message}"
                else:
                    if FRAMING.isdisjoint(fields):
                        return fields
                    name = min(FRAMING & fields.keys()).decode()
                    did = f"returned from sign() a value of {name!r}, which it may not change"
            else:
                did = "returned from sign() headers that are no text"
        raise self._errors.auth_fault("sign", did)

    def _with(
        self,
        template: RequestTemplate,
        more: Mapping[bytes, bytes],
        values: tuple[str, ...] | None = None,
        without: bytes = b"",
        counted: bool = False,
    ) -> RequestTemplate:
        """`template` with `more` fields in place of those of the same names; with `values` for one call."""
        fields = dict(template.fields)
        if values is not None:
            own = zip(template.own, values, strict=True)
            fields |= {name: value.encode("latin-1") for name, value in own}
        fields.pop(without, None)
        if counted:
            fields.pop(b"content-length", None)
        return RequestTemplate(
            template.method,
            template.url,
            {**fields, **more},
            template.own if values is None else (),
            counted=counted or template.counted,
            extensions=template.extensions,
        )


def _written(template: RequestTemplate) -> str:
    """The URL as the server is called by it; without what it may have of a user."""
    url, fields = template.url, dict(template.fields)
    host = fields.get(b"host", url.netloc)  # which is another one where an address stands in its place
    return f"{url.scheme}://{host.decode('ascii')}{url.raw_path.decode('ascii')}"
