"""What this distribution offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.plugin import AuthFactory, PointsmanSpec, SectionFactory, hookimpl

if TYPE_CHECKING:
    import click


class KeystorePlugin(PointsmanSpec):
    """Offers two sources of credentials, the section for both, and the command that keeps them."""

    @hookimpl
    def pointsman_auth(self) -> list[AuthFactory]:
        """`keystore` and `keyring`."""
        from pointsman_keystore import keyring_auth, keystore_auth

        return [keystore_auth.FACTORY, keyring_auth.FACTORY]

    @hookimpl
    def pointsman_sections(self) -> list[SectionFactory]:
        """Where the keystore is, and what opens it, for all providers."""
        from pointsman_keystore.settings import StoreSettings

        return [SectionFactory("keystore", StoreSettings)]

    @hookimpl
    def pointsman_commands(self) -> list[click.Command]:
        """`pointsman credentials`."""
        from pointsman_keystore.commands import command  # only the command line has click

        return [command]
