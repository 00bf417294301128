"""What the names mean that callers ask for: models, other names of these, and patterns."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from pointsman._internal.suggest import did_you_mean, nearest

STAR = "*"


class NamePattern(Struct, frozen=True):
    """A text with one `*`, which stands for one character or more."""

    text: str

    @property
    def ends(self) -> tuple[str, str]:
        """What stands before the `*`, and what after it."""
        before, _, after = self.text.partition(STAR)
        return before, after

    @property
    def precedence(self) -> tuple[int, int]:
        """The pattern with the longest literal text goes first; of equals, that which says most at once."""
        before, after = self.ends
        return -len(before) - len(after), -len(before)

    def match(self, name: str) -> str | None:
        """What `*` stands for in `name`; None where that is none of its names."""
        before, after = self.ends
        if len(name) <= len(before) + len(after) or STAR in name:
            return None
        if not (name.startswith(before) and name.endswith(after)):
            return None
        return name[len(before) : len(name) - len(after)]

    def meets(self, other: NamePattern) -> bool:
        """Whether some name is one of both."""
        (before, after), (others_before, others_after) = self.ends, other.ends
        begins = before.startswith(others_before) or others_before.startswith(before)
        return begins and (after.endswith(others_after) or others_after.endswith(after))


def provider_and_model(name: str) -> tuple[str, str]:
    """The two that `provider/upstream-model` is made of; two empty texts for what is none of that."""
    provider, _slash, model = name.partition("/")
    return (provider, model) if provider and model else ("", "")


class Names(Collection[str]):
    """The names that can be asked for, but for `provider/upstream-model`: models, and aliases of them.

    A name that patterns match is among them too, and is not listed.

    Args:
        models: what stands under `models`, and what providers list.
        mentioned: names that the configuration itself says somewhere.
        providers: those that there are: what names an upstream model of one is no name of just any pattern.
        open_ended: there may come to be more, which nobody can tell before somebody looks.

    Attributes:
        providers, open_ended: as given.
        kept: those of them that no model is called, by their own names: callers did not make them up.
    """

    def __init__(
        self,
        models: Iterable[str],
        aliases: Mapping[str, str],
        mentioned: Iterable[str] = (),
        *,
        providers: Collection[str] = (),
        open_ended: bool = False,
    ) -> None:
        self.providers = providers
        self.open_ended = open_ended
        self._models = dict.fromkeys(each for each in models if STAR not in each)
        self.aliases = {name: target for name, target in aliases.items() if name not in self._models}
        self.patterns = sorted(
            map(NamePattern, {each for each in models if each.count(STAR) == 1}), key=_first
        )
        targets = {self.target(each) for each in (*mentioned, *self.aliases)}
        self.kept = frozenset(each for each in targets if each not in self._models)

    def target(self, name: str) -> str:
        """The name that `name` is an alias of, else itself."""
        return self.aliases.get(name, name)

    def pattern(self, name: str) -> NamePattern | None:
        """The pattern that says what `name` is, which is no alias; None where none does."""
        if name in self._models or not self.patterns:
            return None
        provider, _model = provider_and_model(name)
        # `*` would take what there is from whoever asks for it by its full name; `openai/*` means to.
        least = f"{provider}/" if provider in self.providers else ""
        fitting = (each for each in self.patterns if each.text.startswith(least))
        return next((each for each in fitting if each.match(name) is not None), None)

    def described_as(self, name: str) -> str | None:
        """The name under which stands what `name` is: its model's, or that of a pattern; None for nowhere."""
        name = self.target(name)
        if name in self._models:
            return name
        pattern = self.pattern(name)
        return None if pattern is None else pattern.text

    def is_described(self, name: str) -> bool:
        """Whether `name` is a model's, or one of a pattern's."""
        return name in self._models or any(each.match(name) is not None for each in self.patterns)

    def near(self, name: str, *, but: Collection[str] = (), what: str = "configured") -> str | None:
        """What to name in place of a `name` that is none; None when nobody can tell.

        Args:
            but: what would not do.
            what: they are, where all are listed.
        """
        if any(name == each.text for each in self.patterns):
            return "that is a pattern: name a model that it matches"
        return did_you_mean(name, {*self}.difference(but), what=what)

    def near_any(self, name: str, *, but: Collection[str] = (), what: str = "configured") -> str | None:
        """The same where `provider/upstream-model` would do, too."""
        provider, model = provider_and_model(name)
        if not provider or provider in self.providers:
            return self.near(name, but=but, what=what)
        # All that there are would be more than whoever may ask for models is to know.
        if (meant := nearest(provider, self.providers)) is not None:
            return f"did you mean '{meant}/{model}'?"
        near = self.near(name, but=but, what=what)
        return "; ".join(filter(None, (f"nor is a provider {provider[:80]!r}", near)))

    def may_have(self, name: str) -> bool:
        """Whether `name` is one of them, or may come to be."""
        return self.open_ended or name in self

    def __contains__(self, name: Any) -> bool:
        return isinstance(name, str) and (name in self.aliases or self.described_as(name) is not None)

    def __iter__(self) -> Iterator[str]:
        """Models, then aliases."""
        return iter((*self._models, *self.aliases))

    def __len__(self) -> int:
        return len(self._models) + len(self.aliases)


def _first(pattern: NamePattern) -> tuple[int, int]:
    return pattern.precedence
