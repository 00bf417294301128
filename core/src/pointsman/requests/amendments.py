"""What a configuration makes of a request to a deployment: its options, and its system prompt. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pointsman.resilience.token_estimate import input_estimate
from pointsman.text_messages import TextMessages
from pointsman.types import (
    ChatRequest,
    EmbedRequest,
    GenerateRequest,
    JsonObject,
    Message,
    Part,
    Request,
    Text,
)

R = TypeVar("R", ChatRequest, GenerateRequest, EmbedRequest, Request)
Options = Mapping[str, Any]

_SPELLINGS: Mapping[str, Sequence[str]] = {
    "max_tokens": (
        "max_completion_tokens",
        "max_output_tokens",
        "max_new_tokens",
        "num_predict",
        "n_predict",
    ),
    "stop": ("stop_sequences",),
    "repeat_penalty": ("repetition_penalty",),
    "seed": ("random_seed",),
}
"""Under which other names upstreams know an option."""
_BETWEEN = "\n\n"


class Around(Struct, frozen=True):
    """Texts before and after the system prompt; "" for none."""

    prefix: str = ""
    suffix: str = ""

    def within(self, outer: Around) -> Around:
        """Both, these next to the system prompt and those of `outer` around them."""
        return Around(_joined(outer.prefix, self.prefix), _joined(self.suffix, outer.suffix))


class Amendments(Struct, frozen=True):
    """What is made of every request to one deployment; made once, when the router is built.

    Attributes:
        defaults: options for requests that do not say them.
        forced: options that hold whatever a request says.
        around: what stands around the system prompt.
    """

    defaults: Options = {}
    forced: Options = {}
    around: Around = Around()

    def of(self, request: R) -> R:
        """`request` with them; itself where they change nothing of its kind.

        The caller's `extra` gives way to what is forced, also under another name of it. A request without
        any message or prompt, which only has a model loaded, gets no system prompt.
        """
        if self.defaults:
            request = request.with_defaults(self.defaults)
        if self.forced:
            request = _forced(request, self.forced)
        if self.around.prefix or self.around.suffix:
            request = _with_system(request, self.around)
        return request

    def overrules(self, names: Sequence[str]) -> list[str]:
        """Those of `names` that may say otherwise what is forced, to an upstream that knows it so."""
        return [each for each in names if each in _spellings(self.forced)]

    @property
    def tokens(self) -> int:
        """About how many tokens they add to a prompt at most."""
        text = _joined(self.around.prefix, self.around.suffix)
        return input_estimate(ChatRequest("", TextMessages(("system",), (text,)))) if text else 0


def amendments(
    defaults: Sequence[Options], forced: Sequence[Options], around: Sequence[Around]
) -> Amendments | None:
    """Those of a model and of a deployment of it, in this order; None where both say nothing.

    The deployment's options win over the model's, and its texts stand outside.
    """
    outermost = Around()
    for each in around:
        outermost = outermost.within(each)
    made = Amendments(_over(*defaults), _over(*forced), outermost)
    return None if made == Amendments() else made


def overruled(defaults: Options, forced: Options) -> list[str]:
    """Those of the `defaults` that never hold, because they are `forced`; those in `extra` by their path."""
    said = [name for name in defaults if name in forced and name != "extra"]
    return said + [f"extra.{name}" for name in defaults.get("extra", ()) if name in forced.get("extra", ())]


def _over(*layers: Options) -> Options:
    """Each of the `layers` over the one before, member by member in `extra`."""
    whole: dict[str, Any] = {}
    for each in layers:
        extra = {**whole.get("extra", {}), **each.get("extra", {})}
        whole |= each
        if extra:
            whole["extra"] = extra
    return whole


# ── options ──────────────────────────────────────────────────────────────────────────────────────────


def _forced(request: R, forced: Options) -> R:
    fields = request.__struct_fields__
    changes = {name: value for name, value in forced.items() if name in fields and name != "extra"}
    extra = {**_without(request.extra, changes), **forced.get("extra", {})}
    if extra != request.extra:
        changes["extra"] = extra
    return replace(request, **changes) if changes else request


def _without(extra: JsonObject, forced: Options) -> JsonObject:
    """What of `extra` does not say otherwise what is forced: by the same name or spelled as others do."""
    if not extra:
        return extra
    names = _spellings(forced)
    left = {name: value for name, value in extra.items() if name not in names}
    options = left.get("options")  # Ollama's place for them
    if isinstance(options, Mapping) and not names.isdisjoint(options):
        left["options"] = {name: value for name, value in options.items() if name not in names}
    return left


def _spellings(options: Options) -> set[str]:
    """The names of options, and those under which others know them."""
    return {each for name in options for each in (name, *_SPELLINGS.get(name, ()))}


# ── the system prompt ────────────────────────────────────────────────────────────────────────────────


def _with_system(request: R, around: Around) -> R:
    if isinstance(request, ChatRequest):
        if not request.messages:
            return request
        return replace(request, messages=_with_prompt(request.messages, around))
    if isinstance(request, GenerateRequest) and request.prompt:
        return replace(request, system=_joined(around.prefix, request.system or "", around.suffix))
    return request


def _with_prompt(given: Sequence[Message], around: Around) -> Sequence[Message]:
    """The messages; the first gets the prefix and the last one the suffix of those system messages that
    stand first. Without any there is a new one.
    """
    if isinstance(given, TextMessages):
        leading = leading_systems(given.roles)
        if not leading:
            return TextMessages(
                ("system", *given.roles), (_joined(around.prefix, around.suffix), *given.texts)
            )
        texts = list(given.texts)
        texts[0] = _joined(around.prefix, texts[0])
        texts[leading - 1] = _joined(texts[leading - 1], around.suffix)
        return TextMessages(given.roles, tuple(texts))
    leading = leading_systems([each.role for each in given])
    if not leading:
        return (Message.system(_joined(around.prefix, around.suffix)), *given)
    messages = list(given)
    messages[0] = replace(messages[0], content=_between(around.prefix, messages[0].content, ""))
    last = messages[leading - 1]
    messages[leading - 1] = replace(last, content=_between("", last.content, around.suffix))
    return tuple(messages)


def leading_systems(roles: Sequence[str]) -> int:
    """How many system messages stand first: these are the system prompt."""
    return next((n for n, role in enumerate(roles) if role != "system"), len(roles))


def _between(prefix: str, content: str | Sequence[Part], suffix: str) -> str | Sequence[Part]:
    """`content` with text around it. Parts stay what they are: one may bear a mark that is for it alone."""
    if isinstance(content, str):
        return _joined(prefix, content, suffix)
    if not content:
        return _joined(prefix, suffix)
    before = (Text(prefix + _BETWEEN),) if prefix else ()
    after = (Text(_BETWEEN + suffix),) if suffix else ()
    return (*before, *content, *after)


def _joined(*texts: str) -> str:
    """The texts that say something, each as a paragraph."""
    return _BETWEEN.join(filter(None, texts))
