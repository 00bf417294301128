"""`words`: requests and answers with certain words are refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import regex
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from pointsman.plugin import (
    ChatResponse,
    Duration,
    EmbedResponse,
    Guard,
    GuardCall,
    GuardContext,
    GuardFactory,
    Refused,
    StreamFilter,
)
from pointsman_guards.patterns import WORD_BEGINS, WORD_ENDS
from pointsman_guards.screen import Found, Held, Pattern, Screen
from pointsman_guards.texts import HeldStream, aside, changed

_SPACE = r"\s{1,10}"
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]


class WordsSettings(BaseModel):
    """`{type: words, words: [project chimera], say: "That is confidential."}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    words: list[Word] = Field(
        default_factory=list, max_length=10_000, description="words or phrases, whole, in any case"
    )
    patterns: list[Pattern] = Field(default_factory=list, description="regular expressions, in any case")
    requests: bool = Field(default=True, description="look at requests")
    answers: bool = Field(default=True, description="look at answers")
    say: str = Field(
        default="", max_length=500, description="what callers are told; without it which guard refused"
    )
    patience: Duration = Field(
        default=0.1, gt=0, le=5, description="one search takes no longer; then the guard has failed"
    )

    @model_validator(mode="after")
    def _does_something(self) -> WordsSettings:
        if not self.words and not self.patterns:
            raise ValueError("says neither words nor patterns")
        if not self.requests and not self.answers:
            raise ValueError("looks at neither requests nor answers")
        return self


class Words(Guard):
    """Refuses what it finds. The words themselves stand in no error: whoever asks would learn the list."""

    def __init__(self, context: GuardContext) -> None:
        settings: WordsSettings = context.settings
        self._requests, self._answers = settings.requests, settings.answers
        self._say = settings.say
        patterns = {f"patterns[{n}]": text for n, text in enumerate(settings.patterns)}
        if settings.words:
            patterns["words"] = f"{WORD_BEGINS}(?:{_any_of(settings.words)}){WORD_ENDS}"
        self._screen = Screen(patterns, ignore_case=True, patience=settings.patience)

    async def before(self, request: Any, call: GuardCall, /) -> Any:
        """The request as it is. Raises Refused."""
        if self._requests:
            passed = lambda text: self._screen.whole(text, self._refuse_request)  # noqa: E731
            await aside(request, lambda: changed(request, passed))
        return request

    async def after(
        self, response: ChatResponse | EmbedResponse, call: GuardCall, /
    ) -> ChatResponse | EmbedResponse:
        """The answer as it is. Raises Refused."""
        if self._answers:
            await aside(response, lambda: changed(response, self._passed))
        return response

    def stream(self, call: GuardCall, /) -> StreamFilter | None:
        """The same for an answer in pieces, of which no piece of a word gets out."""
        if not self._answers:
            return None
        return HeldStream(lambda: Held(self._screen, self._refuse_answer), self._passed)

    def _passed(self, text: str) -> str:
        return self._screen.whole(text, self._refuse_answer)

    def _refuse_request(self, _found: Found) -> str | None:
        raise Refused(self._say or "the request holds what the guard `words` does not let through")

    def _refuse_answer(self, _found: Found) -> str | None:
        raise Refused(self._say or "the answer holds what the guard `words` does not let through")


_LEVELS = 8


def _any_of(words: Sequence[str]) -> str:
    """A pattern for each of `words`; any white space, up to 10 characters of it, will do for a space."""
    spelled = (" ".join(word.split()) for word in words)
    return _alike([[_SPACE if each == " " else regex.escape(each) for each in word] for word in spelled])


def _alike(words: Sequence[Sequence[str]], levels: int = _LEVELS) -> str:
    """A pattern for each of `words`, where those that begin alike are one branch.

    In a row each of 10,000 words would be tried at every place of a text, which took 10 us a character.
    """
    if levels == 0 or len(words) == 1:
        # The longest first: where one begins another, either refuses.
        return "|".join("".join(word) for word in sorted(words, key=len, reverse=True))
    branches: dict[str, list[Sequence[str]]] = {}
    for word in words:
        branches.setdefault(word[0] if word else "", []).append(word[1:])
    longest_first = sorted(branches.items(), reverse=True)
    return "|".join(
        f"{begins}(?:{_alike(rest, levels - 1)})" if begins else "" for begins, rest in longest_first
    )


FACTORY = GuardFactory("words", WordsSettings, Words)
