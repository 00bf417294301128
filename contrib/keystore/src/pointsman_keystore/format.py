"""The keystore as bytes. Pure: no file, no lock, no clock; chance is handed in.

    magic      23 bytes, with the version of the format
    header     4 bytes of length, then JSON: what the master key is made of, and the data key wrapped by it
    entries    4 bytes of how many, then each: 4 bytes of length, JSON of name and version,
               12 bytes of nonce, 4 bytes of length, AES-256-GCM over value, validity and note,
               with magic, header, name and version as additional data
    seal       32 bytes: HMAC-SHA256 over all before, by a key of its own derived from the data key

The seal is why nothing can be taken out, put in or put back one by one: a store is whole, or it is none.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import msgspec
from msgspec import Struct, field

from pointsman.plugin import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"pointsman keystore 0001"
LARGEST = 4 * 1024 * 1024
"""Bytes of a store; more is not read."""
LARGEST_VALUE = 64 * 1024
"""Bytes of one credential."""
MOST_ENTRIES = 10_000
_LARGEST_HEADER = 4096
_SEAL = 32
_NONCE = 12
_KEY = 32
_MOST_MEMORY = 512 * 1024 * 1024
"""Bytes that scrypt may take: what a header asks for was written by who knows whom."""

Random = Callable[[int], bytes]
"""So many random bytes, fit for keys."""


class CannotOpen(Exception):
    """Another key, an edited byte, a cut: it cannot be told which, and it is all the same."""


class Kdf(Struct, frozen=True, forbid_unknown_fields=True):
    """How scrypt makes a master key of a passphrase."""

    salt: str
    n: int = 2**17
    r: int = 8
    p: int = 1

    @property
    def is_bearable(self) -> bool:
        """Whether to compute it takes no more memory and time than somebody may ask of us."""
        return (
            2**10 <= self.n <= 2**20
            and self.n & (self.n - 1) == 0
            and 1 <= self.r <= 32
            and 1 <= self.p <= 4
            and 128 * self.n * self.r <= _MOST_MEMORY
        )


class Header(Struct, frozen=True, forbid_unknown_fields=True):
    """What a store says of itself before it is open.

    Attributes:
        opened_by: a `passphrase`, or a `key` of 32 bytes.
        key_id: of the data key; it changes when that does.
        wrapped: the data key, encrypted by the master key, in base64.
    """

    opened_by: Literal["passphrase", "key"]
    key_id: str
    kdf: Kdf | None = None
    wrapped: str = ""


class Version(Struct, frozen=True):
    """One value of an entry.

    Attributes:
        number: 1, 2, … within the entry.
        not_before, not_after, created: seconds since 1970 UTC; None: no such limit.
    """

    number: int
    value: Secret
    created: float
    not_before: float | None = None
    not_after: float | None = None
    note: str = ""

    def __repr__(self) -> str:
        return f"Version(number={self.number}, value=***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("number", self.number)]


Entries = Mapping[str, tuple[Version, ...]]
"""By name; of each the versions, the oldest first."""


class Master(Struct, frozen=True):
    """What the master key is, or is made of. Exactly one is said."""

    passphrase: Secret | None = None
    key: bytes | None = field(default=None)

    def __repr__(self) -> str:
        return "Master(***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


class Lock(Struct, frozen=True):
    """An open header: what a store is sealed with, without asking for the master key once more."""

    header: bytes
    data_key: bytes

    def __repr__(self) -> str:
        return "Lock(***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return []


class _Clear(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    version: int


class _Hidden(Struct, frozen=True, forbid_unknown_fields=True):
    value: str
    created: float
    not_before: float | None
    not_after: float | None
    note: str


def new_lock(master: Master, random: Random, *, n: int = 2**17) -> Lock:
    """A lock with a new data key, wrapped by `master`. Takes as long as scrypt does: 0.3 s."""
    data_key = random(_KEY)
    by_passphrase = master.passphrase is not None
    kdf = Kdf(b64encode(random(16)).decode(), n) if by_passphrase else None
    bare = Header("passphrase" if by_passphrase else "key", random(8).hex(), kdf)
    key = master_key(bare, master)
    nonce = random(_NONCE)
    wrapped = nonce + _aes(key).encrypt(nonce, data_key, MAGIC + _json(bare))
    return Lock(_json(msgspec.structs.replace(bare, wrapped=b64encode(wrapped).decode())), data_key)


def master_key(header: Header, master: Master) -> bytes:
    """The 32 bytes that wrap the data key. Raises CannotOpen."""
    if header.opened_by == "key":
        if master.key is None or len(master.key) != _KEY:
            raise CannotOpen
        return master.key
    if master.passphrase is None or header.kdf is None or not header.kdf.is_bearable:
        raise CannotOpen
    kdf = header.kdf
    return hashlib.scrypt(
        master.passphrase.reveal().encode("utf-8", "surrogatepass"),
        salt=b64decode(kdf.salt, validate=True),
        n=kdf.n,
        r=kdf.r,
        p=kdf.p,
        maxmem=2 * _MOST_MEMORY,
        dklen=_KEY,
    )


def header_of(data: bytes) -> tuple[Header, bytes]:
    """What a store says of itself, and that as it is written. Raises CannotOpen."""
    try:
        return _header_of(data)
    except (ValueError, msgspec.MsgspecError):
        raise CannotOpen from None


def unlocked(data: bytes, master: Master) -> Lock:
    """The lock of the store in `data`. Takes as long as scrypt does. Raises CannotOpen."""
    from cryptography.exceptions import InvalidTag

    try:
        header, written = _header_of(data)
        wrapped = b64decode(header.wrapped, validate=True)
        bare = msgspec.structs.replace(header, wrapped="")
        key = master_key(header, master)
        data_key = _aes(key).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], MAGIC + _json(bare))
    except (ValueError, msgspec.MsgspecError, InvalidTag):
        raise CannotOpen from None
    if len(data_key) != _KEY:
        raise CannotOpen
    return Lock(written, data_key)


def sealed(entries: Entries, lock: Lock, random: Random) -> bytes:
    """The store as bytes. Every value is encrypted anew. Raises ValueError: it would be too large."""
    start = _start(lock.header)
    parts = [start, _length(sum(len(each) for each in entries.values()))]
    aes = _aes(lock.data_key)
    for name in sorted(entries):
        for version in entries[name]:
            clear, nonce = _json(_Clear(name, version.number)), random(_NONCE)
            hidden = _Hidden(
                version.value.reveal(), version.created, version.not_before, version.not_after, version.note
            )
            encrypted = aes.encrypt(nonce, _json(hidden), start + clear)
            parts += [_length(len(clear)), clear, nonce, _length(len(encrypted)), encrypted]
    body = b"".join(parts)
    if len(body) + _SEAL > LARGEST:
        raise ValueError("the keystore would be larger than 4 MiB")
    return body + _seal(lock, body)


def opened(data: bytes, lock: Lock) -> dict[str, tuple[Version, ...]]:
    """The entries of the store in `data`. Raises CannotOpen."""
    from cryptography.exceptions import InvalidTag

    body, seal = data[:-_SEAL], data[-_SEAL:]
    if len(data) > LARGEST or not hmac.compare_digest(seal, _seal(lock, body)):
        raise CannotOpen
    try:
        return _entries(_Reader(body), lock)
    except (ValueError, msgspec.MsgspecError, InvalidTag):  # only who has the key can come here
        raise CannotOpen from None


def _entries(reader: _Reader, lock: Lock) -> dict[str, tuple[Version, ...]]:
    start = reader.take(len(_start(lock.header)))
    if start != _start(lock.header):
        raise CannotOpen
    aes, entries = _aes(lock.data_key), dict[str, tuple[Version, ...]]()
    for _ in range(reader.length(MOST_ENTRIES)):
        written = reader.take(reader.length(LARGEST_VALUE))
        clear = msgspec.json.decode(written, type=_Clear)
        nonce = reader.take(_NONCE)
        text = aes.decrypt(nonce, reader.take(reader.length(LARGEST)), start + written)
        found = msgspec.json.decode(text, type=_Hidden)
        version = Version(
            clear.version, Secret(found.value), found.created, found.not_before, found.not_after, found.note
        )
        entries[clear.name] = (*entries.get(clear.name, ()), version)
    if not reader.at_end:
        raise CannotOpen
    return entries


class _Reader:
    """Takes from the front of bytes, never more than there is. Raises CannotOpen."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise CannotOpen
        self._at += count
        return taken

    def length(self, most: int) -> int:
        length = int.from_bytes(self.take(4), "big")
        if length > most:
            raise CannotOpen
        return length

    @property
    def at_end(self) -> bool:
        return self._at == len(self._data)


def _header_of(data: bytes) -> tuple[Header, bytes]:
    reader = _Reader(data)
    if reader.take(len(MAGIC)) != MAGIC:
        raise CannotOpen
    written = reader.take(reader.length(_LARGEST_HEADER))
    return msgspec.json.decode(written, type=Header), written


def _start(header: bytes) -> bytes:
    return MAGIC + _length(len(header)) + header


def _seal(lock: Lock, body: bytes) -> bytes:
    key = hmac.digest(lock.data_key, b"pointsman keystore seal", "sha256")
    return hmac.digest(key, body, "sha256")


def _length(count: int) -> bytes:
    return count.to_bytes(4, "big")


def _json(value: Struct) -> bytes:
    return msgspec.json.encode(value)


def _aes(key: bytes) -> AESGCM:
    # Here, for it takes longer to import than all of ours.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
