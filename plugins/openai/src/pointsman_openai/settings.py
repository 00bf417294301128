"""What a configuration may say about a provider of type `openai`."""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

MaxTokensField = Literal["auto", "max_tokens", "max_completion_tokens"]
SystemRole = Literal["auto", "system", "developer"]
ReasoningField = Literal["none", "reasoning", "reasoning_content"]
RepeatPenaltyField = Literal["repetition_penalty", "repeat_penalty"]
SeedField = Literal["seed", "random_seed"]
ToolCallIds = Literal["as_given", "nine_characters"]
Feature = Literal[
    "temperature",
    "top_p",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "tools",
    "named_tool",
    "parallel_tool_calls",
    "response_format",
    "json_schema",
    "reasoning_effort",
    "images",
    "files",
    "audio",
    "names",
]


class WireSettings(BaseModel):
    """How requests are written; a deployment's `options` may say the same, and then they win."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    max_tokens_field: MaxTokensField = Field(
        default="auto",
        description="the field that carries max_tokens; auto: max_completion_tokens at api.openai.com and "
        "for the o-series and gpt-5 and later anywhere, max_tokens otherwise",
    )
    system_role: SystemRole = Field(
        default="auto",
        description="the role of system messages; auto: developer for the o-series and gpt-5 and later at "
        "api.openai.com, system otherwise",
    )
    include_usage: bool = Field(
        default=True,
        description="ask for the token counts of streams (stream_options); those that a caller did not ask "
        "for himself are taken out again",
    )
    extra_sampling: bool = Field(
        default=False,
        description="send top_k, min_p and repeat_penalty, which many compatible servers take and OpenAI "
        "does not; when false, requests that have them are refused",
    )
    repeat_penalty_field: RepeatPenaltyField = Field(
        default="repetition_penalty",
        description="the field that carries repeat_penalty: repetition_penalty (vLLM, SGLang, OpenRouter) "
        "or repeat_penalty (llama.cpp)",
    )
    reasoning_field: ReasoningField = Field(
        default="none",
        description="the field in which an assistant's earlier reasoning text goes back; none: it stays here",
    )
    seed_field: SeedField = Field(
        default="seed", description="the field that carries seed: seed, or random_seed (Mistral)"
    )
    tool_call_ids: ToolCallIds = Field(
        default="as_given",
        description="ids of earlier calls of tools: as_given, or nine_characters for servers that take no "
        "others (Mistral), so that those of another server are replaced by short ones made of them",
    )
    send_labels: bool = Field(
        default=True,
        description="send user and metadata, which change no answer; false for servers that refuse them",
    )
    unsupported: tuple[Feature, ...] = Field(
        default=(),
        description="what the model cannot do; chats that ask for it are refused before the call, so that "
        "another deployment can take them",
    )


class OpenAISettings(WireSettings):
    """Settings of a provider of type `openai`."""

    organization: str | None = Field(default=None, description="sent as OpenAI-Organization")
    project: str | None = Field(default=None, description="sent as OpenAI-Project")
    key_header: Literal["authorization", "api-key", "x-api-key"] = Field(
        default="authorization",
        description="where the credential goes: `Authorization: Bearer …`, or bare in another header (Azure)",
    )
    responses: bool | None = Field(
        default=None,
        description="whether the server has the Responses API, so that requests in it go there as they came; "
        "by default only api.openai.com",
    )
    relayed: bool = Field(
        default=True,
        description="whether requests that the gateway's callers wrote in this API go on as they wrote them; "
        "false for servers that refuse fields which they do not know: then they are written anew",
    )
    stream_underneath: bool = Field(
        default=False,
        description="ask for whole chats as streams, too, and put them together: for servers such as "
        "llama.cpp's, which notice a client that is gone only when they send it a token",
    )
