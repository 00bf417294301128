"""The contracts of credentials, audit sinks and services: ours keep them, and each rule finds who does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pointsman import Router
from pointsman.auth import Auth, Fixed, Secret
from pointsman.builtin.audit import JsonlSettings, JsonlSink, LoggingSettings, LoggingSink
from pointsman.builtin.auth import FromFile
from pointsman.clock import LoopClock, system_rng
from pointsman.control.service import ControlService, ControlSettings
from pointsman.events import Event, RequestEnded
from pointsman.testing import Contexts
from pointsman.testing.contract import AuditContract, AuthContract, ServiceContract


class TestFixed(AuthContract):
    def make(self) -> Auth:
        return Fixed(Secret("sk-12345678"))


class TestNone(AuthContract):
    def make(self) -> Auth:
        return Fixed(None)


class Still:
    """A clock that stands still."""

    def now(self) -> float:
        return 0.0

    def wall(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")


class TestFromFile(AuthContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "key"
        self.path.write_text("sk-12345678")

    def make(self) -> Auth:
        return FromFile(self.path, Still())


class TestJsonl(AuditContract):
    def make(self, directory: Path) -> JsonlSink:
        return JsonlSink(JsonlSettings(path=directory / "audit"), LoopClock())


class TestLogging(AuditContract):
    def make(self, directory: Path) -> LoggingSink:
        return LoggingSink(LoggingSettings(logger="pointsman.audit"), LoopClock())


class TestControl(ServiceContract):
    def make(self, router: Router, directory: Path) -> ControlService:
        given = ControlSettings.model_validate("control.sock")
        contexts = Contexts(LoopClock(), system_rng(), directory=directory)
        return ControlService(contexts.service("control", given, router=router, scrub=str))


# ── each rule finds who breaks it ────────────────────────────────────────────────────────────────────


class Source:
    """A source of credentials as wrong as it is told to be."""

    def __init__(
        self, secrets: list[Any], *, shows: bool = False, slow: float = 0.0, always: bool = False
    ) -> None:
        self.secrets, self.shows, self.slow, self.always = secrets, shows, slow, always

    def current(self) -> Any:
        time.sleep(self.slow)
        return self.secrets[0]

    def rejected(self, _secret: Secret) -> bool:
        if not self.always:
            self.secrets.append(Secret(str(len(self.secrets))))
            del self.secrets[0]
        return True

    def __repr__(self) -> str:
        return self.secrets[0].reveal() if self.shows else "Source()"


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Source(["sk-1"]), "test_what_it_gives_is_a_secret_or_none"),
        (lambda: Source([Secret("a")], slow=0.06), "test_it_answers_at_once"),
        (
            lambda: Source([Secret("a")], always=True),
            "test_a_secret_that_was_rejected_is_followed_by_another",
        ),
        (
            lambda: Source([Secret("a"), Secret("b")]),
            "test_a_secret_that_was_rejected_is_followed_by_another",
        ),
        (lambda: Source([Secret("a")], shows=True), "test_nothing_shows_the_secret"),
    ],
)
def test_a_faulty_source_of_credentials_is_found(make: Callable[[], Any], rule: str) -> None:
    contract = type("Broken", (AuthContract,), {"make": lambda _self: make()})()

    with pytest.raises(AssertionError):
        term(contract, rule)()


class Sink:
    """A sink that does nothing, rightly."""

    def __call__(self, event: Event) -> None:
        pass

    def close(self) -> None:
        pass


class Choosy(Sink):
    def __call__(self, event: Event) -> None:
        for name in event.__struct_fields__:
            str(getattr(event, name)).encode()


class Slow(Sink):
    """Writes of requests alone, and at once."""

    def __call__(self, event: Event) -> None:
        if isinstance(event, RequestEnded):
            time.sleep(0.06)


class Locked(Sink):
    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self.lock:
            str(event).encode("utf-8", "replace")


class Left(Sink):
    def __init__(self) -> None:
        self.ends = threading.Event()
        threading.Thread(target=self.ends.wait, name="left alone", daemon=True).start()


SINKS: list[tuple[type[Sink], str]] = [
    (Choosy, "test_it_takes_every_event_whatever_texts_it_holds"),
    (Slow, "test_it_hands_the_writing_on"),
    (Locked, "test_an_event_that_is_told_in_the_midst_of_another_is_taken"),
    (Left, "test_nothing_is_left_at_work_when_it_is_closed"),
]


@pytest.mark.parametrize(("sink", "rule"), SINKS)
def test_a_faulty_sink_is_found(sink: type[Sink], rule: str, tmp_path: Path) -> None:
    made = {"make": lambda _self, _directory: sink(), "patience": 0.3}
    contract = type("Broken", (AuditContract,), made)()

    with pytest.raises((AssertionError, UnicodeEncodeError)):
        term(contract, rule)(tmp_path)


class Lodger:
    """A service that does nothing, rightly."""

    def __init__(self) -> None:
        self.began = 0
        self.task: asyncio.Task[object] | None = None

    async def start(self) -> None:
        self.began += 1
        self.task = asyncio.ensure_future(asyncio.Event().wait())

    async def aclose(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


class OfOneLife(Lodger):
    async def aclose(self) -> None:
        assert self.task is not None
        await super().aclose()


class OfOneEnd(Lodger):
    async def aclose(self) -> None:
        await super().aclose()
        if self.began:
            self.began -= 1
        elif self.task is not None:
            raise RuntimeError("closed before")


class Jealous(Lodger):
    lives: ClassVar[list[Lodger]] = []

    async def start(self) -> None:
        if self.lives:
            raise RuntimeError("the place is taken")
        self.lives.append(self)
        await super().start()


class Staying(Lodger):
    async def aclose(self) -> None:
        pass


class Hasty(Lodger):
    def __init__(self) -> None:
        super().__init__()
        self.task = asyncio.ensure_future(asyncio.sleep(1))


class Unending(Lodger):
    async def aclose(self) -> None:
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("service", "rule"),
    [
        (OfOneLife, "test_one_that_never_began_can_be_closed"),
        (Unending, "test_one_that_never_began_can_be_closed"),
        (OfOneEnd, "test_it_may_be_closed_twice"),
        (Jealous, "test_another_can_begin_where_one_was_closed"),
        (Staying, "test_nothing_is_at_work_before_it_begins_and_after"),
        (Hasty, "test_nothing_is_at_work_before_it_begins_and_after"),
    ],
)
def test_a_faulty_service_is_found(service: type[Lodger], rule: str, tmp_path: Path) -> None:
    contract = type("Broken", (ServiceContract,), {"make": lambda _self, _router, _directory: service()})()

    with pytest.raises((AssertionError, RuntimeError)):
        term(contract, rule)(tmp_path)


@pytest.mark.parametrize("rule", [each for each in dir(ServiceContract) if each.startswith("test_")])
def test_a_service_that_does_nothing_wrong_is_not_found(rule: str, tmp_path: Path) -> None:
    contract = type("Sound", (ServiceContract,), {"make": lambda _self, _router, _directory: Lodger()})()

    term(contract, rule)(tmp_path)


@pytest.mark.parametrize("contract", [AuthContract, AuditContract, ServiceContract])
def test_each_rule_is_broken_by_somebody_here(contract: type) -> None:
    said = Path(__file__).read_text("utf-8")

    rules = [name for name in vars(contract) if name.startswith("test_")]
    assert rules
    assert [rule for rule in rules if rule[:50] not in said] == []


def term(contract: Any, rule: str) -> Callable[..., None]:
    """The rule of that name, or of the one that begins so."""
    (name,) = [each for each in dir(contract) if each.startswith(rule)]
    found: Callable[..., None] = getattr(contract, name)
    return found
