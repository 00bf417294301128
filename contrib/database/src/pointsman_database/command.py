"""`pointsman db`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import print_json, print_table, say
from pointsman_database.address import read_address
from pointsman_database.migrations import State, state_of_nothing

if TYPE_CHECKING:
    from pointsman_database.components import Component
    from pointsman_database.database import Database


@click.group("db")
def command() -> None:
    """Look at the tables that pointsman keeps in a database, and bring them up to date."""


@command.command("migrate")
@config_option
@json_option
@pass_asked
def migrate(asked: Asked) -> None:
    """Bring the tables of all parts that the configuration uses up to date.

    A router does so by itself when it starts. Beforehand it is for who gives routers no right to change
    tables, and for a job that runs before many of them. To do it twice, or at once, does no harm.
    """
    done = []
    for use in _uses(asked):
        with closing(use.opened()) as database:
            done += [(use.shown, each) for each in database.migrate(use.component.name, use.component.folder)]
    if asked.json:
        print_json(
            [
                {"database": where, "component": each.component, "version": each.version, "name": each.name}
                for where, each in done
            ]
        )
        return
    for where, each in done:
        say(f"{where}: {each.component} {each.version:04} {each.name}")
    if not done:
        say("all tables are up to date")


@command.command("status")
@config_option
@json_option
@pass_asked
def status(asked: Asked) -> None:
    """Which version the tables are of that the configuration uses, and what `migrate` would do."""
    found = [(use.shown, use.state()) for use in _uses(asked)]
    if asked.json:
        print_json(
            [
                {
                    "database": where,
                    "component": each.component,
                    "version": each.version,
                    "known": each.known,
                    "waiting": each.waiting,
                }
                for where, each in found
            ]
        )
        return
    if not found:
        say("nothing that is configured keeps anything in a database")
        return
    print_table(
        ["database", "component", "version", "known", "waiting"],
        [(where, each.component, each.version, each.known, ", ".join(each.waiting)) for where, each in found],
    )


class _Use(Struct, frozen=True):
    """One component, and a database where it keeps something."""

    component: Component
    address: str
    directory: Path

    def opened(self) -> Database:
        from pointsman_database.database import Database

        return Database.open(self.address, self.directory)

    @property
    def shown(self) -> str:
        return read_address(self.address, self.directory).shown

    def state(self) -> State:
        """How it stands; a file that is not there is not made for that."""
        component = self.component
        address = read_address(self.address, self.directory)
        if address.file is not None and not address.file.exists():
            return state_of_nothing(address, component.name, component.folder)
        with closing(self.opened()) as database:
            return database.state(component.name, component.folder)


def _uses(asked: Asked) -> Iterator[_Use]:
    """What the configuration uses, in order.

    Raises: Failed (2) where there is no configuration, or an address is not to be had.
    """
    from pointsman.dry_run.configs import load_config
    from pointsman_cli.configured import config_file
    from pointsman_cli.errors import USAGE, Failed
    from pointsman_database.components import components

    file = config_file(asked, os.environ, Path())
    if file is None:
        raise Failed("there is no configuration, which says where the databases are", code=USAGE)
    config = load_config(file)  # without the keys of upstreams, which a job that migrates need not have
    for component in components():
        for address in dict.fromkeys(component.addresses(config)):
            if address.endswith(_NOT_SET):
                variable = address.removesuffix(_NOT_SET)
                raise Failed(
                    f"the database of {component.name} is at ${{{variable}}}, which is not set", code=USAGE
                )
            yield _Use(component, address, config.directory)


_NOT_SET = "-is-not-set-here"
"""What stands in for a variable that is not set."""
