"""Services: what sections of the configuration start with a router, replace with a reload and close with it."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
from pydantic import BaseModel, SecretStr
from routers import config

from pointsman import ConfigError, Router, SyncRouter
from pointsman.plugin import (
    PointsmanSpec,
    SectionCheck,
    SectionFactory,
    Service,
    ServiceContext,
    ServiceFactory,
    hookimpl,
)
from pointsman.testing import Scripted, run


class Settings(BaseModel):
    port: int = 1
    key: SecretStr = SecretStr("")


class Recorded:
    """A service that writes down what is done with it."""

    def __init__(self, context: ServiceContext, done: list[str]) -> None:
        self.context = context
        self.done = done
        self.name = f"{context.name}:{context.settings.port}"

    async def start(self) -> None:
        await asyncio.sleep(0)
        self.done.append(f"start {self.name}")

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.done.append(f"close {self.name}")


Make = Callable[[ServiceContext], Service]


class Offering(PointsmanSpec):
    """Sections of these names, each with the service of its name."""

    def __init__(self, **makes: Make) -> None:
        self.made: list[ServiceContext] = []
        self._makes = makes

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        return [SectionFactory(name, Settings, service=name) for name in self._makes]

    @hookimpl
    def pointsman_services(self) -> Sequence[ServiceFactory]:
        return [ServiceFactory(name, Settings, make) for name, make in self._makes.items()]


def recorded(*names: str, kind: type[Recorded] = Recorded) -> tuple[Offering, list[str]]:
    done: list[str] = []
    return Offering(**dict.fromkeys(names, lambda context: kind(context, done))), done


def router(*offered: object, **sections: Any) -> Router:
    return Router.from_config(config("a", **sections), plugins=[Scripted(), *offered])


# ── living with a router ─────────────────────────────────────────────────────────────────────────────


async def test_services_start_when_a_router_is_entered_and_close_with_it_the_last_one_first() -> None:
    offering, done = recorded("one", "two")

    r = router(offering, one={}, two={"port": 2})
    before = list(done)
    async with r:
        inside = list(done)

    assert before == []
    assert inside == ["start one:1", "start two:2"]
    assert done == [*inside, "close two:2", "close one:1"]


async def test_a_service_can_use_its_router_as_soon_as_it_starts() -> None:
    answers: list[str] = []

    class Asking(Recorded):
        async def start(self) -> None:
            answers.append((await self.context.router.chat("m", "hi")).text)

    offering, _done = recorded("one", kind=Asking)
    async with router(offering, one={}) as r:
        assert (await r.chat("m", "hi")).text == "ok"

    assert answers == ["ok"]


async def test_a_section_that_is_null_or_not_there_starts_nothing() -> None:
    offering, done = recorded("one")

    async with router(offering), router(offering, one=None):
        pass

    assert done == []


async def test_a_router_that_is_not_entered_starts_its_services_beside_its_first_call() -> None:
    offering, done = recorded("one")
    r = router(offering, one={})

    await r.chat("m", "hi")
    await settled(done, 1)
    await r.aclose()

    assert done == ["start one:1", "close one:1"]


def test_a_blocking_router_has_its_services_in_its_own_thread() -> None:
    offering, done = recorded("one")

    with SyncRouter.from_config(config("a", one={}), plugins=[Scripted(), offering]) as r:
        r.chat("m", "hi")
        while not done:
            r.chat("m", "hi")

    assert done == ["start one:1", "close one:1"]


async def test_a_router_that_nobody_closed_and_that_never_began_is_freed_at_once() -> None:
    offering, _done = recorded("one")
    gc.disable()
    try:
        r = router(offering, one={})
        seen = ref(r)
        del r
        assert seen() is None
    finally:
        gc.enable()


# ── when one fails ───────────────────────────────────────────────────────────────────────────────────


class Failing(Recorded):
    async def start(self) -> None:
        await super().start()
        raise RuntimeError("the text of a stranger")


async def test_of_services_of_which_one_cannot_start_none_runs_and_the_error_says_whose_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    done: list[str] = []
    offering = Offering(one=lambda c: Recorded(c, done), two=lambda c: Failing(c, done))
    r = router(offering, one={}, two={})

    with pytest.raises(ConfigError) as failed:
        await r.__aenter__()

    assert done == ["start one:1", "start two:1", "close two:1", "close one:1"]
    said = "two: the service 'two' from tests.core.build.test_services:Offering failed in start(): RuntimeError; the log says more"
    assert said in str(failed.value)
    assert "stranger" not in str(failed.value)
    assert "the text of a stranger" in caplog.text
    assert [each for each in asyncio.all_tasks() if each is not asyncio.current_task()] == []


async def test_what_a_service_says_about_its_settings_stands_at_its_section(tmp_path: Path) -> None:
    class Refusing(Recorded):
        async def start(self) -> None:
            raise ConfigError(f"port {self.context.settings.port} is taken")

    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(config("a", one={"port": 80}), indent=1))
    line = file.read_text().splitlines().index(' "one": {') + 1
    offering, _done = recorded("one", kind=Refusing)

    with pytest.raises(ConfigError, match=rf"{file}:{line}:9: one: port 80 is taken"):
        await Router.from_config(file, plugins=[Scripted(), offering]).__aenter__()


async def test_services_that_failed_can_be_started_by_entering_again() -> None:
    class Late(Recorded):
        async def start(self) -> None:
            await super().start()
            if len(self.done) == 1:
                raise ConfigError("not yet")

    offering, done = recorded("one", kind=Late)
    r = router(offering, one={})
    with pytest.raises(ConfigError, match="not yet"):
        await r.__aenter__()

    async with r:
        pass

    assert done == ["start one:1", "close one:1", "start one:1", "close one:1"]


async def test_a_router_that_is_not_entered_goes_on_without_services_that_cannot_start_and_logs_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    offering, done = recorded("one", kind=Failing)
    r = router(offering, one={})

    await r.chat("m", "hi")
    await settled(done, 2)
    assert (await r.chat("m", "hi")).text == "ok"
    await r.aclose()

    assert "runs without its services" in caplog.text


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda _context: None,
            "the factory of service 'one' from tests.core.build.test_services:Offering made None; "
            "return the service from its `make`",
        ),
        (lambda _context: object(), "made a object, which has no method start()"),
        (lambda _context: 1 / 0, "test_services:Offering failed: ZeroDivisionError; the log says more"),
        (lambda _context: sys.exit(1), "test_services:Offering failed: SystemExit; the log says more"),
    ],
)
def test_what_a_factory_makes_is_checked_when_the_configuration_is(make: Make, said: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        Router.check(config("a", one={}), plugins=[Scripted(), Offering(one=make)])

    assert said in str(wrong.value)


def test_a_section_whose_service_nobody_offers_is_an_error_at_its_place() -> None:
    class Half(PointsmanSpec):
        @hookimpl
        def pointsman_sections(self) -> Sequence[SectionFactory]:
            return [SectionFactory("half", Settings, service="nobodys")]

    with pytest.raises(ConfigError, match="half: no plugin offers service 'nobodys'; installed: .*control"):
        Router.check(config("a", half={}), plugins=[Scripted(), Half()])


class Unclosing(Recorded):
    async def aclose(self) -> None:
        self.done.append(f"close {self.name}")
        if self.context.settings.port == 1:
            raise RuntimeError("cannot be closed")
        await asyncio.Event().wait()


def test_a_service_that_cannot_be_closed_hinders_nobody(caplog: pytest.LogCaptureFixture) -> None:
    offering, done = recorded("one", "two", "three", kind=Unclosing)

    async def main() -> None:
        async with router(offering, one={}, two={"port": 2}, three={"port": 1}):
            pass

    run(main())

    assert done[3:] == ["close three:1", "close two:2", "close one:1"]
    assert "service plugin 'two' is not closed after 5 s" in caplog.text
    assert "service plugin 'one' failed in aclose(): RuntimeError" in caplog.text


# ── reload ───────────────────────────────────────────────────────────────────────────────────────────


async def settled(done: list[str], count: int) -> list[str]:
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(done) == count, done
    return done


async def test_a_reload_starts_what_is_new_keeps_what_is_the_same_and_closes_what_goes() -> None:
    offering, done = recorded("one", "two", "three")

    async with router(offering, one={}, two={}) as r:
        await r.reload(config("ab", two={"port": 1}, three={}))
        assert await settled(done, 4) == ["start one:1", "start two:1", "start three:1", "close one:1"]

    assert sorted(done[4:]) == ["close three:1", "close two:1"]


async def test_a_section_that_changes_has_its_service_started_anew_before_the_old_one_is_closed() -> None:
    offering, done = recorded("one")

    async with router(offering, one={}) as r:
        await r.reload(config("a", one={"port": 2}))
        assert await settled(done, 3) == ["start one:1", "start one:2", "close one:1"]


async def test_a_reload_whose_services_cannot_start_changes_nothing() -> None:
    class Picky(Recorded):
        async def start(self) -> None:
            await super().start()
            if self.context.settings.port == 3:
                raise ConfigError("not this one")

    offering, done = recorded("one", "two", kind=Picky)

    async with router(offering, one={}) as r:
        with pytest.raises(ConfigError, match="two: not this one"):
            await r.reload(config("ab", one={"port": 2}, two={"port": 3}))
        assert done[1:] == ["start one:2", "start two:3", "close two:3", "close one:2"]
        assert set(r.config.providers) == {"a"}


async def test_a_reload_that_is_wrong_elsewhere_starts_nothing() -> None:
    offering, done = recorded("one")

    async with router(offering, one={}) as r:
        with pytest.raises(ConfigError):
            await r.reload(config("a", one={"port": 2}, strategy="none_such"))
        assert done == ["start one:1"]


async def test_a_reload_that_fails_after_its_services_have_started_closes_them_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    nowhere = {"type": "jsonl", "path": str(tmp_path / "file" / "audit")}
    offering, done = recorded("one")

    async with router(offering, one={}) as r:
        with pytest.raises(ConfigError, match="audit"):
            await r.reload(config("a", one={"port": 2}, audit=[nowhere]))
        assert done == ["start one:1", "start one:2", "close one:2"]


async def test_a_service_that_was_replaced_finishes_before_it_is_closed_unless_the_router_closes() -> None:
    may_end = asyncio.Event()

    class Finishing(Recorded):
        async def finish(self) -> None:
            self.done.append(f"finish {self.name}")
            await may_end.wait()

    offering, done = recorded("one", kind=Finishing)

    async with router(offering, one={}) as r:
        await r.reload(config("a", one={"port": 2}))
        assert (await settled(done, 3))[2:] == ["finish one:1"]
        may_end.set()
        assert (await settled(done, 4))[3:] == ["close one:1"]
        may_end.clear()
        await r.reload(config("a"))
        await settled(done, 5)

    assert done[4:] == ["finish one:2", "close one:2"]


async def test_one_that_equals_the_one_that_runs_is_not_started() -> None:
    class Same(Recorded):
        def __eq__(self, other: object) -> bool:
            return (
                isinstance(other, Same) and other.context.settings.port % 2 == self.context.settings.port % 2
            )

        __hash__ = None  # type: ignore[assignment]

    offering, done = recorded("one", kind=Same)

    async with router(offering, one={"port": 1}) as r:
        await r.reload(config("a", one={"port": 3}))
        await r.reload(config("a", one={"port": 4}))
        assert await settled(done, 3) == ["start one:1", "start one:4", "close one:1"]


async def test_a_running_call_does_not_notice_that_services_change() -> None:
    offering, _done = recorded("one")
    async with router(offering, one={}) as r, r.stream("m", "hi") as stream:
        pieces = [await anext(stream)]
        await r.reload(config("a", one={"port": 2}))
        pieces += [each async for each in stream]
        assert stream.response.text == "ok"


# ── what they are given ──────────────────────────────────────────────────────────────────────────────


async def test_a_context_has_the_settings_the_directory_and_what_hides_secrets(tmp_path: Path) -> None:
    contexts: list[ServiceContext] = []

    def make(context: ServiceContext) -> Service:
        contexts.append(context)
        return Recorded(context, [])

    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(config("a", one={"port": 7, "key": "sk-a-long-secret"})))
    async with Router.from_config(file, plugins=[Scripted(), Offering(one=make)]) as r:
        context = contexts[-1]
        assert context.router == r
        assert (context.name, context.settings.port, context.directory) == ("one", 7, tmp_path)
        assert context.log is logging.getLogger("pointsman.service.one")
        assert context.scrub("it is sk-a-long-secret") == "it is ***"


# ── keys of nobody ───────────────────────────────────────────────────────────────────────────────────


def test_a_known_section_whose_package_is_missing_is_a_warning_that_names_it(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text("providers: {a: {type: scripted}}\nknowledge: {path: ./documents}\n")

    (warning,) = Router.check(file, plugins=[Scripted()]).warnings

    assert str(warning) == (
        f"{file}:2:1: knowledge: nothing that is installed reads this section, so it does nothing; "
        "pip install pointsman-knowledge"
    )


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("gatway", "did you mean 'gateway'?"),
        ("controll", "did you mean 'control'?"),
        ("onne", "did you mean 'one'?"),
    ],
)
def test_any_other_key_that_nobody_knows_is_an_error_with_what_was_meant(key: str, hint: str) -> None:
    offering, _done = recorded("one")

    with pytest.raises(ConfigError) as wrong:
        Router.check(config("a", **{key: {}}), plugins=[Scripted(), offering])

    assert f"{key}: unknown key {key!r}; {hint}" in str(wrong.value)


def test_what_is_wrong_in_a_section_is_found_with_all_else_at_its_place(tmp_path: Path) -> None:
    offering, _done = recorded("one")
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers: {a: {type: scripted}}\nmodels: {m: {deployments: [b/x]}}\none: {port: many}\nstratgey: x\n"
    )

    with pytest.raises(ConfigError) as wrong:
        Router.check(file, plugins=[Scripted(), offering])

    assert [str(each).partition(" ")[0] for each in wrong.value.problems] == [
        f"{file}:2:28:", f"{file}:3:13:", f"{file}:4:1:",
    ]  # fmt: skip


def test_a_configuration_shows_and_dumps_nothing_of_what_stands_in_sections() -> None:
    offering, _done = recorded("one")
    given = Router.check(config("a", one={"key": "sk-a-long-secret"}), plugins=[Scripted(), offering])

    assert "sk-a-long" not in repr(given) + given.model_dump_json()
    assert given.sections == {"one": {"key": "sk-a-long-secret"}}


# ── what a section finds wrong that its settings alone cannot tell ──────────────────────────────────


class Checking(PointsmanSpec):
    """The section `house`, which is looked at by `check` once more."""

    def __init__(self, check: Callable[[Settings, SectionCheck], None]) -> None:
        self._check = check

    @hookimpl
    def pointsman_sections(self) -> Sequence[SectionFactory]:
        return [SectionFactory("house", Settings, check=self._check)]


def test_what_the_check_of_a_section_finds_is_told_with_its_place(tmp_path: Path) -> None:
    def check(settings: Settings, check: SectionCheck) -> None:
        if settings.port == 2 and "m" in check.models:
            check.problem(("port",), "is taken", "take another one")
        check.plugin("strategy", "wieghted", {}, ("port",))
        check.plugin("retry", "exponential", {"attempts": "many"}, ("key",))

    file = tmp_path / "pointsman.yaml"
    file.write_text(
        "providers:\n  gpu: {type: ollama}\nmodels:\n  m: {deployments: [gpu/m]}\nhouse: {port: 2, key: x}\n"
    )

    with pytest.raises(ConfigError) as raised:
        Router.check(file, plugins=[Checking(check)])

    found = sorted(str(each).partition("pointsman.yaml:")[2] for each in raised.value.problems)
    assert [each.partition(";")[0] for each in found] == [
        "5:15: house.port: is taken",
        "5:23: house.key.attempts: expected a whole number, not text",
        "5:9: house.port: unknown key 'port'",
    ]


def test_a_check_that_fails_is_told_and_hides_nothing_else() -> None:
    def check(_settings: Settings, _check: SectionCheck) -> None:
        raise KeyError("no such thing")

    with pytest.raises(ConfigError, match="the check of section 'house' from .* failed: KeyError; the log"):
        router(Checking(check), house={})
