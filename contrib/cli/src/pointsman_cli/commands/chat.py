"""`pointsman chat`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from pointsman_cli.options import Asked, config_option, json_option, pass_asked, raw_option, verbose_option
from pointsman_cli.output import plain, print_json_line, print_piece, say, writer
from pointsman_cli.prompts import as_text
from pointsman_cli.running import default_model, ended_by_sigterm, one_turn, router_for, uninterrupted

if TYPE_CHECKING:
    from pointsman import ChatStream, Message, Router

_HELP = (
    "/reset forgets the conversation, /model NAME changes the model, /status shows the deployments, "
    "/disable, /enable, /drain and /heal DEPLOYMENT operate one, Ctrl-C stops an answer, Ctrl-D ends"
)


@click.command("chat")
@click.argument("model", required=False)
@click.option("-m", "--model", "option", metavar="NAME", help="The model; by default the first one.")
@click.option("-s", "--system", metavar="TEXT", help="Instructions before the conversation.")
@click.option("--trace", is_flag=True, help="Tell each attempt on stderr, and where the answer comes from.")
@raw_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked, model: str | None, option: str | None, system: str | None, trace: bool, raw: bool
) -> None:
    """Talk with a model; answers are streamed.

    At a terminal, type; /help lists what else there is. When input is piped, each line is a turn.
    """
    write = writer(raw=raw)
    with asyncio.Runner() as runner:
        # One loop for all turns; between them it rests, so that a terminal's line editing works.
        context = router_for(asked)
        router = runner.run(context.__aenter__())
        try:
            talk = _Talk(
                asked, router, model or option or default_model(router), system, trace=trace, write=write
            )
            (_at_terminal if sys.stdin.isatty() else _piped)(asked, talk, runner)
        finally:
            with uninterrupted():
                one_turn(runner)
                runner.run(context.__aexit__(None, None, None))


class _Talk:
    """One conversation."""

    def __init__(
        self,
        asked: Asked,
        router: Router,
        model: str,
        system: str | None,
        *,
        trace: bool,
        write: Callable[[str], None] = print_piece,
    ) -> None:
        self.model = model
        self._asked = asked
        self._router = router
        self._system = system
        self._trace = trace
        self._write = write
        self._messages: list[Message] = []

    def reset(self) -> None:
        """Forget what was said."""
        self._messages = []

    def use(self, model: str) -> None:
        """Go on with `model`. Raises UnknownModel."""
        self._router.explain(model)
        self.model = model

    def status(self) -> list[str]:
        """One line for each deployment of the model, and why it takes no calls where it does not."""
        model = self._router.status().models.get(self.model)
        return [
            f"{id}: {each.blocked or 'ready'}, {each.in_flight} in flight"
            for id, each in (() if model is None else model.deployments.items())
        ]

    async def operate(self, word: str, deployment: str) -> str:
        """Do what `/word deployment` asks for; returns what to say."""
        try:
            match word:
                case "/disable":
                    self._router.disable(deployment)
                case "/enable":
                    self._router.enable(deployment)
                case "/heal":
                    self._router.reset(deployment)
                case "/drain" if not await self._router.drain(deployment):
                    return f"{deployment} still has calls in flight; it takes no new ones"
        except KeyError as error:
            return str(error.args[0])
        return f"{word[1:]} {deployment}: done"

    async def turn(self, prompt: str) -> None:
        """Stream the answer to `prompt`; a turn that fails or is cancelled is forgotten."""
        from pointsman import Message
        from pointsman_cli.answering import show
        from pointsman_cli.tracing import traced

        messages = [*self._messages, Message.user(prompt)]
        said = messages if self._system is None else [Message.system(self._system), *messages]
        with traced(self._router, self._asked, wanted=self._trace):
            async with self._router.stream(self.model, said) as stream:
                await (
                    self._print_json(stream)
                    if self._asked.json
                    else show(stream, write=self._write, asides=self._asked.asides)
                )
        self._messages = [*messages, stream.response.message]

    async def _print_json(self, stream: ChatStream) -> None:
        async for event in stream:
            print_json_line({"kind": event.kind, **plain(event)})


def _piped(asked: Asked, talk: _Talk, runner: asyncio.Runner) -> None:
    while not asked.terminated:
        with ended_by_sigterm(asked):
            line = sys.stdin.buffer.readline()
        if not line:
            return
        if prompt := as_text(line):
            runner.run(talk.turn(prompt))


def _at_terminal(asked: Asked, talk: _Talk, runner: asyncio.Runner) -> None:
    from pointsman import PointsmanError
    from pointsman_cli.errors import message_of

    say(f"model {talk.model}; {_HELP}")
    for line in _typed(asked):
        try:
            if line.startswith("/"):
                _obey(talk, line, runner)
            else:
                runner.run(talk.turn(line))
        except KeyboardInterrupt:
            one_turn(runner)
            say("stopped")
        except PointsmanError as error:
            say(message_of(error))
        if asked.terminated:
            return


def _typed(asked: Asked) -> Iterator[str]:
    """What is typed, line by line, until Ctrl-D; Ctrl-C gives up a line."""
    with suppress(ImportError):
        import readline  # noqa: F401 - gives input() its line editing
    while True:
        try:
            with ended_by_sigterm(asked):
                line = input("> " if sys.stdout.isatty() else "").strip()
        except EOFError:
            say("")
            return
        except UnicodeDecodeError:
            say("that was no text in UTF-8")
            continue
        except KeyboardInterrupt:
            say("")
            continue
        if line:
            yield line


def _obey(talk: _Talk, line: str, runner: asyncio.Runner) -> None:
    word, _, rest = line.partition(" ")
    if word == "/reset":
        talk.reset()
        say("forgotten")
    elif word == "/model" and rest.strip():
        talk.use(rest.strip())
        say(f"model {talk.model}")
    elif word == "/model":
        say(f"model {talk.model}")
    elif word == "/status":
        for each in talk.status():
            say(each)
    elif word in ("/disable", "/enable", "/drain", "/heal") and rest.strip():
        say(runner.run(talk.operate(word, rest.strip())))
    else:
        say(_HELP)
