"""How many tokens a request will take, estimated before it is sent."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from math import ceil, log2
from typing import Any

from pointsman.text_messages import TextMessages
from pointsman.types import (
    Audio,
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    File,
    GenerateRequest,
    Message,
    Request,
    Text,
)

DEFAULT_OUTPUT = 1_024
"""Tokens that an answer is taken to have before any was seen."""

MESSAGE_TOKENS = 4

IMAGE_TOKENS = 1_000

FILE_TOKENS = 5_000

_AUDIO_BYTES_PER_TOKEN = 1_600

_BUCKETS = 160

_A_FEW = 20

_MOST_CHARACTERS = 8  # of one token, in ordinary text of whatever language; mostly there are 4 or fewer

_SAMPLE = 4_096  # characters; of longer texts every n-th is looked at


class Estimator:
    """What to reserve for a call of one model: its input, and the output that 19 of 20 answers stay below.

    Lengths are counted in buckets that grow by a fifth, and rounded up to the end of their bucket. Older
    answers fade: every `memory` answers all counts are halved.

    Args:
        default: tokens of an answer, until 20 were seen; a longer one that was seen counts instead.
    """

    __slots__ = ("_counts", "_largest", "_memory", "_seen", "default", "output")

    def __init__(self, *, default: int = DEFAULT_OUTPUT, memory: int = 1_000) -> None:
        self.default = default
        self.output = default
        self._memory = memory
        self._counts = defaultdict[int, float](float)  # of the buckets that were met: mostly a few
        self._largest = 0
        self._seen = 0

    def estimate(self, request: Request) -> int:
        """Tokens to reserve: the input, and the lesser of what may come and what usually comes at most."""
        tokens = input_estimate(request)
        # The first question is the cheap one: `isinstance` takes 1,000 instructions to say no.
        if type(request) is not ChatRequest and isinstance(request, EmbedRequest):
            return tokens
        limit = request.max_tokens
        return tokens + (self.output if limit is None else min(limit, self.output))

    @property
    def is_usual(self) -> bool:
        """Whether so many answers were seen that `output` is what is usual, and not the longest of a few."""
        return self._seen >= _A_FEW

    def observe(self, output_tokens: int) -> None:
        """An answer had `output_tokens`, reasoning included."""
        bucket = int(4 * log2(output_tokens)) if output_tokens > 1 else 0
        self._counts[bucket if bucket < _BUCKETS else _BUCKETS - 1] += 1
        self._seen = seen = self._seen + 1
        if seen < _A_FEW:
            self._largest = max(self._largest, output_tokens)
            self.output = max(self.default, self._largest)
            return
        if seen % self._memory == 0:
            for each in self._counts:
                self._counts[each] /= 2
        if seen % 16 == 4:  # at the twentieth and every 16 after: looking it up costs more than counting
            self.output = self._p95()

    def go_on(self, old: Estimator) -> None:
        """Know what `old` has learnt of the answers of the same model."""
        self._counts = old._counts.copy()
        self._largest, self._seen, self.output = old._largest, old._seen, old.output

    def _p95(self) -> int:
        from_above = sorted(self._counts, reverse=True)
        sums = list(accumulate(map(self._counts.__getitem__, from_above)))
        bucket = from_above[bisect_right(sums, sums[-1] * 0.05)]
        return ceil(2 ** ((bucket + 1) / 4))


class PromptedEstimator(Estimator):
    """The same where the configuration puts so many tokens around every prompt.

    A class of its own, so that no other model pays for the sum.
    """

    __slots__ = ("added",)

    def __init__(self, added: int) -> None:
        super().__init__()
        self.added = added

    def estimate(self, request: Request) -> int:
        tokens = super().estimate(request)
        return tokens if isinstance(request, EmbedRequest) else tokens + self.added


def input_estimate(request: Request) -> int:
    """About how many tokens the input of `request` has.

    From the number of characters, without a tokenizer: four characters of plain Latin text make a token,
    about two of Greek or Cyrillic, one and a half of Chinese, Japanese or Korean. Pictures and files count
    the same whatever is in them.
    """
    if isinstance(request, ChatRequest):
        tokens = _of_messages(request.messages)
        for tool in request.tools:
            tokens += 10 + _of_text(tool.name) + _of_text(tool.description) + _of_json(tool.parameters)
    elif isinstance(request, GenerateRequest):
        tokens = _of_text(request.prompt) + IMAGE_TOKENS * len(request.images)
        tokens += _of_text(request.suffix or "") + _of_text(request.system or "")
    else:
        return ceil(sum(1 + _of_text(text) for text in request.texts))
    if request.response_format is not None and request.response_format.schema is not None:
        tokens += _of_json(request.response_format.schema)
    return ceil(tokens)


def output_estimate(answer: ChatResponse) -> int:
    """About how many tokens an answer has, as far as it is there; reasoning that is not shown is left out."""
    texts = [answer.text, answer.reasoning or "", answer.refusal or ""]
    for each in answer.tool_calls:
        texts += each.name, each.arguments
    return ceil(sum(map(_of_text, texts)))


def least_tokens(request: Request) -> int:
    """Tokens that a request takes at least: its text at 8 characters each.

    Pictures, sounds, files and tools are left out, for nobody knows what an upstream makes of them. Of what
    is embedded the longest text counts: each has the window to itself.
    """
    if isinstance(request, EmbedRequest):
        length = max(map(len, request.texts), default=0)
    elif isinstance(request, GenerateRequest):
        length = len(request.prompt) + len(request.system or "")
    elif isinstance(request.messages, TextMessages):
        length = sum(map(len, request.messages.texts))
    else:
        length = sum(map(_text_length, request.messages))
    return length // _MOST_CHARACTERS


def _text_length(message: Message) -> int:
    content = message.content
    if isinstance(content, str):
        return len(content)
    return sum(len(part.text) for part in content if isinstance(part, Text))


def _of_messages(messages: Sequence[Message]) -> float:
    if isinstance(messages, TextMessages):
        whole = "".join(messages.texts)
        if whole.isascii():  # a quarter of a token is exact, so that it does not matter how they are added up
            return MESSAGE_TOKENS * len(messages.texts) + len(whole) / 4
        tokens = 0.0
        for text in messages.texts:
            tokens += MESSAGE_TOKENS + _of_text(text)
        return tokens
    tokens = 0.0
    for each in messages:
        content = each.content
        if (
            type(content) is str
            and content.isascii()
            and not (each.tool_calls or each.reasoning or each.reasoning_blocks)
        ):
            tokens += MESSAGE_TOKENS + len(content) / 4  # as `_of_message` has it, without two calls
        else:
            tokens += _of_message(each)
    return tokens


def _of_message(message: Message) -> float:
    tokens = float(MESSAGE_TOKENS)
    content = message.content
    if isinstance(content, str):
        tokens += _of_text(content)
    else:
        for part in content:
            if isinstance(part, Text):
                tokens += _of_text(part.text)
            elif isinstance(part, Audio):
                tokens += _bytes_of(part) / _AUDIO_BYTES_PER_TOKEN
            elif isinstance(part, File):
                tokens += _of_file(part)
            else:
                tokens += IMAGE_TOKENS
    for call in message.tool_calls:
        tokens += MESSAGE_TOKENS + _of_text(call.name) + _of_text(call.arguments)
    if message.reasoning_blocks:
        tokens += _of_json(message.reasoning_blocks)
    elif message.reasoning:
        tokens += _of_text(message.reasoning)
    return tokens


def _of_file(file: File) -> float:
    carried = _bytes_of(file)
    return carried / 4 if carried and file.media_type.startswith("text/") else FILE_TOKENS


def _bytes_of(part: File | Audio) -> float:
    """How much a part carries itself, also when that stayed base64."""
    if part.url is not None and part.url[:5].lower() == "data:":
        return len(part.url) * 3 / 4
    return len(part.data or b"")


def _of_text(text: str) -> float:
    length = len(text)
    if text.isascii():  # a flag of the string: nothing is read
        return length / 4
    step = 1 + length // _SAMPLE
    sample = text[::step]
    # In UTF-8 the scripts that take more tokens per character take more bytes too.
    beyond_ascii = len(sample.encode("utf-8", "surrogatepass")) - len(sample)
    return length / 4 + 0.21 * beyond_ascii * step


def _of_json(value: Mapping[str, Any] | Iterable[Any]) -> float:
    # As Python writes it, which is about as long as JSON and needs no encoder.
    return _of_text(repr(value))
