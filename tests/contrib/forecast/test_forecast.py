"""`pointsman forecast`: what it prints, draws, and how it ends."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from pointsman import Config
from pointsman_cli.app import run
from pointsman_forecast.faults import FaultSettings
from pointsman_forecast.plots import draw
from pointsman_forecast.running import forecast
from pointsman_forecast.traffic import Arrival, TrafficSettings, made_up

NOW = """providers:
  gpu1: {type: ollama}
  gpu2: {type: ollama}
models:
  assistant:
    strategy: round_robin
    deployments: [gpu1/llama3.2, gpu2/llama3.2]
"""
TRAFFIC = """traffic: {rate: 20/min, duration: 10m, answer: 50}
upstreams: {gpu2: {tokens_per_second: 10}}
faults: [{upstream: gpu1, fault: 500, at: 2m, last: 2m}]
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in a directory with two configurations and a scenario; exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "now.yaml").write_text(NOW)
    (tmp_path / "new.yaml").write_text(NOW.replace("round_robin", "least_connections"))
    (tmp_path / "traffic.yaml").write_text(TRAFFIC)

    def call(*arguments: str) -> tuple[int, str, str]:
        with CliRunner().isolation() as (out, err, _both):
            code = run(["forecast", *arguments])
            return code, out.getvalue().decode(), err.getvalue().decode()

    return call


def test_two_configurations_are_shown_side_by_side_with_what_changes(cli: Run) -> None:
    code, out, err = cli("now.yaml", "new.yaml", "--traffic", "traffic.yaml")

    lines = dict(line.split("\t", 1) for line in out.splitlines() if "\t" in line)
    assert code == 0
    assert lines["requests"] in ("now.yaml\tnew.yaml\tchange", "200\t200\t") or lines["requests"].endswith(
        "\t"
    )
    before, after, change = lines["whole answer, p50"].split("\t")
    assert (before[-1], after[-1], change[0]) == ("s", "s", "-")
    assert lines["gpu1/llama3.2"].endswith(" pp")
    assert "  gpu2/llama3.2 (ollama): first token about 300 ms, 10 tokens/s, 1 at once of" in err


def test_the_same_seed_prints_the_same_to_the_byte_and_another_one_another(cli: Run) -> None:
    first, again, other = (
        cli("now.yaml", "-t", "traffic.yaml", "--json", *more) for more in ([], [], ["--seed", "5"])
    )

    assert first == again
    assert first[1] != other[1]
    assert json.loads(other[1])["seed"] == 5


def test_json_has_every_figure_and_the_course(cli: Run) -> None:
    _, out, err = cli("now.yaml", "-t", "traffic.yaml", "--json")

    (found,) = json.loads(out)["forecasts"]
    assert err == ""
    assert (found["name"], found["seconds"], found["complete"]) == ("now.yaml", 600, True)
    assert sum(each["requests"] for each in found["course"]) == found["requests"]
    assert sum(each["attempts"] for each in found["deployments"]) == found["attempts"]
    assert found["answered"] + sum(found["errors"].values()) == found["requests"]
    (gpu1, _gpu2) = found["deployments"]
    assert gpu1["errors"]["unavailable"] > 0
    assert gpu1["breaker_openings"] > 0
    assert {each["cold_loads"] for each in found["upstreams"]} == {1}


def test_rate_and_time_of_the_command_line_win_over_the_file(cli: Run) -> None:
    _, out, _ = cli("now.yaml", "-t", "traffic.yaml", "--rate", "1/s", "--for", "2m", "--json")

    (found,) = json.loads(out)["forecasts"]
    assert found["seconds"] == 120
    assert 80 < found["requests"] < 160


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """An audit log of ten streams at `gpu1`, each of 2 s, in which the first token comes after 1 s."""
    usage = {"prompt": 50, "completion": 11}
    times = {"ms": 2000.0, "first_token_ms": 1000.0, "deployment": "gpu1/llama3.2", "usage": usage}
    lines = []
    for n in range(10):
        of = {
            "v": 1,
            "ts": f"2026-01-01T00:00:{n:02}.000+00:00",
            "request_id": f"req_{n}",
            "model": "assistant",
        }
        lines.append(of | times | {"event": "attempt", "number": 1, "outcome": "ok"})
        lines.append(of | times | {"event": "request", "operation": "stream", "result": "ok"})
    file = tmp_path / "audit.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in lines) + "half a li")
    return file


def test_from_a_log_the_same_is_asked_of_upstreams_as_they_were(cli: Run, log: Path) -> None:
    code, out, err = cli("now.yaml", "--from", str(log), "--json")
    text = cli("now.yaml", "--from", str(log))

    (found,) = json.loads(out)["forecasts"]
    first, second = found["deployments"]
    assert (code, found["requests"], found["seconds"]) == (0, 10, 9)
    assert first["first_token"]["p50"] == pytest.approx(1.0, abs=0.01)
    assert first["total"]["p50"] == pytest.approx(2.0, abs=0.01)
    assert second["attempts"] == 5  # in turns, and of it nothing is recorded
    assert "1 lines that are no records, such as" in err
    assert "9s as recorded, seed 0" in text[1]
    assert "  gpu1/llama3.2 (ollama): first token 1.00 s, 10 tokens/s\n" in text[2]


def test_who_says_twice_what_is_asked_is_told(cli: Run, log: Path, tmp_path: Path) -> None:
    twice = cli("now.yaml", "--from", str(log), "-t", "traffic.yaml")
    (tmp_path / "empty.jsonl").write_text("")

    assert (twice[0], "and so does `traffic`" in twice[2]) == (2, True)
    assert cli("now.yaml", "--from", str(log), "--rate", "1/s")[0] == 2
    assert cli("now.yaml", "--from", "nowhere.jsonl")[0] == 2
    assert "no request is recorded" in cli("now.yaml", "--from", "empty.jsonl")[2]


def test_without_a_configuration_it_is_the_one_that_is_here(cli: Run, tmp_path: Path) -> None:
    (tmp_path / "pointsman.yaml").write_text(NOW)

    code, out, _ = cli("--for", "1m")

    assert code == 0
    assert "requests\tpointsman.yaml\n" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["now.yaml", "new.yaml", "now.yaml"], "there are two to compare"),
        (["now.yaml", "--rate", "fast"], "500/min"),
        (["now.yaml", "--for", "0s"], "--for"),
        (["now.yaml", "--plot", "out.gif"], "error: --plot out.gif: a picture is .svg"),
        (["nowhere.yaml"], "nowhere.yaml"),
        (["now.yaml", "-t", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_what_cannot_be_done_is_a_usage_error(cli: Run, arguments: list[str], said: str) -> None:
    code, out, err = cli(*arguments)

    assert (code, out) == (2, "")
    assert said in err


def test_a_picture_is_drawn_of_both_and_is_the_same_each_time(cli: Run, tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        assert cli("now.yaml", "new.yaml", "-t", "traffic.yaml", "--plot", name)[0] == 0

    drawn = (tmp_path / "one.svg").read_bytes()
    texts = {each.text for each in ElementTree.fromstring(drawn).iter() if each.text}
    assert drawn == (tmp_path / "two.svg").read_bytes()
    assert {"now.yaml", "new.yaml", "gpu1/llama3.2", "gpu2/llama3.2"} <= texts


def test_ctrl_c_gives_what_there_is() -> None:
    def questions() -> Iterator[Arrival]:
        for n, each in enumerate(made_up(TrafficSettings(), seed=0, default_model="assistant")):
            if n == 100:
                signal.raise_signal(signal.SIGINT)
            yield each

    found = forecast("now", Config.from_text(NOW), questions(), seconds=3600)

    assert not found.complete
    assert 0 < found.requests <= 100
    assert 0 < found.seconds < 3_600


def test_nothing_that_was_asked_is_a_forecast_too() -> None:
    found = forecast("now", Config.from_text(NOW), [], seconds=60)

    assert (found.requests, found.answered, found.total.p50) == (0, 0, None)
    assert draw([found], ".svg").startswith(b"<svg")


def test_a_png_is_drawn_too() -> None:
    fault = FaultSettings.model_validate({"upstream": "gpu1", "fault": 400})
    asked = made_up(TrafficSettings(), seed=0, default_model="assistant")
    found = forecast("now", Config.from_text(NOW), [*asked][:20], seconds=300, faults=[fault])

    assert found.errors
    assert draw([found, found], ".png").startswith(b"\x89PNG")


def test_without_matplotlib_a_png_is_refused_before_anything_runs(
    cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    code, out, err = cli("now.yaml", "--plot", "out.png")

    assert (code, out) == (2, "")
    assert "pip install 'pointsman-forecast[plot]'" in err
