"""The same picture as PNG, which matplotlib draws."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from pointsman_cli.pictures import COLOURS, OTHERS, figures
from pointsman_forecast.outcome import Forecast
from pointsman_forecast.plots import EXTRA, fails, most_asked, rates


def png(forecasts: Sequence[Forecast]) -> bytes:
    """The picture of `forecasts`, which saw some requests."""
    figure_module = figures(EXTRA)
    shown = [each for each in forecasts if each.course]
    panels = 3 if fails(shown) else 2
    figure: Any = figure_module.Figure(figsize=(6.2 * len(shown), 2.6 * panels), layout="constrained")
    axes: Any = figure.subplots(panels, len(shown), squeeze=False, sharey="row")
    ids = most_asked(shown)
    for n, each in enumerate(shown):
        times = [moment.at for moment in each.course]
        latency, load = axes[0][n], axes[1][n]
        latency.set_title(each.name)
        latency.plot(times, [moment.p50 for moment in each.course], color=COLOURS[0], label="half")
        latency.plot(times, [moment.p95 for moment in each.course], color=COLOURS[1], label="95 %")
        latency.set_ylabel("seconds to the whole answer")
        latency.legend(loc="upper left")
        stack = rates(each.course, each.seconds, ids)
        names = [*ids, "others"] if any(stack[-1]) else ids
        load.stackplot(
            times, *stack[: len(names)], labels=names, colors=[*COLOURS[: len(ids)], OTHERS], step="post"
        )
        load.set_ylabel("attempts per second")
        load.legend(loc="upper left", fontsize="small")
        axes[-1][n].set_xlabel("seconds")
        if panels == 2:
            continue
        failed = [100 * moment.errors / moment.requests if moment.requests else 0 for moment in each.course]
        errors = axes[2][n]
        errors.bar(times, failed, width=each.seconds / len(times), align="edge", color=COLOURS[7])
        errors.set_ylabel("% of requests failed")
    written = BytesIO()
    figure.savefig(written, format="png", dpi=120, metadata={"Software": None})
    return written.getvalue()
