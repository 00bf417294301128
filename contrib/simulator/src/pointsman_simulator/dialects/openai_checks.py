"""What the OpenAI API refuses, and in which words."""

from collections.abc import Mapping
from typing import Any

BAD = "invalid_request_error"

ERRORS: dict[str, tuple[int, str, str | None, str | None, str]] = {
    # kind: status, type, param, code, message
    "bad_request": (400, BAD, None, "invalid_value", "Invalid value."),
    "context_length": (
        400,
        BAD,
        "messages",
        "context_length_exceeded",
        "This model's maximum context length is 128000 tokens. "
        "However, your messages resulted in 130001 tokens.",
    ),
    "content_filter": (
        400,
        BAD,
        None,
        "content_policy_violation",
        "Your request was rejected as a result of our safety system.",
    ),
    "authentication": (401, BAD, None, "invalid_api_key", "Incorrect API key provided."),
    "billing": (
        429,
        "insufficient_quota",
        None,
        "credit_balance_exhausted",
        "Spending stopped: credit balance exhausted.",
    ),
    "forbidden": (
        403,
        "request_forbidden",
        None,
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    "not_found": (
        404,
        BAD,
        None,
        "model_not_found",
        "The model does not exist or you do not have access to it.",
    ),
    "timeout": (408, "server_error", None, None, "Request timed out."),
    "too_large": (413, BAD, None, None, "Request entity too large."),
    "rate_limit": (
        429,
        "requests",
        None,
        "rate_limit_exceeded",
        "Rate limit reached on requests per min (RPM): Limit 60, Used 60, Requested 1.",
    ),
    "slow_down": (
        429,
        "rate_limit_error",
        None,
        "slow_down",
        "Request rate increased too quickly. Reduce it, keep it stable for a while, then ramp up gradually.",
    ),
    "quota": (
        429,
        "insufficient_quota",
        None,
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
    ),
    "overloaded": (
        503,
        "service_unavailable_error",
        None,
        "server_is_overloaded",
        "The server is currently overloaded. Please try again later.",
    ),
    "server_error": (
        500,
        "server_error",
        None,
        None,
        "The server had an error while processing your request.",
    ),
}

_NAMES = (
    "model messages max_completion_tokens max_tokens temperature top_p n stop presence_penalty "
    "frequency_penalty logit_bias logprobs top_logprobs seed stream stream_options tools tool_choice "
    "parallel_tool_calls response_format reasoning_effort verbosity modalities audio prediction "
    "web_search_options service_tier store metadata user safety_identifier prompt_cache_key "
    "prompt_cache_options prompt_cache_retention moderation functions function_call"
)
_CHAT_FIELDS = frozenset(_NAMES.split())


def problem(
    kind: str, body: Mapping[str, Any], *, lenient: bool
) -> tuple[str, str | None, str | None] | None:
    """The first mistake in a body as (message, param, code)."""
    required = {"chat": "messages", "text": "prompt", "embeddings": "input"}[kind]
    for name in ("model", required):
        if not isinstance(body.get(name), str) and not body.get(name):
            return f"Missing required parameter: '{name}'.", name, "missing_required_parameter"
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return message, "stream_options", None
    if kind != "chat":
        return None
    unknown = sorted(set(body) - _CHAT_FIELDS)
    if unknown and not lenient:
        return f"Unknown parameter: '{unknown[0]}'.", unknown[0], "unknown_parameter"
    if body.get("max_tokens") is not None and _reasons(body["model"]):
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return message, "max_tokens", "unsupported_parameter"
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 2:
        side = "above maximum" if temperature > 2 else "below minimum"
        code = "decimal_above_max_value" if temperature > 2 else "decimal_below_min_value"
        return f"Invalid 'temperature': decimal {side} value.", "temperature", code
    if body.get("parallel_tool_calls") is not None and not body.get("tools"):
        message = "'parallel_tool_calls' is only allowed when 'tools' are specified."
        return message, "parallel_tool_calls", None
    return None


def _reasons(model: str) -> bool:
    return model.startswith("gpt-5") or (model[:1] == "o" and model[1:2].isdigit())


def error_object(kind: str) -> dict[str, Any]:
    _, type_, param, code, message = ERRORS.get(kind, ERRORS["server_error"])
    return {"message": message, "type": type_, "param": param, "code": code}
