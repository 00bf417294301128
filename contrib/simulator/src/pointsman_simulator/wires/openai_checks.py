"""What the OpenAI API refuses, and in which words."""

import re
from collections.abc import Mapping, Sequence
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


Problem = tuple[str, str | None, str | None]
"""A mistake as (message, param, code)."""

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_MOST_STOPS = 4
_MOST_INPUTS = 2048
_MOST_ALTERNATIVES = 20
_NOT_WHEN_REASONING = ("stop", "top_p", "presence_penalty", "frequency_penalty", "logprobs", "logit_bias")


def problem(kind: str, body: Mapping[str, Any], *, lenient: bool) -> Problem | None:
    """The first mistake in a body. `lenient`: unknown members are none."""
    if kind == "chat":
        return _missing(body, "messages") or _chat_problem(body, lenient=lenient)
    if kind == "text":
        return _missing(body, "prompt") or _stream_problem(body)
    return _missing(body, "input") or _embeddings_problem(body)


def _missing(body: Mapping[str, Any], required: str) -> Problem | None:
    if body.get("messages") == []:
        return _empty("messages")
    for name in ("model", required):
        if not isinstance(body.get(name), str) and not body.get(name):
            return f"Missing required parameter: '{name}'.", name, "missing_required_parameter"
    return None


def _chat_problem(body: Mapping[str, Any], *, lenient: bool) -> Problem | None:
    unknown = sorted(set(body) - _CHAT_FIELDS)
    if unknown and not lenient:
        return f"Unknown parameter: '{unknown[0]}'.", unknown[0], "unknown_parameter"
    return (
        _stream_problem(body)
        or (_reasoning_problem(body) if reasons(body["model"]) else None)
        or _numbers_problem(body)
        or _tools_problem(body)
        or _format_problem(body)
        or _messages_problem(body["messages"])
    )


def _stream_problem(body: Mapping[str, Any]) -> Problem | None:
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        return message, "stream_options", None
    return None


def _reasoning_problem(body: Mapping[str, Any]) -> Problem | None:
    """What models that reason take no more."""
    if body.get("max_tokens") is not None:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. "
            "Use 'max_completion_tokens' instead."
        )
        return message, "max_tokens", "unsupported_parameter"
    temperature = body.get("temperature")
    if temperature not in (None, 1):
        message = (
            f"Unsupported value: 'temperature' does not support {temperature} with this model. "
            "Only the default (1) value is supported."
        )
        return message, "temperature", "unsupported_value"
    for name in _NOT_WHEN_REASONING:
        if body.get(name):
            message = f"Unsupported parameter: '{name}' is not supported with this model."
            return message, name, "unsupported_parameter"
    return None


def _numbers_problem(body: Mapping[str, Any]) -> Problem | None:
    for name, low, high in (
        ("temperature", 0, 2),
        ("top_p", 0, 1),
        ("presence_penalty", -2, 2),
        ("frequency_penalty", -2, 2),
    ):
        value = body.get(name)
        if value is not None and not low <= value <= high:
            side, code = ("above maximum", "above_max") if value > high else ("below minimum", "below_min")
            return f"Invalid '{name}': decimal {side} value.", name, f"decimal_{code}_value"
    for name in ("n", "max_tokens", "max_completion_tokens"):
        value = body.get(name)
        if value is not None and value < 1:
            return f"Invalid '{name}': integer below minimum value.", name, "integer_below_min_value"
    stop = body.get("stop")
    if isinstance(stop, list) and len(stop) > _MOST_STOPS:
        message = (
            f"Invalid 'stop': array too long. Expected an array with maximum length {_MOST_STOPS}, "
            f"but got an array with length {len(stop)} instead."
        )
        return message, "stop", "array_above_max_length"
    alternatives = body.get("top_logprobs")
    if alternatives is not None and not body.get("logprobs"):
        return "'top_logprobs' is only allowed when 'logprobs' is enabled.", "top_logprobs", None
    if alternatives is not None and alternatives > _MOST_ALTERNATIVES:
        message = "Invalid 'top_logprobs': integer above maximum value."
        return message, "top_logprobs", "integer_above_max_value"
    return None


def _tools_problem(body: Mapping[str, Any]) -> Problem | None:
    tools = body.get("tools") or []
    for name in ("parallel_tool_calls", "tool_choice"):
        if body.get(name) is not None and not tools:
            return f"'{name}' is only allowed when 'tools' are specified.", name, None
    names = [tool["function"]["name"] for tool in tools if tool.get("type") == "function"]
    for i, name in enumerate(names):
        if not _NAME.fullmatch(name):
            param = f"tools[{i}].function.name"
            message = f"Invalid '{param}': string does not match pattern. Expected '^[a-zA-Z0-9_-]+$'."
            return message, param, "invalid_value"
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        message = f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        return message, "tool_choice", "invalid_value"
    if isinstance(choice, Mapping) and choice.get("type") == "function":
        wanted = choice["function"]["name"]
        if wanted not in names:
            message = f"Tool choice 'function' '{wanted}' not found in 'tools' parameter."
            return message, "tool_choice", None
    return None


def _format_problem(body: Mapping[str, Any]) -> Problem | None:
    wanted = body.get("response_format") or {}
    match wanted.get("type"):
        case "json_object" if not any(
            "json" in str(each.get("content")).lower() for each in body["messages"]
        ):
            message = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type "
                "'json_object'."
            )
            return message, "messages", None
        case "json_schema":
            described = wanted.get("json_schema") or {}
            for name in ("name", "schema"):
                if not described.get(name):
                    param = f"response_format.json_schema.{name}"
                    return f"Missing required parameter: '{param}'.", param, "missing_required_parameter"
            schema = described["schema"]
            if described.get("strict") and schema.get("additionalProperties") is not False:
                message = (
                    f"Invalid schema for response_format '{described['name']}': In context=(), "
                    "'additionalProperties' is required to be supplied and to be false."
                )
                return message, "response_format", None
    return None


def _messages_problem(messages: Any) -> Problem | None:
    open_calls: list[str] = []  # of the assistant message whose tools have yet to answer
    for i, message in enumerate(messages):
        role, where = message.get("role"), f"messages[{i}]"
        if role not in _ROLES:
            listed = ", ".join(f"'{each}'" for each in _ROLES)
            text = f"Invalid value: '{role}'. Supported values are: {listed}."
            return text, f"{where}.role", "invalid_value"
        if role == "tool":
            if not message.get("tool_call_id"):
                param = f"{where}.tool_call_id"
                return f"Missing parameter 'tool_call_id': {param}", param, "missing_required_parameter"
            if message["tool_call_id"] not in open_calls:
                text = (
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message "
                    "with 'tool_calls'."
                )
                return text, f"{where}.role", None
            open_calls.remove(message["tool_call_id"])
            continue
        if open_calls:
            return _unanswered(open_calls, where)
        open_calls = [each["id"] for each in message.get("tool_calls") or []]
        if message.get("content") is None and not (
            role == "assistant" and (open_calls or "function_call" in message)
        ):
            param = f"{where}.content"
            return "Invalid value for 'content': expected a string, got null.", param, None
    return _unanswered(open_calls, f"messages[{len(messages) - 1}]") if open_calls else None


def _unanswered(calls: Sequence[str], where: str) -> Problem:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(calls)}"
    )
    return message, f"{where}.role", None


def _embeddings_problem(body: Mapping[str, Any]) -> Problem | None:
    given = body["input"]
    if isinstance(given, list) and len(given) > _MOST_INPUTS and not isinstance(given[0], int):
        message = f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_INPUTS}."
        return message, "input", "array_above_max_length"
    dimensions = body.get("dimensions")
    if dimensions is None:
        return None
    if "ada" in str(body["model"]):
        return "This model does not support specifying dimensions.", "dimensions", None
    if dimensions < 1:
        return "Invalid 'dimensions': integer below minimum value.", "dimensions", "integer_below_min_value"
    return None


def _empty(name: str) -> Problem:
    message = (
        f"Invalid '{name}': empty array. Expected an array with minimum length 1, "
        "but got an empty array instead."
    )
    return message, name, "empty_array"


def reasons(model: str) -> bool:
    """Whether it is one of the models that reason, by its name."""
    return model.startswith("gpt-5") or (model[:1] == "o" and model[1:2].isdigit())


def error_object(kind: str) -> dict[str, Any]:
    _, type_, param, code, message = ERRORS.get(kind, ERRORS["server_error"])
    return {"message": message, "type": type_, "param": param, "code": code}
