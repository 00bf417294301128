"""Bodies of the Responses API that come by the path of chat completions, and are answered as such. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointsman.plugin import Understood
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.bodies import flag_member
from pointsman_wires.openai_chat import ChatWriter
from pointsman_wires.openai_responses.reading import Reading


def is_responses_body(given: Mapping[str, Any]) -> bool:
    """Whether a body has an `input` and no `messages`."""
    return "input" in given and "messages" not in given


def read_on_chat_path(given: dict[str, Any], *, request_id: str, wall: float) -> Understood:
    """What such a body asks for; its answer is a chat completion. Raises InvalidRequest."""
    reading = Reading(given)
    request = reading.request()
    stream = flag_member(given, "stream")
    options = given.get("stream_options")
    writer = ChatWriter(
        id=f"chatcmpl-{hex_of(request_id, wall)}",
        created=int(wall),
        model=request.model,
        include_usage=stream and isinstance(options, dict) and options.get("include_usage") is True,
    )
    return Understood(request, writer, stream, "", reading.needs, reading.ignored)
