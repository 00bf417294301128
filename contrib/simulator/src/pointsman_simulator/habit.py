"""What an upstream does when nothing is scripted, as somebody at a command line says it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from pointsman_simulator.records import RequestRecord
from pointsman_simulator.script import Fault, Reply

_PLAIN: Mapping[str, Callable[[], Fault]] = {
    "reset": Fault.reset,
    "stall": Fault.stall,
    "invalid_utf8": Fault.invalid_utf8,
    "wrong_content_type": Fault.wrong_content_type,
}
_COUNTED: Mapping[str, Callable[[int], Fault]] = {
    "reset_after": Fault.reset_after,
    "stall_after": Fault.stall_after,
    "cut_after": Fault.cut_after,
    "truncate_after": Fault.truncate_after,
    "error_after": Fault.error_after,
    "invalid_json": Fault.invalid_json,
    "giant_line": Fault.giant_line,
}
_MEASURED: Mapping[str, Callable[[float], Fault]] = {"loading": Fault.loading, "drip": Fault.drip}
WORDS = (*_PLAIN, *_COUNTED, *_MEASURED)
"""The faults that have a name; others are the status of an answer."""


@dataclass(frozen=True, slots=True)
class Habit:
    """What an upstream answers to requests that nothing is scripted for; `Upstream.respond = habit.reply`.

    Attributes:
        text: what it says; None for words made from the prompt.
        calls_tools: it calls the first tool of a request that has some, and answers when that gave something.
        faults: each with the share of requests that it befalls, above 0 and at most 1; the first that does.
    """

    text: str | None = None
    calls_tools: bool = False
    faults: tuple[tuple[Fault, float], ...] = ()

    def reply(self, record: RequestRecord, rng: Random) -> Reply:
        """The reply to the request of `record`."""
        fault = next((fault for fault, share in self.faults if share >= 1 or rng.random() < share), None)
        calls = self.calls_tools and not _has_result(record.body)
        text = None if calls and _has_tools(record.body) else self.text
        return Reply(text=text, call_first_tool=calls, fault=fault)


def fault_of(said: str) -> tuple[Fault, float]:
    """The fault that `FAULT[:N][@SHARE]` means, and how often: `503`, `429/quota:5`, `cut_after:3@20%`.

    Raises: ValueError that says what is expected.
    """
    words, at, share = said.partition("@")
    name, colon, number = words.partition(":")
    status, slash, kind = name.partition("/")
    often = _share(share, said) if at else 1.0
    if status.isascii() and status.isdigit() and 100 <= int(status) <= 599:
        wait = _number(number, said) if colon else None
        return Fault.status(int(status), retry_after=wait, kind=kind if slash else None), often
    if name in _PLAIN and not colon:
        return _PLAIN[name](), often
    if name in _COUNTED and number.isascii() and number.isdigit():
        return _COUNTED[name](int(number)), often
    if name in _MEASURED and colon:
        return _MEASURED[name](_number(number, said)), often
    if name in WORDS:
        needs = "takes no number" if name in _PLAIN else f"needs a number: {name}:3"
        raise ValueError(f"{said!r}: {name} {needs}")
    raise ValueError(f"{said!r}: no fault {name!r}; there are statuses such as 503, and {', '.join(WORDS)}")


def _share(text: str, said: str) -> float:
    percent = text.endswith("%")
    share = _number(text.removesuffix("%"), said) / (100 if percent else 1)
    if not 0 < share <= 1:
        raise ValueError(f"{said!r}: a share is above 0 and at most 1, or 100%")
    return share


def _number(text: str, said: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number >= 0):
        raise ValueError(f"{said!r}: {text!r} is no number of 0 or more")
    return number


def _has_tools(body: Any) -> bool:
    return isinstance(body, dict) and bool(body.get("tools"))


def _has_result(body: Any) -> bool:
    """Whether the conversation ends with what a tool gave, in whichever wire."""
    messages = body.get("messages") if isinstance(body, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict):
        return False
    parts = last.get("content")
    results = isinstance(parts, list) and any(
        isinstance(each, dict) and each.get("type") == "tool_result" for each in parts
    )
    return last.get("role") == "tool" or results
