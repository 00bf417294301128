"""What the records of a configuration hold of one caller, for `pointsman callers export` and `erase`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pointsman_audit.asking import Wanted
from pointsman_audit.erasing import erase as erased
from pointsman_audit.sources import Place, Source, places_in

if TYPE_CHECKING:
    from pointsman import Config


def export(config: Config, caller: str, _key_id: str) -> list[dict[str, Any]]:
    """The records of its calls, of all places that there are. It blocks."""
    return [
        {**each.record} for _, source in _sources(config) for each in source.records(Wanted(caller=caller))
    ]


def erase(config: Config, caller: str, _key_id: str) -> int | dict[str, Any]:
    """How many records say nothing of it any more; where some are `left`, with why. It blocks.

    A file that is being written is left until its rotation: `pointsman audit erase` then takes the rest.
    """
    count, left = 0, list[str]()
    for place, source in _sources(config):
        done = erased(source, caller, time.time(), place.keys())
        count += done.records
        left += [f"{source.shown}: {why}" for why in done.left]
    return {"erased": count, "left": left} if left else count


def _sources(config: Config) -> Iterator[tuple[Place, Source]]:
    """Those that can be read, each while it is looked at."""
    section = [{"type": each.type, **each.settings} for each in config.audit]
    for place in places_in(section, config.directory):
        try:
            source = place.open()
        except FileNotFoundError:  # nothing was recorded there yet
            continue
        try:
            yield place, source
        finally:
            source.close()
