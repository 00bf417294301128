"""Reads a roster, and says what is wrong with one."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, ValidationError

from pointsman.plugin import (
    BadResponse,
    Discovery,
    DiscoveryContext,
    Found,
    FoundServer,
    Unavailable,
    read_regular,
)

_LARGEST = 1_000_000


class RosterSettings(BaseModel, extra="forbid"):
    """What stands beside `type: roster` and `interval`."""

    file: Path


class _Entry(BaseModel, extra="forbid"):
    url: str
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    labels: dict[str, str] = {}


class _File(BaseModel, extra="forbid"):
    servers: list[_Entry]
    models: list[str] | None = None


class Roster(Discovery):
    """What stands in `file` now: `{"servers": [{"url": …, "weight": …, "labels": {…}}], "models": […]}`."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @classmethod
    def made(cls, context: DiscoveryContext) -> Self:
        """One of the settings that `context` has."""
        settings: RosterSettings = context.settings
        return cls(settings.file)

    async def find(self) -> Found:
        """Raises: Unavailable without a file, BadResponse for one that is half written, or none of ours."""
        try:
            text = await asyncio.to_thread(read_regular, self._file, _LARGEST)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the roster {self._file} cannot be read") from error
        return found_in(text)


def found_in(text: bytes) -> Found:
    """What a roster says. Raises: BadResponse."""
    try:
        roster = _File.model_validate(json.loads(text))
    except (ValueError, RecursionError) as error:
        problems = error.errors() if isinstance(error, ValidationError) else []
        where = ".".join(map(str, problems[0]["loc"])) if problems else ""
        raise BadResponse(f"the roster makes no sense: see {where or 'it'}") from error
    servers = {each.url.rstrip("/"): each for each in roster.servers}
    return Found(
        servers=[FoundServer(base_url=url, weight=e.weight, labels=e.labels) for url, e in servers.items()],
        models=roster.models,
    )
