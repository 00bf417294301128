"""Plugins of all other kinds that are right, and unusual."""

from __future__ import annotations

import asyncio
import queue
import random
import re
import socket
import sqlite3
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import click
import httpx
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr
from wrong_around import Open, Small
from wrong_beside import Fresh, Keys, Lodger, Old, Sink
from wrong_deciding import First, Forgetful, Thrice
from wrong_discovery import Registry
from wrong_offered import CommandTests, SectionTests, Spending, command
from wrong_prices import HERE, Listed
from wrong_state import StoreTests
from wrong_surface import Asks, Joins, Prompts
from wrong_transport import Around

from cases import right
from pointsman import replace
from pointsman.plugin import (
    Answered,
    ChatResponse,
    Event,
    Failure,
    ForeignDocument,
    Found,
    KnownModel,
    Member,
    MemoryStore,
    NativeDocument,
    Price,
    RateLimited,
    Refused,
    Secret,
    SectionFactory,
    Selection,
    StateStore,
    TextDelta,
)
from pointsman.testing import SystemClock
from pointsman.testing.contract import TransportContract

# ── strategies and policies ──────────────────────────────────────────────────────────────────────────


@right("It goes by neither weights nor calls.")
class Weightless(First):
    pass


@right("It goes on where its predecessor was, and refuses what is no state.")
class Remembering(Forgetful):
    def restore(self, state: Any, /) -> None:
        count = state.get("count", 0)
        if type(count) is not int or count < 0:
            raise ValueError("a count is a whole number")
        self.count = count


@right("It draws lots.")
class Lots(First):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng or random.Random(1))

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return ready[int(self.rng.random() * len(ready))]


@right("It learns how long each takes, and forgets who has left.")
class Learning(First):
    def __init__(self, rng: Any) -> None:
        super().__init__(rng)
        self.took: dict[str, float] = {}

    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return min(ready, key=lambda each: (self.took.get(each.id, 0.0), each.in_flight))

    def members(self, everyone: Sequence[Member], /) -> None:
        here = {each.id for each in everyone}
        self.took = {id: took for id, took in self.took.items() if id in here}

    def observed(self, member: Member, sample: Any, /) -> None:
        self.took[member.id] = 0.9 * self.took.get(member.id, sample.seconds) + 0.1 * sample.seconds


@right("It asks for what only the router's own members tell, and copes with others.")
class Cheapest(First):
    def pick(self, ready: Sequence[Member], request: object, /) -> Member:
        return min(ready, key=lambda each: getattr(getattr(each, "price", None), "input", 0.0))


@right("It never tries again.")
class Once(Thrice):
    attempts = 1


@right("It has attempts for a bad day, each after a moment.")
class Many(Thrice):
    attempts = 50

    def wait(self, failure: Failure) -> Any:
        return min(0.01 * 2 ** min(failure.failures, 10), 5.0)


@right("It goes on where others are, and for nothing else.")
class ElsewhereOnly(Thrice):
    def wait(self, failure: Failure) -> Any:
        return 0 if failure.elsewhere and isinstance(failure.error, RateLimited) else None


# ── credentials and audit ────────────────────────────────────────────────────────────────────────────


@right("It has no credential.")
class Nothing(Keys):
    def current(self) -> Any:
        return None

    def rejected(self, secret: Secret) -> Any:
        return False


@right("It takes another of its keys each time.")
class InTurn(Keys):
    turn = 0

    def current(self) -> Any:
        self.turn = (self.turn + 1) % 3
        return self.keys[self.turn]

    def rejected(self, secret: Secret) -> Any:
        return False


@right("It goes on to the next of its keys when one is rejected.")
class Rotating(Keys):
    pass


@right("It gets its key by a refresh, and signs with it.")
class Refreshing(Fresh):
    pass


@right("It keeps the last hundred events in memory.")
class InMemory(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.events: deque[Event] = deque(maxlen=100)

    def __call__(self, event: Event) -> Any:
        self.events.append(event)


@right("A thread writes to a database.", patience=10.0)
class Database(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self.write, daemon=True)
        self.thread.start()

    def __call__(self, event: Event) -> Any:
        self.waiting.put(event)

    def close(self) -> Any:
        self.waiting.put(None)
        self.thread.join()

    def write(self) -> None:
        base = sqlite3.connect(self.directory / "audit.db")
        base.execute("create table if not exists events (kind text, said text)")
        while (event := self.waiting.get()) is not None:
            said = repr(event).encode("utf-8", "backslashreplace").decode()
            base.execute("insert into events values (?, ?)", (type(event).__name__, said))
        base.commit()
        base.close()


@right("It sends datagrams to a log of the system, as far as they go.")
class Datagrams(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    def __call__(self, event: Event) -> Any:
        line = f"<134>pointsman: {type(event).__name__}".encode("utf-8", "backslashreplace")
        try:
            self.socket.sendto(line[:1000], ("127.0.0.1", 9))
        except OSError:
            pass

    def close(self) -> Any:
        self.socket.close()


@right("It writes one line of each to the standard output.")
class Lines(Sink):
    def __call__(self, event: Event) -> Any:
        sys.stdout.write(f"{type(event).__name__}\n")


# ── services and sections ────────────────────────────────────────────────────────────────────────────


@right("It has nothing to begin.")
class Idle(Lodger):
    async def start(self) -> None:
        pass


@right("Threads do its file work.", patience=5.0)
class Threaded(Lodger):
    async def start(self) -> None:
        await asyncio.to_thread((self.directory / "begun").write_text, "x")
        await super().start()


@right("It listens to the router as long as it lives.")
class Listening(Lodger):
    end: Any = None

    async def start(self) -> None:
        self.end = self.router.listen(lambda event: None)

    async def aclose(self) -> None:
        if self.end is not None:
            self.end()


@right("It serves a socket.", patience=5.0)
class Serving(Lodger):
    server: Any = None

    async def start(self) -> None:
        self.server = await asyncio.start_server(lambda _r, writer: writer.close(), "127.0.0.1", 0)

    async def aclose(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()


@right("What stands there is a list.", values=(["a", "b"], []))
class Names(RootModel[list[str]]):
    tried_by: ClassVar = SectionTests


@right("What stands there is a mapping of the caller's own.", values=({"small": "ann"}, {}))
class Owners(RootModel[dict[str, str]]):
    tried_by: ClassVar = SectionTests


@right(
    "Its settings have other names in a configuration, and hold a secret.",
    values=({"bindTo": "::1", "token": "t"},),
)
class Metrics(BaseModel):
    tried_by: ClassVar = SectionTests
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    bind_to: str = Field("127.0.0.1", alias="bindTo")
    token: SecretStr | None = None


@right(
    "It starts nothing, and stands for a program that reads it.", factory=SectionFactory("owners", Spending)
)
class Standing(Spending):
    pass


# ── dialects, commands, transports, guards, selectors ────────────────────────────────────────────────


@right("It reads a small document.")
class Small_(Old):
    pass


@right("It warns of what it leaves out.")
class Warning_(Old):
    def read(self, document: ForeignDocument) -> NativeDocument:
        native = super().read(document)
        if "note" in document.data["old"]:
            native.warn(("old", "note"), "notes are left out")
        return native


@right("It is a command of one word.", command=command())
class OneWord(CommandTests):
    pass


def grouped() -> Any:
    group = click.Group("hello", help="Say it in several ways.")
    group.add_command(command(name="loud", help="Say it loudly."))
    group.add_command(command(name="softly", help="Say it softly."))
    return group


@right(
    "It is a group of commands.",
    command=grouped(),
    works=(("loud",), ("softly", "--times", "2")),
    fails=(("louder",), ("loud", "--times", "x")),
)
class Group(CommandTests):
    pass


class PatientTests(TransportContract):
    """As of an author whose machine is busy."""

    patience = 10.0

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        from pointsman.plugin import TransportFactory

        return {"factory": TransportFactory("sound", None, plugin)}


@right("It stands around another one, and counts what goes through.")
class Counting(Around):
    tried_by = PatientTests
    count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return await super().handle_async_request(request)


@right("It refuses requests that hold a word, and says no more than that.", refused=())
class Words(Open):
    async def before(self, request: Any, call: Any, /) -> Any:
        if "plum" in repr(request):
            raise Refused("the request holds a word that may not leave the house")
        return request


@right("It answers by itself what it has answered before.")
class Cached(Open):
    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    async def before(self, request: Any, call: Any, /) -> Any:
        known = self.kept.get(repr(request))
        call.notes["key"] = repr(request)
        return request if known is None else Answered(known, "cached")

    async def after(self, response: Any, call: Any, /) -> Any:
        self.kept[call.notes["key"]] = response
        return response


NUMBERS = re.compile(r"\d{4}")


@right("It hides numbers in answers, also where they are streamed.")
class Redacting(Open):
    async def after(self, response: Any, call: Any, /) -> Any:
        if not isinstance(response, ChatResponse):
            return response
        return replace(response, text=NUMBERS.sub("****", response.text))

    def stream(self, call: Any, /) -> Any:
        return HidingFilter()


class HidingFilter:
    def __init__(self) -> None:
        self.held = ""

    def feed(self, event: Any, /) -> Sequence[Any]:
        if not isinstance(event, TextDelta):
            return [event]
        whole = NUMBERS.sub("****", self.held + event.text)
        keep = len(whole) - len(whole.rstrip("0123456789"))
        keep = min(keep, 3)
        self.held, out = whole[len(whole) - keep :], whole[: len(whole) - keep]
        return [TextDelta(out)] if out else []

    def end(self) -> Sequence[Any]:
        return [TextDelta(self.held)] if self.held else []


@right("It always picks the first.")
class TheFirst(Small):
    pass


@right("It goes by how much is asked, and says so.")
class BySize(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        long = len(repr(request)) > 300
        return Selection(candidates[-1 if long else 0].name, "long" if long else "short")


@right("It asks a model which one to take.")
class Judged(Small):
    async def choose(self, request: Any, candidates: Any, call: Any, /) -> Any:
        said = (await self.ask(call, candidates[0].name, "which one?")).text
        return said if said in {each.name for each in candidates} else candidates[0].name


# ── state stores ─────────────────────────────────────────────────────────────────────────────────────


@right("It gives each router another object, which all lead to one store.")
class Fronts(StoreTests):
    def make(self) -> Any:
        store = MemoryStore(SystemClock())
        return Front(store), Front(store)


class Front(StateStore):
    def __init__(self, behind: StateStore) -> None:
        self.admit = behind.admit  # type: ignore[method-assign]
        self.settle = behind.settle  # type: ignore[method-assign]
        self.renew = behind.renew  # type: ignore[method-assign]
        self.publish = behind.publish  # type: ignore[method-assign]
        self.watch = behind.watch  # type: ignore[method-assign]


# ── sources of prices ────────────────────────────────────────────────────────────────────────────────


@right("Whatever runs at its address is free of charge, and it knows nothing else of it.")
class Free(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return KnownModel(Price(input=0, output=0)) if base_url == HERE else None


@right("It has lengths for all that there is, and prices for its own.")
class LengthsForAll(Listed):
    def look(self, type: str, model: str, base_url: str | None, /) -> Any:
        return super().look(type, model, base_url) or KnownModel(context_window=8192)


# ── discoveries ──────────────────────────────────────────────────────────────────────────────────────


@right("It finds the servers in another order each time, as resolvers do.")
class FindsInTurns(Registry):
    turn = 0

    def places(self) -> list[str]:
        self.turn += 1
        return super().places()[:: -1 if self.turn % 2 else 1]


@right("It finds models alone.")
class FindsModels(Registry):
    async def find(self) -> Any:
        await super().find()
        return Found(models=["llama3.2"])


# ── surfaces ─────────────────────────────────────────────────────────────────────────────────────────


@right("It asks for plain completions.")
class Completes(Prompts):
    pass


@right("It joins what came together, and says all of it again at the end.")
class SaysItTwice(Asks):
    writer = Joins
