"""What the words of `ask` mean: a model, a prompt, files, standard input."""

from __future__ import annotations

import mimetypes
import select
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

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


def user_message(prompt: str, files: Sequence[Part]) -> Message:
    """One turn of the user: the prompt, then the files."""
    from pointsman import Message, Text

    return Message.user([Text(prompt), *files]) if files else Message.user(prompt)


def part_of(file: str) -> Part:
    """The image, sound, document or text in `file`, or at a URL, from where the upstream is to fetch it.

    What it is its first bytes say, and its name where these do not. `-` is standard input.

    Raises: UsageError for what is not there, or of no such kind.
    """
    from pointsman import File, Image

    if file.startswith(("https://", "http://")):
        is_document = urlsplit(file).path.lower().endswith(".pdf")
        return File(url=file) if is_document else Image(url=file)
    if file == "-":
        with NamedTemporaryFile() as copy:
            copy.write(sys.stdin.buffer.read())
            copy.flush()
            return _part(Path(copy.name), "standard input")
    path = Path(file).expanduser()
    if not path.is_file():
        raise click.UsageError(f"--file: there is no file {file}")
    return _part(path, path.name)


def _part(path: Path, name: str) -> Part:
    from pointsman import Audio, File, Image, Text
    from pointsman.values.media_files import LARGEST

    try:
        if path.stat().st_size > LARGEST:
            raise click.UsageError(f"{name} is larger than {LARGEST >> 20} MiB, more than any upstream takes")
        for kind in (Image, Audio):
            with suppress(ValueError):
                return kind.from_file(path)
        guessed = mimetypes.guess_type(name)[0] or ""
        data = path.read_bytes()
        if guessed.startswith("image/"):
            return Image(data, guessed)
        if data.startswith(b"%PDF-"):
            return File(data, "application/pdf", name)
        with suppress(UnicodeDecodeError):
            return Text(f"\n\n{name}:\n{data.decode('utf-8')}")
        return File.from_file(path)
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror or error}") from None
    except ValueError:
        raise click.UsageError(
            f"{name} is neither an image, a PDF nor text; its name should end in .png, .jpg, .pdf …"
        ) from None
