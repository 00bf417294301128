"""`pointsman explain --replay`: what a configuration decides otherwise, told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from pointsman.dry_run.configs import load_config
from pointsman_cli.configured import keyless_configuration
from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked
from pointsman_cli.output import print_json, print_table, say, shown_line
from pointsman_forecast.command import quiet
from pointsman_forecast.records import BrokenLine, Log, read_log
from pointsman_forecast.replay import Change, Replay, replay

_EXAMPLES = 5
_ENDS = 12
_BROKEN = 5
"""Lines that could not be read and are told."""


def print_replay(asked: Asked, files: Sequence[str], than: str | None) -> None:
    """Replay the logs in `files` and print what is otherwise than they tell, or than the file `than` decides.

    Raises: ConfigError; Failed (2) for a log that is not there, or has no request.
    """
    config = asyncio.run(keyless_configuration(asked))
    other = None if than is None else load_config(than)
    try:
        log = read_log(files)
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}", code=USAGE) from None
    if not log.requests:  # or the wrong file would be one that changes nothing
        for line in _skipped(() if asked.json else log.broken):
            say(line)
        raise Failed(f"no request is recorded in {' and '.join(files)}", code=USAGE)
    with quiet(asked):
        found = replay(config, log, than=other)
    if asked.json:
        told = found.to_dict()
        broken = [{"file": each.file, "line": each.line, "why": each.why} for each in log.broken]
        print_json({"files": log.files, "missing": log.missing, "broken": broken, **told})
        return
    for line in _read(log, found):
        say(shown_line(line))
    for line in _summary(found, "the log" if than is None else than):
        say(shown_line(line))
    if found.moves:
        print_table(["from", "to", "requests"], found.moves)
        sys.stdout.flush()  # before what is said of it
    for line in _details(found, by_chance=than is None):
        say(shown_line(line))


def _read(log: Log, found: Replay) -> Iterator[str]:
    when = ""
    if log.requests:
        first, last = (_minute(log.requests[at].began) for at in (0, -1))
        when = f", from {first} to {last} UTC"
    files = f"{len(log.files)} file{'' if len(log.files) == 1 else 's'}"
    yield f"read {len(log.requests):,} requests of {files}{when}"
    if found.left_out:
        yield f"{found.left_out:,} of them never reached a deployment, and are left out"
    if log.missing:
        yield f"{log.missing:,} records are missing, as the log itself says"
    yield from _skipped(log.broken)


def _skipped(broken: Sequence[BrokenLine]) -> Iterator[str]:
    for each in broken[:_BROKEN]:
        yield f"skipped {each}"
    if len(broken) > _BROKEN:
        yield f"skipped {len(broken) - _BROKEN:,} more lines"


def _minute(wall: float) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M")


def _summary(found: Replay, than: str) -> Iterator[str]:
    changed, share = len(found.changes), len(found.changes) / max(1, found.requests)
    yield f"{changed:,} of {found.requests:,} requests ({share:.1%}) would end elsewhere than in {than}"
    for end, (before, after) in [*found.answered.items()][:_ENDS]:
        yield f"  {end}: {before:,} before, {after:,} after"
    yield f"errors: {found.errors_before:,} before, {found.errors_after:,} after"
    if found.cost_before_usd or found.cost_after_usd:
        more = found.cost_after_usd - found.cost_before_usd
        yield (
            f"cost: {found.cost_before_usd:.4f} USD before, {found.cost_after_usd:.4f} USD after "
            f"({more:+.4f}), of what is known in both"
        )


def _details(found: Replay, *, by_chance: bool) -> Iterator[str]:
    if found.changes:
        yield "for example:"
        yield from (f"  {_example(each)}" for each in found.changes[:_EXAMPLES])
    if found.drawn:
        few = ", ".join(found.drawn)
        yield f"the log has too few answers of {few}: they are drawn as is usual for the type"
    if found.changes and by_chance:
        yield "some differ by chance where strategies take turns: --than CONFIG compares two configurations"


def _example(change: Change) -> str:
    before, after = (" → ".join([*each.path, *_error(each.end)]) for each in (change.before, change.after))
    return f"{change.request_id} ({change.model}): {before or 'nowhere'}; now {after or 'nowhere'}"


def _error(end: str) -> list[str]:
    return [end] if end.startswith("(") else []
