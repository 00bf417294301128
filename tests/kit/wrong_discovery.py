"""Discoveries that are wrong in one thing."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Any

from cases import leave_a_thread, wrong
from pointsman.plugin import Discovery, Found, FoundServer, Unavailable
from pointsman.testing.contract import DiscoveryContract

HERE, THERE = "http://10.0.0.1:11434", "http://10.0.0.2:11434"


class DiscoveryTests(DiscoveryContract):
    plugin: Any

    def make(self) -> Any:
        return self.plugin(there=True)

    def away(self) -> Any:
        return self.plugin(there=False)

    @classmethod
    def offering(cls, plugin: Any) -> dict[str, Any]:
        return {"plugin": plugin}


class Registry(Discovery):
    """As it should be."""

    tried_by = DiscoveryTests

    def __init__(self, there: bool) -> None:
        self.there = there

    async def find(self) -> Any:
        await asyncio.sleep(0)
        if not self.there:
            raise Unavailable("the registry is away")
        return Found(servers=[FoundServer(base_url=each) for each in self.places()])

    def places(self) -> list[str]:
        return [HERE, THERE]


@wrong("DISCOVERY-01", "It only inherits.", *(f"DISCOVERY-0{n}" for n in (2, 3, 4, 5, 8, 9)))
class OnlyInheritsFinding(Discovery):
    tried_by = DiscoveryTests

    def __init__(self, there: bool) -> None:
        pass


@wrong("DISCOVERY-02", "It returns the servers alone.", "DISCOVERY-03", "DISCOVERY-04")
class ServersAlone(Registry):
    async def find(self) -> Any:
        return (await super().find()).servers


@wrong("DISCOVERY-02", "It takes a name for an address.")
class NameForAnAddress(Registry):
    async def find(self) -> Any:
        await super().find()
        return Found(servers=[FoundServer(address="gpu.internal")])


@wrong("DISCOVERY-02", "It finds nothing of what is there.")
class FindsNothing(Registry):
    def places(self) -> list[str]:
        return []


@wrong("DISCOVERY-03", "It says only what is new since it was last asked.")
class SaysWhatIsNew(Registry):
    known: Any = ()

    async def find(self) -> Any:
        found = await super().find()
        new = [each for each in found.servers if each not in self.known]
        self.known = found.servers
        return Found(servers=new)


@wrong("DISCOVERY-04", "It finds a server once for each of its ports.")
class FindsTwice(Registry):
    def places(self) -> list[str]:
        return [HERE, THERE, f"{HERE}/"]


@wrong("DISCOVERY-05", "Where nobody answers it says that there is nothing.")
class AwayIsNothing(Registry):
    async def find(self) -> Any:
        return await super().find() if self.there else Found(servers=[])


@wrong("DISCOVERY-05", "It raises what its library raises.")
class RaisesAsItComes(Registry):
    async def find(self) -> Any:
        if not self.there:
            raise OSError("connection refused")
        return await super().find()


@wrong("DISCOVERY-06", "It looks up the name when it is made.")
class LooksAtOnce(Registry):
    def __init__(self, there: bool) -> None:
        super().__init__(there)
        try:
            socket.getaddrinfo("registry.invalid", 80)
        except OSError:
            self.there = there


@wrong("DISCOVERY-06", "A thread of it looks from when it is made.", "DISCOVERY-07")
class LooksByAThread(Registry):
    def __init__(self, there: bool) -> None:
        super().__init__(there)
        leave_a_thread()


@wrong("DISCOVERY-07", "It leaves a task at work that nobody ends.")
class LeavesATask(Registry):
    async def find(self) -> Any:
        self.task = asyncio.ensure_future(asyncio.sleep(3600))
        return await super().find()


@wrong("DISCOVERY-08", "It waits for an answer in the thread of the loop.")
class LooksOnTheLoop(Registry):
    async def find(self) -> Any:
        time.sleep(0.06)  # noqa: ASYNC251 - which is what is wrong
        return await super().find()


@wrong("DISCOVERY-09", "It opens a file each time, and closes none.")
class LeavesAFile(Registry):
    async def find(self) -> Any:
        os.open("/", os.O_RDONLY)  # a file of Python's would warn by itself
        return await super().find()
