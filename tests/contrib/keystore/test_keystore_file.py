"""The file: who may read it, two writers, and a crash at every step of a write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pointsman.plugin import Secret
from pointsman_keystore.edits import added, removed, rotated
from pointsman_keystore.file import KeystoreError, locked, read, write
from pointsman_keystore.format import Master
from pointsman_keystore.store import Keystore

STEPS = ("create", "write 0", "write 1", "sync", "rename", "sync the folder", "end")
MASTER = Master(key=bytes(32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path / "pointsman.keystore"


@pytest.fixture
def store(path: Path) -> Keystore:
    made = Keystore(path, lambda: MASTER)
    made.create(lambda entries: added(entries, "one", Secret("sk-one"), 1.0))
    return made


def values(path: Path, master: Master = MASTER) -> dict[str, list[str]]:
    entries = Keystore(path, lambda: master).load().entries
    return {name: [each.value.reveal() for each in versions] for name, versions in entries.items()}


@pytest.mark.parametrize("step", STEPS)
def test_a_write_that_fails_at_any_step_leaves_the_old_or_the_new_whole(
    step: str, store: Keystore, path: Path
) -> None:
    def fail(now: str) -> None:
        if now == step:
            raise OSError(28, "No space left on device")

    with pytest.raises(KeystoreError, match="cannot be written: No space left on device"):
        store.change(lambda entries: added(entries, "two", Secret("sk-two"), 2.0), fail)

    written = STEPS.index(step) > STEPS.index("rename")
    assert values(path) == {"one": ["sk-one"], **({"two": ["sk-two"]} if written else {})}
    assert [each.name for each in path.parent.iterdir() if each.suffix == ".tmp"] == []


WRITER = """
import os, signal, sys
from pathlib import Path
from pointsman.plugin import Secret
from pointsman_keystore.edits import added
from pointsman_keystore.format import Master
from pointsman_keystore.store import Keystore

def die(step):
    if step == sys.argv[2]:
        os.kill(os.getpid(), signal.SIGKILL)

store = Keystore(Path(sys.argv[1]), lambda: Master(key=bytes(32)))
store.change(lambda entries: added(entries, "two", Secret("sk-two"), 2.0), die)
"""


def test_a_writer_that_is_killed_at_any_step_leaves_the_old_or_the_new_whole_and_no_lock(
    store: Keystore, path: Path
) -> None:
    before = path.read_bytes()
    dying = {step: (path.parent / step.replace(" ", "-") / path.name) for step in STEPS}
    running = []
    for step, file in dying.items():
        file.parent.mkdir(mode=0o700)
        write(file, before)
        running.append((step, subprocess.Popen([sys.executable, "-c", WRITER, str(file), step])))
    for step, child in running:
        assert child.wait(60) == -signal.SIGKILL, step

    for step, file in dying.items():
        written = STEPS.index(step) > STEPS.index("rename")
        assert values(file) == {"one": ["sk-one"], **({"two": ["sk-two"]} if written else {})}, step
        # Nobody has to clean up: the next writer is not kept out, and takes away what was left.
        Keystore(file, lambda: MASTER).change(lambda entries: added(entries, "three", Secret("sk-3"), 3.0))
        assert "three" in values(file)
        assert [each.name for each in file.parent.iterdir() if each.suffix == ".tmp"] == []


def test_of_two_writers_one_waits_and_both_changes_are_there(store: Keystore, path: Path) -> None:
    inside, go = threading.Event(), threading.Event()

    def slowly(step: str) -> None:
        if step == "rename":
            inside.set()
            assert go.wait(20)

    first = threading.Thread(
        target=store.change, args=(lambda entries: added(entries, "two", Secret("sk-two"), 2.0), slowly)
    )
    other = Keystore(path, lambda: MASTER)
    second = threading.Thread(
        target=other.change,
        args=(lambda entries: rotated(entries, "one", Secret("sk-1b"), 3.0, overlap=1.0),),
    )
    first.start()
    assert inside.wait(20)
    second.start()
    assert values(path) == {"one": ["sk-one"]}
    go.set()
    first.join(20)
    second.join(20)

    assert values(path) == {"one": ["sk-one", "sk-1b"], "two": ["sk-two"]}


def test_a_writer_does_not_wait_for_ever(path: Path) -> None:
    slept: list[float] = []
    with locked(path), pytest.raises(KeystoreError, match="locked by another process for 1 s; try again"):
        with locked(path, within=1.0, sleep=slept.append):
            pass
    assert 0.9 < sum(slept) < 1.1
    with locked(path):  # and it is free again
        pass


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o666, 0o620])
def test_a_file_that_others_may_use_is_refused_with_what_helps(
    mode: int, store: Keystore, path: Path
) -> None:
    path.chmod(mode)

    with pytest.raises(KeystoreError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        store.load()
    with pytest.raises(KeystoreError, match="chmod 600"):
        store.change(lambda entries: removed(entries, "one"))


def test_a_folder_that_anybody_may_write_into_is_refused(store: Keystore, path: Path) -> None:
    path.parent.chmod(0o777)
    try:
        with pytest.raises(KeystoreError, match=f"chmod o-w {path.parent}"):
            store.load()
    finally:
        path.parent.chmod(0o700)


def test_what_it_writes_only_its_owner_can_read(store: Keystore, path: Path) -> None:
    store.change(lambda entries: added(entries, "two", Secret("x"), 1.0))

    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["fifo", "folder", "nothing", "huge"])
def test_what_is_no_keystore_is_refused_without_waiting(kind: str, path: Path) -> None:
    if kind == "fifo":
        os.mkfifo(path, 0o600)
    elif kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(1024**3)
        path.chmod(0o600)

    with pytest.raises(
        KeystoreError, match="no regular file|Is a directory|there is no keystore|cannot be opened"
    ):
        Keystore(path, lambda: MASTER).load()


@pytest.mark.parametrize("damage", ["another key", "an edit", "a cut", "nothing left"])
def test_another_key_an_edit_and_a_cut_are_one_and_the_same_error(
    damage: str, store: Keystore, path: Path
) -> None:
    data, _ = read(path)
    edits = {"an edit": data[:60] + b"!" + data[61:], "a cut": data[:-1], "nothing left": b""}
    if damage in edits:
        path.write_bytes(edits[damage])
    master = Master(key=bytes([1] * 32)) if damage == "another key" else MASTER

    for each in (Keystore(path, lambda: master), *(() if damage == "another key" else (store,))):
        with pytest.raises(KeystoreError) as raised:
            each.load()
        assert raised.value.message == (
            f"the keystore {path} cannot be opened: its key or passphrase is another one, or the file was changed"
        )


def test_after_a_rewrap_the_new_key_opens_it_and_the_old_one_does_not(store: Keystore, path: Path) -> None:
    new = Master(key=bytes([7] * 32))

    store.rewrap(new)

    assert values(path, new) == {"one": ["sk-one"]}
    with pytest.raises(KeystoreError, match="cannot be opened"):
        values(path)
    assert store.load().entries.keys() == {"one"}


def test_a_copy_is_opened_by_its_own_key_and_replaces_nothing(store: Keystore, path: Path) -> None:
    new, copy = Master(key=bytes([7] * 32)), path.with_name("copy")

    assert store.export(copy, new) == 1

    assert values(copy, new) == values(path) == {"one": ["sk-one"]}
    with pytest.raises(KeystoreError, match="there is a file"):
        store.export(copy, new)


def test_behind_a_link_the_file_itself_is_written_and_has_one_lock(store: Keystore, path: Path) -> None:
    link = path.parent / "links" / "current"
    link.parent.mkdir(mode=0o700)
    link.symlink_to(path)

    Keystore(link, lambda: MASTER).change(lambda entries: added(entries, "two", Secret("sk-two"), 2.0))

    assert link.is_symlink()
    assert values(path) == {"one": ["sk-one"], "two": ["sk-two"]}
    with locked(link), pytest.raises(KeystoreError, match="locked by another"), locked(path, within=0):
        pass


def test_a_link_into_a_folder_that_anybody_may_write_into_is_refused(store: Keystore, path: Path) -> None:
    link = path.parent / "links" / "current"
    link.parent.mkdir(mode=0o700)
    link.symlink_to(path)
    path.parent.chmod(0o777)

    with pytest.raises(KeystoreError, match="anybody may write"):
        read(link)
