"""What a selector asks models with: the router, on behalf of the request that it chooses for."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Unpack

from pointsman.clock import Clock
from pointsman.errors import DeadlineExceeded, InvalidRequest
from pointsman.requests.call_options import TAGS_AT_MOST
from pointsman.requests.requirements import as_rule, merged
from pointsman.selector import SelectorCall
from pointsman.types import ChatResponse

if TYPE_CHECKING:
    from pointsman.requests.messages import Messages
    from pointsman.requests.option_types import ChatOptions

LABEL = "selector"
"""The tag of what selectors ask, whose value is the selector's model."""


class Asking:
    """The `Ask` of the selectors of one router.

    Args:
        router: None for nobody: then it cannot be asked.
    """

    def __init__(self, router: Any, clock: Clock) -> None:
        self._router = router
        self._clock = clock

    async def __call__(
        self, call: SelectorCall, model: str, messages: Messages, /, **options: Unpack[ChatOptions]
    ) -> ChatResponse:
        if self._router is None:
            raise RuntimeError("there is no router here, which could be asked")
        known = self._router.config.models.get(model)  # as it is now: a reload keeps selectors
        if known is not None and known.selector is not None:
            raise InvalidRequest(f"a selector cannot ask {model!r}, which has a selector itself")
        left = call.deadline - self._clock.now()
        if left <= 0:
            raise DeadlineExceeded("the time for the choice was over before a model was asked")
        # Whatever the selector says besides: it pays for nobody else, has no more time than the choice, and
        # what may not leave the house does not leave it for a choice.
        options["caller"] = call.caller
        options["tags"] = _labelled(call, options.get("tags") or {})
        if (wanted := options.get("timeout")) is None or (isinstance(wanted, int | float) and wanted > left):
            options["timeout"] = left
        options["require"] = merged(as_rule(call.require), as_rule(options.get("require") or {}))
        answer: ChatResponse = await self._router.chat(model, messages, **options)
        return answer


def _labelled(call: SelectorCall, more: Mapping[str, str]) -> Mapping[str, str]:
    """The tags of the request, `more`, and that of the selector, without the last ones that are too many."""
    others = {name: text for name, text in {**call.tags, **more}.items() if name != LABEL}
    return {**dict(islice(others.items(), TAGS_AT_MOST - 1)), LABEL: call.model}
