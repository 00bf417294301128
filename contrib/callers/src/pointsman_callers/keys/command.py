"""`pointsman callers`: keys of callers, in the database that the configuration names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import UNSET

from pointsman_cli.errors import REFUSED, USAGE, Failed, confirm
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import print_json, print_table, print_text, say, shown_line

if TYPE_CHECKING:
    from pointsman_callers.keys.managing import KeyManager, Made
    from pointsman_callers.keys.wanted import Wanted

_ONCE = "This is the only time that the key is shown: what is kept of it would open nothing."


@click.group("callers")
def command() -> None:
    """Keys of callers: made, scoped, rotated, revoked.

    They are kept in the database that the section `callers` of the configuration names. Gateways that run on
    it see each change within a second; revoke says which have.
    """


def _scope_options(function: Any) -> Any:
    for option in reversed(
        [
            click.option(
                "--model", "models", metavar="NAME", help="May ask for it; without one all.", multiple=True
            ),
            click.option(
                "--surface",
                "surfaces",
                metavar="NAME",
                help="May speak this API, such as openai.",
                multiple=True,
            ),
            click.option(
                "--label", "labels", metavar="NAME=VALUE", help="What records say of it.", multiple=True
            ),
            click.option(
                "--require", "require", metavar="NAME=VALUE", help="What its calls must meet.", multiple=True
            ),
            *_limit_options(),
            click.option("--expires", metavar="WHEN", help="30d, or an instant such as 2027-01-31T12:00Z."),
            click.option("--operator", is_flag=True, help="It may run the router, too."),
        ]
    ):
        function = option(function)
    return function


def _limit_options() -> Sequence[Any]:
    return [
        click.option("--requests", metavar="RATE", multiple=True, help="At most: 1000/day."),
        click.option("--tokens", metavar="RATE", multiple=True, help="At most: 1M/day."),
        click.option("--money", metavar="RATE", multiple=True, help="At most: 10 USD/month."),
    ]


@command.command("add")
@click.argument("name")
@_scope_options
@config_option
@json_option
@pass_asked
def add(asked: Asked, /, name: str, **said: Any) -> None:
    """Make a key for the caller NAME, and show it, once."""
    with _manager(asked) as manager:
        _show_made(asked, manager, manager.add(_wanted(said, name), _maker()))


@command.command("list")
@config_option
@json_option
@pass_asked
def list_keys(asked: Asked) -> None:
    """All keys: whose they are, what they grant, when they were used."""
    with _manager(asked) as manager:
        found = manager.store.everything()
        said = [_shown(each.id, found, manager) for each in found.keys.values()]
    if asked.json:
        print_json(said)
        return
    print_table(
        ["id", "caller", "state", "models", "limits", "expires", "last used"],
        [
            (
                each["id"],
                each["name"],
                each["state"],
                "all" if each["models"] is None else ", ".join(each["models"]),
                ", ".join(text for texts in each["limits"].values() for text in texts),
                each["expires"] or "never",
                each["last_used"] or "never",
            )
            for each in said
        ],
    )


@command.command("show")
@click.argument("key")
@config_option
@json_option
@pass_asked
def show(asked: Asked, key: str) -> None:
    """What KEY, an id or the name of a caller, grants by now."""
    with _manager(asked) as manager:
        said = _one(manager, key)
    _show(asked, said)


@command.command("limits")
@click.argument("key")
@_scope_options
@config_option
@json_option
@pass_asked
def limits(asked: Asked, /, key: str, **said: Any) -> None:
    """Have KEY grant something else, from now on. `none` takes the limits of a unit away: --tokens none."""
    with _manager(asked) as manager:
        id = manager.one(key)[0].id
        change = manager.rescope(id, _wanted(said), _maker())
        _tell(asked, manager, change, {"caller": _one(manager, id)})


@command.command("rotate")
@click.argument("key")
@click.option("--overlap", default="1d", show_default=True, help="For how long the former key is good still.")
@config_option
@json_option
@pass_asked
def rotate(asked: Asked, key: str, overlap: str) -> None:
    """Make KEY anew, and show it, once. The id stays, and with it what was used of its limits."""
    from pointsman.units import parse_duration

    try:
        seconds = parse_duration(overlap)
    except ValueError as error:
        raise click.UsageError(f"--overlap: {error}") from None
    with _manager(asked) as manager:
        _show_made(asked, manager, manager.rotate(manager.one(key)[0].id, seconds, _maker()))


@command.command("revoke")
@click.argument("key")
@config_option
@json_option
@pass_asked
def revoke(asked: Asked, key: str) -> None:
    """End KEY, and the keys that were made with it; wait until the gateways that run have heard of it."""
    with _manager(asked) as manager:
        id = manager.one(key)[0].id
        change = manager.revoke(id, _maker())
        _tell(asked, manager, change, {"caller": _one(manager, id)})


@command.command("export")
@click.argument("key")
@config_option
@json_option
@pass_asked
def export(asked: Asked, key: str) -> None:
    """All that is kept of a caller, as JSON: keys, spend, records, as far as what keeps them is installed."""
    from pointsman_callers.keys.belongings import exported

    with _manager(asked) as manager:
        found, _ = manager.one(key)
        said = _one(manager, found.id)
    print_json({"caller": found.name, "key": said, **exported(_config(asked), found.name, found.id)})


@command.command("erase")
@click.argument("key")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@json_option
@pass_asked
def erase(asked: Asked, key: str, yes: bool) -> None:
    """End KEY and remove what is kept of its caller. Sums stay, without a name."""
    from pointsman_callers.keys.belongings import erased

    with _manager(asked) as manager:
        found, _ = manager.one(key)
        if not yes:
            confirm(f"Erase the key {found.id} of {shown_line(found.name)} and its records?")
        change = manager.erase(found.id, _maker())
        gone = erased(_config(asked), found.name, found.id)
        _tell(asked, manager, change, {"id": found.id, "erased": gone})


# ── what they share ──────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _manager(asked: Asked) -> Iterator[KeyManager]:
    """The keys of the configuration; what goes wrong with them is a failure of the command."""
    from pointsman.plugin import InvalidRequest
    from pointsman_callers.keys.managing import KeyManager, NoSuchKey, NotYours
    from pointsman_callers.keys.service import configured_names, opened, surfaces_of
    from pointsman_callers.keys.store import NameTaken

    config = _config(asked)
    settings = _settings(config)
    store, pepper = opened(settings, config.directory)
    try:
        yield KeyManager(
            store, pepper, reserved=configured_names(config.sections), surfaces=surfaces_of(config)
        )
    except InvalidRequest as error:
        raise Failed(error.message, code=USAGE) from None
    except NoSuchKey as error:
        raise Failed(f"no key has the id or the name {shown_line(str(error))!r}", code=USAGE) from None
    except NameTaken:
        raise Failed("another key that is good has that name; rotate it, or revoke it first") from None
    except NotYours as error:
        raise Failed(str(error), code=REFUSED) from None
    finally:
        store.database.close()


def _config(asked: Asked) -> Any:
    from pointsman.build.loading import as_config
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed("there is no configuration, which says where keys are kept", code=USAGE)
    return as_config(file)


def _settings(config: Any) -> Any:
    from pointsman_callers.keys.service import CallersSettings

    if "callers" not in config.sections:
        raise Failed(
            "the configuration keeps no keys of callers. Add: callers: {database: ./pointsman.db}", code=USAGE
        )
    found: list[Any] = []
    settings = config.validate_settings(
        CallersSettings, config.sections["callers"] or {}, ("callers",), found
    )
    if settings is None:
        raise config.error(found)
    return settings


def _maker() -> Any:
    from pointsman_callers.keys.managing import Maker

    return Maker("the command line")


def _wanted(said: Mapping[str, Any], name: str | None = None) -> Wanted:
    """What the options say; those that nobody wrote say nothing."""
    from pointsman_callers.keys.wanted import UNITS, Wanted

    limits: dict[str, str | list[str] | None] = {}
    for unit in UNITS:
        if texts := list(said.get(unit) or ()):
            limits[unit] = None if texts == ["none"] else texts
    require: dict[str, Any] = {}
    for label, value in _pairs("--require", said["require"]):
        require.setdefault(label, []).append(value)
    return Wanted(
        name=UNSET if name is None else name,
        models=list(said["models"]) or UNSET,
        surfaces=list(said["surfaces"]) or UNSET,
        operator=True if said["operator"] else UNSET,
        labels=dict(_pairs("--label", said["labels"])) or UNSET,
        require=require or UNSET,
        limits=limits or UNSET,
        expires=said["expires"] if said["expires"] is not None else UNSET,
    )


def _pairs(option: str, texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    for each in texts:
        label, equals, value = each.partition("=")
        if not equals or not label.strip():
            raise click.UsageError(f"{option}: expected NAME=VALUE, such as team=qa")
        yield label.strip(), value.strip()


def _one(manager: KeyManager, key: str) -> dict[str, Any]:
    found, all_keys = manager.one(key)
    return _shown(found.id, all_keys, manager)


def _shown(id: str, found: Any, manager: KeyManager) -> dict[str, Any]:
    from pointsman_callers.keys.managing import shown

    return shown(found.keys[id], found.keys, manager.wall())


def _show(asked: Asked, said: Mapping[str, Any]) -> None:
    if asked.json:
        print_json(said)
        return
    for name, value in said.items():
        if value not in (None, [], {}):
            print_text(f"{name.replace('_', ' ') + ':':<12} {_text(value)}")


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def _show_made(asked: Asked, manager: KeyManager, made: Made) -> None:
    from pointsman_callers.keys.managing import announced_as

    announced = announced_as(manager.announced(made.change))
    if asked.json:
        print_json({**announced, "key": made.text, "caller": _one(manager, made.key.id)})
        return
    if sys.stdout.isatty():
        say(_ONCE)
    print_text(made.text)
    _say_waiting(announced)


def _tell(asked: Asked, manager: KeyManager, change: int, more: Mapping[str, Any]) -> None:
    from pointsman_callers.keys.managing import announced_as

    announced = announced_as(manager.announced(change))
    if asked.json:
        print_json({**announced, **more})
        return
    count, ms = len(announced["seen_by"]), announced["ms"]
    who = "gateway goes" if count == 1 else "gateways go"
    say(f"done; {count} running {who} by it after {ms:.0f} ms")
    _say_waiting(announced)


def _say_waiting(announced: Mapping[str, Any]) -> None:
    for each in announced["waiting_for"]:
        say(f"{each} has not said within a second that it goes by it")
    for each in announced["silent"]:
        say(f"{each} has said nothing for a while; if it still runs, end it")
