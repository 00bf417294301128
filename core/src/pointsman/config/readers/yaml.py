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
        raise _malformed(error, text) from None
    except YAMLError as error:
        offset = getattr(error, "position", None)
        position = Lines(text).position(offset) if isinstance(offset, int) else None
        raise Malformed("is not YAML: a character that may not stand in it", position) from None


def _malformed(error: Any, text: str) -> Malformed:
    """What a `MarkedYAMLError` says of `text`, and what helps."""
    if error.context == "while scanning an alias":
        return _unquoted_star("", _position(error.context_mark))
    mark = error.problem_mark or error.context_mark
    hint = error.context
    if "'\\t'" in str(error.problem):
        hint = "indent with spaces"
    elif mark is not None and mark.index and text[mark.index - 1 : mark.index + 1] == "${":
        hint = 'within brackets write it in quotes: "${…}"'
    position = None if mark is None else _position(mark)
    return Malformed(f"is not YAML: {error.problem or error.context}", position, hint)


def _unquoted_star(rest: str, at: Position) -> Malformed:
    return Malformed("is not YAML: a text that begins with `*` needs quotes", at, f'write "*{rest}"')


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1


def _build(events: Any, builder: Builder) -> None:
    from ruamel.yaml import events as kinds

    documents = 0
    for event in events:
        at = _position(event.start_mark)
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
        _refuse_alias(str(event.anchor), at, builder)
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


def _refuse_alias(name: str, at: Position, builder: Builder) -> None:
    if name.endswith(":"):  # a key to whoever wrote it, and whatever follows makes no sense
        raise _unquoted_star(name[:-1], at)
    hint = f'write "*{name}" for the text, else the value out'
    builder.fault(at, builder.here(), f"the alias *{name} is not allowed", hint)


def _value(text: str, at: Position) -> Any:
    """What an unquoted scalar is in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if INTEGER.fullmatch(text):
        return integer(text, at)
    return float(text) if _FLOAT.fullmatch(text) else text
