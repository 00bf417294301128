"""The state store in Redis: one script, and so one round trip, for each decision."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from math import ceil, inf
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError

from pointsman.plugin import (
    Admission,
    Admitted,
    BudgetFull,
    BudgetHold,
    BudgetSettlement,
    BudgetTake,
    HeldPlace,
    NoRoom,
    Notice,
    Settlement,
    StateContext,
    StateFactory,
    StateStore,
    Take,
    jsonio,
)
from pointsman_redis.budget_scripts import HOLD, RENEW_HOLDS, SETTLE_HOLDS
from pointsman_redis.scripts import ADMIT, HOLDING, PUBLISH, RENEW, SETTLE

_TOGETHER = 256
"""Admissions and holds that are asked for in one go, at most."""
_LISTEN = 60.0
"""Seconds without a message after which a connection that listens is looked after."""
_US = 1_000_000
_ADMIT_SHA = hashlib.sha1(ADMIT.encode(), usedforsecurity=False).hexdigest()
_HOLD_SHA = hashlib.sha1(HOLD.encode(), usedforsecurity=False).hexdigest()
_Question = list[int | str]
"""One run of a script: the digest of that, the number of keys, these, and all else that it is given."""


class RedisSettings(BaseModel):
    """What may stand beside `type` and `url`."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    prefix: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[\w.:-]+$")] = Field(
        default="pointsman",
        description="before all names in Redis: routers that share have the same, fleets that do not another",
    )


class RedisStore(StateStore):
    """What routers share, in one Redis. Connections are opened when something is first asked.

    What is asked while an answer is on its way goes together, as soon as that is there: many calls at once
    cost one connection, and hardly more time than one.
    """

    def __init__(self, url: str, prefix: str) -> None:
        # Neither second tries nor time limits of its own: the router has both, and with a limit redis-py goes
        # through `asyncio.wait_for`, which in Python 3.11 may lose a cancellation.
        self._redis: Any = Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
            socket_timeout=None,
            socket_connect_timeout=None,
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
        )
        self._tag = f"{{{prefix}}}"
        self._settle, self._renew, self._publish, self._holding = map(
            self._redis.register_script, (SETTLE, RENEW, PUBLISH, HOLDING)
        )
        self._settle_holds, self._renew_holds = map(self._redis.register_script, (SETTLE_HOLDS, RENEW_HOLDS))
        self._asked: list[tuple[_Question, asyncio.Future[Sequence[Any]]]] = []
        self._underway: list[tuple[_Question, asyncio.Future[Sequence[Any]]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def admit(self, admission: Admission, /) -> Admitted | NoRoom:
        takes, place = admission.takes, admission.place
        keys = [self._limit(each) for each in takes]
        args: list[int | str] = [len(takes)]
        for each in takes:
            args += [_interval(each), each.units, each.burst, int(each.oversize == "full")]
        if place is not None:
            keys.append(self._place(place.deployment))
            args += [place.places, admission.id, ceil(admission.seconds * _US)]
        done, *said = await self._ask([_ADMIT_SHA, len(keys), *keys, *args])
        if done:
            return Admitted(said)
        number, wait = said
        names = [*(each.limit for each in takes), "" if place is None else place.deployment]
        return NoRoom(names[number - 1], inf if wait < 0 else wait / _US)

    async def _ask(self, question: _Question) -> Sequence[Any]:
        answer: asyncio.Future[Sequence[Any]] = asyncio.get_running_loop().create_future()
        self._asked.append((question, answer))
        if self._asking is None:
            self._asking = asyncio.ensure_future(self._ask_all())
        try:
            return await answer
        except asyncio.CancelledError:
            if self._asking is not None and all(each.done() for _, each in self._underway):
                self._asking.cancel()  # the last who waited for it has given up, and its connection goes
            raise

    async def _ask_all(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
                self._underway = [each for each in asked if not each[1].done()]
                await self._ask_together(self._underway)
        finally:
            self._underway = []
            self._asking = asyncio.ensure_future(self._ask_all()) if self._asked else None

    async def _ask_together(self, asked: Sequence[tuple[_Question, asyncio.Future[Sequence[Any]]]]) -> None:
        try:
            said = await self._together([question for question, _ in asked])
        except Exception as error:
            said = [error] * len(asked)
        except BaseException:
            for _, answer in asked:
                answer.cancel()
            raise
        for (_, answer), each in zip(asked, said, strict=True):
            if answer.done():
                continue
            if isinstance(each, Exception):
                answer.set_exception(each)
            else:
                answer.set_result(each)

    async def _together(self, questions: Sequence[_Question]) -> list[Any]:
        """The answer to each, or its error."""
        for _ in range(2):
            async with self._redis.pipeline(transaction=False) as pipe:
                for each in questions:
                    pipe.evalsha(*each)
                said: list[Any] = await pipe.execute(raise_on_error=False)
            if not any(isinstance(each, NoScriptError) for each in said):
                break
            # All of one script alike: none was run. A server that began anew knows no script.
            for script in (ADMIT, HOLD):
                await self._redis.script_load(script)
            known = [answer for answer in said if not isinstance(answer, NoScriptError)]
            if known:
                lacked = [n for n, answer in enumerate(said) if isinstance(answer, NoScriptError)]
                again = await self._together([questions[n] for n in lacked])
                for n, answer in zip(lacked, again, strict=True):
                    said[n] = answer
                break
        return said

    async def settle(self, settlements: Sequence[Settlement], /) -> None:
        keys: dict[str, int] = {}
        corrections: list[int] = []
        free: list[int | str] = []
        for each in settlements:
            marks = cast("Sequence[int]", each.receipt or ())
            for mark, take, used in zip(marks, each.admission.takes, each.used, strict=False):
                if used != take.units:
                    key = keys.setdefault(self._limit(take), len(keys) + 1)
                    interval = _interval(take)
                    corrections += [key, mark, (used - take.units) * interval, take.burst * interval]
            if (place := each.admission.place) is not None:
                free += [keys.setdefault(self._place(place.deployment), len(keys) + 1), each.admission.id]
        if keys:
            args: list[int | str] = [len(corrections) // 4, *corrections, *free]
            await self._settle(keys=list(keys), args=args)

    async def hold(self, hold: BudgetHold, /) -> BudgetFull | None:
        keys: list[str] = []
        args: list[str | int] = [hold.id, ceil(hold.seconds * _US)]
        for each in hold.takes:
            keys += self._budget(each)
            units = -1 if each.units is None else each.units
            args += [units, each.limit, each.window.per, each.window.kind, each.spent]
        done, *said = await self._ask([_HOLD_SHA, len(keys), *keys, *args])
        if done:
            return None
        number, spent, held, wait = map(int, said)
        return BudgetFull(hold.takes[number - 1].account, spent, held, None if wait < 0 else wait / _US)

    async def settle_holds(self, settlements: Sequence[BudgetSettlement], /) -> None:
        keys: list[str] = []
        args: list[str | int] = []
        for each in settlements:
            for take, used in zip(each.hold.takes, each.used, strict=True):
                keys += self._budget(take)
                args += [each.hold.id, used]
        if keys:
            await self._settle_holds(keys=keys, args=args)

    async def renew_holds(self, holds: Sequence[BudgetHold], /) -> None:
        keys = [self._budget(take)[1] for each in holds for take in each.takes]
        args: list[str | int] = []
        for each in holds:
            args += [each.id, ceil(each.seconds * _US)] * len(each.takes)
        if keys:
            await self._renew_holds(keys=keys, args=args)

    async def renew(self, router: str, held: Sequence[HeldPlace], seconds: float, /) -> int:
        keys = [f"{self._tag}:routers", *(self._place(each.deployment) for each in held)]
        args: list[int | str] = [router, ceil(seconds * _US), *(each.id for each in held)]
        return int(await self._renew(keys=keys, args=args))

    async def publish(self, notice: Notice, /) -> None:
        text = jsonio.dumps([notice.topic, notice.about, notice.value, notice.seconds])
        about = jsonio.dumps([notice.topic, notice.about])
        args: list[bytes | str | int] = [self._channel, about, text, ceil(notice.seconds * _US)]
        await self._publish(keys=self._notices, args=args)

    async def watch(self, told: Callable[[Notice], None], /) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as heard:
            await heard.subscribe(self._channel)
            # After that, so that none falls between the two; one that is told twice does no harm.
            held = await self._holding(keys=self._notices)
            for text, left in zip(held[::2], held[1::2], strict=True):
                _tell(told, text, left / _US)
            answers = True
            while answers:
                message = await heard.get_message(timeout=_LISTEN)
                if message is not None:
                    _tell(told, message["data"])
                    continue
                await heard.ping()
                answers = await heard.get_message(timeout=_LISTEN) is not None
            raise ConnectionError("what listens to the notices of others hears nothing any more")

    async def aclose(self) -> None:
        self._asked.clear()
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        await self._redis.aclose(close_connection_pool=True)

    @property
    def _notices(self) -> list[str]:
        return [f"{self._tag}:notices", f"{self._tag}:notices:text"]

    @property
    def _channel(self) -> str:
        return f"{self._tag}:told"

    def _budget(self, take: BudgetTake) -> list[str]:
        """The keys of an account: of its hash, and of its set."""
        key = f"{self._tag}:budget:{take.account}"
        return [key, f"{key}:holds"]

    def _limit(self, take: Take) -> str:
        return f"{self._tag}:limit:{take.limit}"

    def _place(self, deployment: str) -> str:
        return f"{self._tag}:places:{deployment}"


def _interval(take: Take) -> int:
    """Microseconds of one unit, rounded up: never more than the limit, and slower by less than one in 60 at
    60,000 units a second.
    """
    return ceil(take.period * _US / take.count)


def _tell(told: Callable[[Notice], None], text: bytes, left: float | None = None) -> None:
    """Hand on what another router wrote; what is no notice comes from somebody else, and is left alone."""
    try:
        topic, key, value, seconds = jsonio.loads(text)
        notice = Notice(str(topic), str(key), str(value), float(seconds if left is None else left))
    except (ValueError, TypeError):
        return
    told(notice)


def _made(context: StateContext) -> StateStore:
    if context.address is None:
        raise ValueError("says no `url`, such as redis://127.0.0.1:6379/0")
    settings = context.settings
    assert isinstance(settings, RedisSettings)
    return RedisStore(context.address.reveal(), settings.prefix)


REDIS = StateFactory("redis", RedisSettings, _made)
REDISS = StateFactory("rediss", RedisSettings, _made)
"""The same over TLS: that is what the scheme of the address says."""
