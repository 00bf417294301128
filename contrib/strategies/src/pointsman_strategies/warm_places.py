"""What `affinity` remembers: where conversations are bound, and who has had which beginning of a prompt."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from math import isfinite
from typing import Any

from msgspec import Struct

from pointsman_strategies.prompt_blocks import HASH_BYTES

BLOCK_COST = 256
"""Bytes that a remembered block takes, measured and rounded up."""
BINDING_COST = 512


_RENEWED = 0.1
"""Of the life of a binding: after so much of it others are told again that it goes on."""


ROW: Sequence[Any] = (str, str, int | float, str | None, str | None)
"""A binding as plain data: key, member, instant or age, where it is lent, its end."""


class Binding(Struct):
    """Where a conversation is bound, when it was last answered there, and where it is while it cannot be.

    Attributes:
        end: of one that nobody names, the last block of its latest prompt that is known here.
        known: when it was last answered there, and where it was lent, as other routers know it.
    """

    member: str
    at: float
    lent: str | None = None
    end: bytes | None = None
    known: tuple[float, str | None] | None = None

    @property
    def whereabouts(self) -> str:
        return self.lent or self.member


class Bindings:
    """Conversations by their key, in about the order in which they were last answered at home.

    The key is the hash of a name, or of one that nobody names the last block of its first prompt.

    Args:
        life: seconds after that for which a binding holds.
        most: how many are kept.
    """

    def __init__(self, life: float, most: int) -> None:
        self._life = life
        self._most = most
        self._bound: OrderedDict[bytes, Binding] = OrderedDict()
        self._ends: dict[bytes, bytes] = {}  # the keys of those that nobody names
        self._at = Counter[str]()
        self._members = frozenset[str]()

    def __len__(self) -> int:
        return len(self._bound)

    def home(self, key: bytes, now: float) -> str | None:
        """The id of the member that the conversation is bound to; None when it is to none."""
        bound = self._bound.get(key)
        return None if bound is None or now >= bound.at + self._life else bound.member

    def key_of(self, blocks: Sequence[bytes]) -> bytes | None:
        """The key of the conversation that a prompt with these blocks goes on from; None when it is new.

        Its own last block tells nothing: with that another one begins that says the same.
        """
        ends = self._ends
        return next((ends[block] for block in reversed(blocks[:-1]) if block in ends), None)

    def new_key(self, end: bytes) -> bytes | None:
        """That of a conversation whose first prompt ends with that block; None where another one has it."""
        return None if end in self._bound else end

    def ends(self, key: bytes, end: bytes) -> None:
        """The latest prompt of the conversation ends with that block."""
        bound = self._bound.get(key)
        if bound is not None and bound.end != end:
            if bound.end is not None:
                del self._ends[bound.end]
            if (other := self._ends.get(end)) is not None:
                self._bound[other].end = None
            bound.end = end
            self._ends[end] = key

    def refuge(self, key: bytes) -> str | None:
        """The id of the member that the conversation is lent to, if it is."""
        bound = self._bound.get(key)
        return None if bound is None else bound.lent

    def at(self, member: str) -> int:
        """How many conversations are there now, bound or lent."""
        return self._at[member]

    def sent(self, key: bytes, member: str) -> None:
        """A call of the conversation goes to `member`: where it is bound, that is where it is now."""
        bound = self._bound.get(key)
        if bound is not None:
            self._at[bound.whereabouts] -= 1
            bound.lent = None if bound.member == member else member
            self._at[member] += 1

    def answered(self, key: bytes, member: str, now: float) -> None:
        """A call of the conversation was answered by `member`, which binds it where it is not bound.

        Elsewhere it was a loan, which renews nothing: it is what lets the conversation go home, and what
        leaves the binding to expire when it cannot.
        """
        self._expire(now)
        bound = self._bound.get(key)
        if bound is not None and bound.at + self._life <= now:  # out of order: heard of late
            self._drop(key)
            bound = None
        if bound is None:
            self._bound[key] = Binding(member, now)
            self._at[member] += 1
            self._shrink()
        elif bound.member == member:
            bound.at = now
            self._bound.move_to_end(key)

    def is_news(self, key: bytes) -> bool:
        """Whether others do not know how it is with the conversation, or only how it was long ago."""
        bound = self._bound.get(key)
        if bound is None:
            return False
        known = bound.known
        return known is None or known[1] != bound.lent or bound.at - known[0] > self._life * _RENEWED

    def tell(self, keys: Iterable[bytes], now: float) -> list[list[Any]]:
        """How it is with these conversations, as plain data: when they were last answered, in seconds before
        `now`, for others go by other clocks. From now on it is known to others.
        """
        told = []
        for key in keys:
            if (bound := self._bound.get(key)) is not None:
                bound.known = bound.at, bound.lent
                end = None if bound.end is None else bound.end.hex()
                told.append([key.hex(), bound.member, now - bound.at, bound.lent, end])
        return told

    def hear(
        self, key: bytes, member: str, at: float, lent: str | None, end: bytes | None, *, now: float
    ) -> bool:
        """Another router says how it is with a conversation; false when this one knows better.

        Where two bound it at once, where it was answered last is believed by both.
        """
        known = self._members
        if member not in known or at + self._life <= now:
            return True
        if (bound := self._bound.get(key)) is not None:
            if bound.member == member:
                at = max(at, bound.at)
            elif (at, member) < (bound.at, bound.member):
                return False
            end = end or bound.end
            self._drop(key)
        lent = lent if lent in known else None
        self._add(key, Binding(member, at, lent, known=(at, lent)), end)
        self._shrink()
        return True

    def keep(self, members: Iterable[str]) -> None:
        """Forget what is bound to others than these, and hear of no others."""
        known = self._members = frozenset(members)
        for key, each in list(self._bound.items()):
            if each.member not in known:
                self._drop(key)
            elif each.lent is not None and each.lent not in known:
                self._at[each.lent] -= 1
                each.lent = None
                self._at[each.member] += 1

    def state(self) -> list[list[Any]]:
        """Plain data, in their order."""
        return [
            [key.hex(), each.member, each.at, each.lent, None if each.end is None else each.end.hex()]
            for key, each in self._bound.items()
        ]

    def restore(self, state: object) -> None:
        """Continue from `state()`. Raises ValueError."""
        for key, member, at, lent, end in rows_of(state, ROW):
            if not isfinite(at):
                raise ValueError("the instant of a binding is a number")
            if hash_of(key) not in self._bound:
                self._add(
                    hash_of(key), Binding(member, float(at), lent), None if end is None else hash_of(end)
                )
        self._shrink()

    def _add(self, key: bytes, bound: Binding, end: bytes | None) -> None:
        self._bound[key] = bound
        self._at[bound.whereabouts] += 1
        if end is not None:
            self.ends(key, end)

    def _expire(self, now: float) -> None:
        while self._bound and next(iter(self._bound.values())).at + self._life <= now:
            self._drop(next(iter(self._bound)))

    def _shrink(self) -> None:
        while len(self._bound) > self._most:
            self._drop(next(iter(self._bound)))

    def _drop(self, key: bytes) -> None:
        bound = self._bound.pop(key)
        self._at[bound.whereabouts] -= 1
        if bound.end is not None:
            del self._ends[bound.end]


class PrefixIndex:
    """By the hash of a block, the members that have had a prompt with it; the blocks seen last kept longest.

    Args:
        most: how many blocks are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._had: OrderedDict[bytes, int] = OrderedDict()  # by block: who, as bits
        self._bits: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._had)

    def longest(self, blocks: Sequence[bytes], among: Iterable[str]) -> frozenset[str]:
        """Those of `among` that have had more of a prompt with these `blocks` than the others; none when
        nobody has had its first block.
        """
        bits = {id: self._bits.get(id, 0) for id in among}
        wanted = sum(bits.values())  # no two share one
        had = self._had
        for block in reversed(blocks):
            found = had.get(block, 0) & wanted
            if found:
                return frozenset(id for id, bit in bits.items() if bit & found)
        return frozenset()

    def add(self, blocks: Sequence[bytes], member: str) -> None:
        """`member` has had a prompt with these `blocks`."""
        bit = self._bits.get(member)
        if bit is None:
            return  # it left while it answered
        had, move = self._had, self._had.move_to_end
        for block in reversed(blocks):  # so that the end of a prompt is forgotten before its beginning
            had[block] = had.get(block, 0) | bit
            move(block)
        while len(had) > self._most:
            had.popitem(last=False)

    def keep(self, members: Iterable[str]) -> None:
        """Know these members, and forget of all others what they have had."""
        ids = list(members)
        bits = {id: bit for id, bit in self._bits.items() if id in ids}
        if len(bits) < len(self._bits):
            left = sum(bits.values())
            self._had = OrderedDict((block, who & left) for block, who in self._had.items() if who & left)
        free = (1 << n for n in range(len(ids) + len(bits)) if 1 << n not in bits.values())
        self._bits = {id: bits[id] if id in bits else next(free) for id in ids}

    def state(self) -> list[list[Any]]:
        """Plain data: runs of blocks with those who have had them, those seen first at the front."""
        names = {bit: id for id, bit in self._bits.items()}
        return [
            [[names[bit] for bit in names if bit & who], b"".join(block for block, _ in run).hex()]
            for who, run in groupby(self._had.items(), key=lambda each: each[1])
        ]

    def restore(self, state: object) -> None:
        """Continue from `state()`. Raises ValueError."""
        for ids, blocks in rows_of(state, (list, str)):
            if not all(isinstance(id, str) for id in ids):
                raise ValueError("who has had a block is told by ids")
            for id in ids:
                self._bits.setdefault(id, 1 << len(self._bits))
            who = sum(self._bits[id] for id in set(ids))
            found = _bytes(blocks)
            if len(found) % HASH_BYTES:
                raise ValueError("a run of blocks is a run of hashes")
            for start in range(0, len(found), HASH_BYTES):
                self._had[found[start : start + HASH_BYTES]] = who
        while len(self._had) > self._most:
            self._had.popitem(last=False)


def rows_of(state: object, kinds: Sequence[Any]) -> Iterable[Sequence[Any]]:
    if not isinstance(state, list):
        raise ValueError("expected a list of rows")
    for row in state:
        if not isinstance(row, list | tuple) or len(row) != len(kinds):
            raise ValueError(f"expected rows of {len(kinds)}")
        if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
            raise ValueError("a row holds something else than it should")
        yield row


def hash_of(text: str) -> bytes:
    found = _bytes(text)
    if len(found) != HASH_BYTES:
        raise ValueError(f"a hash has {HASH_BYTES} bytes")
    return found


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text)  # raises ValueError


def of_state(state: Mapping[str, object], name: str) -> object:
    """What `state` holds under `name`. Raises ValueError when that is nothing."""
    if name not in state:
        raise ValueError(f"a state of affinity holds `{name}`")
    return state[name]
