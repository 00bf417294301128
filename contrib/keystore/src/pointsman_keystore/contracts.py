"""The contracts that are kept here, for `pointsman plugins check pointsman-keystore`."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, ClassVar

from pointsman.plugin import Auth, AuthContext, Secret, system_rng
from pointsman.testing import Contexts, ReplayTransport, SystemClock, client_for
from pointsman.testing.contract import AuthContract, PluginContract
from pointsman_keystore.edits import added
from pointsman_keystore.format import Master
from pointsman_keystore.keyring_auth import KeyringAuth
from pointsman_keystore.keystore_auth import KeystoreAuth
from pointsman_keystore.settings import KeyringSettings, KeystoreSettings
from pointsman_keystore.store import Keystore

_ENTRY = {"entry": "one", "path": "pointsman.keystore", "passphrase": "long enough for a contract"}


@cache
def _folder() -> Path:
    folder = Path(mkdtemp(prefix="pointsman-keystore-"))
    store = Keystore(folder / "pointsman.keystore", lambda: Master(passphrase=Secret(_ENTRY["passphrase"])))
    store.create(lambda entries: added(entries, "one", Secret("sk-of-a-contract"), 0.0), n=2**10)
    return folder


def _context(name: str, settings: Any) -> AuthContext:
    contexts = Contexts(SystemClock(), system_rng(), _folder())
    return contexts.auth(
        name, settings, provider="here", http=lambda each: client_for(each, ReplayTransport())
    )


class OfKeystore(AuthContract):
    """With a keystore of one entry in a folder of its own."""

    def make(self) -> Auth:
        return KeystoreAuth(_context("keystore", KeystoreSettings.model_validate(_ENTRY)))


class OfKeyring(AuthContract):
    """With a keyring that has the same for everybody."""

    def make(self) -> Auth:
        settings = KeyringSettings(user="one")
        return KeyringAuth(_context("keyring", settings), lambda _service, _user: "sk-of-a-contract")


class OfTheDistribution(PluginContract):
    """With what each of them cannot be made without."""

    distribution = "pointsman-keystore"
    settings: ClassVar = {"auth.keystore": _ENTRY, "auth.keyring": {"user": "one"}}
