"""What a process has that all in it share: its environment, its folder, the functions of Python's library."""

from __future__ import annotations

import builtins
import contextlib
import os
import sys
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

_MODULES = ("asyncio", "json", "logging", "os", "random", "socket", "ssl", "subprocess", "threading", "time")
_OF_PYTEST = frozenset({"PYTEST_CURRENT_TEST"})
_HOOKS = frozenset({"excepthook"})
"""What pytest itself puts in place while it runs a test."""
_GONE = object()


class Surroundings:
    """How the process is now: the variables of its environment, its folder, functions of the library."""

    def __init__(self) -> None:
        self._held = dict[tuple[str, str], Any]()
        for name, value in os.environ.items():
            if name not in _OF_PYTEST:
                self._held["environ", name] = value
        with contextlib.suppress(OSError):  # it may have been removed
            self._held["folder", ""] = os.getcwd()
        for module, members in _libraries().items():
            for name, value in members.items():
                if isinstance(value, FunctionType | BuiltinFunctionType) and name not in _HOOKS:
                    self._held[module, name] = value

    def changed_since(self, earlier: Surroundings) -> list[tuple[str, str]]:
        """What is not as it was in `earlier`, each as `named` and `restore` take it."""
        keys = dict.fromkeys((*self._held, *earlier._held))
        return [key for key in keys if self._differs(earlier, key)]

    def restore(self, keys: list[tuple[str, str]]) -> None:
        """Make what `keys` name as it is here."""
        for of, name in keys:
            value = self._held.get((of, name), _GONE)
            if of == "environ":
                os.environ.pop(name, None)
                if value is not _GONE:
                    os.environ[name] = value
            elif of == "folder":
                if value is not _GONE:
                    os.chdir(value)
            elif value is not _GONE:
                setattr(sys.modules[of], name, value)

    def _differs(self, other: Surroundings, key: tuple[str, str]) -> bool:
        mine, others = self._held.get(key, _GONE), other._held.get(key, _GONE)
        if key[0] in ("environ", "folder"):
            return bool(mine != others)
        return mine is not others and others is not _GONE


def named(key: tuple[str, str]) -> str:
    """What a key of `changed_since` is called in Python."""
    of, name = key
    return {"environ": f"os.environ[{name!r}]", "folder": "the working directory"}.get(of, f"{of}.{name}")


def _libraries() -> Mapping[str, Mapping[str, Any]]:
    loaded = {name: vars(sys.modules[name]) for name in _MODULES if name in sys.modules}
    return {**loaded, builtins.__name__: vars(builtins)}
