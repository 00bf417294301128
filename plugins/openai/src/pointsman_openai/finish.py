"""Why an answer ended, in the words of all the servers that speak the wire. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pointsman.plugin import CallError, FinishReason, Overloaded, Unavailable

_WORDS: Mapping[FinishReason, str] = {
    "stop": "stop stop_sequence end end_turn eos eos_token eos_found complete completed finish finished done",
    "length": "length max_tokens max_length max_output_tokens max_new_tokens model_length token_limit "
    "model_context_window_exceeded context_length_exceeded",
    "tool_calls": "tool_calls tool_call function_call function_calls tool_use",
    "content_filter": "content_filter content_filtered contentfilter safety recitation blocklist refusal "
    "spii prohibited_content image_safety sensitive guardrail_intervened error_toxic",
    "error": "error abort aborted cancelled canceled failed failure timeout network_error server_error "
    "malformed_function_call unexpected_tool_call insufficient_system_resource no_resource",
}
FINISH: Mapping[str, FinishReason] = {
    word: reason for reason, words in _WORDS.items() for word in words.split()
}
_SAY_NOTHING = frozenset(("", "null", "none", "nil", "undefined", "unspecified", "finish_reason_unspecified"))
_NO_ROOM = frozenset(("insufficient_system_resource", "no_resource"))


def finish_of(native: Any, *, calls: bool) -> tuple[FinishReason, str | None]:
    """Our finish reason and the upstream's own word; None for a word that says nothing.

    What the calls say wins over the word: somebody has to answer them, and without any there is nothing to
    answer. A word that is not known is `other`.
    """
    if native == "stop" and not calls:  # as most
        return native, native
    word = _plain(native)
    if word in _SAY_NOTHING:
        return ("tool_calls" if calls else "stop"), None
    reason = FINISH.get(word, "other")
    if reason in ("stop", "tool_calls"):
        reason = "tool_calls" if calls else "stop"
    return reason, native


def says_nothing(native: Any) -> bool:
    """Whether a finish reason is none."""
    return _plain(native) in _SAY_NOTHING


def failure_of(native: str, *, request_id: str) -> CallError:
    """The error of an answer that ended with a word for an error: whatever came of it is not whole."""
    kind = Overloaded if _plain(native) in _NO_ROOM else Unavailable
    return kind(
        f"the upstream ended its answer with the finish reason {native[:100]!r}",
        upstream_request_id=request_id,
        upstream_code=native[:100],
    )


def _plain(native: Any) -> str:
    """The word in lower case, without the name of an enumeration ("FinishReason.MAX_TOKENS")."""
    if not isinstance(native, str):
        return ""
    return re.sub(r"[\s-]+", "_", native.strip().rpartition(".")[2].lower())
