"""What can be asked for in the plain API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from pointsman.plugin import (
    InvalidRequest,
    ProblemDetails,
    Route,
    Socket,
    SocketRoute,
    StreamReply,
    SurfaceContext,
    SurfaceFactory,
    SurfaceRequest,
    Understood,
    WholeReply,
    jsonio,
)
from pointsman_gateway.access.denials import problem_in
from pointsman_gateway.surfaces.ai.bodies import (
    BodyRefused,
    field_of,
    read_chat,
    read_generate,
)
from pointsman_gateway.surfaces.ai.envelope import answered, of_problem
from pointsman_gateway.surfaces.ai.socket import Conversation
from pointsman_gateway.surfaces.ai.writing import PlainWriter, SocketWriter

if TYPE_CHECKING:
    from pointsman_gateway.surfaces.ai.body_models import ChatBody, GenerateBody

_READ: Mapping[str, Callable[[object], GenerateBody | ChatBody]] = {
    "generate": read_generate,
    "chat": read_chat,
}
_ELSEWHERE = (
    ("POST", "/rag/search", "pointsman-knowledge"),
    ("GET", "/rag/search", "pointsman-knowledge"),
    ("POST", "/rag/generate", "pointsman-knowledge"),
    ("POST", "/agent/execute", "pointsman-assistants"),
    ("POST", "/assist/{name}", "pointsman-assistants"),
)
"""What other packages answer, once they are installed."""


class AiSurface:
    """The plain API in front of a router."""

    def __init__(self, context: SurfaceContext) -> None:
        self._calls = context.calls
        self._router = context.router
        self._catalogue = context.catalogue
        self._tickets = context.tickets

    def routes(self) -> Sequence[Route | SocketRoute]:
        """All that can be asked for."""
        return [
            Route("POST", "/generate", self._generate),
            Route("POST", "/chat", self._chat),
            Route("GET", "/models", self._models),
            Route("GET", "/health", self._health, public=True),
            Route("POST", "/ws-ticket", self._ticket, json=False),
            SocketRoute("/ws", self._socket),
            *(Route(method, path, _elsewhere(package)) for method, path, package in _ELSEWHERE),
        ]

    def problem(self, problem: ProblemDetails) -> WholeReply:
        """`{code, message, details, retryAfter, requestId}`."""
        return of_problem(problem)

    # ── models that answer ───────────────────────────────────────────────────────────────────────────

    async def _generate(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._over_http(asked, "generate")

    async def _chat(self, asked: SurfaceRequest) -> WholeReply | StreamReply:
        return await self._over_http(asked, "chat")

    async def _over_http(self, asked: SurfaceRequest, kind: str) -> WholeReply | StreamReply:
        body = _READ[kind](jsonio.loads(asked.body))
        model = self._model(body)
        writer = PlainWriter(model, asked.request_id, chat=kind == "chat", session=body.conversation)
        return await self._answered(asked, body, model, writer, stream=body.stream)

    async def _answered(
        self,
        asked: SurfaceRequest,
        body: GenerateBody | ChatBody,
        model: str,
        writer: PlainWriter,
        *,
        stream: bool,
    ) -> WholeReply | StreamReply:
        """Raises BodyRefused."""
        try:
            request = body.request(model)
        except InvalidRequest as error:
            raise BodyRefused([field_of(error)]) from None
        session = body.conversation
        if session is not None and "x-pointsman-affinity" not in asked.headers:
            asked = replace(asked, headers={**asked.headers, "x-pointsman-affinity": session})
        return await self._calls.answer(asked, Understood(request, writer, stream))

    def _model(self, body: GenerateBody | ChatBody) -> str:
        """The model that is meant. Raises BodyRefused."""
        model = body.model or self._router.config.model_by_default
        if not model:
            message = "is missing, and there is no model that is taken then"
            raise BodyRefused([{"field": "model", "message": message}])
        return model

    # ── WebSocket ────────────────────────────────────────────────────────────────────────────────────

    async def _ticket(self, asked: SurfaceRequest) -> WholeReply:
        ticket, seconds = self._tickets.issue(asked)
        return answered({"ticket": ticket, "expiresIn": int(seconds)}, asked.request_id)

    async def _socket(self, asked: SurfaceRequest, socket: Socket) -> None:
        async def ask(
            id: str, kind: str, said: Mapping[str, Any], request_id: str
        ) -> WholeReply | StreamReply:
            body = _READ[kind](said)
            model = self._model(body)
            chat, session = kind == "chat", body.conversation
            writer = SocketWriter(id, model, request_id, chat=chat, session=session)
            one = replace(asked, method="POST", request_id=request_id)
            return await self._answered(
                one, body, model, writer, stream=said.get("stream", True) is not False
            )

        await Conversation(socket, ask).run()

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────

    async def _models(self, asked: SurfaceRequest) -> WholeReply:
        models = [
            {
                "name": each.name,
                "capabilities": list(each.capabilities.can),
                "contextLength": each.capabilities.context_length,
                "family": each.capabilities.family,
            }
            for each in self._catalogue.listed(asked.caller)
        ]
        return answered({"models": models}, asked.request_id)

    async def _health(self, asked: SurfaceRequest) -> WholeReply:
        ready = {
            name: [each.blocked is None for each in model.deployments.values()]
            for name, model in self._router.status().models.items()
        }
        return answered(health_of(ready), asked.request_id)


def health_of(models: Mapping[str, Sequence[bool]]) -> dict[str, Any]:
    """How many deployments of each model would take a call now, of which it is given whether each would, and
    what that comes to.
    """
    counts = {name: (sum(ready), len(ready)) for name, ready in models.items()}
    if all(ready == total for ready, total in counts.values()):
        status = "healthy"
    elif any(ready for ready, _total in counts.values()):
        status = "degraded"
    else:
        status = "down"
    return {"status": status, "models": {name: f"{ready}/{total}" for name, (ready, total) in counts.items()}}


def _elsewhere(package: str) -> Any:
    async def handler(asked: SurfaceRequest) -> WholeReply:
        message = f"this needs a package that is not installed here: pip install {package}"
        id = asked.request_id
        return of_problem(problem_in("gateway", "unsupported", "not_installed", message, request_id=id), 501)

    return handler


FACTORY = SurfaceFactory("ai", None, AiSurface, prefix="/api/v1/ai")
