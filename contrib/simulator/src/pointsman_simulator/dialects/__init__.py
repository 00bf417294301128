"""The four APIs: pure translation between HTTP bodies and the values of `exchange`."""

from pointsman_simulator.dialects.base import Dialect
from pointsman_simulator.dialects.claude import Claude
from pointsman_simulator.dialects.localai import LocalAI
from pointsman_simulator.dialects.ollama import Ollama
from pointsman_simulator.dialects.openai import OpenAI

__all__ = ["DIALECTS", "Dialect"]

DIALECTS: dict[str, Dialect] = {
    "claude": Claude(),
    "localai": LocalAI(),
    "ollama": Ollama(),
    "openai": OpenAI(),
}
