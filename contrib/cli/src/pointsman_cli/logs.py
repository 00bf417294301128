"""What is logged, on stderr: warnings, with `-v` each failed attempt and failover, with `-vv` everything.

`-v` speaks of the logger `pointsman`; of other libraries there are warnings only, for at DEBUG some of them
tell headers, and with these keys.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from pointsman_cli.options import Asked
from pointsman_cli.output import say, say_json, say_logged

OURS = logging.getLogger("pointsman")


@contextmanager
def logged(asked: Asked) -> Iterator[None]:
    """Within it, what is logged is told on stderr."""
    root, handler = logging.getLogger(), _OnStderr(asked)
    root.addHandler(handler)
    logging.captureWarnings(True)
    set_level(asked)
    try:
        yield
    finally:
        OURS.setLevel(logging.NOTSET)
        logging.captureWarnings(False)
        root.removeHandler(handler)


def set_level(asked: Asked) -> None:
    """Log as much as was asked for."""
    OURS.setLevel({0: logging.WARNING, 1: logging.INFO}.get(asked.verbose, logging.DEBUG))


def show_traceback(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    """Say a traceback; as `sys.excepthook`, because what an error quotes may hold anything."""
    say("".join(traceback.format_exception(kind, error, where)).rstrip("\n"))


class _OnStderr(logging.Handler):
    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked

    def emit(self, record: logging.LogRecord) -> None:
        asked = self._asked
        if asked.json and not (asked.verbose or asked.log_as_json) and record.levelno < logging.ERROR:
            return  # programs that did not ask for a log expect the error of the command, and no more
        if hasattr(record, "cool_down") and not (asked.runs_on or asked.verbose):
            return  # the router of a command ends with its answer, and what failed is its error
        try:
            level, message = record.levelname.lower(), _message(record)
            if asked.log_as_json:
                say_logged(level, message)
            elif asked.json:
                say_json({"log": level, "message": message})
            else:
                asked.asides.tell(self._line(record))
        except Exception:  # as every handler does: a log line never ends what is logged
            self.handleError(record)

    def _line(self, record: logging.LogRecord) -> str:
        level, message = record.levelname.lower(), _message(record)
        head = f"{level}: "
        if self._asked.verbose:
            clock = logging.Formatter().formatTime(record, "%H:%M:%S")
            head = f"{clock}.{int(record.msecs):03d} {level:7} "
        if record.exc_info and self._asked.verbose > 1:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        # What follows a line break is no line of the log of its own, whoever put it there.
        return head + message.replace("\n", "\n    ")


def _message(record: logging.LogRecord) -> str:
    """What a record says, with the class and place of what was raised, whose own words may hold anything."""
    message = record.getMessage()
    if not record.exc_info or record.exc_info[1] is None:
        return message
    kind, _, where = record.exc_info
    *_, last = traceback.extract_tb(where, limit=-1) or [None]
    place = "" if last is None else f" at {last.filename}:{last.lineno}"
    return f"{message.rstrip()} ({kind.__name__}{place})"
