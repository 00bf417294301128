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
        message = f"is not JSON: {error.msg[0].lower()}{error.msg[1:]}"
        raise Malformed(message, position, _hint(text, error.pos)) from None
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


def _hint(text: str, at: int) -> str | None:
    """What would help where no JSON goes on."""
    if text[at : at + 2] in ("//", "/*") or text[at : at + 1] == "#":
        return "JSON has no comments"
    if text[at : at + 1] == "'":
        return "keys and texts stand in double quotes"
    if text[at : at + 1] in ("}", "]") and text[:at].rstrip().endswith(","):
        return "take the comma before it away"
    return "the file ends here, and something is still open" if not text[at:].strip() else None
