"""How one request is to be treated, beside what it asks: time, place in the queue, and rules about data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from msgspec import Struct, field

from pointsman.errors import InvalidRequest
from pointsman.requests.requirements import Requirements, as_rule

Priority = Literal["high", "normal", "low"]

Tags = Mapping[str, str]


class CallOptions(Struct, frozen=True):
    """What a caller may say about the treatment of a request.

    Attributes:
        timeout: seconds for all of it: waiting, attempts and pauses. None: as configured.
        first_token_timeout, idle_timeout: seconds, for streams. None: as configured.
        priority: who is served first where callers must wait, and shed last.
        caller: who asks: events and records say it, and in a queue the calls of one caller share one turn.
            At most 256 characters; "" is a caller like any other.
        request_id: the id of the request in errors, events, records and logs, and in the header that goes to
            the upstream; one of ours when "". At most 200 printable ASCII characters.
        tags: what else events and records are to say of the request: at most 16, names of up to 64 characters
            and values of up to 256. They do not go to the upstream; `metadata` of the request does.
        require: labels that a deployment must carry. What cannot be met is refused, never bent.
    """

    timeout: float | None = None
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    priority: Priority = "normal"
    caller: str = ""
    request_id: str = ""
    tags: Tags = field(default_factory=dict)
    require: Requirements = field(default_factory=dict)


DEFAULT = CallOptions()
"""The options of a request that says nothing of them."""
OPTION_NAMES = frozenset(CallOptions.__struct_fields__)
"""The names of the options that are about the treatment, and not about what is asked."""
_LONGEST_ID = 200
_LONGEST_NAME = 64
_LONGEST_VALUE = 256
_TAGS_AT_MOST = 16


def split_options(options: Mapping[str, Any]) -> tuple[CallOptions, Mapping[str, Any]]:
    """Those of `options` about the treatment, and the rest.

    Raises: InvalidRequest for one of them that cannot be right.
    """
    if OPTION_NAMES.isdisjoint(options):
        return DEFAULT, options
    given = {name: options[name] for name in options if name in OPTION_NAMES}
    for name in ("timeout", "first_token_timeout", "idle_timeout"):
        _check_seconds(name, given.get(name))
    if given.get("priority", "normal") not in get_args(Priority):
        raise InvalidRequest(
            f"priority is {shown(given['priority'])}; expected {', '.join(get_args(Priority))}"
        )
    if "caller" in given:
        _check_text("caller", given["caller"], _LONGEST_VALUE)
    if "request_id" in given:
        _check_id(given["request_id"])
    if "tags" in given:
        given["tags"] = as_tags(given["tags"])
    if "require" in given:
        given["require"] = as_rule(given["require"])
    return CallOptions(**given), {name: options[name] for name in options if name not in OPTION_NAMES}


_OPTIONS = {"total": "timeout", "first_token": "first_token_timeout", "idle": "idle_timeout"}


def show_limit(terms: CallOptions, name: str, configured: float | None) -> str:
    """A time limit by the name under which it was set, and its length: `timeouts.idle` of 60 s."""
    option = _OPTIONS.get(name)
    said: float | None = None if option is None else getattr(terms, option)
    seconds, setting = (said, option) if said else (configured, f"timeouts.{name}")
    return f"`{setting}` of {seconds:g} s"


def as_tags(given: Any) -> Tags:
    """A flat mapping of short texts, copied. Raises InvalidRequest."""
    if not isinstance(given, Mapping):
        raise InvalidRequest('tags must be a mapping of texts, such as {"feature": "search"}')
    if len(given) > _TAGS_AT_MOST:
        raise InvalidRequest(f"there are {len(given)} tags; at most {_TAGS_AT_MOST} go")
    for name, value in given.items():
        _check_text("the name of a tag", name, _LONGEST_NAME)
        _check_text(f"tags[{name!r}]", value, _LONGEST_VALUE)
    return dict(given)


def _check_text(what: str, value: Any, longest: int) -> None:
    if not isinstance(value, str):
        raise InvalidRequest(f"{what} is of type {type(value).__name__}; expected text")
    if len(value) > longest:
        raise InvalidRequest(f"{what} has {len(value)} characters; at most {longest} go")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{what} holds half a character, which no record can hold") from None


def _check_id(value: Any) -> None:
    _check_text("request_id", value, _LONGEST_ID)
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidRequest("request_id must be printable ASCII, without a blank at either end")


def _check_seconds(name: str, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
        raise InvalidRequest(f"{name} is {shown(value)}; expected seconds above 0, at most {_LONGEST:g}")


def shown(value: Any) -> str:
    """A wrong value for a message: short ones as they are, others by their type."""
    if not isinstance(value, str | int | float) or (isinstance(value, int) and value.bit_length() > _BITS):
        return type(value).__name__
    text = repr(value[:50]) if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN else type(value).__name__


_LONGEST = 1e9
"""Seconds, some thirty years."""
_SHOWN = 40
_BITS = 100  # Python refuses to write out very long numbers
