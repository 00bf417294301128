"""`pointsman credentials`: what it keeps, what it refuses, and that no value is ever shown or taken from argv."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner

VALUE, OTHER = "sk-canary-value-one", "sk-canary-value-two"
PASSPHRASE = "correct horse battery"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", PASSPHRASE)
    return tmp_path


def run(*arguments: str, value: str | None = None) -> Ran:
    from pointsman_cli.app import run as run_app

    with CliRunner().isolation(input=value) as (out, err, _both):
        code = run_app(["credentials", *arguments])
        ran = Ran(code, out.getvalue().decode(), err.getvalue().decode())
    assert VALUE not in ran.out + ran.err
    assert OTHER not in ran.out + ran.err
    return ran


def key_file(path: Path) -> Path:
    path.write_text(b64encode(bytes(range(32))).decode())
    path.chmod(0o600)
    return path


def test_the_first_entry_makes_the_keystore_and_the_next_goes_into_it(folder: Path) -> None:
    first = run("add", "anthropic", "--note", "of the team", value=VALUE + "\n")
    second = run("add", "openai", "--not-after", "2090-01-01", value=OTHER)

    assert (first.code, second.code) == (0, 0)
    assert first.err == "added anthropic to the new keystore pointsman.keystore\n"
    listed = json.loads(run("list", "--json").out)
    assert [(each["name"], len(each["versions"])) for each in listed] == [("anthropic", 1), ("openai", 1)]
    assert listed[0]["versions"][0]["note"] == "of the team"
    assert listed[1]["versions"][0]["not_after"] == "2090-01-01T00:00:00Z"
    assert (folder / "pointsman.keystore").stat().st_mode & 0o777 == 0o600


def test_a_rotation_prefers_the_new_value_and_has_the_old_one_end(folder: Path) -> None:
    run("add", "anthropic", value=VALUE)

    assert run("rotate", "anthropic", "--overlap", "30m", value=OTHER).code == 0

    shown = json.loads(run("show", "anthropic", "--json").out)
    old, new = shown["versions"]
    assert (old["state"], new["state"]) == ("ready", "in use")
    assert old["not_after"] is not None
    assert new["not_after"] is None
    assert old["fingerprint"] != new["fingerprint"]
    assert "has that value already" in run("rotate", "anthropic", value=OTHER).err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add", VALUE + "0123456789abcdef"), "A credential is never an argument"),
        (("add", "anthropic", "sk-ant-x"), "A credential is never an argument"),
        (("add",), "give the name of one entry"),
        (("rotate", "anthropic", "x"), "A credential is never an argument"),
        (("add", "a name"), "that is no name of an entry"),
        (("add", "x", "--not-after", "soon"), "expected an instant"),
        (("rotate", "x", "--overlap", "soon"), "expected a duration"),
        (("export", "copy"), "say --encrypted"),
        (("list", "--key-file", "a", "--keyring"), "one of --key-file, --key-env and --keyring"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(arguments: tuple[str, ...], says: str) -> None:
    ran = run(*arguments, value="")

    assert ran.code == 2
    assert says in ran.err
    assert "0123456789abcdef" not in ran.err


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        ("a\nb", "line break"),
        ("x" * 70_000, "64 KiB"),
        ("\u0416", "cannot stand in an HTTP header"),
    ],
)
def test_a_value_that_no_header_can_hold_is_refused(value: str, says: str) -> None:
    ran = run("add", "anthropic", value=value)

    assert (ran.code, says in ran.err) == (2, True)
    assert not Path("pointsman.keystore").exists()


def test_what_is_not_there_is_named_with_what_is(folder: Path) -> None:
    assert (
        "there is no keystore pointsman.keystore; the first `pointsman credentials add NAME`"
        in run("list").err
    )
    run("add", "anthropic", value=VALUE)

    for arguments in (("show", "x"), ("rotate", "x"), ("remove", "x")):
        assert "the keystore has no entry x; there are: anthropic" in run(*arguments, value=OTHER).err
    assert "has no version 7; there are 1" in run("remove", "anthropic", "--version", "7").err
    assert "there is an entry anthropic already" in run("add", "anthropic", value=OTHER).err


def test_entries_and_versions_can_be_removed(folder: Path) -> None:
    run("add", "anthropic", value=VALUE)
    run("rotate", "anthropic", value=OTHER)

    run("remove", "anthropic", "--version", "1")
    assert len(json.loads(run("show", "anthropic", "--json").out)["versions"]) == 1
    run("remove", "anthropic")
    assert json.loads(run("list", "--json").out) == []


def test_after_a_rewrap_the_new_key_opens_it_alone_and_a_lacking_key_file_is_made(folder: Path) -> None:
    run("add", "anthropic", value=VALUE)

    assert run("rewrap", "--new-key-file", "master.key").code == 0

    assert Path("master.key").stat().st_mode & 0o777 == 0o600
    assert run("verify", "--key-file", "master.key").code == 0
    ran = run("verify")
    assert (ran.code, "its key or passphrase is another one" in ran.err) == (2, True)


def test_a_copy_is_encrypted_under_another_passphrase(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("add", "anthropic", value=VALUE)
    monkeypatch.setenv("POINTSMAN_KEYSTORE_NEW_PASSPHRASE", "another passphrase")

    assert run("export", "--encrypted", "copy").err == "wrote 1 entry to copy\n"

    monkeypatch.setenv("POINTSMAN_KEYSTORE_PASSPHRASE", "another passphrase")
    assert "anthropic" in run("list", "--store", "copy").out
    assert VALUE.encode() not in Path("copy").read_bytes()


def test_the_section_of_the_configuration_says_which_keystore_it_is(folder: Path) -> None:
    (folder / "conf").mkdir(mode=0o700)
    key_file(folder / "conf" / "master.key")
    (folder / "conf" / "pointsman.yaml").write_text(
        "providers: {a: {type: openai, api_key: '${NOT_SET}'}}\nkeystore: {path: kept, key_file: master.key}\n"
    )

    assert run("add", "anthropic", "-c", "conf/pointsman.yaml", value=VALUE).code == 0

    assert (folder / "conf" / "kept").is_file()


def test_a_key_that_is_none_is_refused_with_how_to_make_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MASTER", "short")

    ran = run("add", "anthropic", "--key-env", "MASTER", value=VALUE)

    assert (
        "the key in the variable MASTER is not 32 bytes in base64; `openssl rand -base64 32` makes one"
        in ran.err
    )
    run("add", "anthropic", value=VALUE)
    assert (
        "for the new passphrase set POINTSMAN_KEYSTORE_NEW_PASSPHRASE"
        in run("export", "--encrypted", "copy.keystore").err
    )
    monkeypatch.delenv("POINTSMAN_KEYSTORE_PASSPHRASE")
    assert (
        "nobody is here who could be asked: set POINTSMAN_KEYSTORE_PASSPHRASE"
        in run("add", "x", value=VALUE).err
    )


def test_a_person_is_asked_without_echo_and_says_a_new_passphrase_twice(folder: Path) -> None:
    environment = {key: each for key, each in os.environ.items() if key != "POINTSMAN_KEYSTORE_PASSPHRASE"}
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pointsman_cli", "credentials", "add", "anthropic"]
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    answers = [
        ("value of anthropic", VALUE),
        ("passphrase for the new", PASSPHRASE),
        ("the same again", PASSPHRASE),
    ]
    seen = ""
    try:
        while select.select([ours], [], [], 60)[0]:
            try:
                seen += os.read(ours, 4096).decode()
            except OSError:  # the other end is closed
                break
            if answers and answers[0][0] in seen and seen.rstrip(" ").endswith(":"):
                os.write(ours, (answers.pop(0)[1] + "\n").encode())
    finally:
        os.close(ours)

    assert child.wait(60) == 0
    assert answers == []
    assert VALUE not in seen
    assert PASSPHRASE not in seen
    assert "anthropic" in run("list").out
