"""Tables at a terminal, and what a status of a router in trouble looks like in one of 80 columns."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from pointsman_cli.layout import Group, Row, lay_out

LONG = "box-with-a-long-name/mistralai/Mixtral-8x7B-Instruct-v0.1-quantized"
words = st.text("abc/-:模 ", max_size=30).map(lambda text: " ".join(text.split()))


def lines(columns: list[str], rows: list[Row], width: int = 80, title: str = "") -> list[str]:
    return [line.plain for line in lay_out(columns, [Group(title, rows)], width=width)]


@given(
    st.lists(st.tuples(words, st.integers(0, 999).map(str), words), min_size=1, max_size=6),
    st.integers(50, 120),
)
@example([(":::::模模", "0", ":::::::::::::::::::: 模模模模模模模模")], 50)
def test_no_line_is_wider_than_the_terminal_unless_one_word_is(rows: list[Any], width: int) -> None:
    made = lines(["a", "b", "c"], [Row(row) for row in rows], width)

    longest = max(cell_len(word) for row in rows for word in (*row[2].split(), ""))
    assert all(cell_len(line) <= max(width, width - 32 + longest) for line in made)


@given(st.lists(st.text("abc/-:.", min_size=1, max_size=70), min_size=1, max_size=6))
def test_an_id_is_whole_as_long_as_a_line_can_hold_it(ids: list[str]) -> None:
    made = lines(["deployment", "calls", "errors"], [Row((id, "12", "3 fault")) for id in ids], title="m")

    assert [id for id in ids if not any(line.split()[:1] == [id] for line in made)] == []


def test_an_id_that_is_longer_than_the_line_loses_its_middle() -> None:
    made = lines(["deployment", "calls"], [Row((LONG, "12"))], width=40)

    assert "box-with-a-long-nam…truct-v0.1-quantized" not in made
    assert any(line.startswith("box-with") and "…" in line and line.endswith("quantized") for line in made)
    assert all(cell_len(line) <= 40 for line in made)


def test_columns_line_up_over_groups_and_numbers_stand_to_the_right() -> None:
    groups = [Group("one", [Row(("a", "7"))]), Group("two", [Row(("abc", "1234"), ["a note"])])]

    made = [line.plain for line in lay_out(["id", "calls"], groups, width=80)]

    assert made == ["one", "  id   calls", "  a        7", "two", "  abc   1234", "    a note"]


def seen(terminal: Any) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.rest()).replace("\r\n", "\n")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")


def test_a_status_shows_what_differs_and_no_id_is_broken(processes, servers, narrow) -> None:
    gpu, box = (
        servers.add("ollama", name="gpu"),
        servers.add("localai", name="a-box-with-a-long-name-of-its-own"),
    )
    file = servers.configure(gpu, box)
    file.write_text(
        file.read_text() + f"  quantized:\n    deployments: [{{provider: gpu, model: {LONG}, weight: 2}}]\n"
    )
    servers.do(box.stop())

    shown = seen(processes.at_terminal("status"))

    assert "assistant (round_robin)\n" in shown
    assert "  deployment" in shown
    assert "weight" in shown
    assert not {"priority", "breaker", "in flight", "errors", "calls", "state"} & set(
        shown.split("\n\n")[1].split()
    )
    assert f"  gpu/{LONG}\n" in shown
    assert "a-box-with-a-long-name-of-its-own is down\n" in shown
    assert all(len(line) <= 80 for line in shown.splitlines())
