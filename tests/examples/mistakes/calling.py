"""Mistakes of who calls a router. Both checkers name the word at the end of what each comment says is wrong."""

from typing import Unpack

from pointsman import (
    ChatOptions,
    ChatRequest,
    ChatResponse,
    FirstToken,
    Message,
    PointsmanError,
    RequestEnded,
    Router,
    SyncRouter,
    Text,
    TextDelta,
    Tool,
)
from pointsman import Rooter  # wrong: a name that is not there: Rooter
from pointsman.plugin import Provder  # wrong: so among those for plugins: Provder
from pointsman.testing import Scriptd  # wrong: so among those for tests: Scriptd
from pointsman_simulator import Simulatr  # wrong: so in other packages: Simulatr

names = (Rooter, Provder, Scriptd, Simulatr)


async def options(router: Router) -> None:
    await router.chat("m", "hi", max_token=5)  # wrong: a misspelt option: max_token
    await router.chat("m", "hi", dimensions=5)  # wrong: an option of another call: dimensions
    await router.chat("m", "hi", temperature="warm")  # wrong: an option of a wrong type: float
    await router.chat("m", "hi", priority="urgent")  # wrong: a word that it has not: urgent
    await router.chat("m", "hi", tags={"step": 1})  # wrong: tags that are no texts: int
    await router.chat("m", "hi", caller=None)  # wrong: None where something must be said: None
    await router.chat("m", "hi", tools=["weather"])  # wrong: a name in place of a tool: Tool
    router.stream("m", "hi", max_tokens="5")  # wrong: so of a stream: int
    await router.embed("m", [1, 2])  # wrong: no texts: str
    await router.generate("m", ["hi"])  # wrong: no text: str


def wrapped(router: SyncRouter, **options: Unpack[ChatOptions]) -> str:
    return router.chat("m", "hi", **options).text


def handed_on(router: SyncRouter) -> None:
    wrapped(router, max_tokens=5, timout=3)  # wrong: a misspelt option that is handed on: timout
    wrapped(router, stop=5)  # wrong: one of a wrong type that is handed on: stop


async def awaiting(router: Router, sync: SyncRouter) -> None:
    reply = router.chat("m", "hi")
    print(reply.text)  # wrong: not awaited: text
    router.chat("m", "hi")  # wrong: never awaited: used
    await sync.chat("m", "hi")  # wrong: nothing to await: ChatResponse
    with Router.from_config("pointsman.yaml") as opened:  # wrong: it needs `async with`: Router
        print(opened)
    async with SyncRouter.from_config("pointsman.yaml") as opened:  # wrong: it needs `with`: SyncRouter
        print(opened)
    print(await router.status())  # wrong: it is no coroutine: Status
    print(router.health().ok)  # wrong: it is one: ok


async def streams(router: Router, sync: SyncRouter) -> None:
    async with router.stream("m", "hi") as stream:
        for event in stream:  # wrong: it needs `async for`: ChatStream
            print(event)
        async for event in stream:
            print(event.delta)  # wrong: an event has no such attribute: delta
    with sync.stream("m", "hi") as blocking:
        async for event in blocking:  # wrong: it needs `for`: SyncStream
            print(event)


async def values(router: Router, reply: ChatResponse) -> None:
    print(reply.content)  # wrong: an answer has no such attribute: content
    print(reply.usage.total + 1)  # wrong: nobody may have counted: None
    reply.text = ""  # wrong: an answer cannot be changed: text
    Message.user(1)  # wrong: neither a text nor parts: user
    Message("human", "hi")  # wrong: a role that is not there: human
    Tool("weather", parameter={})  # wrong: a misspelt field: parameter
    ChatRequest("m", "hi")  # wrong: no messages: str
    router.batch(["hi"])  # wrong: texts in place of requests: ChatRequest
    print(Text("hi").txt)  # wrong: a misspelt attribute: txt


async def looking(router: Router) -> None:
    status = router.status()
    print(status["models"])  # wrong: no mapping: Status
    print(status.models["m"].deployments[0])  # wrong: no list: str
    print(status.models["m"].deployments["a/x"].breaker.is_open)  # wrong: no such state: is_open
    print(router.explain("m").picked)  # wrong: no such member: picked
    status.in_flight = 0  # wrong: a status cannot be changed: in_flight


def first(event: FirstToken) -> None:
    print(event.second)  # wrong: what happened has no such attribute: second


def ended(event: RequestEnded) -> None:
    print(event.usage.prompt)  # wrong: of a request that failed there is no usage: None


async def listening(router: Router) -> None:
    router.listen(first, kinds=[RequestEnded])  # wrong: not of this kind: RequestEnded
    router.listen(print, kinds=[TextDelta])  # wrong: no event of a router: TextDelta
    router.listen(first)  # wrong: without kinds it hears of all: FirstToken


async def errors(router: Router) -> None:
    try:
        await router.chat("m", "hi")
    except PointsmanError as error:
        print(error.retry_in)  # wrong: an error has no such attribute: retry_in
