"""What was recorded, for operators to search and verify, by the package that reads records."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pointsman.plugin import ConfigError, InvalidRequest, SurfaceRequest
from pointsman_gateway.access.denials import denied
from pointsman_gateway.reading import directory_of

if TYPE_CHECKING:
    from pointsman import Config

T = TypeVar("T")
FILTERS = ("caller", "key_id", "model", "deployment", "outcome", "event", "error", "request_id")
TIMES = ("since", "until")
MOST = 1_000


class Recorded:
    """The records of one router, one question at a time: each may read all that there is.

    Args:
        config: what the router runs on now.
    """

    def __init__(self, config: Callable[[], Config]) -> None:
        self._config = config
        self._one_at_a_time = asyncio.Lock()

    async def search(self, asked: SurfaceRequest) -> Mapping[str, Any]:
        """The latest records that are asked for. Raises Denied."""
        query = asked.query
        wanted: dict[str, Any] = {name: query[name] for name in FILTERS if name in query}
        wanted |= {name: _instant(name, query[name]) for name in TIMES if name in query}
        limit, place = _number("limit", query.get("limit", "100"), MOST), query.get("place", "0")
        before = query.get("before", "")
        if before and not (before.isascii() and before.isdecimal() and len(before) < 19):
            raise denied("invalid", "invalid_request", "before: as the page before this one says it")
        from_place = _number("place", place, 100) if place != "0" else 0

        def work() -> Mapping[str, Any]:
            from pointsman_audit.admin import search

            config = self._config()
            return search(
                _section(config), directory_of(config), wanted, limit, before=before, place=from_place
            )

        return await self._asked(work)

    async def verification(self) -> Mapping[str, Any]:
        """What verifying all of them says. Raises Denied."""

        def work() -> Mapping[str, Any]:
            from pointsman_audit.admin import verification

            config = self._config()
            places = verification(_section(config), directory_of(config))
            return {"ok": all(each["ok"] for each in places), "places": places}

        return await self._asked(work)

    async def _asked(self, work: Callable[[], T]) -> T:
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(work)
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in ("pointsman_audit", "psycopg"):
                raise
            message = "records are read by the package pointsman-audit, which is not installed here"
            raise denied("no_route", "audit_not_installed", message) from None
        except InvalidRequest as error:
            raise denied("invalid", error.code, error.message) from None
        except (OSError, ConfigError) as error:
            raise denied("unsupported", "audit_unreadable", f"the records cannot be read: {error}") from None


def _section(config: Config) -> object:
    return [{"type": each.type, **each.settings} for each in config.audit]


def _instant(name: str, text: str) -> float:
    """Seconds since 1970, of these or of a time in ISO 8601."""
    try:
        return (
            float(text) if text.replace(".", "", 1).isdecimal() else datetime.fromisoformat(text).timestamp()
        )
    except (ValueError, OverflowError):
        message = f"{name} is a time in ISO 8601, or seconds since 1970"
        raise denied("invalid", "invalid_request", message) from None


def _number(name: str, text: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and 1 <= int(text) <= most):
        raise denied("invalid", "invalid_request", f"{name} is a number from 1 to {most}")
    return int(text)
