"""Sources of credentials, audit sinks, services and dialects that are wrong in one thing."""

from __future__ import annotations

import asyncio
import hmac
import random
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

from cases import leave_a_thread, wrong
from pointsman import Router
from pointsman.plugin import (
    DialectContext,
    DialectFactory,
    Event,
    ForeignDocument,
    NativeDocument,
    NotReady,
    Outgoing,
    RefreshingAuth,
    RequestEnded,
    RequestStarted,
    Secret,
    SigningAuth,
)
from pointsman.testing import Scripted
from pointsman.testing.contract import AuditContract, AuthContract, DialectContract, ServiceContract

# ── sources of credentials ───────────────────────────────────────────────────────────────────────────


class AuthTests(AuthContract):
    plugin: Any

    def make(self) -> Any:
        return self.plugin()

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Keys:
    """One key after another, rightly."""

    tried_by = AuthTests

    def __init__(self) -> None:
        self.keys = [Secret("sk-first-key"), Secret("sk-second-key"), Secret("sk-third-key")]

    def current(self) -> Any:
        return self.keys[0]

    def rejected(self, secret: Secret) -> Any:
        if secret != self.keys[0]:
            return True
        if len(self.keys) == 1:
            return False
        del self.keys[0]
        return True


@wrong("AUTH-01", "A rejection has to be awaited.", "AUTH-04", "AUTH-17")
class PromisesKeys(Keys):
    async def rejected(self, secret: Secret) -> Any:
        return False


@wrong("AUTH-02", "Its key is a text.", *(f"AUTH-{n:02d}" for n in range(3, 20)))
class TextKey(Keys):
    def current(self) -> Any:
        return "sk-first-key"


@wrong("AUTH-03", "It reads its key slowly each time.", alone=True)
class SlowKeys(Keys):
    def current(self) -> Any:
        time.sleep(0.06)
        return self.keys[0]


@wrong("AUTH-04", "It promises another key, and has none.")
class PromisesAnother(Keys):
    def rejected(self, secret: Secret) -> Any:
        return True


@wrong("AUTH-05", "Its repr shows the key.")
class ShowsKeys(Keys):
    def __repr__(self) -> str:
        return f"ShowsKeys({self.keys[0].reveal()})"


@wrong("AUTH-09", "It throws its keys away whoever was rejected.", "AUTH-17")
class ThrowsAway(Keys):
    def current(self) -> Any:
        return self.keys[0] if self.keys else None

    def rejected(self, secret: Secret) -> Any:
        self.keys.clear()
        return False


@wrong("AUTH-16", "Its key ends with the line end of its file.")
class LineEnd(Keys):
    def __init__(self) -> None:
        self.keys = [Secret("sk-first-key\n")]


@wrong("AUTH-16", "Its key is empty where it has none.", "AUTH-05", "AUTH-18")
class EmptyKey(Keys):
    def __init__(self) -> None:
        self.keys = [Secret("")]


@wrong("AUTH-17", "Each call that is rejected takes one of its keys, whichever it used.")
class UsesUp(Keys):
    def rejected(self, secret: Secret) -> Any:
        if len(self.keys) == 1:
            return False
        del self.keys[0]
        return True


@wrong("AUTH-18", "It prints the key that was rejected.")
class PrintsKeys(Keys):
    def rejected(self, secret: Secret) -> Any:
        print("rejected", secret.reveal())
        return super().rejected(secret)


@wrong("AUTH-18", "It logs the key that it gives.", "AUTH-19")
class LogsKeys(Keys):
    def current(self) -> Any:
        import logging

        logging.getLogger("pointsman.auth.keys").debug("using %s", self.keys[0].reveal())
        return self.keys[0]


@wrong("AUTH-19", "It keeps each secret that it gave.")
class KeepsSecrets(Keys):
    def __init__(self) -> None:
        super().__init__()
        self.given: list[Secret] = []

    def current(self) -> Any:
        self.given.append(Secret(self.keys[0].reveal()))
        return self.keys[0]


class Fresh(RefreshingAuth, SigningAuth):
    """Gets its key by a refresh, and signs with it, rightly."""

    tried_by = AuthTests

    def __init__(self) -> None:
        self.number = 0
        self.secret: Secret | None = None

    def current(self) -> Secret | None:
        if self.secret is None:
            raise NotReady("no key yet")
        return self.secret

    async def refresh(self) -> None:
        await asyncio.sleep(0)
        self.number += 1
        self.secret = Secret(f"key-number-{self.number}", time.monotonic() + 3600)

    def rejected(self, secret: Secret) -> bool:
        if secret == self.secret:
            self.secret = None
        return True

    def sign(self, outgoing: Outgoing) -> Any:
        text = f"{outgoing.method} {outgoing.url} {sorted(outgoing.headers.items())}".encode()
        return {"x-signature": hmac.new(b"key", text + outgoing.body, "sha256").hexdigest()}


@wrong("AUTH-06", "It is never ready, and cannot be made so.", *(f"AUTH-{n:02d}" for n in range(2, 20)))
class Unready(Keys):
    def current(self) -> Any:
        raise NotReady("never")


@wrong("AUTH-07", "It refreshes in vain.", *(f"AUTH-{n:02d}" for n in range(2, 20)))
class RefreshesInVain(Fresh):
    async def refresh(self) -> None:
        await asyncio.sleep(0)


@wrong("AUTH-08", "Its key ends by the calendar.")
class ByTheCalendar(Fresh):
    async def refresh(self) -> None:
        await super().refresh()
        self.secret = Secret("key-number-1", time.time() + 3600)


@wrong("AUTH-10", "A task goes on after its refresh.", *(f"AUTH-{n:02d}" for n in range(2, 20)))
class RefreshesBeside(Fresh):
    async def refresh(self) -> None:
        await super().refresh()
        self.task = asyncio.ensure_future(asyncio.sleep(0.05))


@wrong("AUTH-11", "It signs in a text in place of a header.", "AUTH-12", "AUTH-14")
class SignsText(Fresh):
    def sign(self, outgoing: Outgoing) -> Any:
        return super().sign(outgoing)["x-signature"]


@wrong("AUTH-11", "Its signature ends with a line end.")
class SignsWithLineEnds(Fresh):
    def sign(self, outgoing: Outgoing) -> Any:
        return {"x-signature": super().sign(outgoing)["x-signature"] + "\n"}


@wrong("AUTH-12", "It signs every call alike.")
class SignsAlike(Fresh):
    def sign(self, outgoing: Outgoing) -> Any:
        return {"x-signature": "1"}


@wrong("AUTH-13", "It takes its time to sign.", alone=True)
class SignsSlowly(Fresh):
    def sign(self, outgoing: Outgoing) -> Any:
        time.sleep(0.06)
        return super().sign(outgoing)


@wrong("AUTH-14", "It sends the key with the signature.")
class SignsWithTheKey(Fresh):
    def sign(self, outgoing: Outgoing) -> Any:
        return {**super().sign(outgoing), "x-key": self.current().reveal()}


@wrong("AUTH-15", "It writes the date into the headers that it signs.")
class SignsItsOwn(Fresh):
    def sign(self, outgoing: Any) -> Any:
        outgoing.headers["x-date"] = "now"
        return super().sign(outgoing)


# ── audit sinks ──────────────────────────────────────────────────────────────────────────────────────


class AuditTests(AuditContract):
    plugin: Any
    patience = 0.3

    def make(self, directory: Path) -> Any:
        return self.plugin(directory)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Sink:
    """A sink that does nothing, rightly."""

    tried_by = AuditTests

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, event: Event) -> Any:
        pass

    def close(self) -> Any:
        pass


@wrong("AUDIT-01", "Its end has to be awaited.", *(f"AUDIT-{n:02d}" for n in range(2, 11)))
class PromisesAnEnd(Sink):
    async def close(self) -> Any:
        pass


@wrong("AUDIT-02", "It writes texts as if all were such as can be written.", "AUDIT-06")
class Choosy(Sink):
    def __call__(self, event: Event) -> Any:
        for name in event.__struct_fields__:
            str(getattr(event, name)).encode()


@wrong("AUDIT-03", "It writes of requests at once.", alone=True)
class SlowSink(Sink):
    def __call__(self, event: Event) -> Any:
        if isinstance(event, RequestEnded):
            time.sleep(0.06)


@wrong("AUDIT-03", "It writes of requests at once, to a quick disk.")
class WritesAtOnce(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.file = directory / "events.log"

    def __call__(self, event: Event) -> Any:
        with self.file.open("a", encoding="utf-8", errors="replace") as file:
            file.write(str(event))


@wrong("AUDIT-04", "It takes events under a lock.")
class Locked(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.lock = threading.Lock()

    def __call__(self, event: Event) -> Any:
        with self.lock:
            str(event).encode("utf-8", "replace")


@wrong("AUDIT-05", "It leaves a thread behind.")
class LeavesAThread(Sink):
    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        leave_a_thread()


@wrong("AUDIT-06", "It knows each kind of event by its name, and no others.")
class KnowsAll(Sink):
    names: ClassVar = {
        "AttemptEnded",
        "RequestEnded",
        "BreakerChanged",
        "HealthChanged",
        "Reloaded",
        "CallerRefused",
    }

    def __call__(self, event: Event) -> Any:
        if type(event).__name__ not in self.names:
            raise TypeError(type(event).__name__)


@wrong("AUDIT-07", "It takes what it has written out of the tags.")
class TakesTags(Sink):
    def __call__(self, event: Any) -> Any:
        getattr(event, "tags", {}).clear()


@wrong("AUDIT-08", "It leaves its file open.")
class LeavesItsFile(Sink):
    kept: ClassVar[list[Any]] = []

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.file = (directory / "audit").open("ab")
        self.kept.append(self.file)


@wrong("AUDIT-09", "It writes in the turn in which a request comes.", alone=True)
class SlowToTake(Sink):
    async def admit(self, started: RequestStarted) -> None:
        self.write()

    def write(self) -> None:
        time.sleep(0.06)


@wrong("AUDIT-10", "It takes a request whatever happens to whom it is of.")
class Stubborn(Sink):
    async def admit(self, started: RequestStarted) -> None:
        until = asyncio.get_running_loop().time() + 0.1
        ended, cancelled = asyncio.Event(), False
        asyncio.get_running_loop().call_at(until, ended.set)
        while cancelled or not ended.is_set():
            try:
                await (asyncio.sleep(0.01) if cancelled else ended.wait())
            except asyncio.CancelledError:
                cancelled = True


@wrong("AUDIT-11", "It waits for a writer that has gone home.")
class WaitsInVain(Sink):
    closed = False

    async def admit(self, started: RequestStarted) -> None:
        if self.closed:
            await asyncio.Event().wait()

    def close(self) -> Any:
        self.closed = True


# ── services ─────────────────────────────────────────────────────────────────────────────────────────


class ServiceTests(ServiceContract):
    plugin: Any
    patience = 0.3

    def make(self, router: Router, directory: Path) -> Any:
        return self.plugin(router, directory)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Lodger:
    """A service with one task, rightly."""

    tried_by = ServiceTests

    def __init__(self, router: Router, directory: Path) -> None:
        self.router, self.directory = router, directory
        self.task: Any = None

    async def start(self) -> None:
        self.task = asyncio.ensure_future(asyncio.Event().wait())

    async def aclose(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])


@wrong("SERVICE-01", "It cannot be closed.", *(f"SERVICE-{n:02d}" for n in range(2, 9)))
class Endless(Lodger):
    aclose: Any = None


@wrong("SERVICE-02", "It cannot be closed before it began.", "SERVICE-08")
class OfOneLife(Lodger):
    async def aclose(self) -> None:
        self.task.cancel()
        await super().aclose()


@wrong("SERVICE-03", "It cannot be closed twice.")
class OfOneEnd(Lodger):
    ended = False

    async def aclose(self) -> None:
        if self.ended:
            raise RuntimeError("closed before")
        self.ended = True
        await super().aclose()


@wrong(
    "SERVICE-04",
    "There can be one in a process, and never another.",
    *(f"SERVICE-{n:02d}" for n in (3, 5, 6, 7)),
)
class Jealous(Lodger):
    lives: ClassVar[list[Lodger]] = []

    async def start(self) -> None:
        if self.lives:
            raise RuntimeError("the place is taken")
        self.lives.append(self)
        await super().start()


@wrong("SERVICE-05", "Its task goes on when it has closed.", "SERVICE-08")
class Staying(Lodger):
    async def aclose(self) -> None:
        pass


@wrong("SERVICE-05", "It begins when it is made.", "SERVICE-08")
class Hasty(Lodger):
    def __init__(self, router: Router, directory: Path) -> None:
        super().__init__(router, directory)
        self.early = asyncio.ensure_future(asyncio.sleep(0.2))


@wrong("SERVICE-05", "It still listens when it has closed.", "SERVICE-08")
class Eavesdropping(Lodger):
    async def start(self) -> None:
        await super().start()
        self.router.listen(lambda event: None)


@wrong("SERVICE-06", "It reads its file on the loop.", alone=True)
class ReadsOnTheLoop(Lodger):
    async def start(self) -> None:
        time.sleep(0.07)  # noqa: ASYNC251 - that is what is wrong
        await super().start()


@wrong("SERVICE-07", "It leaves its file open.")
class LeavesFiles(Lodger):
    kept: ClassVar[list[Any]] = []

    async def start(self) -> None:
        await super().start()
        self.kept.append((self.directory / "metrics").open("ab"))


@wrong("SERVICE-08", "When its start is given up, what it began goes on.")
class HalfBegun(Lodger):
    async def start(self) -> None:
        begun = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.sleep(0.01)
        self.task = begun


# ── dialects ─────────────────────────────────────────────────────────────────────────────────────────


class DialectTests(DialectContract):
    documents = ({"old": {"kind": "scripted", "model": "x", "note": "kept"}},)
    plugins = (Scripted(),)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"factory": DialectFactory("old", None, plugin)}


class Old:
    """Reads `{"old": {"kind": …, "model": …}}`, rightly."""

    tried_by = DialectTests

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> Any:
        return "old" in document.data and isinstance(document.data["old"], dict)

    def read(self, document: ForeignDocument) -> Any:
        native, old = NativeDocument(), document.data["old"]
        for key in ("kind", "model"):
            if key not in old:
                native.problem(("old",), f"it has no {key}")
                return native
        native.put(("providers", "a", "type"), old["kind"], of=("old", "kind"))
        native.put(("providers", "a", "models", 0), old["model"], of=("old", "model"))
        return native


@wrong("DIALECT-01", "What it reads has to be awaited.", *(f"DIALECT-{n:02d}" for n in range(2, 9)))
class Belated(Old):
    async def read(self, document: ForeignDocument) -> Any:
        return super().read(document)


@wrong("DIALECT-02", "It does not know documents without a version.", "DIALECT-04")
class Shy(Old):
    def matches(self, document: ForeignDocument) -> Any:
        return super().matches(document) and "version" in document.data


@wrong("DIALECT-03", "It takes every document for one of its own.", "DIALECT-05", "DIALECT-06")
class Greedy(Old):
    def matches(self, document: ForeignDocument) -> Any:
        return True


@wrong("DIALECT-04", "It writes a key that there is none of.")
class Dated(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        native.put(("provider",), "a", of=("old",))
        return native


@wrong("DIALECT-05", "It trusts that there is a kind.", "DIALECT-06")
class Trusting(Old):
    def read(self, document: ForeignDocument) -> Any:
        str(document.data["old"]["kind"])
        return super().read(document)


@wrong("DIALECT-06", "It says of a value that it comes from where there is nothing.")
class Astray(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        native.origins[("providers", "a", "type")] = ("young", "type")
        return native


@wrong("DIALECT-07", "It takes what it has read out of the document.")
class Consuming(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        document.data["old"].pop("note", None)
        return native


@wrong("DIALECT-07", "It notes in a document that it has seen it.")
class Marking(Old):
    def matches(self, document: ForeignDocument) -> Any:
        known = super().matches(document)
        if known:
            document.data["old"]["seen"] = True
        return known


@wrong("DIALECT-06", "It gives a value and does not say where it comes from.")
class Mute(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        native.data["retry"] = "none"
        return native


@wrong(
    "DIALECT-02",
    "It answers with what it found in place of yes or no.",
    "DIALECT-03",
    "DIALECT-05",
    "DIALECT-06",
)
class Vague(Old):
    def matches(self, document: ForeignDocument) -> Any:
        return document.data.get("old")


@wrong("DIALECT-05", "Where something is missing it reads nothing.", "DIALECT-06")
class Absent(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        return None if native.problems else native


@wrong("DIALECT-07", "It reads the same document otherwise each time.", "DIALECT-04")
class Moody(Old):
    def read(self, document: ForeignDocument) -> Any:
        native = super().read(document)
        native.put(("providers", "a", "weight"), random.random(), of=("old",))
        return native


@wrong("DIALECT-08", "It looks into files beside the document.")
class Curious(Old):
    def read(self, document: ForeignDocument) -> Any:
        try:
            with open("/etc/hostname") as file:
                file.read()
        except OSError:
            pass
        return super().read(document)


@wrong("DIALECT-08", "It prints what it found.")
class Chatty(Old):
    def read(self, document: ForeignDocument) -> Any:
        print(sorted(document.data))
        return super().read(document)
