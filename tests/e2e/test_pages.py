"""Every documented example runs as printed.

Programs run here, all of a page in one process and against the same simulated upstreams; configurations pass `config check`. What
another test runs stands in `ELSEWHERE`, with how many blocks of the page that are, so that a block which nobody runs is noticed.
"""

from __future__ import annotations

import asyncio
import gc
import re
import runpy
import warnings
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from gateways import gateway_for
from pages import ROOT, Block, Example, blocks, blocks_of, example, is_signature, pages, python_examples
from ruamel.yaml import YAML

from pointsman_cli.app import run
from pointsman_simulator import Simulator


class Elsewhere(NamedTuple):
    """Blocks of a page that are not run here: so many, all that have these words in them.

    `by` is the test that runs them, or the reason why none does.
    """

    page: str
    language: str
    number: int
    by: str
    having: str = ""


_PLUGIN_PAGES = "tests/core/testing/test_testing_docs.py::test_the_configuration_of_a_page_is_a_sound_one"
_PRESETS = "tests/core/build/test_presets.py::test_a_preset_brings_address_credential_settings_and_models"
_WHEELS = "tests/packaging/test_plugin_wheels.py::test_what_the_pages_have_one_write_is_a_configuration"
_TUTORIAL = "tests/packaging/test_tutorial.py::test_the_tutorial_shows_what_one_sees_who_follows_it"
_QUICKSTART = "tests/contrib/cli/test_cli_quickstart.py::test_the_page_does_what_it_shows"
_OPERATIONS = "tests/contrib/cli/test_cli_operations_page.py::test_the_example_does_what_the_page_shows"
_CONFIGURATION = "tests/core/config/test_config.py::test_the_examples_of_the_page_are_what_they_say"
_DIALECTS = "tests/contrib/dialects/test_page.py::test_the_files_of_the_page_become_what_it_shows"
_CONVERTED = "tests/contrib/cli/test_cli_convert.py::test_a_file_that_is_there_is_written_over_only_by_force"
_VERIFIER = (
    "tests/core/audit_log/test_verify.py::test_whatever_is_done_to_a_log_is_found_with_its_first_number"
)
_KEYS_OF_CALLERS = "tests/contrib/callers/test_keys_page.py::test_every_setting_member_and_command_is_there"
_FRAMEWORKS = "tests/e2e/test_frameworks_page.py::test_each_program_of_the_page_is_run_here"
_RECIPES = "tests/e2e/test_recipes_page.py::test_a_recipe_runs_as_it_stands"
_TYPED = (
    "tests/e2e/test_pages_of_values.py::test_the_program_about_structured_output_prints_values_of_its_type"
)
_TESTING = "tests/e2e/test_testing_page.py::test_the_tests_of_the_page_pass"
_SIMULATED = "tests/e2e/test_testing_page.py::test_the_command_of_the_page_starts_what_it_says"
_CLIENTS = "tests/contrib/gateway/test_env.py::test_what_is_printed_can_be_read_by_whoever_it_is_for"
_KEYS = "tests/contrib/keystore/test_keys_page.py::test_each_command_of_the_page_prints_what_stands_below_it"
_COMMANDS = "tests/contrib/cli/test_cli_manual.py::test_the_command_takes_the_line"
_FORECAST = (
    "tests/contrib/forecast/test_forecast_page.py::test_the_example_prints_and_draws_what_the_page_shows"
)
_CASES = "tests/contrib/cli/test_cli_trying_page.py::test_the_cases_of_the_page_are_as_it_says"
_EXPLAINED = "tests/contrib/cli/test_cli_trying_page.py::test_a_call_goes_where_the_page_says"
_BACKWARDS = "tests/core/plugins/test_hookspecs.py::test_the_provider_without_http_of_the_example_answers_in_whole_and_in_a_stream"

ELSEWHERE = (
    Elsewhere(
        "README.md", "console", 1, "tests/e2e/test_readme_gateway.py::test_a_curl_line_is_answered", "curl "
    ),
    Elsewhere(
        "README.md", "console", 1, "it builds and installs all packages, as tests/packaging do", "uv build"
    ),
    Elsewhere("README.md", "console", 1, "these are the demo and these tests", "uv run pytest"),
    Elsewhere(
        "README.md",
        "console",
        1,
        "tests/packaging/test_scaffold.py::test_its_own_tests_pass_as_they_are_written",
        "plugins new",
    ),
    Elsewhere(
        "docs/audit.md", "console", 1, "an example; tests/contrib/audit/test_audit_command.py", "evidence"
    ),
    Elsewhere("docs/cli.md", "sh", 59, _COMMANDS),
    Elsewhere("docs/clients.md", "python", 4, _CLIENTS),
    Elsewhere("docs/clients.md", "yaml", 3, _CLIENTS),
    Elsewhere("docs/clients.md", "sh", 8, _CLIENTS),
    Elsewhere("docs/configuration.md", "yaml", 1, _CONFIGURATION, "stratgey"),
    Elsewhere(
        "docs/configuration.md", "yaml", 1, "it pins distributions that are not installed", "plugins: {allow"
    ),
    Elsewhere("docs/console.md", "console", 1, "they serve until they are ended; see test_console_shown"),
    Elsewhere(
        "contrib/console/README.md", "console", 1, "they serve until they are ended; see test_console_shown"
    ),
    Elsewhere("docs/dialects.md", "console", 1, _CONVERTED),
    Elsewhere("docs/audit.md", "python", 1, _VERIFIER),
    Elsewhere("docs/keys.md", "console", 1, _KEYS),
    Elsewhere("docs/keys.md", "sh", 2, _KEYS_OF_CALLERS),
    Elsewhere("docs/security.md", "sh", 1, "two lines for openssl", "openssl"),
    Elsewhere("docs/dialects.md", "yaml", 3, _DIALECTS),
    Elsewhere("docs/forecast.md", "yaml", 1, _FORECAST, "traffic:"),
    Elsewhere("docs/forecast.md", "console", 1, _FORECAST, "--traffic"),
    Elsewhere(
        "docs/forecast.md", "console", 1, "an example; see tests/contrib/forecast/test_fitted.py", "--from"
    ),
    Elsewhere("docs/trying.md", "yaml", 1, _CASES, "cases:"),
    Elsewhere("docs/trying.md", "console", 1, _CASES, "--test"),
    Elsewhere("docs/trying.md", "console", 1, _EXPLAINED, "--require"),
    Elsewhere(
        "docs/trying.md",
        "console",
        1,
        "an example; tests/contrib/forecast/test_replayed.py prints the like",
        "--replay",
    ),
    Elsewhere("docs/spending.md", "sh", 1, "tests/contrib/callers/test_spending.py::test_it_is_drawn"),
    Elsewhere("contrib/database/README.md", "console", 1, "a line for pip", "pip install"),
    Elsewhere(
        "contrib/database/README.md",
        "console",
        1,
        "tests/contrib/callers/test_spending.py::test_db_status_and_migrate_bring_the_tables_there",
        "pointsman db",
    ),
    Elsewhere("contrib/forecast/README.md", "console", 1, "an example; docs/forecast.md has one that is run"),
    Elsewhere("docs/gateway.md", "console", 1, "they serve until they are ended; see test_gateway_process"),
    Elsewhere("docs/observability.md", "console", 1, "it prints a path of this machine"),
    Elsewhere("docs/operations.md", "python", 1, _OPERATIONS),
    Elsewhere("docs/operations.md", "console", 3, _OPERATIONS),
    Elsewhere(
        "docs/operations.md",
        "sh",
        1,
        "tests/contrib/gateway/operator/test_operations_page.py::test_operators_are_told_and_obeyed",
    ),
    Elsewhere("docs/performance.md", "console", 2, "benchmarks, which take minutes"),
    Elsewhere("docs/frameworks.md", "python", 7, _FRAMEWORKS),
    Elsewhere("docs/frameworks.md", "console", 1, "what makes the program is not installed here"),
    Elsewhere(
        "docs/migrating-from-litellm.md", "yaml", 3, "LiteLLM's; see benchmarks/migrating", "model_list"
    ),
    Elsewhere("docs/recipes.md", "python", 13, _RECIPES),
    Elsewhere("docs/structured-output.md", "python", 1, _TYPED, "class Person"),
    Elsewhere("docs/testing.md", "python", 3, _TESTING),
    Elsewhere("docs/testing.md", "console", 1, _SIMULATED),
    Elsewhere("docs/quickstart.md", "console", 7, _QUICKSTART),
    Elsewhere("docs/quickstart.md", "python", 1, _QUICKSTART),
    Elsewhere("contrib/aiohttp/README.md", "console", 1, "it installs what is installed here"),
    Elsewhere(
        "contrib/gateway/README.md", "console", 1, "they serve until they are ended; see test_gateway_process"
    ),
    Elsewhere("contrib/h1/README.md", "console", 1, "it installs what is installed here"),
    Elsewhere(
        "contrib/simulator/README.md",
        "python",
        1,
        "tests/contrib/simulator/test_simulator_process.py::test_the_example_of_the_readme_runs",
    ),
    # Packages that pages show file by file, with their configurations and what one types.
    Elsewhere(
        "docs/plugins/command.md",
        "console",
        1,
        "tests/core/testing/test_testing_docs.py::test_the_tests_of_the_packages_on_the_pages_pass",
    ),
    Elsewhere("docs/plugins/control.md", "yaml", 1, _WHEELS),
    Elsewhere("docs/plugins/data.md", "yaml", 2, _WHEELS),
    *(
        Elsewhere(f"docs/plugins/{page}.md", "yaml", 1, _PLUGIN_PAGES)
        for page in (
            "discovery",
            "guard",
            "openai-compatible",
            "prices",
            "section",
            "selector",
            "state",
            "strategy",
            "surface",
        )
    ),
    Elsewhere("docs/plugins/provider.md", "python", 1, _BACKWARDS),
    Elsewhere("docs/plugins/provider.md", "yaml", 1, _PLUGIN_PAGES, "providers:"),
    Elsewhere("docs/plugins/provider.md", "yaml", 1, _PRESETS, "like:"),
    Elsewhere("docs/plugins/surface.md", "console", 1, "its contract asks the same of it"),
    Elsewhere(
        "docs/plugins/testing.md",
        "python",
        1,
        "tests/core/testing/test_testing_page.py::test_the_real_upstream_of_the_page_is_recorded_and_replayed",
        "LiveContract",
    ),
    Elsewhere(
        "docs/plugins/testing.md",
        "python",
        1,
        "tests/core/testing/test_canaries.py::test_the_test_of_the_page_passes",
        "pointsman_canary",
    ),
    Elsewhere(
        "docs/plugins/testing.md",
        "console",
        1,
        "tests/core/testing/test_testing_page.py::test_the_provider_of_the_pages_passes_its_check_with_its_tests",
    ),
    Elsewhere("docs/plugins/tutorial.md", "console", 12, _TUTORIAL),
    Elsewhere("docs/plugins/tutorial.md", "python", 2, _TUTORIAL),
    Elsewhere("docs/plugins/tutorial.md", "yaml", 1, _TUTORIAL),
)

DEFAULT = """
providers:
  gpu: {type: ollama, base_url: "http://127.0.0.1:11434", labels: {local: true}}
  gpu1: {type: ollama, base_url: "http://127.0.0.1:11434"}
  gpu2: {type: ollama, base_url: "http://127.0.0.1:11435"}
  openai: {type: openai, api_key: k}
  claude: {type: claude, api_key: k}
  box: {type: localai, base_url: "http://127.0.0.1:8080"}
models:
  assistant: {deployments: [gpu/llama3.2], fallback: [cloud]}
  cloud: {deployments: [openai/gpt-5-mini]}
  vectors: {deployments: [gpu/nomic-embed-text]}
"""
"""What a page that shows no configuration is run on, and what parts of configurations are put into."""

SURFACES = {"surfaces": {"openai": {"responses": {"path": "responses.db"}}, "anthropic": {}, "ollama": {}}}
"""What the gateway of the pages speaks."""
GATEWAY = "http://127.0.0.1:4000"
SAMPLES = {".png": b"\x89PNG\r\n\x1a\n" + bytes(40), ".pdf": b"%PDF-1.4\n", ".wav": b"RIFF" + bytes(40)}
"""What is in the files that examples read, by what their names end in."""

_yaml = YAML(typ="safe")


# ── which blocks are run here ────────────────────────────────────────────────────────────────────────


def is_elsewhere(block: Block) -> bool:
    """Whether another test runs a block, or a reason says why none does."""
    if _is_of_a_package(block):
        return True
    return any(
        (each.page, each.language) == (block.page, block.language) and each.having in block.text
        for each in ELSEWHERE
    )


def _is_of_a_package(block: Block) -> bool:
    """Whether it is a file of a package that a page shows, which is installed and tested as a whole."""
    return block.page.startswith("docs/plugins/") and bool(block.file) and block.language != "yaml"


PROGRAMS: dict[str, list[Example]] = {}
for _each in python_examples():
    if not is_elsewhere(_each.block):
        PROGRAMS.setdefault(_each.page, []).append(_each)
CONFIGURATIONS = [each for each in blocks("yaml") if not is_elsewhere(each)]


# ── programs ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("page", PROGRAMS)
async def test_the_programs_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    async with AsyncExitStack() as stack:
        simulator = await stack.enter_async_context(Simulator(seed=1))
        for program in PROGRAMS[page]:
            source = program.source
            set_variables(configuration_for(program.block), monkeypatch)
            document = await simulated(_yaml.load(configuration_for(program.block)), page, simulator)
            if GATEWAY in source:
                upstream = simulator.upstreams.get("behind") or await simulator.add("localai", name="behind")
                gateway = await stack.enter_async_context(gateway_for(upstream, settings=SURFACES))
                source = source.replace(GATEWAY, gateway.url)
            try:
                await asyncio.to_thread(play, source, document, of_others=GATEWAY in program.source)
            except Exception as error:
                error.add_note(f"in the example of {program.block.where}")
                raise
            said = capfd.readouterr().out
            assert said or "print(" not in program.block.text or "def " in program.block.text, (
                program.block.where
            )
            if shown := prints(program.block):
                assert matches(shown, said), f"{program.block.where} prints {said!r}"


def play(source: str, configuration: Mapping[str, Any], *, of_others: bool) -> None:
    """Run a program in the working directory, where its configuration and the files that it reads are.

    Connections `of_others`, clients that nobody closes, end with their process.
    """
    write("pointsman.yaml", configuration)
    have_samples(source)
    Path("example.py").write_text(source, "utf-8")
    with warnings.catch_warnings():
        if of_others:
            warnings.simplefilter("ignore", ResourceWarning)
        runpy.run_path("example.py", run_name="__main__")
        gc.collect()


def write(name: str, document: Mapping[str, Any]) -> None:
    with Path(name).open("w") as file:
        YAML().dump(document, file)


def set_variables(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that a configuration names."""
    for name in re.findall(r"(?:\$\{|type: env, name: )(\w+)", text):
        value = "redis://127.0.0.1:6379/0" if name.endswith("URL") else f"the-value-of-{name}-at-some-length"
        monkeypatch.setenv(name, value)


def have_samples(text: str) -> None:
    """Make the files that are named in a text, where their endings say what they are."""
    for name, suffix in re.findall(r"([\w-]+(\.\w+))", text):
        if suffix in SAMPLES:
            Path(name).write_bytes(SAMPLES[suffix])
        elif suffix == ".pem":
            certificate = re.search(r"\b(?:ca|client|gateway)\.pem$", name)
            Path(name).write_bytes((certified() if certificate else private_key())[0])


@cache
def private_key() -> tuple[bytes, ed25519.Ed25519PrivateKey]:
    key = ed25519.Ed25519PrivateKey.generate()
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain), key


@cache
def certified() -> tuple[bytes, x509.Certificate]:
    """A certificate of that key, which it has signed itself."""
    key, name = private_key()[1], x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sample")])
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, begins, begins + timedelta(days=36_500))
    signed = made.sign(key, None)
    return signed.public_bytes(serialization.Encoding.PEM), signed


def configuration_for(block: Block) -> str:
    """The configuration that an example runs on: the last that its page shows before, else the first after."""
    shown = [each for each in blocks("yaml") if each.page == block.page and each.file == "pointsman.yaml"]
    before = [each for each in shown if each.line < block.line]
    found = before[-1:] or shown[:1]
    return found[0].text if found else DEFAULT


async def simulated(document: dict[str, Any], page: str, simulator: Simulator) -> dict[str, Any]:
    """The same configuration with each provider at a simulated upstream that has all models the page asks it for."""
    text = repr(document.get("models")) + pages()[page].replace('"', "'")
    for name, provider in document["providers"].items():
        models = re.findall(rf"'{re.escape(name)}/([^']+)'", text)
        models += re.findall(rf"'provider': '{re.escape(name)}', 'model': '([^']+)'", text)
        upstream = simulator.upstreams.get(name) or await simulator.add(
            provider["type"], name=name, models=dict.fromkeys([*models, "llama3.2"]), lenient=True
        )
        provider["base_url"] = upstream.base_url
        if provider["type"] in ("openai", "claude"):
            provider.pop("auth", None)
            provider["api_key"] = "k"
    return document


def prints(block: Block) -> str:
    """What a page says that an example prints: the block of text right below it."""
    following = next((each for each in blocks() if each.page == block.page and each.line > block.line), None)
    return (
        following.text if following is not None and following.below and following.language == "text" else ""
    )


def matches(shown: str, said: str) -> bool:
    """Whether the lines that are shown stand in what was said, in their order; `…` stands for anything."""
    lines = iter(said.splitlines())
    patterns = [line.replace("[", "[[]").replace("…", "*") for line in shown.splitlines()]
    return all(any(fnmatchcase(line, pattern) for line in lines) for pattern in patterns)


# ── configurations ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: block.where)
def test_a_configuration_passes_its_check(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    set_variables(block.text, monkeypatch)
    text = block.text.replace("/run/secrets/", "")
    have_samples(text)
    if block.file:
        Path("pointsman.yaml").write_text(text, "utf-8")
    else:
        write("pointsman.yaml", within(_yaml.load(text)))

    with CliRunner().isolation() as (_out, err, _both):
        code = run(["config", "check"])

    assert code == 0, err.getvalue().decode()
    assert "warning" not in err.getvalue().decode()


def within(part: Mapping[str, Any]) -> dict[str, Any]:
    """A part of a configuration, put into a whole one."""
    return {**_yaml.load(DEFAULT), **part}


# ── nothing is left out ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("told", ELSEWHERE, ids=lambda told: f"{told.page} {told.language} {told.having}")
def test_as_many_blocks_are_run_elsewhere_as_are_told(told: Elsewhere) -> None:
    of_the_page = [
        each for each in blocks(told.language) if each.page == told.page and told.having in each.text
    ]

    assert (
        len([each for each in of_the_page if not is_signature(each) and not _is_of_a_package(each)])
        == told.number
    )


def test_what_one_types_is_run_by_a_test_that_is_named() -> None:
    typed = [each for each in blocks() if each.language in ("console", "sh", "bash")]

    assert [each.where for each in typed if not is_elsewhere(each)] == []


@pytest.mark.parametrize("by", sorted({each.by for each in ELSEWHERE if each.by.startswith("tests/")}))
def test_what_runs_a_block_elsewhere_is_there(by: str) -> None:
    file, _, name = by.partition("::")

    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)


# ── how pages are taken apart ────────────────────────────────────────────────────────────────────────


TEXT = """# A page

Words.

```yaml
providers:
  gpu: {type: ollama}
```

## Below it

**`src/it.py`**, which does it:

```python
async def told() -> None: ...
```

- in a list:

  ```python
  # a comment, no heading
  print(await router.chat("assistant", "hello"))
  ```
"""


def test_a_block_is_found_with_its_language_line_heading_and_the_file_it_stands_for() -> None:
    found = list(blocks_of("page.md", TEXT))

    assert [(each.language, each.line, each.heading, each.file) for each in found] == [
        ("yaml", 6, "A page", "pointsman.yaml"),
        ("python", 15, "Below it", "src/it.py"),
        ("python", 21, "Below it", ""),
    ]
    assert found[2].text.startswith("# a comment, no heading\nprint(")


def test_a_fragment_becomes_a_program_whose_lines_are_those_of_the_page() -> None:
    *_, fragment = blocks_of("page.md", TEXT)

    program = example(fragment)

    compile(program.source, "page", "exec")
    assert program.fragment
    at = next(n for n, line in enumerate(program.source.splitlines()) if "print(" in line)
    assert program.line + at == 22


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("router.listen(print)\n", True),
        ("await router.close()\n", True),
        ("def told(router: Router) -> None:\n    router.close()\n", False),
        ("with SyncRouter.from_config('p.yaml') as router:\n    router.chat('m', 'hi')\n", False),
    ],
)
def test_what_speaks_of_a_router_that_it_does_not_make_is_a_fragment(text: str, fragment: bool) -> None:
    assert example(Block("page.md", 1, "python", text, "", "", below=False)).fragment == fragment


def test_every_page_is_looked_at() -> None:
    assert {"README.md", "docs/calling.md", "docs/plugins/provider.md", "plugins/ollama/README.md"} <= set(
        pages()
    )
    assert {each.page for each in python_examples()} >= {
        "README.md",
        "docs/calling.md",
        "docs/plugins/provider.md",
    }
    assert len(blocks("yaml")) > 30
