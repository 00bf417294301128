"""What a configuration may say about a provider of type `localai`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from pointsman_openai.settings import Feature


class LocalAIOptions(BaseModel):
    """What a deployment's `options` may say otherwise than the settings of its provider."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    strict_tools: Literal["refuse", "drop"] = Field(
        default="refuse",
        description="what to do with tools that demand strict arguments, which LocalAI does not read: refuse "
        "the request, so that another deployment can take it, or drop the demand",
    )
    include_usage: bool = Field(
        default=True, description="ask for the token counts of streams (stream_options)"
    )
    unsupported: tuple[Feature, ...] = Field(
        default=(),
        description="what the model cannot do; chats that ask for it are refused before the call, so that "
        "another deployment can take them",
    )


class LocalAISettings(LocalAIOptions):
    """Settings of a provider of type `localai`."""

    stream_underneath: bool = Field(
        default=True,
        description="ask for whole chats as streams, too, and put them together, so that the server stops "
        "with the next token when the caller is gone, and not with the whole answer",
    )
