"""Writes docs/images/terminal.svg: what a terminal shows of a server that is down.

    uv run python docs/tools/terminal_picture.py

The configuration is that of the README, with simulated upstreams behind it and the price that OpenAI asks.
What the commands print is taken from a terminal of their own; addresses are shown as the README has them.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from pointsman_simulator import Reply, Simulator

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "terminal.svg"
COMMAND = "uv run python docs/tools/terminal_picture.py"
SHOWN = (
    "pointsman config check",
    'pointsman ask -m assistant "Why is the sky blue?" --trace',
    "pointsman explain assistant",
)
ANSWER = "Air scatters short waves more than long ones, so light from all sides is blue."
PRICED = "{provider: openai, model: gpt-5-mini, price: {input: 0.25, output: 2}}"
COLUMNS = 80


async def printed() -> list[tuple[str, str]]:
    """Each command with what it prints, colours and all, while the first server is down."""
    async with Simulator(seed=1) as simulator:
        gpu = await simulator.add("ollama", name="gpu", models=["llama3.2"])
        cloud = await simulator.add(
            "openai", name="openai", models=["gpt-5-mini"], default=Reply(text=ANSWER)
        )
        await gpu.stop()
        (written,) = re.findall(
            r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        written = written.replace("http://127.0.0.1:11434", gpu.base_url)
        written = written.replace("type: openai,", f'type: openai, base_url: "{cloud.base_url}",')
        written = written.replace("openai/gpt-5-mini", PRICED)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "pointsman.yaml").write_text(written, "utf-8")
            told = [(command, await asyncio.to_thread(_run, command, folder)) for command in SHOWN]
    return [(command, text.replace(gpu.base_url, "http://127.0.0.1:11434")) for command, text in told]


def _run(command: str, folder: str) -> str:
    """What a command prints into a terminal of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    environment = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "TERM": "xterm-256color",
    }
    environment |= {"OPENAI_API_KEY": "k", "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(  # noqa: S602  # of the lines above
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        return b"".join(_read(ours)).decode().replace("\r\n", "\n")


def _read(terminal: int) -> Iterator[bytes]:
    try:
        while some := os.read(terminal, 4096):
            yield some
    except OSError:  # the other end is closed, which a terminal tells so
        os.close(terminal)


def picture(told: list[tuple[str, str]]) -> str:
    """The picture, without the fonts that would be fetched from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=StringIO(), force_terminal=True, legacy_windows=False)
    for command, text in told:
        console.print(Text.assemble(("$ ", "dim"), (command, "bold")))
        console.print(Text.from_ansi(text.rstrip("\n")))
    svg = console.export_svg(title="pointsman", unique_id="terminal")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return (
        re.sub(r"font-family: [^;]+;", "font-family: ui-monospace, Menlo, Consolas, monospace;", svg) + "\n"
    )


def words(svg: str) -> list[str]:
    """The lines of text in a picture, with 0 for every number: times differ from run to run."""
    lines: dict[str, str] = {}
    for y, text in re.findall(r'<text[^>]* y="([\d.]+)"[^>]*>(.*?)</text>', svg):
        lines[y] = lines.get(y, "") + text
    plain = (re.sub(r"(?:&#160;|\s)+", " ", line) for line in lines.values())
    return [re.sub(r"[\d.]+", "0", line).strip() for line in plain]


if __name__ == "__main__":
    PICTURE.write_text(picture(asyncio.run(printed())), "utf-8")
    print(f"wrote {PICTURE}")
