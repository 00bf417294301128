"""What docs/security.md shows of signed requests works as it stands there."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from gateways import MODEL, gateway_for

from pointsman import Config, Router
from pointsman_gateway.access import nonces
from pointsman_gateway.reading import gateway_settings
from pointsman_simulator import Reply, Simulator

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "security.md").read_text("utf-8")
SECTION = PAGE.partition("## Requests that are signed\n")[2].partition("\n## ")[0]


def block(kind: str, which: int = 0) -> str:
    return re.findall(rf"```{kind}\n(.*?)```", SECTION, flags=re.DOTALL)[which]


async def test_what_it_shows_works(
    simulator: Simulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a key")
    monkeypatch.chdir(tmp_path)
    await asyncio.to_thread(
        subprocess.run, ["sh", "-e"], input=block("sh").encode(), check=True, capture_output=True
    )
    (tmp_path / "gateway.yaml").write_text(block("yaml", 0))
    access = gateway_settings(Config.load(tmp_path / "gateway.yaml")).access
    assert access is not None
    upstream = await simulator.add("openai", default=Reply(text="Scattering."))

    async with gateway_for(upstream, settings={"access": access.model_dump()}) as served:
        client = tmp_path / "ci.yaml"
        client.write_text(block("yaml", 1).replace("http://127.0.0.1:4000", served.url))
        async with Router.from_config(client) as router:
            assert (await router.chat(MODEL, "Why is the sky blue?")).text == "Scattering."
        script = block("python").replace("http://127.0.0.1:4000", served.url)
        await asyncio.to_thread(exec, compile(script, "security.md", "exec"), {})

    assert capsys.readouterr().out == "Scattering.\n"


def test_its_numbers_are_those_of_the_code() -> None:
    said = SECTION.replace("\n", " ")
    assert f"good for {nonces.WINDOW:.0f} s and may be {nonces.AHEAD:.0f} s ahead" in said
    assert f"Of one key {nonces.MOST_OF_ONE_KEY:,} are kept" in said
