"""A conversation of plain text: roles and texts, and messages once somebody looks at them."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Iterator, Sequence
from typing import Any, overload

from msgspec import Struct, StructMeta
from msgspec.structs import force_setattr

from pointsman.types import Message, Role


class _SequenceMeta(StructMeta, ABCMeta):
    """Of a Struct that is a Sequence."""


class TextMessages(Struct, Sequence[Message], metaclass=_SequenceMeta, frozen=True, eq=False):
    """Messages that have a role and a text and nothing else, as nearly all conversations do.

    To whoever looks it is the tuple of these messages: equal to it, of the same hash, shown the same way.
    They are made when the first one is asked for. What a call itself needs, the estimate and the body that
    is sent, comes from the roles and texts, so most calls make no message at all.

    Attributes:
        roles: one for each message; never `tool`, since a tool's result also says whose it is.
        texts: one for each message.
    """

    roles: tuple[Role, ...]
    texts: tuple[str, ...]
    _messages: tuple[Message, ...] | None = None  # what both were taken from, or what was made of them

    def mappings(self, *, system: str = "system") -> list[dict[str, Any]]:
        """`role` and `content` of each, as OpenAI's wire and its like have them; newly made.

        Args: system: the word for the role `system`, which some models call `developer`.
        """
        roles: Sequence[str] = self.roles
        if system != "system":
            roles = [system if role == "system" else role for role in roles]
        return [{"role": role, "content": text} for role, text in zip(roles, self.texts, strict=True)]

    def _all(self) -> tuple[Message, ...]:
        messages = self._messages
        if messages is None:
            messages = tuple(map(Message, self.roles, self.texts))
            force_setattr(self, "_messages", messages)
        return messages

    def __len__(self) -> int:
        return len(self.roles)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, index: int | slice) -> Message | tuple[Message, ...]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Message]:
        return iter(self._all())

    def __add__(self, other: tuple[Message, ...] | TextMessages) -> tuple[Message, ...]:
        return self._all() + tuple(other) if isinstance(other, tuple | TextMessages) else NotImplemented

    def __radd__(self, other: tuple[Message, ...]) -> tuple[Message, ...]:
        return other + self._all() if isinstance(other, tuple) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TextMessages):
            if self._messages is None and other._messages is None:
                return self.roles == other.roles and self.texts == other.texts
            return self._all() == other._all()
        return self._all() == other if isinstance(other, tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def __rich_repr__(self) -> list[Any]:
        return list(self._all())  # rich would take that of a Struct, which shows the roles and texts
