"""`pointsman embed`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pointsman_cli import completing
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import plain, print_json, print_table
from pointsman_cli.prompts import as_text
from pointsman_cli.running import ended_by_sigterm, router_for, run
from pointsman_cli.tracing import traced

if TYPE_CHECKING:
    from pointsman import EmbedResponse


@click.command("embed")
@click.argument("model", shell_complete=completing.models)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--dimensions", type=click.IntRange(min=1), help="Of each vector, where the model can choose.")
@click.option("--trace", is_flag=True, help="Tell each attempt on stderr.")
@config_option
@json_option
@verbose_option
@pass_asked
def command(asked: Asked, model: str, texts: tuple[str, ...], dimensions: int | None, trace: bool) -> None:
    """Turn each TEXT into a vector.

    With `-`, or with none, each line of standard input is a text. How long the vectors are is printed; with
    --json the vectors.
    """
    if texts in ((), ("-",)):
        texts = _lines(asked)
    reply = run(_embedded(asked, model, texts, dimensions, trace=trace))
    sizes = [len(each) for each in reply.vectors]
    if asked.json:
        print_json({"dimensions": sizes[0] if sizes else 0, **plain(reply)})
    else:
        print_table(["dimensions", "text"], list(zip(sizes, texts, strict=True)))


def _lines(asked: Asked) -> tuple[str, ...]:
    with ended_by_sigterm(asked):
        lines = as_text(sys.stdin.buffer.read()).split("\n")
    texts = tuple(text for line in lines if (text := line.strip()))
    if not texts:
        raise click.UsageError("standard input is empty, so there is no text")
    return texts


async def _embedded(
    asked: Asked, model: str, texts: Sequence[str], dimensions: int | None, *, trace: bool
) -> EmbedResponse:
    async with router_for(asked) as router:
        with traced(router, asked, wanted=trace):
            return await router.embed(model, list(texts), dimensions=dimensions)
