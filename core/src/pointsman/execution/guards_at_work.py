"""One guard at one request: asked within the deadline, and what it gives back checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, fault, is_own, log_raised, misshapen
from pointsman._internal.timeouts import TimeLimit
from pointsman.errors import InvalidRequest, Refused
from pointsman.events import log
from pointsman.execution.time_limits import deadline_passed
from pointsman.guard import Answered, Guard, GuardCall
from pointsman.requests.parsing import checked
from pointsman.routing.entrance import ConfiguredGuard
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse, Request, ToolCall
from pointsman.wire.token_usage import unsound

if TYPE_CHECKING:
    from pointsman.execution.execution import Execution

T = TypeVar("T")
R = TypeVar("R", bound=ChatResponse | EmbedResponse)
Response = ChatResponse | EmbedResponse
Wrong = str | None
"""What is wrong with what a guard gave back, after its name; None when nothing is."""


class GuardAtWork(Struct, frozen=True, eq=False):
    """A guard that a request has passed, and what it knows of the request."""

    configured: ConfiguredGuard
    call: GuardCall


async def before(execution: Execution, at_work: GuardAtWork) -> Request | Answered | None:
    """The request as the guard lets it go on, or its answer; None where the guard failed and is left out.

    Raises: Refused, PluginError, DeadlineExceeded.
    """
    guard, request = at_work.configured.guard, execution.request
    given = await _asked(
        execution,
        at_work,
        "before",
        lambda: guard.before(request, at_work.call),
        lambda given: wrong_before(request, given),
    )
    if given is None or given is request or isinstance(given, Answered):
        return given
    return checked(given)  # as a caller's: messages may be mappings


async def after(execution: Execution, at_work: GuardAtWork, response: Response) -> Response:
    """The answer as the guard lets it go out. Raises as `before`."""
    guard = at_work.configured.guard
    given = await _asked(
        execution,
        at_work,
        "after",
        lambda: guard.after(response, at_work.call),
        lambda given: wrong_after(response, given),
    )
    return response if given is None else without_old_raw(response, given)


async def _asked(
    execution: Execution,
    at_work: GuardAtWork,
    method: str,
    ask: Callable[[], Awaitable[T]],
    wrong: Callable[[T], Wrong],
) -> T | None:
    """What the guard's `method` gives; None where it failed, and the request goes on all the same."""
    name = at_work.configured.name
    limit = TimeLimit(execution.deadline, TimeoutError, execution.setting.alarms)
    try:
        given = await ask()
        did = wrong(given)
    except BaseException as error:
        if limit.over(error):
            raise deadline_passed(execution, f"while the guard {name!r} was at work") from None
        if not is_own(error):
            raise
        failed(execution, at_work.configured, method, error)
        return None
    if limit.over():
        raise deadline_passed(execution, f"while the guard {name!r} was at work")
    if did is not None:
        failed(execution, at_work.configured, method, f"{did}, in {method}()")
        return None
    return given


def failed(execution: Execution, configured: ConfiguredGuard, method: str, did: BaseException | str) -> None:
    """A guard raised `did` from `method`, or did what the words say: nothing more where that is allowed.

    Raises: Refused, where that is what it raised; else PluginError.
    """
    if isinstance(did, Refused):
        if (odd := misshapen(did)) is None:
            did.rule = configured.name
            raise execution.complete(did)
        did = f"raised {odd} from {method}()"
    scrub, name = execution.setting.scrubber.text, configured.name
    if not configured.allows:
        error = fault("guard", name, method, did, scrub=scrub)
        raise execution.complete(error) from did if isinstance(did, BaseException) else None
    if isinstance(did, BaseException):
        message = f"guard plugin {name!r} failed in {method}(): {type(did).__name__}"
        log_raised(f"{message}; {execution.request_id} goes on without it", did, scrub)
    else:
        log.error("guard plugin %r %s; %s goes on without it", name, did, execution.request_id)


def wrong_before(request: Request, given: object) -> Wrong:
    """What is wrong with `given`, which a guard made of `request`."""
    if given is request:
        return None
    if isinstance(given, Answered):
        return wrong_answer(request, given)
    if type(given) is not type(request):
        return f"returned a {type(given).__name__}, expected a {type(request).__name__} or Answered"
    if given.model != request.model:
        return f"returned a request for {given.model!r:.100} in place of {request.model!r:.100}"
    if (wrong := _other_count(_count(request), _count(given))) is not None:
        return wrong
    try:
        checked(given)
    except InvalidRequest as error:
        return f"returned a request that is none ({error.message})"
    return None


def wrong_answer(request: Request, answered: Answered) -> Wrong:
    """What is wrong with `answered` as the answer to `request`."""
    response = answered.response
    kind = EmbedResponse if isinstance(request, EmbedRequest) else ChatResponse
    if not isinstance(response, kind):
        return f"returned a {type(response).__name__} as the answer, expected a {kind.__name__}"
    if answered.result not in ("answered", "cached"):
        return f"returned an answer whose result is {answered.result!r:.50}, expected 'answered' or 'cached'"
    if (wrong := unsound(response.usage)) is not None:
        return f"returned an answer whose usage {wrong}"
    return _other_count(_count(request), _count(response)) or _unsound(response)


_KEPT = ("deployment", "attempts", "request_id", "usage", "cost_microcents")


def wrong_after(response: Response, given: object) -> Wrong:
    """What is wrong with `given`, which a guard made of `response`."""
    if given is response:
        return None
    if type(given) is not type(response):
        return f"returned a {type(given).__name__}, expected a {type(response).__name__}"
    for name in _KEPT:
        if getattr(given, name) != getattr(response, name):
            return f"returned an answer with another `{name}`, which is not its own"
    return _other_count(_count(response), _count(given)) or _unsound(given)


def _count(value: Request | Response) -> int:
    """How many texts or vectors there are; 0 in what is no embedding."""
    match value:
        case EmbedRequest():
            return len(value.texts)
        case EmbedResponse():
            return len(value.vectors)
        case _:
            return 0


def _other_count(wanted: int, got: int) -> Wrong:
    return None if got == wanted else f"returned {got} texts or vectors in place of {wanted}"


_SOUND = {
    "text": str,
    "reasoning": str | None,
    "refusal": str | None,
    "tool_calls": list | tuple,
    "reasoning_blocks": list | tuple,
    "extra": Mapping,
    "model": str,
    "id": str,
}


def _unsound(response: Response) -> Wrong:
    """What is wrong with the members of an answer that its events would say, too."""
    if not isinstance(response, ChatResponse):
        return None
    for name, kind in _SOUND.items():
        if not isinstance(value := getattr(response, name), kind):
            return f"returned an answer whose `{name}` is a {type(value).__name__}"
    for call in response.tool_calls:
        if type(call) is not ToolCall or {type(call.id), type(call.name), type(call.arguments)} != {str}:
            return f"returned an answer with a tool call that is none, a {type(call).__name__}"
    return None


def looks_at_answers(at_work: GuardAtWork) -> bool:
    """Whether a guard has a say in the answer to this request, whole or as a stream."""
    guard = at_work.configured.guard
    if getattr(type(guard), "after", None) is Guard.after:
        return False
    if getattr(type(guard), "stream", None) is Guard.stream:
        return True
    try:
        return guard.stream(at_work.call) is not None
    except OWN:  # it is asked again where it counts
        return True


SAID = ("text", "reasoning", "reasoning_blocks", "refusal", "tool_calls", "extra")
"""What of an answer its events say, and its `raw`, and what guards may change."""


def says_the_same(response: Response, given: Response) -> bool:
    """Whether `given`, which guards made of `response`, is the same answer."""
    names = [name for name in response.__struct_fields__ if name not in ("raw", "relayed")]
    return all(getattr(given, name) == getattr(response, name) for name in names)


def without_old_raw(response: R, given: R) -> R:
    """`given`, without what the upstream sent where a guard changed what that says."""
    if given is response or given.raw is None or given.raw is not response.raw:
        return given
    names = SAID if isinstance(given, ChatResponse) else ("vectors",)
    changed = any(getattr(given, name) != getattr(response, name) for name in names)
    return replace(given, raw=None) if changed else given
