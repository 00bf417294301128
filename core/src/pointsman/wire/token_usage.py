"""What an upstream says of the tokens that a call used, and how much of it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pointsman.types import EmbedRequest, File, Image, Request, Usage

LONGEST_ANSWER = 1 << 18
"""Tokens that an answer has at most, reasoning included, when the request does not bound it."""
_PART = 1 << 14
"""Tokens that a picture has at most, and what an answer may have beyond `max_tokens`."""
_AROUND = 1 << 10
"""Tokens that an upstream may put around a prompt."""


def unsound(usage: object) -> str | None:
    """What is wrong with `usage`, which a plugin gave, as the end of a sentence; None when nothing is."""
    if not isinstance(usage, Usage):
        return f"is a {type(usage).__name__}, expected a Usage"
    counts = usage.prompt, usage.completion, usage.cached, usage.cache_write, usage.reasoning
    for each in counts:
        if each is not None and type(each) is not int:  # exactly, for `True` is an int
            break
    else:
        return None
    kinds = {type(each).__name__ for each in counts if each is not None and type(each) is not int}
    return f"counts in {' and '.join(sorted(kinds))}, expected int"


def plausible(usage: Usage, request: Request) -> Usage:
    """Prompt and completion of `usage`, neither below 0 nor above what `request` could cost.

    No tokenizer makes more tokens than the text has bytes in UTF-8.
    """
    prompt, completion = usage.prompt or 0, usage.completion or 0
    most = LONGEST_ANSWER
    if isinstance(request, EmbedRequest):
        most = 0
    elif request.max_tokens is not None:
        most = min(most, request.max_tokens + _PART)
    if prompt > _AROUND:
        prompt = min(prompt, _AROUND + sum(_sizes(request)))
    return Usage(max(0, prompt), max(0, min(completion, most)))


def _sizes(value: object) -> Iterator[int]:
    """The most tokens that each piece of `value` can be."""
    if isinstance(value, str):
        yield 8 + len(value.encode("utf-8", "surrogatepass"))
    elif isinstance(value, bytes):
        yield _PART + len(value)
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from _sizes(name)
            yield from _sizes(each)
    elif isinstance(value, Sequence):
        for each in value:
            yield from _sizes(each)
    elif isinstance(value, Struct):
        if isinstance(value, Image | File):
            yield _PART
        for name in value.__struct_fields__:
            yield from _sizes(getattr(value, name))
    else:
        yield 8
