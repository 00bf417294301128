"""YAML, the core schema of 1.2, without tags.

Anchors, aliases and merge keys, which files of ours do not have, are read for those of other programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pointsman._internal.scrubber import MASK
from pointsman.config import codes
from pointsman.config.document import Position
from pointsman.config.problems import KeyPath
from pointsman.config.readers.builder import INTEGER, Builder, Lines, Malformed, integer

_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_MERGE = "<<"
_MOST_COPIED = 10_000
"""Values that aliases may stand for in all: each can stand for others, and a few lines for billions."""
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
    position = None if mark is None else _position(mark)
    if "'\\t'" in str(error.problem):
        message = f"is not YAML: {error.problem}"
        return Malformed(message, position, "indent with spaces", code=codes.TAB_INDENT)
    if mark is not None and mark.index and text[mark.index - 1 : mark.index + 1] == "${":
        hint = 'within brackets write it in quotes: "${…}"'
        return Malformed(f"is not YAML: {error.problem}", position, hint, code=codes.NEEDS_QUOTES)
    return _plainly(str(error.problem or error.context), error, position)


def _plainly(problem: str, error: Any, at: Position | None) -> Malformed:
    """What a reader of YAML says in its own words, in ours."""
    context, began = str(error.context), error.context_mark
    before = "" if began is None else f"line {began.line + 1}, column {began.column + 1}"
    if problem.startswith("mapping values are not allowed"):
        hint = "put what follows on a line of its own; a text with `: ` in it needs quotes"
        return Malformed("is not YAML: a `:` where no key can stand", at, hint)
    if found := re.match(r"found character (.*) that cannot start any token", problem):
        message = f"is not YAML: a text that begins with {found[1]} needs quotes"
        return Malformed(message, at, code=codes.NEEDS_QUOTES)
    if problem.startswith("expected <block end>") and before:
        message = "is not YAML: by its indentation this fits nothing above it"
        return Malformed(message, at, f"what it stands in begins on {before}")
    if problem.startswith("expected ',' or ") and before:
        return Malformed(f"is not YAML: {problem}", at, f"the bracket of {before} is still open")
    if "end of stream" in problem and "quoted" in context and began is not None:
        return Malformed("is not YAML: a quote that is never closed", _position(began))
    if problem.startswith("could not find expected ':'") and began is not None:
        hint = "a key is written `key: value`"
        return Malformed("is not YAML: a line without a `:`", _position(began), hint)
    if problem.startswith("found unknown escape character"):
        return Malformed(f"is not YAML: {problem}", at, "in single quotes a backslash is itself")
    return Malformed(f"is not YAML: {problem}", at, error.context)


def _unquoted_star(rest: str, at: Position) -> Malformed:
    message = "is not YAML: a text that begins with `*` needs quotes"
    return Malformed(message, at, f'write "*{rest}"', code=codes.NEEDS_QUOTES)


def _position(mark: Any) -> Position:
    return mark.line + 1, mark.column + 1


def _build(events: Any, builder: Builder) -> None:
    from ruamel.yaml import events as kinds

    documents = 0
    for event, at in _written_out(events, builder):
        if isinstance(event, kinds.DocumentStartEvent):
            documents += 1
            if documents > 1:
                hint = "one file is one configuration"
                raise Malformed("holds a second document", at, hint, code=codes.SECOND_DOCUMENT)
        elif isinstance(event, kinds.MappingEndEvent):
            builder.merge(_MERGE)
            builder.end()
        elif isinstance(event, kinds.SequenceEndEvent):
            builder.end()
        elif isinstance(event, kinds.NodeEvent):
            _build_node(event, at, builder)


def _written_out(events: Any, builder: Builder) -> Iterator[tuple[Any, Position]]:
    """Each event with its place; in place of an alias those of what it stands for, all at its own place."""
    from ruamel.yaml import events as kinds

    known: dict[str, list[Any]] = {}
    recorded: list[_Anchored] = []  # what has not ended yet, the innermost last
    copied = 0
    for event in events:
        at = _position(event.start_mark)
        meant = [event]
        if isinstance(event, kinds.AliasEvent):
            _refuse_alias(str(event.anchor), at, builder, known)
            meant = known.get(str(event.anchor), meant)
            copied += len(meant)
            if copied > _MOST_COPIED:
                raise Malformed(f"has aliases for more than {_MOST_COPIED} values", at)
        elif isinstance(event, kinds.NodeEvent) and event.anchor is not None:
            message = f"the anchor &{_shown(event.anchor, builder.here())} is not allowed"
            builder.unlike_ours.append(
                (at, builder.here(), message, "write the value out", codes.YAML_REFERENCE)
            )
            recorded.append(_Anchored(str(event.anchor)))
        depth = isinstance(event, kinds.CollectionStartEvent) - isinstance(event, kinds.CollectionEndEvent)
        for each in recorded:
            each.add(meant, depth)
        while recorded and not recorded[-1].depth:
            whole = recorded.pop()
            known[whole.name] = whole.events
        yield from ((each, at) for each in meant)


class _Anchored:
    """The events of what stands at an anchor, and how much of it is open."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.events: list[Any] = []
        self.depth = 0

    def add(self, events: list[Any], depth: int) -> None:
        self.events += events
        self.depth += depth


def _build_node(event: Any, at: Position, builder: Builder) -> None:
    from ruamel.yaml import events as kinds

    tag = getattr(event, "tag", None)
    if tag is not None and str(tag) != "!":
        hint = "quotes make a text"
        builder.fault(at, builder.here(), "a tag (!) is not allowed", hint, code=codes.YAML_REFERENCE)
    plain = isinstance(event, kinds.ScalarEvent)
    if builder.awaits_key():
        if not plain:
            hint = "quote it, or see whether a comma stands where a `:` should"
            raise Malformed("a key is not a plain word", at, hint)
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


def _refuse_alias(name: str, at: Position, builder: Builder, known: Mapping[str, Any]) -> None:
    shown = _shown(name, builder.here())
    if name.endswith(":"):  # a key to whoever wrote it, and whatever follows makes no sense
        raise _unquoted_star(shown.removesuffix(":"), at)
    hint = f'write "*{shown}" for the text, else the value out'
    message = f"the alias *{shown} is not allowed"
    faults = builder.unlike_ours if name in known else builder.faults
    faults.append((at, builder.here(), message, hint, codes.YAML_REFERENCE))


def _shown(name: str, path: KeyPath) -> str:
    """`name` of an anchor or an alias; a password may begin with such a sign, too."""
    from pointsman.config.source_line import may_be_repeated  # nobody waits for it who has no such fault

    return name if may_be_repeated(name, path) else MASK


def _value(text: str, at: Position) -> Any:
    """What an unquoted scalar is in the core schema of YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    if INTEGER.fullmatch(text):
        return integer(text, at)
    return float(text) if _FLOAT.fullmatch(text) else text
