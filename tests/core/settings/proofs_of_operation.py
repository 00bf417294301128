"""What is recorded, how a router is operated, and which plugin is taken where two offer a name."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from proving import Setting, ask, ask_often, during, proves
from routers import config

from pointsman import Config, ConfigError, Router
from pointsman.builtin.line_file import LineFile
from pointsman.testing import Scripted


def records(folder: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for file in sorted(folder.rglob("*.jsonl")) for line in file.read_text().splitlines()
    ]


@proves("audit")
def requests_are_recorded_where_it_says(setting: Setting) -> None:
    folders = [setting.folder / name for name in ("one", "two")]
    for count in (0, 1, 2):
        sinks = [{"type": "jsonl", "path": str(folder)} for folder in folders[:count]]
        before = [len(records(folder)) for folder in folders]
        during(setting.to(sinks, config("a")), Scripted(), ask)
        more = [len(records(folder)) - old for folder, old in zip(folders, before, strict=True)]
        assert [bool(each) for each in more] == [n < count for n in range(2)]


@proves("audit:jsonl.path")
def the_files_are_in_that_directory(setting: Setting) -> None:
    for name in ("here", "there/below"):
        folder = setting.folder / name
        during(setting.to(str(folder), config("a")), Scripted(), ask)
        assert [each["event"] for each in records(folder)] == ["attempt", "request"]
        assert folder.stat().st_mode & 0o777 == 0o700


@proves("audit:jsonl.buffer")
def so_many_records_wait_for_the_disk_and_further_ones_are_dropped(setting: Setting) -> None:
    append = LineFile.append

    def dropped(value: int) -> int:
        folder = setting.folder / str(value)
        hangs, goes_on = threading.Event(), threading.Event()

        def slowly(self: LineFile, data: bytes, lines: int) -> Any:
            hangs.set()
            assert goes_on.wait(10)
            return append(self, data, lines)

        setting.environment.setattr(LineFile, "append", slowly)

        async def story(r: Router) -> None:
            await ask(r)
            assert hangs.wait(10)
            await ask_often(r, 5)
            goes_on.set()

        base = config("a", audit=[{"type": "jsonl", "path": str(folder)}])
        during(setting.to(value, base), Scripted(), story)
        return sum(each["count"] for each in records(folder) if each["event"] == "gap")

    few, many = dropped(4), dropped(100)
    assert few in (6, 7)  # of 12, when the disk holds one or two of them
    assert many == 0


@proves("audit:logging.logger")
def records_go_to_the_logger_of_that_name_at_info(setting: Setting) -> None:
    for name in ("one.audit", "another.audit"):
        heard: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = heard.append  # type: ignore[method-assign]  # what a subclass would do
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            during(setting.to(name, config("a")), Scripted(), ask)
        finally:
            logger.removeHandler(handler)
        assert [each.levelno for each in heard] == [logging.INFO, logging.INFO]


@proves("control")
def the_router_is_operated_by_a_socket_at_that_path(setting: Setting) -> None:
    nested = setting.folder / "etc"
    nested.mkdir()

    async def operated(path: Path) -> bool:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except FileNotFoundError:
            return False
        writer.write(b'{"command": "ping"}\n')
        said = json.loads(await reader.readline())
        writer.close()
        await writer.wait_closed()
        assert said["pid"] == os.getpid()
        return True

    async def main(value: str | None, path: Path) -> bool:
        file = nested / "pointsman.json"
        file.write_text(json.dumps(setting.to(value, config("a"))))
        async with Router.from_config(Config.load(file), plugins=[Scripted()]):
            return await operated(path)

    own = f"{os.getpid()}.sock"
    for value, path, expected in (
        (None, nested / "p.sock", False),
        ("p.sock", nested / "p.sock", True),
        (str(setting.folder / "q.sock"), setting.folder / "q.sock", True),
        ("{pid}.sock", nested / own, True),
    ):
        assert asyncio.run(main(value, path)) is expected
        assert not path.exists()


PLUGIN = """
from pydantic import BaseModel
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Provider, ProviderFactory
from pointsman.types import ChatResponse, Usage

class Mine(Provider):
    async def chat(self, request, call):
        return ChatResponse(text=__name__, usage=Usage(prompt=1, completion=1), model=call.model)

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        return [ProviderFactory("proven", BaseModel, Mine)]

plugin = Plugin()
"""


def install_two(setting: Setting) -> dict[str, Any]:
    """Two distributions that offer the provider type `proven`, and a configuration that uses it."""
    for name in ("proven_one", "proven_two"):
        (setting.folder / f"{name}.py").write_text(PLUGIN)
        info = setting.folder / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pointsman.providers]\nproven = {name}:plugin\n")
    setting.environment.syspath_prepend(setting.folder)
    return config("a") | {"providers": {"a": {"type": "proven"}}}


@proves("plugins")
def of_two_distributions_that_offer_a_name_this_one_is_used(setting: Setting) -> None:
    base = install_two(setting)

    async def answer(value: dict[str, str]) -> str:
        async with Router.from_config(setting.to(value, base)) as r:
            return await ask(r)

    with pytest.raises(ConfigError, match="offered by"):
        asyncio.run(answer({}))
    assert asyncio.run(answer({"proven": "proven-one"})) == "proven_one"
    assert asyncio.run(answer({"proven": "proven-two"})) == "proven_two"


def used(given: Any) -> str:
    async def main() -> str:
        async with Router.from_config(given) as r:
            return await ask(r)

    try:
        return asyncio.run(main())
    except ConfigError as error:
        return error.message


@proves("plugins.allow")
def of_two_distributions_only_the_allowed_one_is_there(setting: Setting) -> None:
    base = install_two(setting)
    assert used(setting.to(["proven-one"], base)) == "proven_one"
    assert used(setting.to(["proven-two"], base)) == "proven_two"
    assert "not named by plugins.allow" in used(setting.to([], base))


@proves("plugins.deny")
def of_two_distributions_the_denied_one_is_not_there(setting: Setting) -> None:
    base = install_two(setting)
    assert used(setting.to(["proven-two"], base)) == "proven_one"
    assert used(setting.to(["proven-one"], base)) == "proven_two"
    assert "denied by plugins.deny" in used(setting.to(["proven-one", "proven-two"], base))


@proves("plugins.pin")
def a_distribution_of_another_version_is_not_used(setting: Setting) -> None:
    base = install_two(setting) | {"plugins": {"proven": "proven-one"}}
    assert used(setting.to({"proven-one": "1.0"}, base)) == "proven_one"
    assert "pinned to 1.1" in used(setting.to({"proven-one": "1.1"}, base))
