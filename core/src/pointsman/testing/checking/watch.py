"""What a distribution does beside what it is asked to, seen in a process that did nothing before.

    python -m pointsman.testing.checking.watch DISTRIBUTION [SETTINGS]

prints one JSON object: what was seen at import, in its hooks, and when what it offers was made.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

_REACHES = {
    "socket.connect": "connects to {1!r}",
    "socket.bind": "binds a port, {1!r}",
    "socket.sendto": "sends to {1!r}",
    "socket.getaddrinfo": "looks up {0!r}",
    "socket.gethostbyname": "looks up {0!r}",
    "subprocess.Popen": "starts the program {0!r}",
    "os.system": "starts the program {0!r}",
    "os.posix_spawn": "starts the program {0!r}",
    "os.exec": "becomes the program {0!r}",
    "os.fork": "forks",
    "os.forkpty": "forks",
    "os.mkdir": "makes the directory {0!r}",
    "os.remove": "removes {0!r}",
    "os.rename": "renames {0!r}",
    "os.rmdir": "removes {0!r}",
    "os.chmod": "changes the mode of {0!r}",
    "os.truncate": "cuts {0!r}",
    "os.symlink": "makes the link {1!r}",
    "os.link": "makes the link {1!r}",
    "os.kill": "sends a signal",
}
"""By the name of an event of Python's auditing, what it means."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_OURS = str(Path(__file__).parents[2])


class Watch:
    """Notes what happens between `begin` and `end`; there is one in a process, and it stays."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._on = False
        self._homes = tuple({str(Path.home()), os.getcwd()} - {"/"})
        self._code = tuple({*filter(None, sys.path), sys.prefix, sys.base_prefix})
        self._before: dict[str, Any] = {}

    def begin(self) -> None:
        if not self._before:
            sys.addaudithook(self._note)
            self._attend_threads()
        self.seen, self._before, self._on = [], _state(), True

    def end(self) -> list[str]:
        """What was seen since, each thing once."""
        self._on = False
        for name, value in _state().items():
            if value != self._before[name]:
                self.seen.append(f"changes {name}")
        return list(dict.fromkeys(self.seen))

    def _note(self, event: str, given: tuple[Any, ...]) -> None:
        if not self._on:
            return
        said: str | None = None
        if event in _REACHES:
            said = _filled(_REACHES[event], given)
        elif event == "open":
            said = self._opened(*given)
        if said is not None:
            self._on = False  # to say where may open files itself
            self.seen.append(f"{said}, {_place(sys._getframe(1))}")
            self._on = True

    def _attend_threads(self) -> None:
        start = threading.Thread.start  # not every Python has an event for it

        def noted(thread: threading.Thread) -> None:
            if self._on:
                self.seen.append(f"starts the thread {thread.name!r}, {_place(sys._getframe(1))}")
            start(thread)

        setattr(threading.Thread, "start", noted)  # noqa: B010 - in this process, which ends soon

    def _opened(self, path: Any, mode: Any, flags: Any) -> str | None:
        if not isinstance(path, str | bytes):
            return None  # a file descriptor
        file = os.fsdecode(path)
        if file.startswith(("/dev/", "/proc/")) or ".pyc" in file:
            return None
        if (isinstance(flags, int) and flags & _WRITES) or (
            isinstance(mode, str) and set(mode) & set("wax+")
        ):
            return f"writes the file {file!r}"
        private = os.path.abspath(file).startswith(self._homes) and not file.startswith(self._code)
        return f"reads the file {file!r}" if private else None


def _filled(text: str, given: tuple[Any, ...]) -> str:
    try:
        return text.format(*given)
    except (IndexError, AttributeError):
        return text.partition(" {")[0]


def _place(frame: FrameType | None) -> str:
    """The innermost line that is neither of Python nor ours."""
    library = os.path.dirname(os.__file__)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((_OURS, "<")) and (
            not file.startswith(library) or "site-packages" in file or "dist-packages" in file
        ):
            return f"at {file}:{frame.f_lineno}"
        frame = frame.f_back
    return "from Python's own code"


def _state() -> dict[str, Any]:
    """What belongs to the whole process, by what it is called."""
    return {
        "the environment": dict(os.environ),
        "sys.path": list(sys.path),
        "the handlers of signals": {each: signal.getsignal(each) for each in signal.valid_signals()},
        "the logging of the whole program": (
            list(logging.root.handlers),
            logging.root.level,
            logging.raiseExceptions,
            logging.root.manager.disable,
        ),
        "the working directory": os.getcwd(),
        "sys.excepthook": sys.excepthook,
        "sys.stdout or sys.stderr": (sys.stdout, sys.stderr),
        "the event loop": getattr(sys.modules.get("asyncio.events"), "_event_loop_policy", None),
    }


class _Printed:
    """Takes the place of stdout and stderr, and knows whether anything was written."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def seen_of(phases: Iterator[tuple[str, Callable[[], object]]]) -> dict[str, Any]:
    """What each phase does; `error` is that of the first one that fails, after which there is no other."""
    watch, told = Watch(), dict[str, Any]()
    for name, work in phases:
        printed = _Printed()
        real = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = printed
        threads = set(threading.enumerate())
        watch.begin()
        try:
            work()
        except Exception as error:  # somebody else's code: anything can happen
            told["error"] = f"{type(error).__name__}: {error}"
        finally:
            seen = watch.end()
            sys.stdout, sys.stderr = real
        if printed.text:
            seen.append(f"prints {printed.text[:80]!r}")
        seen += [f"leaves the thread {each.name!r}" for each in set(threading.enumerate()) - threads]
        told[name] = seen
        if "error" in told:
            break
    return told


def main(distribution: str, settings: str = "{}") -> None:
    from pointsman.testing.checking.offered import Offered  # and with it whatever of ours is needed

    offered = Offered(distribution, json.loads(settings))
    offered.prepare()

    def phases() -> Iterator[tuple[str, Callable[[], object]]]:
        yield "import", offered.load
        yield "hooks", offered.ask
        yield "make", offered.make_all

    told = seen_of(phases())
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    os._exit(0)  # threads that it started may never end


if __name__ == "__main__":
    main(*sys.argv[1:])
