"""What a configuration may say about a provider of type `ollama`, beyond what all types have."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt

_GO_DURATION = re.compile(r"[+-]?(?:0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+)", re.ASCII)


def _checked_keep_alive(value: int | float | str) -> int | float | str:
    if isinstance(value, str) and not _GO_DURATION.fullmatch(value):
        raise ValueError("expected a duration such as '10m' or '1h30m', seconds as a number, or -1 for ever")
    return value


KeepAlive = Annotated[StrictInt | StrictFloat | str, AfterValidator(_checked_keep_alive)]
Think = StrictBool | Literal["low", "medium", "high", "max"]


class OllamaSettings(BaseModel):
    """Defaults for every call; a deployment's `options` and then the request itself come before them."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    keep_alive: KeepAlive | None = Field(
        default=None,
        description="how long a model stays loaded after a call: `10m`, seconds, 0 to unload, -1 for ever",
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="load-time and sampling options, as Ollama names them: `num_ctx`, `num_gpu`, `top_k` …",
    )
    think: Think | None = Field(
        default=None,
        description="let models think (true, false or a level); unset, Ollama lets those think that can",
    )
    stream_underneath: bool = Field(
        default=True,
        description="ask for whole answers as streams, too, and put them together, so that the server stops "
        "with the next token when the caller is gone, and not with the whole answer",
    )
