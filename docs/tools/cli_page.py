"""Writes docs/cli.md: a manual page for each command, from the commands themselves.

    uv run python docs/tools/cli_page.py [--check]

What a command does, takes and exits with stands in its code. What stands here is how the page begins, and
the lines that somebody would type first. `--check` writes nothing, and ends with 1 when the page is not up to
date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from pointsman_cli.app import COMMANDS, cli
from pointsman_cli.examples import EXAMPLES
from pointsman_cli.options import Asked

PAGE = Path(__file__).resolve().parents[1] / "cli.md"
COMMAND = "uv run python docs/tools/cli_page.py"

Manual = tuple[str, click.Command, click.Context]
"""A command by its words, and where it is called."""

"""What somebody would type first, by command; each line is one that the command takes (a test tries that)."""

GENERAL = frozenset({"config", "json", "verbose", "help"})
"""Options that stand at the beginning of the page."""

HEAD = """\
# The commands

`pointsman` is the command line of a router: it asks models, checks and explains configurations, and
operates what runs. `pip install pointsman-cli`; `pointsman serve` comes with `pointsman-gateway`. This page
is made of the commands themselves (`{command}`), so each says here what it says with `--help`.

New here? [The quickstart](quickstart.md) takes ten minutes; [operations](operations.md) is for whoever is
woken at three in the morning.

## What holds for all of them

**The configuration** is the file that `-c`/`--config` names, else the one in `POINTSMAN_CONFIG`, else
`pointsman.yaml` (`.yml`, `.toml`, `.json`) in the working directory. Without any a command uses what it
finds here: Ollama and LocalAI on their usual ports, keys in the environment. It says on standard error what
that is.

**Output.** Data goes to standard output, all else to standard error. Tables, colours and progress bars are
for terminals; in a pipe a table has a tab between columns. `NO_COLOR` turns colours off, `COLUMNS` says how
wide a terminal is. `--json` prints one document, or one a line for what comes bit by bit; an error is then
an object, `{{"error": …}}`, on standard error.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | failed: nothing would take a call, a wait was in vain, a prompt is too long |
| 2 | the command line or the configuration is wrong |
| 3 | an upstream failed |
| 4 | refused by policy: a rule about data, a guard, a content filter |
| 130, 143 | interrupted by Ctrl-C; ended by SIGTERM |

| option | does |
| --- | --- |
{general}

| variable | means |
| --- | --- |
| `POINTSMAN_CONFIG` | the configuration, where no option names one |
| `POINTSMAN_PLUGINS` | `none`, or the names of the only plugins that may be loaded |
| `NO_COLOR` | set to anything: no colours |
| `OLLAMA_HOST`, `LOCALAI_ADDRESS` | where to look for these without a configuration |

**Tab** completes commands, options, and the names of models, deployments and providers: [`pointsman
completion`](#pointsman-completion).
"""


def pages() -> Iterator[Manual]:
    """Every command that is no group by its words, such as `config check`; those of plugins of ours, too."""
    root = click.Context(cli, info_name="pointsman", obj=Asked())
    for name in sorted([*COMMANDS, *_of_ours()]):
        _name, command, _rest = cli.resolve_command(root, [name])
        assert command is not None
        yield from _below(name, command, click.Context(command, parent=root, info_name=name))


def _of_ours() -> list[str]:
    from importlib.metadata import entry_points

    found = entry_points(group="pointsman.commands")
    return [each.name for each in found if each.dist is not None and each.dist.name.startswith("pointsman-")]


def _below(
    words: str, command: click.Command, ctx: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        yield words, command, ctx
        return
    for name in sorted(command.list_commands(ctx)):
        inner = command.get_command(ctx, name)
        assert inner is not None
        yield from _below(f"{words} {name}", inner, click.Context(inner, parent=ctx, info_name=name))


def page() -> str:
    """The whole page."""
    found = list(pages())
    index = ["## All of them", "", "| command | does |", "| --- | --- |"]
    for words, command, _ctx in found:
        index.append(f"| [`pointsman {words}`](#pointsman-{words.replace(' ', '-')}) | {_first(command)} |")
    head = HEAD.format(command=COMMAND, general="\n".join(_rows(_general(found))))
    sections = ["\n".join(section(*each)) for each in found]
    return "\n".join([head, *index, "", "\n\n".join(sections), ""])


def section(words: str, command: click.Command, ctx: click.Context) -> list[str]:
    """The manual page of one command."""
    usage = " ".join(["pointsman", words, *command.collect_usage_pieces(ctx)])
    lines = [f"## `pointsman {words}`", "", "```text", usage, "```", "", *_text(command)]
    own = [each for each in _options(command) if each.name not in GENERAL]
    if own:
        lines += ["", "| option | does |", "| --- | --- |", *_rows(own, ctx)]
    shared = [f"`{_spelled(each)[0]}`" for each in _options(command) if each.name in GENERAL - {"help"}]
    if shared:
        lines += ["", f"Also {', '.join(shared)}."]
    if words in EXAMPLES:
        lines += ["", "```sh", *EXAMPLES[words], "```"]
    return lines


def _text(command: click.Command) -> Iterator[str]:
    """The help of a command as Markdown: what click is told to leave as it is becomes a block."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    for n, each in enumerate(paragraphs):
        if n:
            yield ""
        if each.startswith("\b\n"):
            yield from ("```text", *inspect.cleandoc(each[2:]).splitlines(), "```")
        else:
            yield _markdown(" ".join(each.split()))


def _markdown(text: str) -> str:
    """`text` where what looks like HTML is none."""
    return re.sub(r"<(?=\w)", r"\\<", text)


def _first(command: click.Command) -> str:
    return _markdown(command.get_short_help_str(limit=200))


def _options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option) and not each.hidden]


def _general(found: Sequence[Manual]) -> list[click.Option]:
    """The options that most commands have, each once."""
    by_name = {each.name: each for _, command, _ in found for each in _options(command)}
    return [by_name[name] for name in ("config", "json", "verbose") if name in by_name]


def _spelled(option: click.Option) -> list[str]:
    return sorted(option.opts, key=len, reverse=True) + list(option.secondary_opts)


def _rows(options: Sequence[click.Option], ctx: click.Context | None = None) -> Iterator[str]:
    ctx = ctx or click.Context(cli)
    for each in options:
        record = each.get_help_record(ctx)
        shown, says = record if record is not None else (each.name or "", "")
        yield f"| `{shown.replace('|', chr(92) + '|')}` | {_markdown(says.replace('|', chr(92) + '|'))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args().check:
        if PAGE.read_text("utf-8") == text:
            return 0
        print(f"{PAGE.name} is not up to date: {COMMAND}", file=sys.stderr)
        return 1
    PAGE.write_text(text, "utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
