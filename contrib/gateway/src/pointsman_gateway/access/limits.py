"""How often each caller may ask: a meter for each, and no more meters than fit."""

from __future__ import annotations

from collections import OrderedDict

from msgspec import Struct

from pointsman.plugin import Gcra, Rate
from pointsman_gateway.access.denials import denied
from pointsman_gateway.access.settings import CallerLimits

_MOST = 10_000
"""Callers of whom it is known what they took; beyond that the one who has been away longest begins anew."""


class _Meters(Struct, frozen=True, eq=False):
    settings: CallerLimits
    requests: Gcra | None
    tokens: Gcra | None


class Limits:
    """What each source of grants has taken. Nothing here reads a clock."""

    def __init__(self) -> None:
        self._meters: OrderedDict[str, _Meters] = OrderedDict()

    def take(self, source: str, settings: CallerLimits, now: float) -> None:
        """One request of `source`. Raises Denied, with a time, when it has had its share."""
        self.know(source, settings)
        self.take_known(source, now)

    def know(self, source: str, settings: CallerLimits) -> None:
        """From now on `source` is metered by `settings`."""
        meters = self._meters.get(source)
        if meters is None or meters.settings != settings:
            self._meters[source] = _Meters(
                settings,
                _meter(settings.requests, settings.burst_requests),
                _meter(settings.tokens, settings.burst_tokens),
            )
        self._meters.move_to_end(source)
        if len(self._meters) > _MOST:
            self._meters.popitem(last=False)

    def take_known(self, source: str, now: float) -> None:
        """One request of a `source` that is metered, if it is. Raises: as `take`."""
        meters = self._meters.get(source)
        if meters is None:
            return
        for unit, meter in ("requests", meters.requests), ("tokens", meters.tokens):
            if meter is not None and (wait := meter.wait(1, now)):
                raise denied(
                    "rate_limit",
                    "caller_rate_limited",
                    f"this caller may use {meter.count} {unit} in {meter.period:g} s, and has",
                    domain="policy",
                    retry_after=wait,
                )
        if meters.requests is not None:
            meters.requests.take(1, now)

    def used(self, source: str, tokens: int, now: float) -> None:
        """`source` has used `tokens` tokens: what is above its share it has to wait off."""
        meters = self._meters.get(source)
        if meters is not None and meters.tokens is not None and tokens > 0:
            meters.tokens.take(tokens, now)


def _meter(rate: Rate | None, burst: int | None) -> Gcra | None:
    return None if rate is None else Gcra(rate.count, rate.period, burst, oversize="full")
