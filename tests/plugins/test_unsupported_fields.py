"""What providers cannot do is told with the fields of the request that ask for it."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman import Router
from pointsman.errors import Unsupported
from pointsman.plugin import PointsmanSpec, TransportFactory, hookimpl
from pointsman.testing import ReplayTransport, run
from pointsman.types import Audio, Image, Message, Text

TOOLS = [{"name": "f", "parameters": {"type": "object", "properties": {}}}]


class Canned(PointsmanSpec):
    @hookimpl
    def pointsman_transports(self) -> Any:
        return [TransportFactory("canned", None, lambda _context: ReplayTransport())]


def refused(
    provider: dict[str, Any], method: str = "chat", said: Any = "hi", **options: Any
) -> tuple[str, ...]:
    """The fields that it is about that this provider cannot do this."""
    given = {
        "providers": {
            "p": {"base_url": "http://127.0.0.1:1", "transport": "canned", "api_key": "k" * 20, **provider}
        },
        "models": {"m": {"deployments": ["p/x"]}},
    }

    async def main() -> tuple[str, ...]:
        async with Router.from_config(given, plugins=[Canned()]) as router:
            with pytest.raises(Unsupported) as caught:
                await getattr(router, method)("m", said, **options)
            return tuple(caught.value.fields)

    return run(main())


@pytest.mark.parametrize(
    ("provider", "options", "fields"),
    [
        ({"type": "openai"}, {"top_k": 1, "min_p": 0.1}, ("top_k", "min_p")),
        ({"type": "openai", "unsupported": ["logprobs", "reasoning_effort", "tools"]},
         {"logprobs": True, "reasoning_effort": "low"}, ("logprobs", "reasoning_effort")),
        ({"type": "openai", "unsupported": ["images"]},
         {"said": [Message.user((Text("a"), Image(b"x")))]}, ("messages",)),
        ({"type": "claude"}, {"seed": 1, "logit_bias": {"1": 2.0}}, ("seed", "logit_bias")),
        ({"type": "claude"}, {"temperature": 1.5}, ("temperature",)),
        ({"type": "claude", "api_version": "2026-10-21"}, {"temperature": 0.5, "top_p": 0.5}, ("temperature", "top_p")),
        ({"type": "claude"}, {"response_format": "json"}, ("response_format",)),
        ({"type": "claude"}, {"said": [Message.user((Audio(b"x"),))]}, ("messages",)),
        ({"type": "ollama"}, {"logit_bias": {"1": 2.0}}, ("logit_bias",)),
        ({"type": "ollama"}, {"tools": TOOLS, "tool_choice": "required"}, ("tool_choice",)),
        ({"type": "ollama"}, {"said": [Message.user((Audio(b"x"),))]}, ("messages",)),
        ({"type": "openai"}, {"method": "generate", "system": "s"}, ("system",)),
        ({"type": "localai"}, {"method": "embed", "said": ["a"], "dimensions": 3}, ("dimensions",)),
    ],
)  # fmt: skip
def test_a_refusal_names_the_fields(
    provider: dict[str, Any], options: dict[str, Any], fields: tuple[str, ...]
) -> None:
    assert refused(provider, **options) == fields
