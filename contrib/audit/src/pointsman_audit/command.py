"""`pointsman audit`: records looked at, checked, counted, handed on and erased, wherever they are."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

from pointsman_cli.errors import FAILED, USAGE, Failed, confirm
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import (
    counted,
    json_text,
    plain,
    print_json,
    print_json_line,
    print_table,
    print_text,
    say,
    say_over,
    shown_line,
)

if TYPE_CHECKING:
    from pointsman.audit_log.chain import AuditKeys
    from pointsman.audit_log.verify import Verification
    from pointsman_audit.asking import Wanted
    from pointsman_audit.sources import Found, Place, Source

F = TypeVar("F", bound=Callable[..., Any])
KEY_VARIABLE = "POINTSMAN_AUDIT_KEY"
_LONG = 4 << 20
"""Bytes from which on it is shown how far one has come."""
_LOOK_EVERY = 0.25
"""Seconds between two looks for what is new."""


def _instant(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    """Seconds since 1970, for `10m` (ago) or `2026-11-30 14:00`."""
    if text is None:
        return None
    from pointsman.units import parse_duration

    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        try:
            return time.time() - parse_duration(text)
        except ValueError:
            raise click.BadParameter(
                f"{text!r} is neither a time ago, such as 10m, nor a date and time, such as 2026-11-30 14:00"
            ) from None


def _age(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    from pointsman.units import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _size(_ctx: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        return None if text is None else int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        raise click.BadParameter(f"{text!r} is no size, such as 1GiB") from None


_TIMES = (
    click.option(
        "--since", metavar="TIME", callback=_instant, help="From then on: 10m (ago), or a date and time."
    ),
    click.option("--until", metavar="TIME", callback=_instant, help="Before then: as --since."),
)
_FILTERS = (
    click.option("--caller", metavar="NAME", default="", help="Only of this caller."),
    click.option("-m", "--model", metavar="NAME", default="", help="Only of this model."),
    click.option("-d", "--deployment", metavar="ID", default="", help="Only of this deployment."),
    click.option(
        "--outcome", metavar="WORD", default="", help="Only with this: ok, error, cancelled, overload …"
    ),
    click.option(
        "--event", metavar="WORD", default="", help="Only of this kind: request, attempt, refused …"
    ),
    click.option("--error", metavar="CODE", default="", help="Only with this error."),
    click.option("--request", "request_id", metavar="ID", default="", help="Only of this request."),
    *_TIMES,
)
_PLACE = click.argument("place", required=False, metavar="[PLACE]")


def _with(options: Sequence[Callable[[F], F]]) -> Callable[[F], F]:
    def add(function: F) -> F:
        for each in reversed(options):
            function = each(function)
        return function

    return add


def _wanted(**given: Any) -> Wanted:
    from pointsman_audit.asking import Wanted

    return Wanted(**{name: value for name, value in given.items() if value is not None})


@click.group("audit")
@config_option
@json_option
def command() -> None:
    """Look at audit records, check them, hand them on.

    PLACE is a folder of JSON lines, one such file, a file of SQLite, or postgresql://…; without one it is
    where the configuration has records written.
    """


# ── looking ──────────────────────────────────────────────────────────────────────────────────────────


@command.command(short_help="Find records.")
@_PLACE
@_with(_FILTERS)
@click.option(
    "-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many."
)
@config_option
@json_option
@pass_asked
def query(asked: Asked, /, place: str | None, limit: int, **filters: Any) -> None:
    """Show the latest records that are wanted, the oldest of them first."""
    from pointsman_audit.shown import COLUMNS, cells_of

    with _source(asked, place) as source:
        latest, before = source.latest(_wanted(**filters), limit)
    if asked.json:
        for each in reversed(latest):
            print_json_line(each.record)
        return
    print_table(COLUMNS, [cells_of(each.facts) for each in reversed(latest)])
    if sys.stdout.isatty() and before:
        say(f"there are more; --limit {limit * 10} shows more of them")


@command.command(short_help="Show the latest records, and follow.")
@_PLACE
@_with(_FILTERS)
@click.option(
    "-n", "number", type=click.IntRange(0, 100_000), default=10, show_default=True, help="How many."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@config_option
@json_option
@pass_asked
def tail(asked: Asked, /, place: str | None, number: int, follow: bool, **filters: Any) -> None:
    """Show the latest records, a line each; with -f also those to come, until Ctrl-C."""
    wanted = _wanted(**filters)
    with _source(asked, place) as source:
        coming = source.followed(wanted)
        if follow:
            next(coming)  # where it begins is settled before the others are read, so that none falls between
        latest, _ = source.latest(wanted, number) if number else ((), "")
        seen = {(each.place, each.facts.seq) for each in latest}
        for each in reversed(latest):
            _tell(asked, each)
        for more in coming if follow else ():
            if more is None:
                sys.stdout.flush()
                time.sleep(_LOOK_EVERY)
            elif (more.place, more.facts.seq) not in seen:
                _tell(asked, more)


def _tell(asked: Asked, each: Found) -> None:
    from pointsman_audit.shown import line_of

    if asked.json:
        print_json_line(each.record)
    else:
        print_text(shown_line(line_of(each.facts, each.record)))


@command.command(short_help="Count records.")
@_PLACE
@_with(_FILTERS)
@config_option
@json_option
@pass_asked
def stats(asked: Asked, /, place: str | None, **filters: Any) -> None:
    """Count records by event, caller, model and day; say how many are missing, and their size."""
    from pointsman_audit.counting import counted as counts

    with _source(asked, place) as source:
        said = {
            "place": source.shown,
            "bytes": source.size_bytes(),
            **counts(source.records(_wanted(**filters))),
        }
    if asked.json:
        print_json(said)
        return
    from pointsman.units import format_size

    print_text(f"{said['place']}: {counted(said['records'], 'record')}, {format_size(said['bytes'])}")
    if said["first"]:
        print_text(f"from {said['first']} to {said['last']}")
    if said["missing"]:
        print_text(f"{counted(said['missing'], 'record')} missing, as gaps say")
    print_table(("event", "records"), said["events"].items(), title="events")
    print_table(("day", "records"), said["days"].items(), title="days")
    for name in ("callers", "models"):
        rows = [(_named(key), *_sums(of)) for key, of in said[name].items()]
        print_table((name[:-1], "requests", "errors", "refused", "tokens", "USD"), rows, title=name)


def _named(key: str) -> str:
    return key or "(nobody)"


def _sums(of: dict[str, int]) -> tuple[object, ...]:
    from pointsman.values.usd import usd

    tokens = of.get("prompt_tokens", 0) + of.get("completion_tokens", 0)
    refused, cost = of.get("refused", 0), of.get("cost_microcents", 0)
    return of.get("requests", 0), of.get("errors", 0), refused, tokens, usd(cost)


# ── checking ─────────────────────────────────────────────────────────────────────────────────────────

_CHECKPOINTS = click.option(
    "--checkpoints", metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
    help="Where the checkpoints of the log are.",
)  # fmt: skip
_KEY = click.option(
    "--key-file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="The key of the log; else what $POINTSMAN_AUDIT_KEY holds.",
)  # fmt: skip


def _folder(given: Path | None, place: Place) -> Path | None:
    """Where checkpoints are. Raises Failed (2): without them nothing would be compared, and all seem well."""
    folder = given or place.checkpoints()
    if folder is not None and not folder.is_dir():
        raise Failed(f"there are no checkpoints at {folder}", code=USAGE)
    return folder


def _keys(key_file: Path | None, place: Place) -> AuditKeys:
    """As said here, or as the configuration says it of the place."""
    from pointsman.audit_log.chain import AuditKeys

    if key_file is None and KEY_VARIABLE not in os.environ:
        return place.keys()
    try:
        key = os.environ.get(KEY_VARIABLE, "").encode() if key_file is None else key_file.read_bytes().strip()
    except OSError as error:
        raise Failed(f"the key cannot be read: {error}", code=USAGE) from None
    return AuditKeys((key,) if key else ())


@command.command(short_help="Check that records are as they were written.")
@_PLACE
@_CHECKPOINTS
@_KEY
@config_option
@json_option
@pass_asked
def verify(asked: Asked, /, place: str | None, checkpoints: Path | None, key_file: Path | None) -> int | None:
    """Check every record, every link between them, and what checkpoints say of them.

    It ends with 0 where all is as it was written, with 1 where something is not, and says which number is the
    first that cannot be trusted; with 2 where nothing can be read, or not without a key that nobody gave.
    """
    from pointsman_audit.checking import verified

    codes = set[int]()
    for each in _places(asked, place):
        bar = Bar("verifying", quiet=asked.json)
        source = _opened(each)
        try:
            told = _folder(checkpoints, each)
            found = verified(source, keys=_keys(key_file, each), checkpoints=told, progress=bar)
        finally:
            bar.over()
            source.close()
        codes.add(_code(found))
        if asked.json:
            print_json_line({"place": source.shown, "ok": found.ok, "records": found.records, **plain(found)})
        else:
            _tell_verification(source.shown, found)
    return FAILED if FAILED in codes else max(codes) or None


def _code(found: Verification) -> int:
    """What `verify` ends with: a log that cannot be read without its key is not known to be wrong."""
    if any(each.kind != "no_key" for each in found.findings):
        return FAILED
    return 0 if found.ok and (found.files or found.checkpoints) else USAGE


def _tell_verification(place: str, found: Verification) -> None:
    erased, gaps = sum(each.erased for each in found.files), sum(each.gaps for each in found.files)
    keyed = "with a key" if found.files and all(each.keyed for each in found.files) else "without a key"
    print_text(f"{place}: {counted(found.records, 'record')} in {counted(len(found.files), 'file')}, {keyed}")
    if erased:
        print_text(f"  {counted(erased, 'record')} erased since")
    if gaps:
        print_text(f"  {counted(gaps, 'record')} missing, by the log's own account")
    for each in found.findings:
        since = f"from number {each.seq} on: " if each.seq else ""
        print_text(f"  {each.file}: {since}{shown_line(each.text)}")
    if found.checkpoints:
        print_text(f"  {counted(found.checkpoints, 'checkpoint')} compared")
    elif found.compared:
        print_text("  no checkpoint is there: an end that was cut off could not be seen")
    code = _code(found)
    if code == FAILED:
        print_text("  NOT as it was written")
    elif not found.ok:
        print_text(f"  cannot be verified without its key: --key-file, or ${KEY_VARIABLE}")
    else:
        print_text("  there is nothing to verify" if code else "  as it was written")


# ── handing on, and erasing ──────────────────────────────────────────────────────────────────────────


@command.command(short_help="Write records to a file.")
@_PLACE
@_with(_FILTERS)
@click.option("-o", "--output", metavar="FILE", help="Where to; stdout by default. It must not be there yet.")
@config_option
@json_option
@pass_asked
def export(asked: Asked, /, place: str | None, output: str | None, **filters: Any) -> None:
    """Write the records that are wanted as JSON lines, as they are kept.

    `--caller ci` gives all that is recorded of a caller, for who asks what is known of them.
    """
    count = 0
    with _source(asked, place) as source, _written(output) as write:
        for each in source.records(_wanted(**filters)):
            write(each.line)
            count += 1
    if asked.json and output:
        print_json({"place": source.shown, "records": count, "output": output})
    else:
        say(f"{counted(count, 'record')} of {source.shown}" + (f" to {output}" if output else ""))


@contextmanager
def _written(output: str | None) -> Iterator[Callable[[bytes], None]]:
    if output is None:
        yield lambda line: click.echo(json_text(_decoded(line)))
        return
    try:
        file: IO[bytes] = open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")  # noqa: SIM115
    except FileExistsError:
        raise Failed(f"{output} is there already", code=USAGE) from None
    with file:
        yield lambda line: _keep(file.write(line + b"\n"))


def _keep(_written_bytes: int) -> None:
    """What a write returns is of no interest."""


def _decoded(line: bytes) -> Any:
    from pointsman_audit.rows import record_in

    return record_in(line)


@command.command(short_help="Erase what records of a caller say.")
@_PLACE
@click.option("--caller", metavar="NAME", required=True, help="Whose.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_KEY
@config_option
@json_option
@pass_asked
def erase(asked: Asked, /, place: str | None, caller: str, yes: bool, key_file: Path | None) -> int | None:
    """Erase what the records of a caller say, everywhere. This cannot be taken back.

    That there was a record, of which kind, when and under which number stays, and the chain still verifies. A
    file that is being written is left, and named: ask again when it is over.
    """
    from pointsman_audit.erasing import erase as erased

    if not caller:
        raise click.UsageError("--caller takes a name")
    places = _places(asked, place)
    if not yes:
        confirm(f"Erase all that is recorded of {shown_line(caller)}?")
    count, left = 0, list[str]()
    for each in places:
        source = _opened(each)
        try:
            done = erased(source, caller, time.time(), _keys(key_file, each))
        finally:
            source.close()
        count += done.records
        left += [f"{source.shown}: {why}" for why in done.left]
    if asked.json:
        print_json({"caller": caller, "records": count, "left": left})
    else:
        print_text(f"{counted(count, 'record')} of {shown_line(caller)} erased")
        for why in left:
            say(f"left: {why}")
    return FAILED if left else None


@command.command(short_help="Let go what is old, or too much.")
@_PLACE
@click.option("--older", metavar="TIME", callback=_age, help="What has nothing younger, such as 90d.")
@click.option(
    "--larger", metavar="SIZE", callback=_size, help="What is beyond it, such as 1GiB; the oldest go."
)
@_CHECKPOINTS
@_KEY
@config_option
@json_option
@pass_asked
def prune(
    asked: Asked,
    /,
    place: str | None,
    older: float | None,
    larger: int | None,
    checkpoints: Path | None,
    key_file: Path | None,
) -> None:
    """Delete whole files, or whole chains of a table, so that the rest still verifies.

    What a process still writes stays. Where the log has checkpoints, it is told there that the files went.
    """
    if older is None and larger is None:
        raise click.UsageError("say --older, or --larger, or both")
    where = _places(asked, place)[0]
    source = _opened(where)
    try:
        went = source.prune(
            time.time,
            age=older,
            size_bytes=larger,
            checkpoints=_folder(checkpoints, where),
            key=next(iter(_keys(key_file, where).roots), b""),
        )
    finally:
        source.close()
    if asked.json:
        print_json({"place": source.shown, "went": went})
        return
    for name in went:
        print_text(f"{shown_line(name)} went")
    say(f"{counted(len(went), 'file')} of {source.shown} went")


@command.command(short_help="Write an export that somebody else can verify.")
@_PLACE
@click.option("-o", "--output", metavar="PLACE", required=True, help="A folder, or a .zip; not there yet.")
@_CHECKPOINTS
@_with(_TIMES)
@config_option
@json_option
@pass_asked
def evidence(
    asked: Asked, /, place: str | None, output: str, checkpoints: Path | None, **times: float | None
) -> None:
    """Write records, checkpoints, a verifier that needs nothing but Python, and how to use it.

    Chains go in whole where any of their records is of that time: a part would not verify.
    """
    from pointsman_audit.evidence import evidence as pack

    given = {name: value for name, value in times.items() if value is not None}
    told = _folder(checkpoints, _places(asked, place)[0])
    with _source(asked, place) as source:
        try:
            packed = pack(source, Path(output), checkpoints=told, **given)
        except FileExistsError as error:
            raise Failed(str(error), code=USAGE) from None
    if asked.json:
        print_json({"output": output, **plain(packed)})
    else:
        print_text(f"{output}: {counted(packed.records, 'record')} in {counted(packed.files, 'file')}")


# ── where ────────────────────────────────────────────────────────────────────────────────────────────


def _places(asked: Asked, named: str | None) -> Sequence[Place]:
    """Where records are: as named, or as the configuration has it. Raises Failed (2) for nowhere."""
    from pointsman.errors import ConfigError
    from pointsman_audit.sources import place_named, with_settings

    if named is not None:
        place = place_named(named, Path())
        try:
            return [with_settings(place, _configured(asked))]
        except ConfigError:  # records can be read whatever is wrong with a configuration
            return [place]
    places = _configured(asked)
    if not places:
        raise Failed(
            "the configuration keeps no records that can be read again; name a folder, a file or an address, "
            "or write `audit: [{type: jsonl, path: ./audit}]`",
            code=USAGE,
        )
    return places


def _configured(asked: Asked) -> Sequence[Place]:
    """Where the configuration has records written, as far as there is one."""
    from pointsman.config.one_key import one_key
    from pointsman_audit.sources import places_in
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    return () if file is None else one_key(file, "audit", places_in) or ()


@contextmanager
def _source(asked: Asked, named: str | None) -> Iterator[Source]:
    """The first place that there is."""
    source = _opened(_places(asked, named)[0])
    try:
        yield source
    finally:
        source.close()


def _opened(place: Place) -> Source:
    try:
        return place.open()
    except OSError as error:
        raise Failed(str(error), code=USAGE) from None


class Bar:
    """How far one has come, on stderr and at a terminal alone."""

    def __init__(self, what: str, *, quiet: bool) -> None:
        self._what = what
        self._quiet = quiet or not sys.stderr.isatty()
        self._said = -1

    def __call__(self, done: int, whole: int) -> None:
        percent = min(100, done * 100 // max(1, whole))
        if not self._quiet and whole >= _LONG and percent != self._said:
            self._said = percent
            say_over(f"{self._what}: {percent} %")

    def over(self) -> None:
        """The line is free again."""
        if not self._quiet and self._said >= 0:
            say_over("")
