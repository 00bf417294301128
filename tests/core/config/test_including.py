"""Several files as one configuration: included, in a folder, named together; each problem at its own place."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Mapping
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pointsman import ConfigError, Router
from pointsman.config import Config
from pointsman.config.difference import differences
from pointsman.config.including import DEEPEST_INCLUDE

ROOT = Path(__file__).parents[3]
MAIN = """\
include: [providers.yaml, "configs/*.yaml"]
default_model: assistant
retry: {type: exponential, attempts: 2}
"""
PROVIDERS = """\
providers:
  a: {type: ollama}
"""
ASSISTANT = """\
models:
  assistant: {deployments: [a/x]}
"""


def written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder / next(iter(files))


def wrong(source: Path, folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as found:
        Config.load(source)
    return [str(each).replace(f"{folder}/", "") for each in found.value.problems]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_has_what_it_includes_from_files_of_any_format(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        {
            "pointsman.yaml": MAIN.replace("configs/*.yaml", "configs/*")
            .replace("{type: exponential, attempts: 2}", "none")
            .replace("attempts", "type: none} # "),
            "providers.yaml": PROVIDERS,
            "configs/10-models.toml": '[models.assistant]\ndeployments = ["a/x"]\n',
            "configs/pointsman.schema.json": '{"title": "of no interest"}',
            "configs/20-more.json": '{"models": {"other": {"deployments": ["b/y"]}}, "providers": {"b": {"type": "ollama"}}}',
        },
    )

    config = Config.load(main)

    assert list(config.providers) == ["a", "b"]
    assert list(config.models) == ["assistant", "other"]
    assert config.retry.type == "none"
    assert config.include == []
    assert [each.replace(f"{tmp_path}/", "") for each in config.files] == [
        "pointsman.yaml",
        "providers.yaml",
        "configs/10-models.toml",
        "configs/20-more.json",
    ]
    assert config.folders == (f"{tmp_path}/configs",)
    assert (config.file, config.loaded_from, config.directory) == (str(main), main, tmp_path)


def test_mappings_of_several_files_are_merged_at_any_depth_and_the_same_twice_is_no_problem(
    tmp_path: Path,
) -> None:
    main = written(
        tmp_path,
        {
            "a.yaml": "include: b.yaml\nproviders: {a: {type: ollama, labels: {x: '1'}}}\nstrategy: weighted\n",
            "b.yaml": "providers: {a: {type: ollama, labels: {y: '2'}}}\nstrategy: weighted\nmodels: {}\n",
        },
    )

    config = Config.load(main)

    assert config.providers["a"].labels == {"x": "1", "y": "2"}
    assert config.strategy.type == "weighted"


def test_what_two_files_say_otherwise_is_told_with_both_places(here: Path) -> None:
    main = written(
        here,
        {
            "a.yaml": "include: [b.yaml]\nproviders: {a: {type: ollama}}\nretry: {attempts: 2}\n",
            "b.yaml": "# more\nproviders:\n  a: {type: openai, models: [x]}\nretry:\n  attempts: 3\n",
            "c.yaml": "audit: [logging]\nproviders: {a: {models: [y], headers: 1}}\n",
        },
    )

    assert wrong(main.relative_to(here), here) == [
        "b.yaml:3:7: providers.a.type: is said otherwise in a.yaml:2; keep one of the two",
        "b.yaml:5:3: retry.attempts: is said otherwise in a.yaml:3; keep one of the two",
    ]
    with pytest.raises(ConfigError) as found:
        Config.load(["b.yaml", "c.yaml"])
    assert [str(each) for each in found.value.problems] == [
        "c.yaml:2:17: providers.a.models: is said otherwise in b.yaml:3; a list, which is not merged; keep one of the two"
    ]


def test_a_problem_stands_in_the_file_it_is_in_and_those_of_one_file_stand_together(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        {
            "pointsman.yaml": MAIN + "\n\nstratgy: weighted\n",
            "providers.yaml": "providers:\n  a: {type: ollama, bas_url: x, timeouts: {idel: 3s}}\n",
            "configs/models.yaml": "models:\n  assistant:\n    deployments:\n      - nobody/x\n",
        },
    )

    found = wrong(main, tmp_path)

    places = [each.partition(": ")[0] for each in found]
    assert places == ["pointsman.yaml:6:1", "providers.yaml:2:44", "configs/models.yaml:4:9"]
    assert "did you mean 'strategy'?" in found[0]


def test_a_key_that_is_missing_is_missing_where_the_rest_of_its_mapping_is(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        {"a.yaml": "include: [b.yaml]\n", "b.yaml": "providers:\n  x: {}\n", "c.yaml": "retry: {}\n"},
    )

    assert wrong(main, tmp_path) == ["b.yaml:2:3: providers.x.type: is missing; such as `type: ollama`"]


@pytest.mark.parametrize("seed", range(20))
def test_however_a_configuration_is_divided_into_files_it_means_the_same(seed: int, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    text = page.partition("```yaml\n")[2].partition("```")[0]
    rng = random.Random(seed)
    parts: list[dict[str, Any]] = [{} for _ in range(3)]
    for path, value in leaves(YAML(typ="safe").load(text)):
        inside = rng.choice(parts)
        for step in path[:-1]:
            inside = inside.setdefault(step, {})
        inside[path[-1]] = value
    for n, part in enumerate(parts):
        (tmp_path / f"{n}.json").write_text(json.dumps(part))
    environ = {"OPENAI_API_KEY": "abcdefgh"}

    whole, divided = Config.from_text(text, environ=environ), Config.load(tmp_path, environ=environ)

    # The order of mappings is that of the files, which means nothing but for the model that goes first.
    assert [str(each) for each in differences(whole, divided) if each.path != "default_model"] == []


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Whatever is no mapping, with the way to it."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path, value


INCLUDES = {
    "what is not there": ("[b.yaml]", "a.yaml:1:11: include[0]: includes b.yaml, which cannot be read: No such file or directory"),
    "one name": ("b.yaml", "a.yaml:1:10: include: includes b.yaml, which cannot be read: No such file or directory"),
    "itself": ("[a.yaml]", "a.yaml:1:11: include[0]: includes a.yaml, which leads back here; take one of the two out"),
    "a format that nobody reads": (
        "[x.ini]",
        "a.yaml:1:11: include[0]: includes x.ini, which is none of .yaml, .yml, .toml and .json",
    ),
    "a folder that is not there": ('["z/*.yaml"]', "a.yaml:1:11: include[0]: there is no folder z"),
    "no text": ("[1]", "a.yaml:1:11: include[0]: expected text, not a number"),
    "no list": ("{}", "a.yaml:1:10: include: expected a list of files, not a mapping"),
    "a variable": ('["${HOME}/x.yaml"]', "a.yaml:1:11: include[0]: is read before any ${…} is; write the name of the file itself"),
    "nothing": ('[""]', "a.yaml:1:11: include[0]: expected the name of a file, such as providers.yaml, or a pattern such as configs/*.yaml"),
    "an empty folder": ("[empty]", "a.yaml:1:11: include[0]: includes empty, which is a folder with no file of .yaml, .yml, .toml and .json in it"),
}  # fmt: skip


@pytest.mark.parametrize(("include", "problem"), INCLUDES.values(), ids=INCLUDES)
def test_an_include_that_cannot_be_followed_is_told_where_it_stands(
    include: str, problem: str, here: Path
) -> None:
    (here / "empty").mkdir()
    written(here, {"a.yaml": f"include: {include}\nproviders: {{}}\n", "x.ini": ""})

    assert wrong(Path("a.yaml"), here) == [problem]


def test_files_that_include_each_other_are_told_where_they_do(here: Path) -> None:
    written(here, {"a.yaml": "include: [sub/b.yaml]\n", "sub/b.yaml": "# back\ninclude: [../a.yaml]\n"})

    assert wrong(Path("a.yaml"), here) == [
        "sub/b.yaml:2:11: include[0]: includes sub/../a.yaml, which leads back here; take one of the two out"
    ]


def test_includes_do_not_go_on_for_ever(here: Path) -> None:
    written(here, {f"{n}.yaml": f"include: [{n + 1}.yaml]\nproviders: {{}}\n" for n in range(9)})

    (found,) = wrong(Path("0.yaml"), here)

    assert (
        f"{DEEPEST_INCLUDE}.yaml:1:11: include[0]: includes {DEEPEST_INCLUDE + 1}.yaml, which makes it more"
        in found
    )


def test_a_file_that_two_include_is_read_once_and_a_pattern_may_match_its_own_file(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        {
            "a.yaml": "include: ['*.yaml']\n",
            "b.yaml": "include: [c.yaml]\n",
            "c.yaml": "providers: {a: {type: ollama}}\naudit: [logging]\n",
        },
    )

    assert [Path(each).name for each in Config.load(main).files] == ["a.yaml", "b.yaml", "c.yaml"]


def test_a_pattern_without_a_match_is_right_where_its_folder_is(tmp_path: Path) -> None:
    (tmp_path / "conf.d").mkdir()
    main = written(tmp_path, {"a.yaml": "include: ['conf.d/*.yaml']\nproviders: {a: {type: ollama}}\n"})

    config = Config.load(main)

    assert config.folders == (str(tmp_path / "conf.d"),)


def test_a_folder_is_a_configuration_of_all_its_files_but_hidden_and_other_ones(tmp_path: Path) -> None:
    written(
        tmp_path,
        {
            "2.yaml": ASSISTANT,
            "1.yaml": PROVIDERS,
            ".3.yaml": "nonsense: 1",
            "README.md": "# text",
            "pointsman.schema.json": "{}",
            "..data/1.yaml": "nonsense: 1",
            "deeper/1.yaml": "nonsense: 1",
            "empty.yaml": "",
        },
    )

    config = Config.load(tmp_path)

    assert [Path(each).name for each in config.files] == ["1.yaml", "2.yaml", "empty.yaml"]
    assert (config.file, config.folders, config.directory) == (str(tmp_path), (str(tmp_path),), tmp_path)
    assert list(config.models) == ["assistant"]


def test_a_folder_without_a_file_is_told(tmp_path: Path) -> None:
    assert wrong(tmp_path, tmp_path.parent) == [
        f"{tmp_path.name}: is a folder with no file of .yaml, .yml, .toml and .json in it"
    ]


def test_all_that_cannot_be_read_is_told_at_once(here: Path) -> None:
    written(
        here,
        {
            "a.yaml": "include: [b.yaml, c.yaml, d.yaml]\n",
            "b.yaml": "providers: {\n",
            "c.yaml": "x: 1\nx: 2\n",
            "d.yaml": "- 1\n",
        },
    )

    found = wrong(Path("a.yaml"), here)

    assert [each.partition(": ")[0] for each in found] == ["b.yaml:2:1", "c.yaml:2:1", "d.yaml:1:1"]


def test_a_file_that_may_not_be_read_is_told_where_it_is_included(here: Path) -> None:
    written(here, {"a.yaml": "include: [b.yaml]\n", "b.yaml": ""})
    (here / "b.yaml").unlink()
    os.mkfifo(here / "b.yaml")  # a file that nobody can read, whoever runs the test

    assert wrong(Path("a.yaml"), here) == [
        "a.yaml:1:11: include[0]: includes b.yaml, which is not a regular file"
    ]


def test_files_that_values_refer_to_are_among_the_files(tmp_path: Path) -> None:
    main = written(
        tmp_path,
        {
            "a.yaml": f"providers: {{a: {{type: openai, api_key: '${{file:{tmp_path}/key}}'}}}}\n",
            "key": "sk-1\n",
        },
    )

    assert Config.load(main).files == (str(main), str(tmp_path / "key"))
    assert Config.from_mapping({"providers": {"a": {"type": "ollama"}}}).files == ()


def test_a_mapping_includes_nothing() -> None:
    with pytest.raises(ConfigError, match="include: is followed where a configuration is read from a file"):
        Config.from_mapping({"include": ["a.yaml"], "providers": {"a": {"type": "ollama"}}})


async def test_a_router_of_several_files_reads_them_all_again(tmp_path: Path) -> None:
    written(tmp_path, {"1.yaml": PROVIDERS, "2.yaml": ASSISTANT})
    several = [tmp_path / "1.yaml", tmp_path / "2.yaml"]

    async with Router.from_config(several) as router:
        (tmp_path / "2.yaml").write_text("models: {other: {deployments: [a/y]}}\n")
        await router.reload()

        assert list(router.config.models) == ["other"]


def test_anchors_are_refused_in_an_included_file_of_ours_too(tmp_path: Path) -> None:
    files = {"a.yaml": "include: b.yaml\n" + PROVIDERS, "b.yaml": "models: {x: &x {deployments: [a/x]}}\n"}

    assert wrong(written(tmp_path, files), tmp_path)[0].startswith(
        "b.yaml:1:13: models.x: the anchor &x is not allowed"
    )


def test_a_folder_that_nobody_may_look_into_is_told_where_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, {"a.yaml": "include: more\n" + PROVIDERS, "more/b.yaml": "models: {}\n"})

    def refuse(path: str) -> list[str]:
        raise PermissionError(EACCES, "Permission denied", path)

    monkeypatch.setattr("pointsman.config.including.os.listdir", refuse)

    assert wrong(file, tmp_path)[0].startswith(
        "a.yaml:1:10: include: includes more, which cannot be read: Permission denied"
    )


def test_that_there_are_too_many_files_is_said_once(tmp_path: Path) -> None:
    written(tmp_path, {f"{n}.yaml": "{}\n" for n in range(503)})

    (only,) = wrong(tmp_path, tmp_path)

    assert "more than 500 files in all" in only
