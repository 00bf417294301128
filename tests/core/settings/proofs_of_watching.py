"""Whether the file of a configuration is watched, how, and how often it is looked at."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from proving import Setting, proves
from routers import config

from pointsman import Router
from pointsman.builtin import notifying
from pointsman.builtin.watching import Watcher
from pointsman.testing import Scripted, run

SECONDS = 30


def looked(setting: Setting, value: object, **beside: object) -> tuple[int, bool]:
    """How often in 30 s, and whether the system was asked to tell."""
    looks, told = 0, False

    class Notifications:
        folders = frozenset[str]()

        def __init__(self, *_asked: Any) -> None:
            nonlocal told
            told = True

        def stop(self) -> None: ...
        async def aclose(self) -> None: ...

    look = Watcher.look

    def counted(watcher: Watcher) -> None:
        nonlocal looks
        looks += 1
        look(watcher)

    async def story() -> None:
        async with Router.from_config(file, plugins=[Scripted()]):
            await asyncio.sleep(SECONDS)

    with setting.environment.context() as changed:
        changed.setattr(Watcher, "look", counted)
        changed.setattr(notifying, "Notifications", Notifications)
        file = setting.folder / "pointsman.json"
        file.write_text(json.dumps(setting.to(value, config("a", reload=beside))))
        run(story())
    return looks, told


@proves("reload")
def its_file_is_watched_as_it_says_and_without_a_word_as_well(setting: Setting) -> None:
    assert looked(setting, {"interval": "3s", "watch": "poll"})[0] == SECONDS / 3
    assert looked(setting, {})[0] == SECONDS
    assert looked(setting, None)[0] == 0


@proves("reload.watch")
def changes_are_told_or_looked_for_or_left_alone(setting: Setting) -> None:
    for watch, told in (("auto", True), ("notify", True), ("poll", False)):
        assert looked(setting, watch) == (SECONDS, told)
    assert looked(setting, "off") == (0, False)


@proves("reload.interval")
def it_is_looked_at_so_often(setting: Setting) -> None:
    for seconds in (2, 5):
        assert looked(setting, f"{seconds}s", watch="poll")[0] == SECONDS / seconds
