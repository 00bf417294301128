"""Configurations of other programs: found by what they look like, translated, and wrong at their own lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pointsman import ConfigError, Router
from pointsman.config import Config
from pointsman.plugin import (
    DialectContext,
    DialectFactory,
    ForeignDocument,
    NativeDocument,
    PointsmanSpec,
    hookimpl,
)
from pointsman.testing import Scripted


def read(text: str, **options: Any) -> Config:
    return Config.from_text(dedent(text), file="old.yaml", environ={"KEY": "sk-a-long-key"}, **options)


def wrong(text: str, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as found:
        read(text, **options)
    return [str(each) for each in found.value.problems]


def test_a_document_of_ours_that_forgot_a_type_is_told_so() -> None:
    (said,) = wrong("providers: {a: {base_url: 'http://127.0.0.1:1'}}\n")

    assert said == "old.yaml:1:13: providers.a.type: is missing; such as `type: ollama`"


# ── those of plugins ─────────────────────────────────────────────────────────────────────────────────


class Plain:
    """Reads `{upstream: …}`."""

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        return "upstream" in document.data

    def read(self, document: ForeignDocument) -> NativeDocument:
        native = NativeDocument()
        native.put(("providers", "a", "type"), document.data["upstream"], of=("upstream",))
        return native


class Offering(PointsmanSpec):
    def __init__(self, **makes: Callable[[DialectContext], Any]) -> None:
        self._makes = makes

    @hookimpl
    def pointsman_config_dialects(self) -> Sequence[DialectFactory]:
        return [DialectFactory(name, None, make) for name, make in self._makes.items()]


def test_a_dialect_of_a_plugin_is_asked_about_files_and_mappings_alike(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"upstream": "scripted"}))

    for source in (file, {"upstream": "scripted"}):
        given = Router.check(source, plugins=[Offering(plain=Plain), Scripted()])
        assert given.providers["a"].type == "scripted"

    file.write_text(json.dumps({"upstream": "scriptd"}))
    with pytest.raises(ConfigError, match=rf"{file}:1:14: upstream: no plugin offers provider 'scriptd'"):
        Router.check(file, plugins=[Offering(plain=Plain), Scripted()])


class Warned(Plain):
    """Warns of what it reads."""

    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        native.warn(("upstream",), "is not what it was")
        return native


async def test_a_router_on_a_file_that_a_dialect_warns_of_says_so_when_it_starts_and_when_that_is_read_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"upstream": "scripted"}))

    async with Router.from_config(file, plugins=[Offering(plain=Warned), Scripted()]) as router:
        await router.reload()

    assert caplog.messages == [f"{file}: 1 warning; pointsman config check says of what"] * 2


def test_two_dialects_that_match_are_an_error_that_names_both() -> None:
    (said,) = wrong("upstream: x\n", plugins=[Offering(one=Plain), Offering(two=Plain)])

    here = "tests.core.config.test_dialects:Offering"
    assert f"could be in any of several dialects: 'one' from {here} and 'two' from {here}" in said


class Bad(Plain):
    def __init__(self, method: str, context: DialectContext) -> None:
        super().__init__(context)
        if method == "make":
            raise RuntimeError("sk-a-long-key")
        self._method = method

    def matches(self, document: ForeignDocument) -> bool:
        if self._method == "matches":
            raise RuntimeError(document.data["upstream"])
        return True

    def read(self, document: ForeignDocument) -> NativeDocument:
        if self._method == "read":
            raise RuntimeError(document.data["upstream"])
        return {}  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("method", "did"),
    [
        ("make", "failed in make(): RuntimeError; the log says more"),
        ("matches", "failed in matches(): RuntimeError; the log says more"),
        ("read", "failed in read(): RuntimeError; the log says more"),
        ("", "returned a dict from read(), expected a NativeDocument"),
    ],
)
def test_a_dialect_that_does_wrong_is_one_error_that_names_it_and_shows_no_value(
    method: str, did: str, caplog: pytest.LogCaptureFixture
) -> None:
    offering = Offering(bad=lambda context: Bad(method, context))

    (said,) = wrong("upstream: a-word-that-nobody-may-read\n", plugins=[offering])

    assert said == f"old.yaml:1:1: the dialect 'bad' from tests.core.config.test_dialects:Offering {did}"
    assert "a-word-that-nobody-may-read" not in caplog.text


def test_nobody_is_asked_about_a_document_of_ours() -> None:
    offering = Offering(bad=lambda context: Bad("make", context))

    assert read("providers: {a: {type: ollama}}\n", plugins=[offering]).providers["a"].type == "ollama"


def test_what_is_no_dialect_is_one_error_that_says_what_it_lacks() -> None:
    (said,) = wrong("upstream: a\n", plugins=[Offering(bad=lambda _context: object())])

    assert said.endswith("Offering made a object, which has no method matches()")


def test_a_file_whose_dialect_is_not_installed_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pointsman.plugins.discovery.distributions", list)

    (said,) = wrong("default_service: ollama\nai_services: {ollama: {model: x}}\n")

    assert said == (
        "old.yaml:2:1: ai_services: no plugin offers dialect 'ai_services', which reads such files; "
        "Try: pip install pointsman-dialects"
    )
