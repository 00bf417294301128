"""JSON whose value few will ask for, kept as its bytes until somebody does.

Of a whole answer nearly everybody reads the text alone; the mappings around it cost more than all the rest.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from pointsman._internal import jsonio


class Undecoded(Struct, frozen=True, gc=False):
    """Stands for the JSON value of `data` in a field that is `decoded_when_read`; it is equal to that value.

    `data` must be JSON: whoever puts it here has read it before.
    """

    data: bytes

    __hash__ = None  # type: ignore[assignment]  # as the mappings and lists that it stands for

    @property
    def value(self) -> Any:
        """The value, made anew each time."""
        return jsonio.loads(self.data)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Undecoded) else other))

    def __repr__(self) -> str:
        return repr(self.value)


def decoded_when_read(kind: type, name: str) -> None:
    """Have the field `name` of `kind`, a class with slots, read as a value though it holds an `Undecoded`.

    The value is made once and takes the place of its bytes. It is a plain `dict` or list: a lazy mapping of
    our own in its place could neither be written as JSON nor be told by `isinstance(…, dict)`.
    """
    setattr(kind, name, _DecodedWhenRead(vars(kind)[name]))


class _DecodedWhenRead:
    __slots__ = ("_slot",)

    def __init__(self, slot: Any) -> None:
        self._slot = slot

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        value = self._slot.__get__(instance, owner)
        if type(value) is Undecoded:
            value = value.value
            self._slot.__set__(instance, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        self._slot.__set__(instance, value)
