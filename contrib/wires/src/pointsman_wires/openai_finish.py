"""Why an answer ended, in OpenAI's words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman.plugin import FinishReason

FINISH: Mapping[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "error": "stop",
    "other": "stop",
}
"""Clients know these four words and no others."""
