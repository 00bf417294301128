"""JSON bodies that are nearly right: the same value written another way, or with a few things wrong in it.

What can be wrong is what JSON readers differ about: other members and types, numbers of any size and form,
members that stand twice, half characters, bytes that are no UTF-8, deep nesting, what stands around it.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

TOKENS = (
    *(b"null", b"true", b"false", b"0", b"-0", b"1", b"-1", b"7.0", b"3e0", b"0.5", b"-0.0", b"01", b"1.", b"NaN"),
    *(b"1e999", b"-1e400", b"Infinity", b"1e-400", b"2147483648", b"4611686018427387904", b"9223372036854775807"),
    *(b"9223372036854775808", b"18446744073709551616", b"-9223372036854775809", b"9" * 400, b"9" * 4400),
    *(b'""', b'" "', b'"x"', b'"error"', b'"null"', b'"tool_use"', b'"message"', b'"tool_calls"', b'"load"'),
    *(b'"\\ud83d"', b'"\\ude00"', b'"\\ud83d\\ude00"', b'"\\ud83dx"', b'"\\u0000"', b'"\\x"', b'"a\nb"', b'"\x7f"'),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xf0\x9f\x98"', b'"\xf0\x9f\x98\x80"', b'"\xe2\x80\xa8"'),
    *(b"[]", b"{}", b"[1]", b"[1.5,2]", b'["x"]', b'{"a":1}', b'{"message":"broken"}', b'{"type":"text","text":"t"}'),
    *(b'{"type":"tool_use","id":"t","name":"f","input":{"n":99999999999999999999}}', b'[{"function":{"name":"f"}}]'),
    *(b"[" * 200 + b"]" * 200, b"[" * 3000 + b"]" * 3000, b'{"a":' * 1500 + b"1" + b"}" * 1500),
)  # fmt: skip
"""What may stand where a value is expected, not all of it JSON."""
NAMES = (
    *("error", "errors", "message", "detail", "msg", "code", "object", "base_resp", "error_message", "status"),
    *("type", "index", "delta", "text", "thinking", "partial_json", "signature", "citations", "id", "model"),
    *("content", "role", "usage", "input", "stop_reason", "stop_details", "done", "done_reason", "response"),
    *("tool_calls", "images", "logprobs", "context", "embeddings", "data", "created_at", "eval_count"),
    *("", "new", "n\u00e9w", "\u2028", "Type", "type "),
)  # fmt: skip
_BYTES = (b"\xff", b"\x00", b"\xef\xbb\xbf", b"\n", b"\r", b" ", b"\t", b"\x0b", b'"', b"{", b"}", b"]", b",", b":", b"\\",
          b"\xc2\xa0", b"x", b"1", b"null", b"{}", b"\n\n", b"e", b".", b"-")  # fmt: skip
_TEXTS = ("", " ", "word", "é", "\U0001f600", "a\ud83d", "\ude00b", "\u2028", "\x00", '"\\', "9" * 25)


class Members(list[tuple[str, Any]]):
    """The members of an object in order; a name may stand among them twice."""


def nearly(value: Any, random: Random) -> bytes:
    """The JSON text of `value`: one time in three nothing is wrong in it, else up to three things are."""
    tree = _tree(value)
    changes = random.choice((0, 0, 0, 1, 1, 1, 1, 2, 3))
    in_bytes = 0
    for _ in range(changes):
        if random.random() < 0.25:
            in_bytes += 1
        else:
            tree = _changed(tree, random)
    data = _written(tree, random, odd=random.random() < 0.3)
    for _ in range(in_bytes):
        data = _bitten(data, random)
    return data


def piece(random: Random) -> str:
    """A piece of text, now and then with half a character at its end or at its beginning."""
    return random.choice(_TEXTS)


def _tree(value: Any) -> Any:
    if isinstance(value, dict):
        return Members((name, _tree(each)) for name, each in value.items())
    return [_tree(each) for each in value] if isinstance(value, list) else value


def _changed(tree: Any, random: Random) -> Any:
    """`tree` with one thing changed in it, somewhere."""
    if isinstance(tree, Members) and (not tree or random.random() < 0.6):
        return _members_changed(tree, random)
    if isinstance(tree, Members):
        at = random.randrange(len(tree))
        name, value = tree[at]
        return Members([*tree[:at], (name, _changed(value, random)), *tree[at + 1 :]])
    if isinstance(tree, list) and tree and random.random() < 0.9:
        at = random.randrange(len(tree))
        if random.random() < 0.3:
            return [
                *tree[: at + 1],
                *random.choice(([], [random.choice(TOKENS)], [tree[at]])),
                *tree[at + 1 :],
            ]
        return [*tree[:at], _changed(tree[at], random), *tree[at + 1 :]]
    return random.choice(TOKENS)


def _members_changed(tree: Members, random: Random) -> Members:
    result = Members(tree)
    added = (random.choice(NAMES), random.choice(TOKENS))
    if not tree:
        return Members([added])
    at = random.randrange(len(tree))
    name, value = tree[at]
    match random.randrange(6):
        case 0:
            del result[at]
        case 1:
            result.insert(at, added)
        case 2:
            result[at] = (random.choice(NAMES), value)
        case 3:
            result[at] = (name, random.choice(TOKENS))
        case 4:  # twice, before or after, the same or not
            twice = (name, random.choice((value, random.choice(TOKENS))))
            result.insert(random.choice((0, at, len(tree))), twice)
        case _:
            random.shuffle(result)
    return result


def _written(tree: Any, random: Random, *, odd: bool) -> bytes:
    """The JSON text of `tree`; where it is `odd`, with blanks and escapes that nobody needs."""
    blank = random.choice((b"", b" ", b"\t", b"\n", b"\r\n", b" \n ")) if odd else b""
    if isinstance(tree, bytes):
        return tree
    if isinstance(tree, Members):
        pairs = (
            _text(name, random, odd) + b":" + blank + _written(each, random, odd=odd) for name, each in tree
        )
        return b"{" + blank + (b"," + blank).join(pairs) + b"}" + blank
    if isinstance(tree, list):
        return b"[" + (blank + b",").join([_written(each, random, odd=odd) for each in tree]) + b"]"
    if isinstance(tree, str):
        return _text(tree, random, odd)
    return json.dumps(tree).encode()


def _text(text: str, random: Random, odd: bool) -> bytes:
    if odd and text and random.random() < 0.2:
        return (
            b'"'
            + "".join(f"\\u{ord(each):04x}" if each < "\uffff" else each for each in text).encode()
            + b'"'
        )
    return json.dumps(text, ensure_ascii=not _writable(text) or random.random() < 0.5).encode()


def _writable(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)


def _bitten(data: bytes, random: Random) -> bytes:
    """`data` with something wrong at one place of it."""
    at = random.choice((0, len(data), random.randint(0, len(data))))
    match random.randrange(4):
        case 0:
            return data[:at] + random.choice(_BYTES) + data[at:]
        case 1:
            return data[:at] + data[at + 1 :]
        case 2:
            return data[:at] + random.choice(_BYTES) + data[at + 1 :]
        case _:
            return random.choice(
                (data[:at], data + data, b"\xef\xbb\xbf" + data, data.decode("latin-1").encode("utf-16"))
            )


def told(value: Any) -> list[Any]:
    """`value`, however deep, so that what differs in it is unequal: also 1, 1.0 and True; members in any order."""
    found: list[Any] = []
    todo = [value]
    while todo:
        match todo.pop():
            case dict() as members:
                names = sorted(members)
                found.append(("members", *names))
                todo += [members[name] for name in names]
            case list() | tuple() as items:
                found.append(("items", len(items)))
                todo += items
            case str() as text:
                found.append(text)
            case other:
                found.append((type(other).__name__, repr(other)))
    return found
