"""Ollama's own API: requests as ours, our answers, errors and models as its."""

from pointsman_wires.ollama.models import ModelCard, listed, running, shown
from pointsman_wires.ollama.options import streams
from pointsman_wires.ollama.problems import error_line, problem
from pointsman_wires.ollama.reading import (
    WIRE,
    only_loads,
    read,
    read_chat,
    read_embed,
    read_embeddings,
    read_generate,
)
from pointsman_wires.ollama.writing import (
    AnswerWriter,
    EmbeddingsWriter,
    EmbeddingWriter,
    LinesAtOnce,
    loaded,
    progress_line,
)

__all__ = [
    "WIRE",
    "AnswerWriter",
    "EmbeddingWriter",
    "EmbeddingsWriter",
    "LinesAtOnce",
    "ModelCard",
    "error_line",
    "listed",
    "loaded",
    "only_loads",
    "problem",
    "progress_line",
    "read",
    "read_chat",
    "read_embed",
    "read_embeddings",
    "read_generate",
    "running",
    "shown",
    "streams",
]
