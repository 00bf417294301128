"""Limits and openings that several pointsman routers share through Redis."""

from __future__ import annotations

from collections.abc import Sequence

from pointsman.plugin import PointsmanSpec, StateFactory, hookimpl


class RedisPlugin(PointsmanSpec):
    """The state stores `redis` and `rediss`."""

    @hookimpl
    def pointsman_state_stores(self) -> Sequence[StateFactory]:
        from pointsman_redis.store import REDIS, REDISS  # redis-py, only for who uses it

        return (REDIS, REDISS)


plugin = RedisPlugin()

__all__ = ["RedisPlugin", "plugin"]
