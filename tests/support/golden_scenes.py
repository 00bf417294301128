"""What the golden files of the command line show: in which folder which line is typed, by command.

A scene is tried at a terminal of 80 columns, there with NO_COLOR, in a pipe, and with `--json`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLACES = {
    "nothing": "An empty folder, and nothing to be found on this machine.",
    "configured": "A configuration of three models over two Ollama servers and one with OpenAI's API.",
    "one-down": "The same, and nobody listens where `gpu2` should.",
    "all-down": "The same, and nobody listens anywhere.",
    "broken": "A configuration with mistakes.",
    "running": "The configuration of a router that runs, with a control socket and a deployment that is disabled.",
    "litellm": "A configuration of LiteLLM.",
}


@dataclass(frozen=True)
class Scene:
    """One line that somebody types.

    Attributes:
        place: where, a key of `PLACES`.
        line: what comes behind `pointsman`.
        forms: of `FORMS`; fewer where the rest says nothing new.
        hidden: lines that are left out, as a regular expression; what they hold is another thing each time.
        data: at a terminal lines are as long as they are, since they are for copying.
        loose: columns are as wide as numbers that differ, so that blanks beside blanks are one.
        flows: lines are broken where numbers that differ leave room, so that a line's end is a blank.
    """

    place: str
    line: str
    forms: Sequence[str] = ("terminal", "piped", "json")
    hidden: str = ""
    data: bool = False
    loose: bool = False
    flows: bool = False


FORMS = ("terminal", "piped", "json")
TERMINAL = ("terminal",)
NO_TERMINAL = ("piped", "json")
"""For what would wait there for somebody who types; the tests of processes do."""
READ = ("terminal", "piped")

MACHINE = (
    r"(?ms)^(\^\[1m)?(plugins|limits|versions|environment|gateway)\b.*?(?=^(\^\[1m)?(credentials|providers|terminal"
    r"|control|running|models|clock)\b|^\d+ ok|\Z)|^\d+ ok.*?$"
)
"""Of `doctor`: what is installed, and what this machine is."""
DEMO = r"(?ms)^\d+ requests over.*?\n\n|^[^\n]*(?<![\[\d])\d[^\n]*(\n|\Z)"
"""Of `demo`: what was counted; its headings and its claims are left."""

SCENES: Mapping[str, Sequence[Scene]] = {
    "pointsman": [
        Scene("nothing", "", READ),
        Scene("nothing", "--version", READ),
        Scene("nothing", "stauts"),
        Scene("broken", "--help", TERMINAL),
    ],
    "ask": [
        Scene("nothing", "ask Why?"),
        Scene("configured", "ask Why?"),
        Scene("configured", "ask second Why? --trace", READ),
        Scene("one-down", "ask second Why? --trace", READ, flows=True),
        Scene("all-down", "ask Why?"),
        Scene("configured", "ask asistant Why?"),
        Scene("configured", "ask"),
        Scene("configured", "ask Why? --file none.png", READ),
        Scene("broken", "ask Why?"),
    ],
    "audit-erase": [Scene("configured", "audit erase --caller ci", READ)],
    "audit-evidence": [Scene("configured", "audit evidence -o evidence.zip", READ)],
    "audit-export": [Scene("configured", "audit export -o records.jsonl", READ)],
    "audit-prune": [Scene("configured", "audit prune --older 90d", READ)],
    "audit-query": [
        Scene("nothing", "audit query", READ),
        Scene("configured", "audit query ./none --since yesterday", READ),
    ],
    "audit-stats": [Scene("configured", "audit stats", READ)],
    "audit-tail": [Scene("configured", "audit tail ./none", READ)],
    "audit-verify": [Scene("configured", "audit verify"), Scene("configured", "audit verify ./none", READ)],
    "callers-add": [
        Scene("configured", "callers add ci --tokens many", READ),
        Scene("nothing", "callers add ci", READ),
    ],
    "callers-erase": [Scene("configured", "callers erase ci", READ)],
    "callers-export": [Scene("configured", "callers export ci", READ)],
    "callers-limits": [Scene("configured", "callers limits ci --label team", READ)],
    "callers-list": [Scene("configured", "callers list", READ), Scene("broken", "callers list", READ)],
    "callers-revoke": [Scene("configured", "callers revoke ci", READ)],
    "callers-rotate": [Scene("configured", "callers rotate ci --overlap soon", READ)],
    "callers-show": [Scene("configured", "callers show ci", READ)],
    "chat": [
        Scene("nothing", "chat"),
        Scene("configured", "chat asistant", NO_TERMINAL),
        Scene("broken", "chat", TERMINAL),
    ],
    "completion": [
        Scene("nothing", "completion bash", READ, hidden=r"(?m)^ +.*\n", data=True),
        Scene("nothing", "completion tcsh", TERMINAL),
    ],
    "config-check": [
        Scene("nothing", "config check"),
        Scene("configured", "config check"),
        Scene("broken", "config check"),
        Scene("configured", "config check none.yaml"),
        Scene("litellm", "config check litellm.yaml"),
    ],
    "config-convert": [
        Scene("litellm", "config convert litellm.yaml", READ, data=True),
        Scene("litellm", "config convert litellm.yaml -o new.yaml"),
        Scene("configured", "config convert pointsman.yaml"),
        Scene("litellm", "config convert", TERMINAL),
    ],
    "config-diff": [
        Scene("configured", "config diff pointsman.yaml changed.yaml"),
        Scene("configured", "config diff pointsman.yaml pointsman.yaml"),
        Scene("broken", "config diff pointsman.yaml pointsman.yaml"),
    ],
    "config-explain": [
        Scene("nothing", "config explain PM1203"),
        Scene("nothing", "config explain PM9999"),
        Scene("nothing", "config explain", READ),
    ],
    "config-init": [
        Scene("nothing", "config init"),
        Scene("configured", "config init"),
    ],
    "config-schema": [Scene("nothing", "config schema -o schema.json")],
    "config-show": [
        Scene("nothing", "config show"),
        Scene("configured", "config show --resolved", TERMINAL),
        Scene("broken", "config show"),
    ],
    "credentials-add": [Scene("configured", "credentials add cloud sk-not-to-be-seen-0123456789", READ)],
    "credentials-export": [Scene("configured", "credentials export copy.keystore", READ)],
    "credentials-list": [
        Scene("nothing", "credentials list", READ),
        Scene("configured", "credentials list"),
        Scene("broken", "credentials list", READ),
    ],
    "credentials-remove": [Scene("configured", "credentials remove cloud", READ)],
    "credentials-rewrap": [Scene("configured", "credentials rewrap", READ)],
    "credentials-rotate": [Scene("configured", "credentials rotate cloud --overlap soon", READ)],
    "credentials-show": [Scene("configured", "credentials show cloud", READ)],
    "credentials-verify": [Scene("configured", "credentials verify", READ)],
    "db-migrate": [
        Scene("nothing", "db migrate", READ),
        Scene("configured", "db migrate"),
    ],
    "db-status": [
        Scene("nothing", "db status", READ),
        Scene("configured", "db status"),
    ],
    "demo": [Scene("nothing", "demo", READ, hidden=DEMO, loose=True)],
    "disable": [
        Scene("nothing", "disable gpu1/llama3.2"),
        Scene("running", "disable gpu1/llama3.2"),
        Scene("running", "disable gpu/llama3.2"),
        Scene("configured", "disable gpu1/llama3.2"),
    ],
    "doctor": [
        Scene("nothing", "doctor", READ, hidden=MACHINE, loose=True),
        Scene("configured", "doctor", READ, hidden=MACHINE, loose=True),
        Scene("one-down", "doctor", READ, hidden=MACHINE, loose=True),
        Scene("broken", "doctor", TERMINAL, hidden=MACHINE, loose=True),
    ],
    "drain": [
        Scene("running", "drain gpu1/llama3.2"),
        Scene("nothing", "drain", TERMINAL),
    ],
    "embed": [
        Scene("configured", "embed embedder one two"),
        Scene("configured", "embed assistant one"),
        Scene("nothing", "embed x one", READ),
    ],
    "enable": [Scene("running", "enable gpu2/llama3.2")],
    "env": [
        Scene("nothing", "env"),
        Scene("configured", "env openai"),
        Scene("configured", "env opnai"),
    ],
    "explain": [
        Scene("nothing", "explain"),
        Scene("configured", "explain"),
        Scene("configured", "explain second"),
        Scene("configured", "explain assistant Why? --wire", READ),
        Scene("configured", "explain assistant --require region=eu"),
        Scene("configured", "explain --test cases.yaml"),
        Scene("configured", "explain asistant"),
        Scene("broken", "explain assistant", READ),
        Scene("running", "explain assistant --live"),
    ],
    "forecast": [
        Scene("configured", "forecast --for 1m", READ, loose=True),
        Scene("configured", "forecast pointsman.yaml changed.yaml --for 1m", READ, loose=True),
        Scene("nothing", "forecast"),
        Scene("broken", "forecast", READ),
    ],
    "health": [
        Scene("nothing", "health"),
        Scene("configured", "health", loose=True),
        Scene("one-down", "health", loose=True),
        Scene("broken", "health", READ),
    ],
    "logs": [
        Scene("nothing", "logs"),
        Scene("configured", "logs"),
        Scene("nothing", "logs --url http://127.0.0.1:9"),
        Scene("running", "logs --since yesterday", READ),
    ],
    "models-list": [
        Scene("nothing", "models"),
        Scene("configured", "models"),
        Scene("one-down", "models list"),
        Scene("broken", "models", READ),
    ],
    "models-pull": [
        Scene("configured", "models pull gpu1/qwen3"),
        Scene("configured", "models pull cloud/gpt-4.1-mini"),
        Scene("one-down", "models pull gpu2/qwen3"),
    ],
    "models-show": [
        Scene("configured", "models show assistant"),
        Scene("configured", "models show asistant"),
    ],
    "plugins-check": [
        Scene("nothing", "plugins check pointsman-opnai"),
    ],
    "plugins-list": [Scene("nothing", "plugins", READ)],
    "plugins-new": [
        Scene("nothing", "plugins new strategy fewest-tokens"),
        Scene("nothing", "plugins new stategy fewest-tokens"),
    ],
    "reload": [
        Scene("nothing", "reload"),
        Scene("running", "reload"),
    ],
    "reset": [
        Scene("running", "reset gpu1/llama3.2"),
    ],
    "serve": [
        Scene("broken", "serve", READ),
        Scene("nothing", "serve", READ),
    ],
    "sim": [
        Scene("nothing", "sim"),
        Scene("nothing", "sim lama"),
        Scene("nothing", "sim openai --fault x=503", READ),
    ],
    "spend": [
        Scene("nothing", "spend", READ),
        Scene("configured", "spend"),
        Scene("configured", "spend --since yesterday", TERMINAL),
    ],
    "status": [
        Scene("nothing", "status"),
        Scene("configured", "status", loose=True),
        Scene("one-down", "status", loose=True),
        Scene("running", "status --live", loose=True),
        Scene("configured", "status --live"),
        Scene("broken", "status"),
    ],
}
