"""Simulated LLM upstreams on loopback: Ollama, OpenAI, Claude, LocalAI.

`Simulator` and `Upstream` are loaded at first use, so that importing this package (which the pytest
plugin does in every test run) does not import the HTTP server.
"""

from typing import TYPE_CHECKING, Any

from pointsman_simulator.habit import Habit, fault_of
from pointsman_simulator.script import Fault, Reply, Usage
from pointsman_simulator.vram import Vram

if TYPE_CHECKING:
    from pointsman_simulator.records import RequestRecord
    from pointsman_simulator.simulator import Simulator
    from pointsman_simulator.upstream import Upstream
else:  # checkers would take any name for one that there is

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)


__all__ = ["Fault", "Habit", "Reply", "RequestRecord", "Simulator", "Upstream", "Usage", "Vram", "fault_of"]

_LAZY = {"RequestRecord": "records", "Simulator": "simulator", "Upstream": "upstream"}
