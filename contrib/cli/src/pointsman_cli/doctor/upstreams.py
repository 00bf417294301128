"""Credentials, providers, their models and their clocks: each is asked once, free of charge, side by side."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from pointsman_cli.discover import discover, discovered_config, provider_section
from pointsman_cli.doctor.configuration import Given
from pointsman_cli.doctor.findings import Checked, fail, ok, warn
from pointsman_cli.output import counted
from pointsman_cli.overview import credential_line

if TYPE_CHECKING:
    from pointsman import Router

PATIENCE = 10.0
"""Seconds for a provider, for all that it is asked."""
SKEW = 5.0
"""Seconds that two clocks may differ: the header counts whole ones, and an answer takes its time."""
_GENERAL = ("limits", "plugins", "timeouts", "transport")
"""What a provider may lean on elsewhere in a configuration."""


class Upstream(Struct, frozen=True, kw_only=True):
    """What a provider said.

    Attributes:
        section: as the configuration has it.
        ready: it could be made.
        seconds: that its answer took; None without one.
        error: why there is none, "" where there is one.
        code: the stable code of that error.
        models: what it lists; None where it lists nothing.
        credentials: how it stands with each of them, as `status` tells it.
        skew: seconds by which our clock is ahead of its; None where it does not say.
    """

    section: Mapping[str, Any]
    ready: bool = True
    seconds: float | None = None
    error: str = ""
    code: str = ""
    models: Sequence[str] | None = None
    credentials: Sequence[Mapping[str, Any]] = ()
    skew: float | None = None


async def look(case: Given, *, patience: float = PATIENCE) -> Mapping[str, Upstream]:
    """What each provider of the configuration says, or of what is found here where there is none."""
    data, of_no_use = case.data, {}
    if case.file is None:
        discovery = await discover(os.environ)
        data = discovered_config(discovery.found)
        of_no_use = {
            each.name: Upstream(section=provider_section(each), ready=False, error=reason)
            for each, reason in discovery.refused
            if each.key_variable  # a local server that is not there is none that somebody has
        }
    if case.config is not None:
        # As the configuration reads them: a dialect has them under other names.
        data = {"providers": {name: _section(each) for name, each in case.config.providers.items()}}
    providers = data.get("providers")
    sections = providers if isinstance(providers, Mapping) else {}
    asked = [_asked(case, data, str(name), each, patience) for name, each in sections.items()]
    return {**dict(zip(map(str, sections), await asyncio.gather(*asked), strict=True)), **of_no_use}


def _section(provider: Any) -> Mapping[str, Any]:
    said: Mapping[str, Any] = provider.model_dump(mode="json", exclude_unset=True)
    return said


async def _asked(case: Given, data: Mapping[str, Any], name: str, section: Any, patience: float) -> Upstream:
    """What one of them says: by a router of its own, so that a wrong one does not spoil the others."""
    from pointsman import ConfigError, Router
    from pointsman.config.uses import sections_of_credentials

    section = section if isinstance(section, Mapping) else {}
    source: Any = {"providers": {name: section}, **{key: data[key] for key in _GENERAL if key in data}}
    if case.config is not None:
        general = {key: getattr(case.config, key) for key in (*_GENERAL, "providers")}
        general |= sections_of_credentials(case.config, [name])
        made = type(case.config)(**{**general, "providers": {name: case.config.providers[name]}})
        source = made.from_where(case.config)  # paths are relative to that
    try:
        router = Router.from_config(source)
    except ConfigError as error:
        problems = [each for each in error.problems if f".{name}" in str(getattr(each, "path", ""))]
        said = "; ".join(str(getattr(each, "message", each)) for each in problems or error.problems)
        return Upstream(section=section, ready=False, error=said or error.message, code=error.code)
    async with router:
        return await _answer(router, name, section, patience)


async def _answer(router: Router, name: str, section: Mapping[str, Any], patience: float) -> Upstream:
    provider = router.provider(name)
    loop = asyncio.get_running_loop()
    began = loop.time()
    until = began + patience
    try:
        async with asyncio.timeout_at(until):
            await provider.probe()
    except Exception as error:  # a plugin may raise anything
        said = f"no answer within {patience:g} s" if isinstance(error, TimeoutError) else _sentence(error)
        code = str(getattr(error, "code", ""))
        return Upstream(
            section=section, error=router.scrub(said), code=code, credentials=_credentials(router)
        )
    took = loop.time() - began
    models = skew = None
    with suppress(Exception):  # not every upstream lists its models
        async with asyncio.timeout_at(until):
            prefix = f"{name}/"
            models = [each.id.removeprefix(prefix) for each in await provider.models()]
    with suppress(Exception):  # nor tells the time
        async with asyncio.timeout_at(until):
            skew = await _skew(provider)
    return Upstream(section=section, seconds=took, models=models, skew=skew, credentials=_credentials(router))


def _credentials(router: Router) -> Sequence[Mapping[str, Any]]:
    return [each.to_dict() for each in router.status().credentials]


def _sentence(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error or type(error).__name__)


async def _skew(provider: Any) -> float | None:
    """Seconds by which our clock is ahead, by the Date of an answer; None for a provider without HTTP."""
    client = provider.client
    answer, _ = await client.fetch("GET", "/", timeouts=client.within(PATIENCE))
    told = parsedate_to_datetime(answer.headers["date"])
    return time() - told.astimezone(UTC).timestamp()


# ── what is said of it ───────────────────────────────────────────────────────────────────────────────


def credentials(case: Given, upstreams: Mapping[str, Upstream]) -> Iterator[Checked]:
    """Where each provider's comes from, and whether it is to be had; nothing of the credential itself."""
    for name, each in upstreams.items():
        source = _source(_as_written(case, name) or each.section)
        if wrong := [*_in_turn(name, each.credentials)]:
            yield from wrong
        elif not each.ready and source:
            yield fail(name, f"{source}: {each.error}")
        elif each.code in ("authentication_failed", "permission_denied"):
            yield fail(
                name, f"{source or 'none'}: refused by the provider", "is it of this provider, and valid?"
            )
        elif source == _WRITTEN:
            yield warn(name, source, "refer to a variable, as `api_key: ${MY_KEY}`, or to a file")
        else:
            yield ok(name, source or "none is configured")


def _in_turn(name: str, told: Sequence[Mapping[str, Any]]) -> Iterator[Checked]:
    """What is wrong with credentials that are in trouble, or end, or are one of several."""
    usable = [each for each in told if each["state"] in ("in_use", "ready", "resting")]
    lasting = any(each["seconds_left"] is None or each["seconds_left"] > _SOON for each in usable)
    for each in told:
        said = credential_line(each)
        if each["trouble"]:
            yield fail(name, said)
        elif each["state"] == "ended":
            say = warn if usable else fail
            yield say(name, said, "take it out, or rotate it: pointsman credentials rotate")
        elif each["state"] == "resting":
            hint = "is it of this provider, and valid? pointsman credentials rotate replaces it"
            yield warn(name, f"refused by the provider: {said}", hint)
        elif each["seconds_left"] is not None and each in usable and not lasting:
            yield warn(name, said, "no other follows it: pointsman credentials rotate")


_SOON = 7 * 86_400.0
"""Seconds before the end of a credential in which somebody should know."""
_WRITTEN = "written down in the configuration"


def _as_written(case: Given, name: str) -> Mapping[str, Any]:
    """Its section with references that are not resolved, where it can be found in the file."""
    providers = case.data.get("providers")
    section = providers.get(name) if isinstance(providers, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _source(section: Mapping[str, Any]) -> str:
    """Where the credential comes from; "" where there is none."""
    if isinstance(key := section.get("api_key"), str):
        return _referred(key)
    auth = section.get("auth")
    if isinstance(auth, list):
        sources = [_source({"auth": each}) for each in auth]
        return " or ".join(dict.fromkeys(filter(None, sources)))
    if isinstance(auth, str):
        auth = {"type": auth}
    if not isinstance(auth, Mapping) or auth.get("type") == "none":
        return ""
    match auth.get("type"):
        case "env":
            return f"the variable {auth.get('name')}"
        case "file":
            return f"the file {auth.get('path')}"
        case "static":
            return _referred(str(auth.get("value")))
        case kind:
            return f"auth {kind}"


def _referred(text: str) -> str:
    if (file := re.search(r"\$\{file:([^}]+)\}", text)) is not None:
        return f"the file {file[1]}"
    if (variable := re.search(r"\$\{([A-Za-z_]\w*)", text)) is not None:
        return f"the variable {variable[1]}"
    return _WRITTEN


def providers(upstreams: Mapping[str, Upstream], environ: Mapping[str, str]) -> Iterator[Checked]:
    """Who answers, and how fast; of who does not, why, and what would help."""
    for name, each in upstreams.items():
        if each.seconds is not None:
            yield ok(name, f"answers, in {each.seconds * 1e3:.0f} ms")
        elif each.ready or not _source(each.section):  # else that has been said of its credential
            yield fail(name, each.error, explained(each, environ) if each.ready else "")
    if not upstreams:
        yield warn(
            "providers",
            "there is none, and nothing was found here",
            "pointsman config init, or pointsman demo",
        )


def explained(upstream: Upstream, environ: Mapping[str, str]) -> str:
    """What would help where a provider did not answer; "" where nothing is known."""
    said, section = upstream.error.lower(), upstream.section
    proxy = next((key for key in environ if key.upper() in _PROXIES and environ[key]), None)
    trusts = bool(section.get("trust_env"))
    host = urlsplit(str(section.get("base_url") or "")).hostname or ""
    if upstream.code in ("authentication_failed", "permission_denied"):
        return "the provider was reached, and refused the credential"
    if "certificate_verify_failed" in said or "certificate verify failed" in said:
        more = "; SSL_CERT_FILE holds only with `trust_env: true`" if not trusts else ""
        return f"its certificate is not trusted here: name its authority with `ca_file`{more}"
    if any(each in said for each in ("wrong_version_number", "wrong version number", "record layer")):
        return "what answers there speaks no TLS: is base_url to begin with http:// ?"
    if (section.get("proxy") or (trusts and proxy)) and upstream.code in _NO_CONNECTION:
        if not section.get("proxy") and host in _HERE:
            return f"{proxy} holds for it, too: add {host} to NO_PROXY, or leave `trust_env` out"
        return "the way goes over a proxy: is that the one that does not answer?"
    if proxy and not trusts and host not in _HERE and upstream.code in _NO_CONNECTION:
        return f"{proxy} is set, and is heeded only with `trust_env: true` under the provider"
    if any(each in said for each in ("name or service", "name resolution", "nodename nor", "getaddrinfo")):
        return "nobody knows a host of that name: is base_url right?"
    if "refused" in said and upstream.code in _NO_CONNECTION:
        return "nobody listens there: is it started, and is the port right?"
    return ""


_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_HERE = ("localhost", "127.0.0.1", "::1")
_NO_CONNECTION = ("connection_failed", "attempt_timeout", "")


def models(case: Given, upstreams: Mapping[str, Upstream]) -> Iterator[Checked]:
    """Whether upstreams list the models that deployments ask them for."""
    from pointsman._internal.suggest import did_you_mean

    if case.config is None:
        return
    wanted: dict[str, list[str]] = {}
    for model in case.config.public_models().values():
        for deployment in model.deployments:
            if "*" not in deployment.model:
                wanted.setdefault(deployment.provider, []).append(deployment.model)
    for name, upstream in upstreams.items():
        asked = list(dict.fromkeys(wanted.get(name, ())))
        if upstream.models is None or not asked:
            continue
        listed = {_plain(each) for each in upstream.models}
        lacking = [each for each in asked if _plain(each) not in listed]
        for each in lacking:
            yield warn(f"{name}/{each}", f"{name} does not list it", did_you_mean(_plain(each), listed) or "")
        if not lacking:
            yield ok(name, f"lists {counted(len(asked), 'model')} that it is asked for")


def _plain(model: str) -> str:
    """Upstreams list what they take under another spelling, too: `llama3.2:latest`, `models/gemini-3`."""
    return model.removesuffix(":latest").removeprefix("models/")


def clock(upstreams: Mapping[str, Upstream]) -> Iterator[Checked]:
    """Whether the clock of this machine goes as those of the providers do."""
    told = {name: each.skew for name, each in upstreams.items() if each.skew is not None}
    off = {name: skew for name, skew in told.items() if abs(skew) > SKEW}
    for name, skew in off.items():
        said = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {name}"
        yield warn(
            "clock", said, "signed requests, tokens and prices by the hour go by it: set it, by NTP for one"
        )
    if told and not off:
        yield ok("clock", f"within {SKEW:g} s of {', '.join(told)}")
