"""The pointsman command.

Importing this package costs next to nothing; each command loads what it needs when it runs.
"""

from __future__ import annotations

from typing import Any

__all__ = ["main"]


def main() -> None:
    """Run the command line of this process and end it with the command's exit code."""
    import sys

    sys.excepthook = _say_traceback
    try:
        from pointsman_cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _say_traceback(*error: Any) -> None:
    from pointsman_cli.logs import show_traceback

    show_traceback(*error)
