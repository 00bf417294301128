"""The lines that somebody would type first, for the help of each command and for its page.

Those of commands that come with distributions of ours stand here, too, so that all read alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

EXAMPLES: Mapping[str, Sequence[str]] = {
    "ask": (
        'pointsman ask "Why is the sky blue?"',
        'git diff | pointsman ask -m assistant "Review this."',
        'pointsman ask --file scan.pdf "What does it cost?"',
        'pointsman ask --json "Why?"',
    ),
    "audit query": (
        "pointsman audit query --caller ci --since 1h",
        "pointsman audit query ./audit.db --outcome error --json",
    ),
    "audit tail": ("pointsman audit tail -f --event request",),
    "audit stats": ("pointsman audit stats --since 2026-12-01",),
    "audit verify": (
        "pointsman audit verify",
        "pointsman audit verify ./audit --checkpoints /mnt/else --key-file audit.key",
    ),
    "audit export": ("pointsman audit export --caller ci -o ci.jsonl",),
    "audit erase": ("pointsman audit erase --caller ci",),
    "audit prune": ("pointsman audit prune --older 90d --larger 10GiB",),
    "audit evidence": ("pointsman audit evidence -o evidence.zip --since 2026-11-01",),
    "callers add": (
        "pointsman callers add ci --model assistant --label team=qa --tokens 1M/day",
        'pointsman callers add lead --operator --money "10 USD/month" --expires 90d',
    ),
    "callers erase": ("pointsman callers erase ci",),
    "callers export": ("pointsman callers export ci",),
    "callers limits": ("pointsman callers limits ci --tokens 1M/day --money none",),
    "callers list": ("pointsman callers list --json",),
    "callers revoke": ("pointsman callers revoke ci",),
    "callers rotate": ("pointsman callers rotate ci --overlap 1d",),
    "callers show": ("pointsman callers show ci",),
    "chat": ("pointsman chat", 'pointsman chat assistant -s "Answer in one sentence."'),
    "completion": ('eval "$(pointsman completion bash)"',),
    "credentials add": (
        "pointsman credentials add anthropic",
        "pass show claude | pointsman credentials add claude --not-after 2027-01-01",
    ),
    "credentials export": ("pointsman credentials export --encrypted copy.keystore",),
    "credentials list": ("pointsman credentials list --json",),
    "credentials remove": ("pointsman credentials remove anthropic --version 1",),
    "credentials rewrap": ("pointsman credentials rewrap --new-key-file master.key",),
    "credentials rotate": ("pointsman credentials rotate anthropic --overlap 30m",),
    "credentials show": ("pointsman credentials show anthropic",),
    "credentials verify": ("pointsman credentials verify",),
    "config check": ("pointsman config check", "pointsman config check other.yaml --json"),
    "config convert": ("pointsman config convert litellm.yaml -o pointsman.yaml",),
    "config diff": (
        "pointsman config diff pointsman.yaml new.yaml",
        "pointsman config diff litellm.yaml converted.yaml",
    ),
    "config explain": ("pointsman config explain PM1203",),
    "config init": ("pointsman config init",),
    "config schema": ("pointsman config schema -o pointsman.schema.json",),
    "config show": ("pointsman config show", "pointsman config show --resolved"),
    "demo": ("pointsman demo",),
    "disable": ("pointsman disable gpu1/llama3.2",),
    "doctor": ("pointsman doctor",),
    "drain": ("pointsman drain gpu1/llama3.2 --timeout 60",),
    "embed": ('pointsman embed embedder "one text" "another"',),
    "enable": ("pointsman enable gpu1/llama3.2",),
    "env": ("pointsman env", 'eval "$(pointsman env openai)"'),
    "explain": (
        "pointsman explain assistant",
        'pointsman explain assistant "How long is this prompt?" --wire',
        "pointsman explain assistant --require region=eu --caller billing",
        "pointsman explain --test cases.yaml",
        "pointsman explain --replay audit.jsonl",
    ),
    "forecast": (
        "pointsman forecast",
        "pointsman forecast pointsman.yaml new.yaml --rate 50/s --for 1h",
        "pointsman forecast pointsman.yaml new.yaml --from audit.jsonl --plot new.svg",
    ),
    "health": ("pointsman health",),
    "logs": ("pointsman logs --errors --since 10m", "pointsman logs --follow -m assistant"),
    "models list": ("pointsman models list",),
    "models pull": ("pointsman models pull gpu1/llama3.2",),
    "models show": ("pointsman models show assistant",),
    "plugins check": ("pointsman plugins check pointsman-openai",),
    "plugins list": ("pointsman plugins",),
    "plugins new": ("pointsman plugins new strategy fewest-tokens",),
    "reload": ("pointsman reload",),
    "reset": ("pointsman reset gpu1/llama3.2",),
    "serve": ("pointsman serve", "pointsman serve --demo --listen 127.0.0.1:4000"),
    "sim": ("pointsman sim ollama:11434 openai", "pointsman sim openai --fault 503@20%"),
    "status": ("pointsman status", "pointsman status --watch", "pointsman status --live --json"),
    "db migrate": ("pointsman db migrate",),
    "db status": ("pointsman db status", "pointsman db status --json"),
    "spend": (
        "pointsman spend",
        "pointsman spend --by label:team --since 2026-11-01 --until 2026-11-30",
        "pointsman spend --by day --plot spend.svg",
    ),
}


def with_examples(command: click.Command, words: str) -> click.Command:
    """`command`, which is called by `words` behind `pointsman`, with its examples at the end of its help."""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            with_examples(inner, f"{words} {name}")
    if words in EXAMPLES and _HEADING not in (command.epilog or ""):
        # Behind \b click leaves lines as they are.
        lines = "\n".join(f"  {line}" for line in EXAMPLES[words])
        before = f"{command.epilog}\n\n" if command.epilog else ""
        command.epilog = f"{before}\b\n{_HEADING}\n{lines}"
    return command


_HEADING = "Examples:"
