"""What can stand under `access`, and what is said of what cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pointsman.auth import Secret
from pointsman_gateway.access.settings import AccessSettings

KEY = "k" * 32
JWT = {"issuer": "https://id.example.com", "audience": "pointsman", "algorithms": ["RS256"]}
SET = {"jwks": "https://id.example.com/jwks.json"}


def test_all_that_can_be_said() -> None:
    read = AccessSettings.model_validate(
        {
            "keys": [
                {
                    "name": "ci",
                    "key": KEY,
                    "models": ["assistant"],
                    "limits": {"requests": "60/min", "burst_requests": 5},
                    "labels": {"team": "qa"},
                    "operator": False,
                }
            ],
            "jwt": [{**JWT, **SET, "models": "claim:models", "operator": {"claim": "roles", "has": "admin"}}],
            "anonymous": {"models": "*", "limits": {"requests": "10/min"}},
        }
    )

    assert read.keys[0].models == ("assistant",)
    assert read.jwt[0].models == "claim:models"
    assert read.anonymous is not None
    assert read.anonymous.models is None
    assert read.lets_somebody_in


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"keys": [{"name": "ci", "key": "short"}]}, "openssl rand"),
        ({"keys": [{"name": "ci", "key": KEY + " "}]}, "cannot stand in a header"),
        ({"keys": [{"name": "", "key": KEY}]}, "visible characters"),
        ({"keys": [{"name": "a", "key": KEY}, {"name": "b", "key": KEY}]}, "same key: 'a' and 'b'"),
        ({"keys": [{"name": "a", "key": KEY}, {"name": "a", "key": KEY + "x"}]}, "same name"),
        ({"keys": [{"name": "a", "key": KEY, "models": "assistant"}]}, "a list of public names"),
        ({"keys": [{"name": "a", "key": KEY, "models": ["*"]}]}, "stands alone"),
        ({"keys": [{"name": "a", "key": KEY, "limits": {}}]}, "neither requests nor tokens"),
        ({"keys": [{"name": "a", "key": KEY, "limit": {}}]}, "Extra inputs"),
        ({"jwt": [JWT]}, "needs one of jwks, key_file and secret"),
        ({"jwt": [{**JWT, **SET, "secret": KEY}]}, "needs one of"),
        ({"jwt": [{**JWT, "jwks": "http://id.example.com/x"}]}, "https"),
        ({"jwt": [{**JWT, "jwks": "https://a:b@id.example.com/x"}]}, "must not have a user"),
        ({"jwt": [{**JWT, **SET, "algorithms": ["RS256", "HS256"]}]}, "signs in one way"),
        ({"jwt": [{**JWT, **SET, "algorithms": ["HS256"]}]}, "a secret goes with"),
        ({"jwt": [{**JWT, "secret": KEY}]}, "a secret goes with"),
        ({"jwt": [{**JWT, "secret": "x" * 31, "algorithms": ["HS256"]}]}, "needs 32"),
        ({"jwt": [{**JWT, **SET, "algorithms": ["none"]}]}, "Input should be"),
        ({"jwt": [{**JWT, **SET, "algorithms": []}]}, "at least 1"),
        ({"jwt": [{**JWT, **SET}, {**JWT, **SET}]}, "same issuer and audience"),
        ({"anonymous": {}}, "Field required"),
    ],
)
def test_what_cannot_be_right_is_named_and_no_secret_shown(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AccessSettings.model_validate(wrong)

    assert said in str(refused.value)
    assert KEY not in str(refused.value)


class Compared(str):
    """Counts how often it is compared with another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_key_is_not_compared_with_all_that_stand_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compared, "times", 0)
    keys = [{"name": f"k{n}", "key": Secret(Compared(f"sk-{n:06}-{KEY}"))} for n in range(200)]

    AccessSettings.model_validate({"keys": keys})

    assert Compared.times < 2 * len(keys)


def test_two_that_are_the_same_are_both_named() -> None:
    one, two = {"name": "one", "key": KEY}, {"name": "two", "key": KEY}
    with pytest.raises(ValidationError, match="two have the same key: 'one' and 'two'"):
        AccessSettings.model_validate({"keys": [{"name": "zero", "key": KEY[::-1] + "0"}, one, two]})
