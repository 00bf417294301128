"""The one place that says who asks, and whether they may: for each request, before its body is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hmac import compare_digest
from math import inf

from msgspec.structs import replace

from pointsman.offered import GatewayOffers
from pointsman.plugin import Caller, Clock, KnownCaller, Route, SurfaceRequest
from pointsman_gateway.access.admission import Denied, Head
from pointsman_gateway.access.credentials import presented, session
from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.fields import check_fields
from pointsman_gateway.access.grants import Grant
from pointsman_gateway.access.limits import Limits
from pointsman_gateway.access.nonces import Nonces
from pointsman_gateway.access.origins import check_host, check_unsent_by_pages, has_body
from pointsman_gateway.access.peers import is_on_this_machine, one_of
from pointsman_gateway.access.rules import LOCAL, Rules
from pointsman_gateway.access.sessions import Sessions, token_of

OURS = "x-pointsman-csrf"
"""A header that an operator's request carries which brings no key: pages of others cannot send it."""
_SAFE = frozenset(("GET", "HEAD"))
_NOBODY = Grant(Caller(), "")
_STORED = "stored:"
"""What the source of a grant begins with whose key is in a store; the id of the key follows."""


class Gate:
    """Admits requests. What it remembers, of limits, sessions and nonces, outlives a reload of the rules.

    Args:
        offered: with the sources of callers whom the configuration does not know.
    """

    def __init__(self, rules: Rules, clock: Clock, offered: GatewayOffers | None = None) -> None:
        self.rules = rules
        self.limits = Limits()
        self.sessions = Sessions(clock)
        self._offered = offered or GatewayOffers()
        self.nonces = Nonces(clock)
        self._now, self._wall = clock.now, clock.wall

    async def admit(self, head: Head, route: Route) -> Caller:
        """Who asks. Raises Denied."""
        grant = await self.grant(head, route)
        # Only who is metered need be told apart afterwards.
        return grant.caller if grant.limits is None else replace(grant.caller, source=grant.source)

    async def grant(self, head: Head, route: Route) -> Grant:
        """What whoever asks may do, one request of its limits taken. Raises Denied."""
        rules = self.rules
        check_fields(head.headers, head.repeated)
        check_host(head.headers, rules.hosts, head.local)
        if route.public:
            return _NOBODY
        grant = self._by_key(head) or await self.known(head) or self._unknown(head, route)
        if route.operator:
            self._check_operator(grant, head, route)
        if grant.limits is not None and not route.operator:
            self.limits.know(grant.source, grant.limits)
            if route.method == "POST":
                self._take_one(grant)
        return grant

    def _check_operator(self, grant: Grant, head: Head, route: Route) -> None:
        if not grant.caller.operator:
            raise _by(grant, _not_an_operator())
        # A browser shows a certificate whoever sent it there, as it is on this machine whoever did.
        if grant.source.startswith("certificate:") and not _is_no_page(head, route):
            raise _lacks_header("1")

    def _take_one(self, grant: Grant) -> None:
        try:
            self.limits.take_known(grant.source, self._now())
        except Denied as refused:
            raise _by(grant, refused) from None

    def meter(self, asked: SurfaceRequest) -> None:
        """A request of a model goes to the router. Raises Denied when its caller has had its share.

        A POST was counted when it was admitted. By a WebSocket, which was opened by a GET, come many.
        """
        if asked.method == "GET" and asked.caller.source:
            self.limits.take_known(asked.caller.source, self._now())

    def _by_key(self, head: Head) -> Grant | None:
        """As `known`, of a request that brings one of our keys and nothing else: what nearly all do."""
        credentials = presented(head.headers)
        if len(credentials) != 1 or "cookie" in head.headers:
            return None
        if head.certificate is not None or (self.rules.signatures is not None and _is_signed(head)):
            return None
        return self.rules.keys.find(credentials[0]) or self._stored(credentials[0])

    async def known(self, head: Head) -> Grant | None:
        """What the one credential is worth that the request brings; None for one without.

        Some clients send two, of which one is meant for somebody else: then ours counts.

        Raises: Denied for one that is worth nothing, and for two that are worth something.
        """
        credentials = presented(head.headers)
        grants, refusal = await self._shown(credentials)
        if secret := session(head.headers):
            grants += self._of_session(secret, head)
        if head.certificate is not None:
            grants += self._of_certificate(head)
        signed = self.rules.signatures is not None and _is_signed(head)
        if signed:
            grants += self._of_signature(head)
        if len(grants) > 1:
            raise denied(
                "invalid", "two_credentials", "the request brings two keys; send the one that is meant"
            )
        if grants:
            return grants[0]
        if refusal is not None:
            raise refusal
        if signed and self.rules.signatures is not None and self._asks_for_keys(head):
            raise self.rules.signatures.refusal(head)
        if credentials and self._asks_for_keys(head):
            raise denied("authentication", "invalid_api_key", "the key that was sent is not known here")
        return None

    async def login(self, asked: SurfaceRequest) -> str:
        """Begin a session for who has shown a key or a token, or is on this machine: its secret.

        Raises: Denied for who is nobody, and where a session is all that was shown.
        """
        grants, _refusal = await self._shown(presented(asked.headers))
        if grants:
            return self.sessions.begin(grants[0])
        if asked.caller == LOCAL.caller:
            return self.sessions.begin(LOCAL)
        raise denied("authentication", "missing_api_key", "a login takes a key: Authorization: Bearer …")

    def session_of(self, fields: Mapping[str, str]) -> str:
        """The secret of the session that a request brings, "" for none that is open. Raises Denied."""
        secret = session(fields)
        return secret if secret and self.sessions.find(secret) is not None else ""

    async def _shown(self, credentials: Sequence[str]) -> tuple[list[Grant], Denied | None]:
        """What those of `credentials` are worth that are ours, and why another one is not."""
        grants, refusal = list[Grant](), None
        for each in credentials:
            try:
                found = self.rules.keys.find(each) or self._stored(each) or await self._from_sources(each)
            except Denied as error:
                refusal = error
                continue
            if found is not None:
                grants.append(found)
        return grants, refusal

    async def _from_sources(self, credential: str) -> Grant | None:
        for source in self.rules.sources:
            found = await source.find(credential)
            if found is not None:
                self._check_name(found)
                return found
        for stored in self._offered.callers:
            known = await stored.find(credential)
            if known is not None:
                return self._worth(known)
        return None

    def _check_name(self, of_token: Grant) -> None:
        """Raises Denied for who would have, by a name, what a key of a store has been kept under it."""
        named = [source.named(of_token.caller.name) for source in self._offered.callers]
        if any(each is not None and self._wall() < each.until for each in named):
            message = "the token names its bearer as a key of the store is named"
            raise denied("authentication", "invalid_token", message)

    def _stored(self, credential: str) -> Grant | None:
        """What a key is worth that is in a store, as far as that is known here. Raises Denied."""
        for source in self._offered.callers:
            known = source.known(credential)
            if known is not None:
                return self._worth(known)
        return None

    def _worth(self, known: KnownCaller) -> Grant:
        """What is granted to a caller out of a store. Raises Denied for one whose key is over."""
        caller, until = known.caller, known.until
        if until != inf and self._wall() >= until:
            ended = denied("authentication", "key_ended", "the key has been revoked or has expired")
            ended.caller = caller
            raise ended
        return Grant(caller, _STORED + caller.key_id, until=until)

    def _still(self, begun: Grant) -> Grant | None:
        """What somebody may do now whose session began with `begun`; None for nothing any more."""
        if not begun.source.startswith(_STORED):
            return self.rules.still(begun)
        for source in self._offered.callers:
            known = source.again(begun.caller.key_id)
            if known is not None and self._wall() < known.until:
                return self._worth(known)
        return None

    def _of_session(self, secret: str, head: Head) -> list[Grant]:
        """What a session allows, unless it was not its owner who sent the request. Raises Denied."""
        begun = self.sessions.find(secret)
        found = None if begun is None else self._still(begun)
        if found is None:
            return []
        check_unsent_by_pages(head.headers, secure=head.secure, origins=())
        said = head.headers.get(OURS, "").encode("utf-8", "surrogatepass")
        if head.method not in _SAFE and not compare_digest(said, token_of(secret).encode()):
            raise _lacks_header("the token of the session")
        return [found]

    def _of_certificate(self, head: Head) -> list[Grant]:
        """What the certificate of the connection is worth. Raises Denied for what a page sent."""
        assert head.certificate is not None
        found = self.rules.certificates.find(head.certificate, self._wall())
        if found is None:
            return []
        check_unsent_by_pages(head.headers, secure=head.secure, origins=())
        return [found]

    def _of_signature(self, head: Head) -> list[Grant]:
        """What a signature is worth, if it is of a key of ours. Raises Denied."""
        assert self.rules.signatures is not None
        if "upgrade" in head.headers:
            # Its calls, which come later, would be signed by nobody.
            raise denied(
                "authentication", "signature_not_here", "a WebSocket is opened with a key or a token"
            )
        found = self.rules.signatures.find(head, self.nonces)
        return [] if found is None else [found]

    def _unknown(self, head: Head, route: Route) -> Grant:
        """What somebody may do who shows no credential. Raises Denied."""
        rules = self.rules
        # Pages that may ask models something may not run the router.
        origins = () if route.operator else rules.origins
        check_unsent_by_pages(head.headers, secure=head.secure, origins=origins)
        if head.scope in rules.keyless:
            return Grant(rules.keyless[head.scope], f"listener:{head.scope}")
        if rules.access.loopback and self._is_local(head):
            if route.operator and not _is_no_page(head, route):
                raise _lacks_header("1")
            return LOCAL
        anonymous = rules.access.anonymous
        if anonymous is None or route.operator:
            raise denied(
                "authentication",
                "missing_api_key",
                "a key is needed here: Authorization: Bearer …, or x-api-key",
            )
        models = None if anonymous.models is None else frozenset(anonymous.models)
        caller = Caller(models=models, labels=dict(anonymous.labels))
        return Grant(caller, f"anonymous:{one_of(head.peer)}", anonymous.limits)

    def _asks_for_keys(self, head: Head) -> bool:
        """Whether a key that nobody knows is a mistake: many clients send one wherever they are."""
        if head.scope in self.rules.keyless:
            return False
        access = self.rules.access
        if access.asks_for_credentials or self._offered.callers:
            return True
        return access.anonymous is None and not self._is_local(head)

    def _is_local(self, head: Head) -> bool:
        return is_on_this_machine(head.peer, head.local, head.headers, behind_proxy=self.rules.behind_proxy)


def _is_signed(head: Head) -> bool:
    return "signature-input" in head.headers


def _is_no_page(head: Head, route: Route) -> bool:
    """Whether it has a header of ours, or a body that was found to be declared as JSON, which says as much.

    The clients of other APIs, which have routes for operators, know of no header of ours.
    """
    return OURS in head.headers or (route.json and head.method not in _SAFE and has_body(head.headers))


def _lacks_header(value: str) -> Denied:
    return denied(
        "forbidden",
        "csrf",
        f"without a key this needs the header {OURS}: {value}; no web page of others can send that",
        domain="policy",
    )


def _not_an_operator() -> Denied:
    message = "this is for operators, and whoever asks is none"
    return denied("forbidden", "not_an_operator", message, domain="policy")


def _by(grant: Grant, refused: Denied) -> Denied:
    """`refused`, with who asked, for the records."""
    refused.caller = grant.caller
    return refused
