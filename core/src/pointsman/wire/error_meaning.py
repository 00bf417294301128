"""What an upstream's error means: by its code, its type and, where these say too little, its message. Pure.

Many servers tell "the prompt is too long", "no money left" or "no such model" in words alone. The words
below were measured; each row names who says them. They are matched closely, because to take one error for
another is worse than not to know it: what nothing here knows is judged by its status.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    Overloaded,
    PermissionDenied,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.wire import retry_after

ErrorType = type[CallError]


class Recognised(NamedTuple):
    """What an error means.

    Attributes:
        kind: its class; None when only the status tells.
        wait: seconds that its message tells to wait, None when it tells none.
        in_vain: the request alone is more than the account's rate allows, so waiting does not help.
    """

    kind: ErrorType | None = None
    wait: float | None = None
    in_vain: bool = False


def recognise(status: int | None, code: str, type: str, message: str) -> Recognised:
    """What is known of an error with this code, type and message.

    Args:
        status: that of the answer, or that which the error names; None when there is none (or a success).
        code, type: "" where it has none.
    """
    message = message[:_LONGEST]
    kind = _by_word(code, status) or _by_word(type, status) or _by_message(status, message)
    if kind is None and type == BASE_RESP:
        kind = _MINIMAX.get(code)
    too_large = kind in (RateLimited, None) and _too_large(message)
    if too_large:
        return Recognised(RateLimited, None, in_vain=True)
    return Recognised(kind, told_wait(message))


def kind_by_status(status: int) -> ErrorType:
    """What a status of 400 or above means that stands in a body, not in a status line."""
    return _BY_STATUS.get(status) or (Unavailable if status >= 500 else InvalidRequest)


def kind_by_vague_word(code: str, type: str) -> ErrorType | None:
    """What words mean that say too little to overrule a status; None for others."""
    return _VAGUE.get(code) or _VAGUE.get(type)


def told_wait(message: str) -> float | None:
    """Seconds that a message tells to wait ("try again in 1.2s", "retry after 26 seconds"), else None."""
    found = re.search(_WAIT, message)
    if found is None:
        return None
    if found["go"]:
        return retry_after.parse_reset(found["go"].lower(), wall=0.0)
    seconds = float(found["number"]) * _UNITS[found["unit"].lower().rstrip("s")]
    return seconds if math.isfinite(seconds) else None


# ── by code and type ─────────────────────────────────────────────────────────────────────────────────

CODES: Mapping[str, ErrorType] = {
    # out of money
    "insufficient_quota": QuotaExhausted,
    "credit_balance_exhausted": QuotaExhausted,
    "organization_spend_limit_exceeded": QuotaExhausted,
    "project_spend_limit_exceeded": QuotaExhausted,
    "organization_usage_limit_exceeded": QuotaExhausted,
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "billing_error": QuotaExhausted,
    "quota_exceeded": QuotaExhausted,
    "exceeded_current_quota_error": QuotaExhausted,  # Moonshot
    "insufficient_balance": QuotaExhausted,
    # too much at once
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "rate_limit_reached_error": RateLimited,  # Moonshot
    "RESOURCE_EXHAUSTED": RateLimited,  # Gemini
    "slow_down": RateLimited,
    "requests": RateLimited,
    "tokens": RateLimited,
    # no capacity
    "server_is_overloaded": Overloaded,
    "service_unavailable_error": Overloaded,
    "engine_overloaded": Overloaded,
    "engine_overloaded_error": Overloaded,  # Moonshot
    "overloaded_error": Overloaded,
    "model_loading": Overloaded,
    "admission_rejected": Overloaded,
    # the request
    "context_length_exceeded": ContextWindowExceeded,
    "exceed_context_size_error": ContextWindowExceeded,  # llama.cpp
    "model_max_prompt_tokens_exceeded": ContextWindowExceeded,  # GitHub Copilot
    "content_policy_violation": ContentFiltered,
    "content_filter": ContentFiltered,
    "invalid_prompt": ContentFiltered,
    "moderation_blocked": ContentFiltered,
    "data_inspection_failed": ContentFiltered,  # DashScope
    "not_supported_error": Unsupported,
    # the model
    "model_not_found": ModelNotFound,
    "DeploymentNotFound": ModelNotFound,  # Azure
    "invalid_model": ModelNotFound,  # Mistral, Perplexity
    "unknown_model": ModelNotFound,  # GitHub Models
    # the credential
    "invalid_api_key": AuthenticationFailed,
    "authentication_error": AuthenticationFailed,
    "unsupported_country_region_territory": PermissionDenied,
    "request_forbidden": PermissionDenied,
    "permission_error": PermissionDenied,
    "authorization_error": PermissionDenied,
}
_POLICIES = ("_policy", "_policy_violation")

BASE_RESP = "base_resp"
"""The type of an error that MiniMax tells in `base_resp`, with a number of its own as its code."""
_MINIMAX: Mapping[str, ErrorType] = {
    "1001": Unavailable,
    "1002": RateLimited,
    "1004": AuthenticationFailed,
    "1008": QuotaExhausted,
    "1026": ContentFiltered,
    "1027": ContentFiltered,
    "1039": RateLimited,
    "1041": RateLimited,
    "2013": InvalidRequest,
    "2049": AuthenticationFailed,
    "2056": QuotaExhausted,
}

_VAGUE: Mapping[str, ErrorType] = {
    "invalid_request_error": InvalidRequest,
    "BadRequestError": InvalidRequest,  # vLLM
    "server_error": Unavailable,
    # Google
    "INVALID_ARGUMENT": InvalidRequest,
    "FAILED_PRECONDITION": InvalidRequest,
    "UNAUTHENTICATED": AuthenticationFailed,
    "PERMISSION_DENIED": PermissionDenied,
    "NOT_FOUND": ModelNotFound,
    "UNAVAILABLE": Unavailable,
}
_BY_STATUS: Mapping[int, ErrorType] = {
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: PermissionDenied,
    404: ModelNotFound,
    408: Unavailable,
    409: Unavailable,
    429: RateLimited,
}


def _by_word(word: str, status: int | None) -> ErrorType | None:
    kind = CODES.get(word)
    if kind is None and word.endswith(_POLICIES):
        return ContentFiltered
    if kind is RateLimited and status == 503:
        return Overloaded  # the older form of "slow down" is about capacity
    return kind


# ── by message ───────────────────────────────────────────────────────────────────────────────────────


class Pattern(NamedTuple):
    """Words that a server uses, as a regular expression that ignores case, and who says them."""

    words: str
    said_by: str


TOO_LONG = (
    Pattern(
        r"\bmaximum (?:context|prompt) length (?:is|of) \d",
        "OpenAI, Azure, DeepSeek, vLLM, OpenRouter (this endpoint's), xAI (prompt length), SGLang, Together",
    ),
    Pattern(r"\bcontext length is only \d", "vLLM from 0.10 on, LM Studio"),
    Pattern(r"\blonger than the (?:maximum model|model's context) length\b", "vLLM, SGLang"),
    Pattern(r"\bexceeds the available context size\b", "llama.cpp, also behind LocalAI"),
    Pattern(r"\binput \(\d+ tokens\) is too large to process\b", "llama.cpp, embeddings"),
    Pattern(r"\bcontext size has been exceeded\b", "llama.cpp in mid-stream, LM Studio with MLX"),
    Pattern(
        r"\btokens to keep from the initial prompt is greater than the context length\b",
        "LM Studio",
    ),
    Pattern(r"\btrying to keep the first \d+ tokens when (?:the )?context\b", "LM Studio"),
    Pattern(r"^prompt is too long\b", "Claude"),
    Pattern(r"\bthe prompt is too long: \d", "Fireworks"),
    Pattern(r"^prompt too long: \d+ tokens exceeds max", "oMLX, Atlas"),
    Pattern(r"^input length and `?max_tokens`? exceed context limit\b", "Claude"),
    Pattern(r"^input is too long for requested model\b", "Bedrock"),
    Pattern(r"\binput length exceeds (?:the |maximum )?context length\b", "Ollama"),
    Pattern(r"\bexceeds maximum context length\b", "Ollama"),
    Pattern(r"\bprompt is longer than the context\b", "Ollama"),
    Pattern(r"\binput token count (?:\(\d+\) )?exceeds the maximum number of tokens\b", "Gemini"),
    Pattern(r"\btoo large for model with \d+ maximum context length\b", "Mistral"),
    Pattern(r"^please reduce the length of the messages or completion\b", "Groq, Cerebras"),
    Pattern(r"\bexceeds the context window of this model\b", "OpenAI, Responses"),
    Pattern(r"\bexceeds (?:the )?maximum allowed input length of \d", "Poolside, OpenRouter"),
    Pattern(r"^prompt token count of \d+ exceeds the limit of \d", "GitHub Copilot"),
    Pattern(r"\bexceeded model token limit: \d", "Moonshot"),
    Pattern(r"^prompt exceeds max length\b", "Z.ai"),
    Pattern(r"\bcontext window exceeds limit\b", "MiniMax"),
    Pattern(r"\brange of input length should be \[\d", "DashScope"),
    Pattern(r"`inputs` (?:tokens \+ `max_new_tokens` must be <=|must have less than \d)", "Hugging Face TGI"),
    Pattern(r"^too many tokens: size limit exceeded by \d", "Cohere"),
)
OUT_OF_MONEY = (
    Pattern(r"\bcredit balance is too low\b", "Claude, with status 400"),
    Pattern(r"^you have reached your specified api usage limits\b", "Claude, with status 400"),
    Pattern(r"^insufficient balance\b", "DeepSeek, Z.ai, MiniMax"),
    Pattern(r"^insufficient (?:credits|funds)\b", "OpenRouter, Vercel"),
    Pattern(r"^this request requires more credits\b", "OpenRouter"),
    Pattern(r"\bhas either used all available credits or reached its monthly spending limit\b", "xAI"),
    Pattern(r"\b(?:team|account) doesn't have any credits\b", "xAI"),
    Pattern(r"^you have exceeded your monthly included credits\b", "Hugging Face"),
)
NO_SUCH_MODEL = (
    Pattern(r"^\S+ is not a valid model id\b", "OpenRouter"),
    Pattern(r"^invalid model(?:: ?\S| ['\"`])", "Mistral, Perplexity"),
    Pattern(r"^model not exist\b", "DeepSeek, DashScope"),
    Pattern(r"^model not found\b", "xAI, Fireworks"),
    Pattern(r"^the model `?'?\"?[^\s`'\"]+`?'?\"? does not exist\b", "OpenAI, vLLM, Groq, xAI"),
    Pattern(r"^model ['\"`][^'\"`]+['\"`] (?:was )?not found\b", "Ollama, LocalAI, LM Studio"),
    Pattern(r"^models/\S+ is not found for api version\b", "Gemini"),
    Pattern(r"^unknown model\b", "GitHub Models, Z.ai"),
)
BAD_KEY = (
    Pattern(r"^api key (?:not valid|not found|expired)\b", "Gemini, with status 400"),
    Pattern(r"^incorrect api key provided\b", "xAI with status 400, OpenAI"),
    Pattern(r"^(?:missing or )?invalid authorization header\b", "Gemini, with status 400"),
    Pattern(r"^invalid api[ -]?key\b", "llama.cpp, MiniMax, Groq"),
)
FILTERED = (
    Pattern(r"^content exists risk\b", "DeepSeek"),
    Pattern(r"\binput data may contain inappropriate content\b", "DashScope"),
    Pattern(r"^content violates usage guidelines\b", "xAI"),
    Pattern(r"^output blocked by content filtering policy\b", "Claude"),
    Pattern(
        r"\bwas rejected (?:as a result of our safety system|because it was considered high risk)\b",
        "OpenAI, Moonshot",
    ),
    Pattern(r"\btriggering azure openai's content management policy\b", "Azure"),
    Pattern(r"\byour input was flagged\b", "OpenRouter's moderation"),
)
CANNOT = (
    Pattern(r"\bdoes not support matryoshka representation\b", "vLLM, for `dimensions`"),
    Pattern(r"\bdoes not support specifying dimensions\b", "OpenAI, Azure"),
    Pattern(r"^tools param requires --jinja flag\b", "llama.cpp"),
    Pattern(r"^image input is not supported\b", "llama.cpp"),
    Pattern(r'^"auto" tool choice requires --enable-auto-tool-choice\b', "vLLM"),
    Pattern(r"^no endpoints found that support\b", "OpenRouter"),
)


def _any_of(patterns: tuple[Pattern, ...]) -> str:
    return "(?i)" + "|".join([each.words for each in patterns])


# Which statuses a message may overrule. None stands for an error that came without one.
_MESSAGES: tuple[tuple[ErrorType, frozenset[int | None], str], ...] = (
    (ContextWindowExceeded, frozenset((None, 400, 413, 422, 500, 502, 503)), _any_of(TOO_LONG)),
    (QuotaExhausted, frozenset((None, 400, 402, 403, 422, 429)), _any_of(OUT_OF_MONEY)),
    (AuthenticationFailed, frozenset((None, 400, 403, 422)), _any_of(BAD_KEY)),
    (ModelNotFound, frozenset((None, 400, 403, 404, 422)), _any_of(NO_SUCH_MODEL)),
    (ContentFiltered, frozenset((None, 400, 403, 422, 451)), _any_of(FILTERED)),
    (Unsupported, frozenset((None, 400, 404, 422, 500, 501)), _any_of(CANNOT)),
)
_LONGEST = 4000
"""Characters of a message that are looked at."""

_WAIT = (
    r"(?i)\b(?:try again|retry|wait|come back)(?: again)?(?: after| in| for)? (?:about )?(?:(?P<go>"
    r"(?:\d+(?:\.\d+)?(?:ms|[hms]))+(?![a-z0-9]))|(?P<number>\d+(?:\.\d+)?) ?"
    r"(?P<unit>milliseconds?|seconds?|minutes?|hours?)\b)"
)
_UNITS = {"millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0}

# OpenAI with 429, Groq with 413: a request that is larger than all that a minute allows.
_TOO_LARGE = (
    r"(?i)^request too large for .{1,300}\b(?:TPM|tokens per min)|\blimit:? (\d+),.{0,60}\brequested:? (\d+)"
)


def _by_message(status: int | None, message: str) -> ErrorType | None:
    for kind, statuses, words in _MESSAGES:
        if status in statuses and re.search(words, message):
            return kind
    return None


def _too_large(message: str) -> bool:
    found = re.search(_TOO_LARGE, message)
    if found is None or found[1] is None:
        return found is not None
    return len(found[1]) < 16 and len(found[2]) < 16 and int(found[2]) > int(found[1])
