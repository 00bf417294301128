"""What a plugin does wrong at work: one `PluginError` for all of it; what it said itself goes to the log."""

from __future__ import annotations

import logging
from asyncio import CancelledError, current_task
from collections.abc import Callable
from math import inf
from operator import attrgetter
from traceback import format_exception

from pointsman.errors import CallError, FallbackOn, Outcome, PluginError, Refusal

log = logging.getLogger("pointsman")

OWN = (Exception, CancelledError)
"""What a method of a plugin that awaits nothing raises of its own: nobody cancels what does not await."""


_ENDINGS = (GeneratorExit, KeyboardInterrupt, SystemExit)
"""What somebody wants to end by. Any other `BaseException` is a fault: libraries in Rust panic with one."""


Scrub = Callable[[str], str]
"""Hides secrets in a text."""


def log_raised(message: str, error: BaseException, scrub: Scrub) -> None:
    """Log `message` and, after `scrub`, the traceback of `error`, whose words and lines may hold anything."""
    log.error("%s\n%s", message, scrub("".join(format_exception(error))))


def is_own(error: BaseException) -> bool:
    """Whether what an awaited method of a plugin raised is its own, also a cancellation nobody asked for."""
    if isinstance(error, CancelledError):
        task = current_task()
        return task is not None and not task.cancelling()
    return not isinstance(error, _ENDINGS)


_MEMBERS = {
    "outcome": Outcome,
    "refusal": Refusal | None,
    "fallback_on": FallbackOn,
    "code": str,
    "deployment": str,
    "status": int | None,
    "retry_after": int | float | None,
    "upstream_request_id": str,
    "upstream_code": str,
}
"""What an error of ours has that is acted upon."""
_ACTED_UPON, _KINDS = attrgetter(*_MEMBERS), tuple(_MEMBERS.values())


def misshapen(error: CallError) -> str | None:
    """What is wrong with an error of ours that a plugin made, after "raised"; None when nothing is."""
    name = type(error).__name__
    try:  # all at once: which of them it is matters only where one is wrong
        sound = all(map(isinstance, _ACTED_UPON(error), _KINDS))
    except Exception:
        sound = False
    for member, kind in () if sound else _MEMBERS.items():
        try:
            value = getattr(error, member)
        except Exception:  # its class derives from one of ours without the constructor, or is stranger still
            return f"a {name} without {member}"
        if not isinstance(value, kind):
            return f"a {name} whose {member} is a {type(value).__name__}"
    wait = error.retry_after
    if wait is not None and not 0 <= wait < inf:
        return f"a {name} whose retry_after is no number of seconds from 0"
    notes = getattr(error, "__notes__", [])
    if not isinstance(notes, list) or not all(isinstance(each, str) for each in notes):
        return f"a {name} whose notes are no list of text"
    return None


def fault(
    kind: str,
    plugin: str,
    method: str,
    did: BaseException | str,
    *,
    scrub: Scrub,
) -> PluginError:
    """The error of a plugin whose `method` raised `did`, or did what the words say.

    Its text is ours: the plugin's own may hold anything. That is logged, with its traceback, after `scrub`.
    """
    if not isinstance(did, BaseException):
        message = f"{kind} plugin {plugin!r} {did}"
        log.error("%s", message)
    else:
        message = f"{kind} plugin {plugin!r} failed in {method}(): {type(did).__name__}"
        log_raised(message, did, scrub)
    return PluginError(message, kind=kind, plugin=plugin, method=method)


def during_attempt(error: PluginError) -> PluginError:
    """`error`, which ended an attempt: its deployment is to blame, and another one may do."""
    error.outcome = Outcome.UPSTREAM_FAULT
    error.retry_elsewhere = error.try_fallback = True
    return error
