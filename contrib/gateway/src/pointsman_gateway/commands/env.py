"""`pointsman env`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json, say

if TYPE_CHECKING:
    from pointsman import Config

_URL = "http://127.0.0.1:4000"
_MODEL = "assistant"
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what is to be said in their place


@click.command("env")
@click.argument("client", required=False, metavar="[CLIENT]")
@click.option("--url", metavar="URL", help="In place of where the configuration listens.")
@click.option("--model", metavar="NAME", help="In place of the configuration's default model.")
@click.option("--key", metavar="VARIABLE", default="POINTSMAN_KEY", help="The variable that holds the key.")
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, /, client: str | None, url: str | None, model: str | None, key: str) -> None:
    """Print the settings that point CLIENT at the gateway; without one, which clients are known.

    Those for a shell go into it with: eval "$(pointsman env openai)"
    """
    from pointsman_gateway.commands.clients import CLIENTS

    if client is None:
        _list(asked)
        return
    _check(url=url, model=model, key=key)
    found = _configured(asked) if url is None or model is None else None
    url = (url or (_URL if found is None else _url_of(found, client))).rstrip("/")
    model = model or (None if found is None else found.model_by_default) or _MODEL
    settings = _settings(client, url, model, key)
    known = CLIENTS[client]
    if asked.json:
        print_json({"client": client, "place": known.place, "form": known.form, "settings": settings})
        return
    for line in filter(None, (f"put this into {known.place}" if known.place else "", known.note)):
        say(line)
    click.echo(settings, nl=False)


def _list(asked: Asked) -> None:
    from pointsman_gateway.commands.clients import CLIENTS

    if asked.json:
        print_json([{"client": name, "title": each.title} for name, each in sorted(CLIENTS.items())])
        return
    width = max(map(len, CLIENTS))
    for name, each in sorted(CLIENTS.items()):
        click.echo(f"{name:{width}}  {each.title}")
    say("Try: pointsman env CLIENT, such as pointsman env openai")


def _check(*, url: str | None, model: str | None, key: str) -> None:
    """What goes into a shell is nothing that it would run. Raises UsageError."""
    for option, value in (("--url", url), ("--model", model)):
        if value is not None and not all(each.isalnum() or each in "-._~:/@[]+%" for each in value):
            raise click.UsageError(f"{option}: {value!r} has characters that settings cannot hold")
    if not (key.isidentifier() and key.isascii()):
        raise click.UsageError(
            f"--key: {key!r} is no name of a variable; the key itself does not belong here"
        )


def _settings(client: str, url: str, model: str, key: str) -> str:
    from pointsman_gateway.commands.clients import settings_for

    _check(url=url, model=model, key=key)
    try:
        return settings_for(client, url=url, model=model, key=key)
    except LookupError as error:
        raise Failed(str(error), code=USAGE) from None


def _configured(asked: Asked) -> Config | None:
    """The configuration that there is. Raises ConfigError."""
    from pointsman.dry_run.configs import load_config
    from pointsman_cli.configured import config_file

    file = config_file(asked, os.environ, Path())
    return None if file is None else load_config(file)


def _url_of(config: Config, client: str) -> str:
    """Where `client` asks the gateway of that configuration on this machine. Raises ConfigError."""
    from pointsman_gateway.commands.clients import WITHOUT_KEY
    from pointsman_gateway.reading import gateway_settings

    settings = gateway_settings(config)
    own = (settings.surfaces or {}).get("ollama")
    keyless = own.listen if own is not None and client in WITHOUT_KEY else ()
    for at in (*keyless, *settings.listen):
        if at.path is None:
            scheme = "http" if settings.tls is None or at in keyless else "https"
            host = f"[{at.host}]" if ":" in at.host else at.host
            return f"{scheme}://{_ANYWHERE.get(at.host, host)}:{at.port}"
    return _URL
