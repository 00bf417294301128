"""Mistakes in the section `gateway`: each is told with its line and column, and nothing is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from pointsman import ConfigError, Router
from pointsman_gateway.reading import gateway_settings

BEFORE = """\
providers:
  gpu: {type: ollama}
models:
  assistant: {deployments: [gpu/m]}
gateway:
"""
MISTAKES = [
    ("  lisen: 127.0.0.1:4000", 6, 3, "did you mean 'listen'?"),
    ("  listen: 4000", 6, 11, "expected an address such as '127.0.0.1:4000'"),
    ("  listen: 127.0.0.1", 6, 11, "expected an address with a port behind it, such as ':4000'"),
    ("  listen: 127.0.0.1:70000", 6, 11, "expected an address with a port"),
    ("  listen: '::1:4000'", 6, 11, "stands between [ and ]"),
    ("  listen: '[::zz]:4000'", 6, 11, "expected an IPv6 address"),
    ("  listen: []", 6, 11, "or a list of some"),
    ("  listen: 'unix:'", 6, 11, "expected the path of a socket"),
    ("  listen: 0.0.0.0:4000", 6, 3, "nothing says who may ask"),
    ("  listen: '[::]:4000'", 6, 3, "access:"),
    ("  listen: [127.0.0.1:4000, gpu.example.com:4000]", 6, 3, "gpu.example.com"),
    ("  listen: [127.0.0.1:4000, 127.0.0.1:4000]", 6, 11, "is to be listened at twice"),
    ("  tls: {cert: cert.pem}", 6, 3, "is missing"),
    ("  surfaces: {opnai: {}}", 6, 14, "did you mean 'openai'?"),
    ("  surfaces: {ollama: {listen: '0.0.0.0:11435'}}", 6, 3, "takes no key there"),
    ("  surfaces: {ollama: {models: [asistant]}}", 6, 32, "did you mean 'assistant'?"),
    ("  surfaces: {openai: {respnses: {path: kept.db}}}", 6, 23, "did you mean 'responses'?"),
    ("  surfaces: {openai: {responses: {}}}", 6, 23, "is missing"),
    ("  surfaces: {openai: {responses: {path: kept.db, max_age: long}}}", 6, 59, "or a duration"),
    ("  surfaces: {ai: {prefix: /ai, models: [assistant], mode: x}}", 6, 53, "ai takes no settings"),
    ("  surfaces: {openai: {prefix: no-slash}}", 6, 31, "expected a path such as '/llm'"),
    ("  health: {listen: here}", 6, 20, "expected an address with a port"),
    ("  health: {at: 127.0.0.1:4001}", 6, 12, "unknown key 'at'"),
    ("  trusted_proxies: [10.0.0.0/33]", 6, 21, "expected an address or a network"),
    ("  cors: [app.example.com]", 6, 10, "expected an origin such as"),
    ("  cors: [example.com]", 6, 10, "such as 'https://pages.test'"),
    ("  socket_mode: 660", 6, 16, "in octal digits and quotes"),
    ('  socket_mode: "0999"', 6, 16, "in octal digits and quotes"),
    ("  headers: some", 6, 12, "'full', 'id' or 'none'"),
    ("  body_limit: 32 megabytes", 6, 15, "expected a size such as '32MiB'"),
    ("  body_limit: 0", 6, 15, "expected a size from 1 byte"),
    ("  heartbeat: often", 6, 14, "expected seconds as a number, or a duration"),
    ("  heartbeat: 0", 6, 14, "must be 0.001 or more"),
    ("  access: {keys: [{name: ci, key: short}]}", 6, 35, "has 5 characters"),
    (
        "  access: {keys: [{name: ci, key: 0123456789abcdef, surfaces: [opnai]}]}",
        6,
        53,
        "did you mean 'openai'?",
    ),
    (f"  access: {{keys: [{{name: ci, key: {'a' * 32}, models: [asistant]}}]}}", 6, 78, "'assistant'?"),
    ("  access: {anonymous: {models: [asistant]}}", 6, 33, "did you mean 'assistant'?"),
    ("  access: {key: abc}", 6, 12, "unknown key 'key'"),
]


@pytest.mark.parametrize(("lines", "line", "column", "says"), MISTAKES)
def test_a_mistake_is_told_with_its_place_and_what_would_help(
    tmp_path: Path, lines: str, line: int, column: int, says: str
) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(BEFORE + lines + "\n")

    with pytest.raises(ConfigError) as raised:
        Router.check(file)  # as `pointsman config check` does, and each start

    problems = {(each.line, each.column): str(each) for each in raised.value.problems}  # type: ignore[attr-defined]
    assert (line, column) in problems, problems
    assert says in problems[line, column]


def test_beyond_this_machine_it_listens_once_something_says_who_may_ask(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    key = "a" * 32
    file.write_text(f"{BEFORE}  listen: 0.0.0.0:4000\n  access: {{keys: [{{name: ci, key: {key}}}]}}\n")

    config = Router.check(file)

    settings = gateway_settings(config)
    assert [str(each) for each in settings.listen] == ["0.0.0.0:4000"]
    assert key not in repr(settings)


def test_a_router_that_is_embedded_lets_the_section_stand(tmp_path: Path) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(BEFORE + "  listen: 127.0.0.1:4000\n")

    assert Router.check(file).warnings == ()


def test_a_socket_is_beside_the_configuration_wherever_it_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pointsman.yaml"
    file.write_text(
        f"{BEFORE}  listen: [127.0.0.1:4000, 'unix:./gateway.sock', 'unix:/run/other.sock']\n"
        "  surfaces: {ollama: {listen: 'unix:ollama.sock'}}\n  health: {listen: 'unix:health.sock'}\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    settings = gateway_settings(Router.check(file))

    assert [str(each) for each in settings.addresses()] == [
        "127.0.0.1:4000",
        f"unix:{tmp_path}/gateway.sock",
        "unix:/run/other.sock",
        f"unix:{tmp_path}/ollama.sock",
        f"unix:{tmp_path}/health.sock",
    ]
