"""JSON, with the place of everything in it."""

from __future__ import annotations

import json
import re

from pointsman.config.readers.builder import INTEGER, Builder, Lines, Malformed, integer

_TOKEN = re.compile(r'[\s,:]*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[\[\]{}])|(?P<word>[^\s,:\[\]{}"]+))')


def read_json(text: str, builder: Builder) -> None:
    """Build what `text` holds. Raises Malformed."""
    lines = Lines(text)
    try:
        json.loads(text, parse_constant=str, parse_int=str)
    except json.JSONDecodeError as error:
        position = lines.position(error.pos)
        raise Malformed(f"is not JSON: {error.msg[0].lower()}{error.msg[1:]}", position) from None
    # It is JSON, so words are all that is left to tell apart.
    for found in _TOKEN.finditer(text):
        word = found[found.lastgroup or 0]
        at = lines.position(found.start(found.lastgroup or 0))
        if word in "{[":
            builder.begin({} if word == "{" else [], at)
        elif word in "}]":
            builder.end()
        elif builder.awaits_key():
            builder.key(json.loads(word), at)
        else:
            builder.scalar(integer(word, at) if INTEGER.fullmatch(word) else json.loads(word), at)
