"""What an upstream's error means, also by its words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import constructed, recorded

from pointsman.errors import (
    AuthenticationFailed,
    CallError,
    ContentFiltered,
    ContextWindowExceeded,
    InvalidRequest,
    ModelNotFound,
    QuotaExhausted,
    RateLimited,
    Unavailable,
    Unsupported,
)
from pointsman.wire import error_meaning
from pointsman.wire.error_body import complaint
from pointsman.wire.error_meaning import recognise, told_wait

TOO_LONG = [
    "This model's maximum context length is 16384 tokens. However, you requested 122946 tokens.",
    "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000 tokens",
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum context length is 8192 tokens",
    "You passed 5000 input tokens and requested 1 output tokens. However, the model's context length is only 4096",
    "The decoder prompt (length 5000) is longer than the maximum model length of 4096.",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 5000",
    "request (2009 tokens) exceeds the available context size (512 tokens), try increasing it",
    "the request exceeds the available context size. try increasing the context size",
    "rpc error: code = Internal desc = request (20 tokens) exceeds the available context size (5 tokens)",
    "input (4002 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
    "Context size has been exceeded.",
    "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with "
    "context length of only 4096 tokens, which is not enough.",
    "The number of tokens to keep from the initial prompt is greater than the context length.",
    "prompt is too long: 210000 tokens > 200000 maximum",
    "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease input length",
    "Input is too long for requested model.",
    "the input length exceeds the context length",
    "input length exceeds maximum context length",
    "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
    "The input token count exceeds the maximum number of tokens allowed 1048575.",
    "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length",
    "Please reduce the length of the messages or completion. Current length is 9000 while limit is 8192",
    "Your input exceeds the context window of this model. Please adjust your input and try again.",
    "Input length 131393 exceeds the maximum allowed input length of 131040 tokens.",
    "prompt token count of 140000 exceeds the limit of 128000",
    "Invalid request: Your request exceeded model token limit: 8192",
    "invalid params, context window exceeds limit (2013)",
    "Range of input length should be [1, 30720]",
    "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens",
    "The prompt is too long: 140000, model maximum context length: 131071",
    "Prompt too long: 9000 tokens exceeds max context window of 8192 tokens",
    "prompt is longer than the context window",
    "Prompt exceeds max length",
    "too many tokens: size limit exceeded by 100 tokens. Try using shorter or fewer inputs.",
]
OTHERS: list[tuple[int, str, type[CallError]]] = [
    (400, "Your credit balance is too low to access the Anthropic API.", QuotaExhausted),
    (
        400,
        "You have reached your specified API usage limits. You will regain access on 2026-01-01",
        QuotaExhausted,
    ),
    (402, "Insufficient Balance", QuotaExhausted),
    (402, "This request requires more credits, or fewer max_tokens.", QuotaExhausted),
    (
        429,
        "Your team t has either used all available credits or reached its monthly spending limit.",
        QuotaExhausted,
    ),
    (429, "Insufficient balance or no resource package. Please recharge.", QuotaExhausted),
    (402, "Insufficient credits. Add more using the settings page", QuotaExhausted),
    (403, "Your newly created team doesn't have any credits yet.", QuotaExhausted),
    (402, "You have exceeded your monthly included credits for Inference Providers.", QuotaExhausted),
    (404, "model 'qwen9' not found", ModelNotFound),
    (404, "models/gemini-9 is not found for API version v1main, or is not supported", ModelNotFound),
    (400, "Missing or invalid Authorization header.", AuthenticationFailed),
    (400, "invalid api key", AuthenticationFailed),
    (
        400,
        "<400> InternalError.Algo.DataInspectionFailed: Input data may contain inappropriate content.",
        ContentFiltered,
    ),
    (400, "Your request was rejected as a result of our safety system.", ContentFiltered),
    (400, "The request was rejected because it was considered high risk", ContentFiltered),
    (
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        ContentFiltered,
    ),
    (403, 'm requires moderation on X. Your input was flagged for "violence".', ContentFiltered),
    (
        500,
        "image input is not supported - hint: if this is unexpected, you may need to provide the mmproj",
        Unsupported,
    ),
    (
        400,
        '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
        Unsupported,
    ),
    (400, "acme/thing:free is not a valid model ID", ModelNotFound),
    (400, "Invalid model: mistral-huge", ModelNotFound),
    (400, "Invalid model 'sonar-9'. Permitted models can be found in the documentation", ModelNotFound),
    (400, "Model Not Exist", ModelNotFound),
    (400, "Model not found: grok-9", ModelNotFound),
    (404, "The model `x` does not exist or you do not have access to it.", ModelNotFound),
    (400, "Unknown model: o9", ModelNotFound),
    (400, "API key not valid. Please pass a valid API key.", AuthenticationFailed),
    (400, "API key expired. Please renew the API key.", AuthenticationFailed),
    (
        400,
        "Incorrect API key provided: xa***ey. You can obtain an API key from the console.",
        AuthenticationFailed,
    ),
    (400, "Content Exists Risk", ContentFiltered),
    (400, "Output blocked by content filtering policy", ContentFiltered),
    (403, "Content violates usage guidelines. Team: t, API key ID: k", ContentFiltered),
    (
        400,
        'Model "m" does not support matryoshka representation, changing output dimensions will lead to poor results.',
        Unsupported,
    ),
    (400, "This model does not support specifying dimensions.", Unsupported),
    (500, "tools param requires --jinja flag", Unsupported),
    (404, "No endpoints found that support tool use. Try disabling it.", Unsupported),
]
MEANS_SOMETHING_ELSE = [
    "Invalid 'messages[0].content': string too long. Expected a string with maximum length 10485760",
    "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
    "Request exceeds the maximum size",
    "stop: maximum 4 sequences",
    "The conversation is about a prompt is too long",
    "I wrote: insufficient balance",
    "Number of request tokens has exceeded your per-minute rate limit",
    "The model produced invalid output",
    "model is required",
    "Invalid model parameters",
    "Unsupported parameter: 'max_tokens' is not supported with this model.",
    "The context is empty",
    "Tool 'context length' does not exist",
]


@pytest.mark.parametrize("status", [None, 400, 413, 422, 500])
@pytest.mark.parametrize("message", TOO_LONG)
def test_too_long_a_prompt_is_known_by_the_words_of_each_server(message: str, status: int | None) -> None:
    for said in (message, message.upper()):
        assert recognise(status, "", "invalid_request_error", said).kind is ContextWindowExceeded


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_what_speaks_of_something_else_is_not_too_long_a_prompt_whatever_it_says(status: int) -> None:
    assert recognise(status, "", "", TOO_LONG[0]).kind is not ContextWindowExceeded


@pytest.mark.parametrize(("status", "message", "kind"), OTHERS)
def test_an_error_is_known_by_its_words(status: int, message: str, kind: type[CallError]) -> None:
    assert recognise(status, "", "invalid_request_error", message).kind is kind


@pytest.mark.parametrize("message", MEANS_SOMETHING_ELSE)
def test_words_that_mean_something_else_are_left_to_the_status(message: str) -> None:
    assert recognise(400, "", "invalid_request_error", message).kind is None


def test_every_pattern_is_tried_and_says_who_says_it() -> None:
    tried = [*TOO_LONG, *(message for _, message, _ in OTHERS)]
    m = error_meaning
    for each in (*m.TOO_LONG, *m.OUT_OF_MONEY, *m.NO_SUCH_MODEL, *m.BAD_KEY, *m.FILTERED, *m.CANNOT):
        assert each.said_by
        assert any(re.search(each.words, message, re.IGNORECASE) for message in tried), each


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (429, "Request too large for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Requested 46226."),
        (413, "Request too large for model `m` in organization `o` service tier `on_demand` on tokens per minute (TPM): "
         "Limit 6000, Requested 8000, please reduce your message size and try again."),
        (429, "Rate limit reached on tokens per min (TPM): Limit 30000, Used 0, Requested 40000. Please try again in 20s."),
    ],
)  # fmt: skip
def test_a_request_larger_than_the_accounts_rate_is_not_waited_for(status: int, message: str) -> None:
    assert recognise(status, "rate_limit_exceeded", "tokens", message) == (RateLimited, None, True)


def test_a_request_within_the_accounts_rate_is() -> None:
    said = "Rate limit reached on tokens per min (TPM): Limit 30000, Used 29500, Requested 1200. Please try again in 1.4s."
    assert recognise(429, "rate_limit_exceeded", "tokens", said) == (RateLimited, 1.4, False)


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 1.2s.", 1.2),
        ("Please try again in 7m12s.", 432.0),
        ("try again in 6m0s", 360.0),
        ("try again in 850ms.", 0.85),
        ("Please retry in 39.374102s.", 39.374102),
        ("retry after 10s", 10.0),
        ("Please retry after 26 seconds.", 26.0),
        ("Please retry after 1 second.", 1.0),
        ("Try again in 5 minutes", 300.0),
        ("wait for 2 hours", 7200.0),
        ("try again in 500 milliseconds", 0.5),
        ("Please try again later.", None),
        ("retry shortly", None),
        ("you may retry 3 times", None),
        ("retry after 10sec0nds", None),
        ("wait 5mm", None),
        ("", None),
    ],
)
def test_a_wait_is_read_from_the_words(message: str, seconds: float | None) -> None:
    found = told_wait(message)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("unit", ["seconds", "hours", "h", "s"])
def test_a_wait_without_end_is_none(unit: str) -> None:
    assert told_wait(f"try again in {'9' * 400}{unit}") is None
    assert told_wait(f"try again in {'9' * 400} {unit}") is None


@given(st.text(max_size=200), st.sampled_from([None, 400, 404, 413, 429, 500]))
def test_any_words_can_be_looked_at(message: str, status: int | None) -> None:
    recognise(status, message, message, message)


# What the recorded and made-up errors that mean something else must not be taken for.
SPEAKS = {
    ContextWindowExceeded: ("context", "tokens"),
    QuotaExhausted: ("credit", "spend", "quota", "usage limit"),
    ModelNotFound: ("model", "deployment"),
    AuthenticationFailed: ("key",),
    ContentFiltered: ("policy",),
    Unsupported: ("support", "tools param"),
}


def errors() -> Iterator[tuple[str, int, str]]:
    for provider in ("openai", "openai-compatible", "anthropic", "llamacpp", "ollama", "localai"):
        for each in (*recorded(provider), *constructed(provider)):
            if each.status >= 400 and each.json is not None:
                yield each.id, each.status, json.dumps(each.json)


@pytest.mark.parametrize(("id", "status", "body"), [pytest.param(*each, id=each[0]) for each in errors()])
def test_real_errors_are_taken_for_nothing_that_they_do_not_speak_of(id: str, status: int, body: str) -> None:
    said = complaint(json.loads(body))
    kind = recognise(status, "", "", said.message).kind
    assert kind is None or any(word in said.message.lower() for word in SPEAKS.get(kind, ("",))), id
    assert said.message or not said.code


def test_the_status_of_a_body_means_what_it_means_in_a_status_line() -> None:
    assert error_meaning.kind_by_status(429) is RateLimited
    assert error_meaning.kind_by_status(503) is Unavailable
    assert error_meaning.kind_by_status(418) is InvalidRequest
