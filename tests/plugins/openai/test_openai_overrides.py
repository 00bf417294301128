"""Classes that derive from `OpenAIProvider` and get it wrong: who is blamed, and when."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from pointsman import ConfigError, InvalidRequest, PluginError, Router
from pointsman.plugin import (
    Call,
    ChatRequest,
    ChatResponse,
    HttpProvider,
    Image,
    Message,
    PointsmanSpec,
    Provider,
    ProviderFactory,
    Text,
    hookimpl,
)
from pointsman_openai import OpenAIProvider, OpenAISettings, WireSettings


class Acme(PointsmanSpec):
    """Offers providers of the type `acme`, of a class that has `members`."""

    def __init__(self, base: type[HttpProvider] = OpenAIProvider, **members: Any) -> None:
        self.made = type("AcmeProvider", (base,), {"default_base_url": "http://acme.test", **members})

    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("acme", OpenAISettings, self.made, WireSettings)]


class Echo(Provider):
    """Answers whatever it is asked."""

    async def chat(self, request: ChatRequest, call: Call) -> ChatResponse:
        return ChatResponse("from b")


class EchoPlugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("echo", BaseModel, Echo)]


def built(plugin: Acme, **more: Any) -> Router:
    config = {
        "providers": {"a": {"type": "acme"}, "b": {"type": "echo"}},
        "models": {"m": {"deployments": ["a/x"], "fallback": ["n"]}, "n": {"deployments": ["b/y"]}},
        **more,
    }
    return Router.from_config(config, plugins=[plugin, EchoPlugin()])


async def awaited(self: Any, *given: Any, **more: Any) -> Any:
    return None


def generator(self: Any, *given: Any, **more: Any) -> Any:
    yield None


@pytest.mark.parametrize(
    ("method", "written", "said"),
    [
        ("chat_body", awaited, r"whose chat_body\(\) is async; nobody awaits it"),
        ("chat_body", generator, r"whose chat_body\(\) is a generator"),
        ("chat_body", {}, r"has no method chat_body\(\)"),
        ("chat_body", lambda self, request, call: {}, r"write chat_body\(self, request, call, \*, stream\)"),
        ("chat_body", lambda self, request, *, stream: {}, r"write chat_body\(self, request, call, \*, stream\)"),
        ("chat_body", lambda self, request, call, *, stream, more: {}, r"write chat_body\(self, request, call"),
        ("error_of", awaited, r"whose error_of\(\) is async; nobody awaits it"),
        ("error_of", lambda self, answer, content: None, r"write error_of\(self, answer, content, \*, model\)"),
        ("make_endpoint", awaited, r"make_endpoint\(\) of AcmeProvider made a coroutine, expected Endpoint"),
        ("make_endpoint", lambda self: None, r"make_endpoint\(\) of AcmeProvider made a NoneType"),
        ("make_quirks", awaited, r"make_quirks\(\) of AcmeProvider made a coroutine, expected Quirks"),
        ("make_quirks", lambda self, settings: {}, r"make_quirks\(\) of AcmeProvider made a dict"),
        ("client_of", awaited, r"whose client_of\(\) is async; nobody awaits it"),
        ("value", awaited, r"whose value\(\) is async; nobody awaits it"),
        ("fetch", lambda self, path, body: None, r"write fetch\(self, path, body, call, \*, headers\)"),
        ("send", lambda self, path, body, call: None, r"write send\(self, path, body, call, \*, timely, headers\)"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_said_when_the_router_is_built(method: str, written: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built(Acme(**{method: written}))


@pytest.mark.parametrize(
    ("method", "written"),
    [
        ("chat_body", lambda self, request, call, stream: {}),
        ("chat_body", lambda self, *given, **more: {}),
        ("chat_body", lambda self, request, call, *, stream=False, more=1: {}),
        ("chat_body", staticmethod(lambda request, call, *, stream: {})),
        ("fetch", awaited),
        ("fetch", lambda self, path, body, call, headers=None: awaited(self)),
    ],
)  # fmt: skip
def test_an_override_that_can_be_called_as_that_of_the_base_is_fine(method: str, written: Any) -> None:
    built(Acme(**{method: written}))


@pytest.mark.parametrize(
    ("quirks", "said"),
    [
        ({"max_token_field": "x"}, r"unknown quirk 'max_token_field'; did you mean 'max_tokens_field'\?"),
        ({"official": True}, "unknown quirk 'official'"),
        ({1: True}, "unknown quirk '1'"),
        ({"max_tokens_field": "x"}, r"quirks of AcmeProvider: Invalid enum value 'x' - at `\$.max_tokens_field`"),
        ({"files": "no"}, r"Expected `bool`, got `str` - at `\$.files`"),
        ({"unsupported": ["imagse"]}, r"Invalid enum value 'imagse' - at `\$.unsupported\[0\]`"),
        ({"unsupported": "images"}, r"Expected `array`, got `str`"),
        ({"strict_tools": "never"}, r"Invalid enum value 'never'"),
        (["files"], "quirks of AcmeProvider: a list, expected a mapping"),
        (None, "quirks of AcmeProvider: a NoneType, expected a mapping"),
    ],
)  # fmt: skip
def test_a_wrong_quirk_is_said_when_the_router_is_built(quirks: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        built(Acme(quirks=quirks))


def test_right_quirks_are_taken() -> None:
    built(Acme(quirks={"max_tokens_field": "max_tokens", "files": False, "unsupported": ("images",)}))


def circle() -> Any:
    value: dict[str, Any] = {}
    value["x"] = value
    return value


WRONG = {
    "None": (lambda: None, "made a NoneType, expected a dict"),
    "a list": (lambda: [1], "made a list, expected a dict"),
    "an object in it": (lambda: {"x": object()}, "made what cannot be written as JSON: "),
    "a number that is none": (lambda: {"x": float("nan")}, "made what cannot be written as JSON: "),
    "a circle": (circle, "made what cannot be written as JSON: "),
}
ASKED = {
    "text": "hello",
    "parts": [Message("user", [Text("what is it?"), Image(b"png", media_type="image/png")])],
    "large parts": [Message("user", [Text("what is it?"), Image(bytes(2 << 20), media_type="image/png")])],
}


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("wrong", WRONG)
async def test_a_body_that_a_derived_class_makes_wrong_is_its_own_fault_and_others_are_asked(
    asked: str, wrong: str
) -> None:
    make, said = WRONG[wrong]
    plugin = Acme(chat_body=lambda self, request, call, *, stream: make())

    async with built(plugin) as router:
        assert (await router.chat("m", ASKED[asked])).text == "from b"
    async with built(plugin, models={"m": {"deployments": ["a/x"]}}, retry="none") as router:
        with pytest.raises(PluginError, match="provider 'a': chat_body.. of AcmeProvider " + said) as caught:
            await router.chat("m", ASKED[asked])
        assert (caught.value.kind, caught.value.method) == ("provider", "chat_body")
        with pytest.raises(PluginError, match=said):
            async with router.stream("m", ASKED[asked]) as stream:
                await stream.response()


@pytest.mark.parametrize("asked", ASKED)
async def test_what_the_caller_gave_that_cannot_be_written_is_not_blamed_on_a_derived_class(
    asked: str,
) -> None:
    def chat_body(self: Any, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        return {**OpenAIProvider.chat_body(self, request, call, stream=stream), "tag": "t"}

    async with built(Acme(chat_body=chat_body)) as router:
        with pytest.raises(InvalidRequest, match="the request cannot be written as JSON"):
            await router.chat("m", ASKED[asked], extra={"x": object()})


async def test_a_body_of_a_request_that_only_the_derived_class_can_say_is_judged_by_the_callers_extra() -> (
    None
):
    plugin = Acme(chat_body=lambda self, request, call, *, stream: {"x": object()})

    async with built(plugin, models={"m": {"deployments": ["a/x"]}}, retry="none") as router:
        with pytest.raises(PluginError, match="chat_body"):
            await router.chat("m", "hello", top_k=3)
        with pytest.raises(InvalidRequest, match="the request cannot be written as JSON"):
            await router.chat("m", "hello", top_k=3, extra={"x": object()})
