"""Plugins: found without being imported, used by name, and broken ones kept to themselves.

The distributions here are real: a module and a `*.dist-info` in a directory on the path.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from textwrap import dedent

import pluggy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from pydantic import BaseModel

from pointsman.auth import AuthFactory, Fixed
from pointsman.builtin.plugin import plugin
from pointsman.builtin.strategies import RoundRobin
from pointsman.errors import PluginError
from pointsman.plugin import PointsmanSpec, hookimpl
from pointsman.plugins.control import Rules
from pointsman.plugins.kinds import KINDS
from pointsman.plugins.registry import PluginInfo, Plugins
from pointsman.plugins.versions import unmet
from pointsman.provider import Provider, ProviderFactory
from pointsman.strategy import StrategyFactory

Install = Callable[..., None]

GOOD = """
from pointsman.plugin import PointsmanSpec, Provider, ProviderFactory, hookimpl
from pydantic import BaseModel

class Plugin(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self):
        return [ProviderFactory("acme", BaseModel, Provider), ProviderFactory("acme2", BaseModel, Provider)]

plugin = Plugin()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("name", code, "group: name", …)` puts a distribution with one module on the path."""
    modules = set(sys.modules)

    def install(
        name: str,
        code: str,
        *claims: str,
        version: str = "1.0",
        where: str = "site",
        target: str = "plugin",
        requires: Sequence[str] = (),
    ) -> None:
        site = tmp_path / where
        site.mkdir(exist_ok=True)
        module = name.replace("-", "_").lower()
        (site / f"{module}.py").write_text(dedent(code))
        info = site / f"{module}-{version}.dist-info"
        info.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        head += [f"Requires-Dist: {each}" for each in requires]
        (info / "METADATA").write_text("\n".join([*head, "", "What it is for."]))
        groups: dict[str, list[str]] = {}
        for claim in claims:
            group, _, claimed = claim.partition(": ")
            groups.setdefault(group, []).append(f"{claimed} = {module}:{target}")
        lines = [line for group, names in groups.items() for line in (f"[pointsman.{group}]", *names)]
        (info / "entry_points.txt").write_text("\n".join(lines))
        if str(site) not in sys.path:
            monkeypatch.syspath_prepend(site)

    yield install
    for module in set(sys.modules) - modules:
        if module.startswith(("acme", "other", "pointsman_acme")):
            del sys.modules[module]


def find(plugins: Plugins, name: str, kind: str = "provider") -> PluginInfo:
    (info,) = [each for each in plugins.listing() if (each.kind, each.name) == (kind, name)]
    return info


# ── what is there ────────────────────────────────────────────────────────────────────────────────────


def test_an_installed_plugin_is_listed_without_being_imported(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")

    info = find(Plugins(), "acme")

    assert info == PluginInfo(
        "provider", "acme", "pointsman-acme", "1.0", "pointsman_acme:plugin", "not loaded"
    )
    assert "pointsman_acme" not in sys.modules


def test_a_plugin_is_imported_when_its_name_is_used_and_only_then(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme", "providers: acme2")
    install("acme-unused", "raise SystemExit('imported')", "providers: unused", "strategies: unused")
    plugins = Plugins()

    factory = plugins.provider("acme")

    assert (factory.name, factory.make) == ("acme", Provider)
    assert plugins.provider("acme") is factory
    assert plugins.provider("acme2").name == "acme2"
    info = find(plugins, "acme")
    assert (info.state, info.hooks) == ("loaded", ("pointsman_providers",))
    assert find(plugins, "unused").state == "not loaded"
    assert "acme_unused" not in sys.modules


def test_what_is_built_in_is_offered_through_the_same_hooks() -> None:
    plugins = Plugins()

    offered = {kind: plugins.names(kind) for kind in ("auth", "retry", "strategy", "audit", "transport")}

    assert {"env", "file", "none", "static"} <= set(offered["auth"])
    assert plugins.auth("env").name == "env"
    assert plugins.retry("exponential").name == "exponential"
    assert plugins.strategy("round_robin").name == "round_robin"
    assert plugins.audit("jsonl").name == "jsonl"
    assert plugins.transport("httpx").name == "httpx"
    assert all(
        find(plugins, name, kind).state == "built in"
        for kind in offered
        for name in ("none",)
        if kind == "auth"
    )


def test_each_kind_has_a_hook_in_the_spec_and_each_hook_a_kind() -> None:
    hooks = {name for name in vars(PointsmanSpec) if name.startswith("pointsman_")}

    assert {kind.hook for kind in KINDS.values()} == hooks


def test_two_objects_know_nothing_of_each_other(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    one, other = Plugins([Acme()]), Plugins()

    one.provider("acme")

    assert one.manager is not other.manager
    assert find(other, "acme").state == "not loaded"


def test_hooks_are_found_as_pluggy_finds_them() -> None:
    """Ours looks at less of an object."""
    plain, ours = pluggy.PluginManager("pointsman"), Plugins().manager
    plain.add_hookspecs(PointsmanSpec)
    plain.register(plugin)

    hooks = ours.get_hookcallers(plugin)
    assert {each.name for each in hooks or ()} == {
        each.name for each in plain.get_hookcallers(plugin) or () if each.get_hookimpls()
    }
    assert set(vars(ours.hook)) == set(vars(plain.hook))


def test_metadata_is_read_once(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []

    def counted() -> Iterable[metadata.Distribution]:
        reads.append(1)
        return metadata.distributions()

    monkeypatch.setattr("pointsman.plugins.discovery.distributions", counted)
    plugins = Plugins()

    plugins.auth("env")
    plugins.listing()
    plugins.names("provider")

    assert len(reads) == 1


def test_the_same_distribution_twice_on_the_path_is_no_conflict(install: Install) -> None:
    install("pointsman-acme", "raise ImportError('stale')", "providers: acme", where="behind", version="0.9")
    install("Pointsman_Acme", GOOD, "providers: acme", where="front")

    plugins = Plugins()

    assert plugins.provider("acme").name == "acme"
    assert find(plugins, "acme").version == "1.0"


# ── objects that are passed in ───────────────────────────────────────────────────────────────────────


class Acme(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("acme", BaseModel, Provider, default_base_url="http://passed.in")]

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        return [AuthFactory("env", BaseModel, lambda _context: Fixed(None))]


def test_a_passed_in_object_wins_over_the_installed_and_the_built_in(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    plugins = Plugins([Acme()])

    assert plugins.provider("acme").default_base_url == "http://passed.in"
    assert plugins.auth("env").settings is BaseModel
    assert "pointsman_acme" not in sys.modules
    passed = [each for each in plugins.listing() if each.distribution is None]
    assert [(each.kind, each.name, each.state) for each in passed] == [
        ("provider", "acme", "loaded"),
        ("auth", "env", "loaded"),
    ]


def test_two_passed_in_objects_with_one_name_are_an_error() -> None:
    with pytest.raises(
        PluginError, match=r"provider 'acme' is offered by two passed-in plugins: .*Acme and .*Acme"
    ):
        Plugins([Acme(), Acme()]).provider("acme")


class Unmarked(PointsmanSpec):
    def pointsman_providers(self) -> list[ProviderFactory]:
        return []


class Misspelt:
    @hookimpl
    def pointsman_provider(self) -> list[ProviderFactory]:
        return []


class WrongArguments:
    @hookimpl
    def pointsman_providers(self, config: object) -> list[ProviderFactory]:
        return []


class Fails(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        raise RuntimeError("no luck\nand more")


class WrongKind(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [StrategyFactory("acme", None, lambda _context: RoundRobin())]  # type: ignore[list-item]


class NoList(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return ProviderFactory("acme", BaseModel, Provider)  # type: ignore[return-value]


class Awaited:
    @hookimpl
    async def pointsman_providers(self) -> list[ProviderFactory]:
        return []


class Twice(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("acme", BaseModel, Provider)] * 2


class Unhashable(Acme):
    __hash__ = None  # type: ignore[assignment]


class Misshapen(PointsmanSpec):
    @hookimpl
    def pointsman_providers(self) -> list[ProviderFactory]:
        return [ProviderFactory("acme", BaseModel, Provider, default_base_url=7007)]  # type: ignore[arg-type]


BROKEN = [
    (Misshapen(), "returns a ProviderFactory whose `default_base_url` is a int from pointsman_providers"),
    (Unmarked(), "has a method pointsman_providers that is not marked with @hookimpl"),
    (Misspelt(), "implements pointsman_provider, which is no hook; did you mean 'pointsman_providers'?"),
    (WrongArguments(), "is not a plugin: hooks are given nothing: write def pointsman_providers(self)"),
    (Fails(), "fails in its hook pointsman_providers: RuntimeError: no luck"),
    (WrongKind(), "returns a StrategyFactory from pointsman_providers, expected a list of ProviderFactory"),
    (NoList(), "returns a ProviderFactory from pointsman_providers, expected a list: write return [Prov"),
    (Awaited(), "has an async hook pointsman_providers, and nobody awaits hooks: write def"),
    (Twice(), "returns two of the name 'acme' from pointsman_providers"),
    (Unhashable(), "is not a plugin: TypeError: unhashable type: 'Unhashable'"),
    (Acme, "is a class, expected an object: write plugin = Acme()"),
    (object(), "has no hook: no method is marked with @hookimpl"),
]


@pytest.mark.parametrize(("plugin", "fault"), BROKEN, ids=lambda each: getattr(type(each), "__name__", ""))
def test_a_broken_object_is_an_error_when_used_and_stops_nobody_before(plugin: object, fault: str) -> None:
    plugins = Plugins([plugin])

    (info,) = [each for each in plugins.listing() if each.distribution is None]
    assert info.state == "broken"
    assert info.error is not None
    assert info.error.startswith(fault)
    assert "env" in plugins.names("auth")
    with pytest.raises(PluginError, match=re.escape(f"that was passed in {fault}")):
        plugins.provider("acme")


def test_a_name_that_is_claimed_in_the_group_of_another_kind_is_said_where_it_is_missing(
    install: Install,
) -> None:
    install("pointsman-acme", GOOD, "providers: acme")

    with pytest.raises(PluginError) as caught:
        Plugins().strategy("acme")

    assert str(caught.value).endswith(
        ". pointsman-acme offers provider 'acme'; a strategy is an entry point in the group "
        "pointsman.strategies, and not in pointsman.providers"
    )


# ── conflicts ────────────────────────────────────────────────────────────────────────────────────────


def test_two_distributions_with_one_name_are_an_error_that_names_both(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    install("other-acme", GOOD, "providers: acme")
    plugins = Plugins()

    with pytest.raises(PluginError) as caught:
        plugins.provider("acme")

    message = str(caught.value)
    assert "other-acme" in message
    assert "pointsman-acme" in message
    assert "settle it in the configuration with plugins: {acme: " in message
    infos = [each for each in plugins.listing() if each.name == "acme"]
    assert [(each.distribution, each.state) for each in infos] == [
        ("other-acme", "conflict"),
        ("pointsman-acme", "conflict"),
    ]
    assert not {"other_acme", "pointsman_acme"} & set(sys.modules)


def test_a_choice_settles_a_conflict_however_it_is_spelt(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    install("other-acme", "raise ImportError", "providers: acme")
    plugins = Plugins(rules=Rules(choose={"acme": "Pointsman_Acme"}))

    assert plugins.provider("acme").name == "acme"
    infos = [each for each in plugins.listing() if each.name == "acme"]
    assert [(each.distribution, each.state) for each in infos] == [
        ("other-acme", "not chosen"),
        ("pointsman-acme", "loaded"),
    ]


def test_a_choice_that_is_not_installed_is_an_error(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")

    with pytest.raises(PluginError) as caught:
        Plugins(rules=Rules(choose={"acme": "trusted-acme"})).provider("acme")

    assert str(caught.value) == (
        "provider 'acme' is to come from 'trusted-acme', which does not offer it; pointsman-acme does"
    )


def test_a_question_in_the_reason_is_not_followed_by_a_full_stop(install: Install) -> None:
    misspelt = GOOD.replace("pointsman_providers", "pointsman_provider")
    install("pointsman-acme", misspelt, "providers: acme")

    with pytest.raises(PluginError, match=r"did you mean 'pointsman_providers'\? Try: pip install"):
        Plugins().provider("acme")


def test_claiming_a_built_in_name_is_a_conflict_with_the_core(install: Install) -> None:
    install("other-weighted", "raise ImportError", "strategies: weighted")

    with pytest.raises(
        PluginError, match="strategy 'weighted' is offered by other-weighted and by pointsman;"
    ):
        Plugins().strategy("weighted")
    assert Plugins(rules=Rules(choose={"weighted": "pointsman"})).strategy("weighted").name == "weighted"
    assert Plugins().strategy("round_robin").name == "round_robin"


# ── installed and broken ─────────────────────────────────────────────────────────────────────────────

HEAD = "from pointsman.plugin import PointsmanSpec, hookimpl\n"


@pytest.mark.parametrize(
    ("code", "fault", "help"),
    [
        (
            "import absent_module",
            "cannot be imported: ModuleNotFoundError: No module named 'absent_module'",
            "--force-reinstall",
        ),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero", "--force-reinstall"),
        ("raise SystemExit('no licence')", "cannot be imported: SystemExit: no licence", "--force-reinstall"),
        (
            "x = 1",
            "cannot be imported: AttributeError: module 'acme' has no attribute 'plugin'",
            "--force-reinstall",
        ),
        ("plugin = object()", "has no hook: no method is marked with @hookimpl", "--upgrade"),
        (
            HEAD
            + "class P(PointsmanSpec):\n  @hookimpl\n  def pointsman_auth(self): return []\nplugin = P()",
            "has no hook pointsman_providers",
            "--upgrade",
        ),
        (
            HEAD
            + "class P(PointsmanSpec):\n  @hookimpl\n  def pointsman_providers(self): 1 / 0\nplugin = P()",
            "fails in its hook pointsman_providers: ZeroDivisionError: division by zero",
            "--upgrade",
        ),
        (
            GOOD.replace('"acme"', '"other"'),
            "does not offer the name of its entry point: pointsman_providers returns acme2, other",
            "--upgrade",
        ),
    ],
)
def test_a_broken_plugin_is_an_error_with_its_cause_and_a_remedy_only_when_used(
    install: Install, code: str, fault: str, help: str
) -> None:
    install("acme", code, "providers: acme")
    plugins = Plugins()
    assert plugins.auth("env").name == "env"
    assert find(plugins, "acme").state == "not loaded"

    with pytest.raises(PluginError) as caught:
        plugins.provider("acme")

    assert str(caught.value) == (
        "provider 'acme' cannot be used: acme:plugin of the distribution acme "
        f"{fault}. Try: pip install {help} acme"
    )
    named = re.search(r": (\w+Error|SystemExit): ", fault)
    assert type(caught.value.__cause__).__name__ == (named[1] if named else "NoneType")
    info = find(plugins, "acme")
    assert (info.state, info.error) == ("broken", fault)
    assert plugins.auth("env").name == "env"


def test_an_unknown_name_is_answered_with_what_is_installed_and_what_was_meant() -> None:
    with pytest.raises(PluginError) as caught:
        Plugins().retry("exponental")
    assert str(caught.value) == (
        "no plugin offers retry 'exponental'; installed: exponential, none. Did you mean 'exponential'?"
    )

    with pytest.raises(
        PluginError, match=r"no plugin offers dialect 'a b'; installed: ai_services, litellm, load_balancer$"
    ):
        Plugins().get("dialect", "a b")


@pytest.mark.parametrize(
    ("directory", "file", "text"),
    [
        ("acme-1.0.dist-info", "METADATA", "Name: Acme\nVersion: 1.0\n\nName: other\nVersion: 2.0\n"),
        ("acme-1.0.dist-info", "METADATA", "Name:Acme\nSummary: x\n Version: 2.0\nversion:  1.0\n\nText\n"),
        ("acme.egg-info", "PKG-INFO", "Metadata-Version: 1.1\nName: Acme\nVersion: 1.0\n"),
    ],
)
def test_a_distribution_is_known_by_its_name_however_its_metadata_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, directory: str, file: str, text: str
) -> None:
    (tmp_path / directory).mkdir()
    (tmp_path / directory / file).write_text(text)
    (tmp_path / directory / "entry_points.txt").write_text("[pointsman.providers]\nacme = acme:plugin\n")
    monkeypatch.syspath_prepend(tmp_path)

    found = find(Plugins(), "acme")

    assert (found.distribution, found.version) == ("Acme", "1.0")


def test_a_distribution_whose_metadata_cannot_be_read_is_listed_and_stops_nobody(
    install: Install, tmp_path: Path
) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    info = tmp_path / "site" / "garbled-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_bytes(b"[pointsman.providers]\nx = \xff")
    plugins = Plugins()

    assert plugins.provider("acme").name == "acme"
    (broken,) = [each for each in plugins.listing() if each.state == "broken"]
    assert broken.distribution == "garbled-1.0.dist-info"
    assert broken.error is not None
    assert broken.error.startswith("its metadata cannot be read: UnicodeDecodeError")


# ── what goes with this version, and what is left out ────────────────────────────────────────────────

FITS = [
    [],
    ["pointsman"],
    ["pointsman==0.1.0"],
    ["pointsman>=0.1,<0.2"],
    ["pointsman (>=0.1)"],
    ["pointsman~=0.1.0"],
    ["pointsman>=1,<2; python_version >= '3'"],  # left to the installer
    ["pointsman-h1==99", "Pointsman>=0.1"],
    ["pointsman>=99; extra == 'later'"],
    ["pointsman[testing]>=0.1"],
]
UNFIT = {
    "pointsman>=0.2": "requires pointsman>=0.2, and this is 0.1.0",
    "Pointsman <0.1": "requires pointsman<0.1, and this is 0.1.0",
    "pointsman[testing] (>=1, <2)": "requires pointsman>=1,<2, and this is 0.1.0",
    "pointsman=>1": "cannot be judged: '=>1' is no range of versions",
}


@pytest.mark.parametrize("requires", FITS, ids=str)
def test_a_plugin_that_goes_with_this_version_is_used(install: Install, requires: list[str]) -> None:
    install("pointsman-acme", GOOD, "providers: acme", requires=requires)

    assert Plugins().provider("acme").name == "acme"


@pytest.mark.parametrize("requires", UNFIT)
def test_a_plugin_for_another_version_is_not_imported_and_says_which(install: Install, requires: str) -> None:
    install("pointsman-acme", "raise AssertionError", "providers: acme", requires=["pydantic>=2", requires])
    plugins = Plugins()

    before = find(plugins, "acme")
    with pytest.raises(PluginError) as caught:
        plugins.provider("acme")

    assert UNFIT[requires] in caught.value.message
    assert f"of the distribution pointsman-acme {UNFIT[requires]}" in caught.value.message
    assert "pip install --upgrade pointsman-acme" in caught.value.message
    for info in (before, find(plugins, "acme")):
        assert (info.state, info.error) == ("broken", UNFIT[requires])
    assert "pointsman_acme" not in sys.modules


versions = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
clauses = st.one_of(
    st.tuples(st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), versions).map("".join),
    st.tuples(st.sampled_from(["==", "!="]), versions, st.just(".*")).map("".join),
    st.tuples(st.just("~="), versions.filter(lambda each: "." in each)).map("".join),
)


@given(st.lists(clauses, min_size=1, max_size=3), versions)
def test_a_range_of_releases_is_read_as_installers_read_it(parts: list[str], version: str) -> None:
    wanted = ",".join(parts)

    assert (unmet(f"pointsman {wanted}", version) is None) == SpecifierSet(wanted).contains(version)


@pytest.mark.parametrize("said", ["none", "None", "other-acme", "pointsman-acme2,other"])
def test_a_plugin_that_the_environment_leaves_out_is_neither_imported_nor_used(
    install: Install, said: str
) -> None:
    install("pointsman-acme", "raise AssertionError", "providers: acme")
    plugins = Plugins(environ={"POINTSMAN_PLUGINS": said})

    with pytest.raises(PluginError) as caught:
        plugins.provider("acme")

    assert "offered by pointsman-acme, which POINTSMAN_PLUGINS in the environment leaves out" in str(
        caught.value
    )
    info = find(plugins, "acme")
    assert (info.state, info.error) == ("left out", "POINTSMAN_PLUGINS does not name pointsman-acme")
    assert "acme" not in plugins.names("provider")


@pytest.mark.parametrize("said", ["", "pointsman-acme", "other, Pointsman_Acme "])
def test_a_plugin_that_the_environment_names_is_used(install: Install, said: str) -> None:
    install("pointsman-acme", GOOD, "providers: acme")

    assert Plugins(environ={"POINTSMAN_PLUGINS": said}).provider("acme").name == "acme"


def test_the_environment_leaves_out_nothing_of_ours() -> None:
    plugins = Plugins(environ={"POINTSMAN_PLUGINS": "none"})

    assert plugins.provider("openai").name == "openai"
    assert plugins.strategy("round_robin").name == "round_robin"
    assert plugins.transport("h1").name == "h1"


def test_who_is_left_out_is_in_nobodys_way(install: Install) -> None:
    install("pointsman-acme", GOOD, "providers: acme")
    install("other-acme", "raise AssertionError", "providers: acme")

    assert Plugins(environ={"POINTSMAN_PLUGINS": "pointsman-acme"}).provider("acme").name == "acme"


def test_a_passed_in_object_is_no_matter_of_the_environment() -> None:
    plugins = Plugins([Acme()], environ={"POINTSMAN_PLUGINS": "none"})

    assert plugins.provider("acme").name == "acme"


def test_the_environment_of_the_process_counts(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("pointsman-acme", "raise AssertionError", "providers: acme")
    monkeypatch.setenv("POINTSMAN_PLUGINS", "none")

    with pytest.raises(PluginError, match="POINTSMAN_PLUGINS"):
        Plugins().provider("acme")
