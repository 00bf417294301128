from __future__ import annotations

import os
import pkgutil
import re
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

import pytest

from pointsman.plugins import discovery
from pointsman_cli import commands
from pointsman_cli.app import COMMANDS
from pointsman_cli.app import cli as group
from pointsman_cli.commands import plugins as of_plugins


def test_help_lists_every_command(cli) -> None:
    ran = cli("--help")

    assert ran.code == 0
    assert set(COMMANDS) == {
        "ask",
        "chat",
        "completion",
        "config",
        "demo",
        "disable",
        "doctor",
        "drain",
        "embed",
        "enable",
        "explain",
        "health",
        "logs",
        "models",
        "plugins",
        "reload",
        "reset",
        "sim",
        "status",
    }
    for name, help in COMMANDS.items():
        assert f"  {name}" in ran.out
        assert help in ran.out


def test_help_names_the_commands_of_plugins_and_whose_they_are(cli) -> None:
    (listed,) = re.findall(r"Commands of plugins:\n((?:  .*\n)+)", cli("--help").out)

    told = [line.split(maxsplit=1) for line in listed.splitlines()]
    assert ["env", "From pointsman-gateway."] in told
    assert ["serve", "From pointsman-gateway."] in told


def test_the_help_of_the_table_is_the_commands_own() -> None:
    assert modules_in(commands) == set(COMMANDS)
    for name, help in COMMANDS.items():
        command = group.get_command(None, name)
        assert command.name == name
        assert command.help.split("\n\n")[0].replace("\n", " ") == help


def modules_in(package) -> set[str]:
    found = {each.name for each in pkgutil.iter_modules(package.__path__)}
    return {each for each in found if not each.startswith("_")}


def test_each_subcommand_of_plugins_is_a_module_with_the_help_of_its_table(cli) -> None:
    assert modules_in(of_plugins) == set(of_plugins.COMMANDS)
    for name, help in of_plugins.COMMANDS.items():
        command = of_plugins.command.get_command(None, name)
        assert command.name == name
        assert command.help.split("\n\n")[0].replace("\n", " ") == help
        assert f"  {name}" in cli("plugins", "--help").out
        assert f"Usage: pointsman plugins {name}" in cli("plugins", name, "--help").out


def test_plugins_without_a_subcommand_are_listed(cli) -> None:
    assert cli("plugins").out == cli("plugins", "list").out
    assert cli("plugins", "--json").json == cli("plugins", "list", "--json").json
    assert cli("plugins", "--json").json == cli("plugins", "--json", "list").json


def test_a_mistyped_subcommand_of_plugins_is_usage_and_says_which_was_meant(cli) -> None:
    ran = cli("plugins", "lst")

    assert ran.code == 2
    assert "did you mean 'list'?" in ran.err
    assert ran.out == ""


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_each_command_explains_itself(cli, name: str) -> None:
    ran = cli(name, "--help")

    assert ran.code == 0
    assert f"Usage: pointsman {name}" in ran.out
    assert ("--json" in ran.out) == (name != "completion")  # which prints a script for a shell


def test_help_imports_neither_the_core_nor_anything_heavy() -> None:
    code = (
        "import sys\n"
        "import pointsman_cli\n"
        "early = set(sys.modules)\n"
        "from pointsman_cli.app import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'pointsman', 'rich', 'aiohttp', 'httpx', 'pydantic', 'asyncio', 'ssl'}\n"
        "print(sorted(heavy & set(sys.modules)), 'click' in early)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[-1] == "[] False"


def test_without_a_command_it_shows_its_help_as_a_usage_error(cli) -> None:
    ran = cli()

    assert ran.code == 2
    assert "Commands:" in ran.err


def test_a_mistyped_command_is_usage_and_says_which_was_meant(cli) -> None:
    ran = cli("stauts")

    assert ran.code == 2
    assert "did you mean 'status'?" in ran.err
    assert ran.out == ""


def test_a_mistyped_option_is_usage(cli) -> None:
    ran = cli("ask", "--tempreature", "1", "hi")

    assert ran.code == 2
    assert "--temperature" in ran.err


def test_a_usage_error_is_an_object_where_json_is_asked_for(cli) -> None:
    ran = cli("models", "--json", "lsit")

    assert ran.code == 2
    assert ran.error["code"] == "usage"
    assert ran.error["exit_code"] == 2


def test_the_version_is_the_cores(cli) -> None:
    from pointsman import __version__

    assert cli("--version").out == f"pointsman {__version__}\n"


def test_plugins_are_listed_with_their_distributions(cli) -> None:
    table, data = cli("plugins"), cli("plugins", "--json")

    assert table.code == 0
    assert table.out.splitlines()[0] == "kind\tname\tdistribution\tversion\tstate"
    assert "provider\tollama\tpointsman-ollama\t" in table.out
    offered = {(each["kind"], each["name"]): each["state"] for each in data.json}
    assert offered["provider", "openai"] == "not loaded"
    assert offered["strategy", "round_robin"] == "built in"


PLUGIN = """
import click
from pointsman.plugin import PointsmanSpec, hookimpl

@click.command("hello")
@click.argument("name")
def hello(name):
    click.echo(f"hello {name}")

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_commands(self):
        return [hello]

plugin = Plugin()
"""


def test_a_plugin_can_offer_a_command(cli, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = workdir / "hello_command-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hello-command\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pointsman.commands]\nhello = hello_command_plugin:plugin\n")
    (workdir / "hello_command_plugin.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(workdir)

    assert cli("hello", "you").out == "hello you\n"
    assert "did you mean 'hello'?" in cli("hallo", "you").err
    assert "command\thello\thello-command\t1.0" in cli("plugins").out


def test_a_command_of_a_plugin_that_the_configuration_denies_is_not_imported(
    cli, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = workdir / "denied_command-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: denied-command\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[pointsman.commands]\nhello = denied_command:plugin\n")
    (workdir / "denied_command.py").write_text("raise AssertionError")
    monkeypatch.syspath_prepend(workdir)
    (workdir / "pointsman.yaml").write_text("plugins: {deny: [denied-command]}")

    ran = cli("hello", "you")

    assert ran.code == 2
    assert "offered by denied-command, which is denied by plugins.deny" in ran.err


@pytest.mark.parametrize("name", ["serve", "env"])
def test_a_command_of_a_package_of_ours_that_is_missing_names_the_package(
    cli, workdir: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    others = [each for each in distributions() if each.name != "pointsman-gateway"]
    monkeypatch.setattr(discovery, "distributions", lambda: iter(others))

    ran = cli(name)

    assert ran.code == 2
    assert (
        f"No such command '{name}'; it comes with pointsman-gateway. Try: pip install pointsman-gateway"
        in ran.err
    )


def complete(words: str) -> list[str]:
    """What a shell offers behind `words`."""
    environment = {**os.environ, "_POINTSMAN_COMPLETE": "zsh_complete", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    line = [sys.executable, "-c", "from pointsman_cli import main; main()"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[1::3]


def test_a_shell_completes_commands_and_options() -> None:
    assert complete("pointsman st") == ["status"]
    assert complete("pointsman config ch") == ["check"]
    assert "--trace" in complete("pointsman ask --t")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_is_printed(shell: str) -> None:
    environment = {**os.environ, "_POINTSMAN_COMPLETE": f"{shell}_source"}
    line = [sys.executable, "-c", "from pointsman_cli import main; main()"]

    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)

    assert "_POINTSMAN_COMPLETE" in done.stdout
