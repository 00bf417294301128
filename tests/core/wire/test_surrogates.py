"""Text that can always be written, however it was cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.wire.surrogates import SurrogateHalves, well_formed

ANY = st.text(st.characters(codec=None) | st.sampled_from("\ud83d\ude00\ud800\udfff"), max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("é😀", "é😀"),
        ("x\ud83d\ude00", "x😀"),
        ("\ud83d", "\ufffd"),
        ("a\ude00b", "a\ufffdb"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_pairs_are_joined_and_halves_replaced(text: str, expected: str) -> None:
    assert well_formed(text) == expected


@given(ANY, st.lists(st.integers(0, 12), max_size=5))
def test_a_text_cut_anywhere_is_the_whole_text(text: str, cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(text)]
    halves = SurrogateHalves()
    pieces = [halves.take("k", text[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    for each in pieces:
        each.encode()
    assert "".join(pieces) + halves.rest("k") == well_formed(text)
    assert not halves


def test_each_text_has_a_half_of_its_own() -> None:
    halves = SurrogateHalves()
    assert halves.take("a", "1\ud83d") == "1"
    assert halves.take("b", "2") == "2"
    assert halves
    assert halves.take("a", "\ude00") == "😀"
    assert halves.rest("a") == halves.rest("b") == ""
