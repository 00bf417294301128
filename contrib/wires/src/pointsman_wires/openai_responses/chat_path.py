"""Bodies of the Responses API that come by the path of chat completions, and are answered as such. Pure."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from pointsman.plugin import Understood
from pointsman_wires.answer_ids import hex_of
from pointsman_wires.bodies import flag_member, object_of
from pointsman_wires.openai_chat import ChatWriter
from pointsman_wires.openai_responses.reading import Reading

_members = msgspec.json.Decoder(dict[str, Raw]).decode


def is_responses_body(body: bytes) -> bool:
    """Whether `body` has an `input` and no `messages`."""
    if b'"input"' not in body:
        return False
    try:
        members = _members(body)
    except (msgspec.DecodeError, RecursionError):
        return False
    return "input" in members and "messages" not in members


def read_on_chat_path(body: bytes, *, request_id: str, wall: float) -> Understood:
    """What such a body asks for; its answer is a chat completion. Raises InvalidRequest."""
    given = object_of(body)
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
