from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman._internal.printable import json_printable, printable, printable_line

anything = st.text(st.characters(categories=None, codec=None), max_size=30) | st.text(
    st.sampled_from("a\x1b]\x9b\u202e\u2028\ud800\n\t\x07\\é好\u200d\U000e0041"), max_size=30
)
SHOWN = "ab \t\n日本語 עברית \u00a0\u3000 می\u200cخواهم 👨\u200d👩\u200d👧 ❤\ufe0f é e\u0301 \ue000 x\\x1b"


@pytest.mark.parametrize("code", [*range(0x09), 0x0B, 0x0C, *range(0x0D, 0x20), *range(0x7F, 0xA0)])
def test_each_control_character_is_written_as_in_source(code: int) -> None:
    assert printable(f"a{chr(code)}b") == f"a\\x{code:02x}b"


@pytest.mark.parametrize(
    "character",
    [
        *"\u200b\u200e\u200f\u061c\u2028\u2029\u2060\ufeff\ud800\udfff",
        *map(chr, range(0x202A, 0x202F)),
        *map(chr, range(0x2066, 0x206A)),
    ],
)
def test_what_turns_hides_or_ends_lines_is_written(character: str) -> None:
    assert printable(character) == f"\\u{ord(character):04x}"


def test_letters_that_only_programs_read_are_written() -> None:
    assert printable("\U000e0041") == "\\U000e0041"


def test_what_people_write_stays() -> None:
    assert printable(SHOWN) == SHOWN


@given(anything)
def test_nothing_is_left_that_steers_a_terminal(text: str) -> None:
    left = {unicodedata.category(each) for each in printable(text) if each not in "\n\t"}

    assert not left & {"Cc", "Zl", "Zp", "Cs"}
    assert "\n" not in printable_line(text)


@given(anything, st.integers(0, 30))
def test_pieces_give_what_the_whole_gives(text: str, cut: int) -> None:
    assert printable(text[:cut]) + printable(text[cut:]) == printable(text)


@given(anything)
def test_it_changes_nothing_the_second_time(text: str) -> None:
    assert printable(printable(text)) == printable(text)


@given(st.recursive(anything, lambda inner: st.lists(inner) | st.dictionaries(anything, inner), max_leaves=8))
def test_a_json_document_stays_the_same_value_and_can_be_encoded(value: object) -> None:
    # Halves of characters that stand beside each other are one character to whoever reads JSON.
    value = json.loads(json.dumps(value))

    document = json_printable(json.dumps(value, ensure_ascii=False, indent=1))

    assert json.loads(document) == value
    assert not {unicodedata.category(each) for each in document if each != "\n"} & {"Cc", "Zl", "Zp", "Cs"}
