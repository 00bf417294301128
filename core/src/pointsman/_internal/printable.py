"""Outside text as a terminal or a log may have it: what would steer it is shown, not sent."""

from __future__ import annotations

import re

_STEERING = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 without tab and newline, DEL, C1: escape sequences begin with these
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"  # the order in which text is shown
    r"\u200b\u2060-\u2065\ufeff\ufff9-\ufffb\u115f\u1160\u3164\uffa0\u180e"  # nothing that could be seen
    r"\u2028\u2029"  # ends of lines that are none to whoever reads lines
    r"\ud800-\udfff"  # halves of a character, which no encoding takes
    r"\U000e0000-\U000e007f"  # letters that nobody sees and programs read
)
# Compiled, and kept by `re`, when it is first needed: most programs never meet such a text.
_NOT_SHOWN = f"[{_STEERING}]"


def printable(text: str) -> str:
    r"""`text` with each character that could steer a terminal, or hide, written as `\x1b` or `\u202e`.

    Newlines and tabs stay, and so do the joiners U+200C and U+200D: Persian, Hindi and emoji are written with
    them, and they move nothing. Each character is replaced by itself, so pieces of a text can be
    handed in one after the other, cut anywhere.
    """
    return text if text.isprintable() else re.sub(_NOT_SHOWN, _written, text)


def printable_line(text: str) -> str:
    r"""The same on one line: newlines and tabs are written, too, as `\n` and `\t`."""
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


def json_printable(document: str) -> str:
    r"""A JSON document with the same characters escaped as JSON has them: the value stays what it was."""
    return document if document.isprintable() else re.sub(_NOT_SHOWN, _escaped, document)


def _written(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
