"""What a provider owes the router about secrets beside the way of a chat, and about its import."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pointsman._internal.httpx_lazy import httpx
from pointsman.errors import CallError
from pointsman.testing.contract.enforcement import on_virtual_loop
from pointsman.testing.contract.harness import KEY, Bench
from pointsman.testing.contract.rules import rule
from pointsman.testing.contract.subject import PROMPT, ProviderSubject
from pointsman.testing.loop import run
from pointsman.testing.replay import CannedReply, ReplayStep
from pointsman.types import EmbedRequest, GenerateRequest

_NAMED_SECRET = re.compile(r"(^|_)(api_?key|key|secret|token|password|passphrase|credentials?)$")
_TELLING: tuple[ReplayStep, ...] = (
    CannedReply(401, f"the key {KEY} is wrong".encode()),
    CannedReply(500, f'{{"error": {{"message": "no such key: {KEY}"}}}}'.encode()),
    CannedReply(200, f"<html>{KEY}</html>".encode()),
    httpx.ConnectError("refused"),
)


class SecrecyTerms(ProviderSubject, terms=True):
    """No secret is shown on the ways that few look at."""

    @rule(
        "PROVIDER-58", "The key stands in the log of a proxy that sees where lists of models are asked for."
    )
    @on_virtual_loop
    async def test_no_call_beside_the_chats_shows_the_credential_or_the_prompt(self) -> None:
        async for name, bench, ask in self._beside():
            shown, kind = "", ""
            try:
                await ask()
            except CallError as error:
                kind = type(error).__name__
                shown = f"{error} {error!r} {vars(error)!r} {''.join(traceback.format_exception(error))}"
            assert KEY not in shown, f"{name}: the credential is in its {kind}"
            assert PROMPT not in shown, f"{name}: the prompt is in its {kind}"
            meant = {key.lower() for key, value in bench.endpoint.authorize(KEY).items() if KEY in value}
            for sent in bench.transport.requests:
                assert KEY not in str(sent.url), f"{name}: the credential is in the URL"
                assert KEY.encode() not in sent.content, f"{name}: the credential is in the body"
                holding = {key for key, value in sent.headers.items() if KEY in value}
                assert holding <= meant, f"{name}: the credential is in {holding}, `authorize` says {meant}"

    @rule("PROVIDER-59", "Prompts and keys end up wherever the output of the program goes.")
    def test_nothing_is_printed_or_logged_that_is_secret(
        self, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)

        run(self._all_asked())

        printed = capsys.readouterr()
        assert not printed.out, (
            f"it prints {printed.out[:80]!r}; `context.log` is for what somebody should know"
        )
        for where, text in (("stderr", printed.err), ("the log", caplog.text)):
            assert KEY not in text, f"the credential is in {where}"
            assert PROMPT not in text, f"the prompt is in {where}"

    @rule("PROVIDER-60", "A key that a configuration holds is in every traceback that shows the settings.")
    def test_settings_show_no_secret_that_they_hold(self) -> None:
        for name, said in secrets(self.factory.settings, dict(self.settings)):
            for what, text in (("repr", repr(said)), ("str", str(said))):
                assert KEY not in text, f"the {what} of the settings shows `{name}`: make it a Secret"

    async def _beside(self) -> AsyncIterator[tuple[str, Bench, Callable[[], Awaitable[Any]]]]:
        models: list[ReplayStep] = [] if self.models_ok is None else [self.models_ok.reply]
        for step in (*_TELLING, *models):
            for name in ("models", "in_memory", "probe"):
                bench = Bench(self, step)
                yield name, bench, getattr(bench.provider, name)
        replies = {"generate": self.generate_ok, "embed": self.embed_ok}
        asked: dict[str, Any] = {
            "generate": GenerateRequest("public", PROMPT),
            "embed": EmbedRequest("public", (PROMPT,)),
        }
        for name, canned in replies.items():
            steps: list[ReplayStep] = [*_TELLING, *([canned.reply] if canned is not None else [])]
            for step in steps:
                bench = Bench(self, step)
                operation = getattr(bench.provider, name)
                yield name, bench, lambda o=operation, n=name, b=bench: o(asked[n], b.call())  # type: ignore[misc]

    async def _all_asked(self) -> None:
        """Ask for all there is, whatever comes of it."""
        async for _, _, ask in self._beside():
            with suppress(CallError):
                await ask()
        for way in self._operations():
            answers: list[ReplayStep] = [way.reply, *_TELLING]
            for step in answers:
                bench = Bench(self, step)
                with suppress(CallError):
                    await way.ask(bench)
                await bench.provider.aclose()


def secrets(model: type[BaseModel], given: dict[str, Any]) -> list[tuple[str, BaseModel]]:
    """Settings that hold a secret, as far as names of fields tell, by these names."""
    found = []
    for name, field in model.model_fields.items():
        if _NAMED_SECRET.search(name) is None:
            continue
        try:
            found.append((name, model.model_validate({**given, field.alias or name: KEY})))
        except ValidationError:
            continue  # it is no text
    return found
