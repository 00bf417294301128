"""The mock upstream of `benchmarks/peers` on the faster event loop: it shares its core with the callers."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))
import machine
import upstream
import uvloop

if __name__ == "__main__":
    if len(sys.argv) > 1:
        machine.pin(int(sys.argv[1]))
    machine.raise_descriptors()
    uvloop.run(upstream.serve())
