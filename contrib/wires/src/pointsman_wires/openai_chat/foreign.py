"""Messages that only OpenAI's chat wire has, and what stands for them in a request of ours. Pure.

The words that go to a provider of that wire are the caller's own, so what stands here is only counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PARTS = frozenset(("text", "refusal", "image_url", "input_audio", "file"))


def with_stand_ins(given: Any, needs: list[str]) -> list[Any] | None:
    """`given` with something in place of what has no place in a request of ours, which is added to `needs`.

    None when there is no such thing.
    """
    if not isinstance(given, list):
        return None
    before = len(needs)
    messages = [
        _message(each, f"messages[{n}]", needs) if isinstance(each, dict) else each
        for n, each in enumerate(given)
    ]
    return messages if len(needs) > before else None


def _message(given: Mapping[str, Any], where: str, needs: list[str]) -> dict[str, Any]:
    message = dict(given)
    if message.get("role") == "function":
        needs.append(f"{where}.role")
        name = str(message.pop("name", ""))
        message |= {"role": "tool", "tool_call_id": name}
    if function := message.pop("function_call", None):
        needs.append(f"{where}.function_call")
        called = str(function.get("name")) if isinstance(function, dict) else ""
        message["tool_calls"] = [{"id": called, "type": "function", "function": function}]
    if isinstance(calls := message.get("tool_calls"), list):
        message["tool_calls"] = [
            _call(each, f"{where}.tool_calls[{n}]", needs) for n, each in enumerate(calls)
        ]
    if isinstance(parts := message.get("content"), list):
        message["content"] = [_part(each, f"{where}.content[{n}]", needs) for n, each in enumerate(parts)]
    return message


def _call(given: Any, where: str, needs: list[str]) -> Any:
    if not isinstance(given, dict) or given.get("type", "function") == "function":
        return given
    needs.append(where)
    custom = given.get("custom")
    custom = custom if isinstance(custom, dict) else {}
    function = {"name": str(custom.get("name")), "arguments": custom.get("input")}
    return {"id": given.get("id"), "type": given["type"], "function": function}


def _part(given: Any, where: str, needs: list[str]) -> Any:
    kind = given.get("type") if isinstance(given, dict) else None
    if not isinstance(kind, str) or kind in _PARTS:
        return given
    needs.append(where)
    return {"type": "text", "text": ""}
