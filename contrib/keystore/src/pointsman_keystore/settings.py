"""What a configuration says of keystores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pointsman.plugin import Secret

Word = Annotated[str, Field(min_length=1, max_length=200)]
DEFAULT_FILE = "pointsman.keystore"
PASSPHRASE = "POINTSMAN_KEYSTORE_PASSPHRASE"  # noqa: S105 - the name of a variable


class KeyringPlace(BaseModel):
    """Where the keyring of the operating system has something."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    service: Word = Field(default="pointsman", description="the service it is kept under")
    user: Word = Field(default="keystore", description="the user it is kept under")


class StoreSettings(BaseModel):
    """`keystore: {path: ./pointsman.keystore, key_file: …}`: where credentials are kept."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    path: Path | None = Field(
        default=None, description=f"the file, relative to the configuration; without it `{DEFAULT_FILE}`"
    )
    passphrase: Secret | None = Field(
        default=None, description=f"what opens it, as `${{VARIABLE}}`; without any, that in {PASSPHRASE}"
    )
    key_file: Path | None = Field(
        default=None, description="in place of a passphrase: the file of a key of 32 bytes in base64"
    )
    key_env: Word | None = Field(
        default=None, description="in place of a passphrase: the variable that holds such a key"
    )
    keyring: KeyringPlace | None = Field(
        default=None, description="in place of a passphrase: the place of such a key in the OS keyring"
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("keyring") is True:
            return {**given, "keyring": {}}
        return given

    @model_validator(mode="after")
    def _one_key(self) -> StoreSettings:
        said = [name for name in ("passphrase", "key_file", "key_env", "keyring") if getattr(self, name)]
        if len(said) > 1:
            raise ValueError(f"{' and '.join(said)} stand together; one opens it")
        return self

    def over(self, general: StoreSettings | None) -> StoreSettings:
        """These, with what they do not say as `general` has it."""
        if general is None:
            return self
        keys = {"passphrase", "key_file", "key_env", "keyring"}
        taken = {} if any(getattr(self, each) for each in keys) else {e: getattr(general, e) for e in keys}
        return StoreSettings.model_construct(
            **{**{each: getattr(self, each) for each in keys}, **taken, "path": self.path or general.path}
        )


class KeystoreSettings(StoreSettings):
    """`{type: keystore, entry: anthropic}`; which keystore, and what opens it, may stand under `keystore`."""

    entry: Word = Field(description="the name of the credential in the keystore")


class KeyringSettings(BaseModel):
    """`{type: keyring, service: pointsman, user: anthropic}`: a credential in the keyring of the system."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    service: Word = Field(default="pointsman", description="the service it is kept under")
    user: Word = Field(description="the user it is kept under")
