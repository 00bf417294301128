"""What a provider owes the router about what answers mean, whatever was asked."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from pointsman.errors import CallError
from pointsman.testing.contract.assertions import assembled, check, check_events
from pointsman.testing.contract.canned import CannedChat, CannedStream
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import Bench, error_of
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import PROMPT, ProviderSubject
from pointsman.testing.replay import CannedReply
from pointsman.types import ChatResponse, EmbedRequest, GenerateRequest


class MeaningTerms(ProviderSubject, terms=True):
    """Each answer means what its author says, and owes nothing to those before it."""

    @rule("PROVIDER-38", "Calls of tools are lost, or parts of an answer, in all but the simplest of them.")
    @on_virtual_loop
    async def test_each_further_answer_gives_everything_that_it_says(self) -> None:
        if not self.more_ok:
            pytest.skip("no canned more_ok")
        for canned in self.more_ok:
            check(await _read(Bench(self, anyhow=True), canned), canned)

    @rule("PROVIDER-39", "An answer that was cut off or filtered passes for one that ended well.")
    @on_virtual_loop
    async def test_each_word_for_the_end_has_its_meaning_and_an_unknown_one_is_another(self) -> None:
        tried = [each for each in (self.chat_ok, self.stream_ok) if each is not None]
        if not self.finish_words or not tried:
            pytest.skip("no canned finish_words")
        for canned in tried:
            there = [word for word in self.finish_words if word in canned.body]
            assert there, f"none of the words of finish_words stands in {canned.body[:200]!r}"
            word = max(there, key=len)
            for other, meant in {**self.finish_words, _unheard(word): "other"}.items():
                body = canned.body.replace(word, other)
                found = await _reason(Bench(self), canned, body)
                assert found == meant, f"finish_reason of {other!r} is {found!r}, not {meant!r}"

    @rule("PROVIDER-40", "Plain completions lose text, or what it costs.")
    @on_virtual_loop
    async def test_a_plain_completion_gives_everything_that_the_answer_says(self) -> None:
        canned = self.generate_ok
        if canned is None:
            pytest.skip("no canned generate_ok")
        bench = Bench(self, canned.reply, anyhow=True)

        response = await bench.provider.generate(GenerateRequest("public", PROMPT), bench.call())

        check(response, canned)
        await bench.check_released()

    @rule("PROVIDER-41", "A vector that belongs to another text spoils an index without anybody noticing.")
    @on_virtual_loop
    async def test_vectors_come_in_the_order_of_the_texts_and_with_what_they_cost(self) -> None:
        canned = self.embed_ok
        if canned is None:
            pytest.skip("no canned embed_ok")
        bench = Bench(self, canned.reply, anyhow=True)

        response = await bench.provider.embed(EmbedRequest("public", tuple(canned.texts)), bench.call())

        found = [list(map(float, each)) for each in response.vectors]
        assert found == [list(map(float, each)) for each in canned.vectors], f"vectors: {found!r}"
        assert response.usage == canned.usage, f"usage: {response.usage!r}"
        await bench.check_released()

    @rule("PROVIDER-42", "Texts are stored without vectors, or with those of others.")
    @on_virtual_loop
    async def test_vectors_that_are_not_as_many_or_as_long_as_asked_for_are_refused(self) -> None:
        canned = self.embed_ok
        if canned is None:
            pytest.skip("no canned embed_ok")
        texts, bench = tuple(canned.texts), Bench(self, canned.reply)
        asked = [EmbedRequest("public", (*texts, "one more"))]
        if len(texts) > 1:
            asked.append(EmbedRequest("public", texts[:-1]))
        asked.append(EmbedRequest("public", texts, dimensions=len(canned.vectors[0]) + 1))
        for request in asked:
            error = await error_of(bench.provider.embed(request, bench.call()))
            assert isinstance(error, CallError), f"got {error!r}"

    @rule("PROVIDER-43", "Callers are told what belonged to the call of somebody else.")
    @on_virtual_loop
    async def test_an_answer_owes_nothing_to_those_that_came_before_it(self) -> None:
        answers: list[CannedChat] = [each for each in (self.chat_ok, self.stream_ok) if each is not None]
        answers += [*self.more_ok, *([self.stream_tools] if self.stream_tools is not None else [])]
        if not answers:
            pytest.skip("neither chat_ok nor stream_ok is given")
        bench = Bench(self)
        for canned in (*answers, *reversed(answers)):
            await _broken_off(bench, canned)
            check(await _read(bench, canned), canned)


async def _read(bench: Bench, canned: CannedChat) -> ChatResponse:
    """What the provider makes of a canned answer, as a stream or in whole as it was written down."""
    if not isinstance(canned, CannedStream):
        return await bench.chat(canned.reply)
    told = await bench.stream(canned.reply)
    assert told.error is None, f"the stream ended with {told.error!r}"
    check_events(told.events)
    return assembled(told.events)


async def _broken_off(bench: Bench, canned: CannedChat) -> None:
    """Have an answer break off in the midst."""
    reply: CannedReply = canned.reply.until(len(canned.body) // 2, "break")
    if isinstance(canned, CannedStream):
        await bench.stream(reply)
    else:
        await error_of(bench.chat(reply))


async def _reason(bench: Bench, canned: CannedChat, body: bytes) -> str | None:
    reply = replace(canned.reply, body=body)
    if not isinstance(canned, CannedStream):
        return (await bench.chat(reply)).finish_reason
    told = await bench.stream(reply)
    assert told.error is None, f"the stream ended with {told.error!r} when it says {body!r}"
    return assembled(told.events).finish_reason


def _unheard(word: bytes) -> bytes:
    """A word that no upstream has, in the shape of `word`."""
    runs = [*re.finditer(rb"[A-Za-z0-9]+", word)]
    if not runs:
        return word + b"unheard"
    start, end = runs[-1].span()
    return word[:start] + (b"97" if runs[-1].group().isdigit() else b"unheard") + word[end:]
