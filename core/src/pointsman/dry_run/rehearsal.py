"""What a deployment would be sent: its provider's own code at work, over a transport that sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from msgspec import Struct
from msgspec.structs import replace

from pointsman._internal.plugin_errors import OWN, fault
from pointsman._internal.scrubber import Scrubber
from pointsman._internal.timeouts import Timeouts
from pointsman.config.secret_values import masked_options
from pointsman.errors import BudgetExceeded, CallError, ConnectionFailed, Unsupported
from pointsman.execution.adjusting import adjusted
from pointsman.execution.admission import hold_asked
from pointsman.execution.execution import Execution
from pointsman.execution.relaying import expect_nothing_overruled, speaks
from pointsman.explanations import ExplainedWire
from pointsman.http.client import CallTimeouts, Client
from pointsman.http.provider_base import HttpProvider
from pointsman.provider import Call
from pointsman.routing.deployment import Deployment
from pointsman.transports.raw import RawTransport, RequestTemplate, named
from pointsman.types import ChatRequest
from pointsman.wire.opaque import for_maker
from pointsman.wire.status_errors import json_or_none

if TYPE_CHECKING:
    import httpx

MASKED = "***"
_SHOWN = frozenset(
    (
        *("host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"),
        *("anthropic-version", "anthropic-beta", "traceparent"),
        *("x-pointsman-request-id", "x-pointsman-attempt"),
    )
)
"""Header fields that hold no credential; whatever else a configuration or a plugin adds may be one."""

_ASKED = frozenset(
    (
        *("contents", "format", "input", "instructions", "messages", "model", "prompt", "response_format"),
        *("system", "system_instruction", "text", "tools"),
    )
)
"""Members of a body that hold what is asked, with which tools and for which answer."""
_OF_FUNCTIONS = frozenset(("type", "name", "description", "function", "parameters", "input_schema", "strict"))
"""Members of a tool that say what it does; a parameter may well be called `api_key`."""


class Rehearsed(Struct, frozen=True):
    """What came of asking one deployment.

    Attributes:
        wire: tells what it would be sent; None when that is not known, and `unsent` says why.
        refusal: it cannot do what is asked, or a budget has no room for what it costs.
        left_out: options that it was asked without.
    """

    wire: Callable[[], ExplainedWire] | None = None
    unsent: str = ""
    refusal: Unsupported | BudgetExceeded | None = None
    left_out: tuple[str, ...] = ()


class _Recorder(RawTransport):
    """Keeps the first request, and fails as if the upstream could not be reached.

    Attributes:
        relays: what is being sent goes on as its caller wrote it.
    """

    def __init__(self) -> None:
        self.relays = False
        self.sent: tuple[RequestTemplate, tuple[str, ...], bytes] | None = None

    def exchange(self, shared: RequestTemplate, values: tuple[str, ...], content: bytes) -> Any:
        self.sent = self.sent or (shared, values, content)
        raise ConnectionFailed("a dry run sends nothing", sent=False)


class Rehearsals:
    """Asks the deployments of one request, each once for what is left out of it.

    Args:
        execution: of the request; it has begun nowhere.
        own: the clients that providers have for themselves, by the names of these.
    """

    def __init__(self, execution: Execution, own: Mapping[str, Sequence[Client]]) -> None:
        self._execution = execution
        self._own = own
        self._known: dict[tuple[str, tuple[str, ...]], Rehearsed] = {}

    def of(self, deployment: Deployment) -> Rehearsed:
        """What `deployment` would be sent now."""
        dropping = self._execution.dropping
        key = deployment.id, () if dropping is None else dropping.of(deployment)
        if (known := self._known.get(key)) is None:
            if (why := _over_budget(self._execution, deployment)) != "":
                return Rehearsed(refusal=BudgetExceeded(why))
            with _kept_in(self._own.get(deployment.provider_name, ())):
                known = self._known[key] = _rehearsed(self._execution, deployment, key[1])
        return known


def _over_budget(execution: Execution, deployment: Deployment) -> str:
    """Why a budget would refuse an attempt there; "" when none would."""
    budgets = execution.setting.budgets
    if budgets is None:
        return ""
    models = [
        pool.name for pool in execution.chain if any(each.id == deployment.id for each in pool.deployments)
    ]
    try:
        return budgets.refusal(hold_asked(execution, models[0], deployment))
    except OWN as error:
        fault("service", "budgets", "refusal", error, scrub=execution.setting.scrubber.text)
        return ""


@contextmanager
def _kept_in(clients: Sequence[Client]) -> Iterator[None]:
    """Within it nothing leaves by `clients`, either. Nothing is awaited in it, so nobody else notices."""
    before = [each.transport for each in clients]
    try:
        for each in clients:
            each.transport = cast("httpx.AsyncBaseTransport", _Recorder())
        yield
    finally:
        for each, transport in zip(clients, before, strict=True):
            each.transport = transport


def _rehearsed(execution: Execution, deployment: Deployment, left_out: tuple[str, ...]) -> Rehearsed:
    provider, client = deployment.provider, deployment.client
    request = execution.request
    assert isinstance(request, ChatRequest)
    try:
        asked = adjusted(execution, deployment, request)
    except Unsupported as error:
        return Rehearsed(refusal=error, left_out=left_out)
    if client is None or not isinstance(provider, HttpProvider):
        # Whatever it does when it is asked, it may be a call.
        return Rehearsed(unsent=f"{provider.name} does not send over HTTP, or by ways of its own")
    recorder = _Recorder()
    call = Call(
        deployment.model,
        client.rehearsal(recorder),
        _limits(deployment),
        execution.options.request_id or "dry-run",
        1,
        deployment.options,
        traceparent=execution.options.tags.get("traceparent", ""),
    )
    did = _first_step(_ask(execution, deployment, asked, call, recorder))
    if isinstance(did, Unsupported):
        return Rehearsed(refusal=did, left_out=left_out)
    if recorder.sent is not None:
        # For one of all that are asked it is wanted, and it would be a third of what each takes.
        wire = partial(_shown, *recorder.sent, client.scrubber, relayed=recorder.relays)
        return Rehearsed(wire, left_out=left_out)
    return Rehearsed(unsent=client.scrubber.text(_why(did)), left_out=left_out)


def _limits(deployment: Deployment) -> CallTimeouts:
    """Limits of which a client need set no timer: nothing is waited for."""
    kept = Timeouts()
    kept.when = -inf
    return CallTimeouts(inf, deployment.first_token, deployment.idle, time=kept)


async def _ask(
    execution: Execution, deployment: Deployment, asked: ChatRequest, call: Call, recorder: _Recorder
) -> None:
    """Ask as an attempt does."""
    provider, original = deployment.provider, execution.options.original
    streams = execution.operation == "stream"
    if original is not None:
        if speaks(provider, original):
            try:
                expect_nothing_overruled(deployment, original)
                recorder.relays = True
                relay = provider.relay_stream if streams else provider.relay
                await relay(asked, replace(call, original=original))
            except Unsupported:
                recorder.relays = False
                if original.needs_wire:
                    raise
        asked = for_maker(asked, provider.mark)
    await (provider.stream if streams else provider.chat)(asked, call)


def _first_step(asking: Coroutine[Any, Any, None]) -> BaseException | None:
    """How `asking` ended, without a loop; None where it wants to wait for something, and is ended."""
    try:
        asking.send(None)
    except StopIteration:
        return RuntimeError("it answered without sending anything")
    except OWN as error:  # a plugin's code
        return error
    asking.close()
    return None


def _why(did: BaseException | None) -> str:
    if did is None:
        return "it is so large that it is written in a thread, or something has to be fetched before"
    return did.message if isinstance(did, CallError) else f"{type(did).__name__}: {did}"


def _shown(
    template: RequestTemplate, values: tuple[str, ...], content: bytes, scrubber: Scrubber, *, relayed: bool
) -> ExplainedWire:
    fields = named((*template.fields, *template.own_fields(values, content)))
    text = scrubber.text(content.decode("utf-8", "replace"))
    body = json_or_none(text.encode())
    return ExplainedWire(
        template.method,
        scrubber.text(_address(str(template.url))),
        {name: scrubber.text(value) if name in _SHOWN else MASKED for name, value in fields.items()},
        text if body is None else _without_credentials(body),
        relayed,
    )


def _without_credentials(body: Any) -> Any:
    """`body` without what may be one in the options that a configuration adds; what is asked is as it is."""
    if not isinstance(body, Mapping):
        return body
    options = masked_options({name: each for name, each in body.items() if name not in _ASKED})
    if isinstance(tools := body.get("tools"), list):
        options["tools"] = [_tool_without_credentials(each) for each in tools]
    return {name: options.get(name, each) for name, each in body.items()}


def _tool_without_credentials(tool: Any) -> Any:
    """`tool` without what opens the server that an upstream is to use by itself; a function is as it is."""
    if not isinstance(tool, Mapping):
        return tool
    options = masked_options({name: each for name, each in tool.items() if name not in _OF_FUNCTIONS})
    return {name: options.get(name, each) for name, each in tool.items()}


def _address(url: str) -> str:
    """`url` without a password, and without what its query says beside a version of the API."""
    scheme, place, path, query, _ = urlsplit(url)
    said = "&".join(
        f"{name}={value if name == 'api-version' else MASKED}" for name, value in parse_qsl(query)
    )
    return urlunsplit((scheme, place.rpartition("@")[2], path, said, ""))
