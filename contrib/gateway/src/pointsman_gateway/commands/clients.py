"""How programs are pointed at the gateway: for each, the settings as it wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct

from pointsman._internal.suggest import did_you_mean

Form = Literal["sh", "python", "json", "yaml", "toml", "text"]
KEY = "POINTSMAN_KEY"
"""The variable that holds the caller's key; without keys in the configuration any text will do."""


class Client(Struct, frozen=True):
    """One program.

    Attributes:
        title: as its makers write it.
        form: how `settings` are written.
        settings: with `{url}`, `{host}` (without scheme), `{model}` and `{key}` (the variable's name).
        place: where they belong; "" for the shell that starts it.
        surface: the API that it speaks.
        tested: that it is run against the gateway by tests or benchmarks of this project.
        note: what else there is to know.
    """

    title: str
    form: Form
    settings: str
    surface: str
    place: str = ""
    tested: bool = False
    note: str = ""


CLIENTS: Mapping[str, Client] = {
    "openai": Client(
        "OpenAI's SDKs",
        "sh",
        'export OPENAI_BASE_URL="{url}/v1"\nexport OPENAI_API_KEY="${{{key}:-none}}"\n',
        "openai",
        tested=True,
    ),
    "anthropic": Client(
        "Anthropic's SDKs",
        "sh",
        'export ANTHROPIC_BASE_URL="{url}"\nexport ANTHROPIC_API_KEY="${{{key}:-none}}"\n',
        "anthropic",
        tested=True,
        note="The address is without `/v1`.",
    ),
    "ollama": Client(
        "Ollama's SDKs and command",
        "sh",
        'export OLLAMA_HOST="{url}"\nexport OLLAMA_API_KEY="${{{key}:-none}}"\n',
        "ollama",
        tested=True,
    ),
    "claude-code": Client(
        "Claude Code",
        "sh",
        'export ANTHROPIC_BASE_URL="{url}"\n'
        'export ANTHROPIC_AUTH_TOKEN="${{{key}:-none}}"\n'
        'export ANTHROPIC_MODEL="{model}"\n'
        'export ANTHROPIC_SMALL_FAST_MODEL="{model}"\n'
        "export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1\n",
        "anthropic",
        tested=True,
        note="Its list of models shows only names with `claude` in them.",
    ),
    "codex": Client(
        "Codex CLI",
        "toml",
        'model = "{model}"\n'
        'model_provider = "pointsman"\n'
        "\n"
        "[model_providers.pointsman]\n"
        'name = "pointsman"\n'
        'base_url = "{url}/v1"\n'
        'wire_api = "responses"\n'
        'env_key = "{key}"\n'
        "supports_websockets = false\n",
        "openai",
        place="~/.codex/config.toml",
        tested=True,
        note="It wants the variable to be set, to any text where no key is needed. Its warning that it has no"
        " metadata of the model does no harm; `model_context_window` tells it when to compact.",
    ),
    "opencode": Client(
        "opencode",
        "json",
        "{{\n"
        '  "provider": {{\n'
        '    "pointsman": {{\n'
        '      "npm": "@ai-sdk/openai-compatible",\n'
        '      "options": {{"baseURL": "{url}/v1", "apiKey": "{{env:{key}}}"}},\n'
        '      "models": {{"{model}": {{}}}}\n'
        "    }}\n"
        "  }},\n"
        '  "model": "pointsman/{model}"\n'
        "}}\n",
        "openai",
        place="~/.config/opencode/opencode.json",
        tested=True,
    ),
    "aider": Client(
        "aider",
        "sh",
        'export OPENAI_API_BASE="{url}/v1"\n'
        'export OPENAI_API_KEY="${{{key}:-none}}"\n'
        'export AIDER_MODEL="openai/{model}"\n',
        "openai",
    ),
    "copilot-cli": Client(
        "GitHub Copilot CLI",
        "sh",
        'export COPILOT_PROVIDER_BASE_URL="{url}/v1"\n'
        'export COPILOT_PROVIDER_API_KEY="${{{key}:-none}}"\n'
        'export COPILOT_MODEL="{model}"\n',
        "openai",
    ),
    "vscode": Client(
        "GitHub Copilot Chat in VS Code, as an Ollama",
        "json",
        '{{\n  "github.copilot.chat.byok.ollamaEndpoint": "{url}"\n}}\n',
        "ollama",
        place="settings.json",
        note="It sends no key: where keys are needed give the surface `ollama` a listener of its own.",
    ),
    "zed": Client(
        "Zed",
        "json",
        '{{\n  "language_models": {{\n    "ollama": {{"api_url": "{url}"}}\n  }}\n}}\n',
        "ollama",
        place="~/.config/zed/settings.json",
    ),
    "jetbrains": Client(
        "JetBrains AI Assistant",
        "text",
        "Settings | Tools | AI Assistant | Models: enable Ollama, with the URL {url}\n",
        "ollama",
    ),
    "open-webui": Client(
        "Open WebUI",
        "sh",
        'export OPENAI_API_BASE_URL="{url}/v1"\n'
        'export OPENAI_API_KEY="${{{key}:-none}}"\n'
        "export ENABLE_OLLAMA_API=false\n",
        "openai",
        note="In its container this machine is `host.docker.internal`, and the gateway has to listen there.",
    ),
    "librechat": Client(
        "LibreChat",
        "yaml",
        "endpoints:\n"
        "  custom:\n"
        "    - name: pointsman\n"
        '      apiKey: "${{{key}}}"\n'
        "      baseURL: {url}/v1\n"
        "      models: {{default: [{model}], fetch: true}}\n"
        "      titleConvo: true\n"
        "      titleModel: {model}\n",
        "openai",
        place="librechat.yaml",
    ),
    "continue": Client(
        "Continue",
        "yaml",
        "models:\n"
        "  - name: {model}\n"
        "    provider: openai\n"
        "    model: {model}\n"
        "    apiBase: {url}/v1\n"
        "    apiKey: ${{{{ secrets.{key} }}}}\n",
        "openai",
        place="~/.continue/config.yaml",
    ),
    "cline": Client(
        "Cline and Roo Code",
        "text",
        "API Provider: OpenAI Compatible\n"
        "Base URL: {url}/v1\n"
        "API Key: the key, or any text\n"
        "Model ID: {model}\n",
        "openai",
    ),
    "cursor": Client(
        "Cursor",
        "text",
        "Settings | Models: OpenAI API Key, Override OpenAI Base URL: {url}/v1, add the model {model}\n",
        "openai",
        note="Its servers make the calls: they must reach the address, and keys are needed.",
    ),
    "langchain": Client(
        "LangChain",
        "python",
        "import os\n"
        "\n"
        "from langchain_openai import ChatOpenAI\n"
        "\n"
        'key = os.environ.get("{key}", "none")\n'
        'model = ChatOpenAI(base_url="{url}/v1", api_key=key, model="{model}")\n',
        "openai",
        note="`OpenAIEmbeddings` wants `check_embedding_ctx_length=False`: otherwise it sends ids of tokens,"
        " which only OpenAI's own models can read.",
    ),
    "llama-index": Client(
        "LlamaIndex",
        "python",
        "import os\n"
        "\n"
        "from llama_index.llms.openai_like import OpenAILike\n"
        "\n"
        'key = os.environ.get("{key}", "none")\n'
        'said = {{"is_chat_model": True, "is_function_calling_model": True, "context_window": 128_000}}\n'
        'model = OpenAILike(model="{model}", api_base="{url}/v1", api_key=key, **said)\n',
        "openai",
        note="Its classes `OpenAI` and `Anthropic` take no names but those of their vendors' models.",
    ),
    "litellm": Client(
        "LiteLLM's SDK",
        "python",
        "import os\n"
        "\n"
        "import litellm\n"
        "\n"
        'key = os.environ.get("{key}", "none")\n'
        'said = [{{"role": "user", "content": "Hello"}}]\n'
        'litellm.completion(model="openai/{model}", api_base="{url}/v1", api_key=key, messages=said)\n',
        "openai",
        note="Its models `ollama_chat/…` do not declare JSON: without a key they need"
        ' `extra_headers={"content-type": "application/json"}`.',
    ),
    "llm": Client(
        "llm",
        "yaml",
        "- model_id: pointsman\n"
        "  model_name: {model}\n"
        "  api_base: {url}/v1\n"
        "  api_key_name: pointsman\n"
        "  supports_tools: true\n",
        "openai",
        place="extra-openai-models.yaml",
        note="In the folder that `llm logs path` shows; set the key with `llm keys set pointsman`.",
    ),
    "vercel-ai": Client(
        "Vercel AI SDK",
        "sh",
        'export OPENAI_BASE_URL="{url}/v1"\nexport OPENAI_API_KEY="${{{key}:-none}}"\n',
        "openai",
        note="`openai.chat(…)` needs nothing else. `openai(…)` speaks the Responses API: its loops with"
        " tools need a file for answers in the configuration, `responses: {path: …}`, or `store: false`."
        " `createOpenAICompatible` wants `supportsStructuredOutputs: true` for objects: without it no"
        " schema is sent, and Claude makes no JSON without one.",
    ),
    "pydantic-ai": Client(
        "Pydantic AI",
        "python",
        "import os\n"
        "\n"
        "from pydantic_ai import Agent\n"
        "from pydantic_ai.models.openai import OpenAIChatModel\n"
        "from pydantic_ai.providers.openai import OpenAIProvider\n"
        "\n"
        'key = os.environ.get("{key}", "none")\n'
        'provider = OpenAIProvider(base_url="{url}/v1", api_key=key)\n'
        'agent = Agent(OpenAIChatModel("{model}", provider=provider))\n',
        "openai",
        note="Ask an Ollama with `output_type=NativeOutput(…)`: the default forces the model to call a tool,"
        " which Ollama cannot do.",
    ),
}
WITHOUT_KEY = frozenset(("vscode", "zed", "jetbrains"))
"""Those that send none: they are pointed at the listener that takes none, where there is one."""
"""By the name that the command takes."""


def settings_for(name: str, *, url: str, model: str, key: str = KEY) -> str:
    """The settings of that client. Raises LookupError that lists the names."""
    client = CLIENTS.get(name)
    if client is None:
        raise LookupError(f"no client {name!r} is known here; {did_you_mean(name, CLIENTS, what='known')}")
    return client.settings.format(url=url, host=urlsplit(url).netloc, model=model, key=key)


_HEAD = f"""\
# How do I point a program at the gateway?

`pointsman env NAME` prints what follows, with the address and the default model of your configuration
or what `--url`, `--model` and `--key` say:

    eval "$(pointsman env openai)"
    pointsman env codex        # goes into ~/.codex/config.toml

A key is never printed: where the program can do that, it reads the variable `{KEY}`. Where the
configuration has no `access`, any text will do on the same machine.

Those in **bold** are run against the gateway by this project; the others follow their documentation.

| API | clients |
| --- | --- |
"""
_URL = "http://127.0.0.1:4000"


def page() -> str:
    """The page `docs/clients.md`."""
    blocks = []
    of: dict[str, list[str]] = {}
    for name, client in sorted(CLIENTS.items()):
        where = (
            f"In `{client.place}`:" if client.place else "In its settings:" if client.form == "text" else ""
        )
        settings = settings_for(name, url=_URL, model="assistant")
        parts = [
            f"## {client.title}",
            " ".join(filter(None, (f"`pointsman env {name}`.", client.note, where))),
        ]
        blocks.append("\n\n".join([*parts, f"```{client.form}\n{settings}```"]))
        anchor = re.sub(r"[^\w\- ]", "", client.title.lower()).replace(" ", "-")
        link = f"[{client.title}](#{anchor})"
        of.setdefault(client.surface, []).append(f"**{link}**" if client.tested else link)
    table = "".join(f"| `{api}` | {', '.join(links)} |\n" for api, links in sorted(of.items()))
    return _HEAD + table + "\n" + "\n\n".join(blocks) + "\n"
