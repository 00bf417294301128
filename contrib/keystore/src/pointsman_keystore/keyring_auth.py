"""`keyring`: a credential in the keyring of the operating system."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from pointsman.plugin import (
    AuthContext,
    AuthenticationFailed,
    AuthFactory,
    CredentialVersion,
    NotReady,
    Secret,
    VersionedAuth,
)
from pointsman_keystore.edits import checked_value
from pointsman_keystore.file import KeystoreError
from pointsman_keystore.settings import KeyringSettings
from pointsman_keystore.unlocking import from_keyring


class KeyringAuth(VersionedAuth):
    """One credential, read when the router starts and again when it was rejected.

    Args:
        ask: gives what the keyring has for a service and a user. May block.
    """

    def __init__(self, context: AuthContext, ask: Callable[[str, str], str | None] = from_keyring) -> None:
        self._place: KeyringSettings = context.settings
        self._ask = ask
        self._versions: Sequence[CredentialVersion] | None = None
        self._rejected: Secret | None = None
        self._trouble = ""

    def versions(self) -> Sequence[CredentialVersion]:
        if self._versions is None:
            raise NotReady("the keyring was not asked yet")
        return self._versions

    def current(self) -> Secret | None:
        return self.versions()[0].secret

    def rejected(self, secret: Secret) -> bool:
        """Have the keyring asked again, once for each credential: it may have another one by now."""
        if self._versions is not None and self._versions[0].secret == secret and self._rejected != secret:
            self._rejected, self._versions = secret, None
        return self._versions is None or self._versions[0].secret != secret

    async def refresh(self) -> None:
        place = self._place
        try:
            found = await asyncio.to_thread(self._ask, place.service, place.user)
            if found is None:
                raise KeystoreError(f"the keyring has nothing under {place.service} / {place.user}")
            secret = checked_value(found)
        except KeystoreError as error:
            self._trouble = error.message
            raise AuthenticationFailed(error.message) from None
        self._trouble = ""
        self._versions = (CredentialVersion("", secret),)

    def trouble(self) -> str:
        return self._trouble


FACTORY = AuthFactory("keyring", KeyringSettings, KeyringAuth)
