"""What a provider owes those who wrote their requests themselves, in a wire that its upstream speaks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from pointsman.errors import CallError, Outcome, ProviderError
from pointsman.original import Original
from pointsman.provider import Call
from pointsman.testing.contract.assertions import assembled, check
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import Bench, Told, error_of
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import ProviderSubject
from pointsman.testing.replay import CannedReply
from pointsman.types import Relayed

_CANARY = "canary-of-the-caller-77"
_UNKNOWN = {"x_novelty": {"model": "inner", "n": [1, 2.5, None]}}
_FOREIGN = ("authorization", "x-api-key", "cookie", "proxy-authorization", "x-forwarded-for", "host")
_MARK = re.compile(rb"pm\.[0-9a-f]{12}\.")
_SEEDS = range(1, 12)


class RelayTerms(ProviderSubject, terms=True):
    """What was written for the upstream reaches it, and what it says comes back."""

    @rule(
        "PROVIDER-61",
        "What a caller wrote for this very API, and we do not know, would be lost without a word.",
    )
    @on_virtual_loop
    async def test_a_body_of_its_wire_reaches_the_upstream_with_another_model_and_nothing_else(self) -> None:
        for wire, body in self._relays():
            for bench, ask in self._relayed_by(wire, {**body, **_UNKNOWN}):
                await ask
                (sent,) = bench.transport.requests
                expected = {**body, **_UNKNOWN, "model": self.model}
                assert json.loads(sent.content) == expected, f"{wire}: the upstream got another body"

    @rule(
        "PROVIDER-62",
        "Clients of an API read members that we do not know; and what the books say must be what the "
        "caller was told.",
    )
    @on_virtual_loop
    async def test_what_is_relayed_is_what_came_under_the_public_name_however_it_was_cut(self) -> None:
        for wire, body in self._relays():
            if (whole := self.chat_ok) is not None:
                bench = Bench(self, whole.reply)
                response = await bench.provider.relay(self.request, self._call(bench, wire, body))
                _check_relayed(response.relayed, whole.body, self.request.model, wire)
                check(response, whole)  # type: ignore[arg-type]  # of chats
            if (canned := self.stream_ok) is None:
                continue
            for reply in (canned.reply, *(canned.reply.cut_by(seed) for seed in _SEEDS)):
                told = await self._told(Bench(self), reply, wire, body)
                assert told.error is None, f"{wire}: the stream ended with {told.error!r}"
                events = [each for each in told.events if not isinstance(each, Relayed)]
                check(assembled(events), canned)
                _check_relayed(_sent_on(told), canned.body, self.request.model, wire)

    @rule(
        "PROVIDER-63",
        "The credential of a caller is for us, and in the log of an upstream it is in the wrong hands.",
    )
    @on_virtual_loop
    async def test_no_header_that_is_not_of_the_wire_goes_on(self) -> None:
        headers = dict.fromkeys(_FOREIGN, _CANARY)
        for wire, body in self._relays():
            for bench, ask in self._relayed_by(wire, body, headers=headers, query=f"key={_CANARY}"):
                await ask
                (sent,) = bench.transport.requests
                found = [name for name, value in sent.headers.items() if _CANARY in value]
                assert found == [], f"{wire}: the caller's {found} went to the upstream"
                assert _CANARY not in str(sent.url), f"{wire}: the caller's query went to the upstream"

    @rule(
        "PROVIDER-64",
        "Clients take a clean end for the end of the answer, so that half of one is taken for all.",
    )
    @on_virtual_loop
    async def test_a_relayed_stream_that_breaks_off_is_an_error(self) -> None:
        canned = self._stream()
        for wire, body in self._relays():
            for ending in ("end", "break"):
                reply = canned.reply.until(canned.body.index(canned.end), ending)
                told = await self._told(Bench(self), reply, wire, body)
                assert isinstance(told.error, ProviderError), f"{wire}, {ending}: {told.error!r}"
                assert canned.end not in _sent_on(told), f"{wire}: an end marker was made up"

    @rule(
        "PROVIDER-65",
        "Clients act on the words of the API that they speak; in ours they find nothing to act on.",
    )
    @on_virtual_loop
    async def test_a_refusal_of_what_the_caller_did_has_the_words_of_the_upstream(self) -> None:
        refusals = [each for each in self.errors if _is_the_callers(each.kind) and each.body[:1] == b"{"]
        if not refusals:
            pytest.skip("no canned refusal is of the caller's making")
        for wire, body in self._relays():
            for refusal in refusals:
                bench = Bench(self, refusal.reply)
                error = await error_of(bench.provider.relay(self.request, self._call(bench, wire, body)))
                assert error.body, f"{wire}: the error has no `body`; raise what `fetch` raises"
                assert json.loads(error.body) == json.loads(refusal.body), f"{wire}: other words"

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────

    def _relays(self) -> list[tuple[str, dict[str, Any]]]:
        return [(wire, dict(body)) for wire, body in self.relays.items()] or pytest.skip("no relays")

    def _call(self, bench: Bench, wire: str, body: dict[str, Any], **more: Any) -> Call:
        named = {"model": self.request.model, **body}
        original = Original(wire, json.dumps(named).encode(), self.request, **more)
        return replace(bench.call(), original=original)

    def _relayed_by(self, wire: str, body: dict[str, Any], **more: Any) -> list[tuple[Bench, Any]]:
        """Both ways to relay a body, each at a bench of its own, to be awaited."""
        ways: list[tuple[Bench, Any]] = []
        if self.chat_ok is not None:
            bench = Bench(self, self.chat_ok.reply)
            ways.append((bench, bench.provider.relay(self.request, self._call(bench, wire, body, **more))))
        if self.stream_ok is not None:
            bench = Bench(self)
            ways.append((bench, self._told(bench, self.stream_ok.reply, wire, body, **more)))
        return ways

    async def _told(
        self, bench: Bench, reply: CannedReply, wire: str, body: dict[str, Any], **more: Any
    ) -> Told:
        bench.begin(reply)
        call = self._call(bench, wire, body, **more)
        try:
            source = await bench.provider.relay_stream(self.request, call)
        except CallError as error:
            return Told((), error)
        told = await bench.read(source)
        await bench.check_released()
        return told


def _is_the_callers(kind: type[CallError]) -> bool:
    return kind.outcome is Outcome.CLIENT_FAULT


def _sent_on(told: Told) -> bytes:
    return b"".join(each.data for each in told.events if isinstance(each, Relayed))


def _check_relayed(came: bytes, body: bytes, public: str, wire: str) -> None:
    """Assert that a caller gets what the upstream sent, but for its name of the model and our marks."""
    assert came, f"{wire}: nothing was relayed"
    relayed = _said(_MARK.sub(b"", came))
    names = {each["model"] for each in relayed if isinstance(each.get("model"), str)}
    assert names <= {public}, f"{wire}: the caller hears of the model {names}"
    assert _unnamed(relayed) == _unnamed(_said(body)), f"{wire}: something else was relayed"


def _said(body: bytes) -> list[dict[str, Any]]:
    """The JSON objects of a body, one or several; signs of life are left out."""
    found = []
    for text in (body, *body.splitlines()):
        try:
            value = json.loads(text.removeprefix(b"data:"))
        except ValueError:
            continue
        if isinstance(value, dict) and value.get("type") != "ping":
            found.append(value)
        if text is body:
            break
    return found


def _unnamed(value: Any) -> Any:
    """A JSON value without the names of models."""
    if isinstance(value, list):
        return [_unnamed(each) for each in value]
    if isinstance(value, dict):
        return {name: _unnamed(each) for name, each in value.items() if name != "model"}
    return value
