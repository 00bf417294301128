"""Names that dashboards and traces outside of ours expect, each written once.

The conventions for generative AI are those of OpenTelemetry's `semantic-conventions-genai`; the constants of
its Python package are marked deprecated, since they moved there.
"""

from __future__ import annotations

from collections.abc import Mapping

PROVIDERS: Mapping[str, str] = {"claude": "anthropic"}
"""`gen_ai.provider.name` of a provider type, where it is another word than ours."""
OPERATIONS: Mapping[str, str] = {
    "chat": "chat",
    "stream": "chat",
    "generate": "text_completion",
    "embed": "embeddings",
}
"""`gen_ai.operation.name` of an operation."""

DURATION_BUCKETS = tuple(0.01 * 2**n for n in range(14))
"""Seconds: 0.01 to 81.92."""
TOKEN_BUCKETS = tuple(float(4**n) for n in range(14))
"""Tokens: 1 to 67,108,864."""

OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
ORIGINAL_MODEL = "gen_ai.original.model"
REQUEST_STREAM = "gen_ai.request.stream"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
ERROR_TYPE = "error.type"

OUR_DEPLOYMENT = "pointsman.deployment"
OUR_ROUTE = "pointsman.route"
OUR_ATTEMPT = "pointsman.attempt"
OUR_ATTEMPTS = "pointsman.attempts"
OUR_QUEUE = "pointsman.queue.duration"
OUR_FALLBACK_FROM = "pointsman.fallback.from"


def provider_name(type: str) -> str:
    """`gen_ai.provider.name` of a provider type."""
    return PROVIDERS.get(type, type)
