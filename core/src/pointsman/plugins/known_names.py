"""What a name means that no plugin here offers: a package of ours, or a word of another program.

A package is named only where it is one of ours. What somebody typed is never made into the name of a package:
whoever registered that name would be installed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pointsman._internal.suggest import nearest

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "audit": dict.fromkeys(("postgres", "sqlite"), "pointsman-audit"),
    "auth": {
        **dict.fromkeys(("http_signature", "oauth_client_credentials"), "pointsman-auth-http"),
        **dict.fromkeys(("keyring", "keystore"), "pointsman-keystore"),
    },
    "provider": {
        "claude": "pointsman-claude",
        "localai": "pointsman-localai",
        "ollama": "pointsman-ollama",
        "openai": "pointsman-openai",
    },
    "strategy": dict.fromkeys(
        ("affinity", "cheapest", "peak_ewma", "power_of_two", "warm"), "pointsman-strategies"
    ),
    "guard": dict.fromkeys(("cache", "redact", "size", "words"), "pointsman-guards"),
    "prices": {"genai": "pointsman-prices"},
    "dialect": dict.fromkeys(("ai_services", "litellm", "load_balancer"), "pointsman-dialects"),
    "state": dict.fromkeys(("redis", "rediss"), "pointsman-redis"),
    "surface": {
        **dict.fromkeys(("ai", "anthropic", "ollama", "openai"), "pointsman-gateway"),
        "console": "pointsman-console",
    },
    "transport": {"aiohttp": "pointsman-aiohttp", "h1": "pointsman-h1"},
    "command": {
        **dict.fromkeys(("env", "serve"), "pointsman-gateway"),
        "audit": "pointsman-audit",
        "credentials": "pointsman-keystore",
        "db": "pointsman-database",
        "forecast": "pointsman-forecast",
        **dict.fromkeys(("callers", "spend"), "pointsman-callers"),
    },
    "service": {
        **dict.fromkeys(("opentelemetry", "prometheus"), "pointsman-telemetry"),
        **dict.fromkeys(("budgets", "callers"), "pointsman-callers"),
    },
    "section": {
        "assistants": "pointsman-assistants",
        **dict.fromkeys(("budgets", "callers"), "pointsman-callers"),
        "gateway": "pointsman-gateway",
        "keystore": "pointsman-keystore",
        "knowledge": "pointsman-knowledge",
        "opentelemetry": "pointsman-telemetry",
        "prometheus": "pointsman-telemetry",
        "sessions": "pointsman-assistants",
    },
}
"""By kind, each name that a package of ours offers beside the core."""

DIALECTS: Mapping[str, str] = {
    "ai_services": "ai_services",
    "load_balancer": "load_balancer",
    "model_list": "litellm",
}
"""By a key at the top of what other programs read, the dialect for that."""


def our_distributions() -> frozenset[str]:
    """The distributions that come with pointsman, which neither lists nor variables leave out."""
    return frozenset(package for packages in PACKAGES.values() for package in packages.values())


OPENAI_PRESETS: Mapping[str, str] = {
    "azure": "azure_openai azureopenai azure_ai foundry microsoft",
    "cerebras": "cerebras_ai",
    "deepseek": "deep_seek",
    "fireworks": "fireworks_ai",
    "gemini": "google google_ai google_genai google_ai_studio",
    "groq": "groqcloud",
    "huggingface": "hf hugging_face",
    "llamacpp": "llama_cpp llama_server llamafile",
    "lmstudio": "lm_studio lms",
    "mistral": "mistralai la_plateforme",
    "moonshot": "kimi moonshot_ai",
    "openrouter": "open_router",
    "perplexity": "perplexity_ai pplx sonar",
    "together": "together_ai togetherai",
    "vllm": "hosted_vllm",
    "xai": "grok x_ai",
}
"""What is a preset of `openai`, and what else that is called."""
_OPENAI_AT = {
    "cohere": "https://api.cohere.ai/compatibility/v1",
    "litellm litellm_proxy": "http://127.0.0.1:4000/v1",
    "nvidia nvidia_nim nim": "https://integrate.api.nvidia.com/v1",
    "sglang": "http://127.0.0.1:30000/v1",
    "tgi text_generation_inference": "http://127.0.0.1:3000/v1",
    "openai_compatible openai_like custom_openai openai_api": "…",
}
_SAME = {
    "provider": {"claude": "anthropic", "openai": "chatgpt gpt open_ai", "localai": "local_ai"},
    "strategy": {
        "round_robin": "rr random shuffle",
        "weighted": "wrr weighted_round_robin weighted_random simple_shuffle smooth_weighted_round_robin",
        "least_connections": "least_connection least_conn leastconn least_busy least_request least_requests "
        "least_outstanding_requests usage_based_routing usage_based_routing_v2",
        "peak_ewma": "ewma latency latency_based latency_based_routing least_latency lowest_latency "
        "least_time fastest",
        "power_of_two": "p2c two_choices power_of_two_choices random_two",
        "cheapest": "cost cost_based cost_based_routing lowest_cost least_cost",
        "affinity": "sticky session sticky_session hash ip_hash consistent_hash consistent_hashing ring_hash "
        "maglev prefix prefix_aware",
    },
    "auth": {
        "static": "api_key key token bearer value plain",
        "env": "environ environment variable env_var",
        "file": "secret secret_file secrets mounted",
        "none": "no off anonymous disabled null",
    },
    "retry": {"exponential": "backoff exponential_backoff jitter tenacity", "none": "no off never disabled"},
    "audit": {"jsonl": "file json ndjson json_lines", "logging": "log logger console stdout stderr stream"},
    "transport": {"auto": "default http requests urllib3", "h1": "http1 http11 http_1_1"},
}
"""By kind and our name, what else it is called."""
_IN_WORDS = {
    "strategy": {
        "failover fallback priority primary primary_backup ordered": "give the deployments a `priority`: 0 "
        "goes first, 1 takes what those before it cannot; any strategy chooses within one",
        "* all any default": "leave it out, and calls go to one after the other; or name one of these",
    },
    "transport": {"http2 h2": "write `http2: true` at the provider"},
}


def what_to_write(kind: str, name: str, offered: Sequence[str]) -> str:
    """What would help somebody who asked for `name`, as sentences with a blank before; "" when nobody knows.

    Args:
        kind: a kind of plugin, such as `provider`.
        offered: the names of that kind that are there.
    """
    ours, word = PACKAGES.get(kind, {}), _word(name)
    if name in ours:
        return f" Try: pip install {ours[name]}"
    preset = preset_called(name, OPENAI_PRESETS) if kind == "provider" else None
    if preset is not None:
        install = _install(kind, "openai", offered)
        return f" It speaks the API of OpenAI: write {{type: openai, preset: {preset}}}{install}"
    for words, url in _OPENAI_AT.items():
        if kind == "provider" and word in _words(words):
            install = _install(kind, "openai", offered)
            return f" It speaks the API of OpenAI: write type: openai with base_url: {url}{install}"
    for words, advice in _IN_WORDS.get(kind, {}).items():
        if word in _words(words):
            return f" Here that is no {kind}: {advice}"
    for meant, words in _SAME.get(kind, {}).items():
        if word in _words(words):
            return f" Here it is called {meant!r}{_install(kind, meant, offered)}"
    close = nearest(name, {*offered, *ours})
    if close is None:  # a word of another program, and that misspelt
        meant_by = {each: meant for meant, words in _SAME.get(kind, {}).items() for each in words.split()}
        near = nearest(name, meant_by)
        close = None if near is None else meant_by[near]
    return f" Did you mean {close!r}?{_install(kind, close, offered)}" if close else ""


def preset_called(name: str, known: Iterable[str]) -> str | None:
    """Which of the presets that are `known` is meant by `name`; None when nobody knows."""
    word = _word(name)
    return next((each for each in known if word in _words(f"{each} {OPENAI_PRESETS.get(each, '')}")), None)


def _install(kind: str, name: str, offered: Sequence[str]) -> str:
    """How to get `name` if it is not there."""
    package = PACKAGES.get(kind, {}).get(name)
    return f" (pip install {package})" if package and name not in offered else ""


def _words(text: str) -> set[str]:
    return {_word(each) for each in text.split()}


def _word(name: str) -> str:
    """`name` as it is compared: `LM Studio`, `lm-studio` and `lmstudio` are one."""
    return "".join(each for each in name.casefold() if each.isalnum())
