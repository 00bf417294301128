"""`pointsman ask`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli import completing
from pointsman_cli.errors import REFUSED
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, raw_option, verbose_option
from pointsman_cli.output import print_json, say, writer
from pointsman_cli.prompts import as_text, joined, model_and_prompt, part_of, tell_if_silent, user_message
from pointsman_cli.running import default_model, ended_by_sigterm, router_for, run

if TYPE_CHECKING:
    from pointsman import ChatResponse


@click.command("ask")
@click.argument("words", nargs=-1, metavar="[MODEL] [PROMPT]", shell_complete=completing.models)
@click.option(
    "-m",
    "--model",
    metavar="NAME",
    shell_complete=completing.models,
    help="The model; by default the first that is configured.",
)
@click.option("-s", "--system", metavar="TEXT", help="Instructions before the prompt.")
@click.option("-t", "--temperature", type=float, help="How much chance; 0 for the least.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer.")
@click.option(
    "--file",
    "files",
    multiple=True,
    metavar="PATH",
    help="An image, sound, a PDF or a text to go with the prompt; `-`, or a URL; any number.",
)
@click.option("--schema", type=click.Path(path_type=Path), help="A JSON Schema that the answer is to follow.")
@click.option("--trace", is_flag=True, help="Tell each attempt on stderr.")
@raw_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, /, words: tuple[str, ...], **options: Any) -> int | None:
    """Ask one question and print the answer.

    The answer is printed as it arrives. What is piped in stands below the prompt, or is the prompt when
    there is none or it is `-`.
    """
    return run(_ask(asked, words, **options))


async def _ask(
    asked: Asked,
    words: tuple[str, ...],
    *,
    model: str | None,
    system: str | None,
    files: tuple[str, ...],
    schema: Path | None,
    trace: bool,
    raw: bool,
    **sampling: Any,
) -> int | None:
    from pointsman import Message
    from pointsman_cli.answering import show
    from pointsman_cli.tracing import traced

    write = writer(raw=raw)
    async with router_for(asked) as router:
        known = router.config.names()
        parts = [part_of(each) for each in files]
        piped = not sys.stdin.isatty() and "-" not in files
        name, prompt = model_and_prompt(words, model=model, known=known, piped=piped)
        if prompt is not None and piped:
            tell_if_silent(sys.stdin)
        message = user_message(joined(prompt, _stdin(asked) if piped or prompt is None else ""), parts)
        messages = [message] if system is None else [Message.system(system), message]
        given = {key: value for key, value in sampling.items() if value is not None}
        if schema is not None:
            given["response_format"] = _schema(schema)
        name = name or default_model(router)
        with traced(router, asked, wanted=trace):
            if asked.json:
                reply = await router.chat(name, messages, **given)
                print_json(reply)
            else:
                async with router.stream(name, messages, **given) as stream:
                    reply = await show(stream, write=write, asides=asked.asides)
    return _refused(reply, as_json=asked.json)


def _schema(file: Path) -> Any:
    """What `file` says an answer is to be. Raises UsageError."""
    try:
        found = json.loads(file.read_bytes())
    except OSError as error:
        raise click.UsageError(f"--schema: {file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise click.UsageError(f"--schema: {file} is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"--schema: {file} holds no JSON Schema, which is an object")
    return found


def _stdin(asked: Asked) -> str:
    with ended_by_sigterm(asked):
        return as_text(sys.stdin.buffer.read())


def _refused(reply: ChatResponse, *, as_json: bool) -> int | None:
    if reply.refusal is None and reply.finish_reason != "content_filter":
        return None
    if not as_json:
        say(f"refused: {reply.refusal or 'a content policy ended the answer'}")
    return REFUSED
