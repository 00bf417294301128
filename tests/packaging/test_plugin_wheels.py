"""Plugins in real wheels: what nobody names is not imported, what is not let in neither, and data is no code."""

from __future__ import annotations

import ast
import json
import sys
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import pytest
from plugin_pages import files
from wheelhouse import Wheelhouse, output_of

from pointsman.plugins.records import fingerprint

PROJECT = """
[project]
name = "{name}"
version = "1.0"
requires-python = ">=3.11"

[project.entry-points]
{claims}

[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["src/{package}"]
"""
MARK = """
import os
open(os.environ["MARK"], "a").write(__name__ + " ")
"""
FERRY = f"""{MARK}
from pointsman.plugin import ChatResponse, PointsmanSpec, Provider, ProviderFactory, hookimpl
from pydantic import BaseModel

class Ferry(Provider):
    async def chat(self, request, call):
        return ChatResponse(text="by " + __name__)

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        return [ProviderFactory("ferry", BaseModel, Ferry)]

plugin = Plugin()
"""
GROUPS = (
    "providers",
    "auth",
    "retry",
    "strategies",
    "audit",
    "services",
    "sections",
    "guards",
    "selectors",
    "surfaces",
    "commands",
)


def project(folder: Path, name: str, code: str, groups: tuple[str, ...], offers: str) -> Path:
    package = name.replace("-", "_")
    claims = "\n".join(f'"pointsman.{each}" = {{ {offers} = "{package}:plugin" }}' for each in groups)
    (folder / "src" / package).mkdir(parents=True)
    (folder / "src" / package / "__init__.py").write_text(code)
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, package=package, claims=claims))
    return folder


def harbour(folder: Path) -> Path:
    """The package that the page shows, and one line of code that it could have and nobody runs."""
    for path, text in files("data.md").items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "src" / "pointsman_harbour" / "__init__.py").write_text(f"{MARK}raise SystemExit('imported')\n")
    return folder


@pytest.fixture(scope="module")
def wheels(wheelhouse: Wheelhouse, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    source = tmp_path_factory.mktemp("sources")
    return wheelhouse.build(
        [
            harbour(source / "harbour"),
            project(source / "nosy", "pointsman-nosy", f"{MARK}raise SystemExit('imported')", GROUPS, "nosy"),
            project(source / "north", "ferry-north", FERRY, ("providers",), "ferry"),
            project(source / "south", "ferry-south", FERRY, ("providers",), "ferry"),
        ]
    )


@pytest.fixture(scope="module")
def site(wheels: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an installer has put them."""
    site = tmp_path_factory.mktemp("installed") / "site"
    options = ("--quiet", "--offline", "--no-deps", "--python", sys.executable, "--target", site)
    output_of("uv", "pip", "install", *options, *wheels, cwd=site.parent)
    return site


RUN = """
import asyncio, json, os, sys
from pathlib import Path
from pointsman import Router
from pointsman.errors import CallError, ConfigError
from pointsman_simulator import Fault, Reply, Simulator

async def main():
    async with Simulator(seed=1) as simulator:
        upstream = await simulator.add("openai", models=["freighter"], lenient=True)
        file = Path(sys.argv[1]) / "pointsman.yaml"
        file.write_text(
            "providers:\\n"
            f"  harbour: {{type: harbour, api_key: sk-of-the-harbour, base_url: '{upstream.base_url}'}}\\n"
            "models:\\n  assistant: {deployments: [harbour/freighter]}\\n"
            "retry: none\\n"
        )
        async with Router.from_config(file) as router:
            reply = await router.chat("assistant", "hello", max_tokens=5)
            async with router.stream("assistant", "hello") as stream:
                streamed = "".join([event.text async for event in stream])
            listed = [each.id for each in await router.models()]
        ended = []
        for fault in (
            Fault.status(500, body='{"error": {"message": "The ship is loading"}}'),
            Fault.status(400, body='{"error": {"message": "no", "code": "berth_taken"}}'),
            Fault.status(400, body='{"error": {"message": "no"}}'),
        ):
            upstream.script(Reply(fault=fault))
            async with Router.from_config(file) as router:
                try:
                    await router.chat("assistant", "hello")
                except CallError as error:
                    ended.append(error.code)
        sent = upstream.requests[0]
        return {
            "text": reply.text, "streamed": streamed, "ended": ended, "listed": listed,
            "key": sent.headers.get("x-harbour-key"), "client": sent.headers.get("x-harbour-client"),
            "authorization": sent.headers.get("authorization"), "body": sorted(sent.body),
        }

async def two():
    given = {"providers": {"f": {"type": "ferry"}}, "models": {"m": {"deployments": ["f/x"]}}}
    async def by(plugins):
        async with Router.from_config({**given, "plugins": plugins}) as router:
            return (await router.chat("m", "hello")).text
    def refused(plugins):
        try:
            Router.check({**given, "plugins": plugins})
        except ConfigError as error:
            return str(error)
    north, south = await asyncio.gather(by({"allow": ["ferry-north"]}), by({"deny": ["ferry-north"]}))
    return [north, south, refused({"allow": []}), refused({})]

print(json.dumps({
    "one": asyncio.run(main()), "two": asyncio.run(two()),
    "modules": sorted(each for each in sys.modules if each.startswith(("pointsman_harbour", "pointsman_nosy"))),
}))
"""


@pytest.fixture(scope="module")
def ran(site: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of calls through what is installed, in an interpreter of their own."""
    folder = tmp_path_factory.mktemp("ran")
    code = f"import sys\nsys.path.insert(0, {str(site)!r})\n{RUN}"
    output = output_of(
        sys.executable, "-W", "error", "-c", code, folder, cwd=folder, MARK=str(folder / "imported")
    )
    result: dict[str, Any] = json.loads(output)
    result["imported"] = (folder / "imported").read_text().split()
    return result


def test_a_wheel_that_is_data_works_from_a_configuration_file_over_real_http(ran: dict[str, Any]) -> None:
    found = ran["one"]

    assert found["text"]
    assert found["streamed"]
    assert (found["key"], found["client"]) == ("sk-of-the-harbour", "pointsman")
    assert found["authorization"] is None
    assert "max_tokens" in found["body"]
    assert found["ended"] == ["overloaded", "rate_limited", "invalid_request"]
    assert {"harbour/tug", "harbour/freighter"} <= set(found["listed"])


def test_what_nobody_names_is_never_imported_nor_is_what_is_data(ran: dict[str, Any]) -> None:
    assert ran["imported"] == ["ferry_north", "ferry_south"]
    assert ran["modules"] == []


def test_two_routers_of_one_process_with_different_sets_do_not_see_each_other(ran: dict[str, Any]) -> None:
    north, south, none, both = ran["two"]

    assert (north, south) == ("by ferry_north", "by ferry_south")
    assert "is not named by plugins.allow" in none
    assert "provider 'ferry' is offered by ferry-" in both
    assert "settle it in the configuration" in both


def test_one_pin_holds_wherever_the_same_wheel_is_installed(site: Path, wheels: list[Path]) -> None:
    def digest(path: Path, name: str) -> str:
        (found,) = Distribution.discover(name=name, path=[str(path)])
        return fingerprint(found)

    assert digest(site, "ferry-north") == digest(wheels[2], "ferry-north")
    assert digest(site, "ferry-north") != digest(site, "ferry-south")


def test_the_tests_of_the_page_pass(site: Path, wheels: list[Path], tmp_path: Path) -> None:
    folder = harbour(tmp_path / "harbour")

    done = output_of(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error", folder / "tests",
        cwd=folder, MARK=str(tmp_path / "imported"),
    )  # fmt: skip

    assert " passed" in done
    assert not (tmp_path / "imported").exists()


def lines_of_code(text: str) -> int:
    """Lines of Python that are neither empty nor comments nor docstrings."""
    tree = ast.parse(text)
    said: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            said |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(1 for n, line in lines if n not in said and line.strip() and not line.strip().startswith("#"))


def test_a_provider_that_is_data_is_no_line_of_python_and_one_with_code_at_most_20() -> None:
    data = {path: text for path, text in files("data.md").items() if path.endswith(".py")}
    code = files("openai-compatible.md")["src/pointsman_acme/__init__.py"]

    assert [path for path in data if path.startswith("src/")] == []
    assert sum(map(lines_of_code, data.values())) <= 20  # its tests
    assert lines_of_code(code) <= 20
    assert lines_of_code(code) + sum(map(lines_of_code, data.values())) <= 40


def test_what_the_pages_have_one_write_is_a_configuration() -> None:
    from pointsman import Config
    from pointsman.config.plugin_rules import rules_said

    blocks = [text for text in yaml_blocks("control.md") + yaml_blocks("data.md") if "models:" in text]
    configurations = [text for text in blocks if "like:" not in text]

    assert len(configurations) == 2
    for text in configurations:
        assert Config.from_text(text, environ={"HARBOUR_KEY": "sk-k"}).models
    said = Config.from_text(configurations[0], environ={"HARBOUR_KEY": "sk-k"}).plugins.rules
    assert said is not None
    assert (said.allow, said.deny) == (("pointsman-harbour",), ("pointsman-nosy",))
    assert rules_said({"plugins": {"deny": ["x"]}}) is not None


def yaml_blocks(page: str) -> list[str]:
    from plugin_pages import PAGES

    return [each.partition("\n```")[0] for each in PAGES[page].split("```yaml\n")[1:]]
