"""Rules of the contracts: each has an id, a reason and its place on the page."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, ClassVar

import pytest
from rules_page import PAGE, RETIRED, contracts, page

from pointsman.builtin.retry import NoRetry
from pointsman.testing.contract import Contract, RetryContract, Rule, rule, rules_of

RULES = [each for contract in contracts().values() for each in rules_of(contract)]


def test_no_two_rules_have_one_id() -> None:
    ids = [each.id for each in RULES]

    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("kind", sorted(contracts()))
def test_the_ids_of_a_kind_are_counted_without_a_gap(kind: str) -> None:
    """A rule that goes leaves its id behind, in `RETIRED`."""
    given = {each.id for each in RULES if each.kind == kind}
    given |= {each for each in RETIRED if each.startswith(f"{kind}-")}

    assert given == {f"{kind}-{n:02d}" for n in range(1, len(given) + 1)}


def test_the_rules_of_a_contract_are_all_of_its_kind() -> None:
    for kind, contract in contracts().items():
        assert {each.kind for each in rules_of(contract)} == {kind}


def test_the_page_has_every_rule_as_it_is() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `python tests/support/rules_page.py`"


def test_no_reason_is_given_for_two_rules_of_one_kind() -> None:
    for _, rules in groupby(sorted(RULES, key=lambda each: each.why), key=lambda each: each.why):
        kinds = [each.kind for each in rules]
        assert len(set(kinds)) == len(kinds)


def test_a_rule_is_the_sentence_of_its_test() -> None:
    @rule("ACME-07", "Nobody would know.", since="0.2")
    def test_it_says_who_it_is(self: object) -> None: ...

    expected = Rule("ACME-07", "test_it_says_who_it_is", "Nobody would know.", "0.2")
    assert test_it_says_who_it_is.pointsman_rule == expected  # type: ignore[attr-defined]
    assert (expected.sentence, expected.link) == ("It says who it is", "docs/plugins/rules.md#acme-07")


@pytest.mark.parametrize("id", ["", "acme-07", "ACME", "ACME-7", "ACME 07", "07", "ACME-07\n"])
def test_an_id_is_a_kind_and_a_number(id: str) -> None:
    with pytest.raises(ValueError, match="is no id of a rule"):
        rule(id, "Nobody would know.")


@pytest.mark.parametrize("why", ["", "because.", "nobody would ever know"])
def test_a_reason_is_a_sentence(why: str) -> None:
    with pytest.raises(ValueError, match="in one sentence"):
        rule("ACME-07", why)


def test_a_test_of_a_contract_that_is_no_rule_is_refused() -> None:
    def contract(**tests: Any) -> Callable[[], type]:
        return lambda: type("AcmeContract", (Contract,), tests, terms=True)  # type: ignore[call-overload,no-any-return]

    with pytest.raises(TypeError, match="AcmeContract.test_it_works is no rule; write"):
        contract(test_it_works=lambda self: None)()


def test_two_rules_of_a_contract_with_one_id_are_refused() -> None:
    with pytest.raises(TypeError, match="test_one and test_two are both the rule ACME-01"):

        class AcmeContract(Contract, terms=True):
            @rule("ACME-01", "Nobody would know.")
            def test_one(self) -> None: ...

            @rule("ACME-01", "Nobody would care.")
            def test_two(self) -> None: ...


def test_so_are_two_of_which_one_is_inherited() -> None:
    with pytest.raises(TypeError, match="are both the rule RETRY-02"):

        class StricterContract(RetryContract, terms=True):
            @rule("RETRY-02", "Nobody would know.")
            def test_another(self) -> None: ...


def test_a_contract_of_ones_own_may_add_rules_to_one_of_the_kit() -> None:
    class StricterContract(RetryContract, terms=True):
        @rule("ACME-01", "Nobody would know.")
        def test_another(self) -> None: ...

    assert [each.id for each in rules_of(StricterContract)] == ["ACME-01", *_ids(RetryContract)]


def test_a_mark_names_a_rule_by_its_id_or_by_its_test() -> None:
    class Subject(RetryContract):
        xfail: ClassVar = {"RETRY-02": "not yet", "test_a_delay_is_a_number_of_seconds_or_none": "nor this"}

        def make(self, rng: Any) -> NoRetry:
            return NoRetry()

    def reasons(name: str) -> list[str]:
        return [mark.kwargs["reason"] for mark in getattr(getattr(Subject, name), "pytestmark", [])]

    assert reasons("test_there_is_no_attempt_beyond_the_last") == ["not yet"]
    assert reasons("test_a_delay_is_a_number_of_seconds_or_none") == ["nor this"]
    assert reasons("test_a_request_may_make_at_least_one_attempt") == []
    assert _ids(Subject) == _ids(RetryContract)


@pytest.mark.parametrize(
    ("xfail", "why"),
    [
        ({"RETRY-99": "soon"}, "names RETRY-99, which its contract does not have"),
        ({"PROVIDER-01": "soon"}, "names PROVIDER-01"),
        ({"RETRY-02": " "}, "gives no reason for RETRY-02"),
        (
            {"RETRY-02": "a", "test_there_is_no_attempt_beyond_the_last": "b"},
            "marks test_there_is_no_attempt_beyond_the_last twice",
        ),
    ],
)
def test_a_mark_that_cannot_be_meant_is_refused(xfail: dict[str, str], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        type("Cheat", (RetryContract,), {"xfail": xfail})


def _ids(contract: type[Contract]) -> list[str]:
    return [each.id for each in rules_of(contract)]
