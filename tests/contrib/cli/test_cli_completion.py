"""What a shell completes: commands, options and names of the configuration, in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFIGURATION = """\
providers:
  gpu1: {type: ollama, models: [phi4]}
  openai: {type: openai}
models:
  assistant: {deployments: [gpu1/llama3.2, {provider: openai, model: gpt-5, name: big}]}
  "oh $(touch spoiled)": {deployments: [gpu1/llama3.2]}
  local-*: {deployments: ["gpu1/*"]}
aliases: {gpt-4o: assistant}
"""
BASH = """\
eval "$(pointsman completion bash)"
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
COMPREPLY=()
compopt() {{ echo "compopt $*"; }}
_pointsman_completion pointsman
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(folder: Path, words: str) -> list[str]:
    """What bash offers for the last of `words`, in a folder with the configuration."""
    found = Path(sys.executable).parent
    done = subprocess.run(
        ["bash", "--norc", "--noprofile", "-c", BASH.format(words=words)],
        cwd=folder,
        env={"PATH": f"{found}{os.pathsep}/usr/bin{os.pathsep}/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    (tmp_path / "pointsman.yaml").write_text(CONFIGURATION)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("pointsman di", ["disable"]),
        ("pointsman se", ["serve"]),
        ("pointsman ask --temp", ["--temperature"]),
        ("pointsman ask -m ''", ["assistant", "gpt-4o", "phi4"]),
        ("pointsman explain as", ["assistant"]),
        ("pointsman drain ''", ["big", "gpu1/llama3.2", "gpu1/phi4"]),
        ("pointsman models pull --provider g", ["gpu1"]),
        ("pointsman config sh", ["show"]),
        ("pointsman explain -c ''", ["compopt", "-o", "default"]),
    ],
)
def test_bash_offers(folder: Path, words: str, offered: list[str]) -> None:
    assert completed(folder, words) == offered


def test_names_come_out_of_the_configuration_that_is_named_on_the_line(folder: Path) -> None:
    (folder / "other.yaml").write_text("models: {elsewhere: {deployments: [a/b]}}\n")
    assert completed(folder, "pointsman explain -c other.yaml e") == ["elsewhere"]


def test_a_configuration_that_is_wrong_offers_nothing_and_says_nothing(folder: Path) -> None:
    (folder / "pointsman.yaml").write_text("models: [\n")
    assert completed(folder, "pointsman explain ''") == []


def test_a_name_that_a_shell_would_run_is_not_offered(folder: Path) -> None:
    assert completed(folder, "pointsman explain oh") == []
    assert not (folder / "spoiled").exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_it_can_read(shell: str, tmp_path: Path) -> None:
    script = subprocess.run(
        [sys.executable, "-m", "pointsman_cli", "completion", shell],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"_POINTSMAN_COMPLETE={shell}_complete" in script
    if (found := shutil.which(shell)) is None:
        pytest.skip(f"there is no {shell} here that could read it")
    (tmp_path / "script").write_text(script)
    subprocess.run([found, "-n", str(tmp_path / "script")], check=True)


def test_without_a_shell_it_asks_for_which() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pointsman_cli", "completion"],
        env={"PATH": "", "SHELL": "/bin/sh"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, "error: say for which shell: bash, zsh, fish\n")
