"""Pulling a model: the same steps whichever server does it, and how they are told."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.output import console, print_json_line, say, shown_line

if TYPE_CHECKING:
    from pointsman import Router


@dataclass(frozen=True, slots=True)
class Step:
    """One sign of progress. The numbers are those of `part`, which is "" for the model as a whole."""

    status: str
    part: str = ""
    total: float | None = None
    completed: float | None = None
    unit: str = "bytes"


def target(router: Router, model: str, provider: str | None) -> tuple[str, str]:
    """The provider and the model to pull there.

    Names of models may hold slashes themselves, so what stands before the first one counts only when it is
    a provider; without any, the only provider that can pull is meant.
    """
    names = list(router.config.providers)
    able = [each for each in names if can_pull(router.provider(each))]
    if provider is None:
        head, slash, rest = model.partition("/")
        if slash and rest and head in names:
            provider, model = head, rest
        elif len(able) == 1:
            provider = able[0]
        else:
            raise click.UsageError(f"say where: PROVIDER/MODEL or --provider; {_who(able)}")
    if provider not in names:
        from pointsman._internal.suggest import did_you_mean

        hint = did_you_mean(provider, names, what="there are")
        raise click.UsageError(f"no provider is called {provider!r}; {hint}")
    if provider not in able:
        raise click.UsageError(f"the provider {provider!r} cannot pull models; {_who(able)}")
    return provider, model


def _who(able: list[str]) -> str:
    return f"those that can: {', '.join(able)}" if able else "no configured provider can pull"


def can_pull(provider: Any) -> bool:
    """Whether models can be fetched to the server of `provider`."""
    return hasattr(provider, "pull") or (hasattr(provider, "apply") and hasattr(provider, "job"))


async def steps(provider: Any, model: str) -> AsyncIterator[Step]:
    """What happens until the model is there. Raises what the provider raises."""
    if hasattr(provider, "pull"):
        async with provider.pull(model) as pull:
            async for each in pull:
                yield Step(each.status, each.digest or "", each.total_bytes, each.completed_bytes)
        return
    async for job in provider.job(await provider.apply(model), interval=0.5):
        yield Step(job.phase or job.message or "working", "", 100.0, job.progress, "percent")


async def tell(progress: AsyncIterator[Step], *, as_json: bool) -> None:
    """Show the steps: JSON lines on stdout, bars at a terminal, otherwise each new status on stderr."""
    if as_json:
        async for step in progress:
            print_json_line(step)
    elif sys.stderr.isatty():
        await _bars(progress)
    else:
        last = ""
        async for step in progress:
            if step.status != last:
                say(step.status)
            last = step.status


async def _bars(progress: AsyncIterator[Step]) -> None:
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

    tasks: dict[str, TaskID] = {}
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[size]}"),
    )
    with Progress(*columns, console=console(sys.stderr)) as bars:
        async for step in progress:
            status = shown_line(step.status)
            if step.total is None:
                bars.console.print(status)
                continue
            if step.part not in tasks:
                tasks[step.part] = bars.add_task(status, total=step.total, size=_size(step))
            bars.update(tasks[step.part], description=status, total=step.total, completed=step.completed or 0)


def _size(step: Step) -> str:
    if step.unit != "bytes" or step.total is None:
        return ""
    return f"{step.total / 1e9:.1f} GB" if step.total >= 1e9 else f"{step.total / 1e6:.1f} MB"
