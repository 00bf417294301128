"""A JSON object as it was written, but for a few members: nothing else is touched, and nothing is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire import rewriting

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def changed(body: Any, before: Any, after: Any) -> Any:
    members = rewriting.members(json.dumps(body).encode())
    assert members is not None
    rewriting.change(members, before, after)
    return json.loads(rewriting.joined(members))


@given(OBJECTS, OBJECTS)
def test_where_nothing_differs_nothing_changes(body: Any, before: Any) -> None:
    assert changed(body, before, before) == body


@given(OBJECTS, OBJECTS)
def test_a_body_that_we_wrote_becomes_the_other_one(before: Any, after: Any) -> None:
    assert changed(before, before, after) == after


@given(OBJECTS, OBJECTS, OBJECTS)
def test_what_neither_says_stays(body: Any, before: Any, after: Any) -> None:
    more = {name.upper(): value for name, value in body.items()}

    assert changed({**before, **more}, before, after) == {**after, **more}


@pytest.mark.parametrize(
    ("body", "before", "after", "expected"),
    [
        ({"o": {"x": 1, "n": 2}}, {"o": {"n": 2}}, {"o": {"n": 3}}, {"o": {"x": 1, "n": 3}}),
        ({"o": {"x": 1}}, {}, {"o": {"n": 3}}, {"o": {"x": 1, "n": 3}}),
        ({"o": {"x": 1, "n": 2}}, {"o": {"n": 2}}, {}, {"o": {"x": 1}}),
        ({"o": {"n": 2}}, {"o": {"n": 2}}, {}, {}),
        (
            {"m": [{"c": "a", "x": 1}, {"c": "b", "x": 2}]},
            {"m": [{"c": "a"}, {"c": "b"}]},
            {"m": [{"c": "a"}, {"c": "z"}]},
            {"m": [{"c": "a", "x": 1}, {"c": "z", "x": 2}]},
        ),
        (
            {"m": [{"c": "a", "x": 1}]},
            {"m": [{"c": "a"}]},
            {"m": [{"c": "a"}, {"c": "b"}]},
            {"m": [{"c": "a", "x": 1}, {"c": "b"}]},
        ),
        (
            {"m": [{"c": "a", "x": 1}, {"c": "b", "x": 2}]},
            {"m": [{"c": "a"}, {"c": "b"}]},
            {"m": [{"c": "new"}, {"c": "a"}, {"c": "b"}]},
            {"m": [{"c": "new"}, {"c": "a", "x": 1}, {"c": "b", "x": 2}]},
        ),
        (
            {"m": [{"c": "a", "x": 1}, {"c": "b", "x": 2}]},
            {"m": [{"c": "a"}, {"c": "b"}]},
            {"m": [{"c": "b"}]},
            {"m": [{"c": "b", "x": 2}]},
        ),
        (
            {"s": [{"type": "text", "text": "a", "x": 1}]},
            {"s": "a"},
            {"s": "p a s"},
            {
                "s": [
                    {"type": "text", "text": "p "},
                    {"type": "text", "text": "a", "x": 1},
                    {"type": "text", "text": " s"},
                ]
            },
        ),
        ({"s": [{"type": "text", "text": "a", "x": 1}]}, {"s": "a"}, {"s": "b"}, {"s": "b"}),
        ({"s": [{"type": "image"}]}, {"s": "a"}, {"s": "pa"}, {"s": "pa"}),
        ({"s": [{"type": "text", "text": ""}]}, {"s": ""}, {"s": "pa"}, {"s": "pa"}),
        ({"m": "text", "x": 1}, {"m": [{"c": "text"}]}, {"m": [{"c": "z"}]}, {"m": [{"c": "z"}], "x": 1}),
    ],
)
def test_only_what_differs_is_written_anew(body: Any, before: Any, after: Any, expected: Any) -> None:
    assert changed(body, before, after) == expected


def test_what_we_have_in_another_kind_is_written_anew_as_a_whole() -> None:
    document = {"type": "document", "source": {"type": "text", "data": "a@b.example"}}
    body = {"content": [document, {"type": "text", "text": "Hi", "novelty": 1}]}
    rest = {"type": "text", "text": "Hi"}
    before = {"content": [{"type": "text", "text": "a@b.example"}, rest]}
    after = {"content": [{"type": "text", "text": "[email]"}, rest]}

    assert changed(body, before, after) == {
        "content": [{"type": "text", "text": "[email]"}, {"type": "text", "text": "Hi", "novelty": 1}]
    }


def test_what_stays_is_byte_for_byte_the_same() -> None:
    members = rewriting.members(
        b'{"n": 1.50, "e": 1E3, "u": "\\u00e9", "a" : [ 1 ,2 ], "big": 123456789012345678901234567890}'
    )
    assert members is not None

    rewriting.change(members, {}, {"t": 1})

    assert rewriting.joined(members) == (
        b'{"n":1.50,"e":1E3,"u":"\\u00e9","a":[ 1 ,2 ],"big":123456789012345678901234567890,"t":1}'
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {"k": 1, "o": {"a": 1, "b": 2}}),
        ({"k": 5, "o": {"b": 9, "x": 3}}, {"k": 5, "o": {"a": 1, "b": 9, "x": 3}}),
        ({"k": None}, {"k": 1, "o": {"a": 1, "b": 2}}),
    ],
)
def test_what_is_not_said_is_filled_in(body: Any, expected: Any) -> None:
    members = rewriting.members(json.dumps(body).encode())
    assert members is not None

    rewriting.fill(members, {"same": 1}, {"same": 1, "k": 1, "o": {"a": 1, "b": 2}})

    assert json.loads(rewriting.joined(members)) == expected


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b'"a"', b"{", b"{}{}", b"nope", b"[" * 100_000])
def test_what_is_no_object_has_no_members(body: bytes) -> None:
    assert rewriting.members(body) is None


# ── lists of which only the beginning is known ───────────────────────────────────────────────────────


def begun(body: Any, before: Any, after: Any) -> Any:
    members = rewriting.members(json.dumps(body).encode())
    assert members is not None
    rewriting.change(members, before, after, beginnings=["m"])
    return json.loads(rewriting.joined(members))


SAID = [{"c": "a", "x": 1}, {"c": "b", "x": 2}, {"c": "c", "x": 3}]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([{"c": "."}], [{"c": "new"}, {"c": "."}], [{"c": "new"}, *SAID]),
        ([{"c": "a"}, {"c": "."}], [{"c": "z"}, {"c": "."}], [{"c": "z", "x": 1}, *SAID[1:]]),
        ([{"c": "a"}, {"c": "b"}, {"c": "."}], [{"c": "a"}, {"c": "z"}, {"c": "."}],
         [SAID[0], {"c": "z", "x": 2}, SAID[2]]),
        ([{"c": "a"}, {"c": "."}], [{"c": "."}], SAID[1:]),
    ],
)  # fmt: skip
def test_what_follows_a_beginning_stays(before: Any, after: Any, expected: Any) -> None:
    assert begun({"m": SAID, "n": 1}, {"m": before}, {"m": after}) == {"m": expected, "n": 1}


@pytest.mark.parametrize("there", [[], [{"x": 1}], ["a"]])
def test_a_list_that_begins_otherwise_is_left_alone(there: Any) -> None:
    with pytest.raises(rewriting.BeginsOtherwise):
        begun({"m": there}, {"m": [{"c": "a"}]}, {"m": [{"c": "z"}]})
