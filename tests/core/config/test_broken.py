"""Configurations that are wrong in all ways we could think of: each is told as well as it can be.

The messages are golden: `python tests/support/broken_messages.py` writes them anew, to be read one by one.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from broken_messages import BROKEN, files, golden, told
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pointsman import Config, ConfigError, Router
from pointsman.config import codes
from pointsman.config.explanations import explanations

ROOT = Path(__file__).parents[3]
SHARED = ROOT.parent / "shared" / "dialects"


@pytest.mark.parametrize("file", list(files()), ids=lambda file: file.name)
def test_a_broken_file_is_told_as_it_was_found_best(file: Path) -> None:
    said = told(file)

    assert said == golden(file).read_text("utf-8")
    assert "geheim" not in said  # what is secret in these
    assert all(len(line) <= 80 for line in said.splitlines() if line.startswith("    "))


def test_there_are_enough_of_them_and_nothing_beside() -> None:
    known = {file.name for file in files()}

    assert len(known) >= 120
    assert {each.name.removesuffix(".txt") for each in BROKEN.glob("*.txt")} == known
    found = set(re.findall(r"\[(PM\d{4})\]$", "\n".join(map(told_of, files())), re.MULTILINE))
    # What only a broken plugin, an installed package, the machine or several files bring about, others show.
    elsewhere = {
        "PM1002",
        "PM1003",
        "PM1016",
        "PM1213",
        "PM1310",
        "PM1405",
        "PM1406",
        "PM1407",
        "PM1501",
        "PM1502",
        "PM1503",
        "PM1701",
        "PM1702",
    }
    assert {code for code in explanations() if not code.startswith("PM19")} - found == elsewhere


def told_of(file: Path) -> str:
    return golden(file).read_text("utf-8")


def test_what_no_file_can_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "huge.yaml").write_text("#" * 1024 * 1024 + "\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    secret = tmp_path / "shut.yaml"
    secret.write_text("providers: {}\n")
    secret.chmod(0)

    expected = {"folder.yaml": codes.EMPTY_FOLDER, "huge.yaml": codes.FILE_TOO_LARGE,
                "pipe.yaml": codes.FILE_UNREADABLE, "absent.yaml": codes.FILE_UNREADABLE}  # fmt: skip
    if os.geteuid():
        expected["shut.yaml"] = codes.FILE_UNREADABLE
    for name, code in expected.items():
        with pytest.raises(ConfigError) as caught:
            Router.check(tmp_path / name)
        (problem,) = caught.value.problems
        assert (problem.code, Path(problem.file).name) == (code, name)  # type: ignore[attr-defined]


# ── files that hold, changed at random ───────────────────────────────────────────────────────────────


def _valid() -> list[tuple[str, str]]:
    """Texts of configurations with their suffix: of the pages, of the codes, and those of other programs."""
    found = [
        (text, f".{kind}")
        for page in sorted((ROOT / "docs").glob("*.md"))
        for kind, text in re.findall(r"```(yaml|toml|json)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        if "providers" in text
    ]
    found += [(about.right, ".yaml") for about in explanations().values() if about.right]
    found += [(file.read_text("utf-8"), ".yaml") for file in sorted(SHARED.rglob("*.yaml"))]
    return found


VALID = _valid()


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, str]:
    """A file with something cut, doubled, moved, renamed, put in or changed in kind."""
    text, suffix = draw(st.sampled_from(VALID))
    for _ in range(draw(st.integers(1, 3))):
        text = draw(st.sampled_from(MUTATIONS))(draw, text)
    return text, suffix


def _cut(draw: st.DrawFn, text: str) -> str:
    return text[: draw(st.integers(0, len(text)))]


def _line(draw: st.DrawFn, text: str) -> tuple[list[str], int]:
    lines = text.splitlines(keepends=True) or [""]
    return lines, draw(st.integers(0, len(lines) - 1))


def _without_line(draw: st.DrawFn, text: str) -> str:
    lines, n = _line(draw, text)
    return "".join(lines[:n] + lines[n + 1 :])


def _line_twice(draw: st.DrawFn, text: str) -> str:
    lines, n = _line(draw, text)
    return "".join(lines[: n + 1] + lines[n:])


def _lines_swapped(draw: st.DrawFn, text: str) -> str:
    lines, n = _line(draw, text)
    m = draw(st.integers(0, len(lines) - 1))
    lines[n], lines[m] = lines[m], lines[n]
    return "".join(lines)


def _put_in(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    return (
        text[:at]
        + draw(st.text(max_size=4) | st.sampled_from([*"{}[]:,#*&!|>'\"%@`$\t", "${", "\r\n"]))
        + text[at:]
    )


def _word_changed(draw: st.DrawFn, text: str) -> str:
    words = list(re.finditer(r"[A-Za-z_][\w-]*|\d+", text))
    assume(words)
    word = draw(st.sampled_from(words))
    other = draw(
        st.sampled_from(["x", "", "0", "-1", "true", "null", "[]", "{}", "1e999", "providers", "'*'", "ß"])
    )
    return text[: word.start()] + other + text[word.end() :]


MUTATIONS = (_cut, _without_line, _line_twice, _lines_swapped, _put_in, _word_changed)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_file_changed_at_random_holds_or_is_told_with_its_places(made: tuple[str, str]) -> None:
    text, suffix = made

    try:
        Config.from_text(text, suffix=suffix, file=f"c{suffix}", environ={})
    except ConfigError as error:
        assert error.problems
        for each in error.problems:
            assert each.code in explanations()  # type: ignore[attr-defined]
            assert each.file == f"c{suffix}"  # type: ignore[attr-defined]
            whole = each.code in (codes.NO_MAPPING, codes.TOO_DEEP, codes.VALUE_OF_NO_KIND)  # type: ignore[attr-defined]
            assert whole or (each.line is not None and each.column is not None)  # type: ignore[attr-defined]
            assert str(each).isprintable()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=6), st.data())
def test_bytes_put_in_anywhere_are_told_or_hold(some: bytes, data: st.DataObject) -> None:
    from pointsman.config.readers.files import parse

    text, suffix = data.draw(st.sampled_from(VALID))
    raw = text.encode()
    at = data.draw(st.integers(0, len(raw)))

    try:
        parse(raw[:at] + some + raw[at:], suffix=suffix, file="c")
    except ConfigError as error:
        assert all(each.code in explanations() for each in error.problems)  # type: ignore[attr-defined]
