"""What the words of `ask` mean: a model, a prompt, files, standard input."""

from __future__ import annotations

import mimetypes
import select
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pointsman_cli.output import say

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


def joined(prompt: str | None, piped: str) -> str:
    """The prompt and, below it, what was piped in; either may be all. Raises UsageError for neither."""
    text = "\n\n".join(each for each in (prompt, piped) if each)
    if not text:
        raise click.UsageError("standard input is empty, so there is no prompt")
    return text


def tell_if_silent(stdin: TextIO, *, seconds: float = 2.0) -> None:
    """Say what is waited for when nothing is piped in for so long: a caller may have left its pipe open."""
    with suppress(OSError, ValueError):  # not every stream, and not on every system, can be looked at
        readable, _, _ = select.select([stdin], [], [], seconds)
        if not readable:
            say("waiting for standard input; to ask without it: </dev/null")


def as_text(data: bytes) -> str:
    """What was piped in, without blanks around it. Raises UsageError when it is no text."""
    try:
        return data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise click.UsageError(
            "standard input is no text in UTF-8; hand over an image or a document with --file"
        ) from None


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
