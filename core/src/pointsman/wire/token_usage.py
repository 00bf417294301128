"""What an upstream says of the tokens that a call used, and how much of it is believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pointsman.types import ChatResponse, EmbedRequest, File, Image, Request, Usage

LONGEST_ANSWER = 1 << 18
"""Tokens that an answer has at most, reasoning included, when the request does not bound it."""
LARGEST_CALL = 1 << 24
"""Tokens of a prompt and its answer that no model has room for."""
_PART = 1 << 14
"""Tokens that a picture has at most, and what an answer may have beyond `max_tokens`."""
_AROUND = 1 << 10
"""Tokens that an upstream may put around a prompt."""


def unsound(usage: object) -> str | None:
    """What is wrong with `usage`, which a plugin gave, as the end of a sentence; None when nothing is."""
    if not isinstance(usage, Usage):
        return f"is a {type(usage).__name__}, expected a Usage"
    tier: object = usage.service_tier
    if tier is not None and type(tier) is not str:
        return f"names its service tier by a {type(tier).__name__}, expected a str"
    written = usage.cache_write, usage.cache_write_hour
    counts = usage.prompt, usage.completion, usage.cached, usage.reasoning, *written
    for each in counts:
        if each is not None and type(each) is not int:  # exactly, for `True` is an int
            break
    else:
        return None
    kinds = {type(each).__name__ for each in counts if each is not None and type(each) is not int}
    return f"counts in {' and '.join(sorted(kinds))}, expected int"


def believed(usage: Usage, answer: object) -> Usage:
    """`usage` with None in place of a 0 that cannot be: for a prompt, and for an answer that says something.

    Else an upstream that counts nothing would be called for nothing, whatever budgets and limits allow.
    """
    if usage.prompt == 0:
        usage = replace(usage, prompt=None)
    says_something = isinstance(answer, ChatResponse) and (
        answer.text or answer.tool_calls or answer.reasoning
    )
    return replace(usage, completion=None) if usage.completion == 0 and says_something else usage


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


def chargeable(usage: Usage, request: Request) -> Usage:
    """What of `usage` is paid for: all of it, but for counts that no model reaches.

    In their place is what `request` could cost. Below that the upstream's word stands, for it counts what
    `request` does not show: what its own tools found, what it remembers of the conversation.
    """
    if usage.completion is None and isinstance(request, EmbedRequest):
        usage = replace(usage, completion=0)  # nothing is written, and hardly any upstream says so
    prompt, completion = usage.prompt or 0, usage.completion or 0
    if prompt + completion <= LARGEST_CALL:
        return usage
    bounded = plausible(usage, request)
    if prompt > LARGEST_CALL:
        usage = replace(usage, prompt=bounded.prompt)
    return replace(usage, completion=bounded.completion) if completion > LARGEST_CALL else usage


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
