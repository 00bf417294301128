"""OpenAI's chat completions from the side of the server: what is asked, and what is answered."""

from __future__ import annotations

from pointsman_wires.openai_chat.reading import WIRE, read, read_members
from pointsman_wires.openai_chat.writing import ChatWriter

__all__ = ["WIRE", "ChatWriter", "read", "read_members"]
