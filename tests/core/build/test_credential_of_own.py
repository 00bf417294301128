"""The credential of a provider that sends by itself, without a client of ours."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import BaseModel

from pointsman import Router
from pointsman.auth import AuthFactory, Fixed, RefreshingAuth, Secret
from pointsman.clock import LoopClock, system_rng
from pointsman.errors import NotReady, Unavailable
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.provider import Call, Provider, ProviderContext, ProviderFactory
from pointsman.testing import Contexts, run
from pointsman.types import ChatRequest, ChatResponse

TOKEN = "canary-token-of-a-wire"


class Tokens(RefreshingAuth):
    """A token that takes a refresh."""

    def __init__(self) -> None:
        self.refreshes = 0
        self.secret: Secret | None = None

    def current(self) -> Secret | None:
        if self.secret is None:
            raise NotReady("no token yet")
        return self.secret

    async def refresh(self) -> None:
        self.refreshes += 1
        await asyncio.sleep(1)
        self.secret = Secret(TOKEN)


class Wire(Provider):
    """Says what it would send; `shown` has it fail with that in its words."""

    def __init__(self, context: ProviderContext) -> None:
        super().__init__(context)
        self._context = context

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        secret = await self._context.credential()
        sent = "nothing" if secret is None else secret.reveal()
        if call.model == "shown":
            raise Unavailable(f"the wire refused {sent}")
        return ChatResponse(text=sent)


class Plugin(PointsmanSpec):
    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("wire", BaseModel, Wire)]

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        return [AuthFactory("tokens", BaseModel, lambda _context: self._tokens)]


def config(**credential: object) -> dict[str, object]:
    models = {name: {"deployments": [f"here/{name}"]} for name in ("m", "shown")}
    return {"providers": {"here": {"type": "wire", **credential}}, "models": models, "retry": "none"}


def test_calls_that_need_a_token_wait_for_one_refresh() -> None:
    tokens = Tokens()

    async def play() -> list[str]:
        async with Router.from_config(config(auth="tokens"), plugins=[Plugin(tokens)]) as router:
            answers = await asyncio.gather(*(router.chat("m", "hello") for _ in range(5)))
            return [each.text for each in answers]

    assert run(play()) == [TOKEN] * 5
    assert tokens.refreshes == 1


def test_a_token_that_came_so_is_hidden_in_errors() -> None:
    async def play() -> None:
        async with Router.from_config(config(auth="tokens"), plugins=[Plugin(Tokens())]) as router:
            await router.chat("shown", "hello")

    with pytest.raises(Unavailable, match="the wire refused") as caught:
        run(play())
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("credential", "sent"), [({}, "nothing"), ({"api_key": "k-for-tests"}, "k-for-tests")]
)
def test_one_that_stays_is_given_as_it_is(credential: dict[str, object], sent: str) -> None:
    async def play() -> str:
        async with Router.from_config(config(**credential), plugins=[Plugin(Tokens())]) as router:
            return (await router.chat("m", "hello")).text

    assert run(play()) == sent


@pytest.mark.parametrize("auth", [Tokens(), Fixed(Secret(TOKEN))])
def test_a_context_of_a_test_has_it_too(auth: Tokens | Fixed) -> None:
    async def play() -> Secret | None:
        contexts = Contexts(LoopClock(), system_rng(1))
        context = contexts.provider(
            "wire", name="here", base_url=None, auth=auth, open=lambda _endpoint: None
        )  # type: ignore[arg-type,return-value]
        return await context.credential()

    assert run(play()) == Secret(TOKEN)
