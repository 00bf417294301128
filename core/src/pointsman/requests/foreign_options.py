"""What other libraries and APIs call the options of a call, and what to write here in their place."""

from __future__ import annotations

from collections.abc import Mapping

_RETRY = "how often is said under `retry` in the configuration"
_FALLBACK = "which model follows which failure is said under `fallback` in the configuration"
_GUARDS = "it is said under `guards` in the configuration"
_REST = "when a deployment rests after failures is said in the configuration"
_SCRIPTED = "a test says what is answered with pointsman.testing.Scripted"
_PROVIDER = "it belongs to a provider in the configuration"
_ONE = "a call has one answer; make several, or a `batch`"
_FORMAT = "it is response_format here: 'json', a JSON Schema, or a type of your own"
_PARTS = "make it a part of a message: ['What is this?', Image(data)] as its content"
_EFFORT = "it is reasoning_effort here, or whatever the provider knows in extra={...}"

INSTEAD: Mapping[str, str] = {
    # how much, and how
    **dict.fromkeys(
        ("max_completion_tokens", "max_output_tokens", "max_new_tokens", "num_predict", "n_predict"),
        "it is max_tokens here",
    ),
    "stop_sequences": "it is stop here",
    "repetition_penalty": "it is repeat_penalty here",
    "random_seed": "it is seed here",
    **dict.fromkeys(("n", "best_of", "candidate_count", "num_return_sequences"), _ONE),
    **dict.fromkeys(("format", "json_mode", "json_schema", "guided_json", "response_schema"), _FORMAT),
    **dict.fromkeys(("schema", "output_schema", "response_model", "output_format"), _FORMAT),
    **dict.fromkeys(("thinking", "think", "reasoning", "thinking_budget"), _EFFORT),
    "encoding_format": "vectors come as lists of floats",
    # what is asked
    **dict.fromkeys(("image", "images", "files", "attachments", "audio"), _PARTS),
    "functions": "they are tools here",
    "function_call": "it is tool_choice here",
    "system": "put a message with the role system first",
    "system_prompt": "put a message with the role system first",
    "prompt": "hand the prompt to `generate`, or messages to `chat`",
    "input": "hand the texts to `embed`, or messages to `chat`",
    "stream": "call `stream` or `chat`",
    "stream_options": "the usage comes with every stream, where the upstream counts",
    # how the call is treated
    **dict.fromkeys(("timeout_ms", "request_timeout", "deadline"), "it is timeout here, in seconds"),
    "stream_timeout": "it is idle_timeout here, in seconds",
    **dict.fromkeys(("num_retries", "max_retries", "retries", "retry"), _RETRY),
    **dict.fromkeys(("retry_policy", "retry_strategy"), _RETRY),
    "fallback": "it is fallbacks here, a list of names of models",
    "routing_strategy": "it is strategy here",
    **dict.fromkeys(("fairness_key", "tenant", "end_user", "user_id"), "it is caller here"),
    **dict.fromkeys(("trace_id", "id", "correlation_id"), "it is request_id here"),
    **dict.fromkeys(("litellm_call_id", "litellm_trace_id"), "it is request_id here"),
    "litellm_session_id": "it is affinity here",
    "litellm_metadata": "it is tags here",
    "labels": "they are tags here; labels of deployments are asked for with require={...}",
    "deployment": "name it as the model: 'provider/upstream-model'",
    "provider": "name it in the model: 'provider/upstream-model'",
    # what a configuration says
    **dict.fromkeys(("api_key", "api_base", "base_url", "api_version", "organization"), _PROVIDER),
    **dict.fromkeys(("headers", "extra_headers", "default_headers", "proxy"), _PROVIDER),
    **dict.fromkeys(("custom_llm_provider", "ssl_verify"), _PROVIDER),
    **dict.fromkeys(("context_window_fallbacks", "content_policy_fallbacks"), _FALLBACK),
    **dict.fromkeys(("context_window_fallback_dict", "default_fallbacks"), _FALLBACK),
    **dict.fromkeys(("allowed_fails", "allowed_fails_policy", "cooldown_time"), _REST),
    **dict.fromkeys(("cache", "caching", "guardrails"), _GUARDS),
    **dict.fromkeys(("rpm", "tpm"), "it is said under `limits` of a deployment in the configuration"),
    **dict.fromkeys(
        ("input_cost_per_token", "output_cost_per_token"),
        "it is said as `price` of a deployment in the configuration",
    ),
    "model_list": "models stand under `models` in the configuration",
    # the rest
    "extra_body": "it is extra here",
    **dict.fromkeys(("mock_response", "mock_tool_calls", "mock_timeout"), _SCRIPTED),
    "drop_params": "say `unsupported: drop` of the model in the configuration",
}
"""Name → a hint that follows "unknown option …;"."""

CONFIGURED: Mapping[str, str] = {
    **dict.fromkeys(("timeout", "first_token_timeout", "idle_timeout"), "`timeouts`"),
    "fallbacks": "`fallback`",
    "strategy": "`strategy` of the model",
    "require": "`require` of the model",
}
"""What a call says of its treatment → where a configuration does."""
