"""The text of an answer read as a Python type, when somebody asks."""

from __future__ import annotations

from copy import copy, deepcopy
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import force_setattr

from pointsman._internal.printable import printable_line
from pointsman.errors import FormatNotMet

if TYPE_CHECKING:
    from pointsman.types import ChatResponse, Request

A = TypeVar("A", bound="ChatResponse")

_SHOWN = 3
_LONGEST = 200


class Typed:
    """What an answer is read as has a place beside its fields: it is not compared, shown, or written."""

    __slots__ = ("_reading",)
    _reading: Reading

    def __copy__(self) -> Any:
        """With what it is read as: it says the same."""
        made = super().__copy__()  # type: ignore[misc]  # that of the Struct, which knows of fields alone
        if (reading := getattr(self, "_reading", None)) is not None:
            force_setattr(made, "_reading", reading)
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """The same, and a value of its own once that is read."""
        reduced: Any = self.__reduce__()  # that of the Struct: what makes one, and of what
        make, given = reduced
        made = make(*deepcopy(given, memo))
        if (reading := getattr(self, "_reading", None)) is not None:
            force_setattr(made, "_reading", reading.again())
        return made


class Reading:
    """The type that an answer was asked for, and its value once it was read."""

    __slots__ = ("_is_read", "_kind", "_value")

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        self._is_read = False
        self._value: Any = None

    def again(self) -> Reading:
        """One that has read nothing yet."""
        return Reading(self._kind)

    def of(self, answer: ChatResponse) -> Any:
        """The value, made once. Raises FormatNotMet."""
        if not self._is_read:
            self._value = read_as(self._kind, answer)
            self._is_read = True
        return self._value


def typed(answer: A, request: Request) -> A:
    """`answer`; a copy that is read as a type, where `request` named one for it.

    A copy, for who gave the answer may give it to others.
    """
    wanted = getattr(request, "response_format", None)
    kind = None if wanted is None else getattr(wanted.schema, "python_type", None)
    if kind is None:
        return answer
    answer = copy(answer)
    force_setattr(answer, "_reading", Reading(kind))
    return answer


def parsed(answer: ChatResponse) -> Any:
    """The value of the type that was asked for. Raises: as `ChatResponse.parsed`."""
    reading: Reading | None = getattr(answer, "_reading", None)
    if reading is None:
        raise RuntimeError(
            "the request named no type for its answer: call with response_format=YourType, "
            "or read it with reply.parse(YourType)"
        )
    return None if answer.refusal else reading.of(answer)


def read_as(kind: Any, answer: ChatResponse) -> Any:
    """The text of `answer` as a `kind`. Raises FormatNotMet; TypeError for what has no JSON Schema."""
    from pointsman.values.json_types import DoesNotFit, json_type  # few answers are read so

    known = json_type(kind)
    try:
        return known.value(answer.text)
    except DoesNotFit as error:
        raise _not_met(answer, known.name, error.misfits) from None


def _not_met(answer: ChatResponse, name: str, misfits: tuple[tuple[str, str], ...]) -> FormatNotMet:
    # A place may be made of names that the model chose; they go on to logs and terminals.
    said = "; ".join(_short(f"{path}: {what}" if path else what) for path, what in misfits[:_SHOWN])
    more = f"; and {len(misfits) - _SHOWN} more" if len(misfits) > _SHOWN else ""
    error = FormatNotMet(
        f"the answer is no {name}{_because(answer)}: {said}{more}",
        deployment=answer.deployment,
        upstream_request_id=answer.upstream_request_id,
    )
    error.request_id, error.attempts = answer.request_id, answer.attempts
    error.text, error.problems = answer.text, misfits
    return error


def _short(text: str) -> str:
    shown = printable_line(text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"


def _because(answer: ChatResponse) -> str:
    """What explains most texts that do not fit."""
    if answer.finish_reason == "length":
        return ", since it was cut at its greatest length"
    if answer.tool_calls and not answer.text:
        return ", since the model asks for tools first"
    if answer.finish_reason == "content_filter":
        return ", since a content policy ended it"
    return ""
