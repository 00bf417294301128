"""What a configuration says of tables of records."""

# The annotations are not put off as elsewhere: pydantic would have to compile each of them, from its text.
from typing import Literal

from pydantic import BaseModel, ByteSize, ConfigDict, Field

from pointsman.audit_log.contents import ContentSettings
from pointsman.builtin.audit import KeySettings
from pointsman.plugin import Duration, Secret

Mode = Literal["drop_counted", "block", "fail_closed"]


class Keep(BaseModel):
    """`keep: {age: 90d, size: 1GiB}`: records beyond either go, the oldest first."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    age: Duration | None = Field(default=None, ge=60, description="records that are older go")
    size: ByteSize | None = Field(default=None, ge=2**20, description="of the text of all records together")


class TableSettings(BaseModel):
    """What both kinds of tables have."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    mode: Mode = Field(
        "drop_counted",
        description="what a request does when its record cannot be kept: go on, wait a second, or fail",
    )
    buffer: int = Field(10_000, ge=10, description="records that may wait for the database")
    key: KeySettings | None = Field(
        default=None, description="the key of the chain; without it anybody can compute it"
    )
    content: ContentSettings | None = Field(
        default=None, description="what is recorded of what was asked and answered; without it nothing"
    )
    keep: Keep = Field(default=Keep(), description="how long, and how much")


class SqliteSettings(TableSettings):
    """`{type: sqlite, database: ./audit.db}`"""

    database: str = Field(description="a file; made with mode 0600 when it is missing")


class PostgresSettings(TableSettings):
    """`{type: postgres, database: "postgresql://pointsman@db/audit"}`"""

    database: Secret = Field(description="its address, with the password where it needs one")
