"""Provider types that are data: found, read and used without importing anything of their packages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import ConfigError, Overloaded, QuotaExhausted, RateLimited, Router, Truncated, Unavailable
from pointsman.build.loading import provider_of
from pointsman.errors import PluginError
from pointsman.http.provider_base import HttpProvider
from pointsman.plugin import Endpoint, ErrorPattern
from pointsman.plugins.control import Rules
from pointsman.plugins.registry import Plugins
from pointsman.testing import (
    CannedReply,
    ReplayTransport,
    call_for,
    context_for,
    data_factory,
    installed_factory,
    provider_for,
)
from pointsman.types import ChatRequest, Message
from pointsman.wire.error_patterns import by_pattern

Install = Callable[..., Path]

ACME = """
like: openai
base_url: https://api.acme.test/v1
credential: {variable: ACME_API_KEY, header: x-acme-key}
headers: {x-acme-client: pointsman}
settings: {max_tokens_field: max_tokens, unsupported: [images]}
errors:
  - {code: no_more_money, means: quota_exhausted}
  - {status: 500, message: model is loading, means: overloaded}
models:
  - acme-small
  - {id: acme-large, context_window: 128000, capabilities: [tools]}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """`install("acme", text)` installs a wheel that is only data; returns the folder of its metadata."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(
        name: str = "acme",
        text: str = ACME,
        *,
        init: str | None = "raise SystemExit('imported')",
        folder: Path | None = None,
        group: str = "pointsman.providers",
        value: str | None = None,
    ) -> Path:
        package = f"pointsman_{name}"
        code = (folder or site) / package
        code.mkdir(parents=True)
        if init is not None:
            (code / "__init__.py").write_text(init)
        (code / "provider.yaml").write_text(text)
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pointsman-{name}\nVersion: 1.0\n")
        value = value or f"{package}:provider.yaml"
        (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {value}\n")
        return info

    return install


def plugins(rules: Rules | None = None) -> Plugins:
    return Plugins(rules=rules or Rules(), read_data=provider_of)


def wrong(text: str, folder: Path) -> list[str]:
    """What is wrong with a file, line by line."""
    file = folder / "provider.yaml"
    file.write_text(dedent(text))
    with pytest.raises(ConfigError) as caught:
        data_factory(file)
    return [str(each).removeprefix(f"{folder}/") for each in caught.value.problems]


# ── found and not imported ───────────────────────────────────────────────────────────────────────────


def test_a_wheel_that_is_data_offers_a_type_and_is_never_imported(install: Install) -> None:
    install()

    factory = installed_factory("provider", "acme")

    assert factory.name == "acme"
    assert factory.default_base_url == "https://api.acme.test/v1"
    assert (factory.needs_key, factory.key_variable) == (True, "ACME_API_KEY")
    assert [each.id for each in factory.models] == ["acme-small", "acme-large"]
    assert "pointsman_acme" not in sys.modules


def test_a_folder_without_init_does(install: Install) -> None:
    install(init=None)

    assert plugins().provider("acme").name == "acme"


@pytest.mark.parametrize("by", ["pth", "finder", "project"])
def test_an_editable_install_does(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    source = tmp_path / "my project" / "src"
    info = install(folder=source)
    if by == "pth":
        (info.parent / "_acme.pth").write_text(f"import os\n{source}\n")
        (info / "RECORD").write_text("_acme.pth,,\n")
    elif by == "finder":
        monkeypatch.syspath_prepend(source)
    else:
        url = {"url": source.parent.as_uri(), "dir_info": {"editable": True}}
        (info / "direct_url.json").write_text(json.dumps(url))

    assert plugins().provider("acme").name == "acme"
    assert "pointsman_acme" not in sys.modules


def test_it_is_listed_as_data(install: Install) -> None:
    install()
    found = plugins()

    (before,) = [each for each in found.listing() if each.name == "acme"]
    found.provider("acme")
    (after,) = [each for each in found.listing() if each.name == "acme"]

    assert (before.form, before.module, before.state) == (
        "data",
        "pointsman_acme:provider.yaml",
        "not loaded",
    )
    assert (after.form, after.state) == ("data", "loaded")


def test_a_configuration_denies_it_and_what_it_is_like(install: Install) -> None:
    install()
    install("second", "like: acme")

    with pytest.raises(PluginError, match="provider 'acme' is offered by pointsman-acme, which is denied"):
        plugins(Rules(deny=("pointsman-acme",))).provider("acme")
    with pytest.raises(
        PluginError, match="pointsman_second/provider.yaml:1:7: like: provider 'acme' is offered"
    ):
        plugins(Rules(deny=("pointsman-acme",))).provider("second")


def test_one_may_be_like_another(install: Install) -> None:
    install()
    install("second", "like: acme\nheaders: {x-more: '1'}")

    provider = provider_for(plugins().provider("second"), ReplayTransport(CannedReply(200)), key="k")

    assert provider.endpoint is not None
    assert provider.endpoint.headers["x-acme-client"] == "pointsman"
    assert provider.endpoint.headers["x-more"] == "1"


def test_those_that_are_like_each_other_are_an_error_that_names_the_circle(install: Install) -> None:
    install("acme", "like: second")
    install("second", "like: acme")

    with pytest.raises(PluginError, match="goes round in a circle: acme is like second is like acme"):
        plugins().provider("acme")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"value": "pointsman_acme:absent.yaml"}, "names pointsman_acme/absent.yaml, which is not there"),
        ({"value": "absent_package:provider.yaml"}, "names absent_package/provider.yaml, which is not there"),
        ({"value": "pointsman_acme:../provider.yaml"}, "names no file in a package"),
        ({"value": "pointsman_acme:/etc/x.yaml"}, "names no file in a package"),
        ({"text": "- a"}, "provider.yaml:1:1: expected a mapping, not a list; begin with 'like:'"),
        ({"text": "like: [a"}, "is wrong: pointsman_acme/provider.yaml:1:"),
        ({"text": "like: nothing_of_the_kind"}, "like: no plugin offers provider 'nothing_of_the_kind'"),
    ],
)
def test_what_cannot_be_read_is_an_error_that_says_why(
    install: Install, more: dict[str, str], said: str
) -> None:
    install(**more)

    with pytest.raises(PluginError) as caught:
        plugins().provider("acme")

    assert "provider 'acme' cannot be used: " in caught.value.message
    assert "of the distribution pointsman-acme" in caught.value.message
    assert said in caught.value.message


def test_only_providers_are_data(install: Install) -> None:
    install(group="pointsman.strategies")

    with pytest.raises(PluginError, match="is data, and a strategy is none"):
        plugins().strategy("acme")


# ── what it may say ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base_url: http://a.test", "provider.yaml:1:1: like: is missing"),
        (
            "like: openai\nheader: {}",
            "provider.yaml:2:1: header: unknown key 'header'; did you mean 'headers'?",
        ),
        (
            "like: openai\nsettings: {max_tokns_field: max_tokens}",
            "provider.yaml:2:12: settings.max_tokns_field: unknown key 'max_tokns_field'; "
            "did you mean 'max_tokens_field'?",
        ),
        (
            "like: openai\nsettings:\n  max_tokens_field: tokens",
            "provider.yaml:3:21: settings.max_tokens_field: must be 'auto', 'max_tokens' or "
            "'max_completion_tokens'",
        ),
        (
            "like: openai\nerrors:\n  - {code: busy, means: overload}",
            "provider.yaml:3:25: errors[0].means: there is no error 'overload'; did you mean 'overloaded'?",
        ),
        (
            "like: openai\nerrors:\n  - {means: overloaded}",
            "provider.yaml:3:5: errors[0]: says none of status, code and message, and would fit every error",
        ),
        (
            "like: openai\nerrors: [{code: '', means: overloaded}]",
            "provider.yaml:2:17: errors[0].code: ",
        ),
        (
            "like: openai\ncredential: {varable: X}",
            "provider.yaml:2:14: credential.varable: unknown key 'varable'; did you mean 'variable'?",
        ),
        (
            "like: openai\ncredential: {variable: a b}",
            "provider.yaml:2:24: credential.variable: expected the name of an environment variable",
        ),
        ("like: openai\nmodels: [{id: a, contex_window: 1}]", "did you mean 'context_window'?"),
        (
            "like: openai\ncredential: {header: Transfer-Encoding}",
            "provider.yaml:2:22: credential.header: the header Transfer-Encoding has a meaning of its own",
        ),
        (
            'like: openai\ncredential: {header: x-key, prefix: "Key\\r\\nx-more: "}',
            "provider.yaml:2:37: credential.prefix: expected printable ASCII",
        ),
        (
            "like: openai\ncredential: {prefix: 'Key '}",
            "provider.yaml:2:13: credential: says a prefix and no header for it; name both",
        ),
        ('like: openai\nbase_url: "http://a.test/\\nx"', "base_url: has a line break or another control"),
        ("like: openai\nbase_url: http://u:p@a.test", "base_url: holds a user name or password"),
        ("like: openai\nbase_url: http://a.test/v1/chat/completions", "must end before '/chat/completions'"),
    ],
)
def test_each_mistake_is_told_at_its_line_and_column(tmp_path: Path, text: str, said: str) -> None:
    found = wrong(text, tmp_path)

    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "line",
    [
        "headers: {authorization: anything}",
        "headers: {X-Api-Key: anything}",
        "headers: {cookie: a=b}",
        "headers: {Proxy-Authorization: anything}",
        "headers: {x-auth: anything}",
        "headers: {x-acme: Bearer abcdefghijklmnop}",
        "headers: {x-acme: sk-abcdefghijklmnop1234}",
        "settings: {organization: ghp_abcdefghijklmnopqrstuvwxyz0123}",
        "api_key: sk-abcdefghijklmnop1234",
        "credential: {header: x-a, prefix: 'Bearer abcdefghijkl'}",
    ],
)
def test_a_credential_is_refused_and_not_shown(tmp_path: Path, line: str) -> None:
    said = "\n".join(wrong(f"like: openai\n{line}", tmp_path))

    assert "credential" in said
    assert "abcdefgh" not in said
    assert "anything" not in said


def test_words_of_the_upstream_about_tokens_are_no_credential(tmp_path: Path) -> None:
    file = tmp_path / "provider.yaml"
    file.write_text(
        "like: openai\nerrors: [{message: token expired for tenant, means: authentication_failed}]"
    )

    assert data_factory(file).name == "data"


def test_nothing_is_filled_in(tmp_path: Path) -> None:
    (said,) = wrong("like: openai\nheaders: {x-user: '${HOME}'}", tmp_path)

    assert "provider.yaml:2:19: headers.x-user: nothing is filled in here" in said


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = (
        "like: openai\nheaders: {x-token: a}\nbase_url: ftp://x\nerrors: [{means: nothing, code: a}]\nmore: 1"
    )

    assert len(wrong(text, tmp_path)) == 4


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="cannot be read: No such file"):
        data_factory(tmp_path / "provider.yaml")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: f"like: openai\n{text}".encode()))
def test_whatever_stands_in_it_is_a_provider_type_or_told(content: bytes) -> None:
    from pointsman.plugins.data_files import DataFile

    try:
        provider_of(DataFile("acme", "provider.yaml", content), Plugins().provider)
    except ConfigError as error:
        assert error.problems


# ── what becomes of it ───────────────────────────────────────────────────────────────────────────────


def test_what_a_configuration_says_wins_over_the_data(install: Install) -> None:
    install()
    data = {"max_tokens_field": "max_tokens", "unsupported": ("images",)}
    model = plugins().provider("acme").settings

    assert model.model_validate({}).model_dump(include={*data}) == data
    said = model.model_validate({"max_tokens_field": "auto", "unsupported": []})
    assert (said.max_tokens_field, said.unsupported) == ("auto", ())


def test_without_the_credential_it_says_what_to_write_and_reads_no_variable(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    monkeypatch.setenv("ACME_API_KEY", "sk-never-asked-for")
    given = {"providers": {"a": {"type": "acme"}}, "models": {"m": {"deployments": ["a/acme-large"]}}}

    with pytest.raises(ConfigError) as caught:
        Router.check(given)

    assert (
        "providers.a: a provider of type acme needs a credential; add `auth: {type: env, name: ACME_API_KEY}`"
        in (str(caught.value))
    )


def test_at_an_address_of_its_own_the_key_of_the_base_is_not_asked_for(install: Install) -> None:
    install("acme", "like: openai\nbase_url: http://127.0.0.1:1/v1")
    install("same", "like: openai\nheaders: {x-a: b}")

    assert (plugins().provider("acme").needs_key, plugins().provider("acme").key_variable) == (False, None)
    assert (plugins().provider("same").needs_key, plugins().provider("same").key_variable) == (
        True,
        "OPENAI_API_KEY",
    )


async def test_its_models_are_listed_without_asking(install: Install) -> None:
    install()
    given = {
        "providers": {"a": {"type": "acme", "api_key": "k", "base_url": "http://127.0.0.1:1"}},
        "models": {"m": {"deployments": ["a/acme-large"]}},
    }

    async with Router.from_config(given) as router:
        listed = {each.id: each for each in await router.models()}

    assert set(listed) == {"m", "a/acme-small", "a/acme-large"}
    large = listed["a/acme-large"]
    assert (large.context_window, tuple(large.capabilities)) == (128000, ("tools",))


def test_what_has_no_endpoint_takes_no_headers(tmp_path: Path) -> None:
    from pydantic import BaseModel

    from pointsman.plugin import Provider, ProviderFactory
    from pointsman.plugins.data_files import DataFile

    here = ProviderFactory("here", BaseModel, Provider)
    plain = provider_of(DataFile("acme", "p.yaml", b"like: here"), lambda _name: here)
    headed = provider_of(DataFile("acme", "p.yaml", b"like: here\nheaders: {x-a: b}"), lambda _name: here)
    context = context_for(ReplayTransport(CannedReply(200)))

    assert type(plain.make(context)) is Provider
    with pytest.raises(ConfigError, match="providers of type 'here' have no endpoint"):
        headed.make(context)
    (said,) = wrong("like: ollama\nsettings: {thnk: true}", tmp_path)
    assert "did you mean 'think'?" in said


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────

BUSY = b'{"error": {"message": "Tenant 7 is Out Of Luck", "type": "luck", "code": "E77"}}'


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        (ErrorPattern(RateLimited, code="E77"), RateLimited),
        (ErrorPattern(RateLimited, code="luck"), RateLimited),
        (ErrorPattern(RateLimited, message="out of luck"), RateLimited),
        (ErrorPattern(RateLimited, status=500), RateLimited),
        (ErrorPattern(RateLimited, status=500, code="E77", message="OUT OF"), RateLimited),
        (ErrorPattern(RateLimited, status=503, code="E77"), Unavailable),
        (ErrorPattern(RateLimited, code="E7"), Unavailable),
        (ErrorPattern(RateLimited, code="E77", message="lucky"), Unavailable),
    ],
)
async def test_a_pattern_fits_when_all_that_it_says_does(
    pattern: ErrorPattern, kind: type[Exception]
) -> None:
    class Mine(HttpProvider):
        default_base_url = "http://mine.test"
        patterns = (pattern,)

    transport = ReplayTransport(CannedReply(500, BUSY))
    provider = Mine(context_for(transport))

    with pytest.raises(kind) as caught:
        await provider.fetch("/say", {}, call_for(provider, transport))

    assert type(caught.value) is kind
    assert (caught.value.status, caught.value.upstream_code) == (500, "E77")
    assert "Tenant 7 is Out Of Luck" in caught.value.message


async def test_the_first_pattern_that_fits_counts_and_is_stronger_than_all_else() -> None:
    class Mine(HttpProvider):
        default_base_url = "http://mine.test"
        codes = {"E77": QuotaExhausted}  # noqa: RUF012 - as authors write it
        patterns = (ErrorPattern(Overloaded, code="E77"), ErrorPattern(RateLimited, message="luck"))

    transport = ReplayTransport(CannedReply(500, BUSY, headers={"retry-after": "7"}))
    provider = Mine(context_for(transport))

    with pytest.raises(Overloaded) as caught:
        await provider.manage("GET", "/say")

    assert caught.value.retry_after == 7


async def test_an_error_of_data_means_what_it_says_in_whole_answers_and_in_streams(install: Install) -> None:
    install()
    factory = plugins().provider("acme")
    request = ChatRequest("m", (Message.user("hello"),))
    loading = b'{"error": {"message": "The model is loading, be patient"}}'
    money = b'{"error": {"message": "no", "code": "no_more_money"}}'

    async def ended(reply: CannedReply, *, stream: bool = False) -> Exception:
        transport = ReplayTransport(reply)
        provider = provider_for(factory, transport, key="k-1")
        call = call_for(provider, transport, key="k-1")
        with pytest.raises(Exception, match=r".") as caught:
            if stream:
                events = await provider.stream(request, call)
                while await events.next(call.timeouts.deadline) is not None:
                    pass
            else:
                await provider.chat(request, call)
        assert transport.requests[0].headers["x-acme-key"] == "k-1"
        assert transport.requests[0].headers["x-acme-client"] == "pointsman"
        assert "authorization" not in transport.requests[0].headers
        return caught.value

    events = {"content-type": "text/event-stream"}
    assert type(await ended(CannedReply(500, loading))) is Overloaded
    assert type(await ended(CannedReply(503, loading))) is Unavailable
    assert type(await ended(CannedReply(500, loading), stream=True)) is Overloaded
    assert type(await ended(CannedReply(200, money))) is QuotaExhausted
    in_stream = CannedReply(200, b"data: " + money + b"\n\n", headers=events)
    assert type(await ended(in_stream, stream=True)) is QuotaExhausted


def test_what_the_upstream_did_not_say_keeps_its_kind() -> None:
    pattern = ErrorPattern(Overloaded, message="ended")
    cut = Truncated("the stream ended without its end marker")

    assert by_pattern((pattern,), cut) is cut
    assert type(by_pattern((pattern,), Unavailable("it ended"))) is Overloaded


def test_patterns_that_are_none_are_refused_when_the_provider_is_made() -> None:
    from pointsman.plugins.interfaces import lack

    class Mine(HttpProvider):
        def make_endpoint(self) -> Endpoint:
            return Endpoint("http://mine.test", patterns=("busy",))  # type: ignore[arg-type]

    made = Mine(context_for(ReplayTransport(CannedReply(200))))

    assert lack("provider", made) == "made a Mine, whose `endpoint.patterns` are no list of ErrorPattern"
