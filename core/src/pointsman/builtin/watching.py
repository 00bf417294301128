"""The section `reload`: the files of a configuration are watched, and what changes there is taken up.

Whether something has changed is seen by looking at the files, in either way of watching: notifications only
say that it is time to look, and nobody depends on getting them.

An editor truncates and writes, or writes another file and renames it; Kubernetes has a link lead elsewhere.
So what changed is read once nobody has touched it for a moment, and taken up where it says something else.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, cast

from pointsman._internal.idle import IdleNotice, all_idle
from pointsman._internal.plugin_errors import OWN, log_raised
from pointsman._internal.regular_files import Seen, Stamp, look_at, stamp_of
from pointsman._internal.settings import Section, setting
from pointsman.errors import ConfigError
from pointsman.section import SectionFactory
from pointsman.service import ServiceContext, ServiceFactory
from pointsman.units import Duration

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pointsman.builtin.notifying import Notifications
    from pointsman.config import Config

SETTLED = 0.2
"""Seconds without a change after which a file counts as written."""
BEGIN = 0.5
"""Seconds after the start at which it first looks, at the latest: what it takes is not part of the start."""
GONE = 2.0
"""Seconds after which one that is missing counts as removed; while it is replaced it may be missing, too."""
_LIBRARY = "watchfiles"


class ReloadSettings(Section):
    """Whether a router takes up what changes in its file, and how it comes to know of that."""

    watch: Literal["auto", "notify", "poll", "off"] = setting(
        default="auto",
        description="`notify`: told by the system, which needs watchfiles; `poll`: by looking; `auto`: told "
        "where watchfiles is installed; `off`: only what `reload` says",
    )
    interval: Duration = setting(default=1.0, ge=0.05, description="between looks at the files")


class Watcher:
    """Watches the files of whatever configuration its router runs on.

    A look takes a few microseconds, and there is neither a task nor a thread for it: there is a task while
    something changes, and a thread where the system tells of changes.
    """

    keeps_router = False

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._settings: ReloadSettings = context.settings
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._work: asyncio.Task[None] | None = None
        self._idle = IdleNotice()
        self._notifications: Notifications | None = None
        self._config: Config | None = None
        self._stamps: Mapping[str, Stamp | None] = {}
        self._tried: Mapping[str, Seen | None] = {}

    async def start(self) -> None:
        """Look from now on. Raises ConfigError where notifications are wanted and not to be had."""
        if self._settings.watch == "notify" and find_spec(_LIBRARY) is None:
            raise ConfigError(f"`watch: notify` needs {_LIBRARY}; pip install 'pointsman[watch]'")
        if self._settings.watch != "off":
            self._loop = asyncio.get_running_loop()
            self._timer = self._loop.call_later(min(self._settings.interval, BEGIN), self._look_again)

    async def finish(self) -> None:
        """Look no more; what is being taken up still is: it may be what put another in place of this one."""
        self._stop()
        await all_idle([self])

    async def aclose(self) -> None:
        """The same, and end at once."""
        self._stop()
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
        if self._notifications is not None:
            await self._notifications.aclose()

    def when_idle(self, tell: Callable[[], None]) -> None:
        """Call `tell` once nothing is being taken up."""
        self._idle.add(tell, idle=self._work is None)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None
        if self._notifications is not None:
            self._notifications.stop()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    def _look_again(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(self._settings.interval, self._look_again)
            self.look()

    def look(self) -> None:
        """Take up what has changed, if something has."""
        if self._loop is None or self._work is not None:
            return
        try:
            config = self._context.router.config
        except ReferenceError:  # nobody holds it any more, and nobody has closed it
            self._stop()
            return
        if config is not self._config:
            self._follow(config)
        if self._now() != self._stamps:
            self._work = self._loop.create_task(self._take_up())
            self._work.add_done_callback(self._done)

    def _done(self, work: asyncio.Task[None]) -> None:
        self._work = None
        if not work.cancelled() and (error := work.exception()) is not None:
            log_raised("the watching of the configuration failed", error, self._context.scrub)
        self._idle.tell()

    def _follow(self, config: Config) -> None:
        """Go by the files of `config`, as they were when it was read."""
        self._config = config
        self._know(config.seen, config.folders)
        self._hear()

    def _know(self, seen: Mapping[str, Seen | None], folders: Iterable[str]) -> None:
        known = {**seen, **{each: look_at_folder(each) for each in folders}}
        self._stamps = {path: None if each is None else each.stamp for path, each in known.items()}
        self._tried = known

    def _hear(self) -> None:
        """Be told of changes, where that is wanted and can be had."""
        if self._settings.watch == "poll" or find_spec(_LIBRARY) is None or self._loop is None:
            return
        from pointsman.builtin.notifying import Notifications, folders_of

        folders = folders_of(self._stamps)
        if self._notifications is not None and self._notifications.folders != folders:
            self._notifications.stop()
            self._notifications = None
        if folders and self._notifications is None:
            self._notifications = Notifications(folders, self._loop, self.look)

    def _now(self) -> Mapping[str, Stamp | None]:
        return {path: stamp_of(path) for path in self._stamps}

    # ── taking up ────────────────────────────────────────────────────────────────────────────────────

    async def _take_up(self) -> None:
        stamps = await self._settled()
        known = await asyncio.to_thread(_seen, tuple(stamps))
        self._stamps = {path: None if each is None else each.stamp for path, each in known.items()}
        if _contents(known) == _contents(self._tried):
            return
        # Whatever becomes of it, it is not tried again before it says something else.
        self._tried = known
        try:
            await self._context.router.reload()
        except ConfigError as error:  # of which the router has spoken
            named = [str(file) for each in error.problems if (file := getattr(each, "file", None))]
            more = await asyncio.to_thread(_seen, [each for each in named if each not in known])
            self._know({**known, **more}, ())
        except OWN as error:  # plugins are asked, and may do anything
            log_raised("a changed configuration was not taken up", error, self._context.scrub)

    async def _settled(self) -> Mapping[str, Stamp | None]:
        """How the files are once nobody changes them any more."""
        before, waited = self._now(), 0.0
        while True:
            await self._context.clock.sleep(SETTLED)
            waited += SETTLED
            now = self._now()
            if now == before and (None not in now.values() or waited >= GONE):
                return now
            before = now


def _seen(paths: Iterable[str]) -> Mapping[str, Seen | None]:
    return {path: look_at_folder(path) if os.path.isdir(path) else look_at(path) for path in paths}


def _contents(seen: Mapping[str, Seen | None]) -> Mapping[str, int | None]:
    return {path: None if each is None else each.content for path, each in seen.items()}


def look_at_folder(path: str) -> Seen | None:
    """Which files are in a folder that could be read as a configuration; None where there is none."""
    stamp = stamp_of(path)
    try:
        names = sorted(os.listdir(path))
    except OSError:
        return None
    suffixes = (".yaml", ".yml", ".toml", ".json")
    return stamp and Seen(stamp, hash(tuple(each for each in names if each.lower().endswith(suffixes))))


# No pydantic model, and stands in for one: that would take part of each start.
_SETTINGS = cast("type[BaseModel]", ReloadSettings)
SERVICE = ServiceFactory("reload", _SETTINGS, Watcher)
SECTION = SectionFactory("reload", _SETTINGS, service="reload")
