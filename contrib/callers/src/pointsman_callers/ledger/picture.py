"""What was spent as a picture: a bar for each line."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO

from pointsman.values.usd import usd
from pointsman_callers.ledger.spending import Line
from pointsman_cli.pictures import COLOURS, figures, round_up

EXTRA = "pointsman-callers[plot]"
"""What brings matplotlib, which draws a .png."""
_SHOWN = 40
_NAMES, _BARS, _STEP, _TOP = 190, 460, 24, 46
"""Widths of what stands before the bars and of these; height of a line, and of what is above all."""


def draw(lines: Sequence[Line], title: str, suffix: str) -> bytes:
    """The picture of the first lines, as the file of that suffix has it."""
    shown = lines[:_SHOWN]
    return _png(shown, title) if suffix == ".png" else _svg(shown, title).encode()


def _svg(lines: Sequence[Line], title: str) -> str:
    top = round_up(max((_usd(each) for each in lines), default=0))
    width, bottom = _NAMES + _BARS + 24, _TOP + _STEP * len(lines)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 28}" width="{width}" '
        f'height="{bottom + 28}" font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{bottom + 28}" fill="#fff"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for share in (0, 0.5, 1):
        x = _NAMES + _BARS * share
        parts.append(
            f'<path d="M{x:.1f} {_TOP - 6}V{bottom}" stroke="{"#999" if not share else "#e4e4e4"}"/>'
        )
        parts.append(
            f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle" fill="#777" font-size="11">'
            f"{share * top:g} USD</text>"
        )
    for n, each in enumerate(lines):
        y = _TOP + n * _STEP
        parts.append(
            f'<text x="{_NAMES - 8}" y="{y + 12}" text-anchor="end">{escape(_name(each))}</text>'
            f'<rect x="{_NAMES}" y="{y}" width="{_BARS * _usd(each) / top:.1f}" height="{_STEP - 8}" '
            f'fill="{COLOURS[0]}"><title>{escape(str(usd(each.cost_microcents)))} USD</title></rect>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _png(lines: Sequence[Line], title: str) -> bytes:
    figure = figures(EXTRA).Figure(figsize=(7.0, 1.2 + 0.25 * max(1, len(lines))), layout="constrained")
    axes = figure.subplots()
    axes.set_title(title)
    axes.barh(range(len(lines)), [_usd(each) for each in lines], color=COLOURS[0])
    axes.set_yticks(range(len(lines)), [_name(each) for each in lines])
    axes.invert_yaxis()
    axes.set_xlabel("USD")
    written = BytesIO()
    figure.savefig(written, format="png", dpi=120, metadata={"Software": None})
    return written.getvalue()


def _usd(line: Line) -> float:
    return float(usd(line.cost_microcents))


def _name(line: Line) -> str:
    of = line.of or "(none)"
    return of if len(of) <= 26 else f"{of[:25]}…"
