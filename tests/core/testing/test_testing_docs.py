"""The packages of docs/plugins: put on the path as they stand, found by their entry points, and used."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_pages import PAGES, TEXT, files, page_of

from pointsman import Config, ConfigError, File, Message, Router, Unsupported
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.registry import Plugins
from pointsman.testing import CannedReply, ReplayTransport, Scripted
from pointsman.testing.contract import (
    AuditContract,
    AuthContract,
    CommandContract,
    Contract,
    DialectContract,
    GuardContract,
    ProviderContract,
    RetryContract,
    SectionContract,
    SelectorContract,
    ServiceContract,
    StrategyContract,
    SurfaceContract,
    TransportContract,
    rules_of,
)
from pointsman.transports.factory import TransportFactory

pytest_plugins = ["pytester"]

Install = Callable[[str], dict[str, str]]
OF_THE_PAGES = (
    "pointsman_acme", "pointsman_echo", "pointsman_lightest", "pointsman_spending", "pointsman_backends",
    "pointsman_once", "pointsman_tally", "pointsman_told", "pointsman_hello", "pointsman_owners",
    "pointsman_hide", "pointsman_by_length", "pointsman_keys", "pointsman_plain", "pointsman_flat",
)  # fmt: skip


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Puts a package of the pages on the path, with the metadata that an installer would write."""
    modules = set(sys.modules)

    def install(name: str) -> dict[str, str]:
        package = files(page_of(name))
        for path, text in package.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text, "utf-8")
        project = tomllib.loads(package["pyproject.toml"])["project"]
        info = tmp_path / name / "src" / f"{name.replace('-', '_')}-{project['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {project['version']}\n"
        )
        groups = project["entry-points"].items()
        lines = [
            line
            for group, named in groups
            for line in (f"[{group}]", *(f"{k} = {v}" for k, v in named.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(tmp_path / name / "src")
        return package

    yield install
    for module in set(sys.modules) - modules:
        if module.startswith(OF_THE_PAGES):
            del sys.modules[module]


class Replaying(PointsmanSpec):
    """The transport `replay`, which gives one answer to everything."""

    def __init__(self, reply: CannedReply) -> None:
        self.transport = ReplayTransport(reply)

    @hookimpl
    def pointsman_transports(self) -> list[TransportFactory]:
        return [TransportFactory("replay", None, lambda _context: self.transport)]


def config(**changes: Any) -> dict[str, Any]:
    here = {"type": "echo", "base_url": "http://echo.test", "shout": True, "transport": "replay"}
    return {"providers": {"here": here}, "models": {"parrot": {"deployments": ["here/alto"]}}, **changes}


async def test_the_echo_of_the_page_is_found_by_its_entry_point_and_answers(install: Install) -> None:
    install("pointsman-echo")
    upstream = Replaying(CannedReply(200, b'{"text": "HELLO", "tokens": 3}'))

    async with Router.from_config(config(), plugins=[upstream]) as router:
        reply = await router.chat("parrot", "hello")

    assert (reply.text, reply.usage.completion, reply.deployment) == ("HELLO", 3, "here/alto")
    (sent,) = upstream.transport.requests
    assert str(sent.url) == "http://echo.test/say"
    assert sent.content == b'{"voice":"alto","text":"HELLO","stream":false}'


async def test_the_echo_of_the_page_streams(install: Install) -> None:
    install("pointsman-echo")
    body = b'data: {"text": "HEL"}\n\ndata: {"text": "LO"}\n\ndata: {"tokens": 3}\n\ndata: [END]\n\n'

    async with Router.from_config(config(), plugins=[Replaying(CannedReply(200, body).cut_by(7))]) as router:
        async with router.stream("parrot", "hello") as stream:
            pieces = [event.text async for event in stream if event.text]

    assert pieces == ["HEL", "LO"]
    assert stream.response.usage.completion == 3


async def test_the_server_with_openais_api_is_20_lines_that_know_its_address_and_its_quirks(
    install: Install,
) -> None:
    text = install("pointsman-acme")["src/pointsman_acme/__init__.py"]
    answer = b'{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}'
    upstream = Replaying(CannedReply(200, answer, {"content-type": "application/json"}))
    here = {"type": "acme", "api_key": "k-1", "transport": "replay"}
    other = here | {"max_tokens_field": "max_completion_tokens"}
    given = {
        "providers": {"here": here, "other": other},
        "models": {"m": {"deployments": ["here/x"]}, "n": {"deployments": ["other/x"]}},
    }

    async with Router.from_config(given, plugins=[upstream]) as router:
        reply = await router.chat("m", "hello", max_tokens=5)
        await router.chat("n", "hello", max_tokens=5)
        with pytest.raises(Unsupported, match=r"\(Acme\) cannot do this: the file"):
            await router.chat("m", [Message.user([File(data=b"x", media_type="text/plain")])])

    assert len([line for line in text.splitlines() if line.strip()]) <= 20
    assert reply.text == "hi"
    sent, to_other = upstream.transport.requests
    assert str(sent.url) == "https://api.acme.test/v1/chat/completions"
    assert sent.headers["authorization"] == "Bearer k-1"
    assert b'"max_tokens":5' in sent.content
    assert b'"max_completion_tokens":5' in to_other.content


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("pointsman-echo", "here/alto"),
        ("pointsman-acme", "acme/acme-large"),
        ("pointsman-lightest", "right/llama3.2"),
        ("pointsman-owners", "here/llama3.2"),
        ("pointsman-hide", "hide"),
        ("pointsman-by-length", "by_length"),
        ("pointsman-outspoken", "outspoken"),
        ("pointsman-plain", "assistant"),
        ("pointsman-flat", "cluster/llama3.2"),
    ],
)
def test_the_configuration_of_a_page_is_a_sound_one(
    name: str, known: str, install: Install, tmp_path: Path
) -> None:
    install(name)
    text = re.findall(r"```yaml\n(.*?)```", PAGES[page_of(name)], flags=re.DOTALL)[0]
    if "providers:" not in text:
        text = (
            f"providers: {{gpu: {{type: ollama}}}}\nmodels: {{assistant: {{deployments: [gpu/x]}}}}\n{text}"
        )
    (tmp_path / "pointsman.yaml").write_text(text)

    router = Router.from_config(tmp_path / "pointsman.yaml")

    assert known in str(router.status())


def test_a_program_reads_the_section_of_the_page(install: Install, tmp_path: Path) -> None:
    install("pointsman-owners")
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGES["section.md"], flags=re.DOTALL)
    (tmp_path / "pointsman.yaml").write_text(text)

    assert Config.load(tmp_path / "pointsman.yaml").sections["owners"] == {"llama": "ann@example.test"}


def test_nothing_of_the_package_is_imported_before_a_configuration_names_it(install: Install) -> None:
    install("pointsman-echo")

    (info,) = [each for each in Plugins().listing() if each.name == "echo"]

    assert (info.distribution, info.state) == ("pointsman-echo", "not loaded")
    assert "pointsman_echo" not in sys.modules


async def test_the_strategy_of_the_page_is_found_and_picks(install: Install) -> None:
    install("pointsman-lightest")
    upstream = Scripted()
    given = {
        "providers": {"a": {"type": "scripted"}, "b": {"type": "scripted"}},
        "models": {"m": {"strategy": "lightest", "deployments": ["a/x", "b/x"]}},
    }

    async with Router.from_config(given, plugins=[upstream]) as router:
        for _ in range(3):
            await router.chat("m", "hello")

    assert upstream.count("a") == 3  # nothing is in flight, so the first is always the lightest


def test_the_dialect_of_the_page_reads_its_files_and_says_what_is_wrong_at_their_lines(
    install: Install, tmp_path: Path
) -> None:
    install("pointsman-backends")
    file = tmp_path / "backends.yaml"
    file.write_text("backends:\n- {url: http://127.0.0.1:1/v1, serves: m}\n- {url: 127.0.0.1, serves: m}\n")
    with pytest.raises(ConfigError, match=rf"{file}:3:9: backends\[1\].url: "):
        Router.check(file)

    file.write_text("backends:\n- {url: http://127.0.0.1:1/v1, serves: m}\n- {url: http://127.0.0.1:2/v1}\n")
    with pytest.raises(
        ConfigError, match=rf"{file}:3:3: backends\[1\]: a backend serves a model; add `serves"
    ):
        Router.check(file)

    file.write_text("backends:\n- {url: http://127.0.0.1:1/v1, serves: m}\n")
    assert [each.id for each in Router.check(file).public_models()["m"].deployments] == ["backend0/m"]


async def test_the_service_of_the_page_lives_with_its_router(install: Install, tmp_path: Path) -> None:
    install("pointsman-spending")
    file = tmp_path / "pointsman.json"
    given = {"providers": {"a": {"type": "scripted"}}, "models": {"m": {"deployments": ["a/x"]}}}
    file.write_text(json.dumps({**given, "spending": {}}))

    async with Router.from_config(file, plugins=[Scripted()]) as router:
        used = (await router.chat("m", "hi", caller="ann")).usage.total

    assert json.loads((tmp_path / "spending.json").read_text()) == {"ann": used}


@pytest.mark.parametrize(
    ("name", "contract"),
    [
        ("pointsman-echo", ProviderContract),
        ("pointsman-acme", ProviderContract),
        ("pointsman-keys", AuthContract),
        ("pointsman-lightest", StrategyContract),
        ("pointsman-once", RetryContract),
        ("pointsman-tally", AuditContract),
        ("pointsman-spending", ServiceContract),
        ("pointsman-told", TransportContract),
        ("pointsman-backends", DialectContract),
        ("pointsman-hide", GuardContract),
        ("pointsman-by-length", SelectorContract),
        ("pointsman-plain", SurfaceContract),
        ("pointsman-owners", SectionContract),
        ("pointsman-hello", CommandContract),
    ],
)
def test_the_tests_of_the_packages_on_the_pages_pass(
    name: str, contract: type[Contract], install: Install, pytester: pytest.Pytester
) -> None:
    (tests,) = [text for path, text in install(name).items() if path.startswith("tests/")]
    pytester.makepyfile(tests)

    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-q")

    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "skipped"}
    assert sum(outcomes.values()) == len(rules_of(contract)) + tests.count("\ndef test_")
    # Not each provider can all of it, what stands at a key may be no settings, and not each command fails.
    assert "skipped" not in outcomes or contract in (ProviderContract, SectionContract, CommandContract)


def test_the_messages_of_what_is_not_found_are_those_that_one_sees(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = config()
    given["models"]["parrot"]["strategy"] = "echo"
    seen = [message_of(config())]
    install("pointsman-echo")
    seen.append(message_of(given))
    add_distribution(tmp_path, "other", "echo = other:plugin")
    seen.append(message_of(config()))
    (tmp_path / "pointsman-echo" / "src" / "other-1.0.dist-info" / "entry_points.txt").write_text("")
    monkeypatch.setenv("POINTSMAN_PLUGINS", "none")
    seen.append(message_of(config()))
    monkeypatch.delenv("POINTSMAN_PLUGINS")
    (metadata,) = (tmp_path / "pointsman-echo" / "src").glob("pointsman_echo*/METADATA")
    metadata.write_text(f"{metadata.read_text()}Requires-Dist: pointsman>=0.9\n")
    seen.append(message_of(config()))

    assert_quoted("It is not found", seen)


def test_the_messages_of_what_cannot_be_used_are_those_that_one_sees(
    install: Install, tmp_path: Path
) -> None:
    install("pointsman-echo")
    module = tmp_path / "pointsman-echo" / "src" / "pointsman_echo" / "__init__.py"
    sound = module.read_text()
    hook = "    def pointsman_providers(self) -> Sequence[ProviderFactory]:\n        return ["
    seen = []
    for text in (
        "import no_such_module_anywhere",
        sound.replace(
            '[ProviderFactory("echo", EchoSettings, EchoProvider)]',
            'ProviderFactory("echo", EchoSettings, EchoProvider)',
        ),
        sound.replace("    def pointsman_providers", "    async def pointsman_providers"),
        sound.replace(hook, hook.replace("(self)", "(self, config)")),
        sound,
        sound.replace("EchoSettings, EchoProvider)", 'EchoSettings, lambda _: type("Echo", (), {})())'),
        sound.replace("EchoSettings, EchoProvider)", 'EchoSettings, lambda _: {}["x"])'),
    ):
        sys.modules.pop("pointsman_echo", None)
        module.write_text(text)
        importlib.invalidate_caches()
        shutil.rmtree(module.parent / "__pycache__", ignore_errors=True)
        seen.append(
            message_of(
                config(providers={"here": {"type": "echo", **({"shoot": True} if text is sound else {})}})
            )
        )

    assert_quoted("It cannot be used", seen)


def add_distribution(folder: Path, name: str, line: str) -> None:
    """Put another one that claims a provider beside that of the page."""
    info = folder / "pointsman-echo" / "src" / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pointsman.providers]\n{line}\n")
    importlib.invalidate_caches()


def assert_quoted(heading: str, seen: list[str]) -> None:
    """Each message holds what the rows below a heading quote, in order."""
    section = PAGES["troubleshooting.md"].partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)
    for message, quote in zip(seen, quoted, strict=True):
        places = [message.find(piece.strip()) for piece in quote.split("…")]
        assert -1 not in places, f"{quote!r} is not in {message!r}"
        assert places == sorted(places)


def test_what_the_promise_shows_is_what_a_plugin_for_a_later_version_is_told(
    install: Install, tmp_path: Path
) -> None:
    install("pointsman-echo")
    (metadata,) = (tmp_path / "pointsman-echo" / "src").glob("*.dist-info/METADATA")
    metadata.write_text(f"{metadata.read_text()}Requires-Dist: pointsman>=0.9\n")

    said = message_of(config())

    (shown,) = re.findall(r"^provider 'echo' .*", PAGES["compatibility.md"], re.MULTILINE)
    assert shown in said


def message_of(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Router.from_config(given)
    return caught.value.message


def test_the_index_lists_every_kind_of_plugin_with_its_group_and_hook() -> None:
    for kind in KINDS.values():
        assert f"| `{kind.group}` | `{kind.hook}` |" in PAGES["index.md"]


def test_its_page_lists_every_attribute_of_the_provider_contract() -> None:
    from pointsman.testing.contract.subject import ProviderSubject

    names = {
        name for name in (*ProviderSubject.__annotations__, "request", "xfail") if not name.startswith("_")
    }
    page = PAGES["provider.md"]
    (table,) = re.findall(r"^\| attribute \|.*\n(?:\|.*\n)+", page, re.MULTILINE)
    listed = {word for row in table.splitlines() if row for word in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert listed == names


def test_the_pages_list_every_member_of_the_bases_of_providers() -> None:
    from pointsman.plugin import HttpProvider, Provider
    from pointsman_openai import OpenAIProvider

    def own(kind: type, base: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_") and not hasattr(base, name)}

    mentioned = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", TEXT))
    assert own(HttpProvider, Provider) | own(OpenAIProvider, HttpProvider) <= mentioned


def test_every_line_of_the_pages_that_imports_of_pointsman_imports_what_is_public() -> None:
    modules = set(re.findall(r"^(?:from|import) (pointsman(?:\.\w+)*)", TEXT, re.MULTILINE))

    assert modules <= {"pointsman", "pointsman.plugin", "pointsman.testing", "pointsman.testing.contract"}
