"""The routes of the ledger of `pointsman-callers`, as the document has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman_gateway.operator.describing import (
    COUNT,
    NUMBER,
    TEXT,
    Described,
    Family,
    Schema,
    array,
    maybe,
    obj,
)
from pointsman_gateway.operator.operators import OPERATOR

_AMOUNTS: Mapping[str, Schema] = {
    "attempts": COUNT, "prompt_tokens": COUNT, "completion_tokens": COUNT, "cost_microcents": COUNT,
    "cost_usd": NUMBER, "unpriced": COUNT, "estimated": COUNT,
}  # fmt: skip
SPEND_SCHEMAS: Mapping[str, Schema] = {
    "Spend": obj(
        by=TEXT, since=maybe(TEXT), until=maybe(TEXT), lines=array(obj(of=TEXT, **_AMOUNTS)),
        total=obj(**_AMOUNTS),
    ),
    "SpentAttempts": obj(
        caller=TEXT,
        attempts=array(
            obj(
                ts=TEXT, request_id=TEXT, attempt=COUNT, model=TEXT, deployment=TEXT, caller=TEXT,
                key_id=TEXT, labels={"type": "object", "additionalProperties": TEXT}, prompt=maybe(COUNT),
                completion=maybe(COUNT), cached=maybe(COUNT), cache_write=maybe(COUNT),
                cost_microcents=maybe(COUNT), tier=TEXT, how={"enum": ["counted", "estimated", "expired"]},
            )
        ),
    ),
    "ErasedSpend": obj(caller=TEXT, erased=COUNT),
}  # fmt: skip

_SPEND = "/admin/v1/spend"
_ONE = f"{_SPEND}/callers/{{name}}"
_ROUTES: Sequence[Described] = (
    Described(
        "GET", _SPEND, "What was spent, by model, caller, day or label", "Spend",
        query={
            "by": (TEXT, "caller, model, deployment, key, tier, day or `label:<tag>`; without it model"),
            "since": (TEXT, "a day, a time, or how long ago, such as `30d`, which it is without it"),
            "until": (TEXT, "the last day, or the time before which it ended; without it now"),
        },
        statuses=(404,),
    ),
    Described("GET", _ONE, "All attempts of a caller that used something", "SpentAttempts", statuses=(404,)),
    Described("DELETE", _ONE, "Have nothing say whose they were; sums stay", "ErasedSpend", statuses=(404,)),
)  # fmt: skip
SPEND = Family("Error", OPERATOR.usual, _ROUTES)
