"""The usual answers of the wire as types, read straight from their bytes. Pure: no I/O.

Usual is what is declared here and nothing else. An error, tool calls, a second choice, a member that nobody
declared, a value of another type: all these a decoder refuses, and `answers` and `decode` read the same bytes
with care. What they would make of a usual answer is what is made of it here, so a member may be declared only
if they make nothing of it, whatever its value, or if it is put here where they put it. Nothing is declared
whose value is skipped unread (`Any`, `Raw`): the decoder would let bytes pass that are no UTF-8, and nesting
that is too deep.
"""

# The annotations are not put off as elsewhere: msgspec would have to compile each of them, from its text.
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct
from msgspec.json import Decoder

from pointsman.plugin import (
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    StreamEvent,
    TextDelta,
    Undecoded,
    Usage,
    jsonio,
)
from pointsman_openai import vectors
from pointsman_openai.usage import counted, served

_UNUSUAL = (ValueError, RecursionError)
"""What a decoder raises for what is not declared, and for what is no JSON at all."""

_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
_Number = int | float | None
_Empty = tuple[()] | None
_Word = str | None


class _Usual(Struct, gc=False, forbid_unknown_fields=True):
    """Members in the order in which servers write them: that is how they are found fastest."""


class _PromptDetails(_Usual):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    audio_tokens: _Number = None
    text_tokens: _Number = None
    image_tokens: _Number = None


class _CompletionDetails(_Usual):
    reasoning_tokens: _Count | None = None
    audio_tokens: _Number = None
    text_tokens: _Number = None
    accepted_prediction_tokens: _Number = None
    rejected_prediction_tokens: _Number = None


class _Tokens(_Usual):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


# ── whole answers ────────────────────────────────────────────────────────────────────────────────────


class _Message(_Usual, kw_only=True):
    role: _Word = None
    content: str
    reasoning_content: _Word = None
    reasoning: _Word = None
    refusal: None = None
    annotations: _Empty = None
    audio: None = None
    function_call: None = None
    tool_calls: _Empty = None


class _Choice(_Usual, kw_only=True):
    index: Literal[0] | None = None
    message: _Message
    logprobs: None = None
    finish_reason: Literal["stop", "length", "content_filter"]
    """These three are our words, too."""
    native_finish_reason: _Word = None
    stop_reason: int | str | None = None
    token_ids: None = None


class _Answer(_Usual, kw_only=True):
    id: _Word = None
    object: Literal["chat.completion"] | None = None
    created: _Number = None
    model: _Word = None
    choices: tuple[_Choice]
    usage: _Tokens | None = None
    service_tier: _Word = None
    system_fingerprint: _Word = None
    provider: _Word = None
    request_id: _Word = None
    timings: dict[str, float | int] | None = None
    prompt_logprobs: None = None
    prompt_token_ids: None = None
    kv_transfer_params: None = None


_read_answer = Decoder(_Answer).decode


def chat_response(content: bytes, *, request_id: str) -> ChatResponse | None:
    """The usual answer of POST /chat/completions, None for any other."""
    try:
        answer = _read_answer(content)
    except _UNUSUAL:
        return None
    choice = answer.choices[0]
    message = choice.message
    return ChatResponse(
        message.content,
        (),
        choice.finish_reason,
        _usage_of(answer.usage, answer.service_tier),
        answer.model or "",
        answer.id or "",
        message.reasoning_content or message.reasoning or None,
        (),
        None,
        choice.finish_reason,
        request_id,
        Undecoded(content),
    )


def _usage_of(tokens: _Tokens | None, tier: str | None) -> Usage:
    if tokens is None:
        return Usage()
    if tier is not None and tier != "default":
        return served(_usage_of(tokens, None), tier)
    cached = cache_write = reasoning = None
    if (details := tokens.prompt_tokens_details) is not None:
        cached, cache_write = details.cached_tokens, details.cache_write_tokens
    if (more := tokens.completion_tokens_details) is not None:
        reasoning = more.reasoning_tokens
    prompt, completion = tokens.prompt_tokens, tokens.completion_tokens
    if cached or reasoning:
        return counted(prompt, completion, cached, cache_write, reasoning, tokens.total_tokens)
    return Usage(prompt, completion, cached, cache_write, reasoning)


# ── chunks ───────────────────────────────────────────────────────────────────────────────────────────


class Delta(_Usual):
    """What the usual chunk adds to the answer."""

    role: _Word = None
    content: _Word = None
    reasoning_content: _Word = None
    reasoning: _Word = None
    refusal: None = None
    tool_calls: _Empty = None
    function_call: None = None


class _ChunkChoice(_Usual, kw_only=True):
    index: Literal[0] | None = None
    delta: Delta
    logprobs: None = None
    finish_reason: Literal[""] | None = None
    native_finish_reason: _Word = None
    stop_reason: None = None
    token_ids: None = None


class _Chunk(_Usual, kw_only=True):
    id: _Word = None
    object: Literal["chat.completion.chunk"] | None = None
    created: _Number = None
    model: _Word = None
    service_tier: _Word = None
    system_fingerprint: _Word = None
    choices: tuple[_ChunkChoice]
    usage: None = None
    provider: _Word = None
    obfuscation: _Word = None


_read_chunk = Decoder(_Chunk).decode


def delta_of(data: bytes) -> Delta | None:
    """What the usual chunk adds to an answer that has begun; None for any other chunk."""
    try:
        return _read_chunk(data).choices[0].delta
    except _UNUSUAL:
        return None


_read_text = Decoder(str).decode


class Alike:
    """Chunks that differ from one before them in nothing but their text, which is the `member` of them.

    Nearly all chunks of an answer do, and say the same two hundred bytes around a word: where a chunk begins
    and ends as that one did, and has one JSON string in between, it says what that one said, with this text.
    So it takes a fifth of what it takes to read all of it.
    """

    __slots__ = ("_around", "_in_vain", "_name")

    def __init__(self, member: str = "content") -> None:
        self._name = f'"{member}"'.encode()
        self._around: tuple[bytes, bytes, int, int, bool] | None = None
        """What stands before the text and after it, where it begins and ends, whether there is padding."""
        self._in_vain = 0

    def learn(self, data: bytes, text: str) -> None:
        """Take `data`, a chunk that says `text` and nothing else, for what the next ones are like."""
        if self._in_vain >= _PATIENCE:
            return
        self._in_vain += 1
        before, name, said = data.partition(self._name + b":")
        space, literal, after = said.partition(jsonio.dumps(text))
        # Names come once, and are written plainly: then nothing but this text can be the chunk's.
        if not literal or space.strip() or self._name in after or b"\\" in before or b"\\" in after:
            return
        before += name
        padded = _PADDED.search(after)
        if padded is not None:
            after = after[: padded.end(1)]
        self._around = before, after, len(before), -len(after), padded is not None

    def take(
        self,
        chunks: Iterator[bytes],
        events: list[StreamEvent],
        told: Callable[[str], StreamEvent] = TextDelta,
    ) -> bytes | None:
        """Add what `told` makes of the texts of the next `chunks`, up to the first that is not alike: it.

        None when there is none.
        """
        if self._around is None:
            return next(chunks, None)
        before, after, start, stop, padded = self._around
        for data in chunks:
            said = data
            if padded:
                said = data[: data.rfind(b'"', 0, -2) + 1]
                if _PADDING.fullmatch(data, len(said)) is None:
                    return data
            # Not `startswith` and `endswith`: a slice takes a third of such a call.
            if said[:start] != before or said[stop:] != after:
                return data
            try:
                text = _read_text(said[start:stop])
            except _UNUSUAL:
                return data
            self._in_vain = 0
            if text:
                events.append(told(text))
        return None


_PATIENCE = 4
"""Chunks to which none was alike."""
_PADDED = re.compile(rb'("obfuscation":")\w*"\}\Z')
"""Letters with which api.openai.com ends each chunk, for its length to tell nothing of its text."""
_PADDING = re.compile(rb'\w*"\}')


# ── embeddings ───────────────────────────────────────────────────────────────────────────────────────


class _Embedding(_Usual, kw_only=True):
    object: _Word = None
    index: int
    embedding: list[float | Annotated[int, Meta(ge=-(1 << 63), le=(1 << 63) - 1)]]


class _Embeddings(_Usual, kw_only=True):
    object: Literal["list"] | None = None
    data: list[_Embedding]
    model: _Word = None
    usage: _Tokens | None = None
    id: _Word = None
    created: _Number = None


_read_embeddings = Decoder(_Embeddings).decode


def embed_response(content: bytes, request: EmbedRequest, *, request_id: str) -> EmbedResponse | None:
    """The usual answer of POST /embeddings, in order and of the dimensions asked for; None for any other."""
    if vectors.kind_asked(request.extra) != "float":
        return None
    try:
        answer = _read_embeddings(content)
    except _UNUSUAL:
        return None
    found = [each.embedding for each in answer.data]
    if [each.index for each in answer.data] != list(range(len(request.texts))):
        return None
    lengths = set(map(len, found))
    if len(lengths) != 1 or 0 in lengths or request.dimensions not in (None, *lengths):
        return None
    return EmbedResponse(
        found, _usage_of(answer.usage, None), answer.model or "", request_id, Undecoded(content)
    )
