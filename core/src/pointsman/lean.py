"""Imports httpx without its command line.

`import httpx` also imports the `httpx` command, and with it click, rich and pygments wherever they are
installed: a third of our own import time and 6 MiB, for nothing. A None in `sys.modules` makes that one
import fail, which httpx expects; afterwards the entry is removed again.
"""

from __future__ import annotations

import sys

_COMMAND = "httpx._main"

if "httpx" not in sys.modules:
    sys.modules[_COMMAND] = None  # type: ignore[assignment]  # what the import system documents for this

import httpx as httpx  # noqa: E402 - after the line that makes it lean

if sys.modules.get(_COMMAND, httpx) is None:
    del sys.modules[_COMMAND]
