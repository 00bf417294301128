"""What a factory makes is checked when the configuration is built: one error, with all other problems."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from pointsman import ConfigError, Router
from pointsman.audit import AuditFactory, AuditSink
from pointsman.auth import Auth, AuthFactory, Fixed, RefreshingAuth, Secret, SigningAuth
from pointsman.builtin.retry import NoRetry
from pointsman.builtin.strategies import RoundRobin
from pointsman.http.client import Endpoint
from pointsman.plugin import EventStream, PointsmanSpec, hookimpl
from pointsman.plugins.interfaces import lack
from pointsman.provider import Provider, ProviderFactory
from pointsman.retry import RetryFactory, RetryPolicy
from pointsman.strategy import Strategy, StrategyFactory
from pointsman.testing import Scripted, run
from pointsman.transports.factory import TransportFactory

SECRET = "the-plugins-own-words"

FACTORIES: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "provider": lambda make: ProviderFactory("odd", BaseModel, make),
    "auth": lambda make: AuthFactory("odd", BaseModel, make),
    "retry": lambda make: RetryFactory("odd", BaseModel, make),
    "strategy": lambda make: StrategyFactory("odd", None, make),
    "audit": lambda make: AuditFactory("odd", BaseModel, make),
    "transport": lambda make: TransportFactory("odd", None, make),
}


class Makes(PointsmanSpec):
    """Offers one kind under the name `odd`; `make` is what its factory has."""

    def __init__(self, kind: str, make: Callable[..., Any]) -> None:
        self._kind = kind
        self._factory = FACTORIES[kind](make)

    def _of(self, kind: str) -> list[Any]:
        return [self._factory] if kind == self._kind else []

    @hookimpl
    def pointsman_providers(self) -> list[Any]:
        return self._of("provider")

    @hookimpl
    def pointsman_auth(self) -> list[Any]:
        return self._of("auth")

    @hookimpl
    def pointsman_retry_policies(self) -> list[Any]:
        return self._of("retry")

    @hookimpl
    def pointsman_strategies(self) -> list[Any]:
        return self._of("strategy")

    @hookimpl
    def pointsman_audit_sinks(self) -> list[Any]:
        return self._of("audit")

    @hookimpl
    def pointsman_transports(self) -> list[Any]:
        return self._of("transport")


def config(kind: str) -> dict[str, Any]:
    given: dict[str, Any] = {
        "providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:1/v1"}},
        "models": {"m": {"deployments": ["a/x"]}},
    }
    match kind:
        case "provider":
            given["providers"]["a"] = {"type": "odd"}
        case "auth":
            given["providers"]["a"]["auth"] = {"type": "odd"}
        case "audit":
            given["audit"] = ["odd"]
        case _:
            given[kind] = "odd"
    return given


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")

    __repr__ = __str__


def raises(error: BaseException) -> Callable[..., Any]:
    def make(*_: Any) -> Any:
        raise error

    return make


class Deaf:
    """Has everything, and raises whenever it is looked at."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Deaf
        raise RuntimeError("not now")


MAKES: dict[str, tuple[Any, str]] = {
    "raises": (raises(ZeroDivisionError(SECRET)), "failed: ZeroDivisionError"),
    "raises StopIteration": (raises(StopIteration()), "failed: StopIteration"),
    "raises what cannot be shown": (raises(Unspeakable()), "failed: Unspeakable"),
    "is no function": ("make", "failed: TypeError"),
    "takes no arguments": (lambda: 1, "failed: TypeError"),
    "makes None": (lambda *_: None, "made None; return the "),
    "makes an object": (lambda *_: object(), "made a object, which has no method"),
    "makes a text": (lambda *_: SECRET, "made a str, which has no method"),
    "makes a class": (lambda *_: Deaf, "made the class Deaf, expected an object of it"),
    "makes what cannot be looked at": (
        lambda *_: Deaf(),
        "made a Deaf that cannot be looked at: RuntimeError",
    ),
}


@pytest.mark.parametrize("made", MAKES)
@pytest.mark.parametrize("kind", FACTORIES)
def test_a_factory_that_makes_something_else_is_one_problem_that_names_it(
    kind: str, made: str, caplog: pytest.LogCaptureFixture
) -> None:
    make, said = MAKES[made]

    with pytest.raises(ConfigError) as raised:
        Router.from_config(config(kind), plugins=[Makes(kind, make)])

    assert f"the factory of {kind} 'odd' from {__name__}:Makes {said}" in str(raised.value)
    assert SECRET not in str(raised.value)
    assert len(raised.value.problems) >= 1
    if made == "raises":
        assert SECRET in caplog.text


@pytest.mark.parametrize("settings", [dict, {"a": 1}, "BaseModel", 5])
def test_settings_that_are_no_model_are_told_what_to_be(settings: Any) -> None:
    odd = Makes("strategy", lambda _context: RoundRobin())
    odd._factory = StrategyFactory("odd", settings, lambda _context: RoundRobin())

    with pytest.raises(ConfigError, match=r"expected a class that inherits BaseModel of pydantic"):
        Router.from_config(config("strategy"), plugins=[odd])


@pytest.mark.parametrize("kind", [each for each in FACTORIES if each != "audit"])
def test_it_is_said_together_with_all_other_problems(kind: str) -> None:
    given = config(kind)
    given["models"]["other"] = {"deployments": ["a/x"], "strategy": "no_such_strategy"}

    with pytest.raises(ConfigError) as raised:
        Router.check(given, plugins=[Makes(kind, lambda *_: None)])

    assert "made None" in str(raised.value)
    assert "no_such_strategy" in str(raised.value)


def test_what_other_sinks_hold_is_closed_when_one_cannot_be_made() -> None:
    closed: list[str] = []

    class Good:
        def __call__(self, event: Any) -> None: ...
        def close(self) -> None:
            closed.append("good")

    class Goods(PointsmanSpec):
        @hookimpl
        def pointsman_audit_sinks(self) -> list[Any]:
            return [AuditFactory("good", BaseModel, lambda _context: Good())]

    given = config("audit")
    given["audit"] = ["good", "odd", "odd"]
    with pytest.raises(ConfigError) as raised:
        Router.from_config(given, plugins=[Goods(), Makes("audit", lambda *_: None)])

    assert closed == ["good"]
    assert len(raised.value.problems) == 2


def without(whole: type, name: str) -> Any:
    """An object that has all that `whole` has, but for one member."""
    members = {
        each: getattr(whole, each) for base in reversed(whole.__mro__[:-1]) for each in vars(base)
        if not each.startswith("__") or each == "__call__"
    }  # fmt: skip
    members.pop(name)
    return type(f"Without_{name}", (), members)()


def changed(whole: Any, **members: Any) -> Any:
    return type("Changed", (type(whole),), members).__new__(type("Changed", (type(whole),), members))


def at(**wrong: Any) -> Any:
    """A provider with an endpoint that is wrong in one member."""
    endpoint = Endpoint(**{"base_url": "http://127.0.0.1:1", **wrong})
    return changed(Provider(type("C", (), {"name": "a", "auth": ""})()), name="a", endpoint=endpoint)  # type: ignore[arg-type]


async def coroutine(*_: Any) -> None: ...


def nothing(self: Any) -> None: ...


async def generator(*_: Any) -> Any:
    yield 1


@pytest.mark.parametrize(
    ("kind", "made", "said"),
    [
        ("retry", changed(NoRetry(), attempts=0), "whose `attempts` is 0; expected 1 or more"),
        ("retry", changed(NoRetry(), attempts=-3), "whose `attempts` is -3"),
        ("retry", changed(NoRetry(), attempts="3"), "whose `attempts` is a str"),
        ("retry", changed(NoRetry(), attempts=True), "whose `attempts` is a bool"),
        ("retry", changed(NoRetry(), attempts=2.0), "whose `attempts` is a float"),
        ("retry", without(NoRetry, "budget"), "which has no `budget`"),
        ("retry", changed(NoRetry(), budget=0.2), "whose `budget` is a float"),
        ("retry", changed(NoRetry(), delay=coroutine), r"whose delay\(\) is async"),
        ("retry", changed(NoRetry(), delay=3), r"which has no method delay\(\)"),
        ("strategy", without(RoundRobin, "wants_residency"), "which has no `wants_residency`"),
        ("strategy", without(RoundRobin, "members"), r"which has no method members\(\)"),
        ("strategy", changed(RoundRobin(), pick=coroutine), r"whose pick\(\) is async"),
        ("strategy", changed(RoundRobin(), observed=coroutine), r"whose observed\(\) is async"),
        ("strategy", changed(RoundRobin(), learned=coroutine), r"whose learned\(\) is async"),
        ("strategy", changed(RoundRobin(), heard=lambda: None), r"whose heard\(\) takes other arguments"),
        ("auth", without(Fixed, "rejected"), r"which has no method rejected\(\)"),
        ("auth", changed(Fixed(None), current=coroutine), r"whose current\(\) is async"),
        ("auth", changed(Fixed(None), sign=coroutine), r"whose sign\(\) is async; nobody awaits it"),
        ("auth", changed(Fixed(None), sign="key"), r"which has no method sign\(\)"),
        ("auth", changed(Fixed(None), sign=lambda self: {}), r"write sign\(self, outgoing\)"),
        ("auth", changed(Fixed(None), refresh=generator), r"whose refresh\(\) is a generator"),
        ("auth", changed(Fixed(None), refresh=nothing), r"whose refresh\(\) is not async, and it is awaited"),
        ("auth", changed(Fixed(None), refresh=lambda self, when: None), r"write refresh\(self\)"),
        ("audit", lambda _event: None, r"which has no method close\(\)"),
        ("transport", changed(httpx.MockTransport(lambda _: httpx.Response(200)), aclose=None), r"aclose\(\)"),
        ("provider", changed(Provider(type("C", (), {"name": "a", "auth": ""})()), stream=generator), "is a generator"),  # type: ignore[arg-type]
        ("provider", changed(Provider(type("C", (), {"name": "a", "auth": ""})())), "which has no `name`: call super"),  # type: ignore[arg-type]
        ("provider", changed(Provider(type("C", (), {"name": "a", "auth": ""})()), name="a", endpoint="http://x"), "whose `endpoint` is a str"),  # type: ignore[arg-type]
        ("provider", changed(Provider(type("C", (), {"name": "a", "auth": ""})()), name="a", wires="openai.chat"), "whose `wires` are no sequence of names"),  # type: ignore[arg-type]
        ("provider", changed(Provider(type("C", (), {"name": "a", "auth": ""})()), name="a", wires=None), "whose `wires` are no sequence of names"),  # type: ignore[arg-type]
        ("provider", at(base_url=None), "whose `endpoint.base_url` is a NoneType; expected text"),
        ("provider", at(headers="x-a: b"), "whose `endpoint.headers` is a str; expected a mapping of text"),
        ("provider", at(headers={"x-a": 1}), "whose `endpoint.headers` has a int for 'x-a'; expected text"),
        ("provider", at(authorize={"x-key": "k"}), "whose `endpoint.authorize` is a dict; expected a function"),
        ("provider", at(rates=("a", "b")), "whose `endpoint.rates` is a tuple; expected RateHeaders or None"),
    ],
)  # fmt: skip
def test_what_is_lacking_is_said(kind: str, made: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Router.from_config(config(kind), plugins=[Makes(kind, lambda *_: made)])


@pytest.mark.parametrize(
    ("kind", "inherited", "members", "said"),
    [
        ("auth", Auth, {}, r"which has no current\(\) of its own: write it"),
        ("retry", RetryPolicy, {"attempts": 2, "budget": None}, r"which has no delay\(\) of its own"),
        ("strategy", Strategy, {}, r"which has no pick\(\) of its own"),
        ("audit", AuditSink, {}, r"which has no __call__\(\) of its own"),
        ("auth", SigningAuth, {}, r"which has no sign\(\) of its own: write it"),
        ("auth", RefreshingAuth, {"current": lambda self: None}, r"which has no refresh\(\) of its own: write it"),
        ("auth", Auth, {"current": lambda self, call: None}, r"current\(\) takes other arguments: write current\(self\)"),
        ("retry", RetryPolicy, {"attempts": 2, "budget": None, "delay": lambda self: 0.0}, r"write delay\(self, failure\)"),
        ("strategy", Strategy, {"pick": lambda self, ready: ready[0]}, r"write pick\(self, ready, request\)"),
        ("audit", AuditSink, {"__call__": lambda self: None}, r"write __call__\(self, event\)"),
        ("provider", Provider, {"__init__": lambda self: None, "name": "a", "chat": lambda self, request: None}, r"write chat\(self, request, call\)"),
    ],
)  # fmt: skip
def test_what_is_only_inherited_or_takes_other_arguments_is_said_when_it_is_built(
    kind: str, inherited: type, members: dict[str, Any], said: str
) -> None:
    made = type("Wrong", (inherited,), members)()

    with pytest.raises(ConfigError, match=said):
        Router.from_config(config(kind), plugins=[Makes(kind, lambda *_: made)])


@pytest.mark.parametrize(
    "pick",
    [
        lambda self, ready, request: ready[0],
        lambda self, ready, request=None, more=1: ready[0],
        lambda self, *given: given[0][0],
        lambda self, ready, *_, **__: ready[0],
        staticmethod(lambda ready, request: ready[0]),
        classmethod(lambda cls, ready, request: ready[0]),
        partial(lambda ready, request: ready[0]),
    ],
)
def test_a_method_that_can_be_called_as_it_will_be_lacks_nothing(pick: Any) -> None:
    assert lack("strategy", type("Right", (Strategy,), {"pick": pick})()) is None


def test_a_method_that_hangs_on_the_object_lacks_nothing() -> None:
    made: Any = RoundRobin()
    made.pick = lambda ready, request: ready[0]

    assert lack("strategy", made) is None


def test_a_source_of_credentials_need_not_say_that_it_has_no_other_one() -> None:
    class Single(Auth):
        def current(self) -> Secret | None:
            return Secret("a")

    assert lack("auth", Single()) is None
    assert Single().rejected(Secret("a")) is False


def test_a_refresh_that_returns_what_another_makes_lacks_nothing() -> None:
    made = changed(Fixed(None), refresh=lambda self: coroutine(), sign=lambda self, outgoing, more=1: {})

    assert lack("auth", made) is None


async def test_a_stream_without_a_next_of_its_own_is_no_empty_answer() -> None:
    class Nothing(EventStream):
        upstream_request_id = ""

    with pytest.raises(NotImplementedError, match=r"Nothing has no next\(\)"):
        await Nothing().next(0.0)  # type: ignore[abstract]


def test_what_is_built_in_lacks_nothing() -> None:
    assert lack("strategy", RoundRobin()) is None
    assert lack("retry", NoRetry()) is None
    assert lack("auth", Fixed(None)) is None


@pytest.mark.parametrize("method", ["members", "restore", "state"])
def test_a_strategy_that_fails_at_a_reload_does_not_stop_it_unless_it_cannot_know_its_members(
    method: str,
) -> None:
    class Fails(Strategy):
        broken = False

        def pick(self, ready: Any, request: object, /) -> Any:
            return ready[0]

        def members(self, everyone: Any, /) -> None:
            self._do("members", None)

        def state(self) -> Any:
            return self._do("state", {})

        def restore(self, state: Any, /) -> None:
            self._do("restore", None)

        def _do(self, name: str, right: Any) -> Any:
            if Fails.broken and name == method:
                raise ZeroDivisionError(SECRET)
            return right

    async def main() -> None:
        given = {
            "providers": {"a": {"type": "scripted"}},
            "models": {"m": {"deployments": ["a/x"]}},
            "strategy": "odd",
        }
        plugins = [Scripted(), Makes("strategy", lambda *_: Fails())]
        async with Router.from_config(given, plugins=plugins) as router:
            Fails.broken = True
            if method == "members":
                with pytest.raises(ConfigError, match=r"strategy plugin 'odd' failed in members\(\)"):
                    await router.reload(given)
            else:
                await router.reload(given)
            assert (await router.chat("m", "hi")).text == "ok"

    run(main())
