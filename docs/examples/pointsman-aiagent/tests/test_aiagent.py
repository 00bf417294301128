"""The provider against real agents of this process, without a router."""

import asyncio
import re
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import grpc
import pytest

import pointsman_aiagent
from pointsman.plugin import (
    AttemptTimeout,
    Auth,
    AuthenticationFailed,
    BadResponse,
    CallError,
    ChatRequest,
    ConfigError,
    ConnectionFailed,
    Endpoint,
    GenerateRequest,
    Image,
    InvalidRequest,
    Message,
    ModelNotFound,
    NotReady,
    Outgoing,
    PermissionDenied,
    Provider,
    RateLimited,
    RefreshingAuth,
    Secret,
    Truncated,
    Unavailable,
    Unsupported,
    system_rng,
)
from pointsman.testing import Contexts, SystemClock, call_for, events_of
from pointsman_aiagent import aiagent_pb2, plugin
from pointsman_aiagent.failures import KINDS, retry_delay
from pointsman_aiagent.server import Agent

HELLO = ChatRequest("public", (Message.user("good morning all"),))
Scene = Callable[[Agent, Provider], Coroutine[Any, Any, Any]]


class Keys(Auth):
    """The first key that was not rejected."""

    def __init__(self, *keys: str) -> None:
        self.keys = [Secret(key) for key in keys]

    def current(self) -> Secret | None:
        return self.keys[0] if self.keys else None

    def rejected(self, secret: Secret) -> bool:
        del self.keys[0]
        return bool(self.keys)


def provider_at(port: int, auth: Auth, **settings: Any) -> Provider:
    (factory,) = plugin.pointsman_providers()

    def no_http(endpoint: Endpoint) -> Any:
        raise AssertionError("it has no use for HTTP")

    context = Contexts(SystemClock(), system_rng(1)).provider(
        "aiagent",
        factory.settings.model_validate(settings),
        name="one",
        base_url=f"http://127.0.0.1:{port}",
        auth=auth,
        open=no_http,
    )
    return factory.make(context)


def played(scene: Scene, *keys: str, key: str = "", **settings: Any) -> Any:
    """What comes of a scene with one agent, which wants `key`, and a provider for it, which has `keys`."""

    async def play() -> Any:
        agent = Agent("one", key=key)
        await agent.start()
        provider = provider_at(agent.port, Keys(*keys), **settings)
        try:
            return await scene(agent, provider)
        finally:
            await provider.aclose()
            await agent.stop()

    return asyncio.run(play())


@pytest.mark.parametrize("by_stream", [False, True])
def test_whole_answers_hold_all_that_the_agent_says(by_stream: bool) -> None:
    async def scene(_: Agent, provider: Provider) -> Any:
        chat = await provider.chat(HELLO, call_for(None, model="echo"))
        return chat, await provider.generate(GenerateRequest("public", "to be or"), call_for(None))

    chat, generated = played(scene, whole_by_stream=by_stream)

    assert (chat.text, chat.finish_reason, chat.usage.total) == ("good morning all", "stop", 6)
    assert chat.upstream_request_id == "one-1"
    assert generated.text == "to be or"


def test_a_stream_comes_piece_by_piece() -> None:
    async def scene(_: Agent, provider: Provider) -> Any:
        return await events_of(await provider.stream(HELLO, call_for(None)))

    events = played(scene)

    assert [each.text for each in events if each.content] == ["good", " morning", " all"]
    assert [each.kind for each in events][-2:] == ["usage", "finished"]


def test_ids_deadline_options_and_the_credential_reach_the_agent_each_in_its_place() -> None:
    async def scene(agent: Agent, provider: Provider) -> Agent:
        request = ChatRequest("public", HELLO.messages, max_tokens=7, stop=("END",), temperature=0.0)
        await provider.chat(request, call_for(None, request_id="req-7", attempt=2, seconds=20))
        return agent

    agent = played(scene, "stamp", key="stamp")

    (metadata,), (asked,) = agent.metadata, agent.asked
    assert metadata["x-pointsman-request-id"] == "req-7"
    assert metadata["x-pointsman-attempt"] == "2"
    assert [name for name, value in metadata.items() if "stamp" in value] == ["authorization"]
    assert "stamp" not in str(asked)
    assert 15 < agent.left[0] < 21, "gRPC rounds it up"
    assert (asked.options.max_tokens, [*asked.options.stop]) == (7, ["END"])
    assert asked.options.HasField("temperature"), "0 is said, too"
    assert not asked.options.HasField("top_p")


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("unavailable", Unavailable),
        ("deadline_exceeded", AttemptTimeout),
        ("resource_exhausted", RateLimited),
        ("permission_denied", PermissionDenied),
        ("not_found", ModelNotFound),
        ("invalid_argument", InvalidRequest),
        ("unimplemented", Unsupported),
        ("internal", Unavailable),
        ("cancelled", Unavailable),
    ],
)
@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_status_code_is_the_error_of_the_table(model: str, kind: type[CallError], way: str) -> None:
    async def scene(_: Agent, provider: Provider) -> None:
        if way == "chat":
            await provider.chat(HELLO, call_for(None, model=model))
        else:
            await events_of(await provider.stream(HELLO, call_for(None, model=model)))

    with pytest.raises(CallError, match="as asked") as caught:
        played(scene)
    assert type(caught.value) is kind
    assert caught.value.upstream_code == model.upper()


def test_the_table_knows_every_code_that_means_a_failure_of_the_call() -> None:
    unknown = set(grpc.StatusCode) - set(KINDS) - {grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS}

    assert unknown == set()


def test_what_the_agent_says_about_waiting_is_believed() -> None:
    async def scene(_: Agent, provider: Provider) -> None:
        await provider.chat(HELLO, call_for(None, model="pushes_back"))

    with pytest.raises(RateLimited) as caught:
        played(scene)
    assert caught.value.retry_after == 2.5


@pytest.mark.parametrize(
    ("trailing", "seconds"),
    [
        ((("grpc-retry-pushback-ms", "1500"),), 1.5),
        ((("grpc-retry-pushback-ms", "-1"),), None),
        ((("grpc-status-details-bin", b"\xff\xff"),), None),
        ((), None),
    ],
)
def test_a_hint_that_is_none_is_no_hint(trailing: Any, seconds: float | None) -> None:
    assert retry_delay(trailing) == seconds


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_a_rejected_credential_is_replaced_once_within_the_attempt(way: str) -> None:
    async def scene(agent: Agent, provider: Provider) -> int:
        await getattr(provider, way)(HELLO, call_for(None))
        return len(agent.asked)

    assert played(scene, "old", "new", key="new") == 2
    with pytest.raises(AuthenticationFailed):
        played(scene, "old", key="new")


class Token(RefreshingAuth):
    """There is none before its refresh."""

    def __init__(self) -> None:
        self.secret: Secret | None = None

    def current(self) -> Secret | None:
        if self.secret is None:
            raise NotReady("no token yet")
        return self.secret

    async def refresh(self) -> None:
        self.secret = Secret("new")


def test_a_credential_is_refreshed_before_the_call_that_needs_it() -> None:
    async def play() -> str:
        agent = Agent("one", key="new")
        await agent.start()
        provider = provider_at(agent.port, Token())
        answer = await provider.chat(HELLO, call_for(None))
        await provider.aclose()
        await agent.stop()
        return answer.text

    assert asyncio.run(play()) == "good morning all"


class Signing(Keys):
    def sign(self, outgoing: Outgoing) -> dict[str, str]:
        return {}


def test_a_source_that_signs_http_requests_is_refused_when_the_router_is_built() -> None:
    with pytest.raises(ConfigError, match="signs HTTP"):
        provider_at(9, Signing())


def test_a_credential_that_no_metadata_can_hold_is_not_shown() -> None:
    async def scene(_: Agent, provider: Provider) -> None:
        await provider.chat(HELLO, call_for(None))

    with pytest.raises(AuthenticationFailed) as caught:
        played(scene, "stamp\r\nx: y")
    assert "stamp" not in str(caught.value)


@pytest.mark.parametrize("way", ["chat", "stream"])
def test_the_agent_hears_at_once_that_a_call_was_cancelled(way: str) -> None:
    async def scene(agent: Agent, provider: Provider) -> None:
        async def ask() -> None:
            if way == "chat":
                await provider.chat(HELLO, call_for(None, model="slow"))
            else:
                await events_of(await provider.stream(HELLO, call_for(None, model="slow")))

        task = asyncio.create_task(ask())
        async with asyncio.timeout(10):
            while not agent.asked:
                await asyncio.sleep(0)
            task.cancel()
            await agent.cancelled.wait()
            with pytest.raises(asyncio.CancelledError):
                await task

    played(scene)


def test_an_aborted_stream_ends_at_the_agent_too() -> None:
    async def scene(agent: Agent, provider: Provider) -> None:
        stream = await provider.stream(HELLO, call_for(None, model="stalls"))
        stream.abort()
        async with asyncio.timeout(10):
            await agent.cancelled.wait()

    played(scene)


def test_a_call_ends_with_its_deadline() -> None:
    async def scene(agent: Agent, provider: Provider) -> None:
        with pytest.raises(AttemptTimeout):
            await provider.chat(HELLO, call_for(None, model="slow", seconds=0.2))
        stream = await provider.stream(HELLO, call_for(None, model="stalls"))
        await stream.next(SystemClock().now() + 5)
        with pytest.raises(AttemptTimeout):
            await stream.next(SystemClock().now() + 0.1)
        await agent.cancelled.wait()

    played(scene)


def test_a_stream_without_its_last_piece_is_truncated() -> None:
    async def scene(_: Agent, provider: Provider) -> None:
        await events_of(await provider.stream(HELLO, call_for(None, model="torn")))

    with pytest.raises(Truncated):
        played(scene)


def test_calls_that_run_when_it_is_closed_lose_their_connection_and_are_not_cancelled() -> None:
    async def scene(agent: Agent, provider: Provider) -> None:
        task = asyncio.create_task(provider.chat(HELLO, call_for(None, model="slow")))
        async with asyncio.timeout(10):
            while not agent.asked:
                await asyncio.sleep(0)
        await provider.aclose()
        with pytest.raises(ConnectionFailed):
            await task

    played(scene)


def test_a_message_beyond_the_limit_of_grpc_says_what_helps_and_that_helps() -> None:
    request = ChatRequest("public", (Message.user("a b c d e"),))

    async def scene(_: Agent, provider: Provider) -> Any:
        return await provider.chat(request, call_for(None, model="long"))

    with pytest.raises(BadResponse, match="whole_by_stream"):
        played(scene)
    assert len(played(scene, whole_by_stream=True).text) == 5_000_004


def test_probe_and_models_ask_for_the_health() -> None:
    async def scene(_: Agent, provider: Provider) -> list[str]:
        await provider.probe()
        return [each.id for each in await provider.models()]

    assert played(scene) == ["echo", "slow"]


def test_nobody_there_is_unavailable_and_nothing_is_opened_before_the_first_call() -> None:
    provider = provider_at(9, Keys())  # without a loop

    async def scene() -> None:
        with pytest.raises(Unavailable):
            await provider.probe()
        with pytest.raises(Unavailable):
            await provider.chat(HELLO, call_for(None))
        await provider.aclose()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "request_",
    [
        ChatRequest("public", HELLO.messages, logprobs=True),
        ChatRequest("public", (Message.user((Image(b"png"),)),)),
        ChatRequest("public", (Message.tool("c-1", "rain"),)),
        ChatRequest("public", HELLO.messages, extra={"frills": 1}),
    ],
)
def test_what_an_agent_cannot_do_is_refused_before_it_is_asked(request_: ChatRequest) -> None:
    async def scene(agent: Agent, provider: Provider) -> None:
        for ask in (provider.chat, provider.stream):
            with pytest.raises(Unsupported):
                await ask(request_, call_for(None))
        assert agent.asked == []

    played(scene)


def test_the_generated_code_is_that_of_the_proto_file() -> None:
    text = Path(pointsman_aiagent.__file__).with_name("aiagent.proto").read_text("utf-8")
    written = {
        (message, name, int(number))
        for message, body in re.findall(r"^message (\w+) \{(.*?)\}", text, re.DOTALL | re.MULTILINE)
        for name, number in re.findall(r"(\w+) = (\d+);", body)
    }
    file = aiagent_pb2.DESCRIPTOR

    assert written == {
        (message.name, field.name, field.number)
        for message in file.message_types_by_name.values()
        for field in message.fields
    }
    methods = file.services_by_name["AIAgentService"].methods_by_name
    assert set(methods) == set(re.findall(r"rpc (\w+)\(", text))
