"""What is said on stderr while an answer is on its way to stdout: never in the middle of a line of it."""

from __future__ import annotations

from pointsman_cli.output import say


class Asides:
    """Lines of chatter. While a line of an answer is open they are kept back."""

    def __init__(self) -> None:
        self._kept: list[str] | None = None

    def tell(self, line: str) -> None:
        """Say `line`, now or after the answer."""
        if self._kept is None:
            say(line)
        else:
            self._kept.append(line)

    def hold(self) -> None:
        """An answer begins."""
        self._kept = self._kept or []

    def release(self) -> None:
        """Its last line has ended."""
        kept, self._kept = self._kept or [], None
        for line in kept:
            say(line)
