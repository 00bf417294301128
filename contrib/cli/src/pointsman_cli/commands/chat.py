"""`pointsman chat`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pointsman_cli import completing
from pointsman_cli.errors import Failed
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, raw_option, verbose_option
from pointsman_cli.output import json_text, plain, print_json_line, print_piece, say, writer
from pointsman_cli.prompts import as_text, part_of, user_message
from pointsman_cli.running import default_model, ended_by_sigterm, one_turn, router_for, uninterrupted
from pointsman_cli.typing_lines import entry, history_file, prompts, remembered

if TYPE_CHECKING:
    from pointsman import ChatStream, Message, Router
    from pointsman.types import Part

_COMMANDS = {
    "/help": "this list",
    "/model [NAME]": "which model answers; another one",
    "/system [TEXT]": "the instructions; others, from the next turn on",
    "/file PATH": "an image, a PDF or a text goes with the next turn",
    "/retry": "ask the last question again",
    "/history": "what was said",
    "/save FILE": "write what was said into a new file, as Markdown or .json",
    "/reset": "forget what was said",
    "/status": "the deployments of the model",
    "/disable, /enable, /drain, /heal DEPLOYMENT": "operate one",
    "/exit": "end it, as Ctrl-D does; Ctrl-C stops an answer",
}
_MULTILINE = 'a line goes on behind a \\ at its end, and several stand between """ and """'


@click.command("chat")
@click.argument("model", required=False, shell_complete=completing.models)
@click.option(
    "-m",
    "--model",
    "option",
    metavar="NAME",
    shell_complete=completing.models,
    help="The model; by default the first one.",
)
@click.option("-s", "--system", metavar="TEXT", help="Instructions before the conversation.")
@click.option("--no-history", is_flag=True, help="Keep nothing of what is typed for the next time.")
@click.option("--trace", is_flag=True, help="Tell each attempt on stderr, and where the answer comes from.")
@raw_option
@config_option
@json_option
@verbose_option
@pass_asked
def command(
    asked: Asked,
    /,
    model: str | None,
    option: str | None,
    system: str | None,
    no_history: bool,
    trace: bool,
    raw: bool,
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
            if sys.stdin.isatty():
                with remembered(None if no_history else history_file(os.environ)):
                    _at_terminal(asked, talk, runner)
            else:
                _piped(asked, talk, runner)
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
        self._files: list[Part] = []
        self._last: Message | None = None

    def reset(self) -> None:
        """Forget what was said."""
        self._messages, self._last = [], None

    def instruct(self, system: str) -> None:
        """Have other instructions from the next turn on."""
        self._system = system

    @property
    def system(self) -> str:
        """The instructions, "" for none."""
        return self._system or ""

    def attach(self, file: str) -> None:
        """Have `file` go with the next turn. Raises UsageError for what cannot."""
        if file == "-":
            raise click.UsageError("standard input is where you type; name a file")
        self._files.append(part_of(file))

    async def retry(self) -> None:
        """Ask the last question again, in place of its answer. Raises Failed where there is none."""
        if self._last is None:
            raise Failed("nothing was asked yet")
        if self._last in self._messages:
            self._messages = self._messages[: self._messages.index(self._last)]
        await self._turn(self._last)

    def said(self) -> list[tuple[str, str]]:
        """Who said what, in order, the instructions first."""
        begin = [("system", self._system)] if self._system else []
        return begin + [(each.role, _text(each)) for each in self._messages]

    def save(self, file: Path) -> None:
        """Write what was said into `file`, which is new and of this user alone. Raises OSError."""
        if file.suffix.lower() == ".json":
            told = json_text([{"role": role, "content": text} for role, text in self.said()], indent=2)
        else:
            told = "\n".join(f"## {role}\n\n{text}\n" for role, text in self.said())
        with open(os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="utf-8") as new:
            new.write(told.rstrip("\n") + "\n")

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
        files, self._files = self._files, []
        await self._turn(user_message(prompt, files))

    async def _turn(self, message: Message) -> None:
        from pointsman import Message
        from pointsman_cli.answering import show
        from pointsman_cli.tracing import traced

        self._last = message
        messages = [*self._messages, message]
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

    say(f"model {talk.model}; /help says what else there is, Ctrl-C stops an answer, Ctrl-D ends")
    for line in _typed(asked):
        try:
            if line in ("/exit", "/quit"):
                return
            if line.startswith("/"):
                _obey(talk, line, runner)
            else:
                runner.run(talk.turn(line))
        except KeyboardInterrupt:
            one_turn(runner)
            say("stopped")
        except (PointsmanError, click.UsageError, Failed, OSError) as error:
            say(message_of(error))
        if asked.terminated:
            return


def _typed(asked: Asked) -> Iterator[str]:
    """What is typed, line by line, until Ctrl-D; Ctrl-C gives up a line."""
    first, more = prompts()
    while True:
        try:
            with ended_by_sigterm(asked):
                line = entry(input, prompt=first, more=more)
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
    rest = rest.strip()
    match word:
        case "/reset":
            talk.reset()
            say("forgotten")
        case "/retry":
            runner.run(talk.retry())
        case "/file" if rest:
            talk.attach(rest)
            say(f"{rest} goes with the next turn")
        case "/save" if rest:
            talk.save(Path(rest).expanduser())
            say(f"wrote {rest}")
        case "/disable" | "/enable" | "/drain" | "/heal" if rest:
            say(runner.run(talk.operate(word, rest)))
        case _:
            _tell(talk, word, rest)


def _tell(talk: _Talk, word: str, rest: str) -> None:
    """What is asked for, on stderr: stdout has answers alone."""
    match word:
        case "/model":
            if rest:
                talk.use(rest)
            say(f"model {talk.model}")
        case "/system":
            if rest:
                talk.instruct(rest)
            say(f"instructions: {talk.system or 'none'}")
        case "/status":
            for each in talk.status():
                say(each)
        case "/history":
            for role, text in talk.said():
                say(f"{role}: {text}")
        case _:
            if word not in " ".join(_COMMANDS).replace(",", "").split():
                say(f"there is no {word}; what there is:")
            width = max(map(len, _COMMANDS))
            for command, meaning in _COMMANDS.items():
                say(f"{command:{width}}  {meaning}")
            say(_MULTILINE)


def _text(message: Message) -> str:
    """What was said, with a word for each part that is no text."""
    parts = (getattr(each, "text", None) or f"({type(each).__name__.lower()})" for each in message.parts)
    return "\n\n".join(parts)
