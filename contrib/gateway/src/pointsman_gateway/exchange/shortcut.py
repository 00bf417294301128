"""What a server may offer beyond ASGI, for what nearly all requests are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

SHORTCUT = "pointsman.shortcut"
"""The extension of a server that offers a `Shortcut` for a request. Without it all goes by ASGI."""


Fields = Iterable[tuple[bytes, bytes]]
"""Those of the head of an answer, by names in lower case."""


class Shortcut(Protocol):
    """For one request, from when its head is here until it is answered."""

    def body(self) -> bytes | None:
        """All of the body, where it is here; None where it has to be waited for."""

    def answer(self, status: int, fields: Fields, body: bytes) -> bool:
        """Write a whole answer at once; among `fields` is how long `body` is, unless it has none.

        As of all that write: False, and nothing is written, where that has to wait.

        Raises: ValueError for a field that holds a control character.
        """

    def begin(self, status: int, fields: Fields) -> bool:
        """Begin a stream. Raises: as `answer`."""

    def more(self, piece: bytes) -> bool:
        """Write one more piece of a stream."""

    def end(self) -> bool:
        """End a stream."""

    def on_gone(self, tell: Callable[[], None]) -> Callable[[], None]:
        """Call `tell` when the connection is lost, at once if it is; returns what takes that back."""

    def abort(self) -> None:
        """End the connection although not all is written."""
