"""The contracts that are kept here, for `pointsman plugins check pointsman-dialects`."""

from __future__ import annotations

from pointsman.testing.contract import DialectContract
from pointsman_dialects.ai_services import DIALECTS
from pointsman_dialects.litellm import LITELLM

_SERVICES, _BALANCER = DIALECTS


class OfServices(DialectContract):
    """Services of AI."""

    factory = _SERVICES
    documents = (
        {
            "ai_services": {
                "ollama": {
                    "enabled": True,
                    "endpoint": "http://127.0.0.1:11434",
                    "timeout": "60s",
                    "models": [{"name": "llama2", "temperature": 0.7}, "mistral"],
                },
                "openai": {"model": "gpt-4", "max_tokens": 4096},
                "claude": {"enabled": False, "model": "claude-sonnet"},
            },
            "default_service": "ollama",
            "fallback_order": ["ollama", "openai"],
            "retry": {"max_attempts": 3, "base_delay": "1s", "jitter": True},
        },
    )


class OfBalancer(DialectContract):
    """Providers under a load balancer."""

    factory = _BALANCER
    documents = (
        {
            "providers": {
                "openai": {"api_key": "none", "models": ["gpt-4"], "timeout": "30s", "max_retries": 3},
                "local": {"base_url": "http://localhost:11434", "models": ["llama2"]},
            },
            "load_balancer": {"strategy": "least_connections", "health_check_interval": "30s"},
            "retry": {"max_attempts": 3, "backoff_multiplier": 2.0, "jitter": True},
        },
    )


class OfLiteLlm(DialectContract):
    """A model with two deployments and what follows it."""

    factory = LITELLM
    documents = (
        {
            "model_list": [
                {
                    "model_name": "assistant",
                    "litellm_params": {
                        "model": "ollama/llama3.2",
                        "api_base": "http://127.0.0.1:11434",
                        "rpm": 60,
                    },
                },
                {
                    "model_name": "assistant",
                    "litellm_params": {
                        "model": "openai/m",
                        "api_base": "http://127.0.0.1:8000/v1",
                        "api_key": "NONE",
                    },
                    "model_info": {"input_cost_per_token": 1e-6, "output_cost_per_token": "2e-6"},
                },
                {
                    "model_name": "other",
                    "litellm_params": {"model": "ollama/llama3.2", "api_base": "http://127.0.0.1:11434"},
                },
            ],
            "router_settings": {
                "routing_strategy": "least-busy",
                "num_retries": 2,
                "fallbacks": [{"assistant": ["other"]}, {"other": ["assistant"]}],
                "model_group_alias": {"gpt-4o": "assistant"},
            },
            "litellm_settings": {"drop_params": True, "request_timeout": 60},
        },
    )
