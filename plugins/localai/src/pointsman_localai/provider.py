"""The HTTP calls of LocalAI: the API of OpenAI with its quirks, and what only LocalAI can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from pointsman.plugin import (
    AuthenticationFailed,
    BadResponse,
    Call,
    ChatRequest,
    Client,
    Endpoint,
    Overloaded,
    Relaying,
    Request,
    Secret,
    Unavailable,
    Unsupported,
    json_or_none,
)
from pointsman_localai import management
from pointsman_localai.management import Job, LoadedModel
from pointsman_localai.settings import LocalAIOptions
from pointsman_openai import OpenAIProvider

_PROBE_SECONDS = 5.0
_LOAD_SECONDS = 600.0
_OF_TOOLS = frozenset(("tools", "functions"))


class LocalAIProvider(OpenAIProvider):
    """A LocalAI server."""

    default_base_url = "http://127.0.0.1:8080"
    prefix = "/v1"
    server = "LocalAI"
    option_settings = LocalAIOptions
    quirks: ClassVar[Mapping[str, Any]] = {
        "max_tokens_field": "max_tokens",
        "system_role": "system",
        "extra_sampling": True,
        "repeat_penalty_field": "repeat_penalty",
        "reasoning_field": "reasoning",
        "files": False,
        "dimensions": False,
        "suffix": False,
        "parallel_flag": False,
        "detail": False,
        "user": False,
        "stringify_metadata": True,
    }

    async def probe(self) -> None:
        """Return when start-up has finished; raise Overloaded while it has not.

        It says nothing about any one model: those load with their first call, silently.
        """
        client = self.client
        answer = await client.send("GET", "/readyz", timeouts=client.within(_PROBE_SECONDS))
        content = await answer.read()
        if answer.status == 503:
            said = json_or_none(content)
            if isinstance(said, Mapping) and said.get("status") == "starting":
                reason = str(said.get("reason") or "start-up")[:200]
                raise Overloaded(f"LocalAI is still loading: {reason}", status=503, retry_after=1.0)
            raise Unavailable("LocalAI is not ready", status=503)
        if answer.status >= 400:
            raise self.refused(answer, content)

    async def ready(self) -> bool:
        """Whether start-up has finished. Raises when the server cannot be asked."""
        try:
            await self.probe()
        except Overloaded:
            return False
        return True

    async def load(self, model: str, *, seconds: float = _LOAD_SECONDS) -> None:
        """Load `model` into memory and return when it is there; within `seconds`."""
        # Failures have the shape of success here, {"loaded": [], "message": …}: `error_of` reads the message.
        await self.exchange("POST", "/backend/load", {"model": model}, seconds=seconds)

    async def loaded(self) -> list[LoadedModel]:
        """The models that are in memory now. Needs an administrator's key where keys are on."""
        return management.loaded_models(await self.manage("GET", "/system"))

    async def in_memory(self) -> Sequence[str]:
        """The names of the models that are in memory now; the same key as for `loaded`."""
        return [each.id for each in await self.loaded()]

    async def tokenize(self, model: str, text: str) -> list[int]:
        """The tokens of `text` as `model` counts them; loads the model if need be."""
        body = {"model": model, "content": text}
        return management.tokens(await self.manage("POST", "/v1/tokenize", body, seconds=_LOAD_SECONDS))

    async def version(self) -> str:
        """The version, such as `v4.9.0 (82c191a)`."""
        return management.version(await self.manage("GET", "/version"))

    async def apply(self, id: str, *, name: str | None = None) -> str:
        """Begin to install the gallery model `id` (`model` or `gallery@model`); returns the job's uuid.

        Args:
            name: the model's name here, when it shall be another.
        """
        body = {"id": id} if name is None else {"id": id, "name": name}
        return management.job_uuid(await self.manage("POST", "/models/apply", body))

    async def job(self, uuid: str, *, interval: float = 1.0) -> AsyncIterator[Job]:
        """The states of an installation, one each `interval` seconds, up to and with the last.

        Raises: BadResponse after the last state, when it says that the installation failed or was
            cancelled; Unavailable when LocalAI does not know the job (it answers 500).
        """
        while True:
            path = f"/models/jobs/{quote(uuid, safe='')}"
            state = management.job(await self.manage("GET", path), uuid)
            yield state
            if state.done:
                break
            await self.context.clock.sleep(interval)
        if state.error or state.cancelled:
            why = self.client.scrubber.text(state.error) or "it was cancelled"
            raise BadResponse(f"LocalAI's job {uuid} failed: {why}"[:500])

    # ── the API ──────────────────────────────────────────────────────────────────────────────────────

    def make_endpoint(self) -> Endpoint:
        # Not the endpoint of OpenAI: LocalAI knows neither organizations nor other headers for keys.
        return Endpoint((self.context.base_url or self.default_base_url).rstrip("/").removesuffix("/v1"))

    def chat_body(self, request: ChatRequest, call: Call, *, stream: bool) -> dict[str, Any]:
        body = super().chat_body(request, call, stream=stream)
        if request.reasoning_effort == "none":
            # The effort goes to the template; whether it thinks at all is switched here.
            given = body.get("metadata") or {}
            if isinstance(given, Mapping):
                body["metadata"] = {"enable_thinking": "false", **given}
        return body

    def relaying(self, request: Request, call: Call) -> Relaying:
        if isinstance(request, ChatRequest) and (request.tools or not _OF_TOOLS.isdisjoint(request.extra)):
            # Its chunks repeat the ids of calls, which clients then join, and several calls may share one id.
            raise Unsupported(f"provider {self.name!r} (LocalAI) cannot do this: relaying calls of tools")
        return super().relaying(request, call)

    def client_of(self, call: Call) -> Client:
        key = self.context.auth.current()
        if key is not None and key == Secret(call.model):
            raise AuthenticationFailed(
                f"the key of provider {self.name!r} equals the name of the model asked for, and LocalAI "
                "reads such a key as a model's name; configure another key"
            )
        return super().client_of(call)
