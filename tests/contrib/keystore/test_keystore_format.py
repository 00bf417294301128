"""The keystore as bytes: whole or not at all, and what a hostile one may ask for."""

from __future__ import annotations

import os
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.plugin import Secret
from pointsman_keystore.format import (
    MAGIC,
    CannotOpen,
    Entries,
    Header,
    Kdf,
    Lock,
    Master,
    Version,
    header_of,
    master_key,
    new_lock,
    opened,
    sealed,
    unlocked,
)

KEY = Master(key=bytes(range(32)))
PASSPHRASE = Master(passphrase=Secret("correct horse"))
VALUES = st.text(st.characters(max_codepoint=0x2FF, exclude_categories=["Cs"]), max_size=40)
INSTANTS = st.none() | st.floats(0, 4e9)
VERSIONS = st.builds(lambda *said: said, VALUES, st.floats(0, 4e9), INSTANTS, INSTANTS, VALUES)
STORES = st.dictionaries(VALUES.filter(bool), st.lists(VERSIONS, min_size=1, max_size=3), max_size=4)


def entries_of(plain: dict[str, list[tuple[str, float, float | None, float | None, str]]]) -> Entries:
    return {
        name: tuple(
            Version(n, Secret(value), created, begins, ends, note)
            for n, (value, created, begins, ends, note) in enumerate(each, 1)
        )
        for name, each in plain.items()
    }


ENTRIES = entries_of({"one": [("sk-first", 1.0, None, 9.0, ""), ("sk-second", 2.0, 2.0, None, "new")]})
LOCK = new_lock(KEY, random.Random(1).randbytes)
STORE = sealed(ENTRIES, LOCK, random.Random(2).randbytes)


def open_whole(data: bytes, master: Master) -> Entries:
    return opened(data, unlocked(data, master))


@given(STORES)
def test_what_is_sealed_is_what_is_opened_again(
    plain: dict[str, list[tuple[str, float, None, None, str]]],
) -> None:
    entries = entries_of(plain)

    assert open_whole(sealed(entries, LOCK, os.urandom), KEY) == entries


@given(st.integers(0, len(STORE) - 1), st.integers(1, 255))
def test_any_edited_byte_is_the_same_refusal(at: int, change: int) -> None:
    edited = STORE[:at] + bytes([STORE[at] ^ change]) + STORE[at + 1 :]

    with pytest.raises(CannotOpen):
        open_whole(edited, KEY)
    with pytest.raises(CannotOpen):  # nor by who has the lock of before
        opened(edited, LOCK)


@pytest.mark.parametrize("cut", range(len(STORE)))
def test_any_cut_is_the_same_refusal(cut: int) -> None:
    with pytest.raises(CannotOpen):
        open_whole(STORE[:cut], KEY)


@given(st.binary(min_size=1, max_size=40))
def test_whatever_is_appended_is_the_same_refusal(more: bytes) -> None:
    with pytest.raises(CannotOpen):
        open_whole(STORE + more, KEY)


@given(st.binary(max_size=400))
def test_no_other_bytes_are_a_store(data: bytes) -> None:
    for each in (data, MAGIC + data):
        with pytest.raises(CannotOpen):
            open_whole(each, KEY)


@pytest.mark.parametrize("other", [Master(key=bytes(32)), Master(key=b""), PASSPHRASE, Master()])
def test_another_key_is_the_same_refusal(other: Master) -> None:
    with pytest.raises(CannotOpen):
        open_whole(STORE, other)


def test_a_passphrase_opens_what_it_sealed_and_no_other_does() -> None:
    lock = new_lock(PASSPHRASE, os.urandom, n=2**10)
    data = sealed(ENTRIES, lock, os.urandom)

    assert open_whole(data, PASSPHRASE) == ENTRIES
    with pytest.raises(CannotOpen):
        open_whole(data, Master(passphrase=Secret("correct horse ")))


def test_a_new_store_takes_the_scrypt_that_is_written_down() -> None:
    header, _ = header_of(sealed({}, new_lock(PASSPHRASE, os.urandom), os.urandom))

    assert header.kdf is not None
    assert (header.kdf.n, header.kdf.r, header.kdf.p) == (2**17, 8, 1)


@pytest.mark.parametrize(
    "kdf",
    [
        Kdf("AAAA", n=2**40),
        Kdf("AAAA", n=2**20, r=32),
        Kdf("AAAA", n=2**17 + 1),
        Kdf("AAAA", n=2**17, p=2**20),
        Kdf("AAAA", n=2, r=1),
        Kdf("AAAA", n=0),
        Kdf("AAAA", n=2**17, r=-1),
    ],
)
def test_a_header_that_asks_for_gigabytes_or_for_next_to_nothing_is_refused_before_it_is_computed(
    kdf: Kdf,
) -> None:
    with pytest.raises(CannotOpen):
        master_key(Header("passphrase", "00", kdf), PASSPHRASE)


def test_no_value_and_no_note_stands_in_the_bytes_and_no_nonce_twice() -> None:
    assert b"sk-first" not in STORE
    assert b"new" not in STORE
    nonces: list[bytes] = []

    def noted(count: int) -> bytes:
        made = os.urandom(count)
        nonces.append(made)
        return made

    for _ in range(50):
        sealed(ENTRIES, LOCK, noted)
    assert len(set(nonces)) == len(nonces) == 100


def test_an_entry_that_is_put_in_from_another_store_with_the_same_key_is_refused() -> None:
    """What was taken out cannot be put back, even with a seal that is right: its header is another one."""
    other = new_lock(KEY, os.urandom)
    theirs = sealed(ENTRIES, other, os.urandom)
    start = len(MAGIC) + 4 + len(other.header)
    mine = sealed(ENTRIES, LOCK, os.urandom)

    with pytest.raises(CannotOpen):
        opened(mine[: len(MAGIC) + 4 + len(LOCK.header)] + theirs[start:], LOCK)


def test_nothing_of_it_shows_a_value() -> None:
    shown = f"{ENTRIES!r} {LOCK!r} {LOCK} {KEY!r} {PASSPHRASE!r} {ENTRIES['one'][0].__rich_repr__()}"

    assert "sk-first" not in shown
    assert "correct" not in shown
    assert repr(LOCK.data_key) not in shown


def test_the_header_of_a_store_is_read_strictly() -> None:
    written = msgspec.json.encode({"opened_by": "key", "key_id": "00", "wrapped": "", "more": 1})
    data = MAGIC + len(written).to_bytes(4, "big") + written + bytes(40)

    with pytest.raises(CannotOpen):
        header_of(data)
    assert isinstance(LOCK, Lock)
