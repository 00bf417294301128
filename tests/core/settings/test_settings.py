"""Every documented setting does what its description says, and there is a proof of each in the table."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from documented import documented
from proving import PROOFS, Setting

for each in sorted(Path(__file__).parent.glob("proofs_of_*.py")):
    import_module(each.stem)  # which enters its proofs into the table

NOT_YET: set[str] = {
    "models.<name>.deployments[].options",
    "provider:claude.api_version",
    "provider:claude.beta",
    "provider:claude.default_max_tokens",
    "provider:claude.workspace",
    "provider:claude.late_system",
    "provider:claude.stream_underneath",
    "options:claude.api_version",
    "options:claude.beta",
    "options:claude.late_system",
    "provider:localai.strict_tools",
    "provider:localai.include_usage",
    "provider:localai.unsupported",
    "provider:localai.stream_underneath",
    "options:localai.strict_tools",
    "options:localai.include_usage",
    "options:localai.unsupported",
    "provider:ollama.keep_alive",
    "provider:ollama.options",
    "provider:ollama.think",
    "provider:ollama.stream_underneath",
    "provider:openai.max_tokens_field",
    "provider:openai.system_role",
    "provider:openai.include_usage",
    "provider:openai.extra_sampling",
    "provider:openai.repeat_penalty_field",
    "provider:openai.reasoning_field",
    "provider:openai.unsupported",
    "provider:openai.organization",
    "provider:openai.project",
    "provider:openai.key_header",
    "provider:openai.stream_underneath",
    "options:openai.max_tokens_field",
    "options:openai.system_role",
    "options:openai.include_usage",
    "options:openai.extra_sampling",
    "options:openai.repeat_penalty_field",
    "options:openai.reasoning_field",
    "options:openai.unsupported",
    "strategy:affinity.by",
    "strategy:affinity.metadata",
    "strategy:affinity.messages",
    "strategy:affinity.max_load",
    "strategy:affinity.key",
    "strategy:cheapest.output_tokens",
    "strategy:cheapest.tolerance",
    "strategy:peak_ewma.decay",
    "strategy:peak_ewma.failure_at_least",
    "strategy:peak_ewma.overload_cap",
    "strategy:warm.parallel",
    "strategy:warm.load_time",
    "strategy:warm.service_time",
    "strategy:warm.hysteresis",
    "strategy:warm.memory",
    "strategy:warm.stale_after",
}
"""Settings whose proof is still to be written. This set only shrinks."""


def test_every_documented_setting_has_a_proof_or_is_known_to_lack_one() -> None:
    assert [key for key in documented() if key not in PROOFS and key not in NOT_YET] == []


def test_what_is_known_to_lack_a_proof_is_documented_and_lacks_it() -> None:
    known = documented()
    assert [key for key in NOT_YET if key in PROOFS or key not in known] == []


def test_no_proof_is_of_a_setting_that_is_gone() -> None:
    assert PROOFS.keys() <= set(documented())


@pytest.mark.parametrize("key", PROOFS)
def test_a_setting_does_what_its_description_says(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    PROOFS[key](Setting(key, tmp_path, monkeypatch))
