"""What operators did, in the log."""

from __future__ import annotations

import logging

from pointsman._internal.printable import printable_line
from pointsman.plugin import SurfaceRequest

log = logging.getLogger("pointsman.gateway")


def noted(asked: SurfaceRequest, what: str) -> None:
    """Have the log say who asked for `what`."""
    log.info("operator %s: %s", printable_line(asked.caller.name) or "on this machine", printable_line(what))
