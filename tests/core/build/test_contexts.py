"""What a factory of each kind is given when a router is built."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from pointsman import Router
from pointsman.audit import AuditContext, AuditFactory
from pointsman.auth import AuthContext, AuthFactory, Fixed, Secret
from pointsman.builtin.retry import NoRetry
from pointsman.builtin.strategies import RoundRobin
from pointsman.clock import LoopClock
from pointsman.context import Context
from pointsman.http.client import Endpoint
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.prices import Price
from pointsman.provider import Provider, ProviderContext, ProviderFactory
from pointsman.retry import RetryContext, RetryFactory
from pointsman.strategy import StrategyContext, StrategyFactory
from pointsman.transports.factory import TransportContext, TransportFactory

KEY = "canary-of-a-context"
FILE = """
providers:
  here: {type: spy, base_url: "http://spy.test/", auth: {type: spy, say: hello}, transport: spy,
         headers: {x-own: %(key)s}}
models:
  m:
    strategy: {type: spy, say: hello}
    deployments:
      - {provider: here, model: one, weight: 3, price: {input: 1, output: 2}}
      - here/two
retry: {type: spy, say: hello}
audit: [{type: spy, say: hello}]
""" % {"key": KEY}


class Settings(BaseModel):
    say: str = "nothing"


class Sink:
    def __call__(self, event: object) -> None:
        """Forget it."""

    def close(self) -> None:
        """Nothing is held."""


class Spy(PointsmanSpec):
    """Offers `spy` of every kind, and keeps what its factories were given."""

    def __init__(self) -> None:
        self.given: dict[type[Context], Any] = {}
        self.sent: list[httpx.Request] = []
        self.closed: list[httpx.AsyncBaseTransport] = []

    def _kept(self, context: Context, made: Any) -> Any:
        self.given[type(context)] = context
        return made

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("spy", Settings, lambda context: self._kept(context, Provider(context)))]

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        return [AuthFactory("spy", Settings, lambda context: self._kept(context, Fixed(Secret(KEY))))]

    @hookimpl
    def pointsman_retry_policies(self) -> list[RetryFactory]:
        return [RetryFactory("spy", Settings, lambda context: self._kept(context, NoRetry()))]

    @hookimpl
    def pointsman_strategies(self) -> list[StrategyFactory]:
        return [StrategyFactory("spy", Settings, lambda context: self._kept(context, RoundRobin()))]

    @hookimpl
    def pointsman_audit_sinks(self) -> list[AuditFactory]:
        return [AuditFactory("spy", Settings, lambda context: self._kept(context, Sink()))]

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        def answer(request: httpx.Request) -> httpx.Response:
            self.sent.append(request)
            return httpx.Response(200, content=b"a token")

        return [TransportFactory("spy", None, lambda context: self._kept(context, Carrier(answer, self)))]


class Carrier(httpx.MockTransport):
    def __init__(self, answer: Callable[[httpx.Request], httpx.Response], spy: Spy) -> None:
        super().__init__(answer)
        self._spy = spy

    async def aclose(self) -> None:
        self._spy.closed.append(self)


@pytest.fixture
def spy(tmp_path: Path) -> Spy:
    spy = Spy()
    (tmp_path / "pointsman.yaml").write_text(FILE)
    Router.from_config(tmp_path / "pointsman.yaml", plugins=[spy])
    return spy


KINDS = {
    ProviderContext: "provider",
    AuthContext: "auth",
    RetryContext: "retry",
    StrategyContext: "strategy",
    AuditContext: "audit",
    TransportContext: "transport",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_given_its_name_time_chance_and_a_logger_of_its_own(
    spy: Spy, kind: type[Context]
) -> None:
    context = spy.given[kind]

    assert context.name == ("here" if kind is ProviderContext else "spy")
    assert isinstance(context.clock, LoopClock)
    assert 0 <= context.rng.random() < 1
    assert context.log.name == f"pointsman.{KINDS[kind]}.spy"


@pytest.mark.parametrize("kind", [AuthContext, RetryContext, StrategyContext, AuditContext])
def test_settings_come_validated(spy: Spy, kind: type[Context]) -> None:
    assert spy.given[kind].settings == Settings(say="hello")


@pytest.mark.parametrize("kind", KINDS)
def test_no_context_shows_a_secret(spy: Spy, kind: type[Context]) -> None:
    from rich.pretty import pretty_repr

    assert KEY not in repr(spy.given[kind])
    assert KEY not in pretty_repr(spy.given[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_context_cannot_be_changed(spy: Spy, kind: type[Context]) -> None:
    with pytest.raises(AttributeError):
        spy.given[kind].name = "another"


def test_a_strategy_knows_its_model_and_the_deployments_as_configured(spy: Spy) -> None:
    context = spy.given[StrategyContext]

    assert context.model == "m"
    one, two = context.members
    assert (one.id, one.model, one.provider_name, one.weight) == ("here/one", "one", "here", 3)
    assert one.price == Price(input=1, output=2)
    assert (two.id, two.weight, two.price, two.in_flight, two.residency) == ("here/two", 1, None, 0, None)


def test_a_sink_knows_the_directory_of_the_configuration(spy: Spy, tmp_path: Path) -> None:
    assert spy.given[AuditContext].directory == tmp_path


def test_a_configuration_without_a_file_is_in_the_working_directory() -> None:
    spy = Spy()
    Router.from_config(
        {
            "providers": {"a": {"type": "spy"}},
            "models": {"m": {"deployments": ["a/x"]}},
            "audit": ["spy"],
        },
        plugins=[spy],
    )

    assert spy.given[AuditContext].directory.resolve() == Path.cwd()


async def test_a_source_of_credentials_asks_over_the_transport_of_its_provider_and_without_its_headers(
    spy: Spy,
) -> None:
    context = spy.given[AuthContext]
    client = context.http(Endpoint("https://login.test"))

    answer, body = await client.fetch("POST", "/token", {"grant": "x"}, timeouts=client.within(5))

    assert context.provider == "here"
    assert (answer.status, body) == (200, b"a token")
    (sent,) = spy.sent
    assert str(sent.url) == "https://login.test/token"
    assert KEY not in str(sent.headers.raw)


async def test_what_a_source_of_credentials_opens_is_closed_with_the_router(tmp_path: Path) -> None:
    spy = Spy()
    (tmp_path / "pointsman.yaml").write_text(FILE)
    async with Router.from_config(tmp_path / "pointsman.yaml", plugins=[spy]):
        client = spy.given[AuthContext].http(Endpoint("https://login.test"))
        before = list(spy.closed)

    assert client.transport not in before
    assert client.transport in spy.closed


def test_a_transport_can_stand_around_another_with_the_same_options(spy: Spy) -> None:
    context = spy.given[TransportContext]

    inner = context.inner("httpx")

    assert isinstance(inner, httpx.AsyncBaseTransport)
    assert context.options.trust_env is False
