"""The four APIs: pure translation between HTTP bodies and the values of `exchange`."""

from pointsman_simulator.wires.base import Wire
from pointsman_simulator.wires.claude import Claude
from pointsman_simulator.wires.localai import LocalAI
from pointsman_simulator.wires.ollama import Ollama
from pointsman_simulator.wires.openai import OpenAI

__all__ = ["WIRES", "Wire"]

WIRES: dict[str, Wire] = {
    "claude": Claude(),
    "localai": LocalAI(),
    "ollama": Ollama(),
    "openai": OpenAI(),
}
