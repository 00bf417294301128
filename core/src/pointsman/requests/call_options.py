"""How one request is to be treated, beside what it asks: time, place in the queue, and rules about data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ulp
from typing import Any, Literal, get_args

from msgspec import Struct, field

from pointsman.errors import InvalidRequest
from pointsman.original import Original
from pointsman.requests.checks import expect, expect_one_of, number
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
            At most 256 characters; "" is nobody that is known, who is shed first.
        request_id: the id of the request in errors, events, records and logs, and in the header that goes to
            the upstream; one of ours when "". At most 200 printable ASCII characters.
        tags: what else events and records are to say of the request: at most 16, names of up to 64 characters
            and values of up to 256. They do not go to the upstream, but for one called `traceparent`, which
            is a header there; `metadata` of the request does.
        require: labels that a deployment must carry. What cannot be met is refused, never bent.
        affinity: the conversation that it belongs to, for strategies that keep one where it was. At most 256
            characters; "" when nobody says.
        original: the request as its caller wrote it, for providers that speak its wire.
        fallbacks: models to try next, in place of those that are configured; their own fallbacks are not
            followed. Empty: none at all. None: as configured.
        strategy: the name of one that chooses for this request in place of the configured one, without
            settings: one that is built in, or that the configuration uses somewhere. "": as configured.
    """

    timeout: float | None = None
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    priority: Priority = "normal"
    caller: str = ""
    request_id: str = ""
    tags: Tags = field(default_factory=dict)
    require: Requirements = field(default_factory=dict)
    affinity: str = ""
    original: Original | None = None
    fallbacks: Sequence[str] | None = None
    strategy: str = ""


DEFAULT = CallOptions()
"""The options of a request that says nothing of them."""
OPTION_NAMES = frozenset(CallOptions.__struct_fields__)
"""The names of the options that are about the treatment, and not about what is asked."""
COMPLETE = "call_options"
"""The name under which all of them are given at once."""
_LONGEST_ID = 200
_LONGEST_NAME = 64
_LONGEST_VALUE = 256
TAGS_AT_MOST = 16
_LONGEST = 1e9
"""Seconds, some thirty years."""


def split_options(options: Mapping[str, Any]) -> tuple[CallOptions, Mapping[str, Any]]:
    """Those of `options` about the treatment, and the rest.

    Raises: InvalidRequest for one of them that cannot be right.
    """
    if COMPLETE in options:
        return _complete(options)
    if OPTION_NAMES.isdisjoint(options):
        return DEFAULT, options
    given = {name: _READERS[name](value, name) for name, value in options.items() if name in OPTION_NAMES}
    return CallOptions(**given), {name: options[name] for name in options if name not in given}


def _complete(options: Mapping[str, Any]) -> tuple[CallOptions, Mapping[str, Any]]:
    """As `split_options`, of a complete CallOptions, which is taken as it is: whoever made it has read it."""
    made = expect(options[COMPLETE], COMPLETE, CallOptions, "a CallOptions")
    if surplus := sorted(OPTION_NAMES.intersection(options)):
        raise InvalidRequest(f"a complete CallOptions takes no further ones: {', '.join(surplus)}")
    return made, {name: value for name, value in options.items() if name != COMPLETE}


_LIMITS = {"total": "timeout", "first_token": "first_token_timeout", "idle": "idle_timeout"}


def show_limit(options: CallOptions, name: str, configured: float | None) -> str:
    """A time limit by the name under which it was set, and its length: `timeouts.idle` of 60 s."""
    option = _LIMITS.get(name)
    said: float | None = None if option is None else getattr(options, option)
    seconds, setting = (said, option) if said else (configured, f"timeouts.{name}")
    return f"`{setting}` of {seconds:g} s"


_seconds = number(f"seconds above 0, at most {_LONGEST:g}", least=ulp(0.0), most=_LONGEST)


def _text(given: Any, where: str, *, longest: int = _LONGEST_VALUE) -> str:
    text: str = expect(given, where, str, "text")
    if len(text) > longest:
        raise InvalidRequest(f"{where} has {len(text)} characters; at most {longest} go")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{where} holds half a character, which no record can hold") from None
    return text


def _id(given: Any, where: str) -> str:
    id = _text(given, where, longest=_LONGEST_ID)
    if not (id.isascii() and id.isprintable()) or id != id.strip():
        raise InvalidRequest(f"{where} must be printable ASCII, without a blank at either end")
    return id


def _tags(given: Any, where: str) -> Tags:
    """A flat mapping of short texts, copied."""
    tags: Tags = expect(given, where, Mapping, 'a mapping of texts, such as {"feature": "search"}')
    if len(tags) > TAGS_AT_MOST:
        raise InvalidRequest(f"there are {len(tags)} tags; at most {TAGS_AT_MOST} go")
    for name, value in tags.items():
        _text(name, "the name of a tag", longest=_LONGEST_NAME)
        _text(value, f"{where}[{name!r}]")
    return dict(tags)


def _names(given: Any, where: str) -> Sequence[str] | None:
    expected = 'a list of names of models, such as ["cloud"]'
    if given is None:
        return None
    if isinstance(given, str):
        raise InvalidRequest(f"{where} is one text; expected {expected}")
    names: Sequence[str] = expect(given, where, Sequence, expected)
    return tuple(expect(each, f"{where}[{n}]", str, "the name of a model") for n, each in enumerate(names))


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    **dict.fromkeys(_LIMITS.values(), lambda given, where: None if given is None else _seconds(given, where)),
    "priority": partial(expect_one_of, words=get_args(Priority)),
    "caller": _text,
    "request_id": _id,
    "tags": _tags,
    "require": lambda given, _: as_rule(given),
    "affinity": _text,
    "fallbacks": _names,
    "strategy": _text,
    "original": partial(expect, kind=Original | None, expected="an Original, or None"),
}
