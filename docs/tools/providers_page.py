"""The table of presets in docs/providers.md, from the data of the presets.

    uv run python docs/tools/providers_page.py

What a preset says stands in its file; here is how a reader is told of it, and what no file can say.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointsman.build.presets import preset_names, with_preset
from pointsman.plugin import ProviderFactory
from pointsman.testing import installed_factory

PAGE = Path(__file__).parents[1] / "providers.md"
BEGIN, END = "<!-- presets: begin -->", "<!-- presets: end -->"

NAMES: Mapping[str, str] = {
    "azure": "Azure OpenAI, Foundry",
    "cerebras": "Cerebras",
    "deepseek": "DeepSeek",
    "fireworks": "Fireworks",
    "gemini": "Gemini (Google AI Studio)",
    "groq": "Groq",
    "huggingface": "Hugging Face, inference providers",
    "llamacpp": "llama.cpp, `llama-server`",
    "lmstudio": "LM Studio",
    "mistral": "Mistral",
    "moonshot": "Moonshot, Kimi",
    "openrouter": "OpenRouter",
    "perplexity": "Perplexity",
    "together": "Together",
    "vllm": "vLLM",
    "xai": "xAI, Grok",
}
BESIDES: Mapping[str, str] = {
    "azure": "dated addresses with `api-version`; `max_tokens` where a deployment of gpt-5 or later has "
    "a name of its own: say `max_tokens_field: max_completion_tokens`",
    "deepseek": "ask for JSON without one, and tell the schema in the prompt",
    "gemini": "Vertex AI, see below",
    "groq": "embeddings",
    "mistral": "embeddings with `dimensions`",
    "perplexity": "two messages of one role in a row",
    "xai": "`stop` with models that reason",
}
"""What does not work beside what a preset refuses by itself."""
_TOLD: Mapping[tuple[str, Any], str] = {
    ("key_header", "api-key"): "the key goes in `api-key`",
    ("extra_sampling", True): "`top_k`, `min_p`, `repeat_penalty` are sent",
    ("repeat_penalty_field", "repeat_penalty"): "",
    ("stream_underneath", True): "whole answers are asked for as streams",
    ("responses", True): "has the Responses API",
    ("relayed", False): "requests are written anew, without fields that it does not know",
    ("max_tokens_field", "max_tokens"): "",
    ("seed_field", "random_seed"): "`seed` is `random_seed`",
    ("tool_call_ids", "nine_characters"): "ids of calls are made short",
    ("send_labels", False): "`user` and `metadata` stay here",
    ("include_usage", False): "token counts of streams come unasked",
    ("reasoning_field", "reasoning_content"): "reasoning of earlier turns goes back",
}
"""What a reader is told of a setting; "" where that would tell nobody anything."""


def table() -> str:
    """The table between its markers."""
    openai = installed_factory("provider", "openai")
    lines = ["| provider | configuration | address | what it heeds | what does not work |"]
    lines.append("| --- | --- | --- | --- | --- |")
    lines += [_row(each, with_preset(openai, each)) for each in preset_names(openai)]
    return "\n".join([BEGIN, *lines, END])


def configuration(preset: str, made: ProviderFactory) -> str:
    """The provider of a configuration, in one line of YAML."""
    address = f", base_url: {made.base_url_form}" if made.base_url_form else ""
    key = f', api_key: "${{{made.key_variable}}}"' if made.needs_key else ""
    return f"{{type: openai, preset: {preset}{address}{key}}}"


def page(text: str) -> str:
    """`text`, the page, with the table made anew."""
    before, _, rest = text.partition(BEGIN)
    return before + table() + rest.partition(END)[2]


def _row(preset: str, made: ProviderFactory) -> str:
    said = made.settings.model_validate({}).model_dump(exclude_defaults=True)
    refused = [f"`{each}`" for each in said.pop("unsupported", ())]
    told = [_TOLD[name, value] for name, value in said.items()]
    cells = (
        NAMES[preset],
        f"`{configuration(preset, made)}`",
        made.default_base_url or "yours",
        "; ".join(each for each in told if each),
        "; ".join(filter(None, [", ".join(refused), BESIDES.get(preset, "")])),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    print(f"wrote {PAGE}")
