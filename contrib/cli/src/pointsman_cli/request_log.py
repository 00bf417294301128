"""Requests as a log shows them, a line for each: of the events of a router, or of what a gateway keeps."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from msgspec import Struct

Data = Mapping[str, Any]
_MOST_RUNNING = 10_000
"""Requests whose attempts are known while they still run."""
_CHANGES = {"breaker_changed": "BreakerChanged", "health_changed": "HealthChanged", "reloaded": "Reloaded",
            "state_changed": "StateChanged", "caller_refused": "CallerRefused"}  # fmt: skip


class Wanted(Struct, frozen=True):
    """Which requests are shown. Names may be patterns, such as `gpu1/*`.

    Attributes:
        model, deployment, caller: "" for all; a deployment also counts where it was asked in vain.
        errors: only those without an answer, or with an attempt that failed.
        slow: only those that took so many seconds or more.
        since: only those that ended then or later, seconds since 1970.
    """

    model: str = ""
    deployment: str = ""
    caller: str = ""
    errors: bool = False
    slow: float = 0.0
    since: float = 0.0

    @property
    def about_requests(self) -> bool:
        """Whether it asks for requests of a certain kind, so that changes of the router are left out."""
        return bool(self.model or self.caller or self.errors or self.slow)

    def shows(self, request: Data) -> bool:
        """Whether `request` is one of them."""
        asked = {each["deployment"] for each in request["attempts"]} | {request["deployment"]}
        failed = any(each["error"] for each in (request, *request["attempts"]))
        return (
            _like(self.model, request["model"], request["pool"])
            and _like(self.deployment, *asked)
            and _like(self.caller, request["caller"])
            and (failed or not self.errors)
            and request["seconds"] >= self.slow
            and request["at"] >= self.since
        )

    def shows_change(self, event: Data) -> bool:
        """Whether `event`, which is of no request, is one to be shown beside them."""
        about = (event[key] for key in ("deployment", "subject") if key in event)
        return (
            event["type"] in _CHANGES
            and not self.about_requests
            and (not self.deployment or _like(self.deployment, *about))
        )


def _like(pattern: str, *names: str) -> bool:
    return not pattern or any(fnmatchcase(each, pattern) for each in names)


class Requests:
    """Puts requests together out of events, which tell of attempts and ends one by one."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, list[Data]] = OrderedDict()

    def heard(self, event: Data) -> Data | None:
        """The request that `event` ends; None for any other event."""
        match event.get("type"):
            case "attempt_ended":
                self._attempts.setdefault(event["request_id"], []).append(event)
                if len(self._attempts) > _MOST_RUNNING:
                    self._attempts.popitem(last=False)
            case "request_ended":
                attempts = self._attempts.pop(event["request_id"], [])
                return _request(event, id=event["request_id"], at=event["at"], attempts=attempts)
        return None


def kept(request: Data) -> Data:
    """The same out of what a gateway keeps of a request."""
    began = datetime.fromisoformat(request["at"]).timestamp()
    return _request(request, id=request["id"], at=began + request["seconds"], attempts=request["attempts"])


_COPIED = ("operation", "model", "pool", "deployment", "caller", "result", "error", "detail", "seconds",
           "usage", "cost_microcents", "tags")  # fmt: skip
_OF_AN_ATTEMPT = ("deployment", "outcome", "error", "detail", "status", "seconds", "first_token")


def _request(said: Data, *, id: str, at: float, attempts: Sequence[Data]) -> Data:
    tried = [{name: each.get(name) for name in _OF_AN_ATTEMPT} for each in attempts]
    answered = (
        each["first_token"] for each in tried if not each["error"] and each["first_token"] is not None
    )
    return {
        "type": "request",
        "at": at,
        "id": id,
        **{name: said.get(name) for name in _COPIED},
        "first_token": next(answered, None),
        "attempts": tried,
    }


def line_of(request: Data) -> str:
    """`21:48:20  assistant  gpu1/llama3.2  ok  2 attempts  first 0.31 s  1.24 s  81+14 tokens  0.004 USD`"""
    attempts, usage = len(request["attempts"]), request["usage"] or {}
    said = [_clock(request["at"]), request["model"], request["deployment"] or "nowhere", request["result"]]
    said += [f"{attempts} attempts"] if attempts > 1 else []
    said += [f"first {request['first_token']:.2f} s"] if request["first_token"] is not None else []
    said.append(f"{request['seconds']:.2f} s")
    if usage.get("prompt") is not None or usage.get("completion") is not None:
        said.append(f"{_count(usage.get('prompt'))}+{_count(usage.get('completion'))} tokens")
    if request["cost_microcents"] is not None:
        from pointsman.values.usd import usd

        said.append(f"{usd(request['cost_microcents'])} USD")
    said += [request["caller"]] if request["caller"] else []
    said += [_error(request)] if request["error"] else []
    tried = [f"{each['deployment']}: {each['error']}" for each in request["attempts"] if each["error"]]
    return "  ".join(said + ([f"({', '.join(tried)})"] if tried and not request["error"] else []))


def change_line(event: Data) -> str | None:
    """A change of the router in words; None for what is none, or one that is not known here."""
    import msgspec

    from pointsman import events
    from pointsman.event_log import line

    name = _CHANGES.get(str(event.get("type")))
    if name is None:
        return None
    try:
        return f"{_clock(event['at'])}  {line(msgspec.convert(event, getattr(events, name)))}"
    except (msgspec.ValidationError, KeyError):  # a router of another version
        return None


def _error(request: Data) -> str:
    return f"{request['error']}: {request['detail']}" if request["detail"] else str(request["error"])


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")
