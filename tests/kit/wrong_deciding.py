"""Strategies and retry policies that decide wrongly, or do something beside it."""

from __future__ import annotations

import json
import math
import random
import socket
import time
from collections.abc import Sequence
from typing import Any

from cases import leave_a_thread, wrong
from pointsman.plugin import Failure, Learned, Member, Placing, Strategy
from pointsman.testing.contract import FakeMember, RetryContract, StrategyContract

# ── strategies ───────────────────────────────────────────────────────────────────────────────────────


class StrategyTests(StrategyContract):
    plugin: Any

    def make(self, rng: Any) -> Any:
        return self.plugin(rng)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class First(Strategy):
    """The first that is ready, rightly."""

    tried_by = StrategyTests

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[0]


@wrong("STRATEGY-03", "It makes up a member of the same name.", *(f"STRATEGY-{n:02d}" for n in (2, 4, 8, 14)))
class Stranger(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return FakeMember(ready[0].id)


@wrong(
    "STRATEGY-04", "It keeps to its first pick, ready or not.", *(f"STRATEGY-{n:02d}" for n in (2, 3, 8, 13))
)
class Stuck(First):
    first: Any = None

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.first = self.first or ready[0]
        return self.first


@wrong("STRATEGY-02", "It needs two that are ready.", *(f"STRATEGY-{n:02d}" for n in range(3, 9)))
class NeedsTwo(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[1]


@wrong("STRATEGY-05", "It takes chance from where nobody can hold it still.", "STRATEGY-06")
class OwnChance(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return random.choice(ready)


@wrong("STRATEGY-05", "It goes by the clock of the machine.")
class OwnClock(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[-1 if time.monotonic() >= 4e9 else 0]


@wrong("STRATEGY-06", "It goes on where another one was.", *(f"STRATEGY-{n:02d}" for n in (5, 7)))
class SharesItsCount(First):
    count = 0

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        SharesItsCount.count += 1
        return ready[self.count % len(ready)]


@wrong("STRATEGY-07", "It says what it knows, and does not read it.")
class Forgetful(First):
    count = 0

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.count += 1
        return ready[self.count % len(ready)]

    def state(self) -> dict[str, object]:
        return {"count": self.count}


@wrong("STRATEGY-22", "To ask what it goes by is a step.")
class CountsQuestions(First):
    scored_by = "turn"
    count = 0

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[self.count % len(ready)]

    def scores(self, ready: Sequence[Member], placing: Placing, /) -> dict[str, float]:
        self.count += 1
        return {each.id: float(self.count) for each in ready}


@wrong("STRATEGY-08", "It believes every state.")
class Credulous(Forgetful):
    def restore(self, state: Any, /) -> None:
        self.count = state["count"]


@wrong("STRATEGY-03", "It cannot bear that time goes back.", *(f"STRATEGY-{n:02d}" for n in (5, 6, 7, 11)))
class Worried(First):
    last = -1.0

    def observed(self, member: Member, sample: Any, /) -> None:
        self.rate = math.sqrt(sample.now - self.last)
        self.last = sample.now


@wrong("STRATEGY-01", "What it picks has to be awaited.", *(f"STRATEGY-{n:02d}" for n in range(2, 15)))
class Promises(First):
    async def pick(self, ready: Sequence[Member], request: object, /) -> Member:  # type: ignore[override]
        return ready[0]


@wrong("STRATEGY-09", "It takes no request.", *(f"STRATEGY-{n:02d}" for n in (*range(1, 16), 19, 20)))
class TakesLess(First):
    def pick(self, ready: Sequence[Member], /) -> Member:  # type: ignore[override]
        return ready[0]


@wrong("STRATEGY-10", "It looks at every pair of members, for a while.", alone=True)
class Thinks(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        time.sleep(0.003)
        return ready[0]


@wrong("STRATEGY-10", "It thinks about every attempt that ended.", alone=True)
class ThinksAfterwards(First):
    def observed(self, member: Member, sample: Any, /) -> None:
        time.sleep(0.003)


@wrong("STRATEGY-11", "It keeps every request that it was asked for.")
class KeepsRequests(First):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.asked: list[object] = []

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.asked.append(request)
        return ready[0]


@wrong("STRATEGY-12", "It sorts those that are ready in their place.")
class SortsInPlace(First):
    def pick(self, ready: Any, request: object, /) -> Member:
        if isinstance(ready, list):
            ready.sort(key=lambda each: -each.weight)
        return ready[0]


@wrong("STRATEGY-12", "It counts on the members themselves.", "STRATEGY-05", "STRATEGY-06", "STRATEGY-07")
class WritesOnMembers(First):
    def pick(self, ready: Any, request: object, /) -> Member:
        picked = min(ready, key=lambda each: each.in_flight)
        picked.in_flight += 1
        return picked


@wrong("STRATEGY-13", "It holds the members of all reloads.")
class HoldsAll(First):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.ever: dict[str, list[Member]] = {}

    def members(self, everyone: Sequence[Member], /) -> None:
        for each in everyone:
            self.ever.setdefault(each.id, []).append(each)


@wrong("STRATEGY-14", "It goes by the messages, which only a chat has.")
class ChatsOnly(First):
    def pick(self, ready: Sequence[Member], request: Any, /) -> Member:
        return ready[len(request.messages) % len(ready)]


@wrong("STRATEGY-15", "It asks a server which member is the best.")
class AsksAround(First):
    def pick(self, ready: Sequence[Member], request: Any, /) -> Member:
        with socket.socket() as server:
            server.settimeout(0.01)
            try:
                server.connect(("127.0.0.1", 9))
            except OSError:
                return ready[0]
            return ready[-1]


@wrong("STRATEGY-15", "A thread of its own looks at the members now and then.", alone=True)
class Watches(First):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        leave_a_thread()


@wrong("STRATEGY-15", "It prints what it picks.")
class Prints(First):
    def pick(self, ready: Sequence[Member], request: Any, /) -> Member:
        print(ready[0].id)
        return ready[0]


class Follows(First):
    """As `First`, and hears of answers, rightly."""

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        return ready[0]


@wrong("STRATEGY-16", "It holds a conversation where it was, ready or not.")
class Holds(Follows):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.homes: dict[str, Member] = {}

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        return self.homes.setdefault(placing.affinity, ready[0])

    def members(self, everyone: Sequence[Member], /) -> None:
        self.homes.clear()


@wrong("STRATEGY-17", "It keeps what it hears of answers.")
class KeepsAnswers(Follows):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.answers: list[Placing] = []

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        self.answers.append(placing)


@wrong("STRATEGY-17", "It thinks about every answer.", alone=True)
class ThinksOfAnswers(Follows):
    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        time.sleep(0.003)


@wrong("STRATEGY-18", "It takes a note of its own for granted.", "STRATEGY-16")
class HearsOnce(Follows):
    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        placing.notes = [1]
        return ready[0]

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        placing.notes.pop()  # type: ignore[attr-defined]


@wrong("STRATEGY-18", "It counts the answers of the members that are there, and hears of no others.")
class CountsAnswers(Follows):
    def members(self, everyone: Sequence[Member], /) -> None:
        self.counts = dict.fromkeys([each.id for each in everyone], 0)

    def answered(self, member: Member, placing: Placing, now: float, /) -> None:
        self.counts[member.id] = min(9, self.counts[member.id] + 1)


@wrong("STRATEGY-19", "It says that it is degraded, and not why.")
class SaysYes(First):
    def degraded(self) -> Any:
        return True


@wrong("STRATEGY-19", "It says why at length.")
class SaysMuch(First):
    def degraded(self) -> str:
        return "there is no signal\n" * 50


@wrong("STRATEGY-20", "Its state has the names of conversations.")
class NamesConversations(Follows):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.last = ""

    def place(self, ready: Sequence[Member], placing: Placing, /) -> Member:
        self.last = placing.affinity
        return ready[0]

    def state(self) -> dict[str, object]:
        return {"last": self.last}


@wrong("STRATEGY-20", "It says of which request it knew too little.")
class QuotesRequests(First):
    asked: object = ""

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        self.asked = request
        return ready[0]

    def degraded(self) -> str:
        messages = getattr(self.asked, "messages", ())
        return f"nothing is known of {messages[-1].text}" if messages else ""


@wrong("STRATEGY-21", "It tells what nobody can hear.", "STRATEGY-20")
class Mumbles(First):
    def learned(self) -> Any:
        return ["something"]

    def heard(self, learned: Learned, /) -> None:
        return


@wrong("STRATEGY-21", "It believes all that it hears.")
class BelievesAll(First):
    def learned(self) -> Any:
        return [Learned('{"best": 0}', 5.0)]

    def heard(self, learned: Learned, /) -> None:
        self.best = json.loads(learned.text)["best"]


# ── retry policies ───────────────────────────────────────────────────────────────────────────────────


class RetryTests(RetryContract):
    plugin: Any

    def make(self, rng: Any) -> Any:
        return self.plugin(rng)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Thrice:
    """Three attempts a second apart, rightly."""

    tried_by = RetryTests
    attempts: Any = 3
    budget: Any = None

    def __init__(self, rng: Any) -> None:
        self.rng = rng

    def delay(self, failure: Failure) -> Any:
        return None if failure.number >= self.attempts else self.wait(failure)

    def wait(self, failure: Failure) -> Any:
        return 1.0


@wrong("RETRY-01", "It makes no attempt at all.", "RETRY-05")
class Never(Thrice):
    attempts = 0


@wrong("RETRY-01", "Its attempts are text.", *(f"RETRY-{n:02d}" for n in range(2, 10)))
class Text(Thrice):
    attempts = "3"

    def delay(self, failure: Failure) -> Any:
        return None


@wrong("RETRY-02", "It goes on after the last attempt.")
class GoesOn(Thrice):
    def delay(self, failure: Failure) -> Any:
        return 1.0


@wrong("RETRY-03", "It waits less than nothing.")
class Negative(Thrice):
    def wait(self, failure: Failure) -> Any:
        return -1.0


@wrong("RETRY-03", "It waits for ever.", "RETRY-06")
class Infinite(Thrice):
    def wait(self, failure: Failure) -> Any:
        return math.inf


@wrong("RETRY-03", "It waits for no number at all.", "RETRY-06")
class NoNumber(Thrice):
    def wait(self, failure: Failure) -> Any:
        return math.nan


@wrong("RETRY-03", "It waits for a text.", "RETRY-06")
class Words(Thrice):
    def wait(self, failure: Failure) -> Any:
        return "1s"


@wrong("RETRY-04", "Its jitter is from where nobody can hold it still.")
class OwnJitter(Thrice):
    def wait(self, failure: Failure) -> Any:
        return random.random()


@wrong("RETRY-05", "A delay has to be awaited.", *(f"RETRY-{n:02d}" for n in range(2, 10)))
class PromisesDelays(Thrice):
    async def delay(self, failure: Failure) -> Any:
        return None


@wrong("RETRY-05", "It describes no budget.")
class NoBudget(Thrice):
    budget = 0.2


@wrong("RETRY-06", "It makes a million attempts.", "RETRY-02")
class Million(Thrice):
    attempts = 1_000_000

    def delay(self, failure: Failure) -> Any:
        return 0.1 if failure.number < self.attempts else None


@wrong("RETRY-06", "It waits as long as an upstream says, be it thirty years.")
class Obedient(Thrice):
    def wait(self, failure: Failure) -> Any:
        return failure.error.retry_after or 1.0


@wrong("RETRY-06", "It says yes for one second.")
class Yes(Thrice):
    def wait(self, failure: Failure) -> Any:
        return True


@wrong("RETRY-07", "It waits itself before it says how long.", alone=True)
class WaitsItself(Thrice):
    def wait(self, failure: Failure) -> Any:
        time.sleep(0.003)
        return 0.0


@wrong("RETRY-08", "It keeps every failure.")
class KeepsFailures(Thrice):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.seen: list[Failure] = []

    def wait(self, failure: Failure) -> Any:
        self.seen.append(failure)
        return 1.0


@wrong("RETRY-09", "It prints each failure.")
class PrintsFailures(Thrice):
    def wait(self, failure: Failure) -> Any:
        print(failure.number)
        return 1.0
