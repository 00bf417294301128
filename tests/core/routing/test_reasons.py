"""Why a deployment cannot be chosen: what is decided by it, and how it reads."""

from __future__ import annotations

import pytest

from pointsman.routing.reasons import Reason, Why

DATA: dict[Why, tuple[object, ...]] = {
    Why.RULE: ("the rule local=true is not met: it has no such label",),
    Why.COOLING: (3.14,),
    Why.REFUSED: ("model not found upstream", 58.2),
    Why.BREAKER: ("open",),
    Why.FULL: (4, 4),
    Why.LIMIT: (0.51,),
    Why.TOO_LARGE: ("9000 tokens are more than 1000 at once",),
    Why.STATE: (4.2,),
    Why.LATER: (1, 0),
}


@pytest.mark.parametrize("why", Why)
def test_every_kind_of_reason_has_words_that_tell_all_of_its_data(why: Why) -> None:
    words = str(Reason(why, DATA.get(why, ())))

    assert words
    assert "{" not in words
    assert len(words) < 80
    for each in DATA.get(why, ()):
        assert (f"{each:.1f}" if isinstance(each, float) else str(each)) in words


def test_only_ejection_and_checks_are_health() -> None:
    assert {why for why in Why if why.is_health} == {Why.EJECTED, Why.ILL}
