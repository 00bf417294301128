"""What a provider owes the router about failures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pointsman._internal.httpx_lazy import httpx
from pointsman.errors import (
    AttemptTimeout,
    CallError,
    ConnectionFailed,
    Outcome,
)
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import PATIENCE, Bench, error_of
from pointsman.testing.contract.mutations import (
    other_value,
    spoiled,
)
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import PROMPT, ProviderSubject
from pointsman.testing.loop import run
from pointsman.testing.replay import CannedReply, ReplayStep
from pointsman.types import EmbedRequest, GenerateRequest

_FAILURES = (500, 502, 503, 504, 529)
EDGE_PAGE = b"<html><head><title>Bad gateway</title></head><body>try later</body></html>"


class FailureTerms(ProviderSubject, terms=True):
    """Each failure is the error that it is, raised in time and once."""

    @rule(
        "PROVIDER-20",
        "Retries, fallbacks, breakers and callers go by the class of an error and by the time to "
        "wait that stands in it.",
    )
    @on_virtual_loop
    async def test_each_refusal_has_its_class_and_carries_its_status(self) -> None:
        if not self.errors:
            pytest.skip("no canned errors")
        for canned in self.errors:
            for ask, _ in self._ways():
                bench = Bench(self, canned.reply)
                error = await error_of(ask(bench, bench.call()))
                what = f"status {canned.status} with {canned.body[:80]!r}"
                assert type(error) is canned.kind, f"{what}: expected {canned.kind.__name__}, got {error!r}"
                assert error.status == canned.status, f"{what}: the error says status {error.status}"
                if canned.retry_after is not None:
                    assert error.retry_after == pytest.approx(canned.retry_after), f"{what}: retry_after"
                await bench.check_released()

    @rule(
        "PROVIDER-21",
        "A fault of one upstream would be the end of a request that another could have answered.",
    )
    @on_virtual_loop
    async def test_a_server_error_may_be_tried_elsewhere_whatever_its_body(self) -> None:
        for status in _FAILURES:
            for body in (b"", b"oops", EDGE_PAGE, b"{}", b"[]", b'{"error": null}'):
                for ask, _ in self._ways():
                    bench = Bench(self, CannedReply(status, body))
                    error = await error_of(ask(bench, bench.call()))
                    what = f"status {status} with {body!r} gave {error!r}"
                    assert error.retry_elsewhere, f"{what}, which is not tried elsewhere"
                    assert error.outcome in (Outcome.UPSTREAM_FAULT, Outcome.OVERLOAD), what
                    assert error.status == status, f"{what}, with status {error.status}"

    @rule(
        "PROVIDER-22",
        "The router retries, and elsewhere first; a second one within multiplies the load on an "
        "upstream that is already down.",
    )
    @on_virtual_loop
    async def test_the_provider_does_not_retry(self) -> None:
        steps: list[ReplayStep] = [
            CannedReply(500, b"oops"),
            CannedReply(429, b"{}", {"retry-after": "0"}),
            CannedReply(200, b"\xff"),
            httpx.ConnectError("refused"),
            httpx.ReadError("reset"),
            None,
        ]
        for step in steps:
            for ask, _ in self._ways():
                bench = Bench(self, step)
                error = await error_of(ask(bench, bench.call()))
                count = len(bench.transport.requests)
                assert count == 1, f"{count} requests for one call that ended with {error!r}"

    @rule(
        "PROVIDER-23",
        "Only what was surely not sent may be sent again without the danger that it is paid for twice.",
    )
    @on_virtual_loop
    async def test_a_failed_connection_is_a_connection_failed(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, httpx.ConnectError("refused"))
            error = await error_of(ask(bench, bench.call()))
            assert isinstance(error, ConnectionFailed), f"got {error!r}"
            assert not error.sent, "nothing was sent, and the error does not say so"

    @rule("PROVIDER-24", "The time limits of a configuration would hold for every provider but this one.")
    @on_virtual_loop
    async def test_an_upstream_that_never_answers_is_given_up_in_time(self) -> None:
        for ask, _ in self._ways():
            bench = Bench(self, None)
            before = bench.now()
            error = await error_of(ask(bench, bench.call(seconds=PATIENCE)))
            assert isinstance(error, AttemptTimeout), f"got {error!r}"
            assert bench.now() - before < 2 * PATIENCE, "pass `timeouts=call.timeouts` on"

    @rule(
        "PROVIDER-25",
        "Whatever else comes out counts as a fault of the plugin: it is not retried, and the "
        "caller cannot tell what happened.",
    )
    def test_whatever_the_upstream_sends_only_our_errors_come_out(self) -> None:
        ways = [(name, canned) for name, canned in self._bodies() if canned is not None]
        if not ways:
            pytest.skip("there is no canned answer to any kind of request")

        @settings(max_examples=self.examples, deadline=None)
        @given(st.sampled_from(ways), st.data())
        def law(way: tuple[str, CannedReply], data: st.DataObject) -> None:
            name, reply = way
            body = data.draw(
                st.one_of(st.binary(max_size=80), spoiled(reply.body), other_value(reply.body)),
                label="body",
            )
            status = data.draw(st.sampled_from((200, 200, 200, 201, 400, 404, 429, 500)), label="status")
            run(self._only_our_errors(name, replace(reply, status=status, body=body)))

        law()

    def _bodies(self) -> Iterator[tuple[str, CannedReply | None]]:
        for name in (
            "chat_ok",
            "stream_ok",
            "stream_tools",
            "mid_stream_error",
            "models_ok",
            "generate_ok",
            "embed_ok",
        ):
            canned = getattr(self, name)
            yield name, None if canned is None else canned.reply
        for canned in self.errors:
            if self.chat_ok is not None:
                yield "chat_ok", canned.reply

    async def _only_our_errors(self, name: str, reply: CannedReply) -> None:
        bench = Bench(self, reply)
        try:
            if name == "chat_ok":
                await bench.provider.chat(self.request, bench.call())
            elif name == "models_ok":
                await bench.provider.models()
            elif name == "generate_ok":
                await bench.provider.generate(GenerateRequest("public", PROMPT), bench.call())
            elif name == "embed_ok":
                await bench.provider.embed(EmbedRequest("public", ("one", "two")), bench.call())
            else:
                await bench.stream(reply)
        except CallError:
            pass
        await bench.check_released()
