"""What is recorded, how a router is operated, and which plugin is taken where two offer a name."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
from proving import Setting, ask, ask_often, during, proves
from routers import config

from pointsman import Config, ConfigError, Router
from pointsman.audit_log.chain import AuditKeys
from pointsman.audit_log.files import Disk, LineFile
from pointsman.audit_log.verify import verify
from pointsman.testing import Scripted


def records(folder: Path) -> list[dict[str, Any]]:
    """Those of what happened, without those of the log itself."""
    return [
        each
        for file in sorted(folder.rglob("*.jsonl"))
        for each in map(json.loads, file.read_text().splitlines())
        if each["event"] not in ("open", "close")
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
        assert [each["event"] for each in records(folder)] == ["start", "attempt", "request"]
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
    assert few in (11, 12, 13, 14)  # of 18, when the disk holds up to three of them
    assert many == 0


def chained(folder: Path) -> list[dict[str, Any]]:
    """The records of a log with those of its own; the last line may be on its way to the disk."""
    texts = [file.read_text() for file in sorted(folder.glob("*.jsonl"))]
    return [json.loads(line) for text in texts for line in text[: text.rfind("\n") + 1].splitlines()]


@proves("audit:jsonl.mode")
def requests_wait_for_their_record_or_do_not(setting: Setting) -> None:
    write, ends = Disk.write, {}

    def full(self: Disk, descriptor: int, data: bytes) -> int:
        raise OSError(ENOSPC, "No space left on device")

    for mode in ("drop_counted", "block", "fail_closed"):
        setting.environment.setattr(Disk, "write", full)

        async def story(r: Router, mode: str = mode) -> None:
            ends[mode] = await ask(r)
            setting.environment.setattr(Disk, "write", write)

        sink = {"type": "jsonl", "path": str(setting.folder / mode)}
        during(setting.to(mode, config("a", audit=[sink])), Scripted(), story)
    assert ends == {"drop_counted": "ok", "block": "AuditUnavailable", "fail_closed": "AuditUnavailable"}


@proves("audit:jsonl.wait")
def so_long_a_request_waits_for_its_record(setting: Setting) -> None:
    sync = Disk.sync
    for wait in (0.02, 0.05):
        goes_on = threading.Event()

        def never(self: Disk, descriptor: int, goes_on: threading.Event = goes_on) -> None:
            assert goes_on.wait(10)
            sync(self, descriptor)

        setting.environment.setattr(Disk, "sync", never)
        sink = {"type": "jsonl", "path": str(setting.folder / str(wait)), "mode": "block"}
        took: list[float] = []

        async def story(r: Router, took: list[float] = took, goes_on: threading.Event = goes_on) -> None:
            began = asyncio.get_running_loop().time()
            assert await ask(r) == "AuditUnavailable"
            took.append(asyncio.get_running_loop().time() - began)
            goes_on.set()

        during(setting.to(wait, config("a", audit=[sink])), Scripted(), story)
        assert took == [pytest.approx(wait, abs=0.01)]


@proves("audit:jsonl.sync")
def the_disk_has_to_keep_groups_or_not(setting: Setting) -> None:
    for value in ("group", "none"):
        synced: list[int] = []
        setting.environment.setattr(Disk, "sync", lambda self, descriptor, synced=synced: synced.append(1))
        base = config("a", audit=[{"type": "jsonl", "path": str(setting.folder / value)}])
        during(setting.to(value, base), Scripted(), ask)
        assert bool(synced) == (value == "group")


@proves("audit:jsonl.key")
def the_chain_can_be_verified_with_that_key_alone(setting: Setting) -> None:
    file = setting.folder / "key"
    file.write_text("0123456789abcdef\n")
    setting.environment.setenv("AUDIT_KEY", "another key of the log")
    keys = {"0123456789abcdef": {"file": str(file)}, "another key of the log": {"env": "AUDIT_KEY"}}
    for n, (key, value) in enumerate(keys.items()):
        folder = setting.folder / f"log-{n}"
        base = config("a", audit=[{"type": "jsonl", "path": str(folder)}])
        during(setting.to(value, base), Scripted(), ask)
        assert verify(folder, keys=AuditKeys((key.encode(),))).ok
        assert not verify(folder, keys=AuditKeys((b"not the key of it",))).ok


@proves("audit:jsonl.rotate")
def a_file_of_that_size_or_age_is_followed_by_another(setting: Setting) -> None:
    for n, (value, several) in enumerate(
        [({"size": 4096}, True), ({"age": 0.001}, True), ({"size": 10**6, "age": "1h"}, False)]
    ):
        folder = setting.folder / str(n)

        async def story(r: Router, folder: Path = folder) -> None:
            for n in range(8):
                await ask(r)
                while sum(each["event"] == "request" for each in chained(folder)) <= n:  # noqa: ASYNC110  # of a thread
                    await asyncio.sleep(0)

        base = config("a", audit=[{"type": "jsonl", "path": str(folder)}])
        during(setting.to(value, base), Scripted(), story)
        assert (len(list(folder.iterdir())) > 1) == several
        assert verify(folder).ok


@proves("audit:jsonl.keep")
def files_that_are_older_or_too_much_go(setting: Setting) -> None:
    def left(value: dict[str, Any]) -> int:
        folder = setting.folder / str(len(list(setting.folder.iterdir())))
        base = config("a", audit=[{"type": "jsonl", "path": str(folder)}])
        for _ in range(2):
            during(base, Scripted(), ask)
        for each in folder.iterdir():
            os.utime(each, (1_000_000_000.0, 1_000_000_000.0))
        during(setting.to(value, base), Scripted(), ask)
        assert verify(folder).ok
        return len(list(folder.iterdir()))

    assert (left({}), left({"age": "90d"}), left({"size": "1MiB"})) == (3, 1, 3)


@proves("audit:jsonl.content")
def what_is_asked_and_answered_is_recorded_as_it_says(setting: Setting) -> None:
    for n, (fields, has) in enumerate([(["messages"], "asked"), (["answer"], "answered")]):
        folder = setting.folder / str(n)
        base = config("a", audit=[{"type": "jsonl", "path": str(folder)}])
        during(setting.to({"fields": fields}, base), Scripted(), ask)
        told = [each for each in records(folder) if each["event"] == "content"]
        assert [[side for side in ("asked", "answered") if side in each] for each in told] == [[has]]


@proves("audit:jsonl.checkpoints")
def checkpoints_go_to_that_directory_and_that_logger(setting: Setting) -> None:
    for name in ("one", "two"):
        log, elsewhere = setting.folder / f"log-{name}", setting.folder / name
        heard: list[logging.LogRecord] = []
        handler = logging.Handler()
        handler.emit = heard.append  # type: ignore[method-assign]  # what a subclass would do
        logger = logging.getLogger(f"{name}.checkpoints")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        base = config("a", audit=[{"type": "jsonl", "path": str(log)}])
        value = {"directory": str(elsewhere), "logger": f"{name}.checkpoints"}
        try:
            during(setting.to(value, base), Scripted(), ask)
        finally:
            logger.removeHandler(handler)
        assert [json.loads(each.getMessage())["at"] for each in heard] == [5]
        assert [each["at"] for each in chained(elsewhere) if each["event"] == "checkpoint"] == [5]
        assert verify(log, checkpoints=elsewhere).checkpoints == 1


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
