"""What goes wrong with modelled upstreams, and when: the words are those of the simulator's faults."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import Annotated

from msgspec import Struct
from pydantic import PlainValidator, WithJsonSchema

from pointsman._internal.settings import Section, setting
from pointsman.plugin import (
    AuthenticationFailed,
    BadResponse,
    CallError,
    ConnectionFailed,
    ContentFiltered,
    ContextWindowExceeded,
    Duration,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Truncated,
    Unavailable,
    error_for_status,
)
from pointsman_simulator import Fault, fault_of
from pointsman_simulator.wires.base import kind_of

REFUSED, DOWN = "refused", "down"
"""The words for an upstream that takes no connection, and for one whose connections break, too. The simulator
has none for these, as it would not be there."""

_KINDS: Mapping[str, type[CallError]] = {
    "rate_limit": RateLimited,
    "slow_down": RateLimited,
    "quota": QuotaExhausted,
    "overloaded": Overloaded,
    "server_error": Unavailable,
    "context_length": ContextWindowExceeded,
    "content_filter": ContentFiltered,
    "bad_request": InvalidRequest,
    "authentication": AuthenticationFailed,
    "billing": QuotaExhausted,
    "forbidden": PermissionDenied,
    "not_found": ModelNotFound,
    "timeout": Unavailable,
    "too_large": InvalidRequest,
}
"""What the simulator's kinds of errors come to, once a plugin has read what is on the wire."""
_KINDS_OF_TYPE: Mapping[str, Mapping[str, type[CallError] | None]] = {
    "claude": {"not_found": BadResponse},
    "localai": {
        "content_filter": InvalidRequest,
        "context_length": InvalidRequest,
        "not_found": BadResponse,
        "rate_limit": QuotaExhausted,
    },
    "ollama": {
        "content_filter": InvalidRequest,
        "overloaded": None,
        "rate_limit": QuotaExhausted,
    },
}
"""The same where a wire has no word for it, or the plugin reads another; a test compares all of them."""
_BROKEN: Mapping[str, type[CallError]] = {
    "reset": ConnectionFailed,
    "cut": Truncated,
    "truncate": Truncated,
    "error": Unavailable,
}
_NOT_HERE = ("drip", "giant_line", "invalid_json", "invalid_utf8", "redirect", "wrong_content_type")


def _kind_at(type: str, kind: str) -> builtins.type[CallError] | None:
    """What such an error comes to at a provider of that type; None where status and headers say it."""
    return {**_KINDS, **_KINDS_OF_TYPE.get(type, {})}.get(kind)


class Trouble(Struct, frozen=True):
    """What becomes of a call, and of which share of them.

    Attributes:
        fault: as the simulator knows it; None: the connection is refused.
        share: above 0, at most 1.
        cuts: what runs when it begins breaks off.
    """

    fault: Fault | None
    share: float = 1.0
    cuts: bool = False

    @property
    def silent(self) -> bool:
        """Whether nothing comes at all."""
        return self.fault is not None and self.fault.name == "stall" and self.fault.n_events is None

    @property
    def after(self) -> int | None:
        """Content events before it; None where it comes in place of an answer."""
        return None if self.fault is None else self.fault.n_events

    @property
    def loading(self) -> float:
        """Seconds until the model is there; 0 where it is."""
        return self.fault.seconds if self.fault is not None and self.fault.name == "loading" else 0.0

    def error(self, where: str, type: str, *, wall: float) -> CallError:
        """What the call ends with, at a provider of that `type`; not of one that is silent."""
        fault = self.fault
        if fault is None:
            return ConnectionFailed(f"{where} refuses connections", sent=False)
        if fault.name == "loading":
            return Overloaded(f"{where} loads the model", status=503, retry_after=fault.seconds)
        if fault.name == "status":
            later = {} if fault.retry_after is None else {"retry-after": str(fault.retry_after)}
            kind = _kind_at(type, kind_of(fault))
            return error_for_status(fault.code, later, "as modelled", wall=wall, kind=kind)
        return _BROKEN[fault.name](f"{where} breaks off: {fault.name}")


BUSY = Trouble(Fault.status(503))
"""What becomes of a call that is one too many in line."""


def parse_trouble(value: object) -> Trouble:
    """What `503`, `429/quota:5`, `cut_after:3@20%` or `refused@50%` means.

    Raises: ValueError that says what is expected.
    """
    if isinstance(value, Trouble):
        return value
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a fault such as 503, 429:5, stall, cut_after:3@20%, refused or down")
    said = str(value)
    words, at, _ = said.partition("@")
    if said == DOWN:
        return Trouble(None, cuts=True)
    if words == REFUSED:
        return Trouble(None, fault_of(f"503{said.removeprefix(REFUSED)}")[1] if at else 1.0)
    try:
        fault, share = fault_of(said)
    except ValueError as error:
        raise ValueError(
            f"{error}; here also {REFUSED} and {DOWN}" if "no fault" in str(error) else str(error)
        ) from None
    if fault.name in _NOT_HERE:
        raise ValueError(f"{said!r}: {fault.name} is about bytes, which a model does not send")
    return Trouble(fault, share)


class FaultSettings(Section):
    """Something that goes wrong for a while, or all the time."""

    upstream: str = setting(description="a provider, or `provider/model`")
    fault: Annotated[
        Trouble, PlainValidator(parse_trouble), WithJsonSchema({"type": ["string", "integer"]})
    ] = setting(
        description="as the simulator's: `503`, `429:5`, `stall`, `cut_after:3@20%`; or `refused`, `down`"
    )
    at: Duration = setting(default=0.0, ge=0, description="when it begins, from the start")
    last: Duration | None = setting(
        default=None, gt=0, description="for how long; without it to the end", json_schema_extra={}
    )

    def holds(self, now: float) -> bool:
        """Whether it is the case `now`, in seconds from the start."""
        return self.at <= now and (self.last is None or now < self.at + self.last)
