"""Names that mean others, and calls that say where they go, over real sockets."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman import CallError, NoDeploymentAvailable
from pointsman_simulator import Fault, Reply, Simulator

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "strategies.md").read_text("utf-8")


async def test_aliases_and_patterns_reach_the_upstream_model_that_is_meant(fleet) -> None:
    one = await fleet.add("openai", "one")
    two = await fleet.add("ollama", "two")
    names = {
        "more": {"any-*": {"deployments": ["one/*"]}, "llama*": {"deployments": ["two/llama*"]}},
        "aliases": {"gpt-4o": "any-gpt-4.1-mini", "full": "two/llama3.2"},
    }
    asked = {
        "any-gpt-4.1-mini": "one/gpt-4.1-mini",
        "gpt-4o": "one/gpt-4.1-mini",
        "llama3.2": "two/llama3.2",
        "full": "two/llama3.2",
    }

    async with fleet.router(**names) as router:
        for name, deployment in asked.items():
            assert (await router.chat(name, "hi", max_tokens=9)).deployment == deployment
            async with router.stream(name, "hi", max_tokens=9) as stream:
                [_ async for _ in stream]
            assert stream.response.deployment == deployment

    assert {each.body["model"] for each in one.requests} == {"gpt-4.1-mini"}
    assert {each.body["model"] for each in two.requests} == {"llama3.2"}


async def test_invented_names_get_no_more_through_than_the_limit_of_their_pattern(fleet) -> None:
    one = await fleet.add("openai", "one", lenient=True)
    limited = {
        "provider": "one",
        "model": "*",
        "name": "any/*",
        "limits": {"requests": "4/h", "burst_requests": 4},
    }

    async with fleet.router(more={"any-*": {"deployments": [limited]}}, queue=None, retry="none") as router:
        told = await asyncio.gather(
            *(router.chat(f"any-{n}", "hi", max_tokens=9) for n in range(40)), return_exceptions=True
        )

    assert len(one.requests) == 4
    assert sum(isinstance(each, NoDeploymentAvailable) for each in told) == 36


async def test_a_call_goes_to_the_fallbacks_that_it_names_and_by_the_strategy_that_it_names(fleet) -> None:
    first = await fleet.add("openai", "first", deployment={"weight": 3})
    await fleet.add("openai", "second")
    spare = await fleet.add("ollama", "spare", deployment={"priority": 9})
    more = {"backup": {"deployments": ["spare/llama3.2"]}, "alone": {"deployments": ["first/gpt-4.1-mini"]}}

    async with fleet.router(more=more, circuit_breaker={"enabled": False}, retry="none") as router:
        found = [
            (await router.chat("m", "hi", max_tokens=9, strategy="weighted")).deployment.partition("/")[0]
            for _ in range(8)
        ]
        assert (found.count("first"), found.count("second")) == (6, 2)
        first.default = Reply(fault=Fault.status(500))
        reply = await router.chat("alone", "hi", max_tokens=9, fallbacks=["backup"])
        assert (reply.deployment, reply.attempts) == ("spare/llama3.2", 2)
        with pytest.raises(CallError):
            await router.chat("alone", "hi", max_tokens=9, fallbacks=[])

    assert len(spare.requests) == 1


async def test_the_program_of_the_page_runs(tmp_path: Path) -> None:
    section = PAGE.partition("## For one call")[2].partition("\n## ")[0]
    (config,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    (program,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)

    async with Simulator(seed=1) as simulator:
        for name, port in (("gpu1", 11434), ("gpu2", 11435)):
            gpu = await simulator.add("ollama", name=name, models=["llama3.2", "phi4", "gpt-oss"])
            config = config.replace(f"http://127.0.0.1:{port}", gpu.base_url)
        (tmp_path / "pointsman.yaml").write_text(config)
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-c", program),
            cwd=tmp_path,
            env={"PATH": "", "PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)

    assert process.returncode == 0, err.decode()
    lines = out.decode().splitlines()
    assert [each.partition("/")[2] for each in lines[:3]] == ["llama3.2"] * 3
    assert "'round_robin'" in lines[3]
