"""YAML, the core schema of 1.2, without anchors and tags."""

from __future__ import annotations

import re
from typing import Any

from pointsman.config.document import Position
from pointsman.config.readers.builder import INTEGER, Builder, Lines, Malformed, integer

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def read_yaml(text: str, builder: Builder) -> None:
    """Build what `text` holds. Raises Malformed."""
    from ruamel.yaml import YAML  # only YAML needs it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        _build(YAML(typ="safe", pure=True).parse(text), builder)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = None if mark is None else (mark.line + 1, mark.column + 1)
        hint = "indent with spaces" if "'\\t'" in str(error.problem) else error.context
        raise Malformed(f"is not YAML: {error.problem or error.context}", position, hint) from None
    except YAMLError as error:
        offset = getattr(error, "position", None)
        position = Lines(text).position(offset) if isinstance(offset, int) else None
        raise Malformed("is not YAML: a character that may not stand in it", position) from None


def _build(events: Any, builder: Builder) -> None:
    from ruamel.yaml import events as kinds

    documents = 0
    for event in events:
        at = (event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, kinds.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise Malformed("holds a second document", at, "one file is one configuration")
        elif isinstance(event, kinds.MappingEndEvent | kinds.SequenceEndEvent):
            builder.end()
        elif isinstance(event, kinds.NodeEvent):
            _build_node(event, at, builder)


def _build_node(event: Any, at: Position, builder: Builder) -> None:
    from ruamel.yaml import events as kinds

    if isinstance(event, kinds.AliasEvent):
        builder.fault(at, builder.here(), f"the alias *{event.anchor} is not allowed", "write the value out")
    elif event.anchor is not None:
        builder.fault(at, builder.here(), f"the anchor &{event.anchor} is not allowed", "write the value out")
    tag = getattr(event, "tag", None)
    if tag is not None and str(tag) != "!":
        builder.fault(at, builder.here(), "a tag (!) is not allowed", "quotes make a text")
    plain = isinstance(event, kinds.ScalarEvent)
    if builder.awaits_key():
        if not plain:
            raise Malformed("a key is not a plain word", at)
        builder.key(event.value, at)
    elif isinstance(event, kinds.MappingStartEvent):
        builder.begin({}, at)
    elif isinstance(event, kinds.SequenceStartEvent):
        builder.begin([], at)
    elif plain and not event.value and not event.style:
        builder.scalar(None, builder.key_at() or at)  # the parser sees nothing where the next token is
    elif plain:
        builder.scalar(event.value if event.style else _value(event.value, at), at)
    else:
        builder.scalar(None, at)


def _value(text: str, at: Position) -> Any:
    """What an unquoted scalar is in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if INTEGER.fullmatch(text):
        return integer(text, at)
    return float(text) if _FLOAT.fullmatch(text) else text
