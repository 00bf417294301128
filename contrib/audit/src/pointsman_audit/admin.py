"""Records as a gateway tells its operators of them: plain data, one question at a time. All of it blocks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from pointsman.plugin import InvalidRequest
from pointsman_audit.asking import Wanted
from pointsman_audit.checking import verified
from pointsman_audit.sources import Source, places_in

MOST = 1_000


def search(
    section: object,
    directory: Path,
    wanted: Mapping[str, Any],
    most: int,
    *,
    before: str = "",
    place: int = 0,
) -> Mapping[str, Any]:
    """The latest records that are `wanted`, the last one first, and where to go on.

    Args:
        section: the section `audit` of the configuration, as plain data.
        wanted: as of `Wanted`.
        before: what the page before this said as `before`; "" for the first.
        place: which of the places that can be read.

    Raises: InvalidRequest where there is no such place; OSError, DatabaseError.
    """
    places = places_in(section, directory)
    if not 0 <= place < len(places):
        raise InvalidRequest(f"there are {len(places)} places with records that can be read")
    source: Source = places[place].open()
    try:
        found, further = source.latest(Wanted(**wanted), most, before=before)
        return {
            "place": source.shown,
            "places": len(places),
            "records": [each.record for each in found],
            "before": further or None,
        }
    finally:
        source.close()


def verification(section: object, directory: Path) -> Sequence[Mapping[str, Any]]:
    """What verifying each place says. Raises OSError, DatabaseError."""
    said = []
    for each in places_in(section, directory):
        source = each.open()
        try:
            found = verified(source, keys=each.keys(), checkpoints=each.checkpoints())
        finally:
            source.close()
        said.append(
            {
                "place": source.shown,
                "ok": found.ok,
                "records": found.records,
                "erased": sum(file.erased for file in found.files),
                "missing": sum(file.gaps for file in found.files),
                "checkpoints": found.checkpoints,
                "findings": [asdict(finding) for finding in found.findings],
            }
        )
    return said
