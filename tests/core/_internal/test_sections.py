"""Sections: read like pydantic models, and made key by key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pointsman._internal.settings import Count, Section, setting
from pointsman.units import Duration


def _even(value: int, others: Mapping[str, Any]) -> int:
    if value % 2 and others.get("strict"):
        raise ValueError("must be even")
    return value


class Inner(Section):
    """Something inside."""

    wait: Duration = setting(default=1.0, gt=0, description="how long")


class Outer(Section):
    """Something with something inside."""

    checks = {"size": _even}  # noqa: RUF012

    strict: bool = setting(default=False, description="whether to look")
    size: Count = setting(default=2, ge=1, description="how large")
    twice: Count = setting(
        default=4, default_from=lambda said: 2 * said.get("size", 2), description="twice that"
    )
    inner: Inner = setting(default=Inner.model_construct(), description="more")
    names: list[str] = setting(default_factory=list, description="all the names")


class Loose(Section):
    """One that takes whatever comes."""

    takes_more = True

    type: str = setting(description="its name")


class Around(BaseModel):
    outer: Outer
    loose: Loose | None = None


def problems(error: ValidationError) -> dict[tuple[int | str, ...], str]:
    consequence = "default_factory_not_called"
    return {each["loc"]: each["type"] for each in error.errors() if each["type"] != consequence}


def test_what_is_not_said_is_at_its_default_and_only_what_is_said_counts_as_said() -> None:
    made = Outer.model_validate({"size": 3, "inner": {"wait": "2s"}})

    assert (made.strict, made.size, made.inner.wait, made.names) == (False, 3, 2.0, [])
    assert made.model_fields_set == {"size", "inner"}
    assert Outer.model_construct().model_fields_set == frozenset()


def test_a_default_can_follow_from_the_keys_before_it() -> None:
    assert Outer(size=3).twice == Outer.model_construct(size=3).twice == 6
    assert Outer(size=3, twice=1).twice == 1
    assert Outer().twice == Outer.model_construct().twice == 4


def test_all_that_is_wrong_is_said_at_once_each_at_its_place() -> None:
    with pytest.raises(ValidationError) as caught:
        Around.model_validate(
            {
                "outer": {"size": 0, "inner": {"wait": 0, "weight": 1}, "names": ["a", 1], "colour": 1},
                "loose": {},
            }
        )

    assert problems(caught.value) == {
        ("outer", "size"): "greater_than_equal",
        ("outer", "inner", "wait"): "greater_than",
        ("outer", "inner", "weight"): "extra_forbidden",
        ("outer", "names", 1): "string_type",
        ("outer", "colour"): "extra_forbidden",
        ("loose", "type"): "missing",
    }


def test_a_check_of_a_key_sees_the_keys_before_it() -> None:
    assert Outer(size=3).size == 3
    with pytest.raises(ValidationError, match="must be even") as caught:
        Outer(strict=True, size=3)

    assert problems(caught.value) == {("size",): "value_error"}


def test_what_is_no_mapping_is_no_section_and_a_section_stays_itself() -> None:
    with pytest.raises(ValidationError) as caught:
        Around.model_validate({"outer": 3})
    assert problems(caught.value) == {("outer",): "model_type"}

    one = Outer(size=3)
    assert Around(outer=one).outer is one


def test_sections_that_say_the_same_are_equal_and_none_is_changed() -> None:
    assert Outer(size=2) == Outer()
    assert Outer(size=3) != Outer()
    assert Inner() != Outer()
    assert hash(Inner(wait=1.0)) == hash(Inner())
    with pytest.raises(AttributeError, match="a Inner is not changed; make another one"):
        Inner().wait = 2.0  # type: ignore[misc]


def test_a_copy_holds_what_is_to_be_different() -> None:
    copy = Loose.model_validate({"type": "a", "colour": "red"}).model_copy(update={"type": "b", "size": 1})

    assert (copy.type, copy.more) == ("b", {"colour": "red", "size": 1})
    assert copy.model_fields_set == {"type", "colour", "size"}


def test_keys_that_a_section_does_not_know_are_kept_and_never_shown() -> None:
    made = Loose.model_validate({"type": "a", "token": "sk-secret"})

    assert made.more == {"token": "sk-secret"}
    shown = f"{made!r} {made.model_dump()} {made.model_dump_json()} {Around(outer=Outer(), loose=made).model_dump()}"
    assert "token" in shown
    assert "sk-secret" not in shown


def test_a_section_is_dumped_and_described_as_pydantic_would() -> None:
    dumped = {"strict": False, "size": 3, "twice": 6, "inner": {"wait": 2.0}, "names": []}
    assert Around.model_validate({"outer": {"size": 3, "inner": {"wait": "2s"}}}).model_dump(
        mode="json", exclude_none=True
    ) == {"outer": dumped}
    assert Outer(size=3).model_dump(include={"size"}) == {"size": 3}

    described = Around.model_json_schema()["$defs"]
    assert set(described) == {"Inner", "Loose", "Outer"}
    assert described["Outer"]["additionalProperties"] is False
    assert described["Outer"]["properties"]["twice"]["default"] == 4
    assert described["Outer"]["properties"]["inner"]["$ref"] == "#/$defs/Inner"
    assert described["Inner"]["properties"]["wait"]["unit"] == "seconds"
    assert described["Loose"]["required"] == ["type"]


def test_a_key_that_nobody_writes_is_never_looked_at() -> None:
    looked_at = []

    class Seen(Section):
        one: int = setting(default=1)
        other: int = setting(default=2)

        @classmethod
        def annotation(cls, name: str) -> Any:
            looked_at.append(name)
            return super().annotation(name)

    assert Seen.model_validate({"one": 3}).other == 2
    assert Seen.model_validate({"one": 4}).one == 4
    assert looked_at == ["one"]
