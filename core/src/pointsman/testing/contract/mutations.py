"""Bodies that are cut, spoiled and told apart without knowing their wire."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence

from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman.testing.contract.canned import CannedChat
from pointsman.testing.replay import CannedReply

_MOST_OFFSETS = 160
_OTHER_VALUES = (
    "null",
    "true",
    "-1",
    "0.5",
    "1e999",
    '""',
    '"other"',
    "[]",
    "[null]",
    "[1]",
    "{}",
    '{"a": 1}',
)


def some_offsets(body: bytes, *, first: int = 1, most: int = _MOST_OFFSETS) -> Sequence[int]:
    """Lengths from `first` to below that of `body`: all, or those around line ends and `most` in all."""
    if len(body) <= most:
        return range(first, len(body))
    lines = {place.start() + n for place in re.finditer(rb"[\r\n]", body) for n in (-1, 0, 1, 2)}
    spread = {first + n * (len(body) - 1 - first) // (most - 1) for n in range(most)}
    chosen = sorted(each for each in lines | spread if first <= each < len(body))
    if len(chosen) > most:
        chosen = sorted(random.Random(len(body)).sample(chosen, most))  # noqa: S311 - a test's chance
    return chosen


def spoiled(body: bytes) -> st.SearchStrategy[bytes]:
    """`body` with a stretch replaced by anything."""
    places = st.tuples(st.integers(0, len(body)), st.integers(0, 20), st.binary(max_size=10))
    return places.map(lambda given: body[: given[0]] + given[2] + body[given[0] + given[1] :])


def other_value(body: bytes) -> st.SearchStrategy[bytes]:
    """`body` with one of the JSON values in it replaced by another."""
    text = body.decode("utf-8", "replace")
    spans = []
    for place in re.finditer(r'[\[{"\dtfn-]', text):
        try:
            _, end = json.JSONDecoder().raw_decode(text, place.start())
        except ValueError:
            continue
        spans.append((place.start(), end))
    if not spans:
        return st.just(body)
    return st.tuples(st.sampled_from(spans), st.sampled_from(_OTHER_VALUES)).map(
        lambda given: (text[: given[0][0]] + given[1] + text[given[0][1] :]).encode()
    )


def word_of(canned: CannedChat) -> str:
    """A word of the answer that stands in the body as it is, so that answers can be told apart; else ""."""
    words = sorted(re.findall(r"[A-Za-z]{3,}", canned.text), key=len, reverse=True)
    return next((word for word in words if word.encode() in canned.body), "")


def renamed(text: str, word: str, n: int) -> str:
    """`text` with the nth variant of `word`, n < 100."""
    return text.replace(word, _variant(word, n)) if word else text


def distinct(canned: CannedChat, word: str, n: int) -> CannedReply:
    """The canned answer with the nth variant of `word`."""
    if not word:
        return canned.reply
    return replace(canned.reply, body=canned.body.replace(word.encode(), _variant(word, n).encode()))


def _variant(word: str, n: int) -> str:
    """As long as the word, whose length may stand in the body: so it does where a wire announces lengths."""
    return f"{word[:-2]}{n:02}"
