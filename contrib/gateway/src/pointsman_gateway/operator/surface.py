"""The operators' API, as a surface among the others: JSON, and one stream of events."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from pointsman._internal.printable import printable_line
from pointsman.plugin import (
    ConfigError,
    InvalidRequest,
    ProblemDetails,
    ProblemKind,
    Route,
    StreamReply,
    SurfaceRequest,
    UnknownModel,
    WholeReply,
)
from pointsman.units import parse_duration
from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.access.sessions import cookie, token_of
from pointsman_gateway.calls.running import RunningRequests
from pointsman_gateway.operator import openapi, page
from pointsman_gateway.operator.configuring import SUFFIXES, Configuring, Reload, told
from pointsman_gateway.operator.journal import Journal, TooManyReaders
from pointsman_gateway.operator.recent import SEARCHED_BY, Recent
from pointsman_gateway.operator.recorded import FILTERS, TIMES, Recorded

if TYPE_CHECKING:
    from pointsman import Router

log = logging.getLogger("pointsman.gateway")

_T = TypeVar("_T")
PREFIX = "/admin/v1"
_MOST_LISTED = 1_000
_LONGEST_DRAIN = 3_600.0
_STATUS: Mapping[ProblemKind, int] = {
    "authentication": 401, "forbidden": 403, "no_route": 404, "method": 405, "unknown_model": 404,
    "invalid": 400, "unsupported": 400, "context": 400, "content": 400, "refused": 403, "too_large": 413,
    "rate_limit": 429, "budget": 429, "overloaded": 503, "upstream": 502, "timeout": 504, "internal": 500,
}  # fmt: skip


class _Posted(Struct):
    text: str
    format: str = SUFFIXES[0]


class _Asked(Struct):
    model: str
    messages: str | list[dict[str, Any]] = ""
    stream: bool = False
    options: dict[str, Any] = {}


class Operated(Struct, frozen=True, eq=False):
    """What operators look at and change.

    Attributes:
        gate: whose sessions a login begins.
        settings: gives those of the gateway, as plain data without secrets.
        reload: reads the configuration anew, that of the gateway included.
    """

    router: Router
    journal: Journal
    recent: Recent
    running: RunningRequests
    gate: Gate
    settings: Callable[[], Mapping[str, Any]]
    reload: Reload


class OperatorSurface:
    """Routes for operators, for the console, and for whoever wants to read what there is."""

    def __init__(self, operated: Operated) -> None:
        self._operated = operated
        self._router = operated.router
        self._recorded = Recorded(lambda: operated.router.config)
        self._configuring = Configuring(operated.router, operated.settings, operated.reload)

    def routes(self) -> Sequence[Route]:
        one = f"{PREFIX}/deployments/{{id:path}}"
        return [
            *(
                _change(f"{one}/{name}", getattr(self, name))
                for name in ("disable", "enable", "drain", "reset")
            ),
            Route("GET", one, self.deployment, operator=True),
            Route("GET", f"{PREFIX}/status", self.status, operator=True),
            _change(f"{PREFIX}/reload", self.reload),
            Route("GET", f"{PREFIX}/config", self.config, operator=True),
            Route("POST", f"{PREFIX}/config/check", self.check_config, operator=True),
            Route("POST", f"{PREFIX}/explain", self.explain, operator=True),
            Route("GET", f"{PREFIX}/requests", self.requests, operator=True),
            _change(f"{PREFIX}/requests/{{id}}/cancel", self.cancel),
            Route("GET", f"{PREFIX}/requests/{{id}}", self.request, operator=True),
            Route("GET", f"{PREFIX}/audit", self.audit, operator=True),
            Route("GET", f"{PREFIX}/audit/verify", self.verify_audit, operator=True),
            Route("GET", f"{PREFIX}/events", self.events, operator=True),
            Route("GET", f"{PREFIX}/session", self.session),
            Route("POST", f"{PREFIX}/login", self.login, json=False),
            Route("POST", f"{PREFIX}/logout", self.logout, json=False),
            Route("GET", "/openapi.json", self.openapi, public=True),
            Route("GET", "/docs", self.docs, public=True),
            # A console that is installed has this place before.
            Route("GET", "/console", self.no_console, public=True, aliases=("/console/{path:path}",)),
        ]

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """`problem` as `{"error": {code, message, …}}`."""
        said = {
            "code": problem.code,
            "message": problem.message,
            "domain": problem.domain,
            "param": problem.param or None,
            "request_id": problem.request_id,
        }
        return _json({"error": said}, status=_STATUS[problem.kind])

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    async def status(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return _json(
            {
                "version": version("pointsman-gateway"),
                "config": self._router.config.file,
                "running": self._operated.running.listed(),
                **self._router.status().to_dict(),
            }
        )

    async def deployment(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return _json(self._deployment(asked.params["id"]))

    async def config(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return _json(await self._configuring.shown())

    async def check_config(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        said = _read(asked, _Posted)
        if said.format not in SUFFIXES:
            raise _invalid(f"format is one of {', '.join(SUFFIXES)}", "format")
        return _json(await self._configuring.checked(said.text, said.format))

    async def explain(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        said = _read(asked, _Asked)
        try:
            if twice := said.options.keys() & {"self", "model", "messages", "stream"}:
                raise _invalid(f"{min(twice)!r} is none of the `options`")
            explain = partial(self._router.explain, said.model, said.messages or "", stream=said.stream)
            return _json(explain(**said.options).to_dict())
        except UnknownModel as error:
            raise denied("unknown_model", error.code, error.message) from None
        except InvalidRequest as error:
            raise _invalid(error.message) from None

    async def requests(self, asked: SurfaceRequest) -> WholeReply:
        _takes(asked, (*SEARCHED_BY, "limit"))
        wanted = {name: value for name, value in asked.query.items() if name in SEARCHED_BY}
        limit = asked.query.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and len(limit) < 6 and 1 <= int(limit) <= _MOST_LISTED):
            raise _invalid(f"limit is a number from 1 to {_MOST_LISTED}", "limit")
        operated = self._operated
        return _json(
            {"requests": operated.recent.search(wanted, int(limit)), "running": operated.running.listed()}
        )

    async def request(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        found = self._operated.recent.find(asked.params["id"], self._router.scrub)
        if found is None:
            raise _unknown("no request of that id is kept, or it still runs", "unknown_request")
        return _json(found)

    async def audit(self, asked: SurfaceRequest) -> WholeReply:
        _takes(asked, (*FILTERS, *TIMES, "limit", "before", "place"))
        return _json(await self._recorded.search(asked))

    async def verify_audit(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return _json(await self._recorded.verification())

    async def events(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        _takes_nothing(asked)
        if asked.method == "HEAD":
            return WholeReply(200, content_type="text/event-stream")
        try:
            pieces = self._operated.journal.follow(asked.headers.get("last-event-id", ""))
        except TooManyReaders:
            raise denied(
                "overloaded",
                "too_many_readers",
                "too many follow the events",
                domain="gateway",
                retry_after=10.0,
            ) from None
        return StreamReply(pieces, heartbeat=b":\n\n", lasting=True)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────

    async def disable(self, asked: SurfaceRequest) -> WholeReply:
        return self._operate(asked, "disable", self._router.disable)

    async def enable(self, asked: SurfaceRequest) -> WholeReply:
        return self._operate(asked, "enable", self._router.enable)

    async def reset(self, asked: SurfaceRequest) -> WholeReply:
        return self._operate(asked, "reset", self._router.reset)

    async def drain(self, asked: SurfaceRequest) -> WholeReply:
        _takes(asked, ("timeout",))
        timeout = None
        if "timeout" in asked.query:
            try:
                timeout = parse_duration(asked.query["timeout"])
            except ValueError as error:
                raise _invalid(f"timeout: {error}", "timeout") from None
            if timeout > _LONGEST_DRAIN:
                raise _invalid("timeout: an hour at most", "timeout")
        id = asked.params["id"]
        self._deployment(id)
        _log(asked, f"drain {id}")
        drained = await self._router.drain(id, timeout=timeout)
        return _json({**self._state(id), "drained": drained})

    async def reload(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        _log(asked, "reload")
        try:
            return _json({"config": await self._configuring.reload()})
        except ConfigError as error:
            problems = [told(each) for each in error.problems]
            said = {"code": error.code, "message": error.message, "problems": problems}
            return _json({"error": {**said, "domain": "caller", "request_id": asked.request_id}}, status=409)

    async def cancel(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        id = asked.params["id"]
        if not self._operated.running.cancel(id):
            raise _unknown("no request of that id runs", "unknown_request")
        _log(asked, f"cancel {id}")
        return _json({"id": id, "cancelled": True})

    def _operate(self, asked: SurfaceRequest, what: str, change: Callable[[str], None]) -> WholeReply:
        _takes_nothing(asked)
        id = asked.params["id"]
        self._deployment(id)
        change(id)
        _log(asked, f"{what} {id}")
        return _json(self._state(id))

    def _deployment(self, id: str) -> Mapping[str, Any]:
        """What the status says of one deployment, and which models have it. Raises Denied."""
        having = {
            name: model.deployments[id]
            for name, model in self._router.status().models.items()
            if id in model.deployments
        }
        if not having:
            raise _unknown("no deployment has that id", "unknown_deployment")
        *_, found = having.values()
        return {**found.to_dict(), "models": [*having]}

    def _state(self, id: str) -> Mapping[str, Any]:
        now = self._deployment(id)
        return {"id": id, "state": now["state"], "in_flight": now["in_flight"]}

    # ── sessions ─────────────────────────────────────────────────────────────────────────────────────

    async def session(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        secret = self._operated.gate.session_of(asked.headers)
        offered = {
            each.path.removeprefix(f"{PREFIX}/").partition("/")[0] for each in self._router.offered.routes
        }
        csrf = token_of(secret) if secret else None
        return _json({**_who(asked), "csrf": csrf, "offers": sorted(offered)})

    async def login(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        secret = await self._operated.gate.login(asked)
        return _json(
            {**_who(asked), "csrf": token_of(secret)},
            fields={"set-cookie": cookie(secret, secure=asked.secure), "cache-control": "no-store"},
        )

    async def logout(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        gate = self._operated.gate
        gate.sessions.end(gate.session_of(asked.headers))
        return _json({}, fields={"set-cookie": cookie("", secure=asked.secure)})

    # ── reading about it ─────────────────────────────────────────────────────────────────────────────

    async def openapi(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return _json(openapi.document())

    async def docs(self, asked: SurfaceRequest) -> WholeReply:
        _takes_nothing(asked)
        return WholeReply(
            200, page.written(openapi.document()), "text/html; charset=utf-8", fields=page.FIELDS
        )

    async def no_console(self, _asked: SurfaceRequest) -> WholeReply:
        return WholeReply(404, page.NO_CONSOLE, "text/html; charset=utf-8", fields=page.FIELDS)


def _change(path: str, handler: Any) -> Route:
    return Route("POST", path, handler, operator=True, json=False)


def _json(value: object, *, status: int = 200, fields: Mapping[str, str] | None = None) -> WholeReply:
    return WholeReply(status, msgspec.json.encode(value), fields=fields or {"cache-control": "no-store"})


def _who(asked: SurfaceRequest) -> Mapping[str, Any]:
    caller = asked.caller
    models = None if caller.models is None else sorted(caller.models)
    return {"name": caller.name, "operator": caller.operator, "models": models}


def _takes_nothing(asked: SurfaceRequest) -> None:
    _takes(asked, ())


def _takes(asked: SurfaceRequest, known: Sequence[str]) -> None:
    for name in asked.query:
        if name not in known:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise _invalid(f"there is no parameter {printable_line(name[:64])!r}; this {takes}", name[:64])


def _read(asked: SurfaceRequest, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(asked.body, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _invalid(f"the body is not as it is to be: {error}") from None


def _invalid(message: str, param: str = "") -> Exception:
    refusal = denied("invalid", "invalid_request", message)
    refusal.problem = msgspec.structs.replace(refusal.problem, param=printable_line(param))
    return refusal


def _unknown(message: str, code: str) -> Exception:
    return denied("no_route", code, message)


def _log(asked: SurfaceRequest, what: str) -> None:
    log.info("operator %s: %s", printable_line(asked.caller.name) or "on this machine", printable_line(what))
