"""Credentials in an encrypted file or in the keyring of the system: `keystore`, `keyring`."""

from pointsman_keystore.plugin import KeystorePlugin

__all__ = ["KeystorePlugin", "plugin"]

plugin = KeystorePlugin()
