"""The results for people: tables in Markdown, which a terminal shows as well, and a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from math import log10
from typing import Any

from goals import OURS, Goal
from lab import Figures, Results

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"


def page(text: str, tables: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The page `text` with `tables` in place of those that stand between its two `marks`."""
    begin, end = marks
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}\n{tables}{end}{after}"


def tables(
    results: Results,
    starts: dict[str, list[Figures]],
    goals: Sequence[Goal],
    *,
    about: str,
    levels: Sequence[int],
) -> str:
    """Everything that was measured."""
    parts = [f"{about}.\n"]
    parts += _calls(results, levels)
    parts += _streams(results, levels)
    parts += _others(results)
    if starts:
        parts += ["Start: import and set-up in a fresh interpreter, medians.\n", _starts(starts)]
    parts += ["Goals.\n", goals_table(goals)]
    if results.skipped:
        parts += ["Skipped.\n", "".join(f"- {name}: {why}\n" for name, why in results.skipped.items())]
    errors = results.errors()
    if errors:
        parts += ["Errors.\n", "".join(f"- {each}\n" for each in errors)]
    parts += ["Versions.\n", _versions(results)]
    return "\n".join(parts)


def _calls(results: Results, levels: Sequence[int]) -> list[str]:
    names = [f"calls at {level}" for level in levels]
    parts = []
    for title, figure in (("CPU per call, us", "cpu_us"), ("Calls per second", "calls_per_s")):
        rows = [
            [client, *(_number(results.median(name, client, figure)) for name in names)]
            for client in _clients(results, names)
        ]
        parts += [
            f"{title}, by the number of calls at the same time.\n",
            table(["client", *map(str, levels)], rows),
        ]
    rows = [
        [
            client,
            *(
                _pair(results.median(name, client, "p50_us"), results.median(name, client, "p99_us"))
                for name in names
            ),
        ]
        for client in _clients(results, names)
    ]
    return [*parts, "Latency p50 / p99, ms.\n", table(["client", *map(str, levels)], rows)]


def _streams(results: Results, levels: Sequence[int]) -> list[str]:
    names = ("chunks at once", "chunks spaced")
    rows = [
        [
            client,
            _number(results.median(names[0], client, "chunk_cpu_us"), 1),
            _number(results.median(names[1], client, "chunk_cpu_us"), 1),
            _ms(results.median(names[1], client, "first_us")),
            _ms(results.median(names[1], client, "spread_us")),
        ]
        for client in _clients(results, names)
    ]
    header = ["client", "CPU, sent at once", "CPU, 1 ms apart", "first token, ms", "first to last, ms"]
    parts = ["Streams of 100 chunks: CPU in us per chunk.\n", table(header, rows)]
    levelled = [f"chunks at once, {level}" for level in levels]
    rows = [
        [client, *(_number(results.median(name, client, "chunk_cpu_us"), 1) for name in levelled)]
        for client in _clients(results, levelled)
    ]
    if rows:
        title = "The same sent at once, by the number of streams at the same time.\n"
        parts += [title, table(["client", *map(str, levels)], rows)]
    return parts


def _others(results: Results) -> list[str]:
    parts = []
    for title, name in (
        ("All at once on an upstream that takes a second.", "in flight on a slow upstream"),
        ("16 at a time, every tenth answer a 503.", "every tenth a 503"),
    ):
        rows = [
            [
                client,
                _number(results.total(name, client, "calls")),
                _number(results.total(name, client, "failed")),
                _number(results.median(name, client, "wall_s"), 2),
                _number(results.median(name, client, "cpu_us")),
                _ms(results.median(name, client, "p99_us")),
            ]
            for client in _clients(results, [name])
        ]
        parts += [
            f"{title}\n",
            table(["client", "calls", "failed", "wall, s", "CPU per call, us", "p99, ms"], rows),
        ]
    rows = [
        [
            client,
            *(
                _number(results.median("growth", client, each))
                for each in ("calls", "before_kib", "grown_kib")
            ),
        ]
        for client in _clients(results, ["growth"])
    ]
    header = ["client", "calls", "resident after a tenth, KiB", "growth to the end, KiB"]
    parts += ["Memory.\n", table(header, rows)]
    turns = [each for each in results.rounds.get("variants", {}).get(OURS, []) if "ratio" in each]
    if turns:
        ratios = [statistics.median(each["ratio"][kind] for each in turns) for kind in turns[0]["ratio"]]
        rows = [[f"{ratio:.3f}" for ratio in ratios]]
        parts += ["CPU per call of pointsman with one thing more.\n", table(list(turns[0]["ratio"]), rows)]
    return parts


def _starts(starts: dict[str, list[Figures]]) -> str:
    rows = []
    for name, rounds in starts.items():
        good = [each for each in rounds if "error" not in each]
        if good:
            cpu = statistics.median(each["cpu_s"] for each in good)
            memory = statistics.median(each["resident_mib"] for each in good)
            rows.append([name, f"{cpu:.3f}", f"{memory:.0f}"])
        else:
            rows.append([name, f"failed: {rounds[0]['error']}", ""])
    return table(["start", "CPU, s", "resident, MiB"], rows)


def goals_table(goals: Sequence[Goal]) -> str:
    """Each goal with its limit, what was measured, and whether that meets it."""
    marks = {True: "yes", False: "**no**", None: "not measured"}
    rows = []
    for goal in goals:
        bound = "at least" if goal.at_least else "at most"
        write = ratio if goal.unit == Goal.unit else _value
        measured = "" if goal.measured is None else f"{write(goal.measured)}{goal.unit}"
        limit = f"{bound} {write(goal.limit)}{goal.unit}"
        rows.append([str(goal.number), goal.what, limit, measured, marks[goal.passed]])
    return table(["goal", "what", "limit", "measured", "met"], rows)


def ratio(value: float) -> str:
    """In three digits; what is far below one as its inverse, since it is a goal about others."""
    return f"1/{1 / value:.3g}" if 0 < value < 0.5 else _value(value)


def _value(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def _versions(results: Results) -> str:
    return "".join(
        f"- {client}: {', '.join(f'{name} {version}' for name, version in found.items()) or 'none'}\n"
        for client, found in results.versions.items()
    )


def _clients(results: Results, scenarios: Sequence[str]) -> list[str]:
    found: dict[str, None] = {}
    for scenario in scenarios:
        found |= dict.fromkeys(results.rounds.get(scenario, {}))
    return list(found)


def _number(value: float | None, digits: int = 0) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _ms(micros: float | None) -> str:
    return "" if micros is None else f"{micros / 1e3:,.1f}"


def _pair(one: float | None, other: float | None) -> str:
    return "" if one is None else f"{_ms(one)} / {_ms(other)}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """One table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# ── the picture ──────────────────────────────────────────────────────────────────────────────────────

_LEFT, _WIDTH, _ROW = 110, 420, 22
_OURS, _THEIRS = "#dd7733", "#3366aa"


def picture(results: Results) -> str:
    """Bars of CPU per call and per chunk as SVG, both on a scale of powers of ten."""
    parts: list[str] = []
    y = 0
    for title, scenario, figure in (
        ("CPU per call, us, 16 at the same time", "calls at 16", "cpu_us"),
        ("CPU per chunk of a stream, us, sent at once", "chunks at once", "chunk_cpu_us"),
    ):
        found = {
            client: value
            for client in _clients(results, [scenario])
            if (value := results.median(scenario, client, figure)) is not None
        }
        parts += _bars(title, found, y=y)
        y += 40 + _ROW * len(found)
    width = _LEFT + _WIDTH + 90
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
            'font-family="sans-serif" font-size="12" role="img">',
            "<title>CPU per call and per chunk of pointsman and its peers; shorter is better</title>",
            f'<rect width="{width}" height="{y}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _bars(title: str, values: dict[str, float], *, y: int) -> list[str]:
    decades = max(1.0, max((log10(value) for value in values.values()), default=1.0))
    # Without the second text a bar twice as long would be read as twice the cost.
    parts = [
        f'<text x="8" y="{y + 18}" font-weight="bold">{title}</text>'
        f'<text x="{_LEFT + _WIDTH + 82}" y="{y + 18}" text-anchor="end" fill="#555">'
        "logarithmic; shorter is better</text>"
    ]
    for row, (client, value) in enumerate(sorted(values.items(), key=lambda each: each[1])):
        top = y + 28 + row * _ROW
        length = max(2.0, _WIDTH * log10(max(value, 1.0)) / decades)
        colour = _OURS if client == OURS else _THEIRS
        parts.append(
            f'<text x="8" y="{top + 12}">{client}</text>'
            f'<rect x="{_LEFT}" y="{top}" width="{length:.1f}" height="16" fill="{colour}"/>'
            f'<text x="{_LEFT + length + 6:.1f}" y="{top + 12}">{_short(value)}</text>'
        )
    return parts


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def as_data(
    results: Results, starts: dict[str, list[Figures]], goals: Sequence[Goal], *, about: str
) -> dict[str, Any]:
    """The same for programs."""
    return {
        "about": about,
        "versions": results.versions,
        "skipped": results.skipped,
        "errors": results.errors(),
        "figures": results.medians(),
        "starts": starts,
        "goals": [
            {
                "goal": goal.number,
                "what": goal.what,
                "limit": goal.limit,
                "at_least": goal.at_least,
                "measured": goal.measured,
                "passed": goal.passed,
            }
            for goal in goals
        ],
    }
