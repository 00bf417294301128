"""`pointsman forecast`."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from time import monotonic
from typing import TYPE_CHECKING

import click

from pointsman_cli.errors import USAGE, Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import print_json, print_table, print_text, say, say_over

if TYPE_CHECKING:
    from pointsman import Config
    from pointsman_forecast.outcome import Forecast
    from pointsman_forecast.scenario import ScenarioFile
    from pointsman_forecast.traffic import Arrival

_TELL_EVERY = 0.1
"""Real seconds."""
_INTERRUPTED = 130
_WIDE = 80


@click.command("forecast")
@click.argument("configs", nargs=-1, metavar="[CONFIG [OTHER]]")
@click.option("-t", "--traffic", metavar="FILE", help="What to assume: traffic, upstreams, faults.")
@click.option(
    "--from",
    "logs",
    multiple=True,
    metavar="LOG",
    help="Traffic and upstreams as an audit log has them: files or folders of JSON lines.",
)
@click.option("--rate", metavar="RATE", help="Requests, such as 5/s or 300/min; wins over the file.")
@click.option("--for", "duration", metavar="TIME", help="For how long, such as 1h; wins over the file.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same one gives the same forecast.")
@click.option("--plot", metavar="FILE", help="Draw its course: .svg, or .png with pointsman-forecast[plot].")
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked,
    configs: Sequence[str],
    traffic: str | None,
    logs: Sequence[str],
    rate: str | None,
    duration: str | None,
    seed: int,
    plot: str | None,
) -> int | None:
    """Try a configuration, or a change of one, before it is in use.

    The router of CONFIG runs in virtual time, in front of models of its upstreams: an hour takes seconds,
    nobody is called, and nothing is written. With OTHER both get the same traffic and are shown side by side.
    Without any it is the configuration that other commands would take. Ctrl-C shows what there is by then.
    """
    from pointsman_forecast.plots import check_plot, draw

    if len(configs) > 2:
        raise click.UsageError("there is one configuration, or there are two to compare")
    if logs and (rate is not None or duration is not None):
        raise click.UsageError("--from says how much comes and for how long: leave out --rate and --for")
    if plot is not None:
        check_plot(plot)
    loaded = _loaded(asked, configs)
    scenario = _scenario(traffic, rate, duration)
    scenario.check([each for _, each in loaded])
    recorded: Sequence[Arrival] | None = None
    if logs:
        if "traffic" in scenario.scenario.model_fields_set:
            raise Failed(f"--from says what is asked, and so does `traffic` in {traffic}", code=USAGE)
        scenario, recorded = _recorded(logs, scenario, [each for _, each in loaded])
    if not asked.json:
        _say_assumed(scenario, [each for _, each in loaded])
    found: list[Forecast] = []
    with quiet(asked):
        for name, config in loaded:
            found.append(_forecast(asked, name, config, scenario, recorded, seed))
            if not found[-1].complete:
                break
    _show(asked, found, _assumed_traffic(scenario, recorded), seed)
    if plot is not None:
        Path(plot).write_bytes(draw(found, Path(plot).suffix))
        say(f"drew {plot}")
    return None if found[-1].complete else _INTERRUPTED


def _loaded(asked: Asked, files: Sequence[str]) -> list[tuple[str, Config]]:
    """The configurations, each with its name."""
    import os

    from pointsman.dry_run.configs import load_config
    from pointsman_cli.configured import config_file, configuration

    if not files:
        found = config_file(asked, os.environ, Path())
        if found is None:
            return [("what is here", asyncio.run(configuration(asked)))]
        files = [found] if isinstance(found, str) else found
    names = [Path(each).name for each in files]
    shown = names if len(set(names)) == len(names) else files
    return [(name, load_config(file)) for name, file in zip(shown, files, strict=True)]


def _scenario(file: str | None, rate: str | None, duration: str | None) -> ScenarioFile:
    """What is assumed: by the file, and by the options in place of that."""
    from msgspec.structs import replace

    from pointsman.units import parse_duration, parse_rate
    from pointsman_forecast.scenario import NOTHING_SAID, load_scenario

    said = NOTHING_SAID if file is None else load_scenario(file)
    update: dict[str, object] = {}
    try:
        if rate is not None:
            update["rate"] = parse_rate(rate)
        if duration is not None:
            update["duration"] = parse_duration(duration)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if update.get("duration") == 0:
        raise click.UsageError("--for: expected more than nothing")
    if not update:
        return said
    traffic = said.scenario.traffic.model_copy(update=update)
    return replace(said, scenario=said.scenario.model_copy(update={"traffic": traffic}))


def _recorded(
    logs: Sequence[str], scenario: ScenarioFile, configs: Sequence[Config]
) -> tuple[ScenarioFile, Sequence[Arrival]]:
    """The scenario with what `logs` say of upstreams, and the requests in them."""
    from msgspec.structs import replace

    from pointsman_forecast.fitted import fitted
    from pointsman_forecast.records import read_log

    try:
        log = read_log(logs)
    except OSError as error:
        raise click.UsageError(f"{error.filename}: {error.strerror}") from None
    said = scenario.scenario
    found = fitted(log, configs, said.upstreams)
    for why, times in found.left_out.items():
        say(f"left out: {times:,} requests {why}")
    if log.broken:
        say(f"left out: {len(log.broken):,} lines that are no records, such as {log.broken[0]}")
    if not found.arrivals:
        raise Failed(
            f"no request is recorded in {' and '.join(logs)} that these configurations know", code=USAGE
        )
    update = {
        "upstreams": found.upstreams,
        "faults": [*said.faults, *found.faults],
        "traffic": said.traffic.model_copy(update={"duration": found.seconds}),
    }
    return replace(scenario, scenario=said.model_copy(update=update)), found.arrivals


def _assumed_traffic(scenario: ScenarioFile, recorded: Sequence[Arrival] | None) -> str:
    from pointsman.units import format_duration, format_rate

    traffic = scenario.scenario.traffic
    if recorded is not None:
        return f"{format_duration(round(traffic.duration))} as recorded"
    rate = format_rate(traffic.rate)
    if traffic.has_peak:
        rate = f"{rate} to {format_rate(traffic.highest)}"
    return f"{format_duration(traffic.duration)} at {rate} ({traffic.shape})"


def _forecast(
    asked: Asked,
    name: str,
    config: Config,
    scenario: ScenarioFile,
    recorded: Sequence[Arrival] | None,
    seed: int,
) -> Forecast:
    from pointsman_forecast.running import forecast
    from pointsman_forecast.traffic import made_up

    said = scenario.scenario
    model = config.model_by_default
    if model is None:
        raise Failed(f"{name} has no model; add one under `models`", code=USAGE)
    progress = _progress(name, said.traffic.duration) if sys.stderr.isatty() and not asked.json else None
    try:
        return forecast(
            name,
            config,
            made_up(said.traffic, seed=seed, default_model=model) if recorded is None else recorded,
            seconds=said.traffic.duration,
            upstreams=said.upstreams,
            faults=said.faults,
            seed=seed,
            progress=progress,
        )
    finally:
        if progress is not None:
            say_over("")


def _progress(name: str, seconds: float) -> Callable[[float, int], None]:
    from pointsman.units import format_duration

    told, of = 0.0, format_duration(round(seconds))

    def tell(passed: float, requests: int) -> None:
        nonlocal told
        if (now := monotonic()) - told >= _TELL_EVERY:
            told = now
            say_over(f"{name}: {format_duration(round(passed))} of {of}, {requests:,} requests")

    return tell


@contextmanager
def quiet(asked: Asked) -> Iterator[None]:
    """What the routers log is of no time and no place, and shown only to who asks for it."""
    ours = logging.getLogger("pointsman")
    before = ours.level
    if not asked.verbose:
        ours.setLevel(logging.ERROR)
    try:
        yield
    finally:
        ours.setLevel(before)


def _say_assumed(scenario: ScenarioFile, configs: Sequence[Config]) -> None:
    """Of each upstream model that calls can go to."""
    from pointsman_forecast.settings import settings_for
    from pointsman_forecast.tables import assumed

    said = scenario.scenario.upstreams
    say("assumed of the upstreams; a file for --traffic can say otherwise:")
    lines = {
        f"{each.provider}/{each.model}": (config.providers[each.provider].type, each)
        for config in configs
        for model in config.described_models().values()
        for each in model.deployments
    }
    for name, (type, each) in lines.items():
        settings = settings_for(said, type=type, provider=each.provider, model=each.model)
        line = assumed(name, type, settings)
        say(fill(line, _WIDE, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False))


def _show(asked: Asked, found: Sequence[Forecast], traffic: str, seed: int) -> None:
    from pointsman.units import format_duration
    from pointsman_forecast.tables import deployments, requests, upstreams

    if asked.json:
        print_json({"seed": seed, "forecasts": [each.to_dict() for each in found]})
        return
    for each in found:
        if not each.complete:
            say(f"{each.name}: interrupted after {format_duration(round(each.seconds))} of virtual time")
    print_text(f"{traffic}, seed {seed}")
    names = [each.name for each in found]
    heads = [*names, "change"] if len(names) == 2 else names
    for title, lines in (
        ("requests", requests(found)),
        ("answers from", deployments(found)),
        ("upstream", upstreams(found)),
    ):
        print_text("")
        print_table([title, *heads], [each.cells() for each in lines])
