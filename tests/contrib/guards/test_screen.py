"""A text in pieces comes out as the whole text would, and nothing that belongs to a match gets out before."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pointsman_guards.patterns import BEGINS, PERSONAL, REALLY, SECRETS
from pointsman_guards.redact import _in_place_of
from pointsman_guards.screen import LONGEST, Found, Held, Screen, checked

OURS = Screen({}, {**SECRETS, **PERSONAL}, BEGINS)
KEYS = ("sk-" + "a1B2" * 6, "AKIAABCDEFGHIJKLMNOP", "ghp_" + "Zz9" * 12)
MATCHES = (
    *KEYS,
    "anna.b+x@example.co.uk",
    "4111 1111 1111 1111",
    "DE89 3704 0044 0532 0130 00",
    "+49 30 1234567",
    "123-45-6789",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_def",
    "Bearer abcdefghijklmnop12345",
    "postgres://bob:hunter22@db/x",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc\n-----END RSA PRIVATE KEY-----",
)
ALMOST = (
    "sk-",
    "sk-abc",
    "anna@",
    "@example.org",
    "4111 1111 1111 1112",
    "DE00 1234",
    "AKIA",
    "://",
    "+49",
    "-----",
)
PIECES = st.one_of(
    st.sampled_from(MATCHES),
    st.sampled_from(ALMOST),
    st.sampled_from(["\\n", "\\u003c", "\\", "-----END RSA PRIVATE KEY-----", "sk-folding-cube-dark", '"']),
    st.text("aA1 @.-+:/\n", max_size=6),
    st.text(max_size=4),
)
TEXTS = st.lists(PIECES, max_size=8).map("".join)
CUTS = st.lists(st.integers(1, 12), min_size=1, max_size=40)


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at = [], 0
    while at < len(text):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(text[at : at + size])
        at += size
    return pieces


def through(screen: Screen, pieces: list[str], said=_in_place_of) -> list[str]:
    held = Held(screen, said)
    return [*map(held.feed, pieces), held.end()]


@given(TEXTS, CUTS)
@example("postgres://bob:hunter22@db", [1])
@example("a" * 70 + "@b.de", [1])
def test_a_text_in_pieces_comes_out_as_the_whole_text_would(text: str, sizes: list[int]) -> None:
    assert "".join(through(OURS, cut(text, sizes))) == OURS.whole(text, _in_place_of)


@given(
    st.text("ab", max_size=12),
    CUTS,
    st.sampled_from(["a{1,3}b|a", "ab|abb", "(?<!a)b{2}(?!b)", "(a|b)\\1", "b(?=a)"]),
)
def test_so_it_does_with_patterns_whose_matches_depend_on_what_follows(
    text: str, sizes: list[int], pattern: str
) -> None:
    screen = Screen({"x": pattern})

    assert "".join(through(screen, cut(text, sizes), lambda found: "-")) == re.sub(pattern, "-", text)


@given(st.sampled_from(KEYS), st.integers(1, 30), st.integers(1, 30))
def test_no_part_of_a_key_gets_out_that_is_longer_than_how_any_word_could_begin(
    key: str, before: int, size: int
) -> None:
    text = "x " * before + key + " and on"
    sent = ""
    for piece in through(OURS, cut(text, [size])):
        sent += piece
        assert key[:3] not in sent


@pytest.mark.parametrize("match", MATCHES)
def test_each_kind_is_found_in_a_sentence(match: str) -> None:
    said = OURS.whole(f"It is {match}, I think.", _in_place_of)

    assert match not in said
    assert re.fullmatch(r"It is (postgres://)?\[\w+\](@db/x)?(, I think\.| I think\.|\.)", said)


def by_go(value: object) -> str:
    """As Go's encoder has it, and with it Ollama."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")


def by_php(value: object) -> str:
    return json.dumps(value).replace("/", "\\/")


@pytest.mark.parametrize("encode", [json.dumps, by_go, by_php])
@pytest.mark.parametrize("around", ["\n", "\t", "<>", '"', "\u00e9", ""])
@pytest.mark.parametrize("match", MATCHES)
def test_in_json_it_is_found_behind_every_escape_and_the_json_stays_sound(
    match: str, around: str, encode: Callable[[object], str]
) -> None:
    text = encode({"say": f"x{around[:1]}{match}{around[-1:]} y" if around else match})

    for said in (OURS.whole(text, _in_place_of), "".join(through(OURS, [*text]))):
        value = json.loads(said)["say"]
        assert re.fullmatch(r"x?[\n\t<\"\u00e9]?(postgres://)?\[\w+\](@db/x)?([\n\t>\"\u00e9]? y)?", value)


@pytest.mark.parametrize("around", ["卡号{}在这里", "これは{}です", "คือ{}ครับ", "번호는 {}입니다"])
@pytest.mark.parametrize("match", MATCHES)
def test_it_is_found_where_no_spaces_stand_between_words(match: str, around: str) -> None:
    said = OURS.whole(around.format(match), _in_place_of)

    before, after = around.split("{}")
    assert match not in said
    assert said.startswith(before)
    assert said.endswith(after)


def test_a_phone_is_found_where_another_number_follows_it() -> None:
    text = "+49 30 1234567 4111 1111 1111 1111"

    assert "1234567" not in OURS.whole(text, _in_place_of)


@pytest.mark.parametrize("text", ["jörg@example.org", "anna@münchen.de", "иван@пример.рф"])
def test_an_address_has_letters_of_many_scripts(text: str) -> None:
    assert OURS.whole(f"an {text}, bitte", _in_place_of) == "an [email], bitte"


def test_what_follows_a_private_key_stays() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEabc+/\nX==\n-----END RSA PRIVATE KEY-----"

    assert OURS.whole(f"{key}\nPlease review it", _in_place_of) == "[private_key]\nPlease review it"


@pytest.mark.parametrize(
    "text",
    ["4111111111111111", "4111-1111-1111-1111", "3782 822463 10005", "5555 5555 5555 4444", "30569309025904"],
)
@pytest.mark.parametrize("around", ["({})", "7,{},12/25", "is {}.", "\t{}\n"])
def test_cards_are_found_as_they_are_written(text: str, around: str) -> None:
    assert OURS.whole(around.format(text), _in_place_of) == around.format("[card]")


@pytest.mark.parametrize("piece", ["word ", "a@b.", "-----BEGIN PRIVATE KEY-----", "eyJa"])
def test_of_a_long_piece_only_the_end_is_asked_what_may_follow(piece: str) -> None:
    asked: list[int] = []

    class Counted(Screen):
        def _within(self, name, find, text, start, **more):
            asked.extend([start] * ("partial" in more))
            return super()._within(name, find, text, start, **more)

    Held(Counted({}, {**SECRETS, **PERSONAL}, BEGINS), _in_place_of).feed(piece * (200_000 // len(piece)))

    assert len(asked) < 20_000


def test_what_a_pattern_looks_ahead_for_counts_where_it_may_go_on() -> None:
    held = Held(Screen({"x": "b(?=[abc]{1,50}d)"}), lambda found: "-")

    assert held.feed("x" * 60 + "b" + "a" * 40) == "x" * 60
    assert held.feed("d") + held.end() == "-" + "a" * 40 + "d"


@pytest.mark.parametrize(
    "text",
    [
        "call tools at 10:30 on 2024-05-01 and pay 1,299.00",
        "4111 1111 1111 1112 is no card",
        "DE00 3704 0044 0532 0130 00 is no account",
        "the sk-learn package, version 1.2.3-rc4",
        "me@localhost, @name, a@b",
        "https://example.org/a:b?c=d@e",
        "1234-5678-9012-3456-7890-1234",
        "for (i = 0; i < 1000000; i += 128) x[i] = y[i + 1];",
        "1000000000000000000000000",
        "0000 0000 0000 0000",
        "Date: Mon Nov 30 09:57:06 2026 +0000, then +0200 and +1030",
        "+3.14159265 is +100.00 more than +12 34",
        '{"at": 1717171717173, "x": 0.4111111111111111}',
        "550e8400-4111-4111-8111-1111111111114111",
        "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
        "41 11 11 11 11 11 11 11",
        "clone git@github.com:org/repo.git, show logo@2x.png",
        '<div class="sk-folding-cube-dark-animation">',
        "send Authorization: Bearer authentication-scheme-description",
        '{"homepage":"https://example.org","author":"me@home"}',
        "see (https://example.org),x:y@z",
    ],
)
def test_what_only_looks_like_one_stays(text: str) -> None:
    assert OURS.whole(text, _in_place_of) == text


@given(st.text("ab @.", max_size=300))
def test_no_more_is_held_back_than_what_could_become_a_match(text: str) -> None:
    held = Held(OURS, _in_place_of)
    held.feed(text)

    assert len(held.end()) <= 64 + 1 + 8 * 64 + 24  # of the longest address


def test_ordinary_words_go_out_as_soon_as_they_are_over() -> None:
    held = Held(OURS, _in_place_of)

    assert [held.feed(piece) for piece in ("The ", "sky ", "is", " blue", ".")] == [
        "The ",
        "sky ",
        "",
        "is ",
        "",
    ]


def test_the_matches_of_ours_have_a_length() -> None:
    for name, pattern in {**SECRETS, **PERSONAL}.items():
        assert checked(pattern) == pattern, name
    assert set(REALLY) | set(BEGINS) <= {*SECRETS, *PERSONAL}


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("a*", "nothing"),
        ("a+", "bound what repeats"),
        ("(", "no regular expression"),
        ("[", "no regular expression"),
        ("a{1,99999}", f"more than {LONGEST:,}"),
        ("(?=a)", "nothing"),
        ("(?<=a{300})b", "looks back over more than 256"),
        ("(?P<x>a)(?P<x>b)", "no regular expression"),
    ],
)
def test_a_pattern_without_a_longest_match_is_refused(pattern: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        checked(pattern)


def test_a_pattern_that_takes_for_ever_is_ended_and_named() -> None:
    screen = Screen({"slow": "(a|a){1,40}(a|a){1,40}(a|a){1,40}b"}, patience=0.01)

    with pytest.raises(RuntimeError, match="pattern 'slow' took longer than 0.0101 s"):
        screen.whole("a" * 100, lambda found: "")


def test_a_pattern_of_ours_waits_for_a_busy_machine() -> None:
    screen = Screen({}, {"mail": "[a-z]{1,60}@"}, patience=-1.0)

    assert screen.whole("a b " * 1_000 + "me@", lambda found: "") == "a b " * 1_000


def test_of_two_patterns_at_one_place_the_first_counts_and_of_two_places_the_earlier() -> None:
    screen = Screen({"late": "cd", "long": "abc", "short": "ab"})
    found: list[Found] = []

    screen.whole("xabcd abx", lambda each: found.append(each) or "-")

    assert [(each.name, each.start, each.end) for each in found] == [("long", 1, 4), ("short", 6, 8)]


def test_the_package_takes_no_private_name_of_the_core() -> None:
    sources = Path(__file__).parents[3] / "contrib" / "guards" / "src"

    for path in sources.rglob("*.py"):
        assert "pointsman._" not in path.read_text("utf-8"), path
