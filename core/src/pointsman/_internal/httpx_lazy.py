"""Imports httpx when it is first used, and without its command line.

`httpx_lazy.httpx` is the module. Nothing needs it before the first call, and it is a tenth of what the import
of a router costs.

`import httpx` also imports the `httpx` command, and with it click, rich and pygments wherever they are
installed: as much again and 6 MiB, for nothing. A None in `sys.modules` makes that one import fail, which
httpx expects; afterwards the entry is removed again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx as httpx

_COMMAND = "httpx._main"


def __getattr__(name: str) -> Any:
    if name != "httpx":
        raise AttributeError(f"module 'pointsman._internal.httpx_lazy' has no attribute {name!r}")
    if "httpx" not in sys.modules:
        sys.modules[_COMMAND] = None  # type: ignore[assignment]  # what the import system documents for this
    import httpx

    if sys.modules.get(_COMMAND, httpx) is None:  # a module, where somebody had imported the command before
        del sys.modules[_COMMAND]
    globals()["httpx"] = httpx  # the next use does not come here
    return httpx
