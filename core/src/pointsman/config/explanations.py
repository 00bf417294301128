"""What each code means, what to do about it, and an example: for `pointsman config explain` and the page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from textwrap import wrap

from msgspec import Struct

FAMILIES = {
    "PM10": "The file, and what it is written in",
    "PM11": "One key or value",
    "PM12": "Names, and what they lead to",
    "PM13": "What does not go together",
    "PM14": "Plugins",
    "PM15": "Files of other programs",
    "PM16": "`${…}`",
    "PM17": "Provider types that are data",
    "PM19": "Warnings",
}
"""By how a code begins, what its family is about."""
WIDTH = 79


class CodeMeaning(Struct, frozen=True, forbid_unknown_fields=True):
    """What a code stands for.

    Attributes:
        title: what is wrong, in a line.
        meaning: how it comes about.
        remedy: what to do.
        wrong, right: a whole configuration in YAML with the mistake, and one without; "" where a text cannot
            show it.
    """

    title: str
    meaning: str
    remedy: str
    wrong: str = ""
    right: str = ""


@cache
def explanations() -> Mapping[str, CodeMeaning]:
    """By code, all that there are, in order."""
    import tomllib

    from msgspec import convert

    text = Path(__file__).with_suffix(".toml").read_text("utf-8")
    return convert(tomllib.loads(text), dict[str, CodeMeaning])


def explained(code: str) -> Iterator[str]:
    """The lines of a text about `code`, in whatever case; none for one that there is not."""
    code = code.strip().upper()
    about = explanations().get(code)
    if about is None:
        return
    yield f"{code}: {about.title}"
    for paragraph in (about.meaning, about.remedy):
        yield from ("", *wrap(paragraph, WIDTH))
    for title, example in (("Wrong:", about.wrong), ("Right:", about.right)):
        if example:
            yield from ("", title, *(f"    {line}" for line in example.splitlines()))
