"""The pointsman command.

Importing this package costs next to nothing; each command loads what it needs when it runs.
"""

from __future__ import annotations

from io import TextIOWrapper
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and end it with the command's exit code."""
    import sys

    sys.excepthook = _say_traceback
    _prepare_streams()
    try:
        from pointsman_cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _prepare_streams() -> None:
    """Have all three streams, and write what their encoding lacks as escapes rather than fail."""
    import os
    import sys

    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - it lives as long as the process
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _say_traceback(*error: Any) -> None:
    from pointsman_cli.logs import show_traceback

    show_traceback(*error)
