"""What a provider owes the router about answers that are none: statuses, redirects, odd bodies, silence."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from pointsman.errors import AttemptTimeout, BadResponse, CallError, ProviderError, Unsupported
from pointsman.testing.contract.assertions import assembled
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import PATIENCE, Bench, Told, error_of
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import PROMPT, ProviderSubject
from pointsman.testing.replay import CannedReply, ReplayStep
from pointsman.types import ChatResponse, EmbedRequest, EmbedResponse, GenerateRequest
from pointsman.wire.status_errors import error_for_status

_STATUSES = (400, 401, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 529)
_DEEP = 2_000
_ODD = (
    *(b"null", b"[]", b"{}", b'"x"', b"1", b"true", b'{"error":null}', b'{"error":{}}', b"[null]", b"[[]]"),
    *(
        b"NaN",
        b'{"a":NaN}',
        b"1e999",
        b"9" * 400,
        b"[" * _DEEP,
        b'{"a":' * _DEEP,
        b"[" * _DEEP + b"]" * _DEEP,
    ),
    *(b"", b" \n", b"\xff\xfe", b"<html><body>hello</body></html>"),
)
_EMPTY = ("[]", "[n", "[[")
"""How a bare list begins in which no model stands."""
_MANAGED_WITHIN = 600.0
_Ask = Callable[[Bench], Coroutine[Any, Any, Any]]


class ShapeTerms(ProviderSubject, terms=True):
    """Whatever is no answer is an error of ours, of the right class, in time."""

    @rule("PROVIDER-44", "The router blames the wrong one: it asks again in vain, or gives up too soon.")
    @on_virtual_loop
    async def test_each_status_is_the_error_of_the_default_table_or_of_the_plugins_own(self) -> None:
        for name, ask in self._asks():
            bench = Bench(self)
            for status in _STATUSES:
                meant = self.statuses.get(status) or type(error_for_status(status, {}, "", wall=0.0))
                for body in (b"", b'{"note":1}'):
                    bench.begin(CannedReply(status, body))
                    error = await _error(bench, ask)
                    if error is None:
                        continue
                    what = f"{name}: status {status} with {body!r}"
                    # Where nobody says what is not found, it may as well be the path.
                    may_be = (meant, BadResponse) if status == 404 else (meant,)
                    assert type(error) in may_be, f"{what}: expected {meant.__name__}, got {error!r}"
                    assert error.status == status, f"{what}: the error says status {error.status}"

    @rule("PROVIDER-45", "An empty answer in place of an error is taken for what the model said.")
    @on_virtual_loop
    async def test_a_body_that_is_no_answer_is_an_error_and_never_a_success(self) -> None:
        for name, ask in (*self._asks(), ("probe", _probe)):
            bench = Bench(self)
            for body in _ODD:
                bench.begin(CannedReply(200, body))
                what = f"{name}: the body {body[:40]!r}"
                try:
                    made = await ask(bench)
                except CallError:
                    await bench.check_released()
                except (Exception, pytest.fail.Exception) as error:
                    raise AssertionError(f"{what} ends with {error!r}, which is no error of ours") from error
                else:
                    assert self._may_mean(made, body), f"{what} is taken for the answer {made!r}"

    @rule("PROVIDER-46", "A credential follows a redirect to whoever sent it.")
    @on_virtual_loop
    async def test_a_redirect_is_an_error_and_is_not_followed(self) -> None:
        for name, ask in self._asks():
            for status in (301, 302, 307, 308):
                steps = [CannedReply(status, b"", {"location": "/elsewhere"})]
                bench = Bench(self, lambda _request, s=steps: s[0])  # type: ignore[misc]
                error = await _error(bench, ask)
                if error is not None:
                    count = len(bench.transport.requests)
                    assert count == 1, f"{name}: {count} requests where the answer is a {status}"
                    assert isinstance(error, ProviderError), f"{name}: a {status} is a {error!r}"

    @rule("PROVIDER-47", "A call hangs for as long as an upstream keeps the connection open.")
    @on_virtual_loop
    async def test_an_answer_that_never_ends_is_given_up_in_time(self) -> None:
        for way in self._operations():
            if way.name == "stream":
                continue  # what streams owe is a rule of its own
            bench = Bench(self, way.reply.until(len(way.reply.body) // 2, "silence"))
            before = bench.now()
            error = await error_of(way.ask(bench, bench.call(seconds=PATIENCE)))
            assert isinstance(error, AttemptTimeout), f"{way.name}: got {error!r}"
            assert bench.now() - before < 2 * PATIENCE, f"{way.name}: pass `timeouts=call.timeouts` on"
        silent: list[ReplayStep] = [None]
        if self.models_ok is not None:
            silent.append(self.models_ok.reply.until(5, "silence"))
        for step in silent:
            bench = Bench(self, step)
            before = bench.now()
            await _error(bench, _models)
            assert bench.now() - before < _MANAGED_WITHIN, "models: give up in time, as `manage` does"

    def _asks(self) -> Iterator[tuple[str, _Ask]]:
        """All that can be asked of the provider, with or without a canned answer."""
        if self.chat_ok is not None:
            yield "chat", lambda bench: bench.provider.chat(self.request, bench.call())
        if self.stream_ok is not None:
            yield "stream", self._streamed
        yield "generate", _generate
        yield "embed", _embed
        yield "models", _models

    async def _streamed(self, bench: Bench) -> ChatResponse:
        told: Told = await bench.read(await bench.provider.stream(self.request, bench.call()))
        if told.error is not None:
            raise told.error
        return assembled(told.events)

    def _may_mean(self, made: Any, body: bytes) -> bool:
        """Whether `made` may be what a body says that the wire of this provider allows."""
        text = body.decode("utf-8", "replace")
        match made:
            case None:  # of a probe, for which any success may do
                return True
            case ChatResponse():
                return bool(made.text) and made.text in text
            case EmbedResponse():
                return False
            case list() | tuple():
                return all(each.id and each.id in text for each in made) if made else text[:2] in _EMPTY
            case _:
                return False


async def _generate(bench: Bench) -> Any:
    return await bench.provider.generate(GenerateRequest("public", PROMPT), bench.call())


async def _embed(bench: Bench) -> Any:
    return await bench.provider.embed(EmbedRequest("public", ("one", "two")), bench.call())


async def _models(bench: Bench) -> Any:
    return await bench.provider.models()


async def _probe(bench: Bench) -> object:
    await bench.provider.probe()
    return None


async def _error(bench: Bench, ask: _Ask) -> CallError | None:
    """The error that asking ends with; None where the provider cannot do this at all."""
    error = await error_of(ask(bench))
    await bench.check_released()
    return None if isinstance(error, Unsupported) and not bench.transport.requests else error
