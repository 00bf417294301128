"""What the words of `ask` mean: a model, a prompt, files, standard input."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pointsman import Message
    from pointsman.types import Part


def model_and_prompt(
    words: Sequence[str], *, model: str | None, known: Collection[str], piped: bool
) -> tuple[str | None, str | None]:
    """The model (None: the first one) and the prompt (None: standard input) that `words` mean.

    Args:
        words: none, one or two: `PROMPT`, `MODEL PROMPT`; `-` as a prompt is standard input.
        model: what `--model` says; then all words are the prompt.
        known: names of models; one word that is one of them is a model when the prompt is piped.
        piped: standard input is no terminal.
    """
    words = [*words]
    if model is None and (len(words) > 1 or (piped and len(words) == 1 and words[0] in known)):
        model = words.pop(0)
    prompt = " ".join(words)
    if prompt == "-" or not words:
        if not words and not piped:
            raise click.UsageError("there is no prompt; write it behind the command, or pipe it in")
        return model, None
    return model, prompt


def user_message(prompt: str, files: Sequence[Path]) -> Message:
    """One turn of the user: the prompt, then the files."""
    from pointsman import Message, Text

    if not files:
        return Message.user(prompt)
    return Message.user([Text(prompt), *(_part(each) for each in files)])


def _part(file: Path) -> Part:
    from pointsman import File, Image, Text

    kind = mimetypes.guess_type(file.name)[0] or ""
    data = file.read_bytes()
    if kind.startswith("image/"):
        return Image(data, kind)
    if kind == "application/pdf":
        return File(data, kind, file.name)
    try:
        return Text(f"\n\n{file.name}:\n{data.decode('utf-8')}")
    except UnicodeDecodeError:
        raise click.UsageError(
            f"{file} is neither an image, a PDF nor text; its name should end in .png, .jpg, .pdf …"
        ) from None
