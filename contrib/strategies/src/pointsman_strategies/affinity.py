"""`affinity`: calls of one session, or with one beginning, go to the same deployment, within bounds of load.

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
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from pointsman.plugin import (
    Audio,
    ChatRequest,
    File,
    GenerateRequest,
    Image,
    LeastConnections,
    Member,
    Message,
    Part,
    Rng,
    Strategy,
    StrategyFactory,
    Text,
)

_HASH_BYTES = 16
_STEP = 2.0**-53


class AffinitySettings(BaseModel):
    """`{type: affinity, by: session}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    by: Literal["session", "prefix"] = Field(
        default="session",
        description="what stays together: calls of one session, or calls whose prompts begin alike",
    )
    metadata: str = Field(
        default="session",
        min_length=1,
        description="the key of a request's `metadata` that names its session",
    )
    messages: int = Field(
        default=2,
        ge=0,
        le=100,
        description="how many messages after the system prompt belong to the beginning",
    )
    max_load: float = Field(
        default=1.25,
        ge=1.01,
        le=100,
        description="times its share of the load; a deployment above it is passed over",
    )
    key: SecretStr = Field(
        default=SecretStr(""),
        max_length=64,
        description="a secret of up to 64 characters, the same in all processes that should agree; without "
        "it a caller who picks names of sessions can tell which ones meet",
    )


class Affinity(Strategy):
    """The highest weight / -ln(hash of key and member) among those within their load; O(n).

    A call without a key goes where the fewest are. Nothing of a request is kept.

    Args:
        rng: for the calls without a key, as for `LeastConnections`.
    """

    def __init__(self, settings: AffinitySettings | None = None, *, rng: Rng | None = None) -> None:
        self._settings = settings or AffinitySettings()
        self._secret = _secret(self._settings.key.get_secret_value())
        load = Fraction(self._settings.max_load).limit_denominator(1_000)
        self._load, self._per = load.numerator, load.denominator
        self._least = LeastConnections(rng)
        self._begun: dict[str, blake2b] = {}  # by id: the hash of a member, to be copied and continued

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        if len(ready) == 1:
            return ready[0]
        key = self._key(request)
        if key is None:
            return self._least.pick(ready, request)
        scores = self._scores(key, ready)
        loads = [member.in_flight for member in ready]
        total = sum(loads)
        if not total:
            return ready[scores.index(max(scores))]
        weights = [member.weight for member in ready]
        # in_flight >= ceil(max_load * (total + 1) * weight / all weights), in integers. The bounds add up
        # to more than `total`, so that somebody is always below.
        room = self._load * (total + 1)
        measure = self._per * sum(weights)
        while True:
            best = scores.index(max(scores))
            if loads[best] * measure < room * weights[best]:
                return ready[best]
            scores[best] = -1.0

    def members(self, everyone: Sequence[Member], /) -> None:
        self._begun = {member.id: self._begin(member.id) for member in everyone}
        self._least.members(everyone)

    def state(self) -> Mapping[str, object]:
        return self._least.state()

    def restore(self, state: Mapping[str, object], /) -> None:
        self._least.restore(state)

    def fingerprint(self, request: object) -> str | None:
        """Eight hexadecimal digits of the key's hash, fit for a log; None when `request` has no key."""
        key = self._key(request)
        return None if key is None else key.hex()[:8]

    def __deepcopy__(self, memo: dict[int, Any]) -> Affinity:
        """For a preview. The begun hashes can be shared: they are copied before each use."""
        twin: Affinity = object.__new__(Affinity)
        twin.__dict__.update(self.__dict__)
        twin._least = deepcopy(self._least, memo)
        return twin

    def _begin(self, id: str) -> blake2b:
        name = blake2b(id.encode(), digest_size=_HASH_BYTES).digest()  # of one length, whatever the id
        return blake2b(name, digest_size=8, key=self._secret)

    def _scores(self, key: bytes, ready: Sequence[Member]) -> list[float]:
        begun = self._begun
        scores = []
        for member in ready:
            known = begun.get(member.id)
            if known is None:
                known = begun[member.id] = self._begin(member.id)
            drawn = known.copy()
            drawn.update(key)
            # 53 bits, as many as a float holds, moved by half a step: never 0, never 1
            u = ((int.from_bytes(drawn.digest()) >> 11) + 0.5) * _STEP
            scores.append(member.weight / -log(u))
        return scores

    def _key(self, request: object) -> bytes | None:
        """A keyed hash of what `request` belongs to; None when it does not say."""
        parts = self._session(request) if self._settings.by == "session" else self._prefix(request)
        if parts is None:
            return None
        hashed = blake2b(digest_size=_HASH_BYTES, key=self._secret)
        for part in parts:
            hashed.update(len(part).to_bytes(8))  # so that ab, c and a, bc differ
            hashed.update(part)
        return hashed.digest()

    def _session(self, request: object) -> list[bytes] | None:
        metadata = getattr(request, "metadata", None)
        session = metadata.get(self._settings.metadata) if metadata else None
        session = session or getattr(request, "user", None)
        return [str(session).encode("utf-8", "surrogatepass")] if session else None

    def _prefix(self, request: object) -> list[bytes] | None:
        if isinstance(request, ChatRequest):
            parts = [request.model.encode()]
            left = self._settings.messages
            for message in request.messages:
                if message.role != "system":
                    left -= 1
                    if left < 0:
                        break
                _add(parts, message)
            return parts
        if isinstance(request, GenerateRequest):
            texts = (request.model, request.system or "", request.prompt)
            return [each.encode("utf-8", "surrogatepass") for each in texts]
        return None


def _secret(key: str) -> bytes:
    """`key` as bytes that blake2b takes: at most 64."""
    secret = key.encode()
    return secret if 0 < len(secret) <= 64 else blake2b(secret, person=b"pointsman").digest()


def _add(parts: list[bytes], message: Message) -> None:
    parts.append(message.role.encode())
    if isinstance(message.content, str):
        parts.append(message.content.encode("utf-8", "surrogatepass"))
        return
    for part in message.content:
        parts.append(type(part).__name__.encode())
        parts.append(_bytes(part))


def _bytes(part: Part) -> bytes:
    match part:
        case Text(text):
            return text.encode("utf-8", "surrogatepass")
        case Image():
            return part.data or (part.url or "").encode()
        case File():
            return part.data or (part.url or part.id or "").encode()
        case Audio():
            return part.data or (part.url or "").encode()


FACTORY = StrategyFactory(
    "affinity", AffinitySettings, lambda context: Affinity(context.settings, rng=context.rng)
)
