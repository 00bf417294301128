"""What a shell offers when somebody presses Tab: names out of the configuration, read as it stands.

Nothing is built, asked or written, no plugin is imported, and a configuration that is wrong offers what is
right in it: whoever presses Tab wants no error.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import click
    from click.shell_completion import CompletionItem


_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:@+-]*")


def models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names that can be asked for: models, aliases, what providers list."""
    return _offered(ctx, incomplete, model_names)


def deployments(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of deployments."""
    return _offered(ctx, incomplete, deployment_ids)


def providers(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of providers."""
    return _offered(ctx, incomplete, lambda data: _mapping(data, "providers"))


def files(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Files, which the shell knows better."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


def _offered(ctx: click.Context, incomplete: str, names: Any) -> list[CompletionItem]:
    from click.shell_completion import CompletionItem

    with suppress(Exception):  # whatever it is: a shell in the midst of a line is no place for it
        # A shell puts them into a line that is about to be run.
        found = sorted(
            {each for each in names(_data(ctx)) if isinstance(each, str) and _PLAIN.fullmatch(each)}
        )
        return [CompletionItem(each) for each in found if each.startswith(incomplete)]
    return []


def _data(ctx: click.Context) -> Mapping[str, Any]:
    from pointsman.config.readers.files import read
    from pointsman_cli.configured import config_file
    from pointsman_cli.options import Asked

    file = config_file(ctx.ensure_object(Asked), os.environ, Path())
    data = {} if file is None else read(file).data
    return data if isinstance(data, Mapping) else {}


def model_names(data: Mapping[str, Any]) -> list[object]:
    """What a configuration says can be asked for; no patterns."""
    listed = [
        name
        for each in _mapping(data, "providers").values()
        if isinstance(each, Mapping) and isinstance(each.get("models"), list)
        for name in each["models"]
    ]
    named = [*_mapping(data, "models"), *_mapping(data, "aliases"), *listed]
    return [each for each in named if isinstance(each, str) and "*" not in each]


def deployment_ids(data: Mapping[str, Any]) -> list[object]:
    """The ids of what models list, and of what providers do."""
    found: list[object] = []
    for model in _mapping(data, "models").values():
        said = model.get("deployments") if isinstance(model, Mapping) else None
        for each in said if isinstance(said, list) else ():
            if isinstance(each, Mapping):
                found.append(each.get("name") or f"{each.get('provider')}/{each.get('model')}")
            else:
                found.append(each)
    for name, provider in _mapping(data, "providers").items():
        said = provider.get("models") if isinstance(provider, Mapping) else None
        found += (
            [f"{name}/{each}" for each in said if isinstance(each, str)] if isinstance(said, list) else []
        )
    return [each for each in found if isinstance(each, str) and "*" not in each]


def _mapping(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}
