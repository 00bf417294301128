"""What a provider owes the router about calls that are given up, and about many at once."""

from __future__ import annotations

import asyncio

from pointsman.testing.contract.assertions import assembled
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import PATIENCE, Bench, cancelled, exhausted, turns
from pointsman.testing.contract.mutations import (
    distinct,
    renamed,
    word_of,
)
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject


class CancellationTerms(ProviderSubject, terms=True):
    """What is given up ends at once and gives back what it took; calls do not meet."""

    @rule(
        "PROVIDER-26",
        "The upstream goes on computing for somebody who has left, and the caller who gave up "
        "cannot stop it.",
    )
    @on_virtual_loop
    async def test_cancelling_before_the_answer_passes_through_and_ends_the_request(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, None)
            await cancelled(ask(bench, bench.call()), lambda b=bench: bool(b.transport.requests))  # type: ignore[misc]
            await turns()
            assert bench.transport.cancelled == 1, "the request goes on at the upstream"

    @rule(
        "PROVIDER-27",
        "A connection would be lost to the pool with each call that is given up, until there is none.",
    )
    @on_virtual_loop
    async def test_cancelling_while_the_answer_arrives_passes_through_and_closes_it(self) -> None:
        canned = self._chat()
        for length in (0, len(canned.body) // 2):
            bench = Bench(self, canned.reply.until(length, "silence"))
            work = bench.provider.chat(self.request, bench.call())
            await cancelled(work, lambda b=bench: bool(b.transport.bodies))  # type: ignore[misc]
            await bench.check_released()

    @rule("PROVIDER-28", "A stream that nobody reads any more would go on costing tokens and hold its place.")
    @on_virtual_loop
    async def test_cancelling_mid_stream_passes_through_and_abort_closes_it_at_once(self) -> None:
        canned = self._stream()
        for length in (0, len(canned.body) // 2):
            bench = Bench(self, canned.reply.until(length, "silence"))
            source = await bench.provider.stream(self.request, bench.call())
            await cancelled(exhausted(source, bench), lambda: True)

            source.abort()

            await bench.check_released()

    @rule("PROVIDER-29", "Callers who have read enough would use up the connections one by one.")
    @on_virtual_loop
    async def test_a_stream_closed_early_gives_its_connection_back(self) -> None:
        canned = self._stream()
        for close in ("aclose", "abort"):
            for steps in (0, 1, 2):
                bench = Bench(self, canned.reply.cut_by(2))
                source = await bench.provider.stream(self.request, bench.call())
                for _ in range(steps):
                    await source.next(bench.now() + PATIENCE)
                if close == "aclose":
                    await source.aclose()
                else:
                    source.abort()
                await bench.check_released()

    @rule("PROVIDER-30", "Somebody would be given the answer to another caller's question.")
    @on_virtual_loop
    async def test_fifty_calls_at_once_do_not_mix(self) -> None:
        for name, canned in (("chat", self.chat_ok), ("stream", self.stream_ok)):
            if canned is None:
                continue
            word = word_of(canned)
            replies = {f"req-{n}": distinct(canned, word, n).cut_by(n + 2) for n in range(50)}
            bench = Bench(self, lambda request, r=replies: r.get(request.headers["x-pointsman-request-id"]))  # type: ignore[misc]

            async def ask(n: int, bench: Bench = bench, name: str = name) -> str:
                call = bench.call(request_id=f"req-{n}")
                if name == "chat":
                    return (await bench.provider.chat(self.request, call)).text
                told = await bench.read(await bench.provider.stream(self.request, call))
                assert told.error is None, f"call {n} ended with {told.error!r}"
                return assembled(told.events).text

            texts = await asyncio.gather(*(ask(n) for n in range(50)))

            for n, text in enumerate(texts):
                assert text == renamed(canned.text, word, n), f"call {n} got {text!r}"
