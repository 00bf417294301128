"""docs/forecast.md: the example prints and draws what the page shows, and every key is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from pointsman_cli.app import run
from pointsman_forecast.settings import DEFAULTS, UpstreamSettings
from pointsman_forecast.traffic import TrafficSettings

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "forecast.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    """What stands in fences of that language."""
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def cells(text: str) -> list[list[str]]:
    """Of each line, wherever its columns stand."""
    return [re.split(r"\t| {2,}", line.strip()) for line in text.splitlines()]


def keys(head: str) -> list[str]:
    """The first column of the table with that head, names that share a line each by itself."""
    table = PAGE.partition(f"| {head} |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]


def test_the_example_prints_and_draws_what_the_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for name, text in zip(("now.yaml", "new.yaml", "traffic.yaml"), blocks("yaml")[:3], strict=True):
        (tmp_path / name).write_text(text)
    command, _, shown = blocks("console")[0].partition("\n")
    arguments = command.removeprefix("$ pointsman ").split()

    with CliRunner().isolation() as (out, err, _both):
        code = run([*arguments, "--plot", "forecast.svg"])
        printed = err.getvalue().decode().replace("drew forecast.svg\n", "") + out.getvalue().decode()

    assert code == 0
    assert cells(printed) == cells(shown)
    drawn, committed = tmp_path / "forecast.svg", DOCS / "images" / "forecast.svg"
    assert drawn.read_bytes() == committed.read_bytes(), "draw it anew, by the example of docs/forecast.md"


def test_every_key_has_its_line() -> None:
    assert sorted(keys("key of `traffic`")) == sorted(TrafficSettings.model_fields)
    assert sorted(keys("key of an upstream")) == sorted(UpstreamSettings.model_fields)


def test_the_defaults_of_the_types_are_those_of_the_code() -> None:
    rows = PAGE.partition("| type | first token")[2].partition("\n\n")[0].splitlines()[2:]
    said = {row.split("|")[1].strip(" `"): row.split("|")[2:5] for row in rows}

    assert set(said) == {*DEFAULTS, "others"}
    for type, (first, speed, _at_once) in said.items():
        settings = UpstreamSettings.model_construct(**DEFAULTS.get(type, {}))
        assert _milliseconds(first) == [
            round(1000 * getattr(settings.first_token, each)) for each in ("median", "p95")
        ]
        assert [int(each) for each in speed.split(",")] == [
            getattr(settings.tokens_per_second, each) for each in ("median", "p95")
        ]


def _milliseconds(text: str) -> list[int]:
    return [
        int(float(number) * (1 if unit == "ms" else 1000))
        for number, unit in re.findall(r"([\d.]+) (ms|s)", text)
    ]
