"""Cases of calls and what is expected of them, as a file holds them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pointsman._internal.suggest import did_you_mean
from pointsman.config import codes
from pointsman.config.document import Document
from pointsman.config.findings import Finding, findings
from pointsman.config.problems import KeyPath, Problem, config_error
from pointsman.config.readers.files import read
from pointsman.requests.option_types import ChatOptions

_OPTIONS = frozenset(ChatOptions.__annotations__) - {"original", "call_options"}


class _Keys(BaseModel):
    """All keys are known, as in a configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Given(_Keys):
    """The state to assume; deployments by their ids."""

    down: tuple[str, ...] = Field(default=(), description="their circuit breakers are open")
    disabled: tuple[str, ...] = Field(default=(), description="disabled by an operator")
    draining: tuple[str, ...] = Field(default=(), description="draining")
    limited: tuple[str, ...] = Field(default=(), description="their rate limits are used up")
    in_flight: dict[str, Annotated[int, Field(ge=0)]] = Field(
        default_factory=dict, description="calls that they have now"
    )

    def named(self) -> Iterable[tuple[KeyPath, str]]:
        """Every id of a deployment, and where it stands."""
        for key in ("down", "disabled", "draining", "limited"):
            yield from (((key, n), id) for n, id in enumerate(getattr(self, key)))
        yield from ((("in_flight", id), id) for id in self.in_flight)


class Expected(_Keys):
    """What is expected; a key that is not there is not looked at."""

    pick: str | tuple[str, ...] | None = Field(
        default=None,
        description="the deployment that is asked first, or several of which it is one; null: nobody",
    )
    order: tuple[str, ...] = Field(default=(), description="the first attempts in order, were each to fail")
    refused: dict[str, str] = Field(
        default_factory=dict,
        description="deployment: the kind of a reason that keeps the call away, or a part of its words",
    )
    error: str = Field(
        default="", description="the code of the error that it ends with, or a part of its words"
    )
    left_out: tuple[str, ...] = Field(default=(), description="options that the pick is asked without")
    sent: dict[str, Any] = Field(
        default_factory=dict, description="members of the body that the pick is sent, as they are there"
    )


class Case(_Keys):
    """One call, the state that it meets, and what is expected."""

    name: str = Field(default="", description="shown with the result")
    model: str = Field(min_length=1, description="as of a call")
    messages: str | list[dict[str, Any]] = Field(default="", description="as of a call")
    options: dict[str, Any] = Field(default_factory=dict, description="whatever else a call takes")
    stream: bool = Field(default=False, description="its answer is streamed")
    given: Given = Field(default=Given(), description="the state to assume")
    expect: Expected = Field(description="what is expected")


class Cases(_Keys):
    """The file."""

    given: Given = Field(default=Given(), description="the state to assume in all cases, beside their own")
    cases: tuple[Case, ...] = Field(min_length=1, description="each is tried on a router of its own")


class Placed(BaseModel):
    """The cases of a file, with the lines where each begins."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    file: str
    cases: Cases
    lines: tuple[int, ...]


def read_cases(file: Path | str, deployments: Sequence[str]) -> Placed:
    """The cases in `file`, which is YAML, TOML or JSON.

    Args:
        deployments: the ids that there are.

    Raises: ConfigError with all that is wrong, each with file, line and column.
    """
    document = read(file)
    data: Any = document.data if document.data is not None else {}
    try:
        cases = Cases.model_validate(data)
    except ValidationError as error:
        raise _error(document, findings(error, Cases)) from None
    wrong = [*_strangers(cases, deployments), *_unknown_options(cases)]
    if wrong:
        raise _error(document, wrong)
    starts = [document.locate(("cases", n)) for n in range(len(cases.cases))]
    return Placed(file=str(file), cases=cases, lines=tuple(at[0] if at else 1 for at in starts))


def _error(document: Document, found: Sequence[Finding]) -> Exception:
    return config_error([_problem(document, each) for each in found], file=document.file)


def _problem(document: Document, found: Finding) -> Problem:
    hint = found.hint() if callable(found.hint) else found.hint
    return document.problem(found.path, found.message, hint, code=found.code, key=found.at_key)


def _strangers(cases: Cases, deployments: Sequence[str]) -> Iterable[Finding]:
    for path, id in _named(cases):
        if id not in deployments:
            hint = did_you_mean(id, deployments, what="there are")
            yield Finding(
                path,
                f"no deployment is called {id!r}",
                hint,
                at_key=path[-1] == id,
                code=codes.NO_SUCH_DEPLOYMENT,
            )


def _named(cases: Cases) -> Iterable[tuple[KeyPath, str]]:
    yield from ((("given", *path), id) for path, id in cases.given.named())
    for n, case in enumerate(cases.cases):
        yield from ((("cases", n, "given", *path), id) for path, id in case.given.named())
        expect = ("cases", n, "expect")
        pick = case.expect.pick
        if isinstance(pick, str):
            yield (*expect, "pick"), pick
        elif pick is not None:
            yield from (((*expect, "pick", at), id) for at, id in enumerate(pick))
        yield from (((*expect, "order", at), id) for at, id in enumerate(case.expect.order))
        yield from (((*expect, "refused", id), id) for id in case.expect.refused)


def _unknown_options(cases: Cases) -> Iterable[Finding]:
    for n, case in enumerate(cases.cases):
        for name in case.options:
            if name not in _OPTIONS:
                hint = did_you_mean(name, _OPTIONS, what="a call takes")
                yield Finding(
                    ("cases", n, "options", name),
                    f"unknown option {name!r}",
                    hint,
                    at_key=True,
                    code=codes.UNKNOWN_KEY,
                )


def cases_schema() -> Mapping[str, Any]:
    """The JSON Schema of such a file, for editors."""
    return Cases.model_json_schema()
