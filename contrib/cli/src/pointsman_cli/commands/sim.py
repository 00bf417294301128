"""`pointsman sim`."""

from __future__ import annotations

import asyncio
import math
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.errors import Failed
from pointsman_cli.options import Asked, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json_line, print_table, say
from pointsman_cli.running import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointsman_simulator import Fault, Upstream

_GRACE = 30.0
"""Seconds that answers have which run when SIGTERM comes."""
WIRES = ("ollama", "openai", "claude", "localai")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One upstream to run; `name` is "" for a name of its own, `port` 0 for a free one."""

    name: str
    wire: str
    port: int


def wanted(word: str) -> Wanted:
    """What `[NAME=]WIRE[:PORT]` means. Raises UsageError."""
    name, equals, rest = word.rpartition("=")
    wire, colon, port = rest.partition(":")
    if wire not in WIRES:
        raise click.UsageError(f"{word!r}: no wire {wire!r}; there are {', '.join(WIRES)}")
    if colon and not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise click.UsageError(f"{word!r}: {port!r} is no port; expected 0 to 65535")
    if equals and (not name or "/" in name):
        raise click.UsageError(f"{word!r}: a name must not be empty or hold '/'")
    return Wanted(name, wire, int(port or 0))


class _Seconds(click.FloatRange):
    """A number that a clock can wait for: neither `nan`, which is above and below nothing, nor `inf`."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


@click.command("sim")
@click.argument("upstreams", nargs=-1, required=True, metavar="[NAME=]WIRE[:PORT]...")
@click.option("--seed", default=0, show_default=True, help="Of texts and times.")
@click.option(
    "--models",
    multiple=True,
    metavar="[NAME=]MODEL,...",
    help="What is installed there; at all without NAME.",
)
@click.option(
    "--reply", multiple=True, metavar="[NAME=]TEXT", help="What it says, in place of made-up words."
)
@click.option("--tools", is_flag=True, help="They call the first tool of each request, then answer.")
@click.option(
    "--fault",
    multiple=True,
    metavar="[NAME=]FAULT[:N][@SHARE]",
    help="How it goes wrong: 503, 429:5, 400/context_length, stall, cut_after:3, …; @20% of the requests.",
)
@click.option("--latency", type=_Seconds(min=0), help="Seconds before the first byte.")
@click.option("--tokens-per-second", type=_Seconds(min=0, min_open=True), help="Pace of the words.")
@click.option(
    "--config-out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write a configuration (YAML) that uses them.",
)
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, /, upstreams: tuple[str, ...], config_out: Path | None, **options: Any) -> None:
    """Run simulated upstreams until Ctrl-C.

    Wires are ollama, openai, claude and localai; without a port each takes a free one. They listen on
    127.0.0.1 only, and answer nonsense at no cost, or what --reply says.
    """
    if find_spec("pointsman_simulator") is None:
        raise Failed("this needs pointsman-simulator. Try: pip install 'pointsman-cli[demo]'")
    run(_serve(asked, [wanted(each) for each in upstreams], config_out, **options))


async def _serve(
    asked: Asked,
    upstreams: list[Wanted],
    config_out: Path | None,
    *,
    seed: int,
    models: tuple[str, ...],
    reply: tuple[str, ...],
    tools: bool,
    fault: tuple[str, ...],
    latency: float | None,
    tokens_per_second: float | None,
) -> None:
    from pointsman_simulator import Habit, Simulator

    upstreams = named(upstreams)
    names = [each.name for each in upstreams]
    installed, texts = said_of(names, "--models", models), said_of(names, "--reply", reply)
    faults = said_of(names, "--fault", fault)
    habits = {
        name: Habit(
            text=texts[name][-1] if texts[name] else None,
            calls_tools=tools,
            faults=tuple(_fault(each) for each in faults[name]),
        )
        for name in names
    }
    stop = _stopped_by_signals(asked)
    async with Simulator(seed=seed) as simulator:
        for each in upstreams:
            try:
                upstream = await simulator.add(
                    each.wire,
                    name=each.name,
                    models=[model for some in installed[each.name] for model in some.split(",") if model]
                    or None,
                    port=each.port,
                    latency=latency,
                    tokens_per_second=tokens_per_second,
                )
                upstream.respond = habits[each.name].reply
            except ValueError as error:
                raise click.UsageError(str(error)) from error
            except OSError as error:
                raise Failed(f"{each.wire} cannot listen at port {each.port}: {error.strerror}") from error
        started = list(simulator.upstreams.values())
        if config_out is not None:
            await asyncio.to_thread(config_out.write_text, configuration_for(started), encoding="utf-8")
        _announce(asked, started, config_out)
        await stop.wait()
        if asked.terminated:
            await asyncio.gather(*(each.finish(timeout=_GRACE) for each in started))
    if not asked.json:
        say("stopped")


def configuration_for(upstreams: list[Upstream]) -> str:
    """YAML that makes the upstreams the providers of one model, `assistant`."""
    lines = ["# Simulated upstreams of `pointsman sim`.", "providers:"]
    lines += [f'  "{each.name}": {{type: {each.wire}, base_url: "{each.base_url}"}}' for each in upstreams]
    lines += ["", "models:", "  assistant:", "    strategy: round_robin", "    deployments:"]
    lines += [f'      - "{each.name}/{next(iter(each.site.models))}"' for each in upstreams]
    return "\n".join(lines) + "\n"


def named(upstreams: list[Wanted]) -> list[Wanted]:
    """`upstreams`, each with a name: the wire's, with a number from the second of its kind on."""
    taken = {each.name for each in upstreams}
    found = []
    for each in upstreams:
        if not each.name:
            names = (
                each.wire if n == 1 else f"{each.wire}{n}" for n in range(1, len(upstreams) + len(taken) + 2)
            )
            name = next(name for name in names if name not in taken)
            taken.add(name)
            each = Wanted(name, each.wire, each.port)
        found.append(each)
    return found


def said_of(names: Sequence[str], option: str, said: Sequence[str]) -> dict[str, list[str]]:
    """What `[NAME=]VALUE` says of each of `names`: of all where it names none. Raises UsageError."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for each in said:
        name, equals, value = each.partition("=")
        if equals and name in found:
            found[name].append(value)
        elif equals and option != "--reply":  # what is said may hold anything
            raise click.UsageError(f"{option} {each!r}: no upstream {name!r}; there are {', '.join(names)}")
        else:
            for values in found.values():
                values.append(each)
    return found


def _fault(said: str) -> tuple[Fault, float]:
    from pointsman_simulator import fault_of

    try:
        return fault_of(said)
    except ValueError as error:
        raise click.UsageError(f"--fault {error}") from error


def _announce(asked: Asked, upstreams: list[Upstream], config_out: Path | None) -> None:
    if asked.json:
        print_json_line(
            [
                {
                    "name": each.name,
                    "wire": each.wire,
                    "base_url": each.base_url,
                    "models": list(each.site.models),
                }
                for each in upstreams
            ]
        )
        return
    print_table(
        ["name", "wire", "base url", "models"],
        [[each.name, each.wire, each.base_url, ", ".join(each.site.models)] for each in upstreams],
    )
    sys.stdout.flush()
    if config_out is not None:
        say(f"wrote {config_out}; try: pointsman -c {config_out} ask 'Why is the sky blue?'")
    say("Ctrl-C stops them")


def _stopped_by_signals(asked: Asked) -> asyncio.Event:
    """Set by Ctrl-C and by SIGTERM; a second one of either ends the process."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def begin(number: int) -> None:
        asked.terminated = number == signal.SIGTERM
        stop.set()
        for each in numbers:
            loop.remove_signal_handler(each)

    for each in numbers:
        with suppress(NotImplementedError):
            loop.add_signal_handler(each, begin, each)
    return stop
