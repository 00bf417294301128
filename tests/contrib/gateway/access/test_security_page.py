"""docs/security.md says what holds: its example loads, its tables are complete, its numbers are the code's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel
from ruamel import yaml

from pointsman import Config
from pointsman_gateway import access
from pointsman_gateway.access import claims, key_sets, sessions
from pointsman_gateway.access.settings import (
    ALGORITHMS,
    AccessSettings,
    AnonymousSettings,
    CallerLimits,
    CertificateSettings,
    JwtSettings,
    KeySettings,
    SignatureSettings,
)
from pointsman_gateway.listening import protocol
from pointsman_gateway.reading import gateway_settings
from pointsman_gateway.settings import GatewaySettings, TlsSettings

PAGE = (Path(__file__).resolve().parents[4] / "docs" / "security.md").read_text("utf-8")


def test_its_example_is_a_configuration(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert example is not None
    file = tmp_path / "pointsman.yaml"
    file.write_text(example[1])

    config = Config.load(file, environ={"CI_KEY": "c" * 32, "MY_KEY": "m" * 32})
    settings = gateway_settings(config)

    assert settings.access is not None
    assert [each.name for each in settings.access.keys] == ["ci", "me"]


def test_its_program_keeps_its_secret(capsys: pytest.CaptureFixture[str]) -> None:
    programs = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    (example,) = (each for each in programs if "pickle" in each)

    exec(compile(example, "security.md", "exec"), {})

    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "***"
    assert printed[1].startswith("a configuration holds secrets and is not pickled")


def test_its_links_lead_somewhere() -> None:
    heads = {
        re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-")
        for each in re.findall(r"^#+ (.*)$", PAGE, re.M)
    }

    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) - heads == set()


def test_what_it_shows_of_tls_is_a_configuration() -> None:
    section = PAGE.partition("## TLS, and certificates of callers\n")[2]
    example = re.search(r"```yaml\n(.*?)```", section, flags=re.DOTALL)
    assert example is not None
    said = yaml.YAML(typ="safe").load(
        example[1].replace(
            "0f5e8c61b7d2943a6e1f00c48d5b7a92e36cf8154b09d7a1c2e5f6478390abcd", "0F:" * 31 + "5E"
        )
    )

    settings = GatewaySettings.model_validate(said["gateway"])

    assert settings.access is not None
    assert settings.access.certificates[1].fingerprint == "0f" * 31 + "5e"


@pytest.mark.parametrize(
    "model",
    [
        AccessSettings,
        AnonymousSettings,
        CallerLimits,
        CertificateSettings,
        JwtSettings,
        KeySettings,
        SignatureSettings,
        TlsSettings,
    ],
)
def test_every_setting_is_in_its_tables(model: type[BaseModel]) -> None:
    assert [name for name in model.model_fields if f"`{name}`" not in PAGE] == []


def test_every_refusal_is_in_its_table_and_no_other() -> None:
    folder = Path(str(access.__file__)).parent
    source = "".join(
        each.read_text("utf-8") for each in (*folder.glob("*.py"), *(folder.parent / "calls").glob("*.py"))
    )
    raised = set(re.findall(r'denied\(\s*"\w+",\s*"(\w+)"', source)) | set(
        re.findall(r'problem_in\(\s*"\w+",\s*"\w+",\s*"(\w+)"', source)
    )
    rows = re.findall(r"^\| (?:\d+|exit 2) \| ([^|]*) \|", PAGE, flags=re.MULTILINE)

    told = {code for row in rows for code in re.findall(r"`(\w+)`", row)}

    assert told == raised


def test_its_numbers_are_those_of_the_code() -> None:
    for said in (
        f"{protocol.FIELDS} fields and {protocol.HEAD_BYTES // 1024} KiB, complete within {protocol.HEAD_WITHIN:.0f} s",
        f"a leeway of {claims.LEEWAY:.0f} s",
        f"after {sessions.LASTS / 3600:.0f} hours",
        " ".join(ALGORITHMS[:10]),
    ):
        assert said in PAGE.replace("\n", " "), said
    assert (sessions.IDLE, key_sets.REFETCH, key_sets.STALE) == (3_600, 60, 86_400)
