"""Which installed plugins a configuration lets in; the distributions are folders on the path, as in a wheel."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest

from pointsman import Config, ConfigError, Router
from pointsman.errors import PluginError
from pointsman.plugins.control import Rules
from pointsman.plugins.records import Unverified, fingerprint, installation
from pointsman.plugins.registry import PluginInfo, Plugins

Install = Callable[..., Path]

GOOD = """
from pointsman.plugin import Provider, ChatResponse, PointsmanSpec, ProviderFactory, hookimpl
from pydantic import BaseModel

class Mine(Provider):
    async def chat(self, request, call):
        return ChatResponse(text="from NAME")

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        return [ProviderFactory("acme", BaseModel, Mine)]

plugin = Plugin()
"""
HOSTILE = "raise AssertionError('imported')"


def hashed(content: bytes) -> str:
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("acme-one", code)` installs it as an installer does, with a RECORD; returns the folder."""
    before = set(sys.modules)
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(
        name: str,
        code: str = GOOD,
        *,
        group: str = "pointsman.providers",
        offers: str = "acme",
        version: str = "1.2.0",
        more: Mapping[str, str] | None = None,
        record: bool = True,
    ) -> Path:
        module = name.replace("-", "_")
        info = f"{module}-{version}.dist-info"
        files = {
            f"{module}.py": code.replace("NAME", name),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/entry_points.txt": f"[{group}]\n{offers} = {module}:plugin\n",
            **(more or {}),
        }
        for path, text in files.items():
            (site / path).parent.mkdir(exist_ok=True)
            (site / path).write_text(text)
        if record:
            out = io.StringIO()
            rows = csv.writer(out, lineterminator="\n")
            for path, text in files.items():
                rows.writerow((path, hashed(text.encode()), len(text)))
            rows.writerow((f"{info}/RECORD", "", ""))
            (site / info / "RECORD").write_text(out.getvalue())
        return site / info

    yield install
    for module in set(sys.modules) - before:
        if module.startswith("acme"):
            del sys.modules[module]


def info_of(plugins: Plugins, distribution: str) -> PluginInfo:
    (info,) = [each for each in plugins.listing() if each.distribution == distribution]
    return info


def refused(rules: Rules, environ: Mapping[str, str] | None = None) -> str:
    with pytest.raises(PluginError) as caught:
        Plugins(rules=rules, environ=environ).provider("acme")
    return caught.value.message


# ── names of ours ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("strategies", "round_robin"),
        ("retry", "exponential"),
        ("transports", "auto"),
        ("transports", "httpx"),
        ("prices", "shipped"),
    ],
)
async def test_who_claims_what_a_configuration_does_not_say_changes_nothing_for_it(
    install: Install, kind: str, name: str
) -> None:
    install("acme-two", HOSTILE, group=f"pointsman.{kind}", offers=name)
    install("acme-one")
    config = {"providers": {"a": {"type": "acme"}}, "models": {"m": {"deployments": ["a/x"]}}}

    async with Router.from_config(config) as router:
        answers = [await router.chat("m", "hi"), await router.chat("m", "hi", strategy="round_robin")]

    assert [each.text for each in answers] == ["from acme-one"] * 2


def test_of_two_who_offer_what_a_configuration_says_ours_is_advised(install: Install) -> None:
    install("acme-two", HOSTILE, group="pointsman.strategies", offers="round_robin")
    install("acme-one")
    config = {"providers": {"a": {"type": "acme"}}, "models": {"m": {"deployments": ["a/x"]}}}

    with pytest.raises(ConfigError, match=r"with plugins: \{round_robin: pointsman\}, or"):
        Router.from_config({**config, "strategy": "round_robin"})
    assert Router.from_config({**config, "strategy": "round_robin", "plugins": {"round_robin": "pointsman"}})


def test_what_is_passed_in_and_no_plugin_is_told_once() -> None:
    config = {"providers": {"a": {"type": "ollama"}}, "models": {"m": {"deployments": ["a/x"]}}}

    with pytest.raises(ConfigError) as caught:
        Router.from_config(config, plugins=[object()])

    assert str(caught.value).count("the plugin builtins:object that was passed in has no hook") == 1


# ── allow and deny ───────────────────────────────────────────────────────────────────────────────────


def test_what_is_denied_is_not_imported_and_the_error_says_by_what(install: Install) -> None:
    install("acme-one", HOSTILE)
    rules = Rules(deny=("Acme_One",))

    assert refused(rules) == (
        "provider 'acme' is offered by acme-one, which is denied by plugins.deny; take it out there"
    )
    info = info_of(Plugins(rules=rules), "acme-one")
    assert (info.state, info.error) == ("denied", "acme-one is denied by plugins.deny; take it out there")


def test_what_is_not_allowed_is_not_imported_and_the_error_says_what_to_write(install: Install) -> None:
    install("acme-one", HOSTILE)
    rules = Rules(allow=("other",))

    assert refused(rules) == (
        "provider 'acme' is offered by acme-one, which is not named by plugins.allow; "
        "write plugins: {allow: [acme-one, other]}"
    )
    assert info_of(Plugins(rules=rules), "acme-one").state == "not allowed"


def test_an_empty_list_lets_in_nothing_but_ours(install: Install) -> None:
    install("acme-one", HOSTILE)
    rules = Rules(allow=())

    assert "plugins.allow" in refused(rules)
    plugins = Plugins(rules=rules)
    assert plugins.provider("openai").name == "openai"
    assert plugins.strategy("round_robin").name == "round_robin"
    assert "acme" not in plugins.names("provider")


def test_what_is_denied_stays_out_whatever_is_allowed(install: Install) -> None:
    install("acme-one", HOSTILE)

    assert "plugins.deny" in refused(Rules(allow=("acme-one",), deny=("acme-one",)))


def test_what_the_variable_leaves_out_no_configuration_lets_in(install: Install) -> None:
    install("acme-one", HOSTILE)

    assert "POINTSMAN_PLUGINS" in refused(Rules(allow=("acme-one",)), {"POINTSMAN_PLUGINS": "none"})
    assert "plugins.deny" in refused(Rules(deny=("acme-one",)), {"POINTSMAN_PLUGINS": "acme-one"})


def test_who_is_denied_is_in_nobodys_way(install: Install) -> None:
    install("acme-one")
    install("acme-two", HOSTILE)

    assert Plugins(rules=Rules(deny=("acme-two",))).provider("acme").name == "acme"


# ── pins ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("pin", ["1.2.0", "1.2"])
def test_the_version_that_is_pinned_is_used(install: Install, pin: str) -> None:
    install("acme-one")

    assert Plugins(rules=Rules(pin={"Acme.One": pin})).provider("acme").name == "acme"


@pytest.mark.parametrize("pin", ["1.3.0", "1.2.0.post1", "1"])
def test_any_other_version_is_not_imported(install: Install, pin: str) -> None:
    install("acme-one", HOSTILE)
    rules = Rules(pin={"acme-one": pin})

    said = refused(rules)

    assert f"is pinned to {pin} by plugins.pin, and 1.2.0 is installed" in said
    assert said.endswith(f'pip install acme-one=={pin}, or plugins: {{pin: {{ acme-one: "1.2.0" }}}}')
    assert info_of(Plugins(rules=rules), "acme-one").state == "broken"


def test_the_build_that_is_pinned_is_used_and_another_one_is_not(install: Install) -> None:
    installed = install("acme-one")
    found = fingerprint(distribution("acme-one"))

    assert Plugins(rules=Rules(pin={"acme-one": f"sha256:{found}"})).provider("acme").name == "acme"
    said = refused(Rules(pin={"acme-one": "sha256:" + "0" * 64}))
    assert "another build" in said
    assert f'pin: {{ acme-one: "sha256:{found}" }}' in said
    assert installed.exists()


def test_a_file_that_was_changed_since_is_found_before_it_runs(install: Install) -> None:
    installed = install("acme-one")
    pin = Rules(pin={"acme-one": f"sha256:{fingerprint(distribution('acme-one'))}"})
    (installed.parent / "acme_one.py").write_text(HOSTILE)

    said = refused(pin)

    assert "its file acme_one.py is not as its RECORD says" in said
    assert said.endswith("Try: pip install --force-reinstall acme-one")


def test_what_installers_add_does_not_change_the_digest(install: Install) -> None:
    installed = install("acme-one")
    before = fingerprint(distribution("acme-one"))

    with (installed / "RECORD").open("a") as record:
        record.write("../../bin/acme,sha256=AAAA,10\nacme_one/__pycache__/x.cpython-311.pyc,,\n")
        for name in ("INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"):
            record.write(f"{installed.name}/{name},sha256=AAAA,3\n")

    assert fingerprint(distribution("acme-one")) == before


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda info: (info / "RECORD").unlink(), "it has no RECORD of its files"),
        (lambda info: (info / "RECORD").write_text(""), "its RECORD lists no files"),
        (
            lambda info: (info / "RECORD").write_text("acme_one.py,,\n"),
            "its RECORD has no hash of acme_one.py",
        ),
        (lambda info: (info / "RECORD").write_text("acme_one.py,md5=AA,\n"), "its RECORD has no hash of"),
        (lambda info: (info / "RECORD").write_text("a/../../x,sha256=AA,\n"), "names files outside of it"),
        (lambda info: (info / "RECORD").write_bytes(b"\xff,,"), "its RECORD cannot be read"),
        (lambda info: (info / "RECORD").write_text("x" * 200_000), "its RECORD cannot be read"),
        (lambda info: (info.parent / "acme_one.py").unlink(), "its file acme_one.py is not as"),
        (
            lambda info: (info / "direct_url.json").write_text(
                json.dumps({"url": "file:///src/a%20b", "dir_info": {"editable": True}})
            ),
            "it is an editable install",
        ),
    ],
)
def test_what_cannot_be_verified_has_no_digest(
    install: Install, spoil: Callable[[Path], Any], said: str
) -> None:
    installed = install("acme-one")
    spoil(installed)

    with pytest.raises(Unverified, match=said):
        fingerprint(distribution("acme-one"))
    assert said in refused(Rules(pin={"acme-one": "sha256:" + "0" * 64}))


def test_a_module_that_another_wheel_put_into_its_package_is_found_before_it_runs(install: Install) -> None:
    installed = install("acme-one", more={"acme_one/__init__.py": GOOD, "acme_one/part.py": ""})
    site = installed.parent
    pin = Rules(pin={"acme-one": f"sha256:{fingerprint(distribution('acme-one'))}"})
    (site / "acme_one" / "part").mkdir()
    (site / "acme_one" / "part" / "__init__.py").write_text(HOSTILE)  # goes before part.py

    assert "there is a file acme_one/part/__init__.py, which its RECORD does not list" in refused(pin)


def test_a_module_of_that_name_elsewhere_on_the_path_is_not_taken_for_the_one_that_is_pinned(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-one")
    pin = Rules(pin={"acme-one": f"sha256:{fingerprint(distribution('acme-one'))}"})
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "acme_one.py").write_text(HOSTILE)
    monkeypatch.syspath_prepend(tmp_path / "here")

    said = refused(pin)

    assert (
        f"acme_one is imported from {tmp_path / 'here' / 'acme_one.py'}, which is none of its files" in said
    )


def test_a_file_of_data_that_came_in_no_wheel_is_not_what_was_pinned(install: Install) -> None:
    points = "[pointsman.providers]\nacme = acme_one:provider.yaml\n"
    more = {"acme_one/__init__.py": "", "acme_one-1.2.0.dist-info/entry_points.txt": points}
    installed = install("acme-one", more=more)
    (installed.parent / "acme_one" / "provider.yaml").write_text("like: openai\n")

    with pytest.raises(Unverified, match="does not list the file of acme_one:provider.yaml"):
        fingerprint(distribution("acme-one"))


def test_where_a_distribution_is_and_whether_it_is_worked_on(install: Install) -> None:
    installed = install("acme-one")
    assert installation(distribution("acme-one")).path == str(installed.parent)
    assert not installation(distribution("acme-one")).editable

    (installed / "direct_url.json").write_text(
        json.dumps({"url": "file:///src/a%20b", "dir_info": {"editable": True}})
    )

    found = installation(distribution("acme-one"))
    assert (found.path, found.editable) == ("/src/a b", True)


# ── odd packages ─────────────────────────────────────────────────────────────────────────────────────

UNSPEAKABLE = """
class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("no words")
raise Unspeakable
"""
LEAVING = "import sys; sys.exit(0)"
LEAVING_LATER = """
import subprocess
import sys
from pointsman.plugin import PointsmanSpec, StrategyFactory, hookimpl

class Acme(PointsmanSpec):
    @hookimpl
    def pointsman_strategies(self):
        return [StrategyFactory("acme", None, lambda context: sys.exit(0))]

plugin = Acme()
"""


@pytest.mark.parametrize(
    ("code", "said"), [(LEAVING, "SystemExit: 0"), (UNSPEAKABLE, "Unspeakable")], ids=["leaves", "wordless"]
)
def test_an_import_ends_no_program_and_says_who_it_was(install: Install, code: str, said: str) -> None:
    install("acme-one", code)

    with pytest.raises(PluginError) as caught:
        Plugins().provider("acme")

    assert f"acme_one:plugin of the distribution acme-one cannot be imported: {said}" in caught.value.message


def test_a_factory_that_leaves_is_a_problem_of_the_configuration(install: Install) -> None:
    install("acme-one", LEAVING_LATER, group="pointsman.strategies")
    config = {
        "providers": {"a": {"type": "ollama", "base_url": "http://127.0.0.1:1"}},
        "models": {"m": {"deployments": ["a/x"], "strategy": "acme"}},
    }

    with pytest.raises(ConfigError, match="the factory of strategy 'acme' from .* failed: SystemExit"):
        Router.check(config)


def test_what_an_uninstall_left_behind_goes_by_the_name_of_its_folder(install: Install) -> None:
    folder = install("acme-one", HOSTILE)
    (folder / "METADATA").unlink()

    info = info_of(Plugins(), "acme_one")

    assert (info.kind, info.name, info.version) == ("provider", "acme", "unknown")


def test_so_it_is_where_another_package_has_brought_a_finder_of_its_own(install: Install) -> None:
    folder = install("acme-one", HOSTILE)
    (folder / "METADATA").unlink()
    program = """
import subprocess
import sys
sys.path.insert(0, sys.argv[1])
import importlib_metadata
from pointsman.plugins.registry import Plugins
print([each.version for each in Plugins().listing() if each.distribution == "acme_one"])
"""

    ran = subprocess.run(
        [sys.executable, "-c", program, str(folder.parent)], capture_output=True, text=True, check=False
    )

    assert (ran.stdout, ran.stderr) == ("['unknown']\n", "")


# ── groups ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_entry_point_in_a_group_that_is_none_is_named_with_the_one_that_was_meant(
    install: Install,
) -> None:
    install("acme-one", HOSTILE, group="pointsman.provider")
    plugins = Plugins()

    info = info_of(plugins, "acme-one")

    said = "there is no group pointsman.provider of entry points; did you mean 'pointsman.providers'?"
    assert (info.kind, info.name, info.state, info.error) == ("pointsman.provider", "acme", "broken", said)
    with pytest.raises(PluginError) as caught:
        plugins.provider("acme")
    assert f"acme-one names it in the group pointsman.provider: {said}" in caught.value.message


def test_the_groups_that_the_kit_looks_for_are_no_plugins(install: Install) -> None:
    install("acme-one", HOSTILE, group="pointsman.contracts")

    assert [each for each in Plugins().listing() if each.distribution == "acme-one"] == []


@pytest.mark.parametrize("group", ["pointsman_providers", "pointsman-providers", "pointsman"])
def test_a_group_that_only_looks_like_ours_is_named_too(install: Install, group: str) -> None:
    install("acme-one", HOSTILE, group=group)

    info = info_of(Plugins(), "acme-one")

    assert (info.kind, info.name, info.state) == (group, "acme", "broken")
    assert info.error is not None
    assert f"there is no group {group} of entry points" in info.error


# ── in a configuration ───────────────────────────────────────────────────────────────────────────────

USES = {"providers": {"a": {"type": "acme"}}, "models": {"m": {"deployments": ["a/x"]}}}


def problems(plugins: object, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        Router.check({**USES, **more, "plugins": plugins})
    return str(caught.value)


def test_a_configuration_denies_allows_and_pins(install: Install) -> None:
    install("acme-one", HOSTILE)

    assert "providers.a.type: provider 'acme' is offered by acme-one, which is denied" in problems(
        {"deny": ["acme-one"]}
    )
    assert "which is not named by plugins.allow" in problems({"allow": []})
    assert "is pinned to 2.0 by plugins.pin" in problems({"pin": {"acme-one": "2.0"}})


def test_a_section_of_a_denied_plugin_is_refused_with_the_reason(install: Install) -> None:
    install("acme-one", HOSTILE, group="pointsman.sections", offers="acmeish")
    given = {"providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:1"}}, "acmeish": {}}

    said = problems({"deny": ["acme-one"]}, **given)

    assert "acmeish: section 'acmeish' is offered by acme-one, which is denied by plugins.deny" in said


@pytest.mark.parametrize(
    ("plugins", "said"),
    [
        ({"alow": ["x"]}, "plugins.alow: unknown key 'alow'; did you mean 'allow'?"),
        ({"acme": 3}, "plugins.acme: expected the name of a distribution"),
        ({"allow": "x"}, "plugins.allow: expected a list, not text"),
        ({"deny": ["pointsman-ollama"]}, "plugins.deny[0]: is one of pointsman's own"),
        ({"pin": {"x": 1.2}}, "plugins.pin.x: expected text, not a number; write it in quotes"),
        ({"pin": {"x": ">=1"}}, "plugins.pin.x: expected one version, such as 1.2.0"),
        ({"pin": {"x": "0a" * 32}}, f"plugins.pin.x: is what stands after sha256:; write sha256:{'0a' * 32}"),
        ({"pin": {"x": "sha256:12"}}, "plugins.pin.x: expected sha256: and 64 digits"),
    ],
)
def test_what_the_section_cannot_hold_is_told_at_its_place(plugins: object, said: str) -> None:
    assert said in problems(plugins, providers={"a": {"type": "openai", "base_url": "http://127.0.0.1:1"}})


def test_the_section_shows_and_dumps_what_it_says() -> None:
    said = {"ollama": "pointsman-ollama", "deny": ["x"], "pin": {"y": "1.0"}}

    config = Config.from_mapping({**USES, "plugins": said})

    assert config.model_dump(exclude_unset=True)["plugins"] == said
    assert config.plugins.rules.chosen("ollama") == "pointsman-ollama"


def test_a_rule_about_what_is_not_installed_is_a_warning_where_another_was_probably_meant(
    install: Install,
) -> None:
    install("acme-nosy", HOSTILE, offers="nosy")
    given = {"providers": {"a": {"type": "openai", "base_url": "http://127.0.0.1:1"}}}

    config = Router.check(
        {**given, "plugins": {"deny": ["acme-nosey", "something-else"], "pin": {"acme_nosy": "1"}}}
    )
    misspelt = Router.check({**given, "plugins": {"deny": ["acme-nosey", "something-else"]}})

    assert config.warnings == ()
    (warning,) = misspelt.warnings
    assert str(warning) == (
        "plugins.deny[0]: no such distribution is installed, so this does nothing; did you mean 'acme-nosy'?"
    )


def test_two_routers_of_one_process_with_different_rules_do_not_see_each_other(install: Install) -> None:
    install("acme-one")
    install("acme-two")

    async def answer(plugins: object) -> str:
        async with Router.from_config({**USES, "plugins": plugins}) as router:
            return (await router.chat("m", "hello")).text

    async def both() -> list[str]:
        return list(await asyncio.gather(answer({"deny": ["acme-two"]}), answer({"allow": ["acme-two"]})))

    assert asyncio.run(both()) == ["from acme-one", "from acme-two"]
    assert "which is not named by plugins.allow" in problems({"allow": []})


def test_a_reload_that_denies_what_runs_is_refused(install: Install, tmp_path: Path) -> None:
    install("acme-one")
    file = tmp_path / "pointsman.json"
    file.write_text(json.dumps(USES))

    async def story() -> str:
        async with Router.from_config(file) as router:
            file.write_text(json.dumps({**USES, "plugins": {"deny": ["acme-one"]}}))
            with pytest.raises(ConfigError) as caught:
                await router.reload()
            assert (await router.chat("m", "hello")).text == "from acme-one"
            return str(caught.value)

    assert "which is denied by plugins.deny" in asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ({"deny": ["acme-one"]}, False),
        ({"allow": []}, False),
        ({"allow": 3}, False),
        ({"deny": ["${WHOM}"]}, False),
        ({"deny": ["other"]}, True),
        (["of another program"], True),
        ({"theirs": 1}, True),
    ],
)
def test_a_dialect_that_is_not_let_in_is_not_asked_about_a_foreign_document(
    install: Install, tmp_path: Path, said: object, asked: bool
) -> None:
    mark = tmp_path / "imported"
    install("acme-one", f"open({str(mark)!r}, 'w').close()", group="pointsman.dialects")

    with pytest.raises(ConfigError):
        Config.from_mapping({"upstreams": {}, "plugins": said})

    assert mark.exists() is asked
