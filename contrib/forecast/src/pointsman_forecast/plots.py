"""The course of forecasts as a picture: how long answers took, who gave them, what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from msgspec import Struct

from pointsman.units import format_duration
from pointsman_cli import pictures
from pointsman_cli.pictures import COLOURS, OTHERS, round_up
from pointsman_forecast.outcome import Forecast, Moment

EXTRA = "pointsman-forecast[plot]"
"""What brings matplotlib, which draws a .png."""
_ERROR = "#cc3333"
_MIDDLE, _HIGH = "#3366aa", "#dd7733"
_SHOWN = len(COLOURS)
_WIDTH, _HEIGHT, _LEFT, _GAP, _TOP = 420, 130, 56, 48, 74
"""Of one panel, what is left of it, what is below it, and what is above all."""


def check_plot(file: str) -> None:
    """Raise ConfigError when nothing can be drawn into a file of that name."""
    pictures.check_plot(file, EXTRA)


def draw(forecasts: Sequence[Forecast], suffix: str) -> bytes:
    """The picture of `forecasts` beside each other, as the file of that suffix has it."""
    if suffix == ".png":
        from pointsman_forecast.png import png

        return png(forecasts)
    return svg(forecasts).encode()


def most_asked(forecasts: Sequence[Forecast]) -> list[str]:
    """The deployments that have a colour of their own: those with most attempts, in configuration order."""
    attempts: dict[str, int] = {}
    for each in forecasts:
        for one in each.deployments:
            attempts[one.id] = attempts.get(one.id, 0) + one.attempts
    shown = sorted(attempts, key=lambda id: -attempts[id])[:_SHOWN]
    return [id for id in attempts if id in shown]


def rates(moments: Sequence[Moment], seconds: float, ids: Sequence[str]) -> list[list[float]]:
    """Attempts per second of each of `ids`, moment by moment, and at the end those of all others."""
    width = seconds / len(moments)
    each = [[moment.attempts.get(id, 0) / width for moment in moments] for id in ids]
    others = [sum(n for id, n in moment.attempts.items() if id not in ids) / width for moment in moments]
    return [*each, others]


class _Panel(Struct, frozen=True):
    """Where one is, and what its axes reach to."""

    x: float
    y: float
    seconds: float
    top: float

    def at(self, second: float, value: float) -> str:
        """A point."""
        x = self.x + _WIDTH * second / self.seconds
        return f"{x:.1f} {self.y + _HEIGHT * (1 - min(1.0, value / self.top)):.1f}"


def svg(forecasts: Sequence[Forecast]) -> str:
    """The picture of `forecasts` that saw some time."""
    shown = [each for each in forecasts if each.course]
    ids = most_asked(shown)
    stacks = [rates(each.course, each.seconds, ids) for each in shown]
    legend = _legend(ids, others=any(any(stack[-1]) for stack in stacks))
    rows = 3 if fails(shown) else 2
    bottom = _TOP + rows * (_HEIGHT + _GAP) - 6
    height, width = bottom + 22 * ((len(legend) + 2) // 3) + 8, len(shown) * (_LEFT + _WIDTH) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(' and '.join(each.name for each in shown))}: a forecast</title>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    tops = _tops(shown, stacks)
    for n, (each, stack) in enumerate(zip(shown, stacks, strict=True)):
        x = _LEFT + n * (_LEFT + _WIDTH)
        panels = [_Panel(x, _TOP + row * (_HEIGHT + _GAP), each.seconds, top) for row, top in enumerate(tops)]
        parts.append(f'<text x="{x}" y="22" font-size="15" font-weight="bold">{escape(each.name)}</text>')
        parts.append(f'<text x="{x}" y="40" fill="#555">{escape(_summary(each))}</text>')
        parts += _latency(panels[0], each)
        parts += _load(panels[1], stack, ids)
        if rows == 3:
            parts += _failures(panels[2], each.course)
    parts += _placed(legend, bottom)
    return "\n".join([*parts, "</svg>", ""])


def fails(forecasts: Sequence[Forecast]) -> bool:
    """Whether a request failed in any of them, so that there is something to be seen of that."""
    return any(moment.errors for each in forecasts for moment in each.course)


def _tops(shown: Sequence[Forecast], stacks: Sequence[Sequence[Sequence[float]]]) -> tuple[float, ...]:
    """What the axes of the panels reach to, the same for all forecasts."""
    moments = [one for each in shown for one in each.course]
    slowest = max((one.p95 or 0 for one in moments), default=0)
    load = max((sum(column) for stack in stacks for column in zip(*stack, strict=True)), default=0)
    failed = max(map(_failed, moments), default=0)
    return round_up(slowest), round_up(load), min(1.0, round_up(failed))


def _summary(each: Forecast) -> str:
    answered = each.answered / each.requests if each.requests else 0
    p95 = "" if each.total.p95 is None else f", 95 % of them within {each.total.p95:.2f} s"
    return f"{each.requests:,} requests, {answered:.1%} answered{p95}"


def _failed(moment: Moment) -> float:
    return moment.errors / moment.requests if moment.requests else 0.0


def _latency(panel: _Panel, forecast: Forecast) -> list[str]:
    title = (
        f'seconds to the whole answer: <tspan fill="{_MIDDLE}">half</tspan>, '
        f'<tspan fill="{_HIGH}">95 %</tspan>'
    )
    return [
        *_axes(panel, title, "{:g} s".format),
        *_line(panel, forecast, lambda one: one.p95, _HIGH),
        *_line(panel, forecast, lambda one: one.p50, _MIDDLE),
    ]


def _load(panel: _Panel, stack: Sequence[Sequence[float]], ids: Sequence[str]) -> list[str]:
    return [*_axes(panel, "attempts per second, by deployment", "{:g}".format), *_areas(panel, stack, ids)]


def _failures(panel: _Panel, course: Sequence[Moment]) -> list[str]:
    return [*_axes(panel, "requests that failed, of those that came", "{:.0%}".format), *_bars(panel, course)]


def _axes(panel: _Panel, title: str, show: Callable[[float], str]) -> list[str]:
    parts = [f'<text x="{panel.x}" y="{panel.y - 7}" fill="#333">{title}</text>']
    for share in (0, 0.5, 1):
        y = panel.y + _HEIGHT * (1 - share)
        parts.append(f'<path d="M{panel.x} {y:.1f}h{_WIDTH}" stroke="{"#999" if not share else "#e4e4e4"}"/>')
        parts.append(
            f'<text x="{panel.x - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#777" font-size="11">'
            f"{show(share * panel.top)}</text>"
        )
    for share in (0, 0.25, 0.5, 0.75, 1):
        when = format_duration(round(share * panel.seconds)) if share else "0"
        parts.append(
            f'<text x="{panel.x + share * _WIDTH:.1f}" y="{panel.y + _HEIGHT + 15}" text-anchor="middle" '
            f'fill="#777" font-size="11">{when}</text>'
        )
    return parts


def _line(
    panel: _Panel, forecast: Forecast, of: Callable[[Moment], float | None], colour: str
) -> Iterable[str]:
    """A line that is broken where nothing is known."""
    path, pen, half = [], "M", forecast.seconds / len(forecast.course) / 2
    for moment in forecast.course:
        value = of(moment)
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{panel.at(moment.at + half, value)}")
        pen = "L"
    yield f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.8"/>'


def _areas(panel: _Panel, stack: Sequence[Sequence[float]], ids: Sequence[str]) -> Iterable[str]:
    """Those of one moment on top of each other, each as a step."""
    count = len(stack[0])
    width = panel.seconds / count
    floor_ = [0.0] * count
    for values, colour in zip(stack, [*COLOURS[: len(ids)], OTHERS], strict=True):
        roof = [low + value for low, value in zip(floor_, values, strict=True)]
        if any(values):
            there = [panel.at((n + end) * width, roof[n]) for n in range(count) for end in (0, 1)]
            back = [panel.at((n + end) * width, floor_[n]) for n in reversed(range(count)) for end in (1, 0)]
            yield f'<path d="M{"L".join([*there, *back])}Z" fill="{colour}" fill-opacity="0.85"/>'
        floor_ = roof


def _bars(panel: _Panel, course: Sequence[Moment]) -> Iterable[str]:
    width = _WIDTH / len(course)
    for n, moment in enumerate(course):
        if share := _failed(moment):
            height = _HEIGHT * share / panel.top
            yield (
                f'<rect x="{panel.x + n * width:.1f}" y="{panel.y + _HEIGHT - height:.1f}" '
                f'width="{width * 0.9:.1f}" height="{height:.1f}" fill="{_ERROR}"/>'
            )


def _legend(ids: Sequence[str], *, others: bool) -> list[tuple[str, str]]:
    rest = [(OTHERS, "others")] if others else []
    return [*zip(COLOURS, ids, strict=False), *rest]


def _placed(legend: Sequence[tuple[str, str]], y: float) -> Iterable[str]:
    """Three in a row."""
    for n, (colour, name) in enumerate(legend):
        x, line = _LEFT + n % 3 * 150, y + 22 * (n // 3)
        yield f'<rect x="{x}" y="{line}" width="11" height="11" fill="{colour}"/>'
        shown = name if len(name) <= 20 else f"{name[:19]}…"
        yield f'<text x="{x + 16}" y="{line + 10}">{escape(shown)}</text>'
