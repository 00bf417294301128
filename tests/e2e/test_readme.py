"""What the README names is what there is; its examples are run by `test_pages`."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_readme_names_every_built_in_strategy_and_every_provider_type() -> None:
    from pointsman.plugins.registry import Plugins

    plugins = Plugins()
    for name in (*plugins.names("strategy"), *plugins.names("provider")):
        assert f"| `{name}` |" in README


def test_the_two_commands_of_the_readme_stand_in_it() -> None:
    assert "pip install uv && uv run pointsman demo" in README
    assert "pip install uv && uv run pytest -n 2" in README
