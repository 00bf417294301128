"""What a configuration says of the store through which several routers share limits and openings."""

from __future__ import annotations

from typing import Literal

from pointsman._internal.settings import setting
from pointsman.config.kinds import StoreUrl
from pointsman.config.named import Named
from pointsman.units import Duration


class StateConfig(Named):
    """A store, with its own settings: `{type: redis, url: …}`. `redis://…` alone is short for that."""

    url: StoreUrl | None = setting(default=None, description="where it is, credentials included")
    fail: Literal["local", "closed"] = setting(
        default="local",
        description="while it is away: each router goes by its share of a limit (`local`), or none lets "
        "anything through (`closed`)",
    )
    lease: Duration = setting(
        default=15.0, ge=0.1, description="a place that nobody renews is free again after this"
    )
    timeout: Duration = setting(
        default=0.05, gt=0, description="how long it may take to answer; it is asked twice"
    )

    @classmethod
    def from_other(cls, value: object) -> object:
        if isinstance(value, str) and "://" in value:
            return {"type": value.partition("://")[0], "url": value}
        return super().from_other(value)
