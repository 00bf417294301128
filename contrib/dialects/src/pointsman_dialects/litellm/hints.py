"""What helps in place of what a file of LiteLLM says and nobody here reads, by the name of its key."""

from __future__ import annotations

from collections.abc import Mapping

_BUDGETS = "who may spend how much stands under `budgets`: docs/budgets.md"
_KEYS = "keys of callers can be kept in a database, `callers`: docs/keys.md"
_LABELS = "write `labels` at the deployment, and `require` in calls or at a key: docs/resilience.md"
_RETRIES = "an error says itself whether another attempt can help"
_ACCESS = "who may ask stands under `gateway.access`: docs/security.md"
_MODELS_OF_KEYS = "a key has the `models` that it may ask for: docs/security.md"
_CHECKS = "`health` has providers checked: docs/resilience.md"

HINTS: Mapping[str, str] = {
    # of a deployment
    "tags": _LABELS,
    "base_model": "write `price` and `context_window` at the deployment, where its own name is not known",
    "cooldown_time": "`circuit_breaker` and `overload` can stand at a deployment: docs/configuration.md",
    "allowed_fails": "`circuit_breaker` can stand at a deployment: docs/configuration.md",
    "thinking": "`reasoning_effort` says how much; what only the provider knows goes into `extra`",
    "mock_response": "`pointsman sim` runs upstreams that answer so: docs/testing.md",
    "access_groups": _MODELS_OF_KEYS,
    "team_id": _MODELS_OF_KEYS,
    # money
    "max_budget": _BUDGETS,
    "budget_duration": _BUDGETS,
    "provider_budget_config": _BUDGETS,
    "max_internal_user_budget": _BUDGETS,
    "max_user_budget": _BUDGETS,
    "max_end_user_budget": _BUDGETS,
    "default_internal_user_params": _KEYS,
    "default_team_settings": _KEYS,
    "default_key_generate_params": _KEYS,
    # of the router
    "retry_policy": _RETRIES,
    "model_group_retry_policy": _RETRIES,
    "allowed_fails_policy": _RETRIES,
    "retry_after": "waits are cut at random (full jitter), and what an upstream asks for goes first",
    "routing_strategy_args": "strategies have settings of their own: docs/strategies.md",
    "enable_tag_filtering": _LABELS,
    "tag_filtering_match_any": _LABELS,
    # of the proxy
    "guardrails": "`guards` stand around requests: docs/guards.md",
    "database_url": f"models stand in the file, and what was spent under `budgets`; {_KEYS}",
    "store_model_in_db": "models stand in the file, which is read again when it changes: docs/operations.md",
    "store_audit_logs": "`audit` has records kept: docs/audit.md",
    "alerting": "metrics and the audit log say what happens: docs/observing.md",
    "set_verbose": "logging is Python's: the logger is called `pointsman`",
    "json_logs": "`pointsman serve --log json` writes such a log",
    "ssl_verify": "certificates are always checked; name the authority with `ca_file` at a provider",
    "max_parallel_requests": "`max_in_flight` stands at a deployment or a provider",
    "global_max_parallel_requests": "`max_in_flight` stands at a deployment or a provider",
    "max_request_size_mb": "`gateway.body_limit` bounds the body of a request: docs/gateway.md",
    "background_health_checks": _CHECKS,
    "health_check_interval": _CHECKS,
    "custom_auth": _ACCESS,
    "enable_jwt_auth": _ACCESS,
    "litellm_jwtauth": _ACCESS,
}
