"""Sections and commands that are wrong in one thing."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any, ClassVar

import click
from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from cases import leave_a_thread, wrong
from pointsman.plugin import SectionFactory
from pointsman.testing.contract import CommandContract, SectionContract

# ── sections ─────────────────────────────────────────────────────────────────────────────────────────


class SectionTests(SectionContract):
    values = ({"path": "a.json"}, {})

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"factory": SectionFactory("spending", plugin)}


class Spending(BaseModel):
    """Settings of a section, rightly."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    tried_by: ClassVar = SectionTests

    path: str = "spending.json"


@wrong("SECTION-01", "It claims a key of the router's.", factory=SectionFactory("models", Spending))
class ClaimsModels(Spending):
    pass


@wrong("SECTION-01", "Its key has a space in it.", factory=SectionFactory("our spending", Spending))
class SpacedName(Spending):
    pass


@wrong("SECTION-02", "It does not take what its author shows.", "SECTION-07", "SECTION-08", "SECTION-09")
class Needs(Spending):
    other: int


@wrong("SECTION-03", "It takes settings that it does not know.", "SECTION-04")
class LooseSection(Spending):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


@wrong("SECTION-04", "It shows what it refuses.")
class ShowingSection(Spending):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=False)


@wrong("SECTION-05", "The token of its server is a text like any other.")
class PlainToken(Spending):
    token: str = ""


@wrong("SECTION-06", "It looks at settings before it knows what they are.")
class LooksTooSoon(Spending):
    @model_validator(mode="before")
    @classmethod
    def look(cls, value: Any) -> Any:
        return dict(value.items())


@wrong("SECTION-06", "A path that is none ends with an error of Python's.")
class LooksAtPaths(Spending):
    @field_validator("path", mode="before")
    @classmethod
    def look(cls, value: Any) -> Any:
        return value.strip()


@wrong("SECTION-07", "Its settings are others each time.")
class Counting(Spending):
    count: ClassVar = itertools.count()
    number: int = -1

    @model_validator(mode="after")
    def counted(self) -> Any:
        self.number = next(self.count)
        return self


@wrong("SECTION-07", "It takes what it reads out of the configuration.", "SECTION-03", "SECTION-04")
class TakesAway(Spending):
    @model_validator(mode="before")
    @classmethod
    def take(cls, value: Any) -> Any:
        return {"path": value.pop("path")} if isinstance(value, dict) and "path" in value else value


@wrong("SECTION-08", "It opens its file to see whether that can be done.", "SECTION-06")
class OpensItsFile(Spending):
    @field_validator("path")
    @classmethod
    def look(cls, value: str) -> str:
        try:
            with Path(value).open():
                return value
        except FileNotFoundError:
            return value


@wrong("SECTION-09", "Nobody can say what may stand there.")
class Indescribable(Spending):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    hook: threading.Event | None = None


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────


class CommandTests(CommandContract):
    name = "hello"
    works = ((), ("--times", "2"))
    fails = (("--times", "many"), ("--times", "-1"))


def hello(times: int) -> None:
    """Say hello."""
    if times < 0:
        raise click.ClickException("say hello at least 0 times")
    for _ in range(times):
        click.echo("hello")


def command(
    callback: Any = hello, *, name: str = "hello", help: str | None = "Say hello.", **more: Any
) -> Any:
    return click.Command(
        name, callback=callback, help=help, params=[click.Option(["--times"], type=int, default=1)], **more
    )


@wrong("COMMAND-01", "It has another name than its entry point.", command=command(name="hallo"))
class OtherName(CommandTests):
    pass


@wrong(
    "COMMAND-01",
    "It is a function, and no command.",
    *(f"COMMAND-{n:02d}" for n in range(2, 9)),
    command=hello,
)
class NoCommand(CommandTests):
    pass


@wrong("COMMAND-02", "It does not say what it is for.", command=command(help=None))
class NoHelp(CommandTests):
    pass


@wrong(
    "COMMAND-03",
    "It takes options that it does not know.",
    "COMMAND-05",
    command=command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True}),
)
class TakesAnything(CommandTests):
    pass


def failing(times: int) -> None:
    raise SystemExit(1)


@wrong("COMMAND-04", "It fails with what its page shows.", "COMMAND-05", command=command(failing))
class Fails(CommandTests):
    pass


def tracing(times: int) -> None:
    if times < 0:
        raise ValueError("negative")


@wrong("COMMAND-05", "A mistake ends with a traceback.", command=command(tracing))
class Traces(CommandTests):
    pass


def cheering(times: int) -> None:
    click.echo("fine")


@wrong("COMMAND-05", "A mistake ends as if all were well.", command=command(cheering))
class Cheers(CommandTests):
    pass


RUNS = itertools.count()


def remembering(times: int) -> None:
    if times < 0:
        raise click.ClickException("say hello at least 0 times")
    if next(RUNS) % 2:
        raise click.ClickException("not twice")


@wrong("COMMAND-06", "It works every other time.", "COMMAND-04", command=command(remembering))
class EveryOther(CommandTests):
    pass


def lingering(times: int) -> None:
    if times < 0:
        raise click.ClickException("say hello at least 0 times")
    leave_a_thread()


@wrong("COMMAND-07", "It leaves a thread at work.", alone=True, command=command(lingering))
class Lingers(CommandTests):
    pass
