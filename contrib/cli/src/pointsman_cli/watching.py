"""`status --watch`: the status of running routers again and again, with calls per second."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pointsman_cli.errors import Failed
from pointsman_cli.operating import Fleet
from pointsman_cli.options import Asked
from pointsman_cli.output import console, one_line, print_json_line, print_table, print_text, say, shown_line
from pointsman_cli.overview import (
    in_ms,
    lines_of_refused,
    load_of,
    print_refused,
    title_of,
    why_not,
)

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from pointsman_cli.layout import Row

_KEPT = 20
_BARS = "▁▂▃▄▅▆▇█"

Facts = Mapping[str, Any]
"""What a router says of itself, with `router` for which one it is."""


class Rates:
    """Calls and failures per second of each deployment, between one look and the next.

    Attributes:
        now: by process and deployment, calls and failures per second; {} before the second look.
    """

    def __init__(self) -> None:
        self.now: dict[tuple[int, str], tuple[float, float]] = {}
        self.history: dict[tuple[int, str], deque[float]] = {}
        self._counts: dict[tuple[int, str], tuple[int, int]] = {}
        self._at: float | None = None

    def look(self, known: Sequence[Facts], at: float) -> None:
        """Take note of what routers say at `at`, in seconds."""
        counts = {
            (facts["router"]["pid"], each["id"]): _counts(each)
            for facts in known
            for model in facts["models"].values()
            for each in model["deployments"]
        }
        took = 0.0 if self._at is None else at - self._at
        self.now = {}
        for key, (calls, failures) in counts.items():
            before = self._counts.get(key)
            if before is None or took <= 0:
                continue
            # Below zero when the router forgot what it had counted, as one that was started anew.
            self.now[key] = (max(0, calls - before[0]) / took, max(0, failures - before[1]) / took)
            self.history.setdefault(key, deque(maxlen=_KEPT)).append(self.now[key][0])
        self.history = {key: each for key, each in self.history.items() if key in counts}
        self._counts, self._at = counts, at


def _counts(deployment: Facts) -> tuple[int, int]:
    outcomes = deployment["outcomes"]
    return sum(outcomes.values()), sum(outcomes.get(each, 0) for each in ("upstream_fault", "overload"))


def sparkline(values: Sequence[float]) -> str:
    """`▁▃█`: each value against the greatest of them."""
    most = max(values, default=0.0)
    if most <= 0:
        return _BARS[0] * len(values)
    return "".join(_BARS[min(len(_BARS) - 1, int(each / most * (len(_BARS) - 1) + 0.5))] for each in values)


def watch(
    asked: Asked,
    found: Fleet,
    interval: float,
    *,
    now: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Show the status of `found` every `interval` seconds, until Ctrl-C. Raises Failed when none is left.

    At a terminal in place of what was shown before, else one after the other; in JSON a line for each time.
    """
    rates, left = Rates(), list(found.processes)
    with _screen(asked) as show:
        while True:
            began, known = now(), []
            for each in tuple(left):
                try:
                    known.append({"router": each.about, **each.line.ask("status")})
                except Failed as error:
                    left.remove(each)
                    if not left:
                        raise
                    say(str(error))
            rates.look(known, began)
            show(known, rates, found.many)
            pause(max(0.0, interval - (now() - began)))


Show = Callable[[Sequence[Facts], Rates, bool], None]


@contextmanager
def _screen(asked: Asked) -> Iterator[Show]:
    if asked.json:
        yield _json
    elif not sys.stdout.isatty():
        yield _text
    else:
        from rich.live import Live

        with Live(console=console(), auto_refresh=False, vertical_overflow="crop") as live:
            # Of the console as it is now: a terminal may be resized.
            yield lambda known, rates, _many: live.update(_drawn(live.console, known, rates), refresh=True)


def _json(known: Sequence[Facts], rates: Rates, many: bool) -> None:
    told = []
    for facts in known:
        pid = facts["router"]["pid"]
        per_second = {
            id: {"calls": round(calls, 3), "failures": round(failures, 3)}
            for (of, id), (calls, failures) in rates.now.items()
            if of == pid
        }
        told.append({**facts, "per_second": per_second})
    print_json_line({"processes": told} if many else told[0])


def _text(known: Sequence[Facts], rates: Rates, _many: bool) -> None:
    print_text(time.strftime("%H:%M:%S"))
    _print(known, rates)
    for facts in known:
        print_refused(facts.get("configuration"), time.time())
    print_text("")


def _drawn(target: Console, known: Sequence[Facts], rates: Rates) -> Text:
    """What stands on the screen: a line for the time, then the deployments of each model of each router."""
    from rich.text import Text

    from pointsman_cli.layout import Group, lay_out

    lines = [Text(f"{time.strftime('%H:%M:%S')}, Ctrl-C ends it", style="dim")]
    columns, groups = _grouped(known, rates)
    made = [Group(shown_line(title), rows) for title, rows in groups]
    lines += lay_out(columns, made, width=target.width)
    for facts in known:
        lines += [Text(each) for each in lines_of_refused(facts.get("configuration"), time.time())]
    return Text("\n").join(lines)


def _grouped(
    known: Sequence[Facts], rates: Rates
) -> tuple[Sequence[str], Sequence[tuple[str, Sequence[Row]]]]:
    """The columns, and a group for each model of each router; what is wrong stands below a row."""
    from pointsman_cli.layout import Row

    groups = []
    for facts in known:
        pid = facts["router"]["pid"]
        for name, model in facts["models"].items():
            title = title_of(name, model) if len(known) == 1 else f"process {pid}: {title_of(name, model)}"
            rows = [
                Row([one_line(cell) for cell in _watched(each, pid, rates)], _notes(each))
                for each in model["deployments"]
            ]
            groups.append((title, rows))
    return _COLUMNS, groups


def _print(known: Sequence[Facts], rates: Rates) -> None:
    """The same in lines with tabs."""
    rows = [
        [facts["router"]["pid"], name, *_watched(each, facts["router"]["pid"], rates), why_not(each)]
        for facts in known
        for name, model in facts["models"].items()
        for each in model["deployments"]
    ]
    print_table(["process", "model", *_COLUMNS, "why not now"], rows)


_COLUMNS = ("deployment", "state", "in flight", "calls/s", "failures/s", "first token", "lately")


def _watched(deployment: Facts, pid: int, rates: Rates) -> Sequence[object]:
    """The cells of a row under `_COLUMNS`."""
    key = (pid, deployment["id"])
    calls, failures = rates.now.get(key, (None, None))
    breaker = deployment["breaker"]["state"]
    state = breaker if breaker in ("open", "half_open", "forced_open") else deployment["state"]
    return (
        deployment["id"], state, load_of(deployment), _rate(calls), _rate(failures),
        in_ms(deployment["first_token_ms"]), sparkline(rates.history.get(key, ())),
    )  # fmt: skip


def _rate(per_second: float | None) -> str:
    return "" if per_second is None else f"{per_second:.1f}"


def _notes(deployment: Facts) -> list[str]:
    return [one_line(why)] if (why := why_not(deployment)) else []
