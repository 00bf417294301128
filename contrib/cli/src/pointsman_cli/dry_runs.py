"""What a call that is only explained would ask: the options of the command line as those of `Router.chat`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from pointsman_cli.prompts import part_of, user_message

F = TypeVar("F", bound=Callable[..., Any])


def call_options(function: F) -> F:
    """Adds what a call can say; the command gets them by the names that `asked_call` takes."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_OPTIONS = (
    click.option("-s", "--system", metavar="TEXT", help="Instructions before the message."),
    click.option(
        "--file",
        "files",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="An image, a PDF or a text to go with the message; any number.",
    ),
    click.option(
        "--tool",
        "tools",
        multiple=True,
        metavar="FILE|JSON",
        help="A tool, as OpenAI's API has it; any number.",
    ),
    click.option(
        "--require",
        multiple=True,
        metavar="LABEL=VALUE",
        help="A label that a deployment must carry; any number.",
    ),
    click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag; any number."),
    click.option("--caller", metavar="NAME", help="Who asks."),
    click.option("--affinity", metavar="NAME", help="The conversation that the call belongs to."),
    click.option(
        "-o",
        "--option",
        "options",
        multiple=True,
        metavar="NAME=VALUE",
        help="Any other option of a call, such as temperature=0.2 or fallbacks='[\"cloud\"]'.",
    ),
    click.option("--stream", is_flag=True, help="A call whose answer is streamed."),
)


def asked_call(
    message: str | None,
    *,
    system: str | None = None,
    files: Sequence[Path] = (),
    tools: Sequence[str] = (),
    require: Sequence[str] = (),
    tags: Sequence[str] = (),
    caller: str | None = None,
    affinity: str | None = None,
    options: Sequence[str] = (),
    stream: bool = False,
) -> tuple[Any, dict[str, Any]]:
    """The messages and the options of `Router.explain`. Raises UsageError."""
    messages: Any = message or ""
    if files or system is not None:
        asked = (
            user_message(messages or "…", [part_of(str(each)) for each in files])
            if files
            else _said("user", messages or "…")
        )
        messages = [asked] if system is None else [_said("system", system), asked]
    given: dict[str, Any] = {name: _value(value) for name, value in map(_pair, options)}
    if require:
        given["require"] = {name: _value(value) for name, value in map(_pair, require)}
    if tags:
        given["tags"] = dict(map(_pair, tags))
    if tools:
        given["tools"] = [tool for each in tools for tool in _tools(each)]
    said = {"caller": caller, "affinity": affinity, "stream": stream or None}
    return messages, {**given, **{name: value for name, value in said.items() if value is not None}}


def _said(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.UsageError(f"{text!r} is no NAME=VALUE")
    return name, value


def _value(text: str) -> Any:
    """What `text` is as JSON, else the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _tools(given: str) -> list[Any]:
    if not given.lstrip().startswith(("{", "[")):
        try:
            given = Path(given).read_text("utf-8")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise click.UsageError(f"the tool {given!r} cannot be read: {why}") from None
    try:
        tools = json.loads(given)
    except ValueError as error:
        raise click.UsageError(f"a tool is no JSON: {error}") from None
    return tools if isinstance(tools, list) else [tools]
