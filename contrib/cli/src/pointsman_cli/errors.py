"""Errors → exit codes and messages; the one place where that is decided."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

import click

from pointsman_cli.options import Asked
from pointsman_cli.output import say, say_json

OK = 0
FAILED = 1
USAGE = 2
UPSTREAM = 3
REFUSED = 4
INTERRUPTED = 130
TERMINATED = 143


class Terminated(SystemExit):
    """SIGTERM came where nothing was left to finish."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class Failed(Exception):
    """A command did not do what it was asked for; `code` is the exit code.

    `problems` are those that a router found in its configuration, as it told them.
    """

    def __init__(
        self, message: str, *, code: int = FAILED, problems: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        super().__init__(message)
        self.code = code
        self.problems = problems


def confirm(question: str) -> None:
    """Go on after a yes.

    Raises:
        click.Abort: the answer is no.
        Failed: nobody is here who could answer.
    """
    try:
        said = click.confirm(question, err=True)
    except click.Abort:  # also at the end of an input
        if sys.stdin is not None and sys.stdin.isatty():
            raise
        raise Failed("nothing was done, for nobody has said yes: --yes does", code=USAGE) from None
    if not said:
        raise click.Abort


def exit_code(error: BaseException) -> int:
    """The exit code for `error`.

    1 failed, 2 usage, 3 upstream, 4 refused by policy, 130 interrupted, 143 terminated.
    """
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return INTERRUPTED
    if isinstance(error, Terminated):
        return TERMINATED
    if isinstance(error, Failed):
        return error.code
    if isinstance(error, click.ClickException):
        return error.exit_code
    return _code_of_ours(error)


def _code_of_ours(error: BaseException) -> int:
    from pointsman import errors

    if isinstance(error, errors.MidStreamError) and isinstance(error.cause, errors.CallError):
        cause = _code_of_ours(error.cause)
        return cause if cause == REFUSED else UPSTREAM
    refused = errors.BudgetExceeded | errors.Refused | errors.RuleNotMet
    if isinstance(error, errors.ContentFiltered | errors.PermissionDenied | refused):
        return REFUSED
    if isinstance(error, errors.ConfigError | errors.PluginError | errors.UnknownModel):
        return USAGE
    if isinstance(error, errors.RequestError):
        return FAILED
    return UPSTREAM if isinstance(error, errors.CallError) else FAILED


def guarded(call: Callable[[], Any], asked: Asked) -> int:
    """The exit code of `call`; its error, if it is one that people can do something about, goes to stderr.

    Anything else is a bug, and passes with its traceback. After a SIGTERM the code says so, whatever became
    of the command.
    """
    code = _guarded(call, asked)
    return TERMINATED if asked.terminated else code


def _guarded(call: Callable[[], Any], asked: Asked) -> int:
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has left; nothing more can be said to them, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        if not asked.json:
            say("interrupted")
        return INTERRUPTED
    except Terminated:
        return TERMINATED
    except Exception as error:
        if not _is_expected(error):
            raise
        tell(error, as_json=asked.json)
        return exit_code(error)
    return code if isinstance(code, int) else OK


def tell(error: Exception, *, as_json: bool) -> None:
    """Say `error` on stderr: the sentence, or an object."""
    if as_json:
        say_json({"error": described(error)})
    elif isinstance(error, click.UsageError):
        shown = StringIO()
        error.show(shown)
        say(shown.getvalue().rstrip("\n").replace("\nError: ", "\nerror: "))  # as all the others begin
    else:
        say(message_of(error))


def message_of(error: Exception) -> str:
    """What a person reads, with what earlier attempts ended with below it.

    A configuration's problems stand as they are, each with the line of the file below it.
    """
    if isinstance(error, click.ClickException):
        return f"error: {error.format_message()}"
    if type(error).__name__ == "ConfigError" and (problems := getattr(error, "problems", ())):
        from pointsman.config.problems import with_sources

        codes = [each.code for each in problems if each.code]
        more = f"\nTry: pointsman config explain {codes[0]}" if codes else ""
        return with_sources(error) + more
    notes = [f"\n  {note}" for note in getattr(error, "__notes__", ())]
    hint = "\nTry: pointsman doctor" if getattr(error, "code", None) == "connection_failed" else ""
    return f"error: {_sentence(error)}{_about(error)}{''.join(notes)}{hint}"


def _sentence(error: Exception) -> str:
    """What went wrong, without what `_about` and `described` say of where."""
    return str(getattr(error, "message", error))


def _about(error: Exception) -> str:
    """What a failed call knows beyond its sentence: where, how often, when to try again."""
    attempts, retry_after = getattr(error, "attempts", 0), getattr(error, "retry_after", None)
    parts = [
        getattr(error, "deployment", ""),
        f"{attempts} attempts" if attempts > 1 else "",
        "" if retry_after is None else f"try again in {retry_after:.0f} s",
    ]
    known = ", ".join(each for each in parts if each)
    return f" ({known})" if known else ""


def described(error: Exception) -> dict[str, Any]:
    """What a program reads: `code`, `message`, `exit_code`, and what else the error knows."""
    found: dict[str, Any] = {
        "code": getattr(error, "code", None),
        "message": error.format_message() if isinstance(error, click.ClickException) else _sentence(error),
        "exit_code": exit_code(error),
    }
    if not isinstance(found["code"], str):
        found["code"] = "usage" if found["exit_code"] == USAGE else "failed"
    for name in ("deployment", "status", "retry_after", "request_id", "attempts", "reasons"):
        if getattr(error, name, None) not in (None, "", 0):
            found[name] = getattr(error, name)
    failures = getattr(error, "failures", ())
    if failures:
        found["failures"] = [
            {"deployment": deployment, "code": before.code, "message": before.message}
            for deployment, before in failures
        ]
    problems = getattr(error, "problems", ())
    if problems:
        found["problems"] = [_problem(each) for each in problems]
    return found


def _problem(problem: Any) -> Mapping[str, Any]:
    if isinstance(problem, Mapping):
        return problem
    names = ("code", "message", "path", "hint", "file", "line", "column", "source", "caret")
    return {name: getattr(problem, name, None) for name in names}


def _is_expected(error: Exception) -> bool:
    if isinstance(error, click.ClickException | Failed | OSError):
        return True
    errors = sys.modules.get("pointsman.errors")
    return errors is not None and isinstance(error, errors.PointsmanError)
