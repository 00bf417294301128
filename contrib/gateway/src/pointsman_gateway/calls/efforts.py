"""How much a model is to think, said only to those that can."""

from __future__ import annotations

from msgspec.structs import replace

from pointsman.plugin import Caller, Catalogue, ChatRequest, Understood


def as_it_can_think(understood: Understood, catalogue: Catalogue, caller: Caller) -> Understood:
    """`understood` without a word about thinking for a model that cannot.

    Programs say how much is to be thought whatever the model, and many upstreams refuse that. Where the
    caller's own wire is spoken, the body goes on as it was written all the same.
    """
    request = understood.request
    if not isinstance(request, ChatRequest) or request.reasoning_effort is None:
        return understood
    entry = catalogue.entry(request.model, caller)
    if entry is None or "thinking" in entry.capabilities.can:
        return understood
    asked_for = () if request.reasoning_effort == "none" else ("thinking",)
    request = replace(request, reasoning_effort=None)
    return replace(understood, request=request, ignored=(*understood.ignored, *asked_for))
