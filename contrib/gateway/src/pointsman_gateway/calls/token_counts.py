"""How many tokens a prompt has: as an upstream counts that would answer it, or about."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from pointsman.plugin import CallError, ChatRequest, Outcome, Unsupported, input_estimate

if TYPE_CHECKING:
    from pointsman import DeploymentStatus, Explanation, Router
    from pointsman.plugin import Original


class TokenCount(NamedTuple):
    """`counted_by` is the deployment whose upstream counted; "" for an estimate of ours."""

    tokens: int
    counted_by: str = ""


async def count_tokens(router: Router, request: ChatRequest, original: Original | None = None) -> TokenCount:
    """The tokens of the prompt of `request`.

    The first deployment counts that would be asked and can. Nobody is asked about a model with guards, which
    see requests before upstreams do. Raises UnknownModel; and the upstream's error when the request is wrong.
    """
    plan = router.explain(request.model)
    if not plan.guards:
        for deployment in _deployments(router, plan):
            count = getattr(router.provider(deployment.provider), "count_tokens", None)
            if count is None:
                continue
            try:
                tokens = await count(replace(request, model=deployment.model), original)
            except CallError as error:
                if not isinstance(error, Unsupported) and error.outcome is Outcome.CLIENT_FAULT:
                    raise
            else:
                return TokenCount(tokens, deployment.id)
    return TokenCount(input_estimate(request))


def _deployments(router: Router, plan: Explanation) -> list[DeploymentStatus]:
    """Those that are ready, the one first that would be picked."""
    first = plan.chain[0]
    model = router.status().models.get(first.model)
    ready = sorted(first.ready, key=lambda id: id != first.pick)
    return [] if model is None else [model.deployments[id] for id in ready if id in model.deployments]
