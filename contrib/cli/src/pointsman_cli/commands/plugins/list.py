"""`pointsman plugins list`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.errors import Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import one_line, print_groups, print_json, print_table, say, shown_line

if TYPE_CHECKING:
    from pointsman_cli.plugin_list import Listed


@click.command("list")
@click.option("--check", is_flag=True, help="Import each, in a process of its own, and say what breaks.")
@click.option("--trace", is_flag=True, help="Build the configuration, and show what each plugin made.")
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, check: bool, trace: bool) -> None:
    """List what is installed.

    Nothing of it is imported, unless that is asked for. Where there is a configuration, it says which plugins
    are used, and which may be.
    """
    if trace:
        _trace(asked)
        return
    from pointsman_cli.plugin_list import listed

    rows, configured = listed(asked, check=check)
    if asked.json:
        print_json([row.data for row in rows])
    else:
        _print(rows, check=check, configured=configured)
        for row in rows:
            if row.data["error"]:
                name = row.data["name"] or row.data["distribution"]
                say(f"{row.data['kind']} {name}: {row.data['error']}")
    broken = sum(1 for row in rows if row.data["broken"])
    if check and broken:
        raise Failed(f"{broken} of {len(rows)} {'is' if broken == 1 else 'are'} broken")


_COLUMNS = ("kind", "name", "distribution", "version", "state")


def _print(rows: Sequence[Listed], *, check: bool, configured: bool) -> None:
    """A table; at a terminal, which has no room for more columns, the rest stands below each row."""
    if sys.stdout.isatty():
        from pointsman_cli.layout import Row

        print_groups(_COLUMNS, [("", [Row(list(map(one_line, _cells(row))), _notes(row)) for row in rows])])
        return
    columns = [*_COLUMNS, *(["import"] if check else []), *(["used by"] if configured else [])]
    table = []
    for row in rows:
        ms = row.data["import_ms"]
        more = ["" if ms is None else f"{ms:.0f} ms"] if check else []
        used = [", ".join(row.data["used_by"])] if configured else []
        table.append([*_cells(row), *more, *used])
    print_table(columns, table)


def _cells(row: Listed) -> list[object]:
    data = row.data
    state = "data" if (data["form"], data["state"]) == ("data", "not loaded") else data["state"]
    return [data["kind"], data["name"], data["distribution"], data["version"], state]


def _notes(row: Listed) -> list[str]:
    ms, used_by = row.data["import_ms"], row.data["used_by"]
    said = [f"imported in {ms:.0f} ms"] if ms is not None else []
    said += [f"used by {', '.join(used_by)}"] if used_by else []
    return [shown_line("; ".join(said))] if said else []


def _trace(asked: Asked) -> None:
    from time import perf_counter

    from pointsman.build.builder import traced
    from pointsman.build.loading import as_config, plugins_for
    from pointsman.clock import LoopClock, system_rng
    from pointsman_cli.configured import NAMES, VARIABLE
    from pointsman_cli.plugin_list import file_of

    file = file_of(asked)
    if file is None:
        raise Failed(
            f"there is no configuration to build: name one with --config, set {VARIABLE}, or have "
            f"{NAMES[0]} here",
            code=2,
        )
    config = as_config(file)
    made, error = traced(config, plugins_for(config), clock=LoopClock(), rng=system_rng(), timer=perf_counter)
    if asked.json:
        print_json([{**_plain(each), "ms": round(each.seconds * 1000, 3)} for each in made])
    else:
        columns = ["kind", "factory", "distribution", "place", "ms", "made"]
        print_table(columns, [_made(each) for each in made])
    if error is not None:
        raise error


def _plain(made: Any) -> dict[str, Any]:
    return {
        "kind": made.kind,
        "factory": made.factory,
        "distribution": made.origin,
        "place": made.place,
        "made": made.made,
        "times": made.times,
    }


def _made(each: Any) -> list[object]:
    made = each.made or ("when a router starts" if each.kind == "audit" else "nothing")
    made = f"{made} (x {each.times})" if each.times > 1 else made
    return [each.kind, each.factory, each.origin, each.place, f"{each.seconds * 1000:.1f}", made]
