"""Answers of the OpenAI wire read as usual ones and with care: whatever they hold, both say the same.

    uv run python benchmarks/shape_fuzz.py [--count 1048576] [--seed 1] [--jobs 2] [--json]
    uv run python benchmarks/shape_fuzz.py --only 4711       # one case again

A case is a whole answer, a list of embeddings or a stream. It begins as a usual one and suffers up to three
mutations: members left out, added, repeated and of other values, numbers and texts of every kind that JSON
has and some that it has not, and damaged bytes. Where `pointsman_openai.shapes` reads it, the value must be
the one that `answers` makes of the same bytes; where it does not, `answers` is what reads it anyway. Of a
stream the events, the end and the state of the decoder must be those of a decoder that takes no chunk for a
usual one. Case `n` depends on the seed and on `n` alone.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from pointsman._internal import jsonio
from pointsman.errors import PointsmanError
from pointsman.http.framing import SseEvent
from pointsman.types import EmbedRequest, JsonObject, StreamEvent
from pointsman.wire.error_body import MARKS
from pointsman.wire.surrogates import SurrogateHalves
from pointsman_openai import answers, shapes
from pointsman_openai.decode import ChatDecoder

BATCH = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=1 << 20, help="cases")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--only", type=int, metavar="N", help="look at case N alone")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.only is not None:
        kind, given = case(random.Random(f"{options.seed}/{options.only}"))
        print(kind, given, compare(kind, given), sep="\n")
        return
    began = perf_counter()
    report = run(options.count, seed=options.seed, jobs=options.jobs)
    figures = {
        "seed": options.seed,
        "cases": report.cases,
        "ends": dict(sorted(report.ends.items())),
        "seconds": round(perf_counter() - began, 1),
        "findings": report.findings,
    }
    print(json.dumps(figures, indent=None if options.json else 1))
    sys.exit(bool(report.findings))


# ── the run ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Report:
    """What came of some cases; `ends` counts how each was read, or with which error it ended."""

    cases: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)


def run(count: int, *, seed: int, jobs: int = 1) -> Report:
    """`count` cases, spread over `jobs` processes."""
    starts = range(0, count, BATCH)
    batches = ([seed] * len(starts), starts, [min(first + BATCH, count) for first in starts])
    report = Report()
    with ProcessPoolExecutor(jobs) if jobs > 1 else _Here() as pool:
        for done in pool.map(_batch, *batches):
            report.cases += done.cases
            report.ends += done.ends
            report.findings = (report.findings + done.findings)[:100]
    return report


class _Here:
    map = staticmethod(map)

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _batch(seed: int, first: int, last: int) -> Report:
    report = Report()
    for n in range(first, last):
        kind, given = case(random.Random(f"{seed}/{n}"))
        report.cases += 1
        try:
            report.ends[f"{kind} {compare(kind, given)}"] += 1
        except Exception as error:
            report.findings.append(f"case {n} ({kind}): {error!r}"[:1000])
    return report


# ── both ways ────────────────────────────────────────────────────────────────────────────────────────


class CarefulDecoder(ChatDecoder):
    """Takes no chunk for a usual one."""

    __slots__ = ()

    def _take_usual(self, data: bytes, events: list[StreamEvent]) -> bool:
        return False

    def _learn_piece(self, chunk: JsonObject, data: bytes, events: Sequence[StreamEvent]) -> None:
        pass


HOW_IT_READS = ("_alike", "_quick", "_missed", "_nearest", "_pieces")
"""Of a decoder, what says nothing about what it has read."""


class Differ(AssertionError):
    """The two ways of reading the same bytes do not say the same."""


def compare(kind: str, given: Sequence[bytes]) -> str:
    """Read a case both ways. "usual", "careful" or the name of the error. Raises Differ."""
    return {"answer": compare_answer, "embeddings": compare_embeddings, "stream": compare_stream}[kind](given)


def compare_answer(given: Sequence[bytes]) -> str:
    (content,) = given
    usual = shapes.chat_response(content, request_id="r")
    return _compared(
        usual, lambda: answers.chat_response(jsonio.loads(content), content, request_id="r"), content
    )


EMBED = EmbedRequest("m", ("a", "b"), dimensions=3)


def compare_embeddings(given: Sequence[bytes]) -> str:
    (content,) = given
    usual = shapes.embed_response(content, EMBED, request_id="r")
    return _compared(
        usual, lambda: answers.embed_response(jsonio.loads(content), EMBED, request_id="r"), content
    )


def _compared(usual: Any, careful: Callable[[], Any], content: bytes) -> str:
    try:
        wanted = careful()
    except (PointsmanError, ValueError) as error:
        if usual is not None:
            raise Differ(f"{usual} in place of {error!r}, of {content!r:.500}") from error
        return type(error).__name__
    if usual is None:
        return "careful"
    if type(usual.raw) is not dict or usual != wanted or repr(usual) != repr(wanted):
        raise Differ(f"{usual} in place of {wanted}, of {content!r:.500}")
    return "usual"


def compare_stream(given: Sequence[bytes]) -> str:
    """At once as frames without names, and one by one."""
    taken = [_decoded(decoder, given) for decoder in (ChatDecoder(), CarefulDecoder())]
    named = [_decoded_singly(decoder, given) for decoder in (ChatDecoder(), CarefulDecoder())]
    for one, other in (taken, named):
        if one != other:
            raise Differ(f"{one} in place of {other}, of {given!r:.500}")
    usual = sum(shapes.delta_of(each) is not None for each in given)
    return f"{taken[0][1].partition(':')[0]}, {'some usual' if usual else 'careful'}"


def _decoded(decoder: ChatDecoder, given: Sequence[bytes]) -> tuple[str, str, object]:
    events: list[StreamEvent] = []
    try:
        decoder.decode_plain(given, events)
        end = "done" if decoder.done else "open"
    except PointsmanError as error:
        end = f"{type(error).__name__}: {error}"
    return repr(events), end, state(decoder)


def _decoded_singly(decoder: ChatDecoder, given: Sequence[bytes]) -> tuple[str, str, object]:
    events: list[StreamEvent] = []
    try:
        for each in given:
            if not decoder.done:
                events += decoder.decode(SseEvent("", each))
        end = "done" if decoder.done else "open"
    except PointsmanError as error:
        end = f"{type(error).__name__}: {error}"
    return repr(events), end, state(decoder)


def state(value: Any) -> list[object]:
    """All that `value` holds, in something that can be compared, however deeply it is nested."""
    said: list[object] = []
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, ChatDecoder | SurrogateHalves) or _is_ours(each):
            slots = [name for kind in type(each).__mro__ for name in getattr(kind, "__slots__", ())]
            names = [name for name in slots if name not in HOW_IT_READS]
            said.append(names)
            left += [getattr(each, name) for name in names]
        elif isinstance(each, dict):
            said.append([repr(key) for key in each])
            left += each.values()
        elif isinstance(each, list):
            said.append(len(each))
            left += each
        else:
            said.append(repr(each))
    return said


def _is_ours(value: object) -> bool:
    return type(value).__module__.startswith("pointsman_openai")


# ── cases ────────────────────────────────────────────────────────────────────────────────────────────


def case(rng: random.Random) -> tuple[str, list[bytes]]:
    """A kind of case, and the bytes of its JSON values."""
    kind = rng.choice(("answer", "answer", "embeddings", "stream", "stream"))
    if kind == "stream":
        return kind, _stream(rng)
    value = _answer(rng) if kind == "answer" else _embeddings(rng)
    return kind, [_damaged(value, rng, rng.choice((0, 1, 1, 1, 2, 3)))]


def _stream(rng: random.Random) -> list[bytes]:
    style = rng.choice(("openai", "plain", "vllm"))
    deltas: list[Any] = [_some(rng, {"role": "assistant", "content": ""})]
    like = rng.random() < 0.5  # as most servers: all say the same around their texts
    for _ in range(rng.randint(1, 8)):
        name = "content" if like else rng.choice(("content", "content", "reasoning_content", "reasoning"))
        more = {"role": "assistant", "refusal": None, "content": ""}
        deltas.append({name: _text(rng)} | ({} if like else _some(rng, more)))
    chunks = [_chunk(style, delta, None) for delta in deltas]
    if style == "openai":
        chunks = [each | {"obfuscation": rng.choice(("", "a", "x7Kq", "Z" * 20))} for each in chunks]
    if rng.random() < 0.2:  # some count as they go
        chunks = [each | {"usage": _usage(rng)} for each in chunks]
    chunks.append(_chunk(style, {}, rng.choice(("stop", "length"))))
    if rng.random() < 0.5:
        chunks.append(_chunk(style, {}, None) | {"choices": [], "usage": _usage(rng)})
    damaged = rng.choices(range(len(chunks)), k=rng.choice((0, 1, 1, 2, 3)))
    given = [_damaged(each, rng, damaged.count(n)) for n, each in enumerate(chunks)]
    if rng.random() < 0.9:
        given.append(b"[DONE]")
    return given


def _chunk(style: str, delta: Any, finish: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    if style != "plain":
        choice |= {"logprobs": None}
    more = {"openai": ("service_tier", "system_fingerprint", "usage", "obfuscation"), "vllm": ("usage",)}
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        **{name: None if name == "usage" else "x" for name in more.get(style, ())},
        "choices": [choice | ({"stop_reason": None, "token_ids": None} if style == "vllm" else {})],
    }


def _answer(rng: random.Random) -> dict[str, Any]:
    message = {"role": "assistant", "content": _text(rng)}
    message |= _some(rng, {"refusal": None, "annotations": [], "tool_calls": [], "audio": None})
    message |= _some(rng, {"reasoning": _text(rng), "reasoning_content": rng.choice((None, _text(rng)))})
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": rng.choice(("stop", "stop", "stop", "length", "content_filter", "abort")),
    }
    return {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice | _some(rng, {"logprobs": None, "stop_reason": 7})],
        "usage": _usage(rng),
        **_some(rng, {"service_tier": "x", "system_fingerprint": None, "timings": {"ms": 1.5, "n": 1}}),
    }


def _usage(rng: random.Random) -> dict[str, Any]:
    prompt, completion, cached, reasoning = (rng.choice((0, 1, 7, 10)) for _ in range(4))
    total = prompt + completion + rng.choice((0, 0, reasoning, cached, cached + reasoning))
    details = {
        "prompt_tokens_details": {"cached_tokens": cached, **_some(rng, {"audio_tokens": 0})},
        "completion_tokens_details": {"reasoning_tokens": reasoning, **_some(rng, {"audio_tokens": 0})},
    }
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}
    return counts | _some(rng, details)


def _embeddings(rng: random.Random) -> dict[str, Any]:
    numbers: tuple[Any, ...] = (
        0,
        1,
        -3,
        0.5,
        -0.25,
        1e-9,
        Raw(b"2.0"),
        Raw(b"-0"),
        Raw(b"-0.0"),
        Raw(b"1E-3"),
        2**53 + 1,
    )
    if rng.random() < 0.1:
        numbers += (2**63, -(2**63) - 1, 10**25, Raw(b"1e999"))
    order = rng.choice(((0, 1), (0, 1), (0, 1), (0, 1), (1, 0), (1, 2), (0, 0)))
    data = [
        {"object": "embedding", "index": n, "embedding": [rng.choice(numbers) for _ in range(3)]}
        for n in order
    ]
    return {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 2, "total_tokens": 2}}


def _some(rng: random.Random, members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if rng.random() < 0.4}


def _text(rng: random.Random) -> Any:
    # A copy: what is damaged in one case would be another text in the next.
    return deepcopy(rng.choice(TEXTS if rng.random() < 0.8 else ODD_TEXTS))


@dataclass(frozen=True)
class Raw:
    """What is written as it stands."""

    data: bytes


TEXTS: Sequence[Any] = (
    "x", " word", "Grüße", "日本", "\U0001f600", "\0", "a\u2028b", "\x7f", "x" * 40 + "é", '"\\/', "",
    Raw(rb'"\ud83d\ude00"'), Raw(rb'"\u0041"'),
)  # fmt: skip
ODD_TEXTS: Sequence[Any] = (
    Raw(rb'"\ud83d"'), Raw(rb'"\ude00 x"'), Raw(rb'"a\ud83d"'), Raw(rb'"\x"'), Raw(b'"tab\there"'),
    Raw(b'"\xff"'), Raw(b'"ab\xc3"'), Raw(b'"\xed\xa0\xbd"'), Raw(b'"' + b"x" * 30 + b'\xff"'),
    Raw(b'"' + b"x" * 30 + b'\x01"'), None, 7, [{"type": "text", "text": "x"}],
)  # fmt: skip
PLAIN_VALUES: Sequence[Any] = (None, 0, 7, "x", "", [], {}, 0.5, "stop", "length", {"a": 1})
VALUES: Sequence[Any] = (
    None, True, False, 0, 1, -1, 7, 2**31, 2**63 - 1, 2**63, 2**64, 10**25, 0.5, 1e300,
    Raw(b"3.0"), Raw(b"1e2"), Raw(b"-0"), Raw(b"-0.0"), Raw(b"1e999"), Raw(b"01"), Raw(b"1."), Raw(b".5"),
    Raw(b"+1"), Raw(b"NaN"), Raw(b"Infinity"), Raw(b"1" + b"0" * 400), Raw(b"1" * 5000), Raw(b""),
    "error", "stop", "null", "none", "abort", "tool_calls", "chat.completion", "chat.completion.chunk",
    [], {}, [None], [[]], [""], ["x"], {"a": 1}, {"text": "x"}, [{"text": "x", "type": "text"}],
    [{"index": 0, "id": "t", "function": {"name": "f", "arguments": "{}"}}], {"message": "no", "code": 400},
    {"name": "f", "arguments": {"a": 10**20}}, {"usage": {"prompt_tokens": 9}}, {"prompt_tokens": 4},
    Raw(b"[" * 40 + b"]" * 40), Raw(b"[" * 1100 + b"]" * 1100), Raw(b'{"a":' * 1100 + b"1" + b"}" * 1100),
    Raw(b"[" * 3000), *TEXTS, *ODD_TEXTS,
)  # fmt: skip
NAMES = sorted(
    {
        *MARKS,
        *(name for kind in vars(shapes).values() for name in getattr(kind, "__struct_fields__", ())),
        *(
            "x_groq",
            "extra_content",
            "reasoning_details",
            "prompt_cache_hit_tokens",
            "cached_tokens",
            "status",
        ),
        *(
            "cached_tokens",
            "reasoning_tokens",
            "citations",
            "cost",
            "seed",
            "p",
            "text",
            "arguments",
            "Content",
        ),
    }
)


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────


def _damaged(value: Any, rng: random.Random, times: int) -> bytes:
    """`value` as JSON after so many mutations."""
    in_bytes = 0
    for _ in range(times):
        if rng.random() < 0.2:
            in_bytes += 1
        else:
            _mutate(value, rng)
    data = written(value, rng, odd=rng.random() < 0.15)
    for _ in range(in_bytes):
        data = _damage(data, rng)
    return data


def _mutate(value: Any, rng: random.Random) -> None:
    """Change one place somewhere in `value`."""
    place = rng.choice(list(_containers(value)))
    new = deepcopy(rng.choice(PLAIN_VALUES if rng.random() < 0.5 else VALUES))
    if isinstance(place, list):
        match rng.randrange(4):
            case 0:
                place.append(deepcopy(rng.choice(place)) if place else new)
            case 1 if place:
                place.pop(rng.randrange(len(place)))
            case 2 if place:
                place[rng.randrange(len(place))] = new
            case _:
                place.insert(0, new)
        return
    match rng.randrange(5):
        case 0 if place:
            del place[rng.choice(list(place))]
        case 1 | 2 if place:
            place[rng.choice(list(place))] = new
        case 3:  # the same name once more
            place[_Again(rng.choice(list(place) or NAMES))] = new
        case _:
            place[rng.choice(NAMES)] = new


class _Again(str):
    """A name that stands in its object twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def _containers(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value, *(each for inner in value.values() for each in _containers(inner))]
    if isinstance(value, list):
        return [value, *(each for inner in value for each in _containers(inner))]
    return []


def written(value: Any, rng: random.Random, *, odd: bool) -> bytes:
    """`value` as JSON; an `odd` writer puts blanks where they may stand, escapes names, and has no order."""
    blank = rng.choice((b"", b" ", b"\n\t", b"\r")) if odd else b""
    match value:
        case Raw(data):
            return data
        case dict():
            members = list(value.items())
            if odd:
                rng.shuffle(members)
            pieces = [
                _name(name, rng, odd=odd) + b":" + blank + written(each, rng, odd=odd)
                for name, each in members
            ]
            return b"{" + blank + (b"," + blank).join(pieces) + b"}" + blank
        case list():
            return b"[" + blank + b",".join(written(each, rng, odd=odd) for each in value) + blank + b"]"
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode()


def _name(name: str, rng: random.Random, *, odd: bool) -> bytes:
    if odd and name and rng.random() < 0.2:
        return b'"\\u%04x' % ord(name[0]) + json.dumps(name[1:]).encode()[1:]
    return json.dumps(str(name)).encode()


def _damage(data: bytes, rng: random.Random) -> bytes:
    at = rng.randint(0, len(data))
    match rng.randrange(9):
        case 0:
            return b"\xef\xbb\xbf" + data
        case 1:
            return data[:at]
        case 2:
            return data + rng.choice((b" ", b"\n", b"\0", b"x", b"{}", b"\x0b", b"\xc2\xa0"))
        case 3:
            return rng.choice((b" ", b"\t\r\n", b"\0", b"\x0c")) + data
        case 4:
            return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
        case 5:
            return data[:at] + rng.choice((b"\xff", b"\x00", b"\\", b'"', b",", b"\xf0\x9f\x98")) + data[at:]
        case 6:
            return data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-32-be")))
        case 7:
            return data[:at] + data[at + 1 :]
    return data[:at] + data[max(0, at - rng.randint(0, 30)) :]


if __name__ == "__main__":
    main()
