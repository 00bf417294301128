"""What operators do with the models of upstreams, in Ollama's words: pull, create, copy, delete."""

from __future__ import annotations

from typing import Any

from pointsman.plugin import (
    InvalidRequest,
    StreamReply,
    SurfaceContext,
    SurfaceRequest,
    Unsupported,
    WholeReply,
)
from pointsman_gateway.models.step_stream import StepStream
from pointsman_wires.members import flag, json_object, text_or_none, wrong
from pointsman_wires.ollama import error_line, progress_line, streams

_JSON = "application/json; charset=utf-8"
_LINES = "application/x-ndjson"
_SUCCESS = b'{"status":"success"}'


class ModelOperations:
    """Handlers of routes.

    A model is called by a public name, as the upstream calls it, or so with the provider before it
    (`local/llama3.2`) where several could be meant.
    """

    def __init__(self, context: SurfaceContext) -> None:
        self._context = context

    async def pull(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        """Fetch a model."""
        given = json_object(asked.body)
        provider, model = self._place("pull", _model(given))
        return await _told(asked, provider.pull(model, insecure=flag(given, "insecure") is True), given)

    async def create(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        """Make a model out of another one or of files."""
        given = json_object(asked.body)
        provider, model = self._place("create", _model(given))
        said = {name: each for name, each in given.items() if name not in ("model", "name", "stream")}
        return await _told(asked, provider.create(model, **said), given)

    async def copy(self, asked: SurfaceRequest) -> WholeReply:
        """Give a model a second name."""
        given = json_object(asked.body)
        source, destination = (_text(given, name) for name in ("source", "destination"))
        provider, model = self._place("copy", source)
        await provider.copy(model, destination.removeprefix(f"{provider.name}/"))
        return WholeReply(200, b"", _JSON)

    async def delete(self, asked: SurfaceRequest) -> WholeReply:
        """Delete a model from the disk of its upstream."""
        provider, model = self._place("delete", _model(json_object(asked.body)))
        await provider.delete(model)
        return WholeReply(200, b"", _JSON)

    def _place(self, operation: str, name: str) -> tuple[Any, str]:
        """The provider that is meant by the name of a model, and what it calls it.

        Raises: Unsupported where no provider has such an operation; InvalidRequest where several have.
        """
        router = self._context.router
        able = [each for each in router.config.providers if hasattr(router.provider(each), operation)]
        if not able:
            raise Unsupported(f"{operation}: none of the providers can do this")
        first, slash, rest = name.partition("/")
        if slash and first in able:
            return router.provider(first), rest
        model = router.config.described(name)
        for deployment in () if model is None else model.deployments:
            if deployment.provider in able:
                return router.provider(deployment.provider), deployment.model
        if len(able) > 1:
            raise InvalidRequest(
                f"{operation}: several providers can do this; write which before the name of the model, "
                f"such as {able[0]}/{name[:100]}; there are {', '.join(able)}"
            )
        return router.provider(able[0]), name


def _text(given: dict[str, Any], name: str) -> str:
    value = text_or_none(given, name)
    if not value:
        raise wrong(name, "is required")
    return value


def _model(given: dict[str, Any]) -> str:
    return text_or_none(given, "model") or _text({"model": given.get("name")}, "model")


async def _told(asked: SurfaceRequest, progress: Any, given: dict[str, Any]) -> WholeReply | StreamReply:
    """The steps of what takes long, as they come; or that it is done."""
    if streams(given):
        first = await anext(progress)
        steps = StepStream(progress, first, asked.request_id, write=_line, failed=error_line)
        return StreamReply(steps, _LINES)
    async with progress:
        async for _ in progress:
            pass
    return WholeReply(200, _SUCCESS, _JSON)


def _line(step: Any) -> bytes:
    return progress_line(
        step.status, digest=step.digest, total=step.total_bytes, completed=step.completed_bytes
    )
