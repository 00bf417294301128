from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from pointsman.plugins.kinds import KINDS
from pointsman.testing.contract import SectionContract
from pointsman_cli.app import cli as group
from pointsman_cli.errors import Failed
from pointsman_cli.scaffold.kinds import BEGINNINGS
from pointsman_cli.scaffold.naming import misnamed, names_of
from pointsman_cli.scaffold.taken import of_ours
from pointsman_cli.scaffold.writing import distribution_of, write

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "plugins" / "new.md").read_text("utf-8")


def everything(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


# ── what is said ─────────────────────────────────────────────────────────────────────────────────────


def test_it_prints_the_files_that_it_has_written(cli, workdir: Path) -> None:
    ran = cli("plugins", "new", "strategy", "acme")

    assert ran.code == 0, ran.err
    files = [Path(line) for line in ran.out.splitlines()]
    assert all(each.is_file() for each in files)
    folder = workdir / "pointsman-acme"
    assert {workdir / each for each in files} == {each for each in folder.rglob("*") if each.is_file()}
    assert everything(workdir)[0] == "pointsman-acme"


def test_json_has_everything_that_a_program_needs(cli, workdir: Path) -> None:
    ran = cli("plugins", "new", "strategy", "by-day", "--json")

    told = ran.json
    assert (told["kind"], told["name"], told["distribution"], told["package"]) == (
        "strategy",
        "by-day",
        "pointsman-by-day",
        "pointsman_by_day",
    )
    assert told["directory"] == str(workdir / "pointsman-by-day")
    assert all((workdir / "pointsman-by-day" / each).is_file() for each in told["files"])
    assert told["warnings"] == []
    assert not ran.err


def test_what_to_type_next_can_be_typed(cli, workdir: Path) -> None:
    (workdir / "a folder; echo").mkdir()
    next = cli("plugins", "new", "retry", "acme", "--directory", "a folder; echo/$HOME", "--json").json[
        "next"
    ]

    assert shlex.split(next[0]) == ["cd", "a folder; echo/$HOME"]
    assert [shlex.split(each)[0] for each in next[2:]] == ["pytest", "pointsman", "pointsman"]
    assert next[1].endswith('pip install --editable ".[test]"')


def test_help_says_in_a_line_what_each_kind_is(cli) -> None:
    ran = cli("plugins", "new", "--help")

    assert ran.code == 0
    for word, beginning in BEGINNINGS.items():
        assert re.search(rf"^ +{word} +{re.escape(beginning.help)}$", ran.out, re.MULTILINE)


def test_a_shell_completes_the_kind() -> None:
    shell = ShellComplete(group, {}, "pointsman", "_POINTSMAN_COMPLETE")

    assert {each.value for each in shell.get_completions(["plugins", "new"], "")} >= set(BEGINNINGS)
    found = [each.value for each in shell.get_completions(["plugins", "new"], "provider-o")]
    assert found == ["provider-openai"]


def test_a_kind_that_there_is_none_of_is_followed_by_those_that_there_are(cli, workdir: Path) -> None:
    ran = cli("plugins", "new", "providr", "acme")

    assert ran.code == 2
    assert "'provider'" in ran.err
    assert everything(workdir) == []


def test_every_kind_of_plugin_can_be_begun() -> None:
    assert {each.kind for each in BEGINNINGS.values()} == set(KINDS)
    for beginning in BEGINNINGS.values():
        assert {KINDS[kind].group for kind in (beginning.kind, *beginning.names)} == set(beginning.groups)


# ── its page ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_shows_what_is_printed(cli) -> None:
    ran = cli("plugins", "new", "strategy", "acme")

    shown = PAGE[PAGE.index("    $ pointsman plugins new") : PAGE.index("Then, in an environment")]
    assert [line.strip() for line in shown.splitlines()[1:] if line.strip()] == ran.out.splitlines()
    for line in re.findall(r"^    \$ (.*)$", PAGE, re.MULTILINE)[1:]:
        assert line.replace("python -m pip", "pip") in ran.err.replace("python -m pip", "pip").replace(
            "uv pip", "pip"
        )


def test_the_page_lists_every_kind_that_can_be_begun() -> None:
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))

    assert {word: help.replace("`", "") for word, help in rows.items() if word != "by-day"} == {
        word: each.help for word, each in BEGINNINGS.items()
    }


# ── where it is written ──────────────────────────────────────────────────────────────────────────────


def test_a_folder_that_holds_something_stays_as_it_is(cli, workdir: Path) -> None:
    folder = workdir / "pointsman-acme"
    folder.mkdir()
    (folder / "README.md").write_text("mine")

    ran = cli("plugins", "new", "audit", "acme")

    assert ran.code == 2
    assert f"{folder} is not empty (README.md)" in ran.err
    assert "--directory" in ran.err
    assert everything(folder) == ["README.md"]
    assert (folder / "README.md").read_text() == "mine"


@pytest.mark.parametrize("holding", [[], [".git"]])
def test_a_folder_that_is_as_good_as_empty_is_filled(cli, workdir: Path, holding: list[str]) -> None:
    folder = workdir / "mine"
    folder.mkdir()
    for name in holding:
        (folder / name).mkdir()

    ran = cli("plugins", "new", "audit", "acme", "--directory", "mine")

    assert ran.code == 0, ran.err
    assert (folder / "pyproject.toml").is_file()
    assert sorted(each.name for each in folder.iterdir() if each.name.startswith(".")) == sorted(
        [".github", ".gitignore", *holding]
    )


def test_the_folder_where_one_is_stays_the_same_folder(cli, workdir: Path) -> None:
    before = os.stat(".").st_ino

    ran = cli("plugins", "new", "audit", "acme", "--directory", ".")

    assert ran.code == 0, ran.err
    assert os.stat(workdir).st_ino == before
    assert Path("pyproject.toml").is_file()


def test_a_new_folder_has_the_rights_of_any_new_folder(cli, workdir: Path) -> None:
    (workdir / "another").mkdir()

    cli("plugins", "new", "audit", "acme")

    assert (workdir / "pointsman-acme").stat().st_mode == (workdir / "another").stat().st_mode


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda place: place.write_text("mine"), "is no folder"),
        (lambda place: place.symlink_to(place.parent / "file"), "is no folder"),
    ],
)
def test_what_is_no_folder_is_left_alone(
    cli, workdir: Path, make: Callable[[Path], object], said: str
) -> None:
    (workdir / "file").write_text("mine")
    make(workdir / "pointsman-acme")

    ran = cli("plugins", "new", "audit", "acme")

    assert ran.code == 2
    assert said in ran.err
    assert (workdir / "pointsman-acme").read_text() == "mine"
    assert everything(workdir) == ["file", "pointsman-acme"]


def test_a_folder_that_is_to_be_in_none_is_an_error_that_says_so(cli, workdir: Path) -> None:
    ran = cli("plugins", "new", "audit", "acme", "--directory", "not/there")

    assert ran.code == 2
    assert f"there is no folder {workdir / 'not'}" in ran.err
    assert everything(workdir) == []


@pytest.mark.parametrize("is_there", [False, True])
def test_what_fails_halfway_leaves_nothing(tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "target").mkdir()
    before = everything(tmp_path)

    with pytest.raises(Failed, match="target cannot be written: .*; name another folder"):
        write(tmp_path / "target", {"first": "a file", "first/second": "cannot be in a file"})

    assert everything(tmp_path) == before


# ── what it is called ────────────────────────────────────────────────────────────────────────────────

HOSTILE = [
    *("../up", "/etc/passwd", "a/b", "..", ".", "a b", "a;b", "$(touch x)", "`x`", "a\nb", 'a"b', "a'b"),
    *("{name}", "%s", "__NAME__", "__import__", "a\x1b[31m", "näme", "a" * 41, "9lives", "-x-", "_x"),
    *("a--b", "a-", "a.b", "Acme", "ACME", "null", "on", "pointsman-acme", "pointsman_acme", "", "a\\b", "\u202e"),
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_would_be_none_somewhere_is_refused(cli, workdir: Path, name: str) -> None:
    ran = cli("plugins", "new", "strategy", "--", name)

    assert ran.code == 2
    assert "NAME" in ran.err
    assert "\x1b" not in ran.err
    assert everything(workdir) == []


@pytest.mark.parametrize(
    ("name", "better"),
    [("Acme", "acme"), ("my.plug in", "my-plug-in"), ("9lives", "lives"), ("pointsman-acme", "acme")],
)
def test_a_name_that_is_refused_comes_with_one_that_will_do(name: str, better: str) -> None:
    assert f"did you mean {better!r}?" in (misnamed(name) or "")
    assert misnamed(better) is None


def test_no_package_of_this_project_is_ever_replaced(cli, workdir: Path) -> None:
    ours = {each.parent.name for each in ROOT.glob("contrib/*/pyproject.toml")}
    ours |= {each.parent.name for each in ROOT.glob("plugins/*/pyproject.toml")}

    assert {f"pointsman-{name}" for name in ours} <= of_ours()
    ran = cli("plugins", "new", "provider", "openai")
    assert ran.code == 2
    assert "pointsman-openai is a package of pointsman itself" in ran.err
    assert everything(workdir) == []


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("section", "models", "every configuration has a key 'models'"),
        ("service", "aliases", "every configuration has a key 'aliases'"),
        ("command", "ask", "there is a command `pointsman ask`"),
    ],
)
def test_what_would_never_be_used_is_not_begun(cli, workdir: Path, kind: str, name: str, said: str) -> None:
    ran = cli("plugins", "new", kind, name)

    assert ran.code == 2
    assert said in ran.err
    assert everything(workdir) == []


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("strategy", "weighted", "warning: pointsman offers a strategy 'weighted', too"),
        ("strategy", "cheapest", "warning: pointsman-strategies offers a strategy 'cheapest', too"),
        ("provider", "olama", "warning: pointsman-ollama offers a provider 'ollama': did you mean that one?"),
        ("provider", "vllm", "write {type: openai, preset: vllm}"),
    ],
)
def test_a_name_that_somebody_has_is_told_and_taken(cli, kind: str, name: str, said: str) -> None:
    ran = cli("plugins", "new", kind, name)

    assert ran.code == 0
    assert said in ran.err
    written = Path(f"pointsman-{name}", "pointsman.yaml").read_text("utf-8")
    assert (f"plugins: {{{name}: pointsman-{name}}}" in written) == ("too: where both" in ran.err)


def test_a_name_that_nobody_has_is_taken_without_a_word(cli) -> None:
    assert cli("plugins", "new", "provider", "courier", "--json").json["warnings"] == []


@pytest.mark.parametrize("word", sorted(BEGINNINGS))
@pytest.mark.parametrize("name", ["http", "budget", "open-a-i", "async-base"])
def test_no_class_is_called_as_one_that_it_imports(word: str, name: str) -> None:
    names, texts = distribution_of(word, name, "0.1.0")
    for text in (text for path, text in texts.items() if path.endswith(".py")):
        imported = set(re.findall(r"^    (\w+),$|import (\w+)", text, re.MULTILINE))
        defined = set(re.findall(r"^class (\w+)", text, re.MULTILINE))
        assert not defined & {each for pair in imported for each in pair if each}, names


def test_a_plugin_goes_with_this_version_and_the_next_minor_one() -> None:
    for version, said in (("0.1.0", ">=0.1,<0.3"), ("1.12.3.dev4", ">=1.12,<1.14")):
        _, texts = distribution_of("audit", "acme", version)
        assert f'"pointsman{said}"' in texts["pyproject.toml"]


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    assert names_of("class", ["__CLASS__Plugin"]).classes == "Class"
    _, texts = distribution_of("audit", "name", "0.1.0")
    assert 'AuditFactory("name", NameSettings, NameSink)' in texts["src/pointsman_name/__init__.py"]


def test_a_target_that_is_full_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("")
    with pytest.raises(Failed, match="is not empty"):
        write(tmp_path, {"a": "b"})
    assert everything(tmp_path) == ["one"]


@pytest.mark.parametrize("word", ["section", "service"])
def test_a_section_that_is_begun_keeps_the_rules_of_sections_whatever_it_is_called(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, texts = distribution_of(word, f"our-odd-{word}", "0.1.0")
    write(tmp_path / "begun", texts)
    monkeypatch.syspath_prepend(tmp_path / "begun" / "src")
    (offered,) = import_module(names.package).plugin.pointsman_sections()

    class Begun(SectionContract):
        factory = offered
        values = ({},)

    contract = Begun()
    contract.test_its_name_is_a_key_that_is_free()
    contract.test_settings_that_it_does_not_know_are_refused()
    contract.test_what_is_refused_is_not_shown()
