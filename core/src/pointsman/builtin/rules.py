"""The selector that is built in: a table of rules, of which the first that holds says the model."""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from pointsman._internal.suggest import did_you_mean
from pointsman.resilience.token_estimate import input_estimate
from pointsman.selector import Candidate, Selection, SelectorCall, SelectorContext, SelectorFactory
from pointsman.types import ChatRequest, EmbedRequest, Image, Request


def _several(value: object) -> object:
    """What is written alone is short for a list of it."""
    return [value] if isinstance(value, str) else value


OperationName = Literal["chat", "stream", "generate", "embed"]
Format = Literal["text", "json", "schema"]
_Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[
    list[_Text], Field(min_length=1), BeforeValidator(_several, json_schema_input_type=_Text | list[_Text])
]
Operations = Annotated[
    list[OperationName],
    Field(min_length=1),
    BeforeValidator(_several, json_schema_input_type=OperationName | list[OperationName]),
]
Formats = Annotated[
    list[Format], Field(min_length=1), BeforeValidator(_several, json_schema_input_type=Format | list[Format])
]
Tokens = Annotated[int, Field(ge=0, le=1_000_000_000, strict=True)]


class ModelRule(BaseModel):
    """`{tokens_over: 4000, use: large}`: all that it says must hold; of several texts, one."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    use: str = Field(min_length=1, description="the model that is taken where the rule holds")
    tokens_over: Tokens | None = Field(None, description="what is asked has more tokens, about")
    tokens_under: Tokens | None = Field(None, description="what is asked has fewer tokens, about")
    tools: bool | None = Field(None, strict=True, description="there are tools, or there are none")
    pictures: bool | None = Field(None, strict=True, description="there are pictures, or there are none")
    response_format: Formats | None = Field(None, description="what the answer must look like")
    contains: Texts | None = Field(
        None, description="one of these stands somewhere in what is asked, in whatever case"
    )
    operation: Operations | None = Field(None, description="`chat`, `stream`, `generate`, `embed`")
    caller: Texts | None = Field(None, description="who asks")
    tags: dict[str, Texts] | None = Field(
        None, min_length=1, description="each of these tags with one of its values"
    )

    @model_validator(mode="after")
    def _can_hold(self) -> Self:
        over, under = self.tokens_over, self.tokens_under
        if over is not None and under is not None and under - over < 2:
            raise ValueError(f"nothing has more than {over} tokens and fewer than {under}")
        return self

    def conditions(self) -> Mapping[str, Any]:
        """What it says besides the model."""
        return {name: value for name, value in self if name != "use" and value is not None}


class RulesSettings(BaseModel):
    """`{type: rules, rules: [{tools: true, use: large}]}`"""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    rules: list[ModelRule] = Field(
        min_length=1, description="in order: the first that holds says the model; none: the default"
    )

    @model_validator(mode="after")
    def _all_can_be_reached(self) -> Self:
        for n, rule in enumerate(self.rules[:-1]):
            if not rule.conditions():
                raise ValueError(f"rule {n + 1} always holds, so that those after it never do")
        return self


class ByRules:
    """Picks by the first rule that holds."""

    def __init__(self, context: SelectorContext) -> None:
        self._default = context.default
        self._rules: list[tuple[Mapping[str, Any], Selection]] = []
        for n, rule in enumerate(context.settings.rules):
            if rule.use not in context.models:
                hint = did_you_mean(rule.use, context.models, what="there are")
                raise ValueError(f"rules[{n}].use: {rule.use!r} is none of the models under `of`; {hint}")
            conditions = rule.conditions()
            reason = f"rule {n + 1}: {', '.join(conditions) or 'always'}"
            self._rules.append((_prepared(conditions), Selection(rule.use, reason)))

    async def choose(
        self, request: Request, candidates: Sequence[Candidate], call: SelectorCall, /
    ) -> Selection:
        asked = _Asked(request, call)
        for conditions, selection in self._rules:
            if all(_HOLDS[name](asked, wanted) for name, wanted in conditions.items()):
                return selection
        return Selection(self._default, "no rule holds")


def _prepared(conditions: Mapping[str, Any]) -> Mapping[str, Any]:
    """`conditions` as they are compared: texts without case."""
    if "contains" not in conditions:
        return conditions
    return {**conditions, "contains": [each.casefold() for each in conditions["contains"]]}


class _Asked:
    """One request, looked at only as far as a rule asks."""

    def __init__(self, request: Request, call: SelectorCall) -> None:
        self.request = request
        self.call = call

    @cached_property
    def tokens(self) -> int:
        return input_estimate(self.request)

    @cached_property
    def text(self) -> str:
        return "\n".join(_texts(self.request)).casefold()

    @cached_property
    def pictures(self) -> bool:
        request = self.request
        if isinstance(request, ChatRequest):
            return any(isinstance(part, Image) for message in request.messages for part in message.parts)
        return bool(getattr(request, "images", ()))

    @property
    def response_format(self) -> str:
        wanted = getattr(self.request, "response_format", None)
        return "text" if wanted is None else wanted.kind


def _texts(request: Request) -> Iterator[str]:
    if isinstance(request, ChatRequest):
        yield from (message.text for message in request.messages)
    elif isinstance(request, EmbedRequest):
        yield from request.texts
    else:
        yield from (text for text in (request.system, request.prompt, request.suffix) if text)


_HOLDS: Mapping[str, Callable[[_Asked, Any], bool]] = {
    "tokens_over": lambda asked, wanted: asked.tokens > wanted,
    "tokens_under": lambda asked, wanted: asked.tokens < wanted,
    "tools": lambda asked, wanted: bool(getattr(asked.request, "tools", ())) is wanted,
    "pictures": lambda asked, wanted: asked.pictures is wanted,
    "response_format": lambda asked, wanted: asked.response_format in wanted,
    "contains": lambda asked, wanted: any(each in asked.text for each in wanted),
    "operation": lambda asked, wanted: asked.call.operation in wanted,
    "caller": lambda asked, wanted: asked.call.caller in wanted,
    "tags": lambda asked, wanted: all(asked.call.tags.get(name) in each for name, each in wanted.items()),
}
"""What each condition of a rule asks."""

BUILT_IN = (SelectorFactory("rules", RulesSettings, ByRules),)
