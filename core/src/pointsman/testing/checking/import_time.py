"""How long the modules of a distribution take to import, beside what the core takes.

Each is measured in fresh processes, by the time that the processor worked, and the least of several counts:
what else a machine does makes an import slower and never faster.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

from msgspec import Struct

MOST = 1.5
"""Times the core that a plugin may take."""
CORE = ("pointsman.router",)
"""What every program that routes has imported."""
_ROUNDS = 3
_MORE = 4
"""Further rounds where it looks too slow: a busy machine must not fail anybody."""
_ASK = """
import sys, time
begun = time.process_time()
for name in sys.argv[1:]:
    __import__(name)
print("\\nTOOK", time.process_time() - begun)
"""

Measure = Callable[[Sequence[str]], float]


class ImportTime(Struct, frozen=True):
    """Seconds of the processor that importing a distribution took, and the core."""

    seconds: float
    core: float

    @property
    def times(self) -> float:
        """How many times as long as the core."""
        return self.seconds / self.core

    def __str__(self) -> str:
        return f"{self.times:.2f} times that of the core ({self.seconds:.3f} s, core {self.core:.3f} s)"


def seconds_to_import(modules: Sequence[str]) -> float:
    """Of the processor, in a process of its own. Raises RuntimeError with what went wrong there."""
    done = subprocess.run(  # noqa: S603 - it is this Python
        [sys.executable, "-c", _ASK, *modules], capture_output=True, text=True, check=False, env=_environ()
    )
    _, found, took = done.stdout.rpartition("TOOK")
    if done.returncode or not found:
        last = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise RuntimeError(last[-1])
    return float(took)


def import_time(modules: Sequence[str], measure: Measure = seconds_to_import) -> ImportTime:
    """The least of a few turns; of more of them where that is beyond `MOST` times the core."""
    measure(modules)  # compiled, and read from the disk
    own, core = [measure(modules)], [measure(CORE)]
    for turn in range(_ROUNDS + _MORE - 1):
        if turn >= _ROUNDS - 1 and min(own) <= MOST * min(core):
            break
        own.append(measure(modules))
        core.append(measure(CORE))
    return ImportTime(min(own), min(core))


def _environ() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    return kept | {"PYTHONHASHSEED": "0"}
