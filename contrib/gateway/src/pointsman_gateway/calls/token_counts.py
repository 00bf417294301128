"""How many tokens a prompt has: as an upstream counts that would answer it, or about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from pointsman.dry_run.would_be_asked import would_be_asked
from pointsman.plugin import CallError, ChatRequest, Original, Outcome, Unsupported, input_estimate
from pointsman_gateway.calls.call_headers import call_options
from pointsman_gateway.calls.public_names import named

if TYPE_CHECKING:
    from pointsman import Router
    from pointsman.plugin import SurfaceContext, SurfaceRequest, Understood
    from pointsman.routing.deployment import Deployment


class TokenCount(NamedTuple):
    """`counted_by` is the deployment whose upstream counted; "" for an estimate of ours."""

    tokens: int
    counted_by: str = ""

    def fields(self) -> dict[str, str]:
        """The header that says who counted."""
        return {"x-pointsman-deployment": self.counted_by or "estimate"}


async def count_for(context: SurfaceContext, asked: SurfaceRequest, understood: Understood) -> TokenCount:
    """The tokens of the prompt in `asked`, which was read as `understood`.

    Raises UnknownModel, also for one that is not the caller's; and as `count_tokens`.
    """
    request = understood.request
    assert isinstance(request, ChatRequest)
    call_options(asked.headers)  # of which an unknown one is refused, as on each call
    named(context.catalogue, request.model, asked.caller)
    said = {name: value for name, value in asked.headers.items() if name.startswith("anthropic-")}
    original = Original(understood.wire, asked.body, request, said, opaque=understood.opaque)
    return await count_tokens(context.router, request, original)


async def count_tokens(router: Router, request: ChatRequest, original: Original | None = None) -> TokenCount:
    """The tokens of the prompt of `request`.

    The first deployment counts that would be asked and can. Nobody is asked about a model with guards, which
    see requests before upstreams do. Raises UnknownModel; and the upstream's error when the request is wrong.
    """
    for deployment in would_be_asked(router, request, able=_can_count):
        provider: Any = deployment.provider
        try:
            tokens = await provider.count_tokens(replace(request, model=deployment.model), original)
        except CallError as error:
            if not isinstance(error, Unsupported) and error.outcome is Outcome.CLIENT_FAULT:
                raise
        else:
            return TokenCount(tokens, deployment.id)
    return TokenCount(input_estimate(request))


def _can_count(deployment: Deployment) -> bool:
    return hasattr(deployment.provider, "count_tokens")
