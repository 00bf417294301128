"""The options of each kind of call, for type checkers. At run time whoever asks for the names imports this.

What stands here is what callers may write, of which the fields of requests and of `CallOptions` are made.
None, where it is allowed, says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from pointsman.original import Original
from pointsman.requests.call_options import CallOptions, Priority, Tags
from pointsman.types import Image, JsonObject, ReasoningEffort, ResponseFormat, Tool, ToolChoice

Label = str | bool | int | float
"""The value of a label; True is `true`, as in YAML."""


class _AnyOptions(TypedDict, total=False):
    """Of every call: how it is to be treated, and what the provider alone knows."""

    timeout: float | None
    first_token_timeout: float | None
    idle_timeout: float | None
    priority: Priority
    caller: str
    request_id: str
    tags: Tags
    require: Mapping[str, Label | Collection[Label]]
    affinity: str
    original: Original | None
    fallbacks: Sequence[str] | None
    strategy: str
    call_options: CallOptions
    extra: JsonObject | None


class _TextOptions(_AnyOptions, total=False):
    """Of the calls that a text answers."""

    temperature: float | None
    top_p: float | None
    top_k: int | None
    max_tokens: int | None
    stop: str | Iterable[str] | None
    seed: int | None
    presence_penalty: float | None
    frequency_penalty: float | None
    reasoning_effort: ReasoningEffort | None
    response_format: ResponseFormat | str | type | JsonObject | None


class ChatOptions(_TextOptions, total=False):
    """What `chat` and `stream` take beside the model and the messages.

    Attributes:
        call_options: a complete CallOptions in place of all those that it has.
    """

    tools: Iterable[Tool | Callable[..., Any] | JsonObject] | None
    tool_choice: ToolChoice | str | JsonObject | None
    parallel_tool_calls: bool | None
    min_p: float | None
    repeat_penalty: float | None
    logit_bias: Mapping[str, float] | None
    logprobs: bool | None
    top_logprobs: int | None
    user: str | None
    metadata: Mapping[str, str | int | float | None] | None


class GenerateOptions(_TextOptions, total=False):
    """What `generate` takes beside the model and the prompt.

    Attributes:
        call_options: a complete CallOptions in place of all those that it has.
    """

    suffix: str | None
    system: str | None
    images: Iterable[Image] | None


class EmbedOptions(_AnyOptions, total=False):
    """What `embed` takes beside the model and the texts.

    Attributes:
        call_options: a complete CallOptions in place of all those that it has.
    """

    dimensions: int | None
