"""What a request says beside its model and its prompt: each option read as our own value, of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from sys import float_info
from typing import Any, get_args

from pointsman._internal.suggest import nearest
from pointsman.errors import InvalidRequest
from pointsman.requests.call_options import OPTION_NAMES, shown
from pointsman.requests.checks import expect, expect_several
from pointsman.requests.parts import expect_part
from pointsman.requests.response_format import as_response_format
from pointsman.requests.tools import as_tool_choice, as_tools
from pointsman.types import ChatRequest, EmbedRequest, GenerateRequest, Image, JsonObject, ReasoningEffort


def read_options(options: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    """`options` as our own values.

    Raises: InvalidRequest for one that is not `known`, or whose value is not of its kind.
    """
    read = {}
    for name, value in options.items():
        if name not in known:
            raise InvalidRequest(f"unknown option {shown(name)}; {_hint(name, known)}")
        read[name] = _READERS[name](value)
    return read


def _hint(name: str, known: Mapping[str, str]) -> str:
    from pointsman.requests.foreign_options import INSTEAD  # most programs know the options

    if name in INSTEAD:
        return INSTEAD[name]
    close = nearest(name, (*known, *OPTION_NAMES))
    return f"did you mean {close!r}?" if close else "pass it through with extra={...}"


_LARGEST = float_info.max
_AT_LEAST_ONE = ("max_tokens", "dimensions")


def _number(name: str, given: Any) -> Any:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int | float)):
        raise InvalidRequest(f"{name} is {shown(given)}; expected a number")
    if given is not None and not -_LARGEST <= given <= _LARGEST:  # `isfinite` would fail for large integers
        raise InvalidRequest(f"{name} is {shown(given)}; expected a finite number")
    return given


def _whole_number(name: str, given: Any) -> Any:
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise InvalidRequest(f"{name} is {shown(given)}; expected a whole number")
    if given is not None and name in _AT_LEAST_ONE and given < 1:
        raise InvalidRequest(f"{name} is {shown(given)}; expected 1 or more")
    return given


def _flag(name: str, given: Any) -> Any:
    if given is not None and not isinstance(given, bool):
        raise InvalidRequest(f"{name} is {shown(given)}; expected True or False")
    return given


def _text(name: str, given: Any) -> Any:
    expect(given, str | None, name, "text")
    return given


def _mapping(name: str, given: Any) -> Any:
    expect(given, Mapping | None, name, "a mapping")
    return given


def _labels(name: str, given: Any) -> Any:
    for key, value in (_mapping(name, given) or {}).items():
        expect(key, str, f"a name in {name}", "text")
        expect(value, str | int | float | None, f"{name}.{key[:50]}", "text")
    return given


def _texts(name: str, given: str | Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    texts = (given,) if isinstance(given, str) else tuple(expect_several(given, name))
    if not all(isinstance(each, str) for each in texts):
        raise InvalidRequest(f"{name} must be a string or a list of strings")
    return texts


def _images(name: str, given: Any) -> tuple[Image, ...]:
    images = tuple(expect_several(given or (), name))
    for n, each in enumerate(images):
        expect(each, Image, f"{name}[{n}]", "an Image")
        expect_part(each, f"{name}[{n}]")
    return images


def _effort(name: str, given: Any) -> Any:
    if given is not None and given not in get_args(ReasoningEffort):
        raise InvalidRequest(
            f"{name} is {shown(given)}; expected one of {', '.join(get_args(ReasoningEffort))}"
        )
    return given


_NOT_EXTRA = {
    "model": "name another model or deployment in the call",
    "stream": "call `stream` or `chat`",
    "messages": "hand the messages to the call",
    "prompt": "hand the prompt to `generate`",
    "input": "hand the texts to `embed`",
}
"""What routing and limits rest on, and what to do instead of saying it in `extra`."""


def _extra(name: str, given: JsonObject | None) -> JsonObject:
    if given is not None and not isinstance(given, Mapping):
        raise InvalidRequest(f"{name} is a {type(given).__name__}; expected a mapping")
    for key in given or ():
        instead = _NOT_EXTRA.get(str(key).casefold())  # some servers read keys without regard to case
        if instead is not None:
            raise InvalidRequest(f"{name} cannot set {shown(key)}: the router does; {instead}")
    return given or {}


# ── which options there are ──────────────────────────────────────────────────────────────────────────

_READER_OF: Mapping[str, Callable[[str, Any], Any]] = {
    "float | None": _number,
    "int | None": _whole_number,
    "bool | None": _flag,
    "str | None": _text,
    "Mapping[str, float] | None": _mapping,
    "Mapping[str, str] | None": _labels,
    "Sequence[str]": _texts,
    "Sequence[Image]": _images,
    "Sequence[Tool]": lambda _, given: as_tools(given or ()),
    "ToolChoice | None": lambda _, given: as_tool_choice(given),
    "ResponseFormat | None": lambda _, given: as_response_format(given),
    "ReasoningEffort | None": _effort,
    "JsonObject": _extra,
}
"""The reader of a name and a value, by the type of the option's field as it is written in `types`."""

_SUBJECT = ("model", "messages", "prompt", "texts")


def _options_of(request: type[Any]) -> dict[str, str]:
    """The options that a kind of request has, in order, with the types of their fields."""
    return {name: type for name, type in request.__annotations__.items() if name not in _SUBJECT}


CHAT_OPTIONS: Mapping[str, str] = _options_of(ChatRequest)
GENERATE_OPTIONS: Mapping[str, str] = _options_of(GenerateRequest)
EMBED_OPTIONS: Mapping[str, str] = _options_of(EmbedRequest)
ALL_OPTIONS: Mapping[str, str] = {**CHAT_OPTIONS, **GENERATE_OPTIONS, **EMBED_OPTIONS}

# A field of a type that nobody can read fails here, when the module is imported.
_READERS = {name: partial(_READER_OF[type], name) for name, type in ALL_OPTIONS.items()}
