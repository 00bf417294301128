"""The demo's account for a person: tables at a terminal, lines with tabs elsewhere."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from pointsman_cli.demo.scene import ACTORS, ACTS, LOST, STRATEGIES
from pointsman_cli.output import print_prose, print_table, print_text

if TYPE_CHECKING:
    from pointsman_cli.demo.account import Account

_BAR = 24
_WIDE = 100
_COLUMNS = ["deployment", *(act.name for act in ACTS), "total", "first token"]


def show(account: Account) -> None:
    """Everything that happened, on stdout."""
    print_prose(_headline(account))
    print_text("")
    _show_strategies(account)
    _show_servers(account)
    print_text("")
    _show_breakers(account)
    print_text("")
    for claim, holds in account.claims().items():
        print_text(f"{'yes' if holds else 'NO '}  {claim}")
    for line in account.failed[:20]:
        print_text(f"     {line}")


def _headline(account: Account) -> str:
    return (
        f"{account.requests} requests over HTTP in {account.seconds:.1f} s (seed {account.seed}): "
        f"{len(account.failed)} failed, {account.failovers} moved to another deployment. "
        f"{account.streams} were streams, {account.tool_calls} ended in tool calls, "
        f"{account.embeddings} were embeddings.\n"
        f"{LOST} was killed with {account.killed_with} requests in its hands, and came back. "
        "How many answers came from where, before and after:"
    )


def _show_strategies(account: Account) -> None:
    for strategy in STRATEGIES:
        if sys.stdout.isatty():
            _show_strategy(account, strategy)
            print_text("")
    if not sys.stdout.isatty():
        rows = [[strategy, *row] for strategy in STRATEGIES for row in _rows(account, strategy)]
        print_table(["strategy", *_COLUMNS], rows)
        print_text("")


def _show_strategy(account: Account, strategy: str) -> None:
    rows = _rows(account, strategy)
    title = strategy
    if strategy == "weighted":
        title += f", by {' : '.join(str(actor.weight) for actor in ACTORS)}"
    if get_terminal_size().columns < _WIDE:
        print_table(_COLUMNS, rows, title=title)
        return
    most = max(account.total(strategy).values(), default=1)
    bars = ["█" * round(int(str(row[-2])) * _BAR / most) for row in rows]
    print_table([*_COLUMNS, ""], [[*row, bar] for row, bar in zip(rows, bars, strict=True)], title=title)


def _rows(account: Account, strategy: str) -> list[list[object]]:
    """Per deployment the answers in each act, all answers, and the time to the first token."""
    total = account.total(strategy)
    first_token = account.median_first_token_ms()
    chats = [f"{actor.type}/{actor.chat}" for actor in ACTORS]
    rows: list[list[object]] = []
    for id in [*chats, *sorted(set(total) - set(chats))]:
        acts = [account.strategies[strategy][act.name][id] for act in ACTS]
        ms = first_token.get(id)
        rows.append([id, *acts, total[id], "" if ms is None else f"{ms:.0f} ms"])
    return rows


def _show_servers(account: Account) -> None:
    rows = [
        [name, account.upstream_seen[name], done, account.ok_attempts[name], account.failed_attempts[name]]
        for name, done in account.upstream_completed.items()
    ]
    columns = ["server", "requests it saw", "it answered", "answers at the router", "failed attempts"]
    print_table(columns, rows)


def _show_breakers(account: Account) -> None:
    rows = [
        [f"{each['at']:.2f}", each["deployment"], each["from"], each["to"], each["reason"]]
        for each in account.transitions
    ]
    print_table(["after s", "circuit breaker of", "from", "to", "because"], rows)
