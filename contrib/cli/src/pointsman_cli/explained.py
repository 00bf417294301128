"""A dry run in words: a headline, the candidates of each model in a table, what follows, what is sent."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from pointsman_cli.output import json_text, one_line, print_groups, print_table, print_text, say

_BETWEEN = "; also: "
"""Stands between the reasons of one deployment."""
_LONGEST = 400
"""Characters of a text that are shown of what would be sent."""


def print_explained(explained: Mapping[str, Any], *, process: str = "", wire: bool = False) -> None:
    """Print what `Explanation.to_dict` gave.

    Args:
        process: what stands before it, where there are several routers.
        wire: what would be sent, too.
    """
    say(f"{process}{': ' if process else ''}{_headline(explained)}")
    for line in _before(explained):
        say(line)
    _print_chain(explained["chain"])
    for line in _after(explained):
        say(line)
    if wire:
        _print_wire(explained)


def _headline(explained: Mapping[str, Any]) -> str:
    goes = f"a call for {explained['model']} goes"
    if explained["pick"] is not None:
        return f"{goes} to {explained['pick']}"
    if explained.get("waits"):
        return f"{goes} nowhere yet: it waits in line for room"
    return f"{goes} to nowhere: nothing would take it now"


def _before(explained: Mapping[str, Any]) -> Iterator[str]:
    """What stands before it, in words."""
    if (meant := explained.get("alias_of")) is not None:
        yield f"it is another name of {meant}"
    if (pattern := explained.get("pattern")) is not None:
        yield f"what holds for it is said of {pattern}"
    if guards := explained.get("guards"):
        yield f"it passes the guards {', '.join(guards)} first"
    if (selector := explained.get("selector")) is not None:
        models = (
            f"{each['model']}{'' if each['ready'] else ' (not ready)'}" for each in selector["candidates"]
        )
        yield (
            f"the selector {selector['selector']}, which was not asked, picks one of {', '.join(models)}; "
            f"this is for its default, {selector['default']}"
        )


def _print_chain(chain: Sequence[Mapping[str, Any]]) -> None:
    verdicts = [_verdicts(pool, first=n == 0) for n, pool in enumerate(chain)]
    if not sys.stdout.isatty():
        rows = [[pool["model"], *row[:2]] for pool, rows in zip(chain, verdicts, strict=True) for row in rows]
        print_table(["model", "deployment", "verdict"], rows)
        return
    from pointsman_cli.layout import Row

    scored = any(pool.get("scored_by") for pool in chain)
    groups = [
        (
            f"{pool['model']} ({pool['strategy']})",
            [
                Row([one_line(cell) for cell in (row if scored else row[:2])])
                for row in _spread(rows, _loads(pool))
            ],
        )
        for pool, rows in zip(chain, verdicts, strict=True)
    ]
    print_groups(["deployment", "verdict", *(["score"] if scored else [])], groups)
    for strategy, by in {
        pool["strategy"]: pool["scored_by"] for pool in chain if pool.get("scored_by")
    }.items():
        say(f"score of {strategy}: {by}")


def _spread(
    rows: Sequence[tuple[str, str, str]], loads: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str, str]]:
    """A row for each reason, and for each of `loads`: several would not fit into one."""
    for id, verdict, score in rows:
        first, *others = verdict.split(_BETWEEN)
        yield id, first, score
        yield from (("", each, "") for each in (*others, *loads.get(id, ())))


def _loads(pool: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """How busy each deployment is, and what is left of its limits, by its id."""
    return {each["id"]: [*_load(each)] for each in pool.get("candidates", ())}


def _load(candidate: Mapping[str, Any]) -> Iterator[str]:
    if candidate["in_flight"]:
        of = "" if candidate["places"] is None else f" of {candidate['places']}"
        yield f"{candidate['in_flight']}{of} in flight"
    for limit in candidate["limits"]:
        shared = "" if limit["name"].endswith(f" {candidate['id']}") else f" ({limit['name']})"
        for unit in ("requests", "tokens"):
            if (meter := limit[unit]) is not None:
                yield f"{meter['remaining']:,} of {meter['burst']:,} {unit} left{shared}"


def _verdicts(pool: Mapping[str, Any], *, first: bool) -> list[tuple[str, str, str]]:
    """Each deployment of the pool, those that could take the call before the others."""
    ready, refused = [], []
    told = {each["id"]: each for each in pool.get("candidates", ())}
    for id in pool["ready"]:
        each = told.get(id, {})
        without = f", without {', '.join(each['left_out'])}" if each.get("left_out") else ""
        verdict = "the pick" if id == pool["pick"] else "ready"
        ready.append((id, f"{verdict if first else 'ready, if all before fail'}{without}", _score(each)))
    for id, why in pool["refused"].items():
        each = told.get(id, {})
        reasons = [reason["text"] for reason in each.get("reasons", ())] or [why]
        refused.append((id, _BETWEEN.join(reasons), _score(each)))
    return [*sorted(ready, key=lambda row: not row[1].startswith("the pick")), *refused]


def _score(candidate: Mapping[str, Any]) -> str:
    score = candidate.get("score")
    return "" if score is None else f"{score:.4g}"


def _after(explained: Mapping[str, Any]) -> Iterator[str]:
    """What follows from it, in words."""
    if (error := explained.get("error")) is not None:
        yield f"it would end with {error['code']}: {error['message']}"
    attempts: Sequence[Mapping[str, Any]] = explained.get("attempts", ())
    if len(attempts) > 1:
        yield f"should it fail: {', then '.join(_in_order(attempts[1:]))}"
    elif attempts:
        yield "should it fail, nobody else is asked"
    if explained["pick"] is not None and explained.get("prompt_tokens"):
        cost = explained.get("cost_usd")
        price = "" if cost is None else f": about {cost:.2g} USD at most" if cost else ", free of charge"
        yield (
            f"about {explained['prompt_tokens']:,} tokens, "
            f"and {explained['answer_tokens']:,} kept for the answer{price}"
        )


def _in_order(attempts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each of them; the same one several times in a row is told once."""
    for (deployment, again), several in groupby(
        attempts, lambda each: (each["deployment"], each.get("again"))
    ):
        times = len([*several])
        yield f"{deployment}{' again' if again else ''}{f' ({times} times)' if times > 1 else ''}"


def _print_wire(explained: Mapping[str, Any]) -> None:
    wire = explained.get("wire")
    if wire is None:
        say(f"what would be sent is not known: {explained.get('unsent') or 'nobody is asked'}")
        return
    print_text(f"\n{wire['method']} {wire['url']}")
    for name, value in wire["headers"].items():
        print_text(f"{name}: {value}")
    print_text("")
    print_text(json_text(_shortened(wire["body"]), indent=2))


def _shortened(value: Any) -> Any:
    """`value` with long texts, such as pictures, cut."""
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"{value[:_LONGEST]}… ({len(value)} characters)"
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    return [_shortened(each) for each in value] if isinstance(value, list) else value
