"""Tests use the router as its users do; what still reaches inside stands here, and can only become less."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / "tests"
OF_A_ROUTER = {"_snapshot", "_now", "_clock", "_events", "_engine", "_router", "_lifecycle", "_attempt"}
"""Where the parts hang on a router, its blocking twin, or a stream."""
LEFT = {
    "core/execution/test_charges.py": 3,  # `failing` decides who pays for a failover, and is shown nowhere
    "core/execution/test_hedging.py": 1,  # a budget without any retry left, and nothing that looks ill
    "core/execution/test_refusals.py": 1,  # `failing`
    "core/routing/test_full_names.py": 2,  # how many names are remembered
    "core/routing/test_patterns.py": 1,  # who is asked what it has in memory
    "core/routing/test_steady.py": 1,  # the pools of a router whose `reset` and `force_open` are called
    "core/test_event_log.py": 1,  # that nobody is told of a call, which would cost it time
    "core/test_sync_interrupts.py": 3,  # the thread of a blocking router, and how it ended
    "e2e/test_strategies.py": 2,  # a poll that otherwise comes 5 s later
}
"""By file, how often a test reaches into a router; why there is no other way."""
PUBLISHED = {"_request_id"}
"""Names of others that begin like private ones and are not: OpenAI's and Anthropic's SDKs document this one."""
ELSEWHERE = 127
"""How often tests reach into all else: transports, sinks, queues, the event loop."""


def private(tree: ast.Module) -> Iterator[str]:
    """The private attributes of other objects that a module reads or writes; not those of its own classes."""
    attributes = [each for each in ast.walk(tree) if isinstance(each, ast.Attribute)]
    own = {each.attr for each in attributes if _is_self(each.value)}
    own |= {each.name for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    for each in attributes:
        if re.match(r"_[a-z]", each.attr) and not _is_self(each.value) and each.attr not in own | PUBLISHED:
            yield each.attr


def _is_self(value: ast.expr) -> bool:
    return isinstance(value, ast.Name) and value.id in ("self", "cls")


def found() -> tuple[Counter[str], Counter[str]]:
    """By file: how often one reaches into a router, and into anything else."""
    router: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for path in sorted(ROOT.rglob("*.py")):
        for name in private(ast.parse(path.read_text("utf-8"))):
            (router if name in OF_A_ROUTER else other)[path.relative_to(ROOT).as_posix()] += 1
    return router, other


def test_nobody_reaches_into_a_router_who_is_not_named_here_with_the_reason() -> None:
    assert dict(found()[0]) == LEFT, "more: use what is public; less: lower the number"


def test_nobody_reaches_further_into_anything_else() -> None:
    assert found()[1].total() <= ELSEWHERE, found()[1]


def test_the_search_finds_what_is_private_of_others() -> None:
    tree = ast.parse(
        "class A:\n  def f(self): self._own; other._own\n\nr._snapshot.pools; r.status(); a._b._c"
    )

    assert sorted(private(tree)) == ["_b", "_c", "_snapshot"]
