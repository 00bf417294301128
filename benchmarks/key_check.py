"""What it costs to check the key of a caller that is kept in a store: beside no look at it, in pairs.

    uv run python benchmarks/key_check.py [--keys 10000] [--rounds 200]

Two figures: the check alone (`LiveKeys.known`, of a good key among many, of one that nobody knows, of a wrong
secret), and what a request pays at the gate with a key of the store in place of none (a caller on this
machine): the CPU time of `Gate.grant`, one after the other in one process, medians of the differences.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable
from math import inf
from pathlib import Path

from pointsman.offered import GatewayOffers
from pointsman.plugin import KnownCaller, Route, WholeReply
from pointsman_callers.keys.key_text import new_id, new_key
from pointsman_callers.keys.live import LiveKeys
from pointsman_callers.keys.pepper import digest_of
from pointsman_callers.keys.scope import Scope
from pointsman_callers.keys.store import StoredKey, StoredSecret
from pointsman_gateway.access import rules
from pointsman_gateway.access.admission import Head
from pointsman_gateway.access.gate import Gate
from pointsman_gateway.access.settings import AccessSettings

PEPPER = b"p" * 32
_TIMES = 2_000


class _Source:
    """`LiveKeys` as a source: nothing is looked for elsewhere."""

    def __init__(self, live: LiveKeys) -> None:
        self.known, self.again = live.known, live.again

    async def find(self, _credential: str) -> KnownCaller | None:
        return None


class _Clock:
    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _nothing(_asked: object) -> WholeReply:
    return WholeReply()


ROUTE = Route("POST", "/v1/chat/completions", _nothing)


def keys_of(count: int) -> tuple[LiveKeys, str]:
    """So many keys, and one of them."""
    texts = [new_key(new_id()) for _ in range(count)]
    stored = {
        text[3:11]: StoredKey(
            text[3:11], f"caller {n}", "", "", Scope(labels={"team": "qa"}, expires=4e9 if n % 2 else inf),
            0.0, secrets=(StoredSecret(digest_of(PEPPER, text).hex()),),
        )
        for n, text in enumerate(texts)
    }  # fmt: skip
    live = LiveKeys(PEPPER)
    live.replace(stored, time.time())
    return live, texts[count // 2]


def microseconds(work: Callable[[], object]) -> float:
    """CPU time of one `work`, of many."""
    began = time.process_time()
    for _ in range(_TIMES):
        work()
    return (time.process_time() - began) / _TIMES * 1e6


def checks(live: LiveKeys, key: str, rounds: int) -> dict[str, float]:
    """By what is shown, the median of a check alone, in microseconds."""
    shown = {
        "good key": key,
        "wrong secret": key[:12] + "0" * 49,
        "unknown id": new_key("00000000"),
        "other": "sk-x",
    }
    return {
        what: statistics.median(
            microseconds(lambda each=each: live.known(each)) for _ in range(rounds // 10 or 1)
        )  # type: ignore[misc]
        for what, each in shown.items()
    }


def gate_of(live: LiveKeys) -> Gate:
    """A gate that knows `live` beside whoever is on this machine."""
    offers = GatewayOffers()
    offers.add_callers(_Source(live))
    built = rules.build(AccessSettings(), pepper=PEPPER, clock=_Clock(), directory=Path())
    return Gate(built.rules, _Clock(), offers)


def paired(live: LiveKeys, key: str, rounds: int) -> tuple[float, float]:
    """Medians of what a request pays more at the gate with a key of the store, and what it pays without."""
    gate = gate_of(live)
    fields = {"host": "127.0.0.1:4000", "content-type": "application/json", "content-length": "2"}
    without = Head("POST", ROUTE.path, "", fields, peer="127.0.0.1", local="127.0.0.1")
    with_key = Head(
        "POST",
        ROUTE.path,
        "",
        {**fields, "authorization": f"Bearer {key}"},
        peer="127.0.0.1",
        local="127.0.0.1",
    )

    def ask(head: Head) -> Callable[[], object]:
        def once() -> object:
            try:
                gate.grant(head, ROUTE).send(None)
            except StopIteration as granted:
                return granted.value
            raise AssertionError("a key that is known is not waited for")

        return once

    plain, keyed = ask(without), ask(with_key)
    pairs = [(microseconds(plain), microseconds(keyed)) for _ in range(rounds)]
    return statistics.median(b - a for a, b in pairs), statistics.median(a for a, _ in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=200)
    asked = parser.parse_args()
    live, key = keys_of(asked.keys)
    for what, each in checks(live, key, asked.rounds).items():
        print(f"check alone, {what:13} {each:6.2f} us")
    more, plain = paired(live, key, asked.rounds)
    print(f"at the gate, without a key  {plain:6.2f} us; with one of {asked.keys} {more:+.2f} us")


if __name__ == "__main__":
    main()
