"""Sections of a model that say something beside where its calls go."""

from __future__ import annotations

from typing import Literal

from pointsman._internal.settings import Count, Section, setting
from pointsman.config import codes
from pointsman.config.kinds import ModelName, Word
from pointsman.config.problems import WrongValue
from pointsman.units import Allowance, Percent


class SystemPromptConfig(Section):
    """What stands around the system prompt of every request, each as a paragraph. At least one of the two."""

    prefix: str = setting(default="", description="before it; where a request has none, this is all of it")
    suffix: str = setting(default="", description="after it")

    def check(self, _context: object) -> None:
        if not self.prefix.strip() and not self.suffix.strip():
            raise WrongValue(codes.SAYS_NOTHING, "says neither prefix nor suffix")


class MirrorConfig(Section):
    """Copies of answered requests that go to another model, to compare the two; nobody gets their answers."""

    to: ModelName = setting(
        description="the model that they go to: its name, an alias, or a name that a pattern matches"
    )
    share: Percent = setting(gt=0, description="of the requests that were answered")
    budget: Allowance | None = setting(
        default=None,
        description="what they may cost per `hour`, `day` or `month` of the calendar in UTC: `2 USD/day`; "
        "without it any sum",
    )
    max_in_flight: Count = setting(
        default=4,
        ge=1,
        description="copies at the same time; those that are due beyond are left out",
        json_schema_extra={"unit": "copies"},
    )


class CapabilityConfig(Section):
    """What a model can do, as callers are told where upstreams do not say it, or say it wrongly."""

    can: list[Literal["completion", "tools", "vision", "thinking", "embedding", "insert"]] | None = setting(
        default=None,
        description="of `completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`, what it can do",
    )
    context_length: Count | None = setting(
        default=None,
        ge=1,
        description="how long question and answer may be together",
        json_schema_extra={"unit": "tokens"},
    )
    family: Word | None = setting(default=None, description="its kin, such as `llama`")
