"""`affinity`: a conversation stays where its prompt is in the cache, for as long as load allows.

One that nobody names is known by the prompt that it goes on from.
A preference and never a filter: whoever is not ready is passed by, and nobody waits for the preferred one.

Sources: D. Thaler and C. Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1),
1998 (rendezvous hashing; with weights: J. Schindelhauer and G. Schomaker, SPAA 2005); V. Mirrokni,
M. Thorup and M. Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from fractions import Fraction
from hashlib import blake2b
from math import log
from typing import Any

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, Field

from pointsman.plugin import (
    Clock,
    Duration,
    Learned,
    LeastConnections,
    Member,
    Placing,
    Rng,
    Secret,
    Strategy,
    StrategyFactory,
    jsonio,
)
from pointsman_strategies.prompt_blocks import HASH_BYTES, blocks_of, prompt_of
from pointsman_strategies.warm_news import Loads, News
from pointsman_strategies.warm_places import BINDING_COST, BLOCK_COST, Bindings, PrefixIndex, of_state

_STEP = 2.0**-53
_SOME = 2
"""Calls for a unit of weight that are few enough whatever the others have."""
_FOR_BINDINGS = 4
"""One part in so many of the memory is for bindings, the rest for blocks."""


class AffinitySettings(BaseModel):
    """`{type: affinity, life: 10m}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    life: Duration = Field(
        default=600.0,
        gt=0,
        description="how long a conversation is bound after its last answer: as long as the upstream keeps "
        "a prompt in its cache",
    )
    metadata: str = Field(
        default="session",
        min_length=1,
        description="the key of a request's `metadata` that names its conversation where `affinity` does not",
    )
    block: int = Field(
        default=1_024,
        ge=64,
        le=65_536,
        description="bytes of a block; prompts that have the first ones in common are kept together",
    )
    memory: int = Field(
        default=64,
        ge=1,
        le=65_536,
        description="MiB for what is remembered of conversations and prompts; the oldest is forgotten",
    )
    max_load: float = Field(
        default=1.25,
        ge=1.01,
        le=100,
        description="times its share of the load; a deployment above it is passed over",
    )
    key: Secret = Field(
        default=Secret(""),
        max_length=64,
        description="a secret of up to 64 characters, the same in all processes that should agree; without "
        "it a caller who picks names of conversations can tell which ones meet",
    )


class _Notes(Struct):
    """What is known of one request.

    Attributes:
        key: by which its conversation is bound; None when it is new and nobody names it.
        named: somebody says it.
        blocks: once somebody asked, the hashes of its whole blocks.
        first: that of the first one, or of what there is of it.
    """

    key: bytes | None
    named: bool
    blocks: Sequence[bytes] | None = None
    first: bytes | None = None


class Affinity(Strategy):
    """Where the conversation is bound, else who has had the longest beginning of the prompt, else the highest
    weight / -ln(hash of key and member): each time among those within their load.

    A call that says neither goes where the fewest are. Of a request only keyed hashes are kept.

    Args:
        clock: tells how old bindings are.
        rng: for the calls without a key, as for `LeastConnections`.
    """

    def __init__(
        self, settings: AffinitySettings | None = None, *, clock: Clock, rng: Rng | None = None
    ) -> None:
        self._settings = settings or AffinitySettings()
        self._clock = clock
        self._secret = _secret(self._settings.key.reveal())
        load = Fraction(self._settings.max_load).limit_denominator(1_000)
        self._load, self._per = load.numerator, load.denominator
        memory = self._settings.memory << 20
        self._bindings = Bindings(self._settings.life, memory // _FOR_BINDINGS // BINDING_COST)
        self._index = PrefixIndex((memory - memory // _FOR_BINDINGS) // BLOCK_COST)
        self._news = News(self._bindings, self._settings.life)
        self._loads = Loads()
        self._members: Sequence[Member] = ()
        self._least = LeastConnections(rng)
        self._begun: dict[str, blake2b] = {}  # by id: the hash of a member, to be copied and continued
        self._degraded = ""
        self._is_preview = False

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return self.place(ready, Placing(request))

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        notes = self._notes(placing)
        if notes.key is None and notes.first is None:
            self._degraded = "the call had no key and no prompt"
            return self._least.pick(ready, placing.request)
        self._degraded = ""
        chosen = ready[0] if len(ready) == 1 else self._chosen(self._within_load(ready), notes, placing)
        if notes.key is not None and not self._is_preview:
            self._bindings.sent(notes.key, chosen.id)
        return chosen

    def _chosen(self, room: Sequence[Member], notes: _Notes, placing: Placing) -> Member:
        """The one of those with room where the conversation is, or its prompt, or where both are to be."""
        home = None
        if notes.key is not None:
            home = self._bindings.home(notes.key, self._clock.now())
            for place in (home, self._bindings.refuge(notes.key)):
                for member in room:
                    if member.id == place:
                        return member
        blocks = self._blocks(notes, placing)
        known = self._index.longest(blocks, [member.id for member in room])
        if known:
            having = self._least_crowded(
                [member for member in room if member.id in known], lent=home is not None
            )
            # Else who never had what all have in common would never be asked, however idle.
            room = having if home is not None else self._least_busy(room, unless=having)
        scores = self._scores(notes.key or notes.first or b"", room)
        return room[scores.index(max(scores))]

    scored_by = "weight drawn for the conversation; the highest, unless it or its prompt is somewhere already"

    def scores(self, ready: Sequence[Member], placing: Placing, /) -> Mapping[str, float]:
        notes = self._notes(placing)
        key = notes.key or notes.first
        if key is None:
            return {}
        return dict(zip([each.id for each in ready], self._scores(key, ready), strict=True))

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        notes = self._notes(placing)
        blocks = self._blocks(notes, placing)
        self._index.add(blocks, member.id)
        if blocks and notes.key is None:
            notes.key = self._bindings.new_key(blocks[-1])
        if notes.key is not None:
            self._bindings.answered(notes.key, member.id, now)
            if not notes.named and blocks:
                self._bindings.ends(notes.key, blocks[-1])
            self._news.answered(notes.key)

    def learned(self) -> Sequence[Learned]:
        now = self._clock.now()
        found = self._news.learned(self._mark(), now), self._loads.learned(self._members, now)
        return [each for each in found if each is not None]

    def heard(self, learned: Learned, /) -> None:
        said, now = jsonio.loads(learned.text), self._clock.now()
        if not isinstance(said, Mapping):
            raise ValueError("what an affinity has learned is a mapping")
        if "in_flight" in said:
            self._loads.heard(said, learned.by, learned.seconds, now)
        else:
            self._news.heard(said, learned.seconds, self._mark(), now)

    def degraded(self) -> str:
        return self._degraded

    def members(self, everyone: Sequence[Member], /) -> None:
        self._members = tuple(everyone)
        ids = [member.id for member in everyone]
        self._begun = {id: self._begin(id) for id in ids}
        self._bindings.keep(ids)
        self._index.keep(ids)
        self._least.members(everyone)

    def state(self) -> Mapping[str, object]:
        """Besides what is remembered, a hash of the key under which it was: under another it says nothing."""
        return {
            "key": self._mark(),
            "bindings": self._bindings.state(),
            "prefixes": self._index.state(),
            "ties": dict(self._least.state()),
        }

    def restore(self, state: Mapping[str, object], /) -> None:
        ties = of_state(state, "ties")
        if not isinstance(ties, Mapping):
            raise ValueError("a state of affinity holds `ties`, a mapping")
        self._least.restore(ties)
        bindings, prefixes = of_state(state, "bindings"), of_state(state, "prefixes")
        if of_state(state, "key") == self._mark():
            self._bindings.restore(bindings)
            self._index.restore(prefixes)

    def fingerprint(self, request: object, affinity: str = "") -> str | None:
        """Eight hexadecimal digits of the key's hash, fit for a log; None when there is no key."""
        key = self._key(request, affinity)
        return None if key is None else key.hex()[:8]

    def __deepcopy__(self, memo: dict[int, Any]) -> Affinity:
        """For a preview, which is only asked to choose: what is remembered can be shared."""
        twin: Affinity = object.__new__(Affinity)
        twin.__dict__.update(self.__dict__)
        twin._least = deepcopy(self._least, memo)
        twin._is_preview = True
        return twin

    # ── who could ────────────────────────────────────────────────────────────────────────────────────

    def _within_load(self, ready: Sequence[Member]) -> Sequence[Member]:
        """Those whose load is below its bound; never none.

        in_flight >= ceil(max_load * (total + 1) * weight / all weights) is too much, in integers. The bounds
        add up to more than `total`, so that somebody is always below.
        """
        calls = self._calls(ready)
        total = sum(calls)
        if not total:
            return ready
        room = self._load * (total + 1)
        measure = self._per * sum([member.weight for member in ready])
        return [
            member
            for member, count in zip(ready, calls, strict=True)
            if count * measure < room * member.weight
        ]

    def _calls(self, members: Sequence[Member]) -> list[int]:
        """In flight, in all routers as far as that is known."""
        elsewhere = self._loads.elsewhere(self._clock.now())
        if not elsewhere:
            return [member.in_flight for member in members]
        return [member.in_flight + elsewhere.get(member.id, 0) for member in members]

    def _least_crowded(self, members: Sequence[Member], *, lent: bool) -> Sequence[Member]:
        """Those with the fewest conversations for their weight. Until they are answered, new ones are known
        by their calls alone; beside who is `lent`, and counts at once, calls would only be noise.
        """
        if len(members) == 1:
            return members
        at = self._bindings.at
        calls = [0] * len(members) if lent else self._calls(members)
        crowds = [max(at(each.id), count) / each.weight for each, count in zip(members, calls, strict=True)]
        least = min(crowds)
        return [each for each, crowd in zip(members, crowds, strict=True) if crowd == least]

    def _least_busy(self, room: Sequence[Member], *, unless: Sequence[Member]) -> Sequence[Member]:
        """Those of `room` with the fewest calls for their weight, where the others have more than `max_load`
        times as many; else those others: what many prompts have in common is worth no more than that.
        """
        loads = [count / each.weight for each, count in zip(room, self._calls(room), strict=True)]
        least = min(loads)
        bound = self._settings.max_load * least + _SOME
        asked = {each.id for each in unless}
        if any(load <= bound for each, load in zip(room, loads, strict=True) if each.id in asked):
            return unless
        return [each for each, load in zip(room, loads, strict=True) if load == least]

    def _begin(self, id: str) -> blake2b:
        name = blake2b(id.encode(), digest_size=HASH_BYTES).digest()  # of one length, whatever the id
        return blake2b(name, digest_size=8, key=self._secret)

    def _scores(self, key: bytes, among: Sequence[Member]) -> list[float]:
        begun = self._begun
        scores = []
        for member in among:
            known = begun.get(member.id)
            if known is None:
                known = begun[member.id] = self._begin(member.id)
            drawn = known.copy()
            drawn.update(key)
            # 53 bits, as many as a float holds, moved by half a step: never 0, never 1
            u = ((int.from_bytes(drawn.digest()) >> 11) + 0.5) * _STEP
            scores.append(member.weight / -log(u))
        return scores

    # ── what a request says ──────────────────────────────────────────────────────────────────────────

    def _notes(self, placing: Placing) -> _Notes:
        notes = placing.notes
        if not isinstance(notes, _Notes):
            key = self._key(placing.request, placing.affinity)
            placing.notes = notes = _Notes(key, named=key is not None)
            if key is None:
                notes.key = self._bindings.key_of(self._blocks(notes, placing))
        return notes

    def _blocks(self, notes: _Notes, placing: Placing) -> Sequence[bytes]:
        blocks = notes.blocks
        if blocks is None:
            prompt, size = prompt_of(placing.request), self._settings.block
            blocks = blocks_of(prompt, size=size, secret=self._secret)
            notes.first = blocks[0] if blocks else None
            if len(prompt) < size:
                blocks = []  # no cache is the warmer for it, and many calls have such a one in common
            notes.blocks = blocks
        return blocks

    def _key(self, request: object, affinity: str) -> bytes | None:
        """A keyed hash of the name of the conversation; None when nobody says it."""
        metadata = None if affinity else getattr(request, "metadata", None)
        named = affinity or (metadata.get(self._settings.metadata) if metadata else None)
        if not named:
            return None
        name = str(named).encode("utf-8", "surrogatepass")
        return blake2b(name, digest_size=HASH_BYTES, key=self._secret, person=b"conversation").digest()

    def _mark(self) -> str:
        said = str(self._settings.block).encode()
        return blake2b(said, digest_size=HASH_BYTES, key=self._secret, person=b"state").hexdigest()


def _secret(key: str) -> bytes:
    """`key` as bytes that blake2b takes: at most 64."""
    secret = key.encode()
    return secret if 0 < len(secret) <= 64 else blake2b(secret, person=b"pointsman").digest()


FACTORY = StrategyFactory(
    "affinity",
    AffinitySettings,
    lambda context: Affinity(context.settings, clock=context.clock, rng=context.rng),
)
