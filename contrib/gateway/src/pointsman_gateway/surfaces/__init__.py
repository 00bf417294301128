"""The APIs that callers speak."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

from pointsman.plugin import SurfaceFactory

_NAMES = ("openai", "anthropic", "ollama", "ai")


def built_in() -> Sequence[SurfaceFactory]:
    """Those that come with this distribution; each is a module here with its `FACTORY`."""
    modules = [f"{__name__}.{name}" for name in _NAMES]
    return [import_module(each).FACTORY for each in modules if find_spec(each) is not None]
