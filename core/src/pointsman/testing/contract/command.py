"""What every command owes whoever types it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from pointsman.testing.contract.enforcement import Contract
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.watching import Quiet

_NO_OPTION = "--no-command-has-this-option"
_USAGE = 2


class CommandContract(Contract, terms=True):
    """What every command owes whoever types it. Write `command`, `name` and `works`. Needs click.

    Attributes:
        command: what the hook returns.
        name: that of the entry point.
        works: arguments with which it ends well, on this machine and without a network.
        fails: arguments that are a mistake of whoever types them.
    """

    command: Any
    name: str
    works: ClassVar[Sequence[Sequence[str]]] = ()
    fails: ClassVar[Sequence[Sequence[str]]] = ()

    @rule("COMMAND-01", "It would stand in the list of commands, and be none.")
    def test_it_is_a_command_of_the_name_of_its_entry_point(self) -> None:
        click = pytest.importorskip("click")
        made = f"a {type(self.command).__name__}"
        assert isinstance(self.command, click.Command), f"it is {made}, expected a command of click"
        assert self.command.name == self.name, (
            f"it is called {self.command.name!r}, its entry point {self.name!r}"
        )

    @rule("COMMAND-02", "Nobody would learn from --help what it is for.")
    def test_its_help_says_what_it_does_and_does_nothing(self) -> None:
        assert self.command.get_short_help_str().strip(), "it has no help: write a docstring"
        with Quiet() as quiet:
            done = self._run("--help")
            quiet.check()
        assert done.exit_code == 0, f"--help ends with {done.exit_code}: {done.exception!r}"
        assert "Usage:" in done.output, f"--help says {done.output[:200]!r}"

    @rule("COMMAND-03", "A misspelt option would be taken for something else, or for nothing.")
    def test_an_option_that_it_does_not_know_is_refused(self) -> None:
        done = self._run(_NO_OPTION)
        assert done.exit_code == _USAGE, f"{_NO_OPTION} ends with {done.exit_code}, expected {_USAGE}"

    @rule("COMMAND-04", "What its page shows would not work when it is typed.")
    def test_it_ends_well_where_it_should_and_says_so_by_its_code(self) -> None:
        for arguments in self.works:
            done = self._run(*arguments)
            assert done.exit_code == 0, f"{[*arguments]} ends with {done.exit_code}: {done.output[-300:]}"

    @rule("COMMAND-05", "A traceback tells whoever typed it nothing, and a script cannot see that it failed.")
    def test_a_mistake_ends_with_words_and_a_code(self) -> None:
        if not self.fails:
            pytest.skip("no `fails`")
        for arguments in self.fails:
            done = self._run(*arguments)
            assert done.exit_code != 0, f"{[*arguments]} ends as if all were well"
            error = done.exception
            assert error is None or isinstance(error, SystemExit), (
                f"{[*arguments]} ends with {error!r}; raise click.ClickException with what would help"
            )
            assert done.output.strip(), f"{[*arguments]} fails without a word"

    @rule("COMMAND-06", "What one run left behind changes the next.")
    def test_it_says_the_same_the_second_time(self) -> None:
        for arguments in (["--help"], *self.works):
            first, second = self._run(*arguments), self._run(*arguments)
            assert first.exit_code == second.exit_code, f"{[*arguments]} ends otherwise the second time"
            same = first.output.splitlines()[:1] == second.output.splitlines()[:1]
            assert same or arguments != ["--help"], "its help is another the second time"

    @rule("COMMAND-07", "A program that uses it would end, or go on with what it left at work.")
    def test_nothing_is_at_work_when_it_has_ended(self) -> None:
        for arguments in self.works:
            with Quiet() as quiet:
                self._run(*arguments)
                quiet.check()

    def _run(self, *arguments: str) -> Any:
        testing = pytest.importorskip("click.testing")
        return testing.CliRunner().invoke(self.command, list(arguments), prog_name=self.name)
