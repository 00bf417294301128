"""`pointsman ask`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli.errors import REFUSED
from pointsman_cli.options import Asked, config_option, json_option, pass_asked
from pointsman_cli.output import plain, print_json, say
from pointsman_cli.running import default_model, ended_by_sigterm, router_for, run

if TYPE_CHECKING:
    from pointsman import ChatResponse


@click.command("ask")
@click.argument("words", nargs=-1, metavar="[MODEL] [PROMPT]")
@click.option("-m", "--model", metavar="NAME", help="The model; by default the first that is configured.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions before the prompt.")
@click.option("-t", "--temperature", type=float, help="How much chance; 0 for the least.")
@click.option("--max-tokens", type=click.IntRange(min=1), help="The longest answer.")
@click.option(
    "--file",
    "files",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="An image, a PDF or a text to go with the prompt; any number.",
)
@click.option("--trace", is_flag=True, help="Tell each attempt on stderr.")
@config_option
@json_option
@pass_asked
def command(asked: Asked, /, words: tuple[str, ...], **options: Any) -> int | None:
    """Ask one question and print the answer.

    The prompt is read from standard input when it is `-`, or when there is none and input is piped.
    """
    return run(_ask(asked, words, **options))


async def _ask(
    asked: Asked,
    words: tuple[str, ...],
    *,
    model: str | None,
    system: str | None,
    files: tuple[Path, ...],
    trace: bool,
    **sampling: Any,
) -> int | None:
    from pointsman import Message
    from pointsman_cli.prompts import model_and_prompt, user_message
    from pointsman_cli.tracing import traced

    async with router_for(asked) as router:
        known = router.config.public_models()
        name, prompt = model_and_prompt(words, model=model, known=known, piped=not sys.stdin.isatty())
        message = user_message(_stdin(asked) if prompt is None else prompt, files)
        messages = [message] if system is None else [Message.system(system), message]
        given = {key: value for key, value in sampling.items() if value is not None}
        with traced(router, wanted=trace, as_json=asked.json):
            reply = await router.chat(name or default_model(router), messages, **given)
    return _show(reply, as_json=asked.json)


def _stdin(asked: Asked) -> str:
    with ended_by_sigterm(asked):
        prompt = sys.stdin.read().strip()
    if not prompt:
        raise click.UsageError("standard input is empty, so there is no prompt")
    return prompt


def _show(reply: ChatResponse, *, as_json: bool) -> int | None:
    if as_json:
        print_json(plain(reply))
    else:
        if reply.text or not reply.tool_calls:
            click.echo(reply.text)
        for call in reply.tool_calls:
            click.echo(f"{call.name}({call.arguments})")
    if reply.refusal is None and reply.finish_reason != "content_filter":
        return None
    if not as_json:
        say(f"refused: {reply.refusal or 'a content policy ended the answer'}")
    return REFUSED
