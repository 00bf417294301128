from __future__ import annotations

import socket

import click
import pytest

from pointsman_cli.commands.sim import Wanted, wanted

WORDS = {
    "ollama": Wanted("", "ollama", 0),
    "ollama:11500": Wanted("", "ollama", 11500),
    "claude:0": Wanted("", "claude", 0),
    "gpu1=ollama:11500": Wanted("gpu1", "ollama", 11500),
}


@pytest.mark.parametrize(("word", "meaning"), WORDS.items())
def test_a_word_says_wire_port_and_name(word: str, meaning: Wanted) -> None:
    assert wanted(word) == meaning


@pytest.mark.parametrize(
    "word", ["gemini", "ollama:", "ollama:x", "ollama:65536", "ollama:-1", "=ollama", "a/b=ollama"]
)
def test_other_words_are_usage(cli, word: str) -> None:
    with pytest.raises(click.UsageError):
        wanted(word)

    assert cli("sim", word).code == 2


@pytest.mark.parametrize("option", ["--latency", "--tokens-per-second"])
@pytest.mark.parametrize("number", ["nan", "inf", "-1"])
def test_what_no_clock_can_wait_for_is_usage(cli, option: str, number: str) -> None:
    result = cli("sim", "openai", option, number)

    assert result.code == 2
    assert option in result.err


def test_nothing_to_run_is_usage(cli) -> None:
    assert cli("sim").code == 2


def test_two_of_one_name_are_usage(cli) -> None:
    ran = cli("sim", "a=ollama", "a=claude")

    assert ran.code == 2
    assert "'a'" in ran.err


def test_a_port_that_is_taken_is_said(cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = cli("sim", f"ollama:{taken.getsockname()[1]}")

    assert ran.code == 1
    assert "cannot listen at port" in ran.err
