"""LiteLLM's `config.yaml`, as a dialect."""

from __future__ import annotations

from pointsman.plugin import DialectContext, DialectFactory, ForeignDocument, NativeDocument
from pointsman_dialects.litellm.attempts import put_attempts
from pointsman_dialects.litellm.document import Translation, mapping
from pointsman_dialects.litellm.fallbacks import put_fallbacks
from pointsman_dialects.litellm.model_list import put_models
from pointsman_dialects.litellm.settings import SECTIONS, put_settings
from pointsman_dialects.litellm.values import variables_in

_READ = ("model_list", "credential_list", "environment_variables", *SECTIONS)


class LiteLlm:
    """The configuration of LiteLLM's proxy, or of its Router.

    What has no counterpart here is a warning at its line; nothing is left out silently.
    """

    def __init__(self, _context: DialectContext) -> None:
        pass

    def matches(self, document: ForeignDocument) -> bool:
        """It has a `model_list`, and nothing of ours."""
        data = document.data
        return "model_list" in data and not {"providers", "models", "ai_services"} & set(data)

    def read(self, document: ForeignDocument) -> NativeDocument:
        """Each entry of `model_list` as a deployment; then what holds for all."""
        to = Translation(document.data)
        put_models(to)
        put_settings(to)
        put_fallbacks(to)
        put_attempts(to)
        for key, value in document.data.items():
            if key not in _READ:
                to.leave_out((key,), value)
        used = variables_in(document.data)
        for name, value in mapping(document.data.get("environment_variables")).items():
            if name not in used:
                hint = "set it where the program is started"
                to.leave_out(("environment_variables", name), value, "is set for nobody here", hint)
        return to.native


LITELLM = DialectFactory("litellm", None, LiteLlm)

__all__ = ["LITELLM", "LiteLlm"]
