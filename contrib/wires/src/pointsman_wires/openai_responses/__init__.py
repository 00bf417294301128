"""OpenAI's Responses API from the side of the server: what is asked, and what is answered."""

from __future__ import annotations

from pointsman_wires.openai_responses.chat_path import is_responses_body, read_on_chat_path
from pointsman_wires.openai_responses.reading import COMPACT_WIRE, WIRE, read, read_compact
from pointsman_wires.openai_responses.reasoning import for_maker
from pointsman_wires.openai_responses.writer import ResponsesWriter

__all__ = [
    "COMPACT_WIRE",
    "WIRE",
    "ResponsesWriter",
    "for_maker",
    "is_responses_body",
    "read",
    "read_compact",
    "read_on_chat_path",
]
