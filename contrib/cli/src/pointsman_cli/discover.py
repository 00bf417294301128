"""What can be used without a configuration: local servers on their usual ports, keys in the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from pointsman import ModelInfo

CONNECT_SECONDS = 0.5
_ANSWER_SECONDS = 3.0


class Candidate(Struct, frozen=True):
    """A place worth asking.

    Attributes:
        type: the provider type.
        where: for people: a URL or the name of a variable.
        base_url: None for the type's usual one.
        key_variable: the environment variable that holds the key; "" for servers without one.
        preferred: the model to offer when the server lists it; "" to offer all that it lists.
        preset: of the provider type; "" for none.
    """

    type: str
    where: str
    base_url: str | None = None
    key_variable: str = ""
    preferred: str = ""
    preset: str = ""

    @property
    def name(self) -> str:
        """What the provider is called: as its preset is, or its type."""
        return self.preset or self.type


class Found(Struct, frozen=True):
    """A candidate that answered, with the models to offer."""

    candidate: Candidate
    models: Sequence[str]


class Discovery(Struct, frozen=True):
    """What answered, and for each candidate that is of no use the reason."""

    found: Sequence[Found]
    refused: Sequence[tuple[Candidate, str]]


def candidates(environ: Mapping[str, str]) -> list[Candidate]:
    """Where to look, going by the environment variables `environ`; local servers first."""
    ollama = server_url(environ.get("OLLAMA_HOST", ""), default_port=11434)
    localai = server_url(environ.get("LOCALAI_ADDRESS", ""), default_port=8080)
    places = [Candidate("ollama", ollama, ollama), Candidate("localai", localai, localai)]
    for type, key, url, preferred in CLOUDS:
        if environ.get(key, "").strip():
            places.append(Candidate(type, key, environ.get(url) or None, key, preferred))
    for preset, key, preferred in PRESETS:
        if environ.get(key, "").strip():
            places.append(Candidate("openai", key, None, key, preferred, preset))
    return places


CLOUDS = (
    ("openai", "OPENAI_API_KEY", "OPENAI_BASE_URL", "gpt-5-mini"),
    ("claude", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "claude-sonnet-4-5"),
)

PRESETS = (
    ("cerebras", "CEREBRAS_API_KEY", "gpt-oss-120b"),
    ("deepseek", "DEEPSEEK_API_KEY", "deepseek-v4-flash"),
    ("fireworks", "FIREWORKS_API_KEY", "accounts/fireworks/models/gpt-oss-20b"),
    ("gemini", "GEMINI_API_KEY", "models/gemini-2.5-flash"),
    ("groq", "GROQ_API_KEY", "openai/gpt-oss-120b"),
    ("mistral", "MISTRAL_API_KEY", "mistral-large-latest"),
    ("moonshot", "MOONSHOT_API_KEY", "kimi-k2.6"),
    ("openrouter", "OPENROUTER_API_KEY", "openai/gpt-4o-mini"),
    ("together", "TOGETHER_API_KEY", "openai/gpt-oss-120b"),
    ("xai", "XAI_API_KEY", "grok-4.3"),
)
"""Presets of `openai` whose key is one for nothing else, and that have an address and a list of models."""


def server_url(host: str, *, default_port: int) -> str:
    """The base URL for a value such as OLLAMA_HOST has: `0.0.0.0`, `:11435`, `gpu1:80`, `https://gpu1`.

    An address to listen on at all interfaces becomes the loopback address; a URL keeps its scheme's port.
    """
    text = host.strip().rstrip("/")
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "http", text
    authority, slash, path = rest.partition("/")
    name, port = _split_port(authority)
    if name in ("", "0.0.0.0", "::", "[::]"):  # noqa: S104 - where a server listens, not we
        name = "127.0.0.1"
    if not port and not separator:
        port = str(default_port)
    return f"{scheme}://{name}{':' if port else ''}{port}{slash}{path}"


def _split_port(authority: str) -> tuple[str, str]:
    if authority.startswith("["):
        name, _, port = authority.partition("]")
        return f"{name}]", port.removeprefix(":")
    if authority.count(":") > 1:
        return f"[{authority}]", ""
    name, _, port = authority.partition(":")
    return name, port


def provider_section(candidate: Candidate) -> dict[str, Any]:
    """The candidate as a provider of a configuration; a key is named, never held."""
    section: dict[str, Any] = {"type": candidate.type}
    if candidate.preset:
        section["preset"] = candidate.preset
    if candidate.base_url is not None:
        section["base_url"] = literal(candidate.base_url)
    if candidate.key_variable:
        section["auth"] = {"type": "env", "name": candidate.key_variable}
    return section


def literal(text: str) -> str:
    """`text` as a configuration has it: what a server calls its models must not read our environment."""
    return text.replace("$", "$$")


def discovered_config(found: Iterable[Found]) -> dict[str, Any]:
    """The configuration that uses all of `found`: each listed model is callable by its own name."""
    return {
        "providers": {
            each.candidate.name: {
                **provider_section(each.candidate),
                "models": [literal(name) for name in each.models],
            }
            for each in found
        }
    }


def usable_models(candidate: Candidate, listed: Sequence[ModelInfo]) -> list[str]:
    """The models to offer, out of what the server lists; names without Ollama's `:latest`.

    Clouds list dozens of models for every purpose: of those the preferred one is offered, or else the first.
    """
    prefix = f"{candidate.name}/"
    names = [each.id.removeprefix(prefix).removesuffix(":latest") for each in listed if _talks(each)]
    # With a `*` a name is a pattern in a configuration, and cannot be written there as a name.
    names = [
        each for each in names if each and each == each.strip() and each.isprintable() and "*" not in each
    ]
    if not candidate.preferred:
        return list(dict.fromkeys(names))
    return [candidate.preferred] if candidate.preferred in names else names[:1]


def _talks(info: ModelInfo) -> bool:
    """Whether the model answers questions: by what Ollama says of it, else going by its name."""
    if info.capabilities and info.provider == "ollama":
        return "completion" in info.capabilities
    return not any(word in info.id.lower() for word in ("embed", "bge-", "rerank", "whisper"))


async def discover(environ: Mapping[str, str]) -> Discovery:
    """Ask all candidates at the same time, each through its own plugin."""
    import asyncio

    places = candidates(environ)
    answers = await asyncio.gather(*(_ask(each) for each in places))
    found, refused = [], []
    for candidate, answer in zip(places, answers, strict=True):
        if isinstance(answer, str):
            refused.append((candidate, answer))
        else:
            found.append(Found(candidate, answer))
    return Discovery(found, refused)


async def _ask(candidate: Candidate) -> list[str] | str:
    """The models of the candidate, or why it is of no use."""
    import asyncio

    from pointsman import ConfigError, ConnectionFailed, PointsmanError, Router

    # A router for each: a key that cannot be used must not spoil what else there is.
    config = {
        "providers": {candidate.name: provider_section(candidate)},
        "timeouts": {"connect": CONNECT_SECONDS},
    }
    try:
        async with Router.from_config(config) as router, asyncio.timeout(_ANSWER_SECONDS):
            provider = router.provider(candidate.name)
            await provider.probe()
            models = usable_models(candidate, await provider.models())
    except ConfigError as error:
        return "; ".join(str(each) for each in error.problems) or error.message
    except ConnectionFailed:
        return "nothing answers there"
    except PointsmanError as error:
        return error.message
    except TimeoutError:
        return f"no answer within {_ANSWER_SECONDS:g} s"
    return models or "it has no model yet"
