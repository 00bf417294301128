"""What an import may bring along."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("aiohttp", "ruamel", "click", "rich", "pygments", "tenacity", "aiolimiter", "pointsman_openai", "h2")


@pytest.mark.parametrize("program", ["import pointsman", "import pointsman_cli"])
def test_an_import_brings_nothing_that_it_may_not_need(program: str) -> None:
    script = f"{program}; import sys, json; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert loaded.isdisjoint(HEAVY if "cli" not in program else (*HEAVY[:2], "rich", "pydantic", "pointsman"))
