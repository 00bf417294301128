"""The section `callers`, and the service that has a gateway know the callers with keys of the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pointsman.build.loading import plugins_for
from pointsman.config.model import Config
from pointsman.plugin import ConfigError, Secret, SectionFactory, ServiceContext, ServiceFactory
from pointsman.plugins.known_names import PACKAGES
from pointsman_callers.keys.keeper import KeyKeeper
from pointsman_callers.keys.key_limits import KeyLimits
from pointsman_callers.keys.live import LiveKeys
from pointsman_callers.keys.managing import KeyManager
from pointsman_callers.keys.pepper import check_of, pepper_in
from pointsman_callers.keys.routes import KeyRoutes
from pointsman_callers.keys.store import DATABASE, KeyStore
from pointsman_database import Database, known_address, read_address

log = logging.getLogger("pointsman.callers")
TOPIC = "pointsman-callers"
"""Of notices that keys have changed, where routers share a state store."""
_HOLDS = 60.0


class CallersSettings(BaseModel):
    """`callers: {database: ./pointsman.db}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    database: str = Field(
        default=DATABASE, description="where keys are kept: a file of SQLite, or `postgresql://…`"
    )
    _is_known = field_validator("database")(known_address)
    pepper: Secret | None = Field(
        default=None,
        description="the secret without which stored keys are of no use; one for all replicas. Without it a"
        " file beside the database has it, which is made once",
    )

    @field_validator("pepper")
    @classmethod
    def _long_enough(cls, pepper: Secret | None) -> Secret | None:
        if pepper is not None and len(pepper.reveal()) < 16:
            raise ValueError("has fewer than 16 characters; make one with: openssl rand -hex 32")
        return pepper


def opened(settings: CallersSettings, directory: Path) -> tuple[KeyStore, bytes]:
    """The store of a configuration, and the pepper of its keys. It blocks. Raises ConfigError."""
    pepper = _pepper(settings, directory)
    store = KeyStore(Database.open(settings.database, directory))
    try:
        store.prepare()
        if not store.settle_pepper(check_of(pepper)):
            raise ConfigError(
                "callers.pepper: the keys in this database were made with another pepper; have that one back,"
                " or every key would have to be made anew"
            )
    except BaseException:
        store.database.close()
        raise
    return store, pepper


def pepper_file(database: str, directory: Path) -> Path:
    """Where the pepper is that nobody configured."""
    file = read_address(database, directory).file
    return directory / "pointsman.pepper" if file is None else file.with_name(f"{file.name}.pepper")


def _pepper(settings: CallersSettings, directory: Path) -> bytes:
    if settings.pepper is not None:
        return settings.pepper.reveal().encode()
    file = pepper_file(settings.database, directory)
    pepper, made = pepper_in(file)
    if made:
        log.warning(
            "%s was made: the pepper of the callers' keys. Back it up; all replicas need the same", file
        )
    return pepper


class CallersService:
    """Lives with a router."""

    keeps_router = False

    def __init__(self, context: ServiceContext) -> None:
        self._context = context
        self._settings: CallersSettings = context.settings
        self._keeper: KeyKeeper | None = None
        self._store: KeyStore | None = None
        self._limits: KeyLimits | None = None
        self._running: asyncio.Task[None] | None = None
        self._ends: list[Callable[[], None]] = []

    async def start(self) -> None:
        """Open the database, and know its keys. Raises ConfigError."""
        context = self._context
        store, pepper = await asyncio.to_thread(opened, self._settings, context.directory)
        self._store = store
        offered = context.router.offered
        self._limits = KeyLimits(context, self._settings.database)
        keeper = self._keeper = KeyKeeper(
            store,
            LiveKeys(pepper),
            context.clock,
            ended=offered.ended,
            rescoped=offered.changed,
            changed=self._limits.go_by,
        )
        await keeper.look()
        config = context.router.config
        manager = KeyManager(
            store,
            pepper,
            context.clock.wall,
            configured_names(config.sections),
            await asyncio.to_thread(surfaces_of, config),
        )
        routes = KeyRoutes(manager, self._tell)
        self._ends += [offered.add_callers(keeper), offered.add_routes(routes.routes())]
        if context.state is not None:
            self._ends.append(context.state.subscribe(TOPIC, lambda _: keeper.wake()))
        self._running = asyncio.create_task(keeper.run())

    async def _tell(self, change: int) -> None:
        """Have all routers look at a change, this one before anything else."""
        assert self._keeper is not None
        if self._context.state is not None:
            self._context.state.publish(TOPIC, "change", str(change), _HOLDS)
        await self._keeper.look()

    async def finish(self) -> None:
        """Its keys are worth nothing here any more; what their calls use is still counted."""
        await self._end()
        if self._limits is not None:
            await self._limits.finish()

    async def aclose(self) -> None:
        """Close the database; its keys are worth nothing here any more."""
        await self._end()
        limits, self._limits = self._limits, None
        if limits is not None:
            await limits.aclose()
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.database.close)

    async def _end(self) -> None:
        for end in self._ends:
            end()
        self._ends.clear()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.end()


def configured_names(sections: Mapping[str, Any]) -> frozenset[str]:
    """The names of the keys, signers and certificates that stand in the configuration."""
    access = (sections.get("gateway") or {}).get("access") or {}
    entries = [each for kind in ("keys", "signatures", "certificates") for each in access.get(kind) or ()]
    return frozenset(str(each.get("name")) for each in entries if isinstance(each, Mapping))


def surfaces_of(config: Config) -> frozenset[str]:
    """The names of the surfaces that a gateway of `config` may have. It reads what is installed."""
    named = (config.sections.get("gateway") or {}).get("surfaces") or {}
    # Those of the gateway also where it is not installed: keys can be made anywhere.
    return frozenset((*named, *plugins_for(config).names("surface"), *PACKAGES["surface"], "operator"))


SECTION = SectionFactory("callers", CallersSettings, service="callers")
SERVICE = ServiceFactory("callers", CallersSettings, CallersService, before_calls=True)
