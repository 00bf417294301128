"""What a plugin does wrong at work: one `PluginError` for all of it; what it said itself goes to the log."""

from __future__ import annotations

import logging
from asyncio import CancelledError, current_task
from collections.abc import Callable
from traceback import format_exception

from pointsman.errors import Outcome, PluginError

log = logging.getLogger("pointsman")

OWN = (Exception, CancelledError)
"""What a method of a plugin that awaits nothing raises of its own: nobody cancels what does not await."""


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
    return isinstance(error, Exception)


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
