"""What changes in the files of a configuration is taken up by itself, once it is written, and once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import ref

import pytest
from routers import config

from pointsman import Config, ConfigError, Reloaded, Router, SyncRouter
from pointsman._internal.idle import all_idle
from pointsman.build.loading import to_run_on
from pointsman.builtin.watching import SETTLED, ReloadSettings, Watcher
from pointsman.plugin import ServiceContext
from pointsman.testing import Scripted, run

WITHIN = 20.0
TEXT = """\
providers: {a: {type: scripted}, b: {type: scripted}}
models:
  m:
    strategy: round_robin
    deployments: [a/x, b/x]
"""
WEIGHTED = TEXT.replace("round_robin", "weighted")
PLUGINS = (Scripted(),)


class Reloading:
    """A router as far as what watches its files is concerned."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.config = to_run_on(file, PLUGINS)
        self.reloads = 0
        self.taken: list[str] = []
        self.broken: Exception | None = None

    async def reload(self) -> None:
        self.reloads += 1
        if self.broken is not None:
            raise self.broken
        self.config = to_run_on(self.file, PLUGINS)
        self.taken.append(self.config.models["m"].strategy.type)  # type: ignore[union-attr]


class Instant:
    """A clock whose pauses are over at once; `meanwhile` is what happens in each."""

    def __init__(self) -> None:
        self.meanwhile: list[Callable[[], object]] = []
        self.slept = 0.0

    def now(self) -> float:
        return self.slept

    def wall(self) -> float:
        return self.slept

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


class Looked:
    """A watcher that looks when a test says so."""

    def __init__(self, folder: Path, text: str = TEXT) -> None:
        self.file = folder / "pointsman.yaml"
        if not self.file.exists():
            self.file.write_text(text)
        self.router = Reloading(self.file)
        self.clock = Instant()
        context = ServiceContext(
            name="reload", settings=ReloadSettings(watch="poll", interval=3600), clock=self.clock,
            rng=None, log=logging.getLogger(), router=self.router, directory=folder, scrub=str,
        )  # type: ignore[arg-type]  # fmt: skip
        self.watcher = Watcher(context)

    async def __aenter__(self) -> Looked:
        await self.watcher.start()
        await self.look()
        assert self.router.reloads == 0
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.watcher.aclose()

    async def look(self) -> None:
        self.watcher.look()
        await all_idle([self.watcher])


# ── what counts as a change ──────────────────────────────────────────────────────────────────────────


async def test_what_is_written_into_the_file_is_taken_up_once(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        looked.file.write_text(WEIGHTED)
        for _ in range(3):
            await looked.look()

    assert looked.router.taken == ["weighted"]


async def test_a_file_that_was_only_touched_changes_nothing(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        for at in (1, 2):
            os.utime(looked.file, (at, at))
            await looked.look()
        looked.file.write_text(TEXT)
        await looked.look()

    assert looked.router.reloads == 0


async def test_a_change_that_keeps_size_and_time_is_seen(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        before = looked.file.stat()
        looked.file.write_text(TEXT.replace("[a/x, b/x]", "[b/x, a/x]"))
        os.utime(looked.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        await looked.look()

    assert looked.router.reloads == 1


async def test_what_changed_between_the_reading_and_the_first_look_is_seen(tmp_path: Path) -> None:
    looked = Looked(tmp_path)
    looked.file.write_text(WEIGHTED)

    await looked.watcher.start()
    await looked.look()
    await looked.watcher.aclose()

    assert looked.router.taken == ["weighted"]


def renamed(file: Path) -> None:
    """As most editors write."""
    other = file.with_name(".pointsman.yaml.tmp")
    other.write_text(WEIGHTED)
    other.replace(file)


def backed_up(file: Path) -> None:
    """As vim does: the old file goes, and for a moment there is none."""
    file.rename(file.with_name("pointsman.yaml~"))
    file.write_text(WEIGHTED)


def truncated(file: Path) -> None:
    with file.open("w") as stream:
        stream.write(WEIGHTED)


@pytest.mark.parametrize("saved", [renamed, backed_up, truncated], ids=lambda each: each.__name__)
async def test_it_does_not_matter_how_an_editor_saves(saved: Callable[[Path], None], tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        saved(looked.file)
        await looked.look()

    assert looked.router.taken == ["weighted"]


async def test_a_link_that_leads_elsewhere_is_another_file(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: the file is a link into `..data`, which is a link that is replaced."""
    for name, text in (("..1", TEXT), ("..2", WEIGHTED)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pointsman.yaml").write_text(text)
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "pointsman.yaml").symlink_to("..data/pointsman.yaml")
    async with Looked(tmp_path) as looked:
        (tmp_path / "..data_tmp").symlink_to("..2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await looked.look()

    assert looked.router.taken == ["weighted"]


# ── when it is read ──────────────────────────────────────────────────────────────────────────────────


async def test_a_file_is_read_once_nobody_writes_it_any_more(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        pieces = [WEIGHTED[:at] for at in range(0, len(WEIGHTED), 20)]
        looked.clock.meanwhile = [lambda piece=each: looked.file.write_text(piece) for each in pieces]
        looked.clock.meanwhile.append(lambda: looked.file.write_text(WEIGHTED))
        looked.file.write_text("")
        await looked.look()

    assert looked.router.reloads == 1
    assert looked.router.taken == ["weighted"]


async def test_a_file_that_is_missing_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        looked.file.unlink()
        looked.clock.meanwhile = [*[lambda: None] * 5, lambda: looked.file.write_text(WEIGHTED)]
        await looked.look()

    assert looked.router.taken == ["weighted"]
    assert looked.router.reloads == 1


async def test_a_file_that_stays_away_is_refused_once_and_taken_when_it_is_back(tmp_path: Path) -> None:
    async with Looked(tmp_path) as looked:
        looked.file.unlink()
        for _ in range(3):
            await looked.look()
        away = looked.router.reloads
        looked.file.write_text(TEXT)
        await looked.look()

    assert (away, looked.router.reloads, looked.router.taken) == (1, 2, ["round_robin"])


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("wrong", ["", TEXT[:60], "models: [", TEXT.replace("round_robin", "rund_robin")])
async def test_what_is_wrong_is_not_tried_again_before_it_says_something_else(
    wrong: str, tmp_path: Path
) -> None:
    async with Looked(tmp_path) as looked:
        looked.file.write_text(wrong)
        looked.router.broken = None if "rund" not in wrong else ConfigError("no such strategy")
        await looked.look()
        os.utime(looked.file, (1, 1))
        await looked.look()
        looked.file.write_text(wrong)
        await looked.look()
        tried, looked.router.broken = looked.router.reloads, None
        looked.file.write_text(WEIGHTED)
        await looked.look()

    assert tried == 1
    assert looked.router.taken == ["weighted"]


async def test_what_was_right_before_is_taken_again_so_that_nothing_is_refused_any_more(
    tmp_path: Path,
) -> None:
    async with Looked(tmp_path) as looked:
        looked.file.write_text("models: [")
        await looked.look()
        looked.file.write_text(TEXT)
        await looked.look()

    assert looked.router.taken == ["round_robin"]


async def test_a_plugin_that_fails_at_a_reload_does_not_end_the_watching(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Looked(tmp_path) as looked:
        looked.router.broken = KeyError("of a plugin")
        looked.file.write_text(WEIGHTED)
        await looked.look()
        looked.router.broken = None
        looked.file.write_text(TEXT)
        await looked.look()

    assert looked.router.taken == ["round_robin"]
    assert "a changed configuration was not taken up" in caplog.text


# ── with a router ────────────────────────────────────────────────────────────────────────────────────


class Served:
    """A router that watches its file, and what it told."""

    def __init__(self, router: Router, file: Path) -> None:
        self.router = router
        self.file = file
        self.reloads: asyncio.Queue[Reloaded] = asyncio.Queue()
        router.listen(self.reloads.put_nowait, kinds=[Reloaded])

    async def changed_to(self, text: str) -> Reloaded:
        self.file.write_text(text)
        async with asyncio.timeout(WITHIN):
            return await self.reloads.get()


def watched(tmp_path: Path, text: str = TEXT, **settings: str) -> Path:
    said = {"interval": "50ms", **settings}
    file = tmp_path / "pointsman.yaml"
    file.write_text(f"{text}reload: {{{', '.join(f'{key}: {value}' for key, value in said.items())}}}\n")
    return file


@asynccontextmanager
async def served(file: Path) -> AsyncIterator[Served]:
    async with Router.from_config(file, plugins=PLUGINS) as router:
        yield Served(router, file)


@pytest.mark.parametrize(
    ("watch", "interval"), [("auto", "50ms"), ("poll", "50ms"), ("notify", "1h")], ids=lambda each: each
)
async def test_a_strategy_is_switched_by_one_line_of_the_file(
    watch: str, interval: str, tmp_path: Path
) -> None:
    """With the longest interval it is one of the two looks at the beginning that sees a change, or none."""
    file = watched(tmp_path, watch=watch, interval=interval)
    text, said = file.read_text(), []
    async with served(file) as one:
        for strategy in ("weighted", "least_connections", "round_robin", "weighted"):
            told = await one.changed_to(text.replace("round_robin", strategy))
            assert one.router.status().models["m"].strategy == strategy
            said += told.changes

    assert said[:2] == ["m: strategy round_robin → weighted", "m: strategy weighted → least_connections"]
    assert len(said) == 4
    assert [each.name for each in threading.enumerate() if each.name == "pointsman-watch"] == []


async def test_an_application_that_logs_hears_of_the_change_and_not_of_the_watching(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = watched(tmp_path, watch="notify", interval="1h")
    caplog.set_level(logging.INFO)

    async with served(file) as one:
        for strategy in ("weighted", "least_connections"):
            await one.changed_to(WEIGHTED.replace("weighted", strategy) + file.read_text().partition(TEXT)[2])

    assert {each.name for each in caplog.records} == {"pointsman"}
    assert logging.getLogger("watchfiles.main").filters == []


class Warned(logging.Handler):
    """Sets `event` with the next warning of a router."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.event = asyncio.Event()
        logging.getLogger("pointsman").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger("pointsman").removeHandler(self)
        self.event.set()


async def test_what_is_wrong_is_told_and_the_one_before_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = watched(tmp_path, watch="poll")
    right = file.read_text()
    async with served(file) as one:
        warned = Warned()
        file.write_text(right.replace("round_robin", "rund_robin"))
        await asyncio.wait_for(warned.event.wait(), WITHIN)
        refused = one.router.status().configuration.refused
        assert refused is not None
        answer = await one.router.chat("m", "hi")
        told = await one.changed_to(right)
        after = one.router.status().configuration

    (problem,) = refused.problems
    assert (problem.file, problem.line, problem.path) == (str(file), 4, "models.m.strategy.type")
    assert answer.text == "ok"
    assert (told.changes, after.refused, after.file) == ((), None, str(file))
    assert [each.levelname for each in caplog.records if each.name == "pointsman"] == ["WARNING"]


async def test_the_watching_is_changed_by_what_it_watches(tmp_path: Path) -> None:
    async with served(watched(tmp_path, watch="poll")) as one:
        text = one.file.read_text()
        await one.changed_to(text.replace("50ms", "60ms"))
        await one.changed_to(text.replace("50ms", "70ms").replace("round_robin", "weighted"))
        assert one.router.status().models["m"].strategy == "weighted"
        await one.changed_to(text.replace("poll", "off"))
        one.file.write_text(WEIGHTED)
        await one.router.reload()
        assert one.router.status().models["m"].strategy == "weighted"


@pytest.mark.parametrize(
    ("made", "watches"),
    [
        (lambda file: Router.from_config(file, plugins=PLUGINS), True),
        (lambda file: Router.from_config(str(file), plugins=PLUGINS), True),
        (lambda file: Router(Config.load(file), plugins=PLUGINS), False),
        (lambda file: Router.from_config(Config.load(file), plugins=PLUGINS), False),
        (lambda file: Router.from_config(to_run_on(file).model_copy(update={}), plugins=PLUGINS), False),
        (lambda _file: Router.from_config(config("a"), plugins=PLUGINS), False),
    ],
)
def test_a_router_that_is_given_a_file_watches_it_and_no_other_does(
    made: Callable[[Path], Router], watches: bool, tmp_path: Path
) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(TEXT)

    assert ("reload" in made(file).config.sections) is watches


def test_a_file_can_say_that_it_is_not_to_be_watched(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(f"{TEXT}reload: null\n")

    assert "reload" not in Router.from_config(file, plugins=PLUGINS).config.sections


async def test_a_router_that_all_have_forgotten_is_not_kept_by_who_watches_its_file(tmp_path: Path) -> None:
    router = Router.from_config(watched(tmp_path), plugins=PLUGINS)
    assert (await router.chat("m", "hi")).text == "ok"
    await asyncio.sleep(0)
    gone = ref(router)

    del router
    gc.collect()

    assert gone() is None


def test_a_blocking_router_watches_its_file(tmp_path: Path) -> None:
    file = watched(tmp_path, watch="poll")
    reloaded = threading.Event()
    with SyncRouter.from_config(file, plugins=PLUGINS) as router:
        router.chat("m", "hi")
        router.listen(lambda _event: reloaded.set(), kinds=[Reloaded])
        file.write_text(file.read_text().replace("round_robin", "weighted"))

        assert reloaded.wait(WITHIN)
        assert router.status().models["m"].strategy == "weighted"


def test_in_virtual_time_a_router_that_is_closed_waits_for_who_watches_its_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("watchfiles")
    file = tmp_path / "it.yaml"
    file.write_text(TEXT)

    async def main() -> None:
        async with Router.from_config(file, plugins=PLUGINS):
            await asyncio.sleep(5)

    run(main())

    assert [each.name for each in threading.enumerate() if each.name == "pointsman-watch"] == []
    assert caplog.messages == []


def test_without_the_library_notifications_cannot_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.builtin.watching.find_spec", lambda _name: None)

    async def begin() -> None:
        async with Router.from_config(watched(tmp_path, watch="notify"), plugins=PLUGINS):
            pass

    with pytest.raises(ConfigError, match=r"pip install 'pointsman\[watch\]'"):
        asyncio.run(begin())


def test_a_file_counts_as_written_after_a_fraction_of_a_second() -> None:
    assert 0.1 <= SETTLED <= 0.5
