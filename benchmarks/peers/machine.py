"""Cores, descriptors and memory of a process, as far as the system tells and lets us."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path


def cores() -> tuple[int | None, int | None]:
    """(the client's core, the upstream's); None where processes cannot be pinned, or there is only one."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    mine = sorted(os.sched_getaffinity(0))
    return (mine[0], mine[1]) if len(mine) > 1 else (None, None)


def pin(core: int) -> None:
    """Let this process, and the threads it will start, run on `core` alone."""
    os.sched_setaffinity(0, {core})


def raise_descriptors() -> None:
    """Let this process have as many descriptors as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (65_536 if hard < 0 else min(hard, 65_536), hard))


def resident_kib() -> int:
    """Resident memory of this process, in KiB; where the system does not tell, the most it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // 1024 if sys.platform == "darwin" else most
    return pages * resource.getpagesize() // 1024


def cpu_seconds() -> float:
    """User and system time of this process, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def load() -> str:
    """How busy the machine was in the last quarter of an hour; 1 to 2 when the benchmark had it alone."""
    return f"load {os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else "load unknown"


def description() -> str:
    """For the head of a report."""
    pinned = "client and upstream on one core each" if cores()[0] is not None else "nothing pinned"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{python}, {platform.system()} {platform.machine()}, {os.cpu_count()} cores, {pinned}"
