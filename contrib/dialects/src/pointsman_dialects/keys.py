"""The ways to values in documents."""

from __future__ import annotations

Keys = tuple[str | int, ...]
"""Keys of mappings and indices of lists."""
