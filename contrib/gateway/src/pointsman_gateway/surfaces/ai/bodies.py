"""Bodies of the plain API, read: every field that is wrong is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from pydantic_core import ValidationError

from pointsman.plugin import InvalidRequest
from pointsman_gateway.surfaces.ai.envelope import Detail

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pointsman_gateway.surfaces.ai.body_models import ChatBody, GenerateBody

_PLACE = re.compile(r"[a-z_]+(?:\[\d+\]|\.[a-z_]+)+")
"""Such as `messages[0].content`; a word alone may be any."""

B = TypeVar("B", bound="BaseModel")


class BodyRefused(InvalidRequest):
    """A body that is not what was asked for; `details` say of each field why."""

    def __init__(self, details: Sequence[Detail]) -> None:
        fields = ", ".join(each["field"] for each in details if each["field"])
        super().__init__(f"the body is wrong: {fields}" if fields else details[0]["message"])
        self.details = details


def read_generate(value: object) -> GenerateBody:
    """Raises BodyRefused."""
    from pointsman_gateway.surfaces.ai.body_models import GenerateBody  # models take longest of all surfaces

    return _read(GenerateBody, value)


def read_chat(value: object) -> ChatBody:
    """Raises BodyRefused."""
    from pointsman_gateway.surfaces.ai.body_models import ChatBody

    return _read(ChatBody, value)


def _read(kind: type[B], value: object) -> B:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise BodyRefused([{"field": _path(each["loc"]), "message": each["msg"]} for each in found]) from None


def field_of(error: InvalidRequest) -> Detail:
    """What is wrong, of the field that the message begins with where it names one."""
    from pointsman_gateway.surfaces.ai.body_models import OPTIONS

    first = error.message.split(maxsplit=1)[0].strip("'\":,")
    return {"field": first if first in OPTIONS or _PLACE.fullmatch(first) else "", "message": error.message}


def _path(steps: Sequence[str | int]) -> str:
    """`messages[0].role`."""
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}" if path else str(step)
    return path
