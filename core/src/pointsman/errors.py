"""The tree of errors: every way in which a call, a configuration or a plugin can fail.

PointsmanError
├── ConfigError                 a wrong configuration; nothing was started
├── PluginError                 a plugin is missing, broken, or did wrong
├── NotReady                    a source of credentials must refresh first
├── RequestError                the request itself cannot succeed as it stands
│   ├── InvalidRequest          malformed, or refused as malformed
│   ├── UnknownModel            no model of that name is configured
│   ├── ContextWindowExceeded   the prompt is too long for the deployment
│   ├── ContentFiltered         refused by a content policy
│   ├── Refused                 refused by a guard of ours
│   ├── BudgetExceeded          a budget of ours has no room for it
│   └── Unsupported             asks for what this upstream cannot do
├── ProviderError               one attempt at one deployment failed
│   ├── AuthenticationFailed    the credential was rejected (401)
│   ├── PermissionDenied        the credential may not do this (403)
│   ├── ModelNotFound           the upstream does not have the model (404)
│   ├── QuotaExhausted          out of money or quota: waiting does not help
│   ├── RateLimited             too many requests or tokens (429)
│   ├── Overloaded              the upstream has no capacity (503, 529)
│   ├── Unavailable             the upstream failed (5xx and its like)
│   ├── ConnectionFailed        no connection, or it broke before an answer
│   │   ├── NoConnectionFree    none of our own connections came free
│   │   └── OutOfResources      this process is out of files, memory or ports
│   ├── AttemptTimeout          a timer of ours ran out
│   │   ├── FirstTokenTimeout   nothing arrived in time
│   │   └── IdleTimeout         the stream fell silent
│   ├── BadResponse             the answer was not what the wire allows
│   │   └── FormatNotMet        it is not of the type that it is read as
│   └── Truncated               the answer ended without its end marker
├── MidStreamError              a stream broke after content had been delivered
├── NoDeploymentAvailable       nothing is ready to take it; has the reasons
│   └── RuleNotMet              none may take it: a rule about data forbids each
├── DeadlineExceeded            the total time of the request is over
├── AuditUnavailable            no record can be kept, so nothing was sent
└── QueueFull                   too many callers wait already

DeadlineExceeded, AttemptTimeout and what is under it are a TimeoutError, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

if TYPE_CHECKING:
    from pointsman.types import Usage


class Outcome(StrEnum):
    """How one attempt ended, as far as the deployment is concerned."""

    OK = "ok"
    """It answered."""
    UPSTREAM_FAULT = "upstream_fault"
    """It failed; counts against its breaker."""
    OVERLOAD = "overload"
    """It has too much to do, and cools down."""
    CLIENT_FAULT = "client_fault"
    """The request was wrong; says nothing about it."""
    NEUTRAL = "neutral"
    """Cancelled, or a reason of ours; says nothing about it."""


class Refusal(StrEnum):
    """What an upstream refuses whoever asks: its deployments are left alone for a while."""

    MODEL = "model not found upstream"
    PERMISSION = "permission denied"
    CREDENTIAL = "credential refused"
    QUOTA = "quota exhausted"
    NO_CREDENTIAL = "no credential"

    @property
    def of_credential(self) -> bool:
        """Whether it holds for all deployments of the credential, not only for the one that was asked."""
        return self in (Refusal.CREDENTIAL, Refusal.QUOTA, Refusal.NO_CREDENTIAL)


class FallbackOn(StrEnum):
    """What a fallback can follow."""

    CONTENT_FILTERED = "content_filtered"
    CONTEXT_WINDOW = "context_window"
    UNAVAILABLE = "unavailable"


class PointsmanError(Exception):
    """The root of all errors that pointsman raises on purpose.

    `code` is a stable name for programs; it never changes for a class.
    """

    code: ClassVar[str] = "error"
    """A name for programs, which never changes."""

    def __init__(self, message: str = "") -> None:
        # A message may quote what a caller gave, and half a surrogate pair would fail wherever it is written.
        text = str(message)
        super().__init__(*([text if text.isascii() else writable(text)] if text else ()))

    @property
    def message(self) -> str:
        """What happened, to which thing, and what would help; never a key or a prompt."""
        return str(self.args[0]) if self.args else type(self).__name__


def writable(text: str) -> str:
    """`text` as UTF-8 can have it: halves of surrogate pairs are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class ConfigError(PointsmanError):
    """The configuration cannot be right.

    `problems` are all of them at once, one line each, with file, line and column where known.
    """

    code = "config"

    def __init__(self, message: str, problems: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems)


class NotReady(PointsmanError):
    """A source of credentials has none now: raised by its `current`, so that its `refresh` is awaited.

    Callers never see it: where no credential is to be had, the call ends in a `CallError` that says why.
    """

    code = "not_ready"


class CallError(PointsmanError):
    """What every failed call carries: enough for the caller to act.

    Attributes:
        deployment: the id of the deployment concerned, "" when none was chosen.
        status: the HTTP status of the upstream's answer, None when there was none.
        retry_after: seconds from now after which a new try makes sense, None when unknown.
        request_id: ours; it stands in the audit log.
        upstream_request_id: the upstream's own id of the failed call, "" when it gave none.
        upstream_code: the upstream's own code of the error, "" when it gave none.
        body: what the upstream said to a request that went on as its caller wrote it, where that is to
            blame: JSON without our secrets and addresses; b"" for anything else.
        attempts: how many attempts the request had made by then.
        failures: what the attempts before this one ended with; () for none.
        rule: what of the configuration decided it, such as the name of a guard; "" where it was no rule.
        budget_exhausted: another attempt would have been made, had the retry budget allowed it.
    """

    failures: tuple[FailedAttempt, ...] = ()
    body: bytes = b""
    rule: str = ""
    outcome: Outcome = Outcome.NEUTRAL
    """What it says about the deployment."""
    refusal: Refusal | None = None
    """Why the deployment, or all of its credential, is left alone for a while; None when it is not."""
    without_credential: bool = False
    """There was no credential to ask with, so that nothing was sent: it says nothing about the upstream."""
    retry_elsewhere: bool = False
    """Another deployment of the same model may well succeed."""
    retry_same: bool = False
    """The same deployment may succeed a little later."""
    try_fallback: bool = False
    """Another model (the fallback chain) may succeed although this one cannot."""
    fallback_on: ClassVar[FallbackOn] = FallbackOn.UNAVAILABLE
    """Which fallbacks follow it, where any do."""

    def __init__(
        self,
        message: str,
        *,
        deployment: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        upstream_request_id: str = "",
        upstream_code: str = "",
    ) -> None:
        super().__init__(message)
        self.deployment = deployment
        self.status = status
        self.retry_after = retry_after
        self.upstream_request_id = upstream_request_id
        self.upstream_code = upstream_code
        self.request_id = ""
        self.attempts = 0
        self.budget_exhausted = False

    def __str__(self) -> str:
        """`message`, then what is known of where and after how many attempts, and the id of the request."""
        attempts = f"{self.attempts} attempts" if self.attempts > 1 else ""
        known = ", ".join(each for each in (self.deployment, attempts, self.request_id) if each)
        return f"{self.message} ({known})" if known else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Some of the constructors demand more than a message; the default would fail when it is unpickled.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[CallError], args: tuple[Any, ...]) -> CallError:
    error = kind.__new__(kind, *args)
    error.args = args  # those that are an OSError, too, are without until they are initialized
    return error


class FailedAttempt(NamedTuple):
    """What one attempt of a request ended with, and where."""

    deployment: str
    """The id of the one that was asked."""
    error: CallError
    """What it ended with."""


class PluginError(CallError):
    """A plugin is missing, broken or claimed by two distributions, or it did wrong at work.

    Attributes:
        kind, plugin, method: what did wrong at work, such as `provider`, `ollama`, `chat`; "" otherwise.
    """

    code = "plugin"

    def __init__(
        self, message: str, *, kind: str = "", plugin: str = "", method: str = "", deployment: str = ""
    ) -> None:
        super().__init__(message, deployment=deployment)
        self.kind = kind
        self.plugin = plugin
        self.method = method


class RequestError(CallError):
    """The request itself cannot succeed as it stands; no deployment is to blame."""

    code = "invalid_request"
    outcome = Outcome.CLIENT_FAULT


class InvalidRequest(RequestError):
    """Malformed, or refused by the upstream as malformed."""


class UnknownModel(RequestError):
    """No model of that name is configured."""

    code = "unknown_model"


class ContextWindowExceeded(RequestError):
    """The prompt is longer than the deployment can take; a fallback with a larger window may do."""

    code = "context_window_exceeded"
    try_fallback = True
    fallback_on = FallbackOn.CONTEXT_WINDOW


class ContentFiltered(RequestError):
    """A content policy of the upstream refused the request; a fallback follows only when it says so."""

    code = "content_filtered"
    try_fallback = True
    fallback_on = FallbackOn.CONTENT_FILTERED


class Refused(RequestError):
    """A guard refused the request or its answer; nobody else is asked."""

    code = "refused"


class BudgetExceeded(RequestError):
    """A budget of ours has no room for it: one of requests, tokens or money.

    Attributes:
        rule: the name of the rule that decided.
        limit: what that allows, such as `10 USD/month`.
        retry_after: seconds until there may be room again; None when nobody knows.
    """

    code = "budget_exceeded"

    def __init__(
        self,
        message: str,
        *,
        rule: str = "",
        limit: str = "",
        deployment: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        upstream_request_id: str = "",
        upstream_code: str = "",
    ) -> None:
        super().__init__(
            message,
            deployment=deployment,
            status=status,
            retry_after=retry_after,
            upstream_request_id=upstream_request_id,
            upstream_code=upstream_code,
        )
        self.rule = rule
        self.limit = limit


class Unsupported(RequestError):
    """The request asks for what this kind of upstream cannot do; noticed before anything was sent.

    Another deployment behind the same model may be able to, so the router goes on to it.

    Attributes:
        fields: names of those fields of the request that it is about, all of which would have to be left out;
            () where leaving fields out does not help, or nobody knows.
    """

    code = "unsupported"
    retry_elsewhere = True
    try_fallback = True
    fields: Sequence[str] = ()

    def __init__(
        self,
        message: str,
        *,
        deployment: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        upstream_request_id: str = "",
        upstream_code: str = "",
        fields: Sequence[str] = (),
    ) -> None:
        super().__init__(
            message,
            deployment=deployment,
            status=status,
            retry_after=retry_after,
            upstream_request_id=upstream_request_id,
            upstream_code=upstream_code,
        )
        self.fields = tuple(fields)


class ProviderError(CallError):
    """One attempt at one deployment failed."""

    code = "upstream_error"
    outcome = Outcome.UPSTREAM_FAULT
    retry_elsewhere = True
    retry_same = True
    try_fallback = True


class AuthenticationFailed(ProviderError):
    """The upstream rejected our credential."""

    code = "authentication_failed"
    refusal = Refusal.CREDENTIAL
    retry_same = False


class PermissionDenied(ProviderError):
    """Our credential may not do this at the upstream; the right may be missing for one model only."""

    code = "permission_denied"
    refusal = Refusal.PERMISSION
    retry_same = False


class ModelNotFound(ProviderError):
    """The upstream does not have the model; another one behind the same name may. Raised when none has."""

    code = "model_not_found"
    outcome = Outcome.NEUTRAL
    refusal = Refusal.MODEL
    retry_same = False


class QuotaExhausted(ProviderError):
    """Out of money or quota at the upstream: waiting does not help, another credential may."""

    code = "quota_exhausted"
    refusal = Refusal.QUOTA
    retry_same = False


class RateLimited(ProviderError):
    """The upstream counts too many requests or tokens."""

    code = "rate_limited"
    outcome = Outcome.OVERLOAD


class Overloaded(ProviderError):
    """The upstream has no capacity. Where it does not say when to come back, it counts as a fault."""

    code = "overloaded"
    outcome = Outcome.OVERLOAD

    def __init__(
        self,
        message: str,
        *,
        deployment: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        upstream_request_id: str = "",
        upstream_code: str = "",
    ) -> None:
        super().__init__(
            message,
            deployment=deployment,
            status=status,
            retry_after=retry_after,
            upstream_request_id=upstream_request_id,
            upstream_code=upstream_code,
        )
        if retry_after is None:
            # Claude says 529 of single calls while others pass: a cool-down would turn away all of them.
            self.outcome = Outcome.UPSTREAM_FAULT


class Unavailable(ProviderError):
    """The upstream failed on its side."""

    code = "unavailable"


class ConnectionFailed(ProviderError):
    """There was no connection, or it broke before an answer.

    `sent` is false only when it is certain that nothing of the request reached the upstream.
    """

    code = "connection_failed"

    def __init__(
        self, message: str, *, sent: bool = True, deployment: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, deployment=deployment, retry_after=retry_after)
        self.sent = sent


class NoConnectionFree(ConnectionFailed):
    """None of our own connections came free in time: nothing was sent, and the upstream is not to blame."""

    code = "no_connection_free"
    outcome = Outcome.NEUTRAL
    retry_same = False


class OutOfResources(ConnectionFailed):
    """This process has no file descriptors, memory or local ports left: no upstream is to blame.

    Elsewhere a connection that is open already may do, and a little later one may be free.
    """

    code = "out_of_resources"
    outcome = Outcome.NEUTRAL


class AttemptTimeout(ProviderError, TimeoutError):
    """One of our own timers ended the attempt."""

    code = "timeout"


class FirstTokenTimeout(AttemptTimeout):
    """Nothing of the answer arrived in time."""

    code = "first_token_timeout"


class IdleTimeout(AttemptTimeout):
    """The stream fell silent for too long."""

    code = "idle_timeout"


class BadResponse(ProviderError):
    """The answer was not what the wire allows."""

    code = "bad_response"


class FormatNotMet(BadResponse):
    """The text of an answer is not of the type that it is read as; the answer itself stays as it is.

    The call has succeeded by then, so nothing is tried again.

    Attributes:
        text: all of the answer's text.
        problems: (path, what is wrong there) of each; the path is like `address.0.city`, "" for all of it.
    """

    code = "format_not_met"
    text: str = ""
    problems: Sequence[tuple[str, str]] = ()


class Truncated(ProviderError):
    """The answer ended without the end marker of its wire: it is not complete."""

    code = "truncated"


class MidStreamError(CallError):
    """A stream broke after content had been delivered, so that nothing can be retried silently.

    Attributes:
        cause: the error that ended it; also the exception's `__cause__`.
        text: the text that the caller had received.
        events: how many events that were.
        usage: tokens as far as the upstream had counted them, None when it had not.
    """

    code = "stream_broken"

    def __init__(
        self, message: str, *, cause: CallError, text: str = "", events: int = 0, usage: Usage | None = None
    ) -> None:
        super().__init__(
            message,
            deployment=cause.deployment,
            status=cause.status,
            retry_after=cause.retry_after,
            upstream_request_id=cause.upstream_request_id,
            upstream_code=cause.upstream_code,
        )
        self.rule = cause.rule
        self.cause = cause
        self.text = text
        self.events = events
        self.usage = usage


class NoDeploymentAvailable(CallError):
    """Nothing is ready to take the call.

    Attributes:
        reasons: deployment id → why it could not be chosen, in a few words.
        retry_after: seconds until the first of them could become eligible, None when none ever will.
        refusal: what the upstreams of all of them refuse, where that is one and the same.
    """

    code = "no_deployment_available"
    try_fallback = True

    def __init__(
        self, message: str, *, reasons: Mapping[str, object], retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.reasons = {id: str(why) for id, why in reasons.items()}


class RuleNotMet(NoDeploymentAvailable):
    """No deployment carries the labels that the request or its model requires, so none may see it."""

    code = "rule_not_met"
    try_fallback = False


class DeadlineExceeded(CallError, TimeoutError):
    """The total time of the request is over; the last failure, if any, is its `__cause__`."""

    code = "deadline_exceeded"


class AuditUnavailable(CallError):
    """An audit sink without whose record no request may be made did not take it: nothing was sent."""

    code = "audit_unavailable"


class QueueFull(CallError):
    """Too many callers wait for this model already."""

    code = "queue_full"
