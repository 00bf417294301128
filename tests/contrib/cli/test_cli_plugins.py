"""`pointsman plugins list`: what is installed, which part of the configuration uses it, what breaks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pointsman_cli.plugin_list import Listed
from pointsman_cli.probing import Found, probe

Install = Callable[..., Path]

GOOD = """
from pointsman.plugin import Provider, PointsmanSpec, ProviderFactory, hookimpl
from pydantic import BaseModel
print("printed at import", flush=True)

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        return [ProviderFactory("acme", BaseModel, Provider)]

plugin = Plugin()
"""


@pytest.fixture
def install(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("acme-one", code)` puts a distribution with one module on the path; returns its metadata."""
    site = workdir / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(name: str, code: str, *, group: str = "pointsman.providers", offers: str = "acme") -> Path:
        module = name.replace("-", "_")
        (site / f"{module}.py").write_text(code)
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{group}]\n{offers} = {module}:plugin\n")
        return info

    yield install
    for module in [each for each in sys.modules if each.startswith("acme_")]:
        del sys.modules[module]


def of(listed: list[dict[str, Any]], distribution: str) -> dict[str, Any]:
    (found,) = [each for each in listed if each["distribution"] == distribution]
    return found


CONFIG = """
providers:
  a: {type: acme}
  b: {type: openai, base_url: "http://127.0.0.1:1", api_key: k}
models:
  m: {strategy: weighted, deployments: [a/x, b/y]}
audit: [{type: jsonl, path: audit}]
"""


def test_the_list_says_where_each_is_and_what_uses_it_and_imports_nothing(cli, install: Install) -> None:
    info = install("acme-one", "raise SystemExit('imported')")
    Path("pointsman.yaml").write_text(CONFIG)

    listed = cli("plugins", "list", "--json").json

    found = of(listed, "acme-one")
    assert found["path"] == str(info.parent)
    assert (found["editable"], found["sha256"], found["state"]) == (False, None, "not loaded")
    assert (found["used_by"], found["loaded"]) == (["providers.a"], True)
    assert (found["broken"], found["import_ms"]) == (None, None)
    used = {(each["kind"], each["name"]): each["used_by"] for each in listed if each["used_by"]}
    assert used["strategy", "weighted"] == ["models.m.strategy"]
    assert used["auth", "static"] == ["providers.b.api_key"]
    assert used["audit", "jsonl"] == ["audit[0]"]
    assert used["transport", "h1"] == ["transport (auto)"]
    assert "acme_one" not in sys.modules


def test_the_list_says_which_surfaces_the_gateways_section_names(cli) -> None:
    Path("pointsman.yaml").write_text(f"{CONFIG}gateway: {{surfaces: {{openai: {{}}}}}}\n")

    listed = cli("plugins", "list", "--json").json

    surfaces = {
        each["name"]: (each["used_by"], each["loaded"]) for each in listed if each["kind"] == "surface"
    }
    assert surfaces["openai"] == (["gateway.surfaces.openai"], True)
    assert surfaces["ollama"] == ([], False)


def test_without_a_configuration_nobody_says_what_is_loaded(cli) -> None:
    listed = cli("plugins", "list", "--json").json

    assert {each["loaded"] for each in listed} == {None}
    assert cli("plugins").out.splitlines()[0] == "kind\tname\tdistribution\tversion\tstate"


def test_what_the_configuration_does_not_let_in_is_listed_as_that(cli, install: Install) -> None:
    install("acme-one", "raise SystemExit('imported')")
    Path("pointsman.yaml").write_text(f"{CONFIG}plugins: {{deny: [acme-one]}}\n")

    ran = cli("plugins", "list", "--json")

    found = of(ran.json, "acme-one")
    assert (found["state"], found["used_by"], found["loaded"]) == ("denied", [], False)
    assert found["import_ms"] is None


def test_a_configuration_that_is_wrong_is_told_and_what_it_says_of_plugins_counts(
    cli, install: Install
) -> None:
    install("acme-one", "raise SystemExit('imported')")
    Path("pointsman.yaml").write_text("providers: 3\nplugins: {allow: []}\n")

    ran = cli("plugins", "list", "--json")

    assert ran.code == 0
    assert "providers: expected a mapping" in ran.err
    assert of(ran.json, "acme-one")["state"] == "not allowed"


def test_the_schema_for_editors_is_asked_of_those_that_are_let_in(cli, install: Install) -> None:
    install("acme-one", GOOD)
    install("acme-two", "raise SystemExit('imported')", group="pointsman.strategies", offers="two")
    Path("pointsman.yaml").write_text(CONFIG)

    ran = cli("config", "schema")
    Path("pointsman.yaml").write_text("providers: {\nplugins: {deny: [acme-two]}\n")
    unread = cli("config", "schema")
    Path("pointsman.yaml").write_text(f"{CONFIG}plugins: {{deny: [acme-two]}}\n")
    denied = cli("config", "schema")

    assert ran.code == 0
    assert "acme" in str(ran.json["$defs"]["ProviderConfig"])
    assert "printed at import" in ran.err
    assert "warning: strategy 'two' is left out" in ran.err
    assert "acme" in str(denied.json["$defs"]["ProviderConfig"])
    assert "warning" not in denied.err
    assert "acme" not in str(unread.json["$defs"]["ProviderConfig"])


def test_each_is_imported_in_a_process_of_its_own_and_what_breaks_is_told(cli, install: Install) -> None:
    install("acme-one", GOOD)
    install("acme-two", "import os\nos._exit(3)", offers="exits")
    install("acme-three", "import absent_module", offers="absent")

    ran = cli("plugins", "list", "--check", "--json")

    good, exits, absent = (of(ran.json, f"acme-{each}") for each in ("one", "two", "three"))
    assert (good["broken"], good["state"], good["error"]) == (False, "not loaded", None)
    assert good["import_ms"] > 0
    assert (exits["broken"], exits["error"]) == (True, "its import ended the process")
    assert "cannot be imported: ModuleNotFoundError" in absent["error"]
    assert ran.code == 1
    assert "2 of " in ran.err
    assert not {"acme_one", "acme_two", "acme_three"} & set(sys.modules)


def test_one_that_never_ends_is_given_up_with_what_it_started(install: Install) -> None:
    install(
        "acme-one", "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'input()'])\nwhile 1: pass"
    )

    (found,) = probe([[("provider", "acme")]], patience=1.0)

    assert found == Found(None, {"provider acme": "its import did not end within 1 s"})


def test_one_that_answers_in_our_place_is_not_believed(install: Install) -> None:
    code = "import os\nfor n in range(3, 20):\n  try: os.write(n, b'[1]\\n')\n  except OSError: pass\nos._exit(0)"
    install("acme-one", code)

    (found,) = probe([[("provider", "acme")]])

    assert found == Found(None, {"provider acme": "its import said what nobody understands"})


def test_a_plugin_that_is_imported_for_a_check_sees_no_credentials(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody")
    install("acme-one", "import os\nraise ImportError(os.environ.get('OPENAI_API_KEY'))")

    (found,) = probe([[("provider", "acme")]])

    assert "ImportError: None" in str(found.wrong["provider acme"])


def test_the_trace_shows_what_each_plugin_made_and_where(cli, install: Install) -> None:
    install("acme-one", GOOD.replace('print("printed at import", flush=True)', ""))
    Path("pointsman.yaml").write_text(CONFIG)

    ran = cli("plugins", "--trace", "--json")

    made = {(each["kind"], each["place"]): each for each in ran.json}
    assert ran.code == 0
    assert made["provider", "providers.a"]["made"] == "pointsman.provider.Provider"
    assert made["provider", "providers.a"]["distribution"] == "acme-one"
    assert made["provider", "providers.b"]["made"] == "pointsman_openai.provider.OpenAIProvider"
    assert made["strategy", "models.m.strategy"]["factory"] == "weighted"
    assert made["transport", "providers.b"]["times"] > 1
    assert made["provider", "providers.a"]["ms"] >= 0
    assert made["audit", "audit[0]"]["made"] is None
    assert not Path("audit").exists()
    assert "when a router starts" in cli("plugins", "--trace").out


def test_the_trace_of_what_cannot_be_built_ends_with_the_error(cli, install: Install) -> None:
    install("acme-none", GOOD.replace("BaseModel, Provider", "BaseModel, lambda context: None"))
    Path("pointsman.yaml").write_text(CONFIG)

    ran = cli("plugins", "--trace")

    assert ran.code == 2
    assert "provider\tacme\tacme-none\tproviders.a" in ran.out
    assert "made None" in ran.err


def test_a_trace_needs_a_configuration(cli) -> None:
    assert "there is no configuration to build" in cli("plugins", "--trace").err


def test_what_a_package_says_of_itself_drives_no_terminal(cli, install: Install) -> None:
    info = install("acme-two", GOOD, offers="x")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-two\nVersion: 1\x1b[2J\n")

    ran = cli("plugins", "list")

    assert "\x1b" not in ran.out + ran.err


def test_at_a_terminal_no_row_is_wider_than_80_cells_and_no_name_is_cut() -> None:
    from pointsman_cli.commands.plugins.list import _COLUMNS, _cells, _notes
    from pointsman_cli.layout import Group, Row, lay_out
    from pointsman_cli.output import one_line

    data = {
        "kind": "auth", "name": "oauth_client_credentials", "distribution": "pointsman-strategies",
        "version": "0.1.0", "state": "not loaded", "form": "code", "import_ms": 12.3,
        "used_by": [f"providers.a-name-of-some-length-{n}.auth" for n in range(4)],
    }  # fmt: skip
    row = Listed(data)
    rows = [Row(list(map(one_line, _cells(row))), _notes(row))]

    lines = [line.plain for line in lay_out(_COLUMNS, [Group("", rows)], width=80)]

    assert max(map(len, lines)) <= 80
    assert "oauth_client_credentials  pointsman-strategies" in lines[1]
    assert lines[2].strip().startswith("imported in 12 ms; used by providers.a-name")
