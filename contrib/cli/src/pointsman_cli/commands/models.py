"""`pointsman models list|show|pull`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from pointsman_cli import completing
from pointsman_cli.options import Asked, config_option, json_option, pass_asked, verbose_option
from pointsman_cli.output import plain, print_json, print_table, print_text, say
from pointsman_cli.running import router_for, run

if TYPE_CHECKING:
    from pointsman import Router


@click.group("models")
@config_option
@json_option
def command() -> None:
    """List, show and pull models."""


# ── list ─────────────────────────────────────────────────────────────────────────────────────────────


@command.command("list", short_help="List public names, and what providers offer.")
@config_option
@json_option
@verbose_option
@pass_asked
def list_models(asked: Asked) -> None:
    """List the public names, and what each provider offers as provider/model."""
    run(_list(asked))


async def _list(asked: Asked) -> None:
    async with router_for(asked, looks=True) as router:
        listed, health = await asyncio.gather(router.models(), router.health())
    for name, state in health.providers.items():
        if not state.ok:
            say(f"{name} does not answer: {state.error}")
    if asked.json:
        print_json([_entry(each) for each in listed])
        return
    rows = [
        [each.id, each.provider or "public", each.context_window, _size(each.size_bytes), _goes_to(each)]
        for each in listed
    ]
    print_table(["model", "provider", "context", "size", "goes to"], rows)


def _entry(info: Any) -> dict[str, Any]:
    entry: dict[str, Any] = plain(info)
    if not info.provider:
        entry.update(info.raw)
    return entry


def _goes_to(info: Any) -> str:
    if info.provider:
        return ""
    if "alias_of" in info.raw:
        return f"as {info.raw['alias_of']}"
    if "of" in info.raw:
        return f"one of {', '.join(info.raw['of'])}"
    return ", ".join(info.raw["deployments"])


# ── show ─────────────────────────────────────────────────────────────────────────────────────────────


@command.command("show", short_help="Show the deployments behind a name.")
@click.argument("name", shell_complete=completing.models)
@config_option
@json_option
@verbose_option
@pass_asked
def show_model(asked: Asked, name: str) -> None:
    """Show the deployments behind NAME, and what Ollama knows of their models."""
    run(_show(asked, name))


async def _show(asked: Asked, name: str) -> None:
    async with router_for(asked, looks=True) as router:
        explained, status = router.explain(name), router.status().to_dict()
        pick, meant, pattern = explained.chain[0].pick, explained.alias_of or name, explained.pattern
        known = status["models"] if pattern is None else status["patterns"][pattern]["models"]
        selector, shown = status["selectors"].get(meant), known.get(meant)
        if selector is not None:
            _show_selector(asked, {"model": name, **selector, "pick": pick})
            return
        if shown is None:
            provider, _, model = meant.partition("/")
            shown = {"strategy": "", "fallback": [], "deployments": [_ad_hoc(meant, provider, model)]}
        details = await asyncio.gather(*(_details(router, each) for each in shown["deployments"]))
    found = {"model": name, **shown, "pick": pick}
    found["deployments"] = [
        {**deployment, "details": detail}
        for deployment, detail in zip(shown["deployments"], details, strict=True)
    ]
    if asked.json:
        print_json(found)
    else:
        _print_model(found)


def _show_selector(asked: Asked, found: Mapping[str, Any]) -> None:
    if asked.json:
        print_json(found)
        return
    picks = f"the selector {found['selector']} picks one of {', '.join(found['of'])}"
    say(f"{found['model']}: {picks}; {found['default']} by default")


def _ad_hoc(id: str, provider: str, model: str) -> dict[str, Any]:
    return {
        "id": id, "provider": provider, "model": model, "weight": 1, "priority": 0,
        "state": "up", "breaker": {"state": "off"}, "in_flight": 0,
    }  # fmt: skip


async def _details(router: Router, deployment: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the upstream tells about the deployment's model; None where it tells nothing."""
    from pointsman import PointsmanError

    provider = router.provider(deployment["provider"])
    if not hasattr(provider, "show"):
        return None
    try:
        found: dict[str, Any] = plain(await provider.show(deployment["model"]))
    except PointsmanError as error:
        return {"error": error.message}
    return found


def _print_model(found: Mapping[str, Any]) -> None:
    chain = f", then {', '.join(found['fallback'])}" if found["fallback"] else ""
    say(f"{found['model']}: {found['strategy'] or 'one deployment'}{chain}; next: {found['pick'] or 'none'}")
    rows = [
        [each["id"], each["weight"], each["priority"], each["state"], each["breaker"]["state"],
         _about(each["details"])]
        for each in found["deployments"]
    ]  # fmt: skip
    print_table(["deployment", "weight", "priority", "state", "breaker", "about"], rows)


def _about(details: Mapping[str, Any] | None) -> str:
    if details is None:
        return ""
    if "error" in details:
        return str(details["error"])
    window = details.get("context_window")
    parts = [details.get("family"), details.get("parameter_size"), details.get("quantization")]
    parts += [f"context {window}" if window else "", ", ".join(details.get("capabilities") or ())]
    return "; ".join(str(each) for each in parts if each)


# ── pull ─────────────────────────────────────────────────────────────────────────────────────────────


@command.command("pull", short_help="Have an Ollama or LocalAI server fetch a model.")
@click.argument("model")
@click.option(
    "-p",
    "--provider",
    metavar="NAME",
    shell_complete=completing.providers,
    help="Where to; else what stands before the first slash.",
)
@config_option
@json_option
@verbose_option
@pass_asked
def pull_model(asked: Asked, model: str, provider: str | None) -> None:
    """Have an Ollama or LocalAI server fetch a model: PROVIDER/MODEL, or MODEL with --provider."""
    run(_pull(asked, model, provider))


async def _pull(asked: Asked, model: str, provider: str | None) -> None:
    from pointsman_cli.pulling import steps, target, tell

    async with router_for(asked, looks=True) as router:
        name, model = target(router, model, provider)
        await tell(steps(router.provider(name), model), as_json=asked.json)
    if not asked.json:
        print_text(f"pulled {model} at {name}")


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return ""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
