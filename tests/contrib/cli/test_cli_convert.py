"""`pointsman config convert`: other programs' files as commented ones of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman import Config
from pointsman.config.difference import differences
from pointsman.config.readers.files import parse
from pointsman_cli.converted_config import converted
from pointsman_cli.written_config import written

FILES = Path(__file__).parents[1] / "dialects" / "files"
FOUND = Path(__file__).parents[4] / "shared" / "dialects" / "litellm"
OTHERS = [
    each for each in sorted(FILES.glob("*.yaml")) if "native" not in each.name and "proxy" not in each.name
]
OTHERS += sorted(FOUND.glob("*.yaml"))
MET = """\
model_list:
  - model_name: assistant
    litellm_params:
      model: openai/gpt-4.1-mini
      api_key: sk-of-somebody
      weight: 1
  - model_name: assistant
    litellm_params: {model: openai/gpt-4.1-mini, api_key: os.environ/OPENAI_API_KEY, weight: 3}
router_settings:
  num_retries: 2
  retry_after: 5
general_settings: {master_key: sk-of-the-gateway-1}
"""
OURS = """\
# Made from config.yaml, a file of the dialect litellm; the lines are those of that file.
# Set before it runs: OPENAI_API_KEY_2, GATEWAY_KEY
# Check it:  pointsman config check

providers:
  openai:  # line 4
    type: openai
    api_key: "${OPENAI_API_KEY_2}"  # line 5: the credential that stands there is not copied
  openai-2: {type: openai, api_key: "${OPENAI_API_KEY}"}  # line 8

models:
  assistant:  # line 4
    deployments:
      - {provider: openai, model: gpt-4.1-mini, weight: 1}
      - {provider: openai-2, model: gpt-4.1-mini, weight: 3}  # line 8

retry: {type: exponential, attempts: 3}  # line 10

gateway:  # line 12
  access:
    keys:
      - name: master
        key: "${GATEWAY_KEY}"  # line 12: the credential that stands there is not copied
        operator: true
    loopback: false

strategy: weighted  # line 2

# Without counterpart here, or not quite the same:
# - line 11: router_settings.retry_after: has no counterpart here; waits are cut at random (full jitter), and what an upstream asks for goes first
"""


@pytest.fixture
def met(workdir: Path) -> Path:
    (workdir / "config.yaml").write_text(MET)
    return workdir / "config.yaml"


def test_what_is_written_says_where_each_part_comes_from_and_copies_no_credential(cli, met: Path) -> None:
    ran = cli("config", "convert", "config.yaml")

    assert ran.code == 0
    assert ran.out == OURS
    assert ran.err == (
        "set OPENAI_API_KEY_2 before it runs: providers.openai.api_key was a credential, which is not copied\n"
        "set GATEWAY_KEY before it runs: gateway.access.keys[0].key was a credential, which is not copied\n"
        "1 thing without counterpart, or not quite the same; see the end\n"
    )


def test_a_file_that_is_there_is_written_over_only_by_force(
    cli, met: Path, workdir: Path, monkeypatch
) -> None:
    first = cli("config", "convert", "config.yaml", "-o", "new.yaml")
    again = cli("config", "convert", "config.yaml", "-o", "new.yaml")
    forced = cli("config", "convert", "config.yaml", "-o", "new.yaml", "--force", "--json")
    for name in ("OPENAI_API_KEY", "OPENAI_API_KEY_2", "GATEWAY_KEY"):
        monkeypatch.setenv(name, "sk-of-some-length")
    checked = cli("config", "check", "new.yaml")

    assert (first.code, first.out) == (0, "wrote new.yaml\n")
    assert again.code == 2
    assert "new.yaml exists already" in again.err
    assert forced.json["file"] == "new.yaml"
    assert checked.out == "ok: 2 providers, 1 model\n"


def test_as_json_it_is_the_configuration_and_what_has_no_counterpart(cli, met: Path) -> None:
    data = cli("config", "convert", "config.yaml", "--json").json

    assert data["dialect"] == "litellm"
    assert data["native"]["retry"] == {"type": "exponential", "attempts": 3}
    assert data["variables"]["GATEWAY_KEY"] == "gateway.access.keys[0].key"
    assert len(data["warnings"]) == 1
    assert "sk-of" not in json.dumps(data)


def test_files_of_ours_and_of_nobody_are_refused(cli, gpu, workdir: Path) -> None:
    (workdir / "list.json").write_text("[]")

    for name, said in (("pointsman.yaml", "is in no dialect that is known here"), ("list.json", "holds no")):
        ran = cli("config", "convert", name)
        assert (ran.code, ran.out) == (2, "")
        assert said in ran.err
    assert cli("config", "convert", "pointsman.yaml", "-o", "x.toml").code == 2


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_files_in_other_formats_are_converted_too(cli, workdir: Path, suffix: str) -> None:
    toml = '[ai_services.ollama]\nmodel = "x"\n'
    text = toml if suffix == ".toml" else '{"ai_services": {"ollama": {"model": "x"}}}'
    (workdir / f"old{suffix}").write_text(text)

    ran = cli("config", "convert", f"old{suffix}")

    assert "models:\n  x: {deployments: [{provider: ollama, model: x}]}" in ran.out


def test_of_several_files_it_is_said_which_each_part_comes_from(cli, workdir: Path) -> None:
    folder = workdir / "old"
    folder.mkdir()
    (folder / "proxy.yaml").write_text("ai: {proxy: {python_addr: x, max_retries: 1}}\n")
    (folder / "services.yaml").write_text("\nai_services: {ollama: {model: x}}\n")

    ran = cli("config", "convert", "old")

    assert "ollama: {type: ollama}  # services.yaml line 2\n" in ran.out
    assert "retry: {type: exponential, attempts: 2}  # proxy.yaml line 1\n" in ran.out
    assert "# - proxy.yaml line 1: ai.proxy.python_addr: has no counterpart here" in ran.out


HIDDEN = """\
model_list:
  - model_name: a
    litellm_params:
      model: azure/gpt-4
      api_key: ${AZURE:-tiger-1}
      api_base: https://me:tiger-2@a.example/v1?code=tiger-3
      extra_headers: {X-Key: "${X:-tiger-4}"}
      extra_body: {auth_token: tiger-5, user: me}
"""


def test_no_credential_is_copied_wherever_it_stands(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(HIDDEN)

    made = converted(tmp_path / "config.yaml")

    assert "tiger" not in made.text
    assert "user: me" in made.text
    assert len(made.variables) == 4


class _Environment(dict[str, str]):
    """Has every variable: its own name, as what it is asked for could be."""

    def __missing__(self, name: str) -> str:
        plain = {"REDIS_PORT": "6379", "REDIS_HOST": "redis", "REDIS_PASSWORD": "secret"}
        return plain.get(name, f"http://{name.lower().replace('_', '-')}.test/v1")

    def get(self, name: str, default: Any = None) -> Any:
        return self[name]

    def __contains__(self, name: object) -> bool:
        return True


@pytest.mark.parametrize("file", OTHERS, ids=lambda each: each.name)
def test_what_is_written_is_what_was_read_but_for_credentials(file: Path) -> None:
    made = converted(file)
    direct, environ = Config.load(file, environ=_Environment()), _Environment()
    for name, path in made.variables.items():
        environ[name] = secret_at(direct, path)

    again = Config.from_text(made.text, environ=environ)

    assert differences(direct, again) == ()
    assert again == direct
    assert again.sections == direct.sections
    assert again.warnings == ()


def secret_at(config: Config, path: str) -> str:
    """The credential at such a path of a configuration."""
    match path.split("."):
        case ["providers", name, "api_key"]:
            key = config.providers[name].api_key
            assert key is not None
            return key.reveal()
        case ["gateway", "access", "keys[0]", "key"]:
            return str(config.sections["gateway"]["access"]["keys"][0]["key"])
    raise AssertionError(path)


KEYS = st.text(min_size=1, max_size=6) | st.sampled_from(["true", "a b", "1", "gpt-4", "x/*", "null", "30s"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.booleans())
def test_whatever_is_written_is_read_as_what_it_was(data: dict[str, Any], commented: bool) -> None:
    notes = {(key,): "said of it" for key in data} if commented else {}

    text = written(data, comments=notes, notes=notes)

    assert (parse(text, suffix=".yaml").data or {}) == data


def test_the_name_of_a_file_adds_no_line_to_what_it_becomes(tmp_path: Path) -> None:
    file = tmp_path / "a\nproviders: x.yaml"
    file.write_text(MET)

    assert converted(file).text.splitlines()[0].startswith("# Made from a\\nproviders: x.yaml, a file")
