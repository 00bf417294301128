"""The extras of the core: every distribution of this project by one word, at the core's own version."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from wheelhouse import ROOT, WORKSPACE, Wheelhouse, output_of

NOT_FOR_THEMSELVES = {"pointsman", "pointsman-wires"}
"""What has the extras, and what others need and nobody asks for."""
LISTED = "import json; from pointsman.plugins.registry import Plugins; print(json.dumps(Plugins().names('provider')))"


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))


CORE = project(ROOT / "core")


def test_every_distribution_is_an_extra_at_the_same_version() -> None:
    extras, version = CORE["project"]["optional-dependencies"], CORE["project"]["version"]
    every = {project(each)["project"]["name"] for each in WORKSPACE} - NOT_FOR_THEMSELVES

    found = {
        name: asked for name, asked in extras.items() if name not in ("all", "redact", "testing", "watch")
    }

    assert found == {each.removeprefix("pointsman-"): [f"{each}=={version}"] for each in every}
    assert sorted(extras["all"]) == sorted(f"{each}=={version}" for each in every)
    assert set(CORE["tool"]["uv"]["sources"]) == every


@pytest.fixture(scope="module")
def python(wheelhouse: Wheelhouse) -> Path:
    """An environment made by `pip install "pointsman[openai,ollama]"`."""
    return wheelhouse.resolved("two-extras", "openai", "ollama")


def test_two_extras_bring_their_distributions_and_no_more(wheelhouse: Wheelhouse, python: Path) -> None:
    listed = json.loads(output_of("uv", "pip", "list", "--format", "json", "--python", python, cwd=ROOT))
    providers = json.loads(output_of(python, "-c", LISTED, cwd=wheelhouse.folder))

    ours = {each["name"] for each in listed if each["name"].startswith("pointsman")}
    assert ours == {"pointsman", "pointsman-h1", "pointsman-ollama", "pointsman-openai"}
    assert providers == ["ollama", "openai"]


def test_presets_come_with_the_wheel(wheelhouse: Wheelhouse, python: Path) -> None:
    config = {"providers": {"a": {"type": "openai", "preset": "groq", "api_key": "k"}}}
    program = f"from pointsman import Router; print(Router.check({config!r}).providers['a'].preset)"

    assert output_of(python, "-c", program, cwd=wheelhouse.folder).strip() == "groq"
