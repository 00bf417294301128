"""From what is scripted to what is said: every choice of a reply is taken here, by seed."""

import json
import math
from itertools import pairwise
from random import Random

from pointsman_simulator.examples import example
from pointsman_simulator.exchange import Ask, Completion, ToolCall
from pointsman_simulator.script import Reply, Usage

BROKEN_UTF8 = "\uf8ff"
"""Stands in text for the bytes FF FE until the body is rendered."""

_VOCABULARY = (
    "signal track switch lever light station yard depot engine carriage freight siding platform timetable "
    "junction branch main line bridge tunnel cutting whistle brake coupling buffer points rail sleeper "
    "gravel north south east west early late slow fast local express through"
)
_WORDS = _VOCABULARY.split()


def compose(ask: Ask, reply: Reply, *, seed: int, rng: Random) -> Completion:
    """The completion that `reply` stands for.

    Generated text and embeddings depend on seed, model and prompt only, so the same question gets the
    same answer from every upstream of the wire family, streamed or not.

    Args:
        rng: source of chance of this one request, for the latency.
    """
    wait_s = latency(reply, rng)
    if ask.kind == "embeddings":
        return _embeddings(ask, reply, seed, wait_s)
    if ask.kind == "load":
        return Completion(finish="load", wait_s=wait_s)
    tool_calls = _tool_calls(ask, reply, seed)
    text, finish = _text(ask, reply, tool_calls, seed)
    text, stopped_by = _stopped(text, ask.stop)
    if stopped_by:
        finish = "stop"
    pieces = _pieces(text, reply, whole=not stopped_by)
    reasoning = words(reply.reasoning) if reply.reasoning else ()
    usage = None if reply.omit_usage else reply.usage or _count(ask, text, reply.reasoning or "", tool_calls)
    events = len(pieces) + len(reasoning) + len(tool_calls)
    return Completion(
        pieces=pieces,
        reasoning=reasoning,
        tool_calls=tool_calls,
        finish=reply.finish_reason or finish,
        stopped_by=stopped_by,
        usage=usage,
        wait_s=wait_s,
        eval_s=events / reply.tokens_per_second if reply.tokens_per_second else 0.0,
    )


def latency(reply: Reply, rng: Random) -> float:
    """Seconds before the first byte."""
    if isinstance(reply.latency, int | float):
        return float(reply.latency)
    if reply.latency is None:
        return 0.0
    low, high = reply.latency
    return rng.uniform(low, high)


def words(text: str) -> tuple[str, ...]:
    """`text` cut before each space; the pieces joined give `text` again."""
    if not text:
        return ()
    first, *rest = text.split(" ")
    pieces = tuple(" " + word for word in rest)
    return (first, *pieces) if first else pieces


def cut(text: str, n: int) -> tuple[str, ...]:
    """`text` in at most `n` pieces of nearly the same length, none of them empty."""
    n = max(1, min(n, len(text)))
    marks = [len(text) * i // n for i in range(n + 1)]
    return tuple(text[a:b] for a, b in pairwise(marks) if a < b)


def vector(text: str, *, model: str, dim: int, seed: int) -> tuple[float, ...]:
    """`dim` floats of length 1, the same for the same text, model and seed."""
    rng = Random(f"{seed}\0{model}\0{text}")  # noqa: S311 - a simulation, not a secret
    values = [rng.gauss(0.0, 1.0) for _ in range(dim)]
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return tuple(round(value / length, 6) for value in values)


def _embeddings(ask: Ask, reply: Reply, seed: int, wait_s: float) -> Completion:
    dim = ask.dimensions or reply.dim
    vectors = tuple(vector(text, model=ask.model, dim=dim, seed=seed) for text in ask.inputs)
    counted = Usage(sum(len(text.split()) for text in ask.inputs), 0)
    usage = None if reply.omit_usage else reply.usage or counted
    return Completion(vectors=vectors, usage=usage, wait_s=wait_s)


def _text(ask: Ask, reply: Reply, tool_calls: tuple[ToolCall, ...], seed: int) -> tuple[str, str]:
    fault = reply.fault
    ends = "tool_calls" if tool_calls else "stop"
    if fault is not None and fault.name == "giant_line":
        return "x" * fault.size, ends
    if isinstance(reply.chunks, tuple):
        return "".join(reply.chunks), ends
    if reply.text is not None:
        return reply.text, ends
    if tool_calls:
        return "", ends
    rng = Random(f"{seed}\0{ask.model}\0{ask.prompt}")  # noqa: S311 - a simulation, not a secret
    if ask.schema is not None:
        return _structured(ask, rng)
    chosen = rng.choices(_WORDS, k=rng.randint(8, 24))
    if ask.max_tokens is not None and 0 <= ask.max_tokens < len(chosen):
        return " ".join(chosen[: ask.max_tokens]).capitalize(), "length"
    return " ".join(chosen).capitalize() + ".", ends


def _structured(ask: Ask, rng: Random) -> tuple[str, str]:
    """JSON of the schema that is asked for; cut where it has more words than it may have."""
    assert ask.schema is not None
    text = json.dumps(example(ask.schema or {"type": "object"}, rng), ensure_ascii=False)
    pieces = words(text)
    if ask.max_tokens is not None and 0 <= ask.max_tokens < len(pieces):
        return "".join(pieces[: ask.max_tokens]), "length"
    return text, "stop"


def _stopped(text: str, stop: tuple[str, ...]) -> tuple[str, str]:
    """`text` up to the first of `stop` in it, and which one that was."""
    found = [(at, each) for each in stop if each and (at := text.find(each)) >= 0]
    if not found:
        return text, ""
    at, each = min(found)
    return text[:at], each


def _pieces(text: str, reply: Reply, *, whole: bool) -> tuple[str, ...]:
    if isinstance(reply.chunks, tuple) and whole:
        pieces = reply.chunks
    elif isinstance(reply.chunks, int):
        pieces = cut(text, reply.chunks)
    elif reply.fault is not None and reply.fault.name == "giant_line":
        pieces = (text,)
    else:
        pieces = words(text)
    if reply.fault is not None and reply.fault.name == "invalid_utf8":
        first, *rest = pieces or ("",)
        pieces = (first + BROKEN_UTF8, *rest)
    return pieces


def _count(ask: Ask, text: str, reasoning: str, tool_calls: tuple[ToolCall, ...]) -> Usage:
    thought = len(reasoning.split())
    said = len(text.split()) + 4 * len(tool_calls)
    return Usage(len(ask.prompt.split()), thought + said, reasoning=thought)


def _tool_calls(ask: Ask, reply: Reply, seed: int) -> tuple[ToolCall, ...]:
    if reply.tool_calls:
        return tuple(ToolCall(name, arguments) for name, arguments in reply.tool_calls)
    schemas = dict(ask.tools)
    unscripted = reply.text is None and reply.chunks is None
    name = ask.forced if ask.forced in schemas and unscripted else next(iter(schemas), "")
    if not name or not (reply.call_first_tool or (name == ask.forced and unscripted)):
        return ()
    rng = Random(f"{seed}\0{name}\0{ask.prompt}")  # noqa: S311 - a simulation, not a secret
    arguments = example(schemas[name], rng)
    return (ToolCall(name, arguments if isinstance(arguments, dict) else {}),)
