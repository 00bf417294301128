"""What is left of some data when everything wrong is taken out of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import structs
from pydantic import ValidationError

from pointsman._internal.settings import Section
from pointsman.config.findings import Finding, findings
from pointsman.config.problems import KeyPath

M = TypeVar("M", bound=Section)


class ValidPart:
    """What is left of some data when everything wrong is taken out, with the paths it had before.

    Args:
        spare: stands in for keys that must be there and are missing, or were wrong as a whole.
    """

    def __init__(self, data: Mapping[str, Any], *, spare: Mapping[str, Any]) -> None:
        self._data = _copy(data)
        self._spare = spare
        self._above_removed: set[KeyPath] = set()
        self._indices: dict[KeyPath, list[int]] = {}

    def model(self, model: type[M], found: Sequence[Finding], *, context: object = None) -> M | None:
        """An instance of `model` without what `found` says is wrong, None when nothing is left."""
        for _round in range(16):  # each round goes at least one level up; a file is not nested deeper
            if not self._remove([each.path for each in found]):
                return None
            try:
                return model.model_validate({**self._spare, **self._data}, context=context)
            except ValidationError as error:
                found = findings(error, model)
        return None

    def restored(self, finding: Finding) -> Finding:
        """`finding` with the indices that lists had before."""
        return structs.replace(finding, path=self._restore(finding.path))

    def touches(self, finding: Finding) -> bool:
        """Something was taken out at a place of `finding` or inside, so it may be a mere consequence.

        A key that is wrong is so whatever stands under it.
        """
        places = finding.rests_on if finding.at_key else (finding.path, *finding.rests_on)
        return any(self._restore(path) in self._above_removed for path in places)

    def _remove(self, paths: Collection[KeyPath]) -> bool:
        targets = {self._existing(path) for path in paths if not self._is_spared(path)}
        if () in targets:
            return False
        for each in (*targets, *paths):
            removed = self._restore(each)
            self._above_removed |= {removed[:n] for n in range(len(removed) + 1)}
        # Later items first, so that the indices of the others still hold.
        for *parent, last in sorted(
            targets, key=lambda path: (len(path), str(path[:-1]), path[-1]), reverse=True
        ):
            container = self._at(tuple(parent))
            if isinstance(container, list):
                self._indices.setdefault(tuple(parent), list(range(len(container)))).pop(int(last))
            del container[last]
        return True

    def _is_spared(self, path: KeyPath) -> bool:
        return len(path) == 1 and path[0] in self._spare and path[0] not in self._data

    def _existing(self, path: KeyPath) -> KeyPath:
        """The longest part of `path` that is there: a missing key is a fault of what it is missing in."""
        current: Any = self._data
        for n, step in enumerate(path):
            known: Any = current if isinstance(current, dict) else ()
            if isinstance(current, list):
                known = range(len(current))
            if step not in known:
                return path[:n]
            current = current[step]
        return path

    def _at(self, path: KeyPath) -> Any:
        current: Any = self._data
        for step in path:
            current = current[step]
        return current

    def _restore(self, path: KeyPath) -> KeyPath:
        restored = list(path)
        for n, step in enumerate(path):
            indices = self._indices.get(path[:n])
            if indices is not None and isinstance(step, int) and step < len(indices):
                restored[n] = indices[step]
        return tuple(restored)


def _copy(data: Any) -> Any:
    """`data` with mappings and lists of its own."""
    if isinstance(data, Mapping):
        return {key: _copy(each) for key, each in data.items()}
    return [_copy(each) for each in data] if isinstance(data, list | tuple) else data
