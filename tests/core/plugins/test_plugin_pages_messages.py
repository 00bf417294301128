"""What the pages of the kinds say that one sees when something is wrong is what one sees."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from plugin_pages import PAGES
from pydantic import BaseModel, ConfigDict, RootModel

from pointsman import Router
from pointsman.plugin import (
    AuditFactory,
    AuditSink,
    AuthFactory,
    DialectFactory,
    Discovery,
    DiscoveryFactory,
    Found,
    FoundServer,
    Guard,
    GuardFactory,
    KnownModel,
    MemoryStore,
    NotReady,
    PointsmanError,
    PointsmanSpec,
    PriceFactory,
    PriceSource,
    Provider,
    ProviderFactory,
    RateLimited,
    Refused,
    RetryFactory,
    RetryPolicy,
    Secret,
    SectionFactory,
    Selector,
    SelectorFactory,
    Service,
    ServiceFactory,
    SigningAuth,
    StateFactory,
    StateStore,
    Strategy,
    StrategyFactory,
    TransportFactory,
    Unavailable,
    Usage,
    hookimpl,
    replace,
)
from pointsman.plugins.kinds import KINDS
from pointsman.testing import Scripted
from pointsman_cli.app import cli
from pointsman_openai import OpenAIProvider, OpenAISettings

PATIENCE = 0.2
"""Seconds that a call has: what answers here does so at once."""
Made = tuple[dict[str, Any], Sequence[object]]
"""A configuration, and the plugins that it needs."""


def offering(hook: str, *factories: object) -> object:
    """A plugin that offers these by one hook."""
    method = eval("lambda self: list(given)", {"given": factories, "list": list})
    method.__name__ = hook
    return type("Offering", (PointsmanSpec,), {hook: hookimpl(method)})()


def config(**changes: Any) -> dict[str, Any]:
    return {
        "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
        "models": {"m": {"deployments": ["a/x", "b/x"]}},
        **changes,
    }


def raising(error: type[Exception]) -> Callable[..., Any]:
    def method(*_args: Any) -> Any:
        raise error

    return method


def a_raising(error: Exception | type[Exception]) -> Callable[..., Any]:
    async def method(*_args: Any) -> Any:
        raise error

    return method


async def awaited(*_args: Any) -> Any:
    return None


# ── wrong plugins of each kind ───────────────────────────────────────────────────────────────────────


def strategy(*, settings: dict[str, Any] | None = None, name: str = "lightest", **members: Any) -> Made:
    members.setdefault("pick", lambda self, ready, request, /: ready[0])
    kind = type("Lightest", (Strategy,), {k: v for k, v in members.items() if v is not ...})
    given = config()
    given["models"]["m"]["strategy"] = {"type": name, **(settings or {})}
    factory = StrategyFactory("lightest", None, lambda _context: kind())
    return given, [Scripted(), offering("pointsman_strategies", factory)]


def retry(**members: Any) -> Made:
    members = {"attempts": 2, "budget": None, "delay": lambda self, failure: None, **members}
    kind = type("OnceElsewhere", (RetryPolicy,), {k: v for k, v in members.items() if v is not ...})
    upstream = Scripted()
    upstream.default("a", Unavailable("down"))
    upstream.default("b", Unavailable("down"))
    factory = RetryFactory("once_elsewhere", BaseModel, lambda _context: kind())
    return config(retry="once_elsewhere"), [upstream, offering("pointsman_retry_policies", factory)]


def audit(make: Callable[..., Any] | None = None, **members: Any) -> Made:
    members = {"__call__": lambda self, event: None, "close": lambda self: None, **members}
    kind = type("Tally", (AuditSink,), {k: v for k, v in members.items() if v is not ...})
    factory = AuditFactory("tally", BaseModel, make or (lambda _context: kind()))
    return config(audit=["tally"]), [Scripted(), offering("pointsman_audit_sinks", factory)]


def service(make: Callable[..., Any] | None = None, starts: str | None = "spending", **members: Any) -> Made:
    members = {"start": awaited, "aclose": awaited, **members}
    kind = type("Spending", (Service,), members)
    section = SectionFactory("spending", BaseModel, service=starts)
    factory = ServiceFactory("spending", BaseModel, make or (lambda _context: kind()))
    plugins = [offering("pointsman_sections", section), offering("pointsman_services", factory)]
    return config(spending={}), [Scripted(), *plugins]


class Owners(RootModel[dict[str, str]]):
    pass


def section(value: Any, *, installed: bool = True, starts: str | None = None) -> Made:
    plugins = [offering("pointsman_sections", SectionFactory("owners", Owners, service=starts))]
    return config(owners=value), [Scripted(), *(plugins if installed else ())]


def transport(make: Callable[..., Any], **more: Any) -> Made:
    here = {"type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "transport": "told"}
    given = {"providers": {"a": here}, "models": {"m": {"deployments": ["a/x"]}}}
    return given, [offering("pointsman_transports", TransportFactory("told", None, make, **more))]


class Raising(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise RuntimeError


def dialect(*names: str, **members: Any) -> Made:
    from pointsman.plugin import Dialect, NativeDocument

    members = {
        "matches": lambda self, document: True,
        "read": lambda self, document: NativeDocument(),
        **members,
    }
    kind = type("Backends", (Dialect,), members)
    factories = [DialectFactory(name, None, lambda _context: kind()) for name in names or ("backends",)]
    plugins = [offering("pointsman_config_dialects", each) for each in factories]
    return {"backends": [{"serves": "m"}]}, plugins


def guard(
    *, name: str = "hide", settings: dict[str, Any] | None = None, allow: bool = False, **members: Any
) -> Made:
    members.setdefault("after", lambda self, response, call: passing(response))
    kind = type("Hide", (Guard,), {k: v for k, v in members.items() if v is not ...})
    said = {"type": name, "on_error": "allow" if allow else "refuse", **(settings or {})}
    factory = GuardFactory("hide", None, lambda _context: kind())
    return config(guards=[said]), [Scripted(), offering("pointsman_guards", factory)]


async def passing(value: Any) -> Any:
    return value


async def refuses(self: Any, request: Any, call: Any) -> Any:
    raise Refused("no names, please")


async def without_usage(self: Any, response: Any, call: Any) -> Any:
    return replace(response, usage=Usage())


async def waits_too_long(self: Any, request: Any, call: Any) -> Any:
    await asyncio.get_running_loop().create_future()


class RefusesLater:
    """Lets the first word pass, and no other one."""

    first = True

    def feed(self, event: Any) -> Any:
        if not self.first:
            raise Refused("no names, please")
        self.first = False
        return [event]

    def end(self) -> Any:
        return []


def selector(*, name: str = "by_length", default: str = "m", **members: Any) -> Made:
    members.setdefault("choose", picking("m"))
    kind = type("ByLength", (Selector,), {k: v for k, v in members.items() if v is not ...})
    given = config()
    given["models"] = {
        "auto": {"selector": name, "of": ["m", "n"], "default": default},
        **given["models"],
        "n": {"deployments": ["a/y"]},
    }
    factory = SelectorFactory("by_length", None, lambda _context: kind())
    return given, [Scripted(), offering("pointsman_selectors", factory)]


def state(*, name: str = "outspoken", **members: Any) -> Made:
    """A store in memory but for `members`; one without any method where `admit` is `...`."""
    bases = (StateStore,) if members.get("admit") is ... else (MemoryStore,)
    kind: Any = type("Wrong", bases, {each: made for each, made in members.items() if made is not ...})
    given = config(queue=None, state=name)
    given["providers"]["a"]["limits"] = {"requests": "9/min"}
    factory = StateFactory(
        "outspoken", None, lambda context: kind() if bases == (StateStore,) else kind(context.clock)
    )
    return given, [Scripted(), offering("pointsman_state_stores", factory)]


def prices(*, name: str = "flat", **members: Any) -> Made:
    kind: Any = type("Flat", (PriceSource,), {k: v for k, v in members.items() if v is not ...})
    return config(prices=[name]), [
        Scripted(),
        offering("pointsman_prices", PriceFactory("flat", None, lambda _context: kind())),
    ]


def discovery(*, name: str = "told", **members: Any) -> Made:
    kind: Any = type("Told", (Discovery,), {k: v for k, v in members.items() if v is not ...})
    given = config()
    given["providers"]["a"]["discover"] = name
    factory = DiscoveryFactory("told", None, lambda _context: kind())
    return given, [Scripted(), offering("pointsman_discovery", factory)]


def finding(found: Any) -> Any:
    async def find(self: Any) -> Any:
        return found

    return find


def looks_for_two(self: Any, type: str, model: str) -> Any:
    return None


async def takes_nothing_else(self: Any) -> Any:
    return None


async def takes_nothing_else_either(self: Any, since: Any) -> Any:
    return None


async def says_yes(self: Any, admission: Any, /) -> Any:
    return "yes"


async def takes_two(self: Any, request: Any, candidates: Any) -> Any:
    return "m"


async def a_raising_choice(self: Any, request: Any, candidates: Any, call: Any) -> Any:
    raise IndexError


def picking(name: Any) -> Any:
    async def choose(self: Any, request: Any, candidates: Any, call: Any) -> Any:
        return name

    return choose


class EchoSettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shout: bool = False


def provider(*, keys: dict[str, Any] | None = None, needs_key: bool = False, **members: Any) -> Made:
    kind = type("EchoProvider", (Provider,), members)
    factory = ProviderFactory("echo", EchoSettings, kind, needs_key=needs_key)
    given = {
        "providers": {"here": {"type": "echo", **(keys or {})}},
        "models": {"m": {"deployments": ["here/x"]}},
    }
    return given, [offering("pointsman_providers", factory)]


def openai(**members: Any) -> Made:
    kind = type("AcmeProvider", (OpenAIProvider,), {"default_base_url": "http://127.0.0.1:9/v1", **members})
    given = {
        "providers": {"acme": {"type": "acme", "api_key": "k"}},
        "models": {"m": {"deployments": ["acme/x"]}},
    }
    return given, [offering("pointsman_providers", ProviderFactory("acme", OpenAISettings, kind))]


async def generator(self: Any, request: Any, call: Any) -> Any:
    yield request


async def chats_with_too_few(self: Any, request: Any) -> Any:
    return request


async def says_text(self: Any, request: Any, call: Any) -> Any:
    return "hello"


async def says_later(self: Any, request: Any, call: Any) -> Any:
    raise RateLimited("slow down", retry_after="2")  # type: ignore[arg-type]


def auth(**members: Any) -> Made:
    """One that signs, before an upstream that believes nobody."""

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(401, stream=httpx.ByteStream(b"{}"))

    members.setdefault("sign", lambda self, outgoing: {"x-signature": "1"})
    kind = type("Keys", (SigningAuth,), members)
    here = {
        "type": "openai",
        "base_url": "http://127.0.0.1:9/v1",
        "auth": {"type": "keys"},
        "transport": "told",
    }
    given = {"providers": {"a": here}, "models": {"m": {"deployments": ["a/x"]}}, "retry": "none"}
    silent = TransportFactory("told", None, lambda _context: httpx.MockTransport(answer))
    factory = AuthFactory("keys", BaseModel, lambda _context: kind())
    return given, [offering("pointsman_auth", factory), offering("pointsman_transports", silent)]


async def gives_what_has_ended(self: Any) -> None:
    self.current = lambda: Secret("key-1", ends=3600.0 - 1e9)


WRONG: dict[str, Sequence[Callable[[], Made]]] = {
    "strategy.md": (
        lambda: strategy(pick=awaited),
        lambda: strategy(pick=lambda self, ready: ready[0]),
        lambda: strategy(pick=lambda self, ready, request, /: None),
        lambda: strategy(pick=raising(IndexError)),
        lambda: strategy(observed=raising(ValueError)),
        lambda: strategy(settings={"slack": 2}),
    ),
    "auth.md": (
        lambda: auth(sign=awaited),
        lambda: auth(current=raising(NotReady)),
        lambda: auth(current=raising(NotReady), refresh=a_raising(KeyError)),
        lambda: auth(current=raising(NotReady), refresh=gives_what_has_ended),
        lambda: auth(sign=lambda self, outgoing: {"Host": "other"}),
        lambda: auth(),
    ),
    "retry.md": (
        lambda: retry(attempts=...),
        lambda: retry(budget=...),
        lambda: retry(budget=0.2),
        lambda: retry(delay=lambda self, failure: -1.0),
        lambda: retry(delay=raising(AttributeError)),
    ),
    "audit.md": (
        lambda: audit(__call__=awaited),
        lambda: audit(raising(FileNotFoundError)),
        lambda: audit(__call__=raising(KeyError)),
        lambda: audit(close=raising(OSError)),
    ),
    "service.md": (
        lambda: service(start=a_raising(OSError)),
        lambda: service(start=lambda self: None),
        lambda: service(lambda context: context.router.status()),
        lambda: service(starts="spendings"),
        lambda: service(aclose=a_raising(ValueError)),
    ),
    "section.md": (
        lambda: section({}, installed=False),
        lambda: section({"llama": 7}),
        lambda: section({}, starts="owner"),
    ),
    "transport.md": (
        lambda: transport(lambda _context: type("Told", (), {})()),
        lambda: transport(lambda _context: Raising()),
        lambda: transport(lambda context: context.inner("h3")),
        lambda: transport(lambda _context: Raising(), refuses=lambda _options: "it knows no TLS"),
    ),
    "dialect.md": (
        lambda: dialect(matches=raising(KeyError)),
        lambda: dialect(read=lambda self, document: {}),
        lambda: dialect("backends", "other"),
        lambda: dialect(),
    ),
    "provider.md": (
        lambda: provider(__init__=lambda self, context: None),
        lambda: provider(stream=generator),
        lambda: provider(chat=chats_with_too_few),
        lambda: provider(chat=a_raising(KeyError)),
        lambda: provider(chat=says_text),
        lambda: provider(chat=says_later),
        lambda: provider(),
        lambda: provider(needs_key=True),
        lambda: provider(keys={"shoot": True}),
    ),
    "guard.md": (
        lambda: guard(after=...),
        lambda: guard(stream=awaited),
        lambda: guard(settings={"word": "x"}),
        lambda: guard(before=refuses),
        lambda: guard(before=a_raising(KeyError)),
        lambda: guard(before=awaited),
        lambda: guard(after=without_usage),
        lambda: guard(before=a_raising(KeyError), allow=True),
        lambda: guard(stream=lambda self, call: RefusesLater()),
        lambda: guard(before=waits_too_long),
    ),
    "selector.md": (
        lambda: selector(choose=takes_two),
        lambda: selector(choose=a_raising_choice),
        lambda: selector(choose=picking("huge")),
        lambda: selector(choose=picking(None)),
        lambda: selector(default="huge"),
    ),
    "state.md": (
        lambda: state(admit=takes_nothing_else),
        lambda: state(admit=a_raising(OSError("down")), renew=a_raising(OSError("down"))),
        lambda: state(admit=says_yes),
    ),
    "prices.md": (
        lambda: prices(look=awaited),
        lambda: prices(look=looks_for_two),
        lambda: prices(look=raising(KeyError)),
        lambda: prices(look=lambda self, type, model, base_url, /: 0.1),
        lambda: prices(look=lambda self, type, model, base_url, /: KnownModel(0.1)),  # type: ignore[arg-type]
    ),
    "discovery.md": (
        lambda: discovery(find=takes_nothing_else_either),
        lambda: discovery(find=a_raising(KeyError)),
        lambda: discovery(find=finding([])),
        lambda: discovery(find=finding(Found(servers=[FoundServer()]))),
        lambda: discovery(find=finding(Found(servers=[FoundServer(address="gpu.internal")]))),
        lambda: discovery(
            find=finding(Found(servers=[FoundServer(base_url=f"http://10.0.0.1:80/{n}") for n in "ab"]))
        ),
    ),
    "openai-compatible.md": (
        lambda: openai(quirks={"max_token_field": "max_tokens"}),
        lambda: openai(chat_body=awaited),
        lambda: openai(chat_body=lambda self, request, call, *, stream: None),
    ),
}


OF_EVERY_KIND: dict[str, Sequence[Callable[[], Made]]] = {
    "no plugin offers": (
        lambda: strategy(name="lightes"),
        lambda: guard(name="hid"),
        lambda: selector(name="by_lenght"),
        lambda: state(name="outspokn"),
        lambda: prices(name="flatt"),
        lambda: discovery(name="consull"),
    ),
    "of its own: write it": (
        lambda: strategy(pick=...),
        lambda: retry(delay=...),
        lambda: audit(__call__=...),
        lambda: selector(choose=...),
        lambda: state(admit=...),
        lambda: prices(look=...),
        lambda: discovery(find=...),
    ),
}
"""What the page for all kinds says once, and what is wrong with which it is seen."""


async def seen(made: Made, log: pytest.LogCaptureFixture) -> list[str]:
    """What somebody sees who builds a router with these and calls it, in whole and as a stream."""
    log.clear()
    given, plugins = made
    model = next(iter(given.get("models", {"m": None})))
    told = []
    try:
        async with Router.from_config(given, plugins=plugins) as router:
            for stream in (False, True):
                try:
                    if stream:
                        async with router.stream(model, "hello", timeout=PATIENCE) as answer:
                            _ = [event async for event in answer]
                    else:
                        await router.chat(model, "hello", timeout=PATIENCE)
                except PointsmanError as error:
                    told.append(f"{type(error).__name__}: {error}")
    except PointsmanError as error:
        told.append(f"{type(error).__name__}: {error}")
    return told + [record.getMessage() for record in log.records]


def quoted(page: str, heading: str = "") -> list[str]:
    """The first column of the table of what goes wrong, each row's first quotation."""
    table = PAGES[page].partition(heading)[2] if heading else PAGES[page]
    table = table.partition("| you see |")[2].partition("\n\n")[0]
    cells = [row.split("|")[1].strip() for row in table.splitlines()[2:]]
    return [next(each for each in re.findall(r"``(.+?) ?``|`([^`]+)`", cell)) for cell in cells]  # type: ignore[misc]


def holds(message: str, quote: str) -> bool:
    """Whether a message has the pieces of a quotation in order."""
    place = 0
    for piece in quote.split("…"):
        place = message.find(piece.strip(), place)
        if place < 0:
            return False
    return True


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("page", WRONG)
async def test_each_message_in_the_table_of_a_page_is_what_one_sees(
    page: str, caplog: pytest.LogCaptureFixture
) -> None:
    quotes = ["".join(each) for each in quoted(page)]
    told = []
    with caplog.at_level(logging.INFO):
        for make in WRONG[page]:
            told.append(await seen(make(), caplog))

    assert len(quotes) == len(told)
    for quote, messages in zip(quotes, told, strict=True):
        assert any(holds(message, quote) for message in messages), f"{quote!r} is not in {messages!r}"


@pytest.mark.parametrize("words", OF_EVERY_KIND)
async def test_what_one_page_says_for_all_kinds_is_what_each_of_them_says(
    words: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert words in PAGES["troubleshooting.md"]
    for make in OF_EVERY_KIND[words]:
        messages = await seen(make(), caplog)
        assert any(words in message for message in messages), messages


@pytest.mark.parametrize(("n", "members"), [(0, {"stream": says_text}), (1, {"chat": a_raising(KeyError)})])
async def test_what_fails_in_a_call_is_told_as_the_page_says(
    n: int, members: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    quotes = quoted("troubleshooting.md", "\n## It fails in a call\n")

    messages = await seen(provider(**members), caplog)

    assert any(holds(message, "".join(quotes[n])) for message in messages), messages


def test_a_command_that_is_not_there_is_told_as_its_page_says() -> None:
    told = CliRunner().invoke(cli, ["hullo"]).output

    assert holds(told, "".join(quoted("command.md")[0]))


def test_every_page_of_a_kind_with_such_a_table_is_examined() -> None:
    pages = {f"{kind}.md" for kind in KINDS} | {"openai-compatible.md"}

    elsewhere = {"command.md", "surface.md"}
    assert {page for page in pages if "| you see |" in PAGES[page]} - elsewhere == set(WRONG)
