"""The contracts of credentials, audit sinks and services: ours keep them, and each rule finds who does not."""

from __future__ import annotations

import asyncio
import base64
import hmac
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest
from plugin_pages import block
from pydantic import BaseModel

from pointsman import ConfigError, Router
from pointsman.auth import Auth, Fixed, Outgoing, RefreshingAuth, Secret, SigningAuth
from pointsman.builtin.audit import JsonlSettings, JsonlSink, LoggingSettings, LoggingSink
from pointsman.builtin.auth import FromFile
from pointsman.clock import LoopClock, system_rng
from pointsman.control.service import ControlService, ControlSettings
from pointsman.discovery import Discovery, Found
from pointsman.errors import NotReady
from pointsman.events import Event, RequestEnded
from pointsman.plugin import AuditFactory, PointsmanSpec, hookimpl
from pointsman.testing import (
    CannedReply,
    Contexts,
    ReplayTransport,
    Scripted,
    SystemClock,
    client_for,
)
from pointsman.testing.contract import (
    AuditContract,
    AuthContract,
    DialectContract,
    DiscoveryContract,
    ServiceContract,
    TransportContract,
)


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


class Promising(Source):
    async def rejected(self, _secret: Secret) -> bool:  # type: ignore[override]
        return True


class Keys(RefreshingAuth, SigningAuth):
    """One that refreshes and signs, as wrong as `wrong` says."""

    def __init__(self, wrong: str = "") -> None:
        self.wrong = wrong
        self.number = 0
        self.secret: Secret | None = None

    def current(self) -> Secret | None:
        if self.secret is None:
            raise NotReady("no key yet")
        return self.secret

    async def refresh(self) -> None:
        match self.wrong:
            case "task":
                self.left = asyncio.ensure_future(asyncio.sleep(0.1))
            case "stubborn":
                await stubborn()
        await asyncio.sleep(0)
        if self.wrong != "useless":
            self.number += 1
            ends = time.time() if self.wrong == "calendar" else time.monotonic()
            self.secret = Secret(f"key-number-{self.number}", ends + 3600)

    def rejected(self, secret: Secret) -> bool:
        if secret == self.secret or self.wrong == "drops":
            self.secret = None
        return True

    def sign(self, outgoing: Outgoing) -> Any:
        if self.wrong == "slow":
            time.sleep(0.06)
        if self.wrong == "changes":
            outgoing.headers["x-date"] = "now"  # type: ignore[index]
        text = f"{outgoing.method} {outgoing.url} {sorted(outgoing.headers.items())}".encode()
        signature = hmac.new(b"key", text + outgoing.body, "sha256").hexdigest()
        odd: dict[str, Any] = {
            "text": signature,
            "number": {"x-sig": 1},
            "break": {"x-sig": f"{signature}\n"},
            "host": {"x-sig": signature, "Host": "other"},
            "constant": {"x-sig": "1"},
            "shows": {"x-sig": f"{signature} {base64.b64encode(b'<key-number-1>').decode()}"},
        }
        return odd.get(self.wrong, {"x-sig": signature})


async def stubborn() -> None:
    """Goes on when it is cancelled, once."""
    try:
        await asyncio.sleep(1)
    except asyncio.CancelledError:
        await asyncio.sleep(0.1)


class TestKeysThatSign(AuthContract):
    def make(self) -> Auth:
        return Keys()


class TestInTurn(AuthContract):
    """Another one each time it is asked."""

    def make(self) -> Auth:
        class InTurn(Auth):
            turn = 0

            def current(self) -> Secret:
                self.turn += 1
                return Secret(f"key-number-{self.turn % 3}")

        return InTurn()


class Unready(Auth):
    def current(self) -> Secret:
        raise NotReady("never")


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Promising([Secret("a")]), "test_it_has_the_interface_of_its_kind"),
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
        (lambda: Unready(), "test_it_is_not_ready_only_where_a_refresh_can_end_that"),
        (lambda: Keys("useless"), "test_after_a_refresh_there_is_a_credential"),
        (lambda: Keys("calendar"), "test_a_secret_ends_at_an_instant_of_the_clock_and_not_of_the_calendar"),
        (lambda: Keys("drops"), "test_a_rejection_of_another_secret_leaves_the_present_one"),
        (lambda: Keys("task"), "test_a_refresh_lets_itself_be_cancelled_and_leaves_nothing_at_work"),
        (lambda: Keys("stubborn"), "test_a_refresh_lets_itself_be_cancelled_and_leaves_nothing_at_work"),
        (lambda: Keys("text"), "test_a_signature_is_made_of_headers_that_can_be_sent"),
        (lambda: Keys("number"), "test_a_signature_is_made_of_headers_that_can_be_sent"),
        (lambda: Keys("break"), "test_a_signature_is_made_of_headers_that_can_be_sent"),
        (lambda: Keys("host"), "test_a_signature_is_made_of_headers_that_can_be_sent"),
        (lambda: Keys("constant"), "test_a_signature_depends_on_the_call"),
        (lambda: Keys("slow"), "test_signing_does_not_hold_up_the_others"),
        (lambda: Keys("shows"), "test_a_signed_call_does_not_carry_the_secret"),
        (lambda: Keys("changes"), "test_signing_does_not_change_the_call"),
    ],
)
def test_a_faulty_source_of_credentials_is_found(make: Callable[[], Any], rule: str) -> None:
    contract = type("Broken", (AuthContract,), {"make": lambda _self: make()})()

    with pytest.raises((AssertionError, pytest.fail.Exception)):
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


class Promised(Sink):
    async def close(self) -> None:  # type: ignore[override]
        pass


class Deferred(Sink):
    async def __call__(self, event: Event) -> None:  # type: ignore[override]
        pass


SINKS: list[tuple[type[Sink], str]] = [
    (Promised, "test_it_has_the_interface_of_its_kind"),
    (Deferred, "test_it_has_the_interface_of_its_kind"),
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


class Stubborn(Lodger):
    """Goes on to close whoever gives it up."""

    async def aclose(self) -> None:
        await _never()


class Headstrong(Lodger):
    """Goes on to begin whoever gives it up."""

    async def start(self) -> None:
        await _never()


async def _never() -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


class Endless(Lodger):
    aclose = None  # type: ignore[assignment]


class Unbegun(Lodger):
    async def start(self) -> None:
        await asyncio.Event().wait()


class Threaded(Lodger):
    """Whose file work is done by threads, rightly."""

    async def start(self) -> None:
        await asyncio.to_thread(time.sleep, 0.01)
        await super().start()

    async def aclose(self) -> None:
        await asyncio.to_thread(time.sleep, 0.1)
        await super().aclose()


class Worked(Lodger):
    """A thread of the loop is still at its work when it has closed."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = threading.Event()

    async def start(self) -> None:
        asyncio.get_running_loop().run_in_executor(None, self.ends.wait, 1.0)


@pytest.mark.parametrize(
    ("service", "rule"),
    [
        (Endless, "test_it_has_the_interface_of_its_kind"),
        (OfOneLife, "test_one_that_never_began_can_be_closed"),
        (Unending, "test_one_that_never_began_can_be_closed"),
        (OfOneEnd, "test_it_may_be_closed_twice"),
        (Jealous, "test_another_can_begin_where_one_was_closed"),
        (Staying, "test_nothing_is_at_work_before_it_begins_and_after"),
        (Hasty, "test_nothing_is_at_work_before_it_begins_and_after"),
        (Unbegun, "test_it_may_be_closed_twice"),
        (Stubborn, "test_one_that_never_began_can_be_closed"),
        (Headstrong, "test_it_may_be_closed_twice"),
        (Headstrong, "test_a_start_that_is_given_up_leaves_nothing"),
        (Worked, "test_nothing_is_at_work_before_it_begins_and_after"),
    ],
)
def test_a_faulty_service_is_found(service: type[Lodger], rule: str, tmp_path: Path) -> None:
    made = {"make": lambda _self, _router, _directory: service(), "patience": 0.3}
    contract = type("Broken", (ServiceContract,), made)()

    with pytest.raises((AssertionError, RuntimeError)):
        term(contract, rule)(tmp_path)


@pytest.mark.parametrize(
    "rule",
    ["test_it_finds_something_of_the_right_kind", "test_cancelled_it_ends_and_leaves_nobody_at_work"],
)
def test_a_discovery_that_goes_on_when_it_is_given_up_is_found(rule: str) -> None:
    class Deaf(Discovery):
        async def find(self) -> Found:
            await _never()
            return Found()

    made = {"make": lambda _self: Deaf(), "patience": 0.2}
    contract = type("Broken", (DiscoveryContract,), made)()

    with pytest.raises(AssertionError):
        term(contract, rule)()


class Eavesdropping(Lodger):
    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router

    async def start(self) -> None:
        self.end = self.router.listen(self.heard)

    def heard(self, event: Event) -> None:
        pass


class Forward(Eavesdropping):
    def __init__(self, router: Router) -> None:
        super().__init__(router)
        self.end = router.listen(self.heard)

    async def start(self) -> None:
        pass

    async def aclose(self) -> None:
        self.end()


class Absentminded(Lodger):
    """It begins three things and ends none."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = threading.Event()

    async def start(self) -> None:
        self.task = asyncio.create_task(asyncio.Event().wait(), name="a forgotten task")
        threading.Thread(target=self.ends.wait, args=(0.5,), name="a forgotten thread").start()

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("service", "said"),
    [
        (lambda router: Eavesdropping(router), "it still listens after `aclose`: .*Eavesdropping.heard"),
        (lambda router: Forward(router), "it listens before `start`: .*heard"),
        (lambda _router: Absentminded(), "it goes on after `aclose`: .*a forgotten task.*a forgotten thread"),
        (lambda _router: Worked(), "it goes on after `aclose`: .*a thread of asyncio.to_thread"),
    ],
)
def test_what_a_service_leaves_behind_is_named(
    service: Callable[[Router], Lodger], said: str, tmp_path: Path
) -> None:
    made = {"make": lambda _self, router, _directory: service(router), "patience": 0.3}
    contract = type("Broken", (ServiceContract,), made)()

    with pytest.raises(AssertionError, match=said):
        term(contract, "test_nothing_is_at_work_before_it_begins_and_after")(tmp_path)


def test_a_service_whose_listeners_all_end_is_not_found(tmp_path: Path) -> None:
    class Listening(Eavesdropping):
        async def start(self) -> None:
            await super().start()
            self.other = self.router.listen(self.heard, kinds=[RequestEnded])

        async def aclose(self) -> None:
            for end in (self.end, self.other, self.other):
                end()

    made = {"make": lambda _self, router, _directory: Listening(router), "patience": 0.3}
    contract = type("Sound", (ServiceContract,), made)()

    term(contract, "test_nothing_is_at_work_before_it_begins_and_after")(tmp_path)


SERVICE_RULES = [each for each in dir(ServiceContract) if each.startswith("test_")]


@pytest.mark.parametrize("service", [Lodger, Threaded])
@pytest.mark.parametrize("rule", SERVICE_RULES)
def test_a_service_that_does_nothing_wrong_is_not_found(
    service: type[Lodger], rule: str, tmp_path: Path
) -> None:
    contract = type("Sound", (ServiceContract,), {"make": lambda _self, _router, _directory: service()})()

    term(contract, rule)(tmp_path)


def module_of_the_page(page: str, name: str, having: str) -> ModuleType:
    """The block of the page that has this, as a module of that name."""
    module = ModuleType(name)
    exec(compile(block(page, having), f"docs/plugins/{page} {name}", "exec", dont_inherit=True), vars(module))
    return module


@pytest.mark.parametrize(
    ("page", "test", "rule"),
    [
        (page, test, rule)
        for page, test, contract in (
            ("auth.md", "TestKeys", AuthContract),
            ("audit.md", "TestTally", AuditContract),
        )
        for rule in dir(contract)
        if rule.startswith("test_")
    ],
)
def test_the_credentials_and_the_sink_of_the_pages_keep_it_as_the_pages_test_them(
    page: str, test: str, rule: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = {"TestKeys": "pointsman_keys", "TestTally": "pointsman_tally"}[test]
    having = {"TestKeys": "class KeysPlugin", "TestTally": "plugin = "}[test]
    monkeypatch.setitem(sys.modules, name, module_of_the_page(page, name, having))
    tests = module_of_the_page(page, "tests_of_the_page", f"class {test}(")

    found = term(vars(tests)[test](), rule)
    found(**{name: request.getfixturevalue(name) for name in signature(found).parameters})


def made_by_the_page(having: str, **settings: Any) -> Any:
    """A source of credentials as a factory of the page makes it; its endpoint gives a token."""
    (factory,) = module_of_the_page("auth.md", "of_the_page", having).plugin.pointsman_auth()
    tokens = ReplayTransport(CannedReply(200, b'{"access_token": "token-1", "expires_in": 60}'))
    context = Contexts(SystemClock(), system_rng()).auth(
        factory.name,
        factory.settings.model_validate(settings),
        provider="here",
        http=lambda endpoint: client_for(endpoint, tokens),
    )
    return factory.make(context)


class TestTokensOfThePage(AuthContract):
    def make(self) -> Auth:
        return made_by_the_page("class MachinePlugin")


class TestSignaturesOfThePage(AuthContract):
    def make(self) -> Auth:
        return made_by_the_page("class AcmePlugin", key_id="k", secret="some long secret")


def test_a_complete_plugin_that_signs_takes_forty_lines_at_most() -> None:
    module = block("auth.md", "class AcmePlugin")

    assert len(module.strip().splitlines()) <= 40
    assert all(each in module for each in ("class Settings(", "def sign(", "AuthFactory(", "plugin = "))


def test_the_clock_for_tests_without_a_loop_is_the_time_of_the_machine() -> None:
    clock = SystemClock()
    before, wall = time.monotonic(), time.time()

    asyncio.run(clock.sleep(0.01))

    assert before <= clock.now() - 0.009 <= time.monotonic()
    assert wall <= clock.wall() <= time.time()


@pytest.mark.parametrize("rule", SERVICE_RULES)
def test_the_service_of_the_page_keeps_it(rule: str, tmp_path: Path) -> None:
    space = vars(module_of_the_page("service.md", "pointsman_spending", "class Spending:"))

    class TestSpending(ServiceContract):
        def make(self, router: Router, directory: Path) -> Any:
            contexts = Contexts(LoopClock(), system_rng(), directory=directory)
            given = space["SpendingSettings"]()
            return space["Spending"](contexts.service("spending", given, router=router, scrub=str))

    term(TestSpending(), rule)(tmp_path)


CONTRACTS = [AuthContract, AuditContract, ServiceContract, DialectContract, TransportContract]


@pytest.mark.parametrize("contract", CONTRACTS)
def test_each_contract_begins_with_what_the_router_looks_at_when_it_is_built(contract: type) -> None:
    (first, *_) = [name for name in vars(contract) if name.startswith("test_")]
    assert first == "test_it_has_the_interface_of_its_kind"


def test_what_a_contract_says_of_an_interface_is_what_the_router_says(tmp_path: Path) -> None:
    contract = type("Broken", (AuditContract,), {"make": lambda _self, _directory: Promised()})()
    given = {
        "providers": {"a": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x"]}},
        "audit": [{"type": "promised"}],
    }
    factory = AuditFactory("promised", BaseModel, lambda _context: Promised())

    class Offering(PointsmanSpec):
        @hookimpl
        def pointsman_audit_sinks(self) -> list[AuditFactory]:
            return [factory]

    with pytest.raises(AssertionError) as told:
        contract.test_it_has_the_interface_of_its_kind(tmp_path)
    with pytest.raises(ConfigError) as refused:
        Router.from_config(given, plugins=[Scripted(), Offering()])

    said = str(told.value).splitlines()[0].removeprefix("`make` ")
    assert said == "made a Promised, whose close() is async; nobody awaits it"
    assert said in str(refused.value)


def term(contract: Any, rule: str) -> Callable[..., None]:
    """The rule of that name, or of the one that begins so."""
    (name,) = [each for each in dir(contract) if each.startswith(rule)]
    found: Callable[..., None] = getattr(contract, name)
    return found
