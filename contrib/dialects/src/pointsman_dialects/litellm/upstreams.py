"""What LiteLLM's names of models begin with, as our types of providers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct


class Upstream(Struct, frozen=True):
    """One kind of upstream.

    Attributes:
        variable: what LiteLLM takes the key from where none is said.
        base_url: where it is, where none is said and the type or preset knows of no place.
    """

    type: str
    preset: str | None = None
    variable: str | None = None
    base_url: str | None = None


_LIKE_OPENAI = Upstream("openai", variable="OPENAI_API_KEY")
_OLLAMA = Upstream("ollama")
_VLLM = Upstream("openai", "vllm")

UPSTREAMS: Mapping[str, Upstream] = {
    "openai": _LIKE_OPENAI,
    "custom_openai": _LIKE_OPENAI,
    "openai_like": _LIKE_OPENAI,
    "text-completion-openai": _LIKE_OPENAI,
    "litellm_proxy": Upstream(
        "openai", variable="LITELLM_PROXY_API_KEY", base_url="http://127.0.0.1:4000/v1"
    ),
    "azure": Upstream("openai", "azure", "AZURE_API_KEY", "${AZURE_API_BASE}"),
    "anthropic": Upstream("claude", variable="ANTHROPIC_API_KEY"),
    "ollama": _OLLAMA,
    "ollama_chat": _OLLAMA,
    "gemini": Upstream("openai", "gemini", "GEMINI_API_KEY"),
    "openrouter": Upstream("openai", "openrouter", "OPENROUTER_API_KEY"),
    "groq": Upstream("openai", "groq", "GROQ_API_KEY"),
    "deepseek": Upstream("openai", "deepseek", "DEEPSEEK_API_KEY"),
    "mistral": Upstream("openai", "mistral", "MISTRAL_API_KEY"),
    "together_ai": Upstream("openai", "together", "TOGETHERAI_API_KEY"),
    "xai": Upstream("openai", "xai", "XAI_API_KEY"),
    "fireworks_ai": Upstream("openai", "fireworks", "FIREWORKS_AI_API_KEY"),
    "perplexity": Upstream("openai", "perplexity", "PERPLEXITYAI_API_KEY"),
    "cerebras": Upstream("openai", "cerebras", "CEREBRAS_API_KEY"),
    "moonshot": Upstream("openai", "moonshot", "MOONSHOT_API_KEY"),
    "hosted_vllm": _VLLM,
    "vllm": _VLLM,
    "lm_studio": Upstream("openai", "lmstudio"),
    "llamafile": Upstream("openai", "llamacpp"),
    "nvidia_nim": Upstream("openai", None, "NVIDIA_NIM_API_KEY", "https://integrate.api.nvidia.com/v1"),
    "deepinfra": Upstream("openai", None, "DEEPINFRA_API_KEY", "https://api.deepinfra.com/v1/openai"),
    "sambanova": Upstream("openai", None, "SAMBANOVA_API_KEY", "https://api.sambanova.ai/v1"),
}
"""By what a name of LiteLLM's begins with, before the first slash."""

_BARE = (
    (re.compile(r"(gpt-|o\d|chatgpt-|text-embedding-|ft:gpt-)"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
)
"""Names without a provider that LiteLLM knows."""
_CALLS = re.compile(r"/(chat/completions|completions|embeddings|api/chat|api/generate|v1/messages)/?$")
_IN_THE_NAME = {"azure": re.compile(r"(o_series|gpt5_series)/"), "openai": re.compile(r"(responses|chat)/")}
"""What stands before some names for LiteLLM alone."""


def split(model: str, provider: str | None) -> tuple[str, str]:
    """What `model` begins with, "" for nothing that LiteLLM would know, and the upstream's own name.

    Args:
        provider: what `custom_llm_provider` says.
    """
    before, slash, name = model.partition("/")
    if provider is not None:
        kind, name = provider, name if slash and before == provider else model
    elif slash:
        kind = before
    else:
        kind, name = next((known for pattern, known in _BARE if pattern.match(model)), ""), model
    if (own := _IN_THE_NAME.get(kind)) is not None:
        name = own.sub("", name, count=1) if own.match(name) else name
    if kind == "fireworks_ai" and not name.startswith("accounts/"):
        name = f"accounts/fireworks/models/{name}"
    return kind, name


def address(kind: str, said: str) -> str:
    """The address that LiteLLM's `api_base` is for ours: without the path of a call, and Azure's with one."""
    url = _CALLS.sub("", said)
    if kind == "azure" and "/openai" not in url:
        url = f"{url.rstrip('/')}/openai/v1"
    return url
