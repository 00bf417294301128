"""What can be used without a configuration: local servers on their usual ports, keys in the environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pointsman.plugin import PluginError, server_url
from pointsman.values.model_names import callable_names

if TYPE_CHECKING:
    from pointsman import ModelInfo

_OLLAMA = "http://127.0.0.1:11434"
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
    ollama = _ollama(environ)
    localai = server_url(environ.get("LOCALAI_ADDRESS", ""), default_port=8080)
    places = [Candidate("ollama", ollama, ollama), Candidate("localai", localai, localai)]
    for type, key, url, preferred in CLOUDS:
        if _holds_key(environ, key):
            places.append(Candidate(type, key, environ.get(url) or None, key, preferred))
    for preset, key, preferred in PRESETS:
        if _holds_key(environ, key):
            places.append(Candidate("openai", key, None, key, preferred, preset))
    return places


def _holds_key(environ: Mapping[str, str], name: str) -> bool:
    """Whether the variable `name` holds a key, or the one that says the file of it is set."""
    return any(environ.get(each, "").strip() for each in (name, f"{name}_FILE"))


def _ollama(environ: Mapping[str, str]) -> str:
    """Where an Ollama is, as its plugin reads the environment."""
    from pointsman.plugins.registry import Plugins

    with suppress(PluginError):  # it is not installed, which is said when it is asked
        factory = Plugins().provider("ollama")
        said = [] if factory.environment is None else factory.environment(environ)
        return next((each.value for each in said if each.setting == "base_url"), _OLLAMA)
    return _OLLAMA


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
    names = callable_names(each.id.removeprefix(prefix) for each in listed if _talks(each))
    if not candidate.preferred:
        return names
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
