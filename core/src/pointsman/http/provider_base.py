"""What every provider over HTTP needs besides its translation: `HttpProvider`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import iscoroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from msgspec.structs import replace
from pydantic import ValidationError

from pointsman.errors import CallError, ConfigError, InvalidRequest, Outcome
from pointsman.http.answer import Answer, OpenAnswer
from pointsman.http.client import Client, Endpoint
from pointsman.provider import Call, Provider, ProviderContext
from pointsman.types import ChatResponse
from pointsman.wire import retry_after
from pointsman.wire.status_errors import error_for_status, in_vain, json_or_none, snippet

if TYPE_CHECKING:
    from pointsman.http.event_stream import EventStream
    from pointsman.http.relaying import Relaying
    from pointsman.types import ChatRequest, EmbedResponse, Request
    from pointsman.wire.error_patterns import ErrorPattern

T = TypeVar("T")

_MADE_AT_MOST = 1000


class HttpProvider(Provider):
    """One upstream over HTTP: its client, headers, errors and end. Derive from it and write the translation.

    A call goes out by `fetch` or `send`, everything else (models, probes, management) by `manage`. Where the
    upstream differs from what is usual, override what stands under "what a provider may say otherwise".
    """

    to_override: ClassVar[Sequence[str]] = (
        "fetch",
        "send",
        "make_endpoint",
        "client_of",
        "value",
        "error_of",
        "relaying",
    )
    """The methods that this class adds and that others may override; each class names those that it adds.

    What overrides them is checked when a router is built, as the methods of every provider are.
    """
    default_base_url: ClassVar[str] = ""
    """Where the calls go when neither the configuration nor the factory says."""
    management_seconds: ClassVar[float] = 30.0
    """How long a call outside of any request may take."""
    codes: ClassVar[Mapping[str, type[CallError]]] = {}
    """What the upstream's own codes and types of errors mean, where that is not known from others."""
    patterns: ClassVar[Sequence[ErrorPattern]] = ()
    """What its errors mean where code, status or words tell it; stronger than all else that is known."""
    address_hint: ClassVar[str] = ""
    """What would help where something else answers than this API."""

    endpoint: Endpoint

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self.context = context
        self.endpoint = self.make_endpoint()
        self._expect("make_endpoint", self.endpoint, Endpoint)
        if self.patterns:
            self.endpoint = replace(self.endpoint, patterns=(*self.endpoint.patterns, *self.patterns))
        self._own: Client | None = None

    @property
    def client(self) -> Client:
        """The provider's own client, for what belongs to no call; opened when first asked for."""
        if self._own is None:
            self._own = self.context.open(self.endpoint)
        return self._own

    async def fetch(
        self, path: str, body: Any, call: Call, *, headers: Mapping[str, str] | None = None
    ) -> tuple[Answer, bytes]:
        """POST `body` for `call`; the answer, which is a success, and all of its body.

        Args:
            body: a JSON value, or JSON as bytes.
            headers: more than those that every call carries.
        """
        client = self.client_of(call)
        more = {**call.headers, **headers} if headers else call.headers
        answer, content = await client.fetch("POST", path, body, timeouts=call.timeouts, headers=more)
        if answer.status >= 400:
            raise self._refused(answer, content, call)
        return answer, content

    async def send(
        self,
        path: str,
        body: Any,
        call: Call,
        *,
        timely: bool = True,
        headers: Mapping[str, str] | None = None,
    ) -> OpenAnswer:
        """POST `body` for `call`; the answer, which is a success, before its body is read.

        Arguments as of `fetch`. A `timely` answer must begin within `first_token`, as streams do.
        """
        client = self.client_of(call)
        more = {**call.headers, **headers} if headers else call.headers
        answer = await client.send("POST", path, body, timeouts=call.timeouts, headers=more, stream=timely)
        if answer.status >= 400:
            raise self._refused(answer, await answer.read(), call)
        return answer

    async def relay(self, request: Request, call: Call) -> ChatResponse | EmbedResponse:
        # For those that do; by names, for to import a module of a package is more work in each call.
        from pointsman.http.relaying import answered, joined, members_for, original_of
        from pointsman.wire.opaque import answer_marked

        how, public, mark = self.relaying(request, call), original_of(call).request.model, self.mark
        body = joined(members_for(how, request, call, mark=mark))
        answer, content = await self.fetch(how.path, body, call, headers=how.headers)
        response = how.read(answer, content)
        if how.opaque and isinstance(response, ChatResponse):
            response = answer_marked(response, mark)
        return replace(response, relayed=answered(how, content, public, mark=mark))

    async def relay_stream(self, request: ChatRequest, call: Call) -> EventStream:
        from pointsman.http.relaying import joined, members_for, relayed_events

        how = self.relaying(request, call)
        given = members_for(how, request, call, mark=self.mark)
        cut = None if how.asks is None else how.asks(given)
        answer = await self.send(how.path, joined(given), call, headers=how.headers)
        return relayed_events(how, answer, call, mark=self.mark, cut=cut)

    async def exchange(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        model: str = "",
    ) -> tuple[Answer, bytes]:
        """A call outside of any request, by the provider's own client: the answer, a success, and its body.

        Args:
            seconds: how long it may take; None: `management_seconds`.
            model: the model that it is about, if any, for the error.
        """
        client = self.client
        timeouts = client.within(self.management_seconds if seconds is None else seconds)
        answer, content = await client.fetch(method, path, body, timeouts=timeouts, headers=headers)
        if answer.status >= 400:
            raise self.refused(answer, content, model=model)
        return answer, content

    async def manage(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        seconds: float | None = None,
        headers: Mapping[str, str] | None = None,
        model: str = "",
    ) -> Any:
        """The JSON value that an `exchange` ends with."""
        return self.value(
            *await self.exchange(method, path, body, seconds=seconds, headers=headers, model=model)
        )

    def refused(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        """The error that an answer of status 400 or above is raised as: by `patterns`, else by `error_of`."""
        error, patterns = self.error_of(answer, content, model=model), answer.errors.patterns
        if not patterns:
            return error
        from pointsman.wire.error_body import complaint
        from pointsman.wire.error_patterns import kind_by_pattern

        said = complaint(json_or_none(content))
        message = said.message or snippet(content)
        kind = kind_by_pattern(patterns, answer.status, (said.code, said.type), message)
        if kind is None:
            return error
        return error_for_status(
            answer.status,
            answer.headers,
            message,
            wall=self.context.clock.wall(),
            code=said.code or said.type,
            kind=kind,
            wait=error.retry_after,
        )

    def _refused(self, answer: Answer, content: bytes, call: Call) -> CallError:
        error = self.refused(answer, content, model=call.model)
        if call.original is not None and error.outcome is Outcome.CLIENT_FAULT:
            from pointsman.http.relaying import quoted

            error.body = quoted(content, self.endpoint.base_url)
        return error

    def _expect(self, method: str, made: object, kind: type) -> None:
        """Raise ConfigError unless what `method` made, when the provider was made, is a `kind`."""
        if not isinstance(made, kind):
            if iscoroutine(made):
                made.close()  # else Python complains that nobody awaited it
            found, wanted = type(made).__name__, kind.__name__
            owner = type(self).__name__
            raise ConfigError(
                f"provider {self.name!r}: {method}() of {owner} made a {found}, expected {wanted}"
            )

    async def aclose(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            await own.aclose()

    # ── what a provider may say otherwise ────────────────────────────────────────────────────────────

    def make_endpoint(self) -> Endpoint:
        """Where the calls go and what all of them carry. Raises ConfigError."""
        base_url = (self.context.base_url or self.default_base_url).rstrip("/")
        if not base_url:
            raise ConfigError(f"provider {self.name!r} has no base_url")
        return Endpoint(base_url)

    def client_of(self, call: Call) -> Client:
        """The client that makes a call. Raises when the call must not be made with its credential."""
        http = call.http
        return call.client if http is None else http  # `client` says why there is none

    def relaying(self, request: Request, call: Call) -> Relaying:
        """How `call.original`, which is in one of `wires`, goes on as it was written. Raises Unsupported."""
        raise self._unsupported("relaying")

    def value(self, answer: Answer, content: bytes) -> Any:
        """The JSON value of a success. Raises BadResponse."""
        return answer.value(content, hint=self.address_hint)

    def error_of(self, answer: Answer, content: bytes, *, model: str = "") -> CallError:
        """The error that an answer of status 400 or above means.

        `codes` know best, then the words that many upstreams use, then the status.
        """
        # What errors mean takes 4 M instructions to import, of which a start would notice more than this.
        from pointsman.wire.error_body import complaint
        from pointsman.wire.error_meaning import recognise

        said = complaint(json_or_none(content))
        meant = recognise(answer.status, said.code, said.type, said.message)
        wall = self.context.clock.wall()
        wait = retry_after.parse_reset(said.wait, wall=wall)
        error = error_for_status(
            answer.status,
            answer.headers,
            said.message or snippet(content),
            wall=wall,
            code=said.code or said.type,
            kind=self.codes.get(said.code) or self.codes.get(said.type) or meant.kind,
            wait=meant.wait if wait is None else wait,
        )
        return in_vain(error) if meant.in_vain else error


class PerOptions(Generic[T]):
    """What a deployment's options make of a provider: `make(options)`, once for each; `default` without any.

    A deployment hands out the same mapping with every call, so it is known by its identity. What fails is
    tried again with the next call.
    """

    __slots__ = ("_default", "_made", "_make", "_provider")

    def __init__(self, provider: str, default: T, make: Callable[[Mapping[str, Any]], T]) -> None:
        """`make` may raise ValidationError and ConfigError; `provider` is named in what becomes of them."""
        self._provider = provider
        self._default = default
        self._make = make
        self._made: dict[int, tuple[Mapping[str, Any], T]] = {}

    def __call__(self, call: Call) -> T:
        """Raises InvalidRequest that names what is wrong with the options."""
        options = call.options
        if not options:
            return self._default
        known = self._made.get(id(options))
        if known is None:
            if len(self._made) >= _MADE_AT_MOST:
                self._made.clear()
            # The options are kept with it: while they live, nothing else can have their identity.
            known = self._made[id(options)] = (options, self._new(call))
        return known[1]

    def _new(self, call: Call) -> T:
        try:
            return self._make(call.options)
        except ValidationError as error:
            said = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
                for each in error.errors(include_url=False, include_input=False, include_context=False)
            )
        except ConfigError as error:
            said = error.message
        # Outside of the handlers: what pydantic says holds the values.
        raise InvalidRequest(
            f"the options of the deployment of {call.model!r} at provider {self._provider!r}: {said}"
        )
