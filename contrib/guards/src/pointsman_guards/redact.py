"""`redact`: secrets and personal data go neither to the upstream nor to the caller."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pointsman.plugin import (
    ChatRequest,
    ChatResponse,
    EmbedRequest,
    EmbedResponse,
    GenerateRequest,
    Guard,
    GuardCall,
    GuardContext,
    GuardFactory,
    Refused,
    StreamFilter,
)
from pointsman_guards.patterns import BEGINS, PERSONAL, REALLY, SECRETS
from pointsman_guards.screen import Found, Held, Pattern, Screen
from pointsman_guards.texts import HeldStream, answer_changed, aside, changed

Request = ChatRequest | GenerateRequest | EmbedRequest
_SHOWN = 40
"""Of the names of members, and of each: callers make them up."""
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class RedactSettings(BaseModel):
    """`{type: redact, find: [secrets, personal]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    find: list[Literal["secrets", "personal"]] = Field(
        default=["secrets", "personal"],
        description="what is known: API keys, tokens and private keys; addresses, cards, accounts, phones",
    )
    patterns: dict[Name, Pattern] = Field(
        default_factory=dict,
        description="regular expressions of yours, by a name that takes the place of what they match",
    )
    requests: bool = Field(default=True, description="redact what goes to the upstream")
    answers: bool = Field(default=True, description="redact what comes back")
    unseen: Literal["allow", "refuse"] = Field(
        default="allow",
        description="requests with members that no guard sees, which only go to an upstream of the caller's "
        "own API: let through, or refused with their names",
    )

    @model_validator(mode="after")
    def _does_something(self) -> RedactSettings:
        if not self.find and not self.patterns:
            raise ValueError("finds nothing; name `secrets`, `personal`, or patterns of yours")
        if not self.requests and not self.answers:
            raise ValueError("redacts neither requests nor answers")
        return self


class Redact(Guard):
    """Puts `[email]`, `[api_key]` and their like in place of what it finds."""

    def __init__(self, context: GuardContext) -> None:
        settings: RedactSettings = context.settings
        self._requests, self._answers = settings.requests, settings.answers
        self._refuses_unseen = settings.unseen == "refuse"
        known = {
            **(SECRETS if "secrets" in settings.find else {}),
            **(PERSONAL if "personal" in settings.find else {}),
        }
        self._screen = Screen(settings.patterns, known, BEGINS)

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        """The request without what was found. Raises Refused for one that says more than can be looked at."""
        if self._refuses_unseen and (names := [*call.unsaid, *call.unseen]):
            shown = ", ".join(repr(each[:_SHOWN]) for each in names[:_SHOWN])
            raise Refused(f"the guard `redact` cannot look at all of the request: {shown}")
        return await aside(request, lambda: changed(request, self._redacted)) if self._requests else request

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        """The answer without what was found."""
        if self._answers and isinstance(response, ChatResponse):
            return await aside(response, lambda: answer_changed(response, self._redacted))
        return response

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        """The same for an answer in pieces."""
        if not self._answers:
            return None
        return HeldStream(lambda: Held(self._screen, _in_place_of), self._redacted)

    def _redacted(self, text: str) -> str:
        return self._screen.whole(text, _in_place_of)


def _in_place_of(found: Found) -> str | None:
    really = REALLY.get(found.name)
    return None if really is not None and not really(found.text) else f"[{found.name}]"


FACTORY = GuardFactory("redact", RedactSettings, Redact)
