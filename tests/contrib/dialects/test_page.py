"""docs/dialects.md: its files become what it shows, and its tables name everything."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from pointsman import Config
from pointsman_cli.app import run
from pointsman_dialects import providers
from pointsman_dialects.litellm import model_list, settings
from pointsman_dialects.litellm.upstreams import UPSTREAMS

PAGE = (Path(__file__).parents[3] / "docs" / "dialects.md").read_text("utf-8")
BLOCKS = re.findall(r"^```yaml[a-z ]*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_files_of_the_page_become_what_it_shows(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-some-length")
    litellm, ours, services = BLOCKS
    Path("config.yaml").write_text(litellm, "utf-8")

    with CliRunner().isolation() as (out, _err, _both):
        code = run(["config", "convert", "config.yaml"])

    assert code == 0
    assert out.getvalue().decode() == ours
    assert set(Config.from_text(services).models) == {"llama2", "gpt-4", "ollama", "openai", "default"}


def test_the_tables_name_everything_that_is_translated() -> None:
    named = set(re.findall(r"[\w-]+", PAGE))
    options = {"seed", "stop", "top_k", "user"}  # "…"

    assert {kind for kind in UPSTREAMS if f"`{kind}/`" not in PAGE} == set()
    assert settings.STRATEGIES.keys() - named == set()
    assert {*settings._PUT, *settings._SAME} - named == {
        "failure_callback", "service_callback", "cache_params", "redis_db",
    }  # fmt: skip
    assert {"temperature", "max_tokens", "top_p", "extra_body"} <= model_list._OPTIONS.keys() - options
    assert set(providers._TRANSLATED) - named == set()
