"""The section `budgets` as people write it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, field_validator

from pointsman.plugin import Allowance, BudgetWindow, Duration, SectionCheck
from pointsman_callers.budgets.rules import Limit, Rule, Unit
from pointsman_database import known_address

_MANY = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_COUNT = r"^\s*(\d+(?:\.\d+)?|\.\d+)\s*([kMG]?)\s*/\s*(hour|day|month)\s*$"
_EXAMPLE = "a count per hour, day or month, such as '1000/day' or '2M/month'"
_PER = r"^(caller|model|all|label:.+)$"


def _count(value: object) -> object:
    if isinstance(value, tuple):
        return value
    found = re.fullmatch(_COUNT, value, re.ASCII) if isinstance(value, str) and len(value) < 100 else None
    exact = Fraction(found[1]) * _MANY[found[2]] if found else Fraction(1, 2)
    if found is None or exact.denominator != 1:
        raise ValueError(f"expected {_EXAMPLE}")
    return int(exact), found[3]


Count = Annotated[
    tuple[int, Literal["hour", "day", "month"]],
    BeforeValidator(_count),
    WithJsonSchema({"type": "string", "pattern": _COUNT, "examples": ["1000/day", "2M/month"]}),
]
"""So many per hour, day or month."""


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Several = Annotated[
    list[str],
    BeforeValidator(_several),
    Field(min_length=1),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]


class RuleSettings(BaseModel):
    """One rule: who may use how much."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=100, description="in errors, records and status; each once")
    per: str = Field(
        default="caller",
        json_schema_extra={"pattern": _PER},
        description="who has an account: each `caller`, each `model`, each value of a tag (`label:team`), or "
        "`all` together",
    )
    only: dict[str, Several] = Field(
        default_factory=dict,
        description="what a call must be: `caller`, `model` or a tag → one value, or several",
    )
    money: Allowance | None = Field(default=None, description="what the calls may cost: `10 USD/month`")
    tokens: Count | None = Field(default=None, description="of prompts and answers: `2M/day`")
    requests: Count | None = Field(default=None, description="how many there may be: `1000/day`")
    window: Literal["calendar", "rolling"] = Field(
        default="calendar",
        description="hours, days and months of the calendar in UTC; or the last hour, 24 hours, 30 days",
    )
    free: Literal["allowed", "refused"] = Field(
        default="allowed", description="deployments whose price is 0, when the money is gone"
    )
    unknown: Literal["allowed", "refused"] = Field(
        default="allowed",
        description="deployments whose price nobody knows, where there is `money`: they count as 0",
    )
    fail: Literal["local", "closed"] = Field(
        default="local",
        description="while the store that routers share is away: each router counts by itself, or nothing "
        "is let through",
    )

    @field_validator("per")
    @classmethod
    def _is_known(cls, per: str) -> str:
        if re.fullmatch(_PER, per) is None:
            raise ValueError(
                "expected `caller`, `model`, `all`, or `label:` and the name of a tag: label:team"
            )
        return per

    @property
    def limits(self) -> Sequence[Limit]:
        """What it limits, each once."""
        return tuple(
            Limit(unit, amount, BudgetWindow(per, self.window)) for unit, amount, per in self._said()
        )

    @property
    def rule(self) -> Rule:
        """The rule that this says."""
        return Rule(
            self.name,
            self.limits,
            self.per,
            {name: tuple(values) for name, values in self.only.items()},
            free=self.free == "allowed",
            unknown=self.unknown == "allowed",
            fails_closed=self.fail == "closed",
        )

    def _said(self) -> Iterator[tuple[Unit, int, Any]]:
        if self.requests is not None:
            yield "requests", *self.requests
        if self.tokens is not None:
            yield "tokens", *self.tokens
        if self.money is not None:
            yield "microcents", self.money.microcents, self.money.per


class BudgetsSettings(BaseModel):
    """`budgets: {rules: [{name: ci, per: caller, money: 10 USD/month}]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    database: str | None = Field(
        default="sqlite:pointsman.db",
        min_length=1,
        description="where what was spent is kept, so that a restart forgets nothing: a file, or "
        "`postgresql://…`; null keeps it in memory",
    )
    _is_known = field_validator("database")(known_address)
    on_error: Literal["allow", "refuse"] = Field(
        default="allow",
        description="calls while that cannot be written: they go on, and are written later; or are refused",
    )
    keep: Duration | None = Field(
        default=None,
        ge=86_400,
        description="what was spent earlier is forgotten; without it nothing is, and the database grows",
    )
    rules: list[RuleSettings] = Field(
        default_factory=list, description="all that are for a call must allow it"
    )


_CODE = "PM1406"
"""What a section finds wrong beside the rest of the file."""


def check(settings: BudgetsSettings, found: SectionCheck) -> None:
    """What the settings of one rule cannot tell."""
    names = [rule.name for rule in settings.rules]
    for place, rule in enumerate(settings.rules):
        path = ("rules", place)
        if rule.name in names[:place]:
            said = f"two rules are called {rule.name!r}"
            found.problem((*path, "name"), said, "give each a name of its own", code=_CODE)
        if not rule.limits:
            found.problem(path, "it limits nothing", "add `money`, `tokens` or `requests`", code=_CODE)
        for model in rule.only.get("model", ()):
            found.model(model, (*path, "only", "model"))
        if rule.unknown == "refused" and rule.money is None:
            said = "it does nothing without `money`"
            found.problem((*path, "unknown"), said, "take it out, or add `money`", code=_CODE)
