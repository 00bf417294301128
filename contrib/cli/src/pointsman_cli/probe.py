"""Imports plugins, in a process that ends afterwards: `python -m pointsman_cli.probe`, told what on stdin.

Nothing but one line of JSON gets out, whatever they print.
"""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter
from typing import Any


def main() -> None:
    given = json.loads(sys.stdin.readline())
    said = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    sys.path[:] = given["path"]
    said.write(json.dumps(_found(given)) + "\n")
    said.close()
    os._exit(0)  # no thread of it, and nothing that it left to be done at the end, keeps this alive


def _found(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each plugin the milliseconds for its import, and by name what is wrong, None where nothing is."""
    import pointsman.build.loading as loading
    import pointsman.plugin
    from pointsman.plugins.control import Rules
    from pointsman.plugins.registry import Plugins

    rules = None if given["rules"] is None else Rules(**given["rules"])
    plugins = Plugins(rules=rules, read_data=loading.provider_of)
    plugins.names("provider")  # looks at all that is installed: not a matter of this one
    _ = pointsman.plugin.HttpProvider
    return [_one(plugins, names) for names in given["plugins"]]


def _one(plugins: Any, names: list[tuple[str, str]]) -> dict[str, Any]:
    wrong: dict[str, str | None] = {}
    milliseconds = None
    for kind, name in names:
        begun = perf_counter()
        try:
            plugins.get(kind, name)
            wrong[f"{kind} {name}"] = None
        except BaseException as error:  # somebody else's code: anything can happen
            wrong[f"{kind} {name}"] = str(
                getattr(error, "message", None) or f"{type(error).__name__}: {error}"
            )
        if milliseconds is None:
            milliseconds = (perf_counter() - begun) * 1000
    return {"ms": milliseconds, "wrong": wrong}


if __name__ == "__main__":
    main()
