"""What a plugin offers, named in a configuration with the plugin's own settings."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import CoreSchema

from pointsman._internal.settings import Section, setting
from pointsman.config import codes
from pointsman.config.kinds import Instant, Word
from pointsman.config.problems import WrongValue


class Open(Section):
    """A mapping that also takes keys of a plugin.

    Which of those are secret only the plugin knows, so none is shown or dumped.
    """

    takes_more = True

    @property
    def settings(self) -> dict[str, Any]:
        """The keys that belong to the plugin, as they were written."""
        return dict(self.more)


class Named(Open):
    """Something that a plugin offers, by name, with the plugin's own settings: `{type: jsonl, path: x}`.

    The name alone is short for `{type: name}`.
    """

    type: Word = setting(description="the name that the plugin offers")

    @classmethod
    def from_other(cls, value: object) -> object:
        return {"type": value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return or_text(super().__get_pydantic_json_schema__(core, handler))


class CredentialConfig(Named):
    """Where a credential comes from: `{type: env, name: …}`, with its own settings.

    When it may be used is the router's to heed, whatever type it is of.
    """

    not_before: Instant | None = setting(
        default=None, description="it is used from then on: `2026-12-01T00:00:00Z`; without a zone it is UTC"
    )
    not_after: Instant | None = setting(
        default=None, description="it is used until then, and others are preferred: `2026-12-31T00:00:00Z`"
    )

    def check(self, _context: object) -> None:
        if self.not_before is not None and self.not_after is not None and self.not_before >= self.not_after:
            raise WrongValue(
                codes.VALUE, "not_before is not before not_after, so that it would never be used"
            )

    @property
    def has_an_end(self) -> bool:
        """Whether there is a time when it is not used."""
        return self.not_before is not None or self.not_after is not None


def one_or_several(value: object, _union: object) -> CredentialConfig | list[CredentialConfig] | None:
    """What stands at `auth`. Raises ValidationError."""
    # A union would say of each of its members what is wrong.
    if value is None or not isinstance(value, list):
        return None if value is None else CredentialConfig.model_validate(value)
    return _list_of_credentials().validate_python(value)


@cache
def _list_of_credentials() -> TypeAdapter[list[CredentialConfig]]:
    return TypeAdapter(Annotated[list[CredentialConfig], Field(min_length=1)])


def or_text(schema: dict[str, Any], **text: Any) -> dict[str, Any]:
    """The schema of a mapping for which a text is short."""
    described: dict[str, Any] = {key: schema.pop(key) for key in ("title", "description") if key in schema}
    return {**described, "anyOf": [{"type": "string", **text}, schema]}
