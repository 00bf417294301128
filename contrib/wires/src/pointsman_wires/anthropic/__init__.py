"""Anthropic's Messages API: requests as ours, our answers and errors as its."""

from pointsman_wires.anthropic.opaque import for_upstream
from pointsman_wires.anthropic.problems import problem
from pointsman_wires.anthropic.reading import WIRE, read, read_count
from pointsman_wires.anthropic.writing import MessageWriter

__all__ = ["WIRE", "MessageWriter", "for_upstream", "problem", "read", "read_count"]
