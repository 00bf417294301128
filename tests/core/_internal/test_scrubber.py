"""The scrubber: no secret comes through, in whatever form, and nothing else is changed."""

from __future__ import annotations

import base64
import html
import json
import pickle
import re
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman._internal.scrubber import HIDDEN_FROM, LEARNED_AT_MOST, Scrubber, forms, userinfo
from pointsman.errors import MidStreamError, Unavailable

SECRET = 'k/ey+"7<&é%-0123456789'
secrets = st.text(st.characters(codec="latin-1", min_codepoint=33), min_size=HIDDEN_FROM, max_size=60)

varied = st.lists(st.characters(codec="latin-1", min_codepoint=33), min_size=8, max_size=60, unique=True).map(
    "".join
)


def latin(text: str) -> str:
    return text.encode().decode("latin-1")


WRITTEN = {
    "as it is": lambda s: s,
    "JSON": lambda s: json.dumps(s)[1:-1],
    "JSON in Unicode": lambda s: json.dumps(s, ensure_ascii=False)[1:-1],
    "JSON of PHP": lambda s: json.dumps(s)[1:-1].replace("/", "\\/"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[3:-3],
    "HTML": html.escape,
    "Python": lambda s: repr(s)[1:-1],
    "a path": quote,
    "a part of a URL": lambda s: quote(s, safe=""),
    "a form": quote_plus,
    "a form with small letters": lambda s: re.sub("%..", lambda found: found[0].lower(), quote_plus(s)),
    "a part of a URL within a URL": lambda s: quote(quote(s, safe=""), safe=""),
    "small letters": str.lower,
    "capital letters": str.upper,
    "hexadecimal": lambda s: s.encode().hex(),
    "HEXADECIMAL": lambda s: s.encode().hex().upper(),
    "UTF-8 read as Latin-1": latin,
}


@pytest.mark.parametrize("way", WRITTEN)
@given(secrets)
def test_a_secret_is_hidden_however_it_is_written(way: str, secret: str) -> None:
    said = WRITTEN[way](secret)

    shown = Scrubber([secret]).text(f"<< {said} >>")

    assert said not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "unseen", ["\n", "\r\n", "\0", "\x1b[31m", "\x1b[0m", "\xad", "\u200b", "\u2060\ufeff", "\u202e", "\x9f"]
)
@pytest.mark.parametrize("every", [1, 5, 9, 17])
def test_a_secret_is_hidden_with_something_unseen_in_it(unseen: str, every: int) -> None:
    pieces = [SECRET[at : at + every] for at in range(0, len(SECRET), every)]

    shown = Scrubber([SECRET]).text(f"<< {unseen.join(pieces)} >>")

    assert shown == "<< *** >>"


def test_a_text_without_a_secret_keeps_what_is_not_seen() -> None:
    text = "one\ntwo\u200b\x1b[31mthree\r\n"
    assert Scrubber([SECRET]).text(text) == text


@given(varied, st.binary(max_size=4), st.binary(max_size=4), st.booleans())
def test_a_secret_is_hidden_in_base64_wherever_it_stands_in_the_text(
    secret: str, before: bytes, after: bytes, urlsafe: bool
) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    said = encode(before + secret.encode() + after).decode()

    shown = Scrubber([secret]).text(said)

    kept = shown.split("***")
    assert len(kept) == 2
    # What is left are the characters that depend on what stands around it, too.
    assert len(kept[0]) <= len(before) * 4 / 3 + 1
    assert len(kept[1]) <= len(after) * 4 / 3 + 4


@given(secrets, st.sampled_from(["utf-8", "latin-1"]))
def test_a_secret_is_hidden_in_bytes_of_either_encoding(secret: str, encoding: str) -> None:
    said = secret.encode(encoding)

    assert said not in Scrubber([secret]).data(b'{"message": "' + said + b'\xff"}')


@pytest.mark.parametrize(
    "text",
    ["", "a message about nothing", "k/ey is short", "ключ", "***", "0123456789", SECRET[1:], SECRET[:7]],
)
def test_what_is_no_secret_is_left_as_it_is(text: str) -> None:
    assert Scrubber([SECRET]).text(text) is text


def test_a_secret_that_was_cut_off_is_hidden_from_its_sixteenth_character_on_or_three_quarters() -> None:
    scrubber = Scrubber([SECRET, "research-team-7", "z" * 4 + "0123456789" * 16])

    assert scrubber.text(f"… {SECRET[:16]}; and so on") == "… ***; and so on"
    assert scrubber.text(f"… {SECRET[:15]}; and so on") == f"… {SECRET[:15]}; and so on"
    assert scrubber.text("zzzz012345678901") == "***"
    assert scrubber.text("zzzz01234567890") == "zzzz01234567890"
    assert scrubber.text("in research") == "in research"


def test_a_short_secret_could_be_any_word_and_is_not_looked_for() -> None:
    assert Scrubber(["ollama", ""]).text("ollama is not installed") == "ollama is not installed"


def test_of_two_secrets_that_begin_alike_the_longer_one_is_hidden_whole() -> None:
    scrubber = Scrubber(["secret-key", "secret-key-of-mine"])

    assert scrubber.text("secret-key-of-mine secret-key") == "*** ***"


def test_a_beginning_that_goes_on_otherwise_does_not_hide_the_secret_behind_it() -> None:
    assert Scrubber(["aaaaaaaab1"]).text("aaaaaaaaaaab1") == "aaa***"


def test_what_looks_like_a_key_of_somebody_else_is_hidden_too() -> None:
    shown = Scrubber().text(
        "bad sk-proj-abcdef123456ghijk, sk-***x, ab12****wxyz, not sk-learn or hf-qwen2 ***"
    )

    assert shown == "bad ***, ***, ***, not sk-learn or hf-qwen2 ***"


def test_a_key_of_a_caller_is_hidden_wherever_it_was_pasted() -> None:
    key = "pm_Ab3dEf7h_" + "k9" * 24 + "Z"

    assert Scrubber().text(f"my key is {key}, at /v1/{key}/x") == "my key is ***, at /v1/***/x"
    assert Scrubber().text(f"pm_report_2026 and {key}longer") == f"pm_report_2026 and {key}longer"


def test_a_secret_is_learned_later_and_the_oldest_of_very_many_is_forgotten() -> None:
    scrubber = Scrubber(["configured"])
    scrubber.learn("the-first-one")
    assert scrubber.text("the-first-one") == "***"

    for n in range(LEARNED_AT_MOST):
        scrubber.learn(f"rotating-{n:06}")

    assert scrubber.text("the-first-one") == "the-first-one"
    assert scrubber.text("configured, rotating-000999") == "***, ***"


def test_the_message_the_notes_and_the_attributes_of_an_error_are_searched() -> None:
    cause = Unavailable(f"no {SECRET}", upstream_code=SECRET, upstream_request_id=f"id {SECRET}")
    cause.deployment = SECRET  # is ours: the configuration says it
    cause.body = f"<{SECRET}>"  # type: ignore[attr-defined]  # as a plugin of somebody may
    cause.add_note(f"at {SECRET}")
    error = MidStreamError("broke", cause=cause, text=f"an answer with {SECRET}")

    Scrubber([SECRET]).error(cause)

    assert (cause.message, cause.upstream_code, cause.upstream_request_id) == ("no ***", "***", "id ***")
    assert (cause.deployment, vars(cause)["body"], cause.__notes__) == (SECRET, "<***>", ["at ***"])
    assert Scrubber([SECRET]).error(error).text == f"an answer with {SECRET}"


@pytest.mark.parametrize(
    ("url", "hidden"),
    [
        ("http://proxy:3128", set()),
        ("http://user:p%40ssword@proxy:3128", {"user:p%40ssword", "user:p@ssword", "p%40ssword", "p@ssword"}),
        ("socks5://a-token@proxy", {"a-token"}),
        ("http://a@b:c@proxy", {"a@b:c", "c"}),
        ("redis://a:b@c@store", {"a:b@c", "b@c", "b", "c"}),
    ],
)
def test_user_and_password_of_a_url_are_secrets_together_and_the_password_alone(
    url: str, hidden: set[str]
) -> None:
    assert set(userinfo(url)) == hidden


@pytest.mark.parametrize("others", [0, 50])
def test_it_makes_no_difference_how_many_secrets_there_are(others: int) -> None:
    scrubber = Scrubber([SECRET, *(f"{n:04}-other-secret" for n in range(others))])

    assert scrubber.text(f"no {SECRET}, {SECRET[:20]}… or {quote(SECRET)}") == "no ***, ***… or ***"
    assert scrubber.text("nothing of the kind") == "nothing of the kind"
    assert scrubber.ours("sk-aaaaaaaaaaaaaaaaaaa1") == "sk-aaaaaaaaaaaaaaaaaaa1"


def test_a_secret_is_learned_after_texts_were_looked_at() -> None:
    scrubber = Scrubber()
    assert scrubber.text(SECRET) == SECRET

    scrubber.know([SECRET])

    assert scrubber.text(SECRET) == "***"


def test_a_scrubber_shows_nobody_what_it_knows() -> None:
    scrubber = Scrubber([SECRET])

    assert repr(scrubber) == "<Scrubber of 1 secrets>"
    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(scrubber)


def test_a_plain_key_has_no_more_forms_than_it_needs() -> None:
    # Itself, in capitals, in hexadecimal of either case, and three places in base64.
    assert len(forms("sk-0123456789abcdef")) == 7


class Compared(str):
    """Counts how often it is compared with another."""

    __slots__ = ()
    times = 0

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_a_secret_is_not_compared_with_all_that_begin_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Compared, "times", 0)
    scrubber = Scrubber(Compared(f"sk-proj-{n:06}-0123456789abcdef") for n in range(200))

    assert scrubber.text("key sk-proj-000117-0123456789abcdef is wrong") == "key *** is wrong"
    assert Compared.times < 20 * 200
