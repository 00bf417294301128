"""Every hook is alive: somebody asks for what it offers, the pages show how, and what comes is checked."""

from __future__ import annotations

import ast
import logging
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from plugin_pages import PAGES, TEXT, block, blocks

import pointsman.testing.contract
from pointsman import ModelSelected, Router, Unavailable
from pointsman.clock import LoopClock, system_rng
from pointsman.plugin import FoundServer, PointsmanSpec, Secret, TransportFactory, hookimpl
from pointsman.plugins.interfaces import INTERFACES
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.registry import Plugins
from pointsman.testing import CannedReply, Contexts, ReplayTransport, Scripted, SurfaceHost, client_for
from pointsman.testing.contract import Contract

ROOT = Path(__file__).resolve().parents[3]
SOURCES = [*ROOT.glob("core/src/pointsman/**/*.py"), *ROOT.glob("contrib/cli/src/**/*.py")]
BLOCKS = [each for page in PAGES for each in blocks(page)]
ASKS = {"get", "offered", "made", "configured"}
"""What is called with the name of a kind by whoever wants something of it."""
NOTHING_MADE = {"command", "section"}
"""Kinds whose plugins offer the thing itself: a command, the settings of a section."""


def asked_for() -> set[str]:
    """The kinds that somebody asks for, by the calls in our sources."""
    return {
        call.args[0].value
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Attribute)
        and call.func.attr in ASKS
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }


def example(hook: str) -> Any:
    """The first plugin that has `hook` on the page of its kind."""
    (kind,) = [kind.name for kind in KINDS.values() if kind.hook == hook]
    text = next(each for each in blocks(f"{kind}.md") if f"def {hook}(" in each and "plugin = " in each)
    module = sys.modules[f"example_of_{hook}"] = ModuleType(f"example_of_{hook}")
    exec(compile(text, f"docs/plugins {hook}", "exec", dont_inherit=True), vars(module))
    return vars(module)["plugin"]


@pytest.mark.parametrize("kind", KINDS)
def test_somebody_asks_for_what_a_hook_offers(kind: str) -> None:
    assert kind in asked_for()


@pytest.mark.parametrize("kind", KINDS)
def test_the_pages_have_an_example_of_each_kind_that_offers_what_its_hook_should(kind: str) -> None:
    hook = KINDS[kind].hook
    found = [each for each in BLOCKS if f"def {hook}(" in each and "plugin = " in each]

    assert found
    if kind != "provider":  # two of these, which are installed as packages by the tests of the pages
        plugins = Plugins([example(hook)])
        (info,) = [each for each in plugins.listing() if (each.kind, each.state) == (kind, "loaded")]
        assert info.error is None
        assert plugins.get(kind, info.name) is not None


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - NOTHING_MADE))
def test_what_a_factory_of_each_kind_makes_is_checked(kind: str) -> None:
    assert kind in INTERFACES


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - NOTHING_MADE))
def test_a_plugin_of_each_kind_can_be_tested_against_a_contract_that_the_pages_name(kind: str) -> None:
    contract = getattr(pointsman.testing.contract, f"{kind.capitalize()}Contract", None)

    assert contract is not None
    assert issubclass(contract, Contract)
    assert f"{kind.capitalize()}Contract" in TEXT


# ── the examples do what the page says ───────────────────────────────────────────────────────────────


def config(**changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x", "b/x"], "strategy": "round_robin"}},
        **changes,
    }


async def test_the_provider_without_http_of_the_example_answers_in_whole_and_in_a_stream() -> None:
    text = block("provider.md", "class Backwards(")
    space: dict[str, Any] = {"__name__": "example_without_http"}
    exec(compile(text, "docs/plugins/provider.md backwards", "exec", dont_inherit=True), space)
    given = {"providers": {"a": {"type": "backwards"}}, "models": {"m": {"deployments": ["a/x"]}}}

    async with Router.from_config(given, plugins=[space["plugin"]]) as router:
        assert (await router.chat("m", "hello")).text == "olleh"
        async with router.stream("m", "hello") as stream:
            assert [event.text async for event in stream if event.text] == ["o", "l", "l", "e", "h"]


def test_the_keys_of_the_example_go_on_when_one_is_rejected() -> None:
    factory = Plugins([example("pointsman_auth")]).auth("keys")
    context = Contexts(LoopClock(), system_rng()).auth(
        "keys", factory.settings.model_validate({"keys": ["old", "new"]}), provider="a", http=NotImplemented
    )

    auth = factory.make(context)

    assert auth.current() == Secret("old")
    assert auth.rejected(Secret("old"))
    assert auth.current() == Secret("new")
    assert not auth.rejected(Secret("new"))


async def test_the_retry_policy_of_the_example_goes_elsewhere_once() -> None:
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", Unavailable("down"))

    async with Router.from_config(
        config(retry="once_elsewhere"), plugins=[upstream, example("pointsman_retry_policies")]
    ) as router:
        with pytest.raises(Unavailable):
            await router.chat("m", "hello")

    assert len(upstream.calls) == 2


async def test_the_guard_of_the_example_hides_its_word() -> None:
    upstream = Scripted()
    for name in "ab":
        upstream.default(name, "my name is Rumpelstiltskin, Rumpel stilts kin")
    guards = [{"type": "hide", "word": "Rumpelstiltskin"}]

    async with Router.from_config(
        config(guards=guards), plugins=[upstream, example("pointsman_guards")]
    ) as router:
        whole = await router.chat("m", "hello")

    assert whole.text == "my name is •••••••••••••••, Rumpel stilts kin"


async def test_the_selector_of_the_example_sends_what_is_long_to_the_last_model() -> None:
    given = config()
    given["models"] |= {
        "n": {"deployments": ["b/y"]},
        "auto": {"selector": {"type": "by_length", "words": 3}, "of": ["m", "n"]},
    }
    told: list[ModelSelected] = []

    async with Router.from_config(given, plugins=[Scripted(), example("pointsman_selectors")]) as router:
        router.listen(told.append, kinds=[ModelSelected])
        await router.chat("auto", "hello")
        await router.embed("auto", "a b c d")

    assert [(each.chosen, each.reason) for each in told] == [
        ("m", "at most 3 words"),
        ("n", "more than 3 words"),
    ]


async def test_the_prices_of_the_example_hold_at_its_address_and_go_before_those_that_are_built_in() -> None:
    (factory,) = example("pointsman_prices").pointsman_prices()
    settings = factory.settings(at="http://llm.internal:11434", input=0.1, output=0.4)
    source = factory.make(Contexts(LoopClock(), system_rng()).prices("flat", settings))

    found = source.look("ollama", "llama3.2", "http://llm.internal:11434")

    assert (found.price.input, found.price.output) == (0.1, 0.4)
    assert source.look("ollama", "llama3.2", "http://127.0.0.1:11434") is None


async def test_the_discovery_of_the_example_finds_the_servers_that_a_registry_lists() -> None:
    (factory,) = example("pointsman_discovery").pointsman_discovery()
    listed = b'[{"Service": {"Address": "10.0.0.7", "Port": 11434, "Weights": {"Passing": 2}}}]'
    transport = ReplayTransport(CannedReply(200, listed))
    context = Contexts(LoopClock(), system_rng()).discovery(
        "consul",
        factory.settings(service="ollama"),
        provider="gpu",
        http=lambda endpoint: client_for(endpoint, transport),
    )

    found = await factory.make(context).find()

    assert found.servers == [FoundServer(base_url="http://10.0.0.7:11434", weight=2)]


async def test_the_surface_of_the_example_answers_in_plain_text() -> None:
    (factory,) = example("pointsman_surfaces").pointsman_surfaces()
    host = SurfaceHost()
    host.make(factory, factory.settings(at="/ask"))

    said = await host.ask("POST", "/ask", b'{"model": "small", "question": "Rain?", "stream": true}')
    refused = await host.ask("POST", "/ask", b'{"model": "small"}')

    assert (said.status, said.body) == (200, b"It is raining.")
    assert (refused.status, refused.body) == (400, b"'question' is missing, or no text")


async def test_the_sink_of_the_example_tells_how_requests_ended(caplog: pytest.LogCaptureFixture) -> None:
    async with Router.from_config(
        config(audit=["tally"]), plugins=[Scripted(), example("pointsman_audit_sinks")]
    ) as router:
        await router.chat("m", "hello")

    (record,) = [each for each in caplog.records if each.name == "pointsman.audit.tally"]
    assert record.getMessage() == "requests by how they ended: {'ok': 1}"


class Nowhere(PointsmanSpec):
    """The transport `httpx` in place of the built-in one, which answers by itself."""

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        answer = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
        return [
            TransportFactory(
                "httpx",
                None,
                lambda _context: httpx.MockTransport(lambda _: httpx.Response(200, content=answer)),
            )
        ]


async def test_the_transport_of_the_example_tells_of_what_another_carries(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = {"type": "openai", "base_url": "http://here.test/v1", "transport": "told"}
    given = config(providers={"a": here}, models={"m": {"deployments": ["a/x"]}})

    with caplog.at_level(logging.WARNING):
        async with Router.from_config(given, plugins=[Nowhere(), example("pointsman_transports")]) as router:
            reply = await router.chat("m", "hello")

    assert reply.text == "hi"
    told = [each.getMessage() for each in caplog.records if each.name == "pointsman.transport.told"]
    assert told == ["POST /v1/chat/completions"]


def test_the_command_of_the_example_runs() -> None:
    command = Plugins([example("pointsman_commands")]).get("command", "hello")

    assert CliRunner().invoke(command).output == "hello\n"
