"""Forecasts side by side, as lines of figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from pointsman.units import format_duration
from pointsman_forecast.outcome import DeploymentFigures, Forecast, Times, UpstreamFigures
from pointsman_forecast.settings import UpstreamSettings
from pointsman_forecast.spreads import Always, Spread

F = TypeVar("F")
Figure = float | None


class Line(Struct, frozen=True):
    """One figure of each forecast; None where it has none.

    Attributes:
        show: a value as text.
        is_share: it says a part of a whole, whose change is one of points.
    """

    label: str
    values: Sequence[Figure]
    show: Callable[[float], str]
    is_share: bool = False

    def cells(self) -> list[str]:
        """The label, each value, and, of two, how the second differs from the first."""
        cells = [self.label, *("-" if each is None else self.show(each) for each in self.values)]
        return [*cells, self._change()] if len(self.values) == 2 else cells

    def _change(self) -> str:
        before, after = self.values
        if before is None or after is None or self.show(before) == self.show(after):
            return ""
        if self.is_share:
            return f"{(after - before) * 100:+.1f} pp"
        return f"{(after - before) / before:+.0%}" if before else ""


def requests(forecasts: Sequence[Forecast]) -> Iterator[Line]:
    """What became of the requests."""
    yield _line("requests", forecasts, lambda each: each.requests, _count)
    yield _share("answered", forecasts, lambda each: each.answered / each.requests if each.requests else None)
    yield from _errors(forecasts)
    yield from _quantiles("first token", [each.first_token for each in forecasts])
    yield from _quantiles("whole answer", [each.total for each in forecasts])
    yield _line("attempts for each", forecasts, lambda each: each.attempts_each, "{:.3f}".format)
    yield _line("answered by a fallback", forecasts, lambda each: each.fallbacks, _count)
    if any(each.queued for each in forecasts):
        yield _line("waited in the router's line", forecasts, lambda each: each.queued, _count)
        yield _line("  how long, p95", forecasts, lambda each: each.queue_wait.p95, _seconds)
    yield _line("cost", forecasts, lambda each: each.cost_usd, _usd)
    if any(each.unpriced for each in forecasts):
        yield _line("  answers of unknown price", forecasts, lambda each: each.unpriced, _count)


def deployments(forecasts: Sequence[Forecast]) -> Iterator[Line]:
    """Where the answers came from, and what went wrong there."""
    by_id: list[dict[str, DeploymentFigures]] = [
        {one.id: one for one in each.deployments} for each in forecasts
    ]
    for id in _keys(by_id):
        found = [each.get(id) for each in by_id]
        yield _share(id, found, lambda each: each.share)
        yield _line("  first token, p95", found, lambda each: each.first_token.p95, _seconds)
        yield from _errors(found)
        if any(each is not None and each.breaker_openings for each in found):
            yield _line("  breaker opened", found, lambda each: each.breaker_openings, _count)


_SEEN: Mapping[str, Callable[[UpstreamFigures], int]] = {
    "cold loads": lambda each: each.cold_loads,
    "limit hits": lambda each: each.limit_hits,
    "refused, too many waited": lambda each: each.refused,
    "waited in its line": lambda each: each.waited,
}


def upstreams(forecasts: Sequence[Forecast]) -> Iterator[Line]:
    """What the servers saw."""
    by_name: list[dict[str, UpstreamFigures]] = [
        {one.name: one for one in each.upstreams} for each in forecasts
    ]
    for name in _keys(by_name):
        found = [each.get(name) for each in by_name]
        yield _line(f"{name}: at once, at most", found, lambda each: each.most_at_once, _count)
        for what, of in _SEEN.items():
            if any(each is not None and of(each) for each in found):
                yield _line(f"  {what}", found, of, _count)
        if any(each is not None and each.waited for each in found):
            yield _line("  how long, p95", found, lambda each: each.wait.p95, _seconds)


def assumed(name: str, type: str, settings: UpstreamSettings) -> str:
    """How an upstream is modelled, in a line."""
    parts = [
        f"first token {_spread(settings.first_token, _seconds)}",
        f"{_spread(settings.tokens_per_second, '{:g}'.format)} tokens/s",
    ]
    if settings.prompt_tokens_per_second:
        parts.append(f"reads {settings.prompt_tokens_per_second:g} tokens/s")
    if settings.parallel is not None:
        of_each = " of each model" if settings.memory is not None else ""
        parts.append(f"{settings.parallel} at once{of_each}")
    if settings.full_speed is not None:
        parts.append(f"full speed for {settings.full_speed}")
    if settings.memory is not None:
        parts.append(
            f"{settings.memory.max_loaded} models in memory, loaded in {_seconds(settings.memory.load_time)}"
        )
    if settings.limits is not None:
        parts += [str(each) for _, each in settings.limits if each is not None]
    return f"{name} ({type}): {', '.join(parts)}"


def _spread(spread: Spread, show: Callable[[float], str]) -> str:
    about = "" if isinstance(spread, Always) else "about "
    return f"{about}{show(spread.middle)}"


def _line(
    label: str,
    found: Sequence[F | None],
    of: Callable[[F], Figure],
    show: Callable[[float], str],
    *,
    is_share: bool = False,
) -> Line:
    return Line(label, [None if each is None else of(each) for each in found], show, is_share)


def _share(label: str, found: Sequence[F | None], of: Callable[[F], Figure]) -> Line:
    return _line(label, found, of, "{:.1%}".format, is_share=True)


def _errors(found: Sequence[Forecast | DeploymentFigures | None]) -> Iterator[Line]:
    for code in _keys(each.errors for each in found if each is not None):
        counts = [None if each is None else each.errors.get(code, 0) for each in found]
        yield Line(f"  {code}", counts, _count)


def _quantiles(label: str, found: Sequence[Times]) -> Iterator[Line]:
    if any(each.p50 is not None for each in found):
        yield _line(f"{label}, p50", found, lambda each: each.p50, _seconds)
        yield _line("  p95", found, lambda each: each.p95, _seconds)
        yield _line("  p99", found, lambda each: each.p99, _seconds)


def _keys(found: Iterable[Iterable[str]]) -> list[str]:
    """Every key of some mappings once, in their order."""
    return list(dict.fromkeys(key for each in found for key in each))


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _seconds(value: float) -> str:
    if value >= 100:
        return format_duration(round(value))
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s"


def _usd(value: float) -> str:
    return f"{value:,.2f} USD" if value >= 1 or not value else f"{value:.4f} USD"
