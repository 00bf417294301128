"""A key never grants more than its creator has, whatever is done in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from pointsman.plugin import InvalidRequest
from pointsman_callers.keys.live import effective
from pointsman_callers.keys.managing import KeyManager, Maker, NoSuchKey, NotYours
from pointsman_callers.keys.scope import Scope, excess, filled, met
from pointsman_callers.keys.store import KeyStore, NameTaken
from pointsman_callers.keys.wanted import Wanted
from pointsman_database import Database

NAMES = st.one_of(st.none(), st.frozensets(st.sampled_from("abc"), max_size=3))
LABELS = st.dictionaries(st.sampled_from(["team", "site"]), st.sampled_from(["x", "y"]), max_size=2)
REQUIRE = st.dictionaries(
    st.sampled_from(["region", "local"]),
    st.lists(st.sampled_from(["eu", "us", "true"]), min_size=1, max_size=2, unique=True).map(tuple),
    max_size=2,
)
LIMITS = st.dictionaries(
    st.sampled_from(["requests/day", "tokens/month", "money/hour"]), st.integers(0, 9).map(float), max_size=3
)
SCOPES = st.builds(
    Scope,
    models=NAMES,
    surfaces=NAMES,
    operator=st.booleans(),
    labels=LABELS,
    require=REQUIRE,
    limits=LIMITS,
    expires=st.sampled_from([100.0, 200.0, inf]),
)


@given(SCOPES, SCOPES)
def test_what_is_left_where_two_scopes_meet_is_more_than_neither(one: Scope, other: Scope) -> None:
    both = met(one, other)

    assert excess(both, other) == ""
    assert excess(met(other, one), one) == ""


@given(SCOPES)
def test_nothing_that_is_said_is_more_than_nothing_and_a_scope_is_no_more_than_itself(scope: Scope) -> None:
    assert excess(filled({}, scope), scope) == ""
    assert excess(scope, scope) == ""


@given(SCOPES, SCOPES)
def test_what_exceeds_in_no_way_is_left_as_it_is(one: Scope, other: Scope) -> None:
    if excess(one, other) == "":
        left = met(one, other)
        assert (left.models, left.surfaces, left.operator) == (one.models, one.surfaces, one.operator)
        assert (dict(left.labels), dict(left.limits), left.expires) == (
            dict(one.labels),
            {limit: one.limits[limit] for limit in left.limits},
            one.expires,
        )


# ── whatever is done ─────────────────────────────────────────────────────────────────────────────────

WANTED = st.fixed_dictionaries(
    {},
    optional={
        "models": st.one_of(st.just("*"), st.lists(st.sampled_from("abc"), max_size=2)),
        "surfaces": st.one_of(st.just("*"), st.lists(st.sampled_from("abc"), max_size=2)),
        "operator": st.booleans(),
        "labels": LABELS,
        "require": st.dictionaries(st.just("region"), st.sampled_from(["eu", "us"]), max_size=1),
        "limits": st.dictionaries(
            st.sampled_from(["requests", "tokens"]),
            st.sampled_from(["5/day", "9/day", "9/hour", None]),
            max_size=2,
        ),
        "expires": st.sampled_from([None, "1h", "2h"]),
    },
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "add", "rescope", "rotate", "revoke", "erase"]),
        st.integers(0, 5),
        st.integers(0, 5),
        WANTED,
    ),
    min_size=3,
    max_size=12,
)


@contextmanager
def fresh_store() -> Iterator[KeyStore]:
    with TemporaryDirectory() as folder:
        store = KeyStore(Database.open("keys.db", Path(folder)))
        store.prepare()
        try:
            yield store
        finally:
            store.database.close()


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_no_key_ever_grants_more_than_the_one_that_made_it(steps: list[tuple[str, int, int, Any]]) -> None:
    with fresh_store() as store:
        manager = KeyManager(store, b"p" * 32, lambda: 1_000.0)
        ids: list[str] = []
        for number, (what, who, whom, said) in enumerate(steps):
            found = store.everything().keys
            by = Maker("root")
            if who < len(ids) and ids[who] in found:
                creator = found[ids[who]]
                by = Maker(creator.name, creator.id, effective(creator, found))
            had = {id: effective(each, found) for id, each in found.items()}
            try:
                match what:
                    case "add":
                        made = manager.add(Wanted(name=f"caller {number}", **said), by)
                        ids.append(made.key.id)
                    case "rescope" if ids:
                        manager.rescope(ids[whom % len(ids)], Wanted(name=UNSET, **said), by)
                    case "rotate" if ids:
                        # With the new secret whoever made it can do all that the key can.
                        target = manager.rotate(ids[whom % len(ids)], 0.0, by).key.id
                        assert excess(replace_expiry(had[target]), by.scope) == ""
                    case "revoke" if ids:
                        manager.revoke(ids[whom % len(ids)], by)
                    case "erase" if ids:
                        manager.erase(ids[whom % len(ids)], by)
            except (NotYours, NoSuchKey, InvalidRequest, NameTaken):
                assert store.everything().keys == found

            keys = store.everything().keys
            for each in keys.values():
                now = effective(each, keys)
                if each.creator and each.creator in keys:
                    assert excess(now, effective(keys[each.creator], keys)) == ""
                elif each.creator:
                    assert now.expires == 0.0


def replace_expiry(scope: Scope) -> Scope:
    return met(scope, Scope(operator=True, expires=-inf))
