"""What `pointsman serve` says when its router runs on something else: because of the file, or of what was found."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman import Reloaded
from pointsman_cli.options import Asked
from pointsman_gateway.process.reload_notes import ReloadNotes


class Router:
    """One whose configuration has these names."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.config: Any = SimpleNamespace(file="pointsman.yaml", names=lambda: self.names, said=object())

    def read(self) -> None:
        self.config.said = object()


def told(capsys: pytest.CaptureFixture[str], router: Any, event: Reloaded, *then: str) -> list[str]:
    tell = ReloadNotes(Asked(), router)
    router.names = then or router.names
    tell(event)
    return capsys.readouterr().err.splitlines()


def test_a_change_of_the_file_is_told_with_what_it_changes(capsys) -> None:
    said = told(capsys, Router("m"), Reloaded(1, 0, 0, ("m: strategy round_robin → weighted",)))

    assert said == ["runs on the changed pointsman.yaml", "  m: strategy round_robin → weighted"]


def test_a_file_that_means_the_same_is_not_called_changed(capsys) -> None:
    router = Router("m")
    tell = ReloadNotes(Asked(), router)  # type: ignore[arg-type]  # as much of one as is asked

    router.read()
    tell(Reloaded(1, 0, 0))

    assert capsys.readouterr().err.splitlines() == ["pointsman.yaml was read again, and means the same"]


def test_what_is_found_with_another_weight_is_not_told_of_as_a_file_that_was_read(capsys) -> None:
    assert told(capsys, Router("m"), Reloaded(1, 0, 0)) == []


def test_what_discovery_finds_is_no_change_of_the_file(capsys) -> None:
    said = told(capsys, Router("m", "qwen3"), Reloaded(1, 1, 1), "m", "phi4")

    assert said == [
        "what discovery finds has changed; deployments added: 1, removed: 1",
        "  model phi4 added",
        "  model qwen3 removed",
    ]
    # An address of a name that has several changes no name of a model.
    assert told(capsys, Router("m"), Reloaded(1, 1, 0))[0].startswith("what discovery finds has changed; ")


def test_for_programs_it_is_a_line_of_the_log_with_the_time(capsys) -> None:
    asked = Asked()
    asked.log_as_json = True

    router = Router("m")
    tell = ReloadNotes(asked, router)  # type: ignore[arg-type]  # as much of one as is asked
    router.read()
    tell(Reloaded(1, 0, 0))

    line = json.loads(capsys.readouterr().err)
    assert set(line) == {"log", "message", "changes", "timestamp"}
    assert line["message"] == "pointsman.yaml was read again, and means the same"
