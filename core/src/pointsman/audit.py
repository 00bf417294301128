"""Audit: the interface of the sink plugins.

Every request and every attempt becomes one event. Prompts and answers are not in it. A sink is told
synchronously and hands the writing on, so the path never waits for a disk.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from pydantic import BaseModel

from pointsman.context import Context
from pointsman.events import Event


class AuditSink(Protocol):
    """Where audit records go."""

    def __call__(self, event: Event) -> None:
        """Take one event. Must not block and must not raise."""

    def close(self) -> None:
        """Write what is still held, then give back the resource. May block; called once."""


class AuditContext(Context, frozen=True, kw_only=True, eq=False):
    """What an audit sink is made from.

    Attributes:
        directory: that of the configuration file; the working directory when there is no file.
    """

    directory: Path


class AuditFactory(Struct, frozen=True):
    """What an audit plugin offers: `make` returns an `AuditSink`."""

    name: str
    settings: type[BaseModel]
    make: Callable[[AuditContext], AuditSink]
