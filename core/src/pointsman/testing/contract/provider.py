"""What every provider owes the router."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from pointsman._internal.httpx_lazy import httpx
from pointsman.errors import (
    CallError,
    ProviderError,
    Unsupported,
)
from pointsman.provider import Provider
from pointsman.testing.contract.answers import AnswerTerms
from pointsman.testing.contract.cancelling import CancellationTerms
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.failures import EDGE_PAGE, FailureTerms
from pointsman.testing.contract.harness import KEY, Bench, error_of
from pointsman.testing.contract.live import Live, LiveContract
from pointsman.testing.contract.meanings import MeaningTerms
from pointsman.testing.contract.relaying import RelayTerms
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.secrecy import SecrecyTerms
from pointsman.testing.contract.sending import SendingTerms
from pointsman.testing.contract.shapes import ShapeTerms
from pointsman.testing.contract.subject import PROMPT
from pointsman.testing.contract.tidiness import TidinessTerms
from pointsman.testing.contract.watching import network_refused
from pointsman.testing.loop import run
from pointsman.testing.replay import CannedReply, ReplayStep, ReplayTransport, provider_for
from pointsman.types import EmbedRequest, GenerateRequest, Request


class ProviderContract(
    AnswerTerms,
    MeaningTerms,
    SendingTerms,
    FailureTerms,
    ShapeTerms,
    CancellationTerms,
    TidinessTerms,
    SecrecyTerms,
    RelayTerms,
    terms=True,
):
    """What every provider owes the router. Rules about HTTP leave one without an endpoint alone.

    What a class of tests says of its provider are the attributes of `subject.ProviderSubject`, and:

    Attributes:
        live: a real upstream. It brings the rules LIVE-01 and on, tried with a recording, which
            `pytest --pointsman-live` makes anew.
    """

    live: ClassVar[Live | None] = None

    @classmethod
    def _more_terms(cls) -> Mapping[str, Any]:
        return LiveContract._terms if cls.live is not None else {}

    # ── making one ──────────────────────────────────────────────────────────────────────────────────

    @rule(
        "PROVIDER-01",
        "A router is built where no event loop runs, and a check of a configuration must reach nobody.",
    )
    def test_the_factory_makes_a_provider_without_a_loop_and_without_touching_the_network(self) -> None:
        transport = ReplayTransport()

        with network_refused() as wanted:
            provider = provider_for(
                self.factory, transport, settings=self.settings, base_url=self.base_url, name="gpu1", key=KEY
            )

        assert wanted == [], f"making the provider touched the network: {wanted[0]}"
        assert isinstance(provider, Provider), f"the factory made {provider!r}, which is no Provider"
        assert provider.name == "gpu1", "the provider does not know its configured name"
        assert transport.requests == [], "making the provider sent a request"

    @rule(
        "PROVIDER-02",
        "A mistyped key would be ignored, and found when the setting is missed in production.",
    )
    def test_unknown_settings_are_refused(self) -> None:
        given_settings = {**self.settings, "no_plugin_has_this_setting": 1}
        with pytest.raises(ValidationError):
            self.factory.settings.model_validate(given_settings)

    @rule(
        "PROVIDER-03",
        "The error of a configuration lands in a terminal and a log, with the key that somebody "
        "put in the wrong place.",
    )
    def test_settings_are_refused_without_showing_what_they_hold(self) -> None:
        given_settings = {**self.settings, "no_plugin_has_this_setting": KEY}
        with pytest.raises(ValidationError) as caught:
            self.factory.settings.model_validate(given_settings)

        assert KEY not in str(caught.value), "add hide_input_in_errors=True to the model's configuration"

    # ── what is sent ────────────────────────────────────────────────────────────────────────────────

    @rule(
        "PROVIDER-04",
        "Calls that go elsewhere pass the tests of a network by; without the ids nobody finds a "
        "request again in the log of the upstream.",
    )
    @on_virtual_loop
    async def test_a_call_goes_to_the_configured_place_with_the_ids_of_request_and_attempt(self) -> None:
        for ask, reply in self._ways():
            bench = Bench(self, reply)
            await ask(bench, bench.call(request_id="req-77", attempt=3))

            (sent,) = bench.transport.requests
            assert str(sent.url).startswith(self._origin()), f"the call went to {sent.url}"
            assert sent.headers.get("x-pointsman-request-id") == "req-77", "send `headers=call.headers`"
            assert sent.headers.get("x-pointsman-attempt") == "3", "send `headers=call.headers`"

    @rule("PROVIDER-05", "A key in an address or a body is written to the logs of every proxy on the way.")
    @on_virtual_loop
    async def test_the_credential_stands_in_the_headers_of_authorize_and_nowhere_else(self) -> None:
        for ask, reply in self._ways():
            bench = Bench(self, reply)
            await ask(bench, bench.call())

            (sent,) = bench.transport.requests
            endpoint = bench.endpoint
            meant = {name.lower() for name, value in endpoint.authorize(KEY).items() if KEY in value}
            holding = {name for name, value in sent.headers.items() if KEY in value}
            assert meant, "`authorize` of the endpoint makes no header of the credential"
            assert holding == meant, f"the credential is in {holding}, `authorize` puts it in {meant}"
            assert KEY not in str(sent.url), "the credential is in the URL"
            assert KEY.encode() not in sent.content, "the credential is in the body"

    @rule(
        "PROVIDER-06",
        "Logs and reports of errors are kept for years, and read by people who may know neither "
        "keys nor prompts.",
    )
    def test_no_repr_error_or_log_shows_the_credential_or_the_prompt(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        shown = run(self._everything_shown())

        shown["the log"] = caplog.text
        for where, text in shown.items():
            assert KEY not in text, f"the credential is in {where}"
            assert PROMPT not in text, f"the prompt is in {where}"

    @rule(
        "PROVIDER-07",
        "What is sent all the same costs money and answers another question; refused before, it "
        "goes to a deployment that can.",
    )
    @on_virtual_loop
    async def test_what_the_upstream_cannot_do_is_refused_before_anything_is_sent(self) -> None:
        bench = Bench(self, CannedReply())
        missing: list[Callable[[], Awaitable[Any]]] = []
        if self.chat_ok is None:
            missing.append(lambda: bench.provider.chat(self.request, bench.call()))
        if self.stream_ok is None:
            missing.append(lambda: bench.provider.stream(self.request, bench.call()))
        if self.models_ok is None:
            missing.append(bench.provider.models)
        for each in self.unsupported:
            missing += self._asked(bench, each)

        for ask in missing:
            with pytest.raises(Unsupported):
                await ask()
            assert bench.transport.requests == [], "the request was sent all the same"
        if not missing:
            pytest.skip("the provider can do everything that there is a canned answer for")

    # ── management ──────────────────────────────────────────────────────────────────────────────────

    @rule(
        "PROVIDER-08",
        "Callers choose from this list, and health and configuration are checked against it.",
    )
    @on_virtual_loop
    async def test_models_lists_what_the_upstream_has(self) -> None:
        if self.models_ok is None:
            pytest.skip("no canned models_ok")
        bench = Bench(self, self.models_ok.reply)

        models = await bench.provider.models()

        assert [each.id for each in models] == list(self.models_ok.ids)
        await bench.check_released()

    @rule(
        "PROVIDER-09",
        "A probe that is wrong keeps calls away from an upstream that works, or sends them to "
        "one that does not.",
    )
    @on_virtual_loop
    async def test_probe_returns_for_a_healthy_upstream_and_raises_for_any_other(self) -> None:
        healthy = self.probe_ok or (self.models_ok.reply if self.models_ok is not None else None)
        if healthy is None:
            pytest.skip("no canned probe_ok or models_ok")
        await Bench(self, healthy).provider.probe()

        ill: list[ReplayStep] = [
            CannedReply(500, b"oops"),
            CannedReply(503, b""),
            httpx.ConnectError("refused"),
            None,
        ]
        for step in ill:
            bench = Bench(self, step)
            error = await error_of(bench.provider.probe())
            assert isinstance(error, ProviderError), f"got {error!r}"
            assert len(bench.transport.requests) == 1, "a probe that fails is not repeated"

    @rule(
        "PROVIDER-10",
        "Connections that nobody closes pile up with every reload until no more can be opened.",
    )
    @on_virtual_loop
    async def test_closing_the_provider_closes_what_it_opened(self) -> None:
        bench = Bench(self, self.models_ok.reply if self.models_ok is not None else CannedReply())
        if self.models_ok is not None:
            await bench.provider.models()
            assert not bench.transport.closed, "the provider's client is closed after one call"

        await bench.provider.aclose()

        used = bool(bench.transport.requests)
        assert bench.transport.closed == used, "close in `aclose` what was made with `context.open`"

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────────

    def _origin(self) -> str:
        return self.base_url.split("/", 3)[0] + "//" + self.base_url.split("/", 3)[2]

    def _asked(self, bench: Bench, request: Request) -> list[Callable[[], Awaitable[Any]]]:
        provider = bench.provider
        match request:
            case GenerateRequest():
                return [lambda: provider.generate(request, bench.call())]
            case EmbedRequest():
                return [lambda: provider.embed(request, bench.call())]
            case _:
                return [
                    lambda: provider.chat(request, bench.call()),
                    lambda: provider.stream(request, bench.call()),
                ]

    async def _everything_shown(self) -> dict[str, str]:
        bench = Bench(self)
        call = bench.call()
        objects = (bench.provider, bench.endpoint, call, call.http)
        shown = {f"the repr of {type(each).__name__}": f"{each!r} {each}" for each in objects}
        steps: list[ReplayStep] = [
            *(each.reply for each in self.errors),
            CannedReply(200, b"\xff"),
            CannedReply(401, b""),
            CannedReply(401, f"the key {KEY} is wrong".encode()),
            CannedReply(500, f'{{"error": {{"message": "no such key: {KEY}"}}}}'.encode()),
            CannedReply(500, EDGE_PAGE),
            httpx.ConnectError("refused"),
            httpx.ReadError("reset"),
            None,
        ]
        if self.mid_stream_error is not None:
            steps.append(self.mid_stream_error.reply)
        for ask, reply in self._ways():
            for step in [*steps, reply.until(len(reply.body) // 2), reply.until(9, "break")]:
                bench = Bench(self, step)
                try:
                    await ask(bench, bench.call())
                except CallError as error:
                    where = f"the {type(error).__name__} of {step!r}"
                    chain = "".join(traceback.format_exception(error))
                    shown[where] = f"{error} {error!r} {vars(error)!r} {chain}"
        return shown
