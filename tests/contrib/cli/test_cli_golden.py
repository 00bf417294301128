"""Every command as a new user would try it, at a terminal and in a pipe: what they see is in golden files.

    POINTSMAN_WRITE_GOLDEN=1 uv run pytest tests/contrib/cli/test_cli_golden.py

writes them anew; look at the difference as whoever is going to read it at 80 columns.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cli_page
import pytest
from golden_runs import COLOUR, COLUMNS, STYLE, Markers, at_terminal, piped, screen
from golden_scenes import SCENES, Scene

from pointsman import Router
from pointsman_simulator import Reply

GOLDEN = Path(__file__).parent / "golden"
WRITE = bool(os.environ.get("POINTSMAN_WRITE_GOLDEN"))

CONFIG = """\
providers:
  gpu1: {{type: ollama, base_url: '{gpu1}'}}
  gpu2: {{type: ollama, base_url: '{gpu2}'}}
  cloud: {{type: openai, base_url: '{cloud}', api_key: sk-not-to-be-seen-0123456789}}
models:
  assistant:
    strategy: least_connections
    deployments: [{{provider: gpu1, model: llama3.2}}, {{provider: gpu2, model: llama3.2, priority: 1}}]
    fallback: [second]
  second:
    strategy: least_connections
    deployments: [{{provider: gpu2, model: llama3.2}}, {{provider: cloud, model: gpt-4.1-mini, priority: 1}}]
  embedder: {{deployments: [gpu1/nomic-embed-text]}}
"""
"""Of the places that have one. By their priorities it is certain which deployment is asked first."""
CHANGED = """\
providers:
  gpu1: {{type: ollama, base_url: '{gpu1}'}}
  cloud: {{type: openai, base_url: '{cloud}', api_key: sk-not-to-be-seen-0123456789}}
models:
  assistant: {{strategy: round_robin, deployments: [gpu1/llama3.2, cloud/gpt-4.1-mini]}}
  embedder: {{deployments: [gpu1/nomic-embed-text]}}
"""
BROKEN = """\
providers:
  gpu1: {{type: olama, base_url: '{gpu1}', api_key: sk-not-to-be-seen-0123456789}}
models:
  assistant:
    stratgy: round_robin
    deployments: [gpu1/llama3.2, gpu3/llama3.2]
    retry: {{max_attempts: many}}
"""
CASES = """\
cases:
  - {{name: prefers the first, model: assistant, expect: {{pick: gpu1/llama3.2}}}}
  - {{name: goes to the cloud, model: second, expect: {{pick: cloud/gpt-4.1-mini}}}}
"""
LITELLM = """\
model_list:
  - model_name: gpt
    litellm_params: {{model: openai/gpt-4.1-mini, api_key: os.environ/OPENAI_API_KEY, rpm: 60}}
  - model_name: gpt
    litellm_params: {{model: ollama/llama3.2, api_base: '{gpu1}'}}
router_settings: {{routing_strategy: least-busy, num_retries: 2, model_group_alias: {{small: gpt}}}}
litellm_settings: {{success_callback: [langfuse], drop_params: true}}
"""
"""Files of a place; `{{gpu1}}` and its like are the addresses of upstreams."""


@pytest.fixture(scope="module")
def world(servers_in: Callable[[Path], Any]) -> Iterator[World]:
    made = World(servers_in)
    yield made
    made.close()


class World:
    """The places, the upstreams that their configurations name, and a router that runs."""

    def __init__(self, servers: Callable[[Path], Any]) -> None:
        # Short, and of the same length each time: lines are broken by it.
        self.root = Path(tempfile.mkdtemp(prefix="pm-", dir="/tmp"))
        self.servers = servers(self.root)
        says = Reply(text="Because it is so.")
        models = ["llama3.2", "nomic-embed-text"]
        addresses = {
            "gpu1": self.servers.add("ollama", name="gpu1", models=models, default=says),
            "gpu2": self.servers.add("ollama", name="gpu2", default=says),
            "cloud": self.servers.add("openai", name="cloud", default=says),
        }
        self.urls = {name: each.base_url for name, each in addresses.items()}
        self._closed = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
        self.down = {
            name: f"http://127.0.0.1:{each.getsockname()[1]}"
            for name, each in zip(self.urls, self._closed, strict=True)
        }
        for each in self._closed:
            each.close()
        control = f"control: {self.root}/pm.sock\n"
        files = {
            "configured": {
                "pointsman.yaml": (CONFIG, self.urls),
                "changed.yaml": (CHANGED, self.urls),
                "cases.yaml": (CASES, self.urls),
            },
            "one-down": {"pointsman.yaml": (CONFIG, {**self.urls, "gpu2": self.down["gpu2"]})},
            "all-down": {"pointsman.yaml": (CONFIG, self.down)},
            "broken": {"pointsman.yaml": (BROKEN, self.urls)},
            "running": {"pointsman.yaml": (CONFIG + control, self.urls)},
            "litellm": {"litellm.yaml": (LITELLM, self.urls)},
            "nothing": {},
        }
        for place, written in files.items():
            (self.root / "places" / place).mkdir(parents=True)
            for name, (text, urls) in written.items():
                (self.root / "places" / place / name).write_text(text.format(**urls))
        self.router: Any = self.servers.do(self._begun())

    async def _begun(self) -> Router:
        router = Router.from_config(self.root / "places" / "running" / "pointsman.yaml")
        await router.__aenter__()
        return router

    def as_it_was(self) -> None:
        """The router that runs has all of its deployments but one."""
        self.servers.do(self._reset())

    async def _reset(self) -> None:
        self.router.enable("gpu1/llama3.2")
        self.router.disable("gpu2/llama3.2")

    def markers(self) -> Markers:
        names = {
            url.removeprefix("http://").removesuffix("/v1"): f"<{name}>" for name, url in self.urls.items()
        }
        names |= {url.removeprefix("http://"): f"<no {name}>" for name, url in self.down.items()}
        return Markers({**names, str(self.root / "here"): "<here>", str(self.root): "<folder>"})

    def close(self) -> None:
        self.servers.do(self.router.aclose())
        self.servers.close()
        shutil.rmtree(self.root)


@pytest.fixture
def place(world: World, workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Goes to a fresh copy of a place."""
    monkeypatch.delenv("COLUMNS")
    for each in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", "/nonexistent")

    def go(name: str) -> None:
        there = world.root / "here"
        shutil.rmtree(there, ignore_errors=True)
        shutil.copytree(world.root / "places" / name, there)
        monkeypatch.chdir(there)
        if name == "running":
            world.as_it_was()

    return go


@pytest.mark.parametrize("name", SCENES)
def test_a_command_says_what_its_golden_file_says(
    name: str, world: World, place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = "\n".join(played(each, world, place, monkeypatch) for each in SCENES[name])

    file = GOLDEN / f"{name}.txt"
    if WRITE:
        file.write_text(seen, "utf-8")
    assert seen == file.read_text("utf-8")


def test_every_command_has_a_golden_file_and_every_golden_file_a_command() -> None:
    commands = {words.replace(" ", "-") for words, _command, _ctx in cli_page.pages()}

    assert set(SCENES) == commands | {"pointsman"}
    assert {each.stem for each in GOLDEN.iterdir()} == set(SCENES)


def played(scene: Scene, world: World, place: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """One scene in all of its forms, as its golden file has it."""
    parts = [f"##### {scene.place}: pointsman {scene.line}".rstrip()]
    markers = world.markers()

    def add(title: str, code: int | None, text: str) -> None:
        text = markers.marked(text, loose=scene.loose)
        text = re.sub(scene.hidden, "", text) if scene.hidden else text
        text = " ".join(text.split()) if scene.flows else text
        ends = "" if code is None else f" (exit {code})"
        parts.append(f"===== {title}{ends}\n{text.rstrip()}" if text.strip() else f"===== {title}{ends}")

    if "terminal" in scene.forms:
        place(scene.place)
        code, seen = at_terminal(scene.line)
        seen = screen(seen)
        add("at a terminal of 80 columns", code, seen.replace("\x1b", "^"))
        monkeypatch.setenv("NO_COLOR", "1")
        place(scene.place)
        code, plain = at_terminal(scene.line)
        monkeypatch.delenv("NO_COLOR")
        without = markers.marked(STYLE.sub("", seen), loose=True)
        assert not COLOUR.search(plain), "NO_COLOR is not heeded"
        if not scene.hidden:
            plain = markers.marked(STYLE.sub("", screen(plain)), loose=True)
            assert plain.split() == without.split() if scene.flows else plain == without, (
                "NO_COLOR changes more than colours"
            )
        too_long = [each for each in STYLE.sub("", seen).split("\n") if len(each) > COLUMNS]
        assert scene.data or not too_long, f"wider than {COLUMNS} columns"
    if "piped" in scene.forms:
        place(scene.place)
        code, out, err = piped(scene.line)
        add("piped", code, out)
        if err:
            add("piped, standard error", None, err)
    if "json" in scene.forms:
        place(scene.place)
        code, out, err = piped(f"{scene.line} --json")
        add("--json", code, out)
        if err:
            add("--json, standard error", None, err)
    return "\n".join(parts) + "\n"
